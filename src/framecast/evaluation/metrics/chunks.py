"""Frames in bounded portions: metrics need several times the memory of the frames they compare."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.errors import FramecastError


def per_frame(
    function: Callable[[Tensor, Tensor], Tensor],
    prediction: Float[Tensor, "*n c h w"],
    target: Float[Tensor, "*n c h w"],
    *,
    pixels: int,
) -> Float[Tensor, "*n"]:
    """Apply a metric of `n c h w` frames portion by portion, without gradients.

    Args:
        function: Takes two float32 tensors `n c h w` and returns `n` values.
        prediction: Frames of any floating-point type, with any number of leading axes.
        target: Frames of the same shape.
        pixels: Most values (c·h·w) in a portion; a portion has at least one frame.

    Returns:
        One float32 value per frame.

    Raises:
        FramecastError: The shapes differ.
    """
    if prediction.shape != target.shape:
        raise FramecastError(
            f"prediction and target differ in shape: {tuple(prediction.shape)} "
            f"and {tuple(target.shape)}"
        )
    with torch.no_grad():
        leading, frame = prediction.shape[:-3], prediction.shape[-3:]
        portion = max(1, pixels // max(1, frame.numel()))
        pairs = zip(
            prediction.reshape(-1, *frame).split(portion),
            target.reshape(-1, *frame).split(portion),
            strict=True,
        )
        values = [function(one.float(), two.float()) for one, two in pairs]
        return torch.cat(values).reshape(leading)
