"""Sizes and colours of frames."""

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from torch import Tensor

from framecast.errors import FramecastError

Size = tuple[int, int]
"""(height, width) in pixels."""

LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue. Reference: ITU-R BT.601."""


def fit(frames: Float[Tensor, "*n c h w"], size: Size) -> Float[Tensor, "*n c oh ow"]:
    """Resize so that the frames just cover `size`, aspect kept, and crop the centre.

    Bilinear with antialiasing; frames that have the size already come back as they are.

    Args:
        frames: any leading axes, or none.
        size: (height, width) of the result.

    Raises:
        FramecastError: if a side of `size` is not positive.
    """
    height, width = frames.shape[-2:]
    if min(size) < 1:
        raise FramecastError(f"a size needs at least one pixel a side, not {size[0]}x{size[1]}")
    if (height, width) == tuple(size):
        return frames
    scale = max(size[0] / height, size[1] / width)
    cover = (max(size[0], round(height * scale)), max(size[1], round(width * scale)))
    flat = frames.reshape(-1, *frames.shape[-3:])
    if cover != (height, width):
        flat = F.interpolate(flat, size=cover, mode="bilinear", antialias=True)
    top, left = (cover[0] - size[0]) // 2, (cover[1] - size[1]) // 2
    cut = flat[..., top : top + size[0], left : left + size[1]]
    return cut.reshape(*frames.shape[:-2], *size)


def to_gray(frames: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n 1 h w"]:
    """BT.601 luma of colour frames; gray frames come back as they are.

    Raises:
        FramecastError: if there are neither one nor three channels.
    """
    channels = frames.shape[-3]
    if channels == 1:
        return frames
    if channels != 3:
        raise FramecastError(f"only 1 or 3 channels can become gray, not {channels}")
    weights: Any = torch.tensor(LUMA, dtype=frames.dtype, device=frames.device)
    return (frames * weights[:, None, None]).sum(-3, keepdim=True)
