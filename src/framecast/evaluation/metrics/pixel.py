"""Errors per pixel: MSE, MAE and PSNR.

Frames are compared as they are given; whether a prediction is clipped to [0, 1] before is part of a
metric's definition (`sets.py`). All values are per frame; means over frames come later.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.evaluation.metrics.chunks import per_frame

PORTION = 1 << 18  # values compared at a time, few enough to stay in a processor's cache


def mse_sum(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """Squared error of frames in [0, 1], summed over the pixels and channels of each frame."""
    return per_frame(_squared_sum, prediction, target, pixels=PORTION)


def mae_sum(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """Absolute error of frames in [0, 1], summed over the pixels and channels of each frame."""
    return per_frame(_absolute_sum, prediction, target, pixels=PORTION)


def mse_mean(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """Squared error of frames in [0, 1], mean over the pixels and channels of each frame."""
    return mse_sum(prediction, target) / target.shape[-3:].numel()


def mae_mean(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """Absolute error of frames in [0, 1], mean over the pixels and channels of each frame."""
    return mae_sum(prediction, target) / target.shape[-3:].numel()


def psnr(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """Peak signal-to-noise ratio of each frame in dB, for frames in [0, 1].

    10·log10(1 / m), m the mean squared error over pixels and channels. Infinite where a frame is
    matched exactly.
    """
    return -10 * torch.log10(mse_mean(prediction, target))


def psnr_per_channel(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """`psnr` of every channel on its own, mean over the channels; at least `psnr` by convexity."""
    return psnr(prediction.unsqueeze(-3), target.unsqueeze(-3)).mean(-1)


def psnr_uint8(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """Peak signal-to-noise ratio of each frame in dB after truncation to 0, 1, …, 255.

    Both frames become ⌊255·x⌋ first, so that differences below one grey level may vanish; infinite
    where no difference remains. Frames have to be in [0, 1].
    """
    squared = per_frame(_truncated_squared_sum, prediction, target, pixels=PORTION)
    return -10 * torch.log10(squared / target.shape[-3:].numel())


def truncated(frames: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n c h w"]:
    """⌊255·x⌋ / 255 in float32: what is left after a cast to unsigned bytes."""
    return (frames.float() * 255).floor_().div_(255)


def _squared_sum(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).square_().flatten(1).sum(1)


def _truncated_squared_sum(prediction: Tensor, target: Tensor) -> Tensor:
    return _squared_sum(truncated(prediction), truncated(target))


def _absolute_sum(prediction: Tensor, target: Tensor) -> Tensor:
    return (prediction - target).abs_().flatten(1).sum(1)
