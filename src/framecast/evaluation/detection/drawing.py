"""Frames with the boxes of the objects found in them."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from framecast.evaluation.detection.boxes import Boxes
from framecast.evaluation.detection.detector import Detector
from framecast.pictures import save, strip

COLUMNS = 6
"""Most frames in a row."""
WIDEST = 480
"""Pixels across a frame, at most."""
_ACROSS, _DOWN, _LEAST = 2000, 1700, 64  # room for all columns, for all rows; narrowest frame
_COLOURS = (
    (230, 60, 50),
    (30, 120, 220),
    (20, 150, 80),
    (240, 150, 20),
    (150, 70, 200),
    (0, 160, 170),
)


def cell(frame: tuple[int, int], rows: int, columns: int) -> tuple[int, int]:
    """(height, width) at which frames of a size are drawn, so that all have room."""
    height, width = frame
    wide = min(WIDEST, _ACROSS // columns - 8, _DOWN // rows * width // height)
    wide = max(_LEAST, wide)
    return max(1, round(height * wide / width)), wide


def annotated(
    frame: Float[Tensor, "c h w"], boxes: Boxes, detector: Detector, size: tuple[int, int]
) -> Float[Tensor, "3 oh ow"]:
    """A frame at another size, with its boxes and their classes and confidences.

    Args:
        frame: Gray or RGB; clipped to [0, 1].
        boxes: In pixels of the frame.
        detector: Names the classes.
        size: (height, width) of the picture.
    """
    how: Any = {"mode": "nearest-exact"}
    if size[1] < frame.shape[-1]:
        how = {"mode": "bilinear", "antialias": True}
    # resized first: what follows is of a small picture, whatever the frame
    pixels = F.interpolate(frame.detach().float().cpu()[None], size=size, **how)[0]
    pixels = pixels.nan_to_num().clamp(0, 1).expand(3, -1, -1).permute(1, 2, 0)
    image = Image.fromarray((pixels.numpy() * 255).round().astype(np.uint8))
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(size=12)
    scale = np.array([size[1] / frame.shape[-1], size[0] / frame.shape[-2]] * 2)
    for number in range(len(boxes))[::-1]:  # the surest on top
        label = int(boxes.label[number])
        left, top, right, bottom = (boxes.corners[number] * scale).tolist()
        colour = _COLOURS[label % len(_COLOURS)]
        draw.rectangle((left, top, max(left, right - 1), max(top, bottom - 1)), None, colour, 2)
        words = f"{detector.name(label)} {boxes.confidence[number]:.2f}"
        _tag(draw, (left, top), words, colour, font, size)
    return torch.from_numpy(np.asarray(image).copy()).permute(2, 0, 1).float() / 255


def save_rows(
    rows: Mapping[str, Sequence[Float[Tensor, "3 h w"]]],
    path: Path,
    *,
    title: str,
    first: int,
    kept: Sequence[int],
) -> None:
    """Write rows of annotated frames as a picture: the truth and each model, time in columns.

    Args:
        rows: Frames of one size by name.
        path: The PNG.
        title: A line above all.
        first: Number of the first predicted frame in its video.
        kept: Numbers of the frames shown, counted from there.

    Raises:
        VideoError: if it cannot be written.
    """
    widest = next(iter(rows.values()))[0].shape[-1]
    stacked = {name: torch.stack(list(frames)) for name, frames in rows.items()}
    save(strip(stacked, first, title=title, kept=kept, largest=widest), path)


def _tag(
    draw: ImageDraw.ImageDraw,
    corner: tuple[float, float],
    words: str,
    colour: tuple[int, int, int],
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    size: tuple[int, int],
) -> None:
    """Words on their colour above a box, or where there is no room inside it."""
    wide, tall = font.getlength(words) + 4, 15
    left = max(0.0, min(corner[0], size[1] - wide))
    top = corner[1] - tall if corner[1] >= tall else corner[1]
    draw.rectangle((left, top, left + wide, top + tall - 1), colour)
    draw.text((left + 2, top), words, "white", font)
