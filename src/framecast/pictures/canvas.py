"""What all pictures are drawn with: ink, fonts, frames as bytes, and files."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageFont
from torch import Tensor

from framecast.atomic import NewFile
from framecast.errors import FramecastError, VideoError
from framecast.signature import signature

WIDTH = 2400
"""Widest picture of frames, in pixels."""

MARGIN = 24  # around all
INK, FAINT = (34, 34, 34), (120, 120, 120)
_LABEL = 240  # widest names of rows; longer ones are cut

Ends = tuple[float | int, float | int]
"""The values shown as the darkest and the brightest."""


def spread(total: int, most: int) -> list[int]:
    """At most so many numbers below a total, evenly: the first and, of several, the last too."""
    shown = min(total, most)
    return [round(n * (total - 1) / max(shown - 1, 1)) for n in range(shown)]


def save(image: Image.Image, path: str | Path) -> None:
    """Write an image (PNG or what the suffix says); a failure leaves what stood there.

    Raises:
        VideoError: if the place cannot be written or the suffix is unknown.
    """
    path = Path(path)
    try:
        with NewFile(path) as draft:
            image.save(draft, pnginfo=signature())
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise VideoError(f"{path} cannot be written: {what}; choose another place") from error


def array(values: Tensor | np.ndarray) -> np.ndarray:
    """Values in memory, in single precision where they come as a tensor."""
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    return values


def rgb(frame: Tensor | np.ndarray, ends: Ends = (0, 1)) -> np.ndarray:
    """`c h w` to `h w 3` bytes.

    Raises:
        FramecastError: for other than one or three channels.
    """
    pixels = np.nan_to_num((array(frame).astype(np.float64) - ends[0]) / (ends[1] - ends[0]))
    pixels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    if pixels.shape[-1] not in (1, 3):
        raise FramecastError(f"an image has 1 or 3 channels, not {pixels.shape[-1]}")
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def coloured(values: np.ndarray, ends: Ends) -> UInt8[np.ndarray, "h w 3"]:
    """Values as colours (viridis); those that are not finite come out white."""
    import matplotlib

    scaled = np.ma.masked_invalid((values.astype(np.float64) - ends[0]) / (ends[1] - ends[0]))
    colours = matplotlib.colormaps["viridis"].with_extremes(bad="white")
    return colours(scaled.clip(0, 1), bytes=True)[..., :3]


def typeface(size: int) -> ImageFont.FreeTypeFont:
    """The font of everything that is written, of a height in pixels."""
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow is built without FreeType; install its usual wheel")
    return font


def shortened(text: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    """A text that fits, its middle left out: names end in what tells rows of one sequence apart."""
    head, tail, shown = text[: len(text) // 2], text[len(text) // 2 :], text
    while (head or tail) and font.getlength(shown) > room:
        head, tail = (head, tail[1:]) if len(tail) > len(head) else (head[:-1], tail)
        shown = f"{head}...{tail}"
    return shown


def label_room(labels: Sequence[str]) -> int:
    """Pixels that names of rows take, with the space between them and the rows."""
    return 12 + min(_LABEL, max(int(typeface(14).getlength(label)) + 1 for label in labels))
