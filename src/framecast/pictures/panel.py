"""Panels: titled images of a model's inside, heat maps, rows of frames and bars."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Int64
from PIL import Image, ImageDraw
from torch import Tensor

from framecast.errors import FramecastError
from framecast.pictures.canvas import (
    INK,
    MARGIN,
    WIDTH,
    Ends,
    array,
    coloured,
    label_room,
    rgb,
    shortened,
    typeface,
)

_LINE = 2  # between frames of a panel
_BARS = (256, 96)  # width and height of bars, in pixels


@dataclass(frozen=True)
class Panel:
    """One image that a model shows of its inside."""

    title: str
    image: Float[Tensor, "c h w"] | Float[np.ndarray, "c h w"]
    """One channel (gray in the range (0, 1), otherwise a heat map) or three (RGB)."""
    range: Ends
    rows: tuple[str, ...] = ()
    """Names of the rows, equally high, that an image other than a heat map consists of."""


def heat_map(
    values: Float[Tensor, "h w"] | Float[np.ndarray, "h w"],
    range: Ends,  # noqa: A002
) -> Image.Image:
    """Values as colours (viridis), enlarged where they are few, with a scale below.

    Args:
        values: one number per pixel; those that are not finite come out white.
        range: the values at the two ends of the colours.
    """
    map_ = _enlarged(coloured(np.asarray(array(values)), range))
    font = typeface(13)
    low, high = f"{range[0]:.3g}", f"{range[1]:.3g}"
    width = max(map_.width, 120)
    image = Image.new("RGB", (width, map_.height + 40), "white")
    image.paste(map_, ((width - map_.width) // 2, 0))
    ramp = np.linspace(range[0], range[1], width, dtype=np.float64)[None].repeat(10, axis=0)
    image.paste(Image.fromarray(coloured(ramp, range)), (0, map_.height + 8))
    draw = ImageDraw.Draw(image)
    draw.text((0, map_.height + 21), low, INK, font)
    draw.text((width, map_.height + 21), high, INK, font, anchor="ra")
    return image


def row(frames: Float[Tensor, "t c h w"]) -> Float[Tensor, "c2 h w2"]:
    """Frames side by side, as the image of a panel; a thin gray line divides them.

    Of frames with other than one or three channels, the first is shown.
    """
    visible = frames if frames.shape[1] in (1, 3) else frames[:, :1]
    line = visible.new_full((*visible.shape[1:3], _LINE), 0.5)
    parts = [part for frame in visible for part in (line, frame)]
    return torch.cat(parts[1:], -1)


def stacked(rows: Sequence[Float[Tensor, "t c h w"]]) -> Float[Tensor, "c2 h2 w2"]:
    """Rows of equally many frames under each other, as the image of a panel, divided alike."""
    return row(torch.stack([row(frames) for frames in rows]).mT).mT


def bars(values: Float[np.ndarray, "n"] | Int64[np.ndarray, "n"]) -> Float[np.ndarray, "1 h w"]:
    """Values from 0 up as dark bars on white, the largest at full height: the image of a panel.

    Where there are too many for the width, neighbours are added up.
    """
    most, height = _BARS
    starts = np.arange(min(len(values), most)) * len(values) // min(len(values), most)
    heights = np.add.reduceat(values.astype(np.float64), starts)
    tall = np.ceil(heights / (heights.max() or 1.0) * height)
    dark = np.arange(height)[::-1, None] < tall
    wide = most // len(heights)
    image = np.repeat(np.where(dark, 0.2, 1.0), wide, axis=1)
    if wide > _LINE + 1:
        image[:, wide - 1 :: wide] = 1.0
    return image[None]


def panels(shown: Sequence[Panel]) -> Image.Image:
    """Titled images in a grid, each row as high as its highest image.

    Raises:
        FramecastError: if there are none.
    """
    if not shown:
        raise FramecastError("there are no panels to show")
    images = [_panel(panel) for panel in shown]
    font = typeface(15)
    width = max(*(i.width for i in images), *(int(font.getlength(p.title)) for p in shown))
    columns = max(1, min(len(images), (WIDTH - MARGIN) // (width + MARGIN), _square(len(images))))
    cells = list(zip(shown, images, strict=True))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(image.height for _, image in row) + 26 + MARGIN for row in rows]
    size = (columns * (width + MARGIN) + MARGIN, sum(heights) + MARGIN)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    y = MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, (panel, image) in enumerate(row):
            x = MARGIN + column * (width + MARGIN)
            draw.text((x, y), panel.title, INK, font)
            sheet.paste(image, (x, y + 26))
        y += height
    return sheet


def _panel(panel: Panel) -> Image.Image:
    if panel.image.shape[0] == 1 and panel.range != (0, 1):
        return heat_map(panel.image[0], panel.range)
    image = _enlarged(rgb(panel.image, panel.range))
    return _named(image, panel.rows) if panel.rows else image


def _named(image: Image.Image, names: Sequence[str]) -> Image.Image:
    """An image with a name beside each of its rows."""
    room, font = label_room(names), typeface(14)
    whole = Image.new("RGB", (room + image.width, image.height), "white")
    whole.paste(image, (room, 0))
    draw = ImageDraw.Draw(whole)
    for number, name in enumerate(names):
        place = (room - 12, (number + 0.5) * image.height / len(names))
        draw.text(place, shortened(name, font, room - 12), INK, font, anchor="rm")
    return whole


def _enlarged(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    longest = max(image.size)
    if longest > 512:
        image.thumbnail((512, 512), Image.Resampling.LANCZOS)
        return image
    times = max(1, 256 // longest)
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def _square(count: int) -> int:
    """Columns of a grid that is wider than high."""
    return int(np.ceil(np.sqrt(count * 1.5)))
