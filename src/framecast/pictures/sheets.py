"""Contact sheets and strips: rows of frames under numbered columns."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image, ImageDraw
from torch import Tensor

from framecast.errors import FramecastError
from framecast.pictures.canvas import (
    FAINT,
    INK,
    MARGIN,
    WIDTH,
    array,
    coloured,
    label_room,
    rgb,
    shortened,
    spread,
    typeface,
)

MOST_SAMPLES = 16
"""Most rows of samples on a sheet; more are left out, and the sheet says so."""

_GAP = 4  # between frames
_DIVIDE = 28  # between groups of columns
_RULE = (205, 205, 205)
_CONTEXT, _PREDICTION = (96, 110, 125), (198, 80, 40)
_SMALLEST, _LARGEST = 64, 192  # width of a frame on a picture
_SHRUNK = 96  # width to which a larger frame is shrunk before frames are left out
_HIGH = 1800  # height that all rows together keep to, if they can


@dataclass(frozen=True)
class _Group:
    """Columns that belong together."""

    title: str
    numbers: Sequence[int]
    colour: tuple[int, int, int]


@dataclass(frozen=True)
class _Row:
    label: str
    frames: Sequence[UInt8[np.ndarray, "h w 3"] | None]


@dataclass(frozen=True)
class _Grid:
    """Rows of frames of one size, under numbered columns in groups."""

    rows: Sequence[_Row]
    groups: Sequence[_Group]
    size: tuple[int, int]
    """(height, width) of a frame on the picture."""
    title: str = ""
    notes: Sequence[str] = field(default_factory=tuple)
    fps: float | int | None = None


@dataclass(frozen=True)
class _Scatter:
    """How far samples scatter, in colours."""

    frames: Float[Tensor, "u 3 h w"]
    note: str
    label: str = "uncertainty"

    @staticmethod
    def of(deviation: Float[Tensor, "u h w"]) -> "_Scatter":
        most = float(deviation.max())
        colours = np.stack([coloured(array(frame), (0.0, most)) for frame in deviation])
        return _Scatter(
            torch.from_numpy(colours).movedim(-1, 1) / 255,
            f"uncertainty: 0 (dark) to {most:.2g} (bright), standard deviation of samples",
        )


def contact_sheet(
    context: Float[Tensor, "t c h w"],
    samples: Float[Tensor, "s u c h w"],
    truth: Float[Tensor, "v c h w"] | None = None,
    *,
    deviation: Float[Tensor, "u h w"] | None = None,
    title: str = "",
    labels: Sequence[str] | None = None,
    first: int = 0,
    kept: tuple[Sequence[int], Sequence[int]] | None = None,
    fps: float | int | None = None,
) -> Image.Image:
    """A prediction at a glance: context | futures, samples as rows, time in columns.

    Long clips are thinned to the columns that fit, always with the first and last frame; the
    numbers above the columns tell which frames are shown.

    Args:
        context: the observed frames, in [0, 1].
        samples: the predicted futures.
        truth: what really followed, as far as it is known.
        deviation: how far the samples scatter in each pixel, for a last row in colours from 0 to
            the largest value; None, or zero everywhere, for no such row.
        title: a line above all.
        labels: names of the samples' rows; "sample 1" … where None.
        first: number of the first context frame in its video.
        kept: where only some frames were kept, their numbers since the first of the context, in
            increasing order: of the context's frames, and of the future's.
        fps: frames per second, for times above the columns; None for none.

    Returns:
        An RGB image at most `WIDTH` pixels wide.
    """
    shown = samples[:MOST_SAMPLES]
    if labels is None:
        many = len(samples) > 1
        labels = [f"sample {n + 1}" if many else "prediction" for n in range(len(samples))]
    futures = [] if truth is None else [("truth", truth)]
    futures += list(zip(labels, shown, strict=False))
    seen, ahead = len(context), samples.shape[1]
    scatter = None if deviation is None or not deviation.any() else _Scatter.of(deviation)
    names = [label for label, _ in futures] + ([scatter.label] if scatter else [])
    size, columns = _layout(context[0], seen + ahead, names)
    left = _picked(seen, _share(seen, ahead, columns))
    right = _picked(ahead, columns - len(left))
    rows = []
    for number, (label, future) in enumerate(futures):
        frames = [_sized(context[n], size) if number == 0 else None for n in left]
        frames += [_sized(future[n], size) if n < len(future) else None for n in right]
        rows.append(_Row(label, frames))
    if scatter:
        colours = [_sized(scatter.frames[n], size) for n in right]
        rows.append(_Row(scatter.label, [*[None for _ in left], *colours]))
    before, after = kept or (range(seen), range(seen, seen + ahead))
    context_title = _counted("context", left, before[-1] + 1)
    future_title = _counted("prediction", right, after[-1] - before[-1])
    groups = [
        _Group(context_title, [first + before[n] for n in left], _CONTEXT),
        _Group(future_title, [first + after[n] for n in right], _PREDICTION),
    ]
    notes = [f"{len(shown)} of {len(samples)} samples"] if len(shown) < len(samples) else []
    notes += [scatter.note] if scatter else []
    return _drawn(_Grid(rows, groups, size, title, notes, fps))


def strip(
    rows: Mapping[str, Float[Tensor, "_ _ _ _"]],
    first: int = 0,
    *,
    title: str = "",
    kept: Sequence[int] | None = None,
    largest: int = _LARGEST,
) -> Image.Image:
    """Named rows of frames under each other: truth, model, copy-last …

    Args:
        rows: frames of one size per name, in [0, 1]; a shorter row ends earlier.
        first: number of the first column's frame.
        title: a line above all.
        kept: where only some frames were kept, their numbers since the first column.
        largest: pixels across a frame at most, where there is room.

    Raises:
        FramecastError: if there are no rows, or one has no frames, or their frames differ in size.
    """
    if not rows:
        raise FramecastError("a strip needs at least one row of frames")
    if empty := [name for name, frames in rows.items() if len(frames) == 0]:
        raise FramecastError(f"the row {empty[0]!r} of a strip has no frames")
    sizes = {tuple(frames.shape[-2:]) for frames in rows.values()}
    if len(sizes) > 1:
        raise FramecastError(f"rows of a strip have frames of one size, not {sorted(sizes)}")
    total = max(len(frames) for frames in rows.values())
    size, columns = _layout(next(iter(rows.values()))[0], total, list(rows), largest)
    picked = _picked(total, columns)
    drawn = [
        _Row(name, [_sized(frames[n], size) if n < len(frames) else None for n in picked])
        for name, frames in rows.items()
    ]
    numbers = kept or range(total)
    group = _Group(
        _counted("", picked, numbers[-1] - numbers[0] + 1),
        [first + numbers[n] for n in picked],
        _CONTEXT,
    )
    return _drawn(_Grid(drawn, [group], size, title))


def _sized(frame: Float[Tensor, "c h w"], size: tuple[int, int]) -> UInt8[np.ndarray, "oh ow 3"]:
    """A frame at the size of its cell: enlarged in whole pixels, or shrunk smoothly."""
    image = Image.fromarray(rgb(frame))
    if (image.height, image.width) == size:
        return np.asarray(image)
    how = Image.Resampling.NEAREST if size[1] > image.width else Image.Resampling.LANCZOS
    return np.asarray(image.resize((size[1], size[0]), how))


def _layout(
    frame: Float[Tensor, "c h w"], columns: int, labels: Sequence[str], most: int = _LARGEST
) -> tuple[tuple[int, int], int]:
    """Size of a frame on the picture (h, w), and how many columns fit: all of them if possible."""
    height, width = frame.shape[-2:]
    room = WIDTH - 2 * MARGIN - _DIVIDE - label_room(labels)
    fair = room // columns - _GAP
    largest = min(most, max(_SMALLEST, _HIGH // len(labels) * width // height))
    if width <= largest:
        widths = [width * n for n in range(1, largest // width + 1)]
        readable = [w for w in widths if w >= _SMALLEST] or widths[-1:]
        wide = max([w for w in readable if w <= fair], default=min(readable[0], max(fair, _SHRUNK)))
    else:
        wide = min(largest, max(_SHRUNK, fair))
    tall = max(1, round(height * wide / width))
    return (tall, wide), max(2, min(columns, room // (wide + _GAP)))


def _share(seen: int, ahead: int, columns: int) -> int:
    """How many columns the context gets."""
    if seen + ahead <= columns:
        return seen
    fair = max(round(columns * seen / (seen + ahead)), min(4, columns // 4), 1)
    return min(seen, max(fair, columns - ahead), columns - 1)


def _picked(total: int, columns: int) -> list[int]:
    """Frames for so many columns; for a single one the last, where the context ends."""
    return spread(total, columns) if columns > 1 else [total - 1]


def _counted(name: str, picked: Sequence[int], total: int) -> str:
    if len(picked) == total:
        return name
    return (
        f"{name}: {len(picked)} of {total} frames" if name else f"{len(picked)} of {total} frames"
    )


def _drawn(grid: _Grid) -> Image.Image:
    tall, wide = grid.size
    big, small = typeface(20), typeface(14)
    lefts = _lefts(grid)
    top = MARGIN + (34 if grid.title else 0)
    headed = any(group.title for group in grid.groups)
    frames_top = top + (28 if headed else 0) + (36 if grid.fps else 18)
    bottom = frames_top + len(grid.rows) * (tall + _GAP) - _GAP
    size = (lefts[-1][-1] + wide + MARGIN, bottom + MARGIN + 20 * len(grid.notes))
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    if grid.title:
        draw.text((MARGIN, MARGIN - 4), shortened(grid.title, big, size[0] - 40), INK, big)
    for group, places in zip(grid.groups, lefts, strict=True):
        _head(draw, group, places, grid, (top, frames_top))
    if len(grid.groups) > 1:
        x = lefts[1][0] - (_DIVIDE + _GAP) // 2
        draw.line([(x, top), (x, bottom)], _RULE, 2)
    places = [place for group in lefts for place in group]
    for number, row in enumerate(grid.rows):
        y = frames_top + number * (tall + _GAP)
        start = next(x for x, frame in zip(places, row.frames, strict=True) if frame is not None)
        indent = 12 if start == places[0] else 12 + _DIVIDE
        text = shortened(row.label, small, start - MARGIN - indent)
        draw.text((start - indent, y + tall / 2), text, INK, small, anchor="rm")
        for x, frame in zip(places, row.frames, strict=True):
            if frame is not None:
                image.paste(Image.fromarray(frame), (x, y))
    for line, note in enumerate(grid.notes):
        text = shortened(note, small, size[0] - places[0])
        draw.text((places[0], bottom + 10 + 20 * line), text, FAINT, small)
    return image


def _lefts(grid: _Grid) -> list[list[int]]:
    """The left edge of every column, group by group."""
    x = MARGIN + label_room([row.label for row in grid.rows])
    lefts = []
    for group in grid.groups:
        lefts.append([x + n * (grid.size[1] + _GAP) for n in range(len(group.numbers))])
        x = lefts[-1][-1] + grid.size[1] + _GAP + _DIVIDE
    return lefts


def _head(
    draw: ImageDraw.ImageDraw,
    group: _Group,
    places: Sequence[int],
    grid: _Grid,
    span: tuple[int, int],
) -> None:
    """A group's title over a coloured rule, and the frame number and time of each column."""
    top, frames_top = span
    wide = grid.size[1]
    if group.title:
        room = places[-1] + wide - places[0]
        draw.text(
            (places[0], top), shortened(group.title, typeface(15), room), group.colour, typeface(15)
        )
        draw.line([(places[0], top + 21), (places[-1] + wide - 1, top + 21)], group.colour, 2)
    font = typeface(12)
    for x, number in zip(places, group.numbers, strict=True):
        centre = x + wide / 2
        if grid.fps:
            draw.text((centre, frames_top - 34), str(number), INK, font, anchor="ma")
            time = f"{number / grid.fps:.2f} s"
            draw.text((centre, frames_top - 18), time, FAINT, font, anchor="ma")
        else:
            draw.text((centre, frames_top - 17), str(number), INK, font, anchor="ma")
