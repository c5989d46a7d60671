"""Sizes and colours of frames."""

from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float, UInt8
from torch import Tensor

from framecast.errors import FramecastError

Size = tuple[int, int]
"""(height, width) in pixels."""

PORTION = 2**17
"""Pixels that are narrowed at a time."""

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
    if (height, width) == tuple(size):
        return frames
    flat = _resized(frames.reshape(-1, *frames.shape[-3:]), _cover((height, width), size))
    return _centre(flat, size).reshape(*frames.shape[:-2], *size)


def fit_image(
    image: UInt8[np.ndarray, "h w 3"], size: Size | None, channels: Literal[1, 3]
) -> Float[Tensor, "k oh ow"]:
    """A decoded image as a frame in [0, 1]: `fit` of its colours, or of its luma.

    The same values bit for bit, but some rows at a time are narrowed: as floats a 4K image takes
    100 MB, and most of the time.

    Args:
        image: As decoders give it.
        size: (height, width) of the result; None for the image's own.
        channels: 3 for colour, 1 for luma.

    Raises:
        FramecastError: if a side of `size` is not positive.
    """
    height, width = image.shape[:2]
    pixels = torch.from_numpy(image).permute(2, 0, 1)
    if size in (None, (height, width)):
        return _unit(pixels, channels)
    cover = _cover((height, width), size)
    narrowed = torch.empty(channels, height, cover[1])
    some = max(1, PORTION // width)
    for start in range(0, height, some):
        rows = _unit(pixels[:, start : start + some], channels)
        narrowed[:, start : start + some] = _resized(rows[None], (rows.shape[1], cover[1]))[0]
    return _centre(_resized(narrowed[None], cover), size)[0]


def fit_bytes(
    image: UInt8[np.ndarray, "h w 3"], size: Size | None, channels: Literal[1, 3]
) -> UInt8[np.ndarray, "oh ow k"]:
    """As `fit_image`, rounded to 8 bits."""
    whole = fit_image(image, size, channels).mul(255).round_().clamp_(0, 255).byte()
    return np.ascontiguousarray(whole.permute(1, 2, 0).numpy())


def _unit(pixels: UInt8[Tensor, "3 h w"], channels: int) -> Float[Tensor, "k h w"]:
    """Bytes as numbers in [0, 1]."""
    picture = pixels.to(torch.float32).div_(255)
    return to_gray(picture) if channels == 1 else picture


def _cover(old: Size, new: Size) -> Size:
    """The size of a frame once it just covers another one."""
    if min(new) < 1:
        raise FramecastError(f"a size needs at least one pixel a side, not {new[0]}x{new[1]}")
    scale = max(new[0] / old[0], new[1] / old[1])
    return max(new[0], round(old[0] * scale)), max(new[1], round(old[1] * scale))


def _resized(frames: Float[Tensor, "n c h w"], size: Size) -> Float[Tensor, "n c oh ow"]:
    if frames.shape[-2:] == size:
        return frames
    return F.interpolate(frames, size=size, mode="bilinear", antialias=True)


def _centre(frames: Float[Tensor, "n c h w"], size: Size) -> Float[Tensor, "n c oh ow"]:
    top, left = (frames.shape[-2] - size[0]) // 2, (frames.shape[-1] - size[1]) // 2
    return frames[..., top : top + size[0], left : left + size[1]]


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
