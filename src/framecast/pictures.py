"""Pictures: contact sheets, strips, panels, heat maps and curves, as PIL images on white."""

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64, UInt8
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from framecast.atomic import NewFile
from framecast.errors import FramecastError, VideoError
from framecast.signature import signature

WIDTH = 2400
"""Widest picture of frames, in pixels."""
MOST_SAMPLES = 16
"""Most rows of samples on a sheet; more are left out, and the sheet says so."""

_MARGIN, _GAP = 24, 4  # around all, between frames
_DIVIDE = 28  # between groups of columns
_INK, _FAINT, _RULE = (34, 34, 34), (120, 120, 120), (205, 205, 205)
_CONTEXT, _PREDICTION = (96, 110, 125), (198, 80, 40)
_SMALLEST, _LARGEST = 64, 192  # width of a frame on a picture
_SHRUNK = 96  # width to which a larger frame is shrunk before frames are left out
_HIGH = 1800  # height that all rows together keep to, if they can
_LINE = 2  # between frames of a panel
_BARS = (256, 96)  # width and height of bars, in pixels
_LABEL = 240  # widest names of rows; longer ones are cut

Numbers = Sequence[float | int] | np.ndarray
Ends = tuple[float | int, float | int]
"""The values shown as the darkest and the brightest."""


@dataclass(frozen=True)
class Panel:
    """One image that a model shows of its inside."""

    title: str
    image: Float[Tensor, "c h w"] | Float[np.ndarray, "c h w"]
    """One channel (gray in the range (0, 1), otherwise a heat map) or three (RGB)."""
    range: Ends
    rows: tuple[str, ...] = ()
    """Names of the rows, equally high, that an image other than a heat map consists of."""


@dataclass(frozen=True)
class Curve:
    """A quantity over an axis, with its 95 % interval; the four lists have one length."""

    x: Numbers
    mean: Numbers
    low: Numbers
    high: Numbers


@dataclass(frozen=True)
class Plot:
    """Curves of one quantity."""

    title: str
    unit: str
    series: Mapping[str, Curve]
    dashed: Sequence[str] = ()
    """Names of the curves that others are compared with."""


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
        colours = np.stack([_coloured(_array(frame), (0.0, most)) for frame in deviation])
        return _Scatter(
            torch.from_numpy(colours).movedim(-1, 1) / 255,
            f"uncertainty: 0 (dark) to {most:.2g} (bright), standard deviation of samples",
        )


def spread(total: int, most: int) -> list[int]:
    """At most so many numbers below a total, evenly: the first and, of several, the last too."""
    shown = min(total, most)
    return [round(n * (total - 1) / max(shown - 1, 1)) for n in range(shown)]


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


def heat_map(
    values: Float[Tensor, "h w"] | Float[np.ndarray, "h w"],
    range: Ends,  # noqa: A002
) -> Image.Image:
    """Values as colours (viridis), enlarged where they are few, with a scale below.

    Args:
        values: one number per pixel; those that are not finite come out white.
        range: the values at the two ends of the colours.
    """
    map_ = _enlarged(_coloured(np.asarray(_array(values)), range))
    font = _font(13)
    low, high = f"{range[0]:.3g}", f"{range[1]:.3g}"
    width = max(map_.width, 120)
    image = Image.new("RGB", (width, map_.height + 40), "white")
    image.paste(map_, ((width - map_.width) // 2, 0))
    ramp = np.linspace(range[0], range[1], width, dtype=np.float64)[None].repeat(10, axis=0)
    image.paste(Image.fromarray(_coloured(ramp, range)), (0, map_.height + 8))
    draw = ImageDraw.Draw(image)
    draw.text((0, map_.height + 21), low, _INK, font)
    draw.text((width, map_.height + 21), high, _INK, font, anchor="ra")
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
    font = _font(15)
    width = max(*(i.width for i in images), *(int(font.getlength(p.title)) for p in shown))
    columns = max(1, min(len(images), (WIDTH - _MARGIN) // (width + _MARGIN), _square(len(images))))
    cells = list(zip(shown, images, strict=True))
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    heights = [max(image.height for _, image in row) + 26 + _MARGIN for row in rows]
    size = (columns * (width + _MARGIN) + _MARGIN, sum(heights) + _MARGIN)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    y = _MARGIN
    for row, height in zip(rows, heights, strict=True):
        for column, (panel, image) in enumerate(row):
            x = _MARGIN + column * (width + _MARGIN)
            draw.text((x, y), panel.title, _INK, font)
            sheet.paste(image, (x, y + 26))
        y += height
    return sheet


def curves(plots: Sequence[Plot], title: str = "", xlabel: str = "predicted frame") -> Image.Image:
    """Plots beside each other: lines with their 95 % intervals as bands.

    A name has one colour in all plots, whether or not each has a curve of that name; the legend has
    all of them and stands below.

    Raises:
        FramecastError: if there are no plots, or one has no curves.
    """
    if not plots or not all(plot.series for plot in plots):
        raise FramecastError("there are no curves to draw")
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    across = min(len(plots), 3)
    down = -(-len(plots) // across)
    wide = 8 if across == 1 else 5.3
    names = list(dict.fromkeys(name for plot in plots for name in plot.series))
    rows = -(-len(names) // (2 * across))
    size = wide * across, wide * down * 0.66 + 0.75 + 0.22 * rows
    figure = Figure(size, dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(down, across, squeeze=False).ravel()
    colours = {name: f"C{number}" for number, name in enumerate(names)}
    lines: dict[str, Any] = {}
    for place, plot in zip(axes, plots, strict=False):
        lines = _plotted(place, plot, xlabel, colours) | lines
    for place in axes[len(plots) :]:
        place.remove()
    figure.legend(
        [lines[name] for name in names],
        names,
        loc="outside lower left",
        ncols=2 * across,
        frameon=False,
        title="mean, 95 % interval",
        alignment="left",
    )
    figure.suptitle(title, x=0.01, ha="left")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return Image.open(buffer).convert("RGB")


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


def _plotted(place: Any, plot: Plot, xlabel: str, colours: Mapping[str, str]) -> dict[str, Any]:
    """One plot, on matplotlib's axes; its lines by name come back."""
    from matplotlib.ticker import MaxNLocator

    lines = {}
    for name, curve in plot.series.items():
        marker = "o" if len(curve.x) < 30 else ""
        style = "--" if name in plot.dashed else "-"
        look = {"color": colours[name], "marker": marker, "markersize": 3.5}
        (lines[name],) = place.plot(curve.x, curve.mean, style, **look)
        place.fill_between(
            curve.x, curve.low, curve.high, alpha=0.18, color=colours[name], linewidth=0
        )
    place.set(xlabel=xlabel, ylabel=plot.unit)
    place.set_title(plot.title, loc="left", fontsize=12)
    place.xaxis.set_major_locator(MaxNLocator(integer=True))
    place.grid(alpha=0.25)
    place.spines[["top", "right"]].set_visible(False)
    return lines


# ---- frames


def _array(values: Tensor | np.ndarray) -> np.ndarray:
    if isinstance(values, Tensor):
        values = values.detach().float().cpu().numpy()
    return values


def _rgb(frame: Tensor | np.ndarray, ends: Ends = (0, 1)) -> np.ndarray:
    """`c h w` to `h w 3` bytes."""
    pixels = np.nan_to_num((_array(frame).astype(np.float64) - ends[0]) / (ends[1] - ends[0]))
    pixels = np.rint(pixels.clip(0, 1) * 255).astype(np.uint8).transpose(1, 2, 0)
    if pixels.shape[-1] not in (1, 3):
        raise FramecastError(f"an image has 1 or 3 channels, not {pixels.shape[-1]}")
    return np.broadcast_to(pixels, (*pixels.shape[:2], 3))


def _sized(frame: Float[Tensor, "c h w"], size: tuple[int, int]) -> UInt8[np.ndarray, "oh ow 3"]:
    """A frame at the size of its cell: enlarged in whole pixels, or shrunk smoothly."""
    image = Image.fromarray(_rgb(frame))
    if (image.height, image.width) == size:
        return np.asarray(image)
    how = Image.Resampling.NEAREST if size[1] > image.width else Image.Resampling.LANCZOS
    return np.asarray(image.resize((size[1], size[0]), how))


def _coloured(values: np.ndarray, ends: Ends) -> UInt8[np.ndarray, "h w 3"]:
    import matplotlib

    scaled = np.ma.masked_invalid((values.astype(np.float64) - ends[0]) / (ends[1] - ends[0]))
    colours = matplotlib.colormaps["viridis"].with_extremes(bad="white")
    return colours(scaled.clip(0, 1), bytes=True)[..., :3]


def _enlarged(pixels: np.ndarray) -> Image.Image:
    image = Image.fromarray(np.ascontiguousarray(pixels))
    longest = max(image.size)
    if longest > 512:
        image.thumbnail((512, 512), Image.Resampling.LANCZOS)
        return image
    times = max(1, 256 // longest)
    return image.resize((image.width * times, image.height * times), Image.Resampling.NEAREST)


def _panel(panel: Panel) -> Image.Image:
    if panel.image.shape[0] == 1 and panel.range != (0, 1):
        return heat_map(panel.image[0], panel.range)
    image = _enlarged(_rgb(panel.image, panel.range))
    return _named(image, panel.rows) if panel.rows else image


def _named(image: Image.Image, names: Sequence[str]) -> Image.Image:
    """An image with a name beside each of its rows."""
    room, font = _label_room(names), _font(14)
    whole = Image.new("RGB", (room + image.width, image.height), "white")
    whole.paste(image, (room, 0))
    draw = ImageDraw.Draw(whole)
    for number, name in enumerate(names):
        place = (room - 12, (number + 0.5) * image.height / len(names))
        draw.text(place, _shortened(name, font, room - 12), _INK, font, anchor="rm")
    return whole


# ---- layout


def _layout(
    frame: Float[Tensor, "c h w"], columns: int, labels: Sequence[str], most: int = _LARGEST
) -> tuple[tuple[int, int], int]:
    """Size of a frame on the picture (h, w), and how many columns fit: all of them if possible."""
    height, width = frame.shape[-2:]
    room = WIDTH - 2 * _MARGIN - _DIVIDE - _label_room(labels)
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


def _label_room(labels: Sequence[str]) -> int:
    return 12 + min(_LABEL, max(int(_font(14).getlength(label)) + 1 for label in labels))


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


def _square(count: int) -> int:
    """Columns of a grid that is wider than high."""
    return int(np.ceil(np.sqrt(count * 1.5)))


# ---- drawing


def _font(size: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(size=size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise RuntimeError("this Pillow is built without FreeType; install its usual wheel")
    return font


def _shortened(text: str, font: ImageFont.FreeTypeFont, room: int) -> str:
    """A text that fits, its middle left out: names end in what tells rows of one sequence apart."""
    head, tail, shown = text[: len(text) // 2], text[len(text) // 2 :], text
    while (head or tail) and font.getlength(shown) > room:
        head, tail = (head, tail[1:]) if len(tail) > len(head) else (head[:-1], tail)
        shown = f"{head}...{tail}"
    return shown


def _drawn(grid: _Grid) -> Image.Image:
    tall, wide = grid.size
    big, small = _font(20), _font(14)
    lefts = _lefts(grid)
    top = _MARGIN + (34 if grid.title else 0)
    headed = any(group.title for group in grid.groups)
    frames_top = top + (28 if headed else 0) + (36 if grid.fps else 18)
    bottom = frames_top + len(grid.rows) * (tall + _GAP) - _GAP
    size = (lefts[-1][-1] + wide + _MARGIN, bottom + _MARGIN + 20 * len(grid.notes))
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    if grid.title:
        draw.text((_MARGIN, _MARGIN - 4), _shortened(grid.title, big, size[0] - 40), _INK, big)
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
        text = _shortened(row.label, small, start - _MARGIN - indent)
        draw.text((start - indent, y + tall / 2), text, _INK, small, anchor="rm")
        for x, frame in zip(places, row.frames, strict=True):
            if frame is not None:
                image.paste(Image.fromarray(frame), (x, y))
    for line, note in enumerate(grid.notes):
        text = _shortened(note, small, size[0] - places[0])
        draw.text((places[0], bottom + 10 + 20 * line), text, _FAINT, small)
    return image


def _lefts(grid: _Grid) -> list[list[int]]:
    """The left edge of every column, group by group."""
    x = _MARGIN + _label_room([row.label for row in grid.rows])
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
            (places[0], top), _shortened(group.title, _font(15), room), group.colour, _font(15)
        )
        draw.line([(places[0], top + 21), (places[-1] + wide - 1, top + 21)], group.colour, 2)
    font = _font(12)
    for x, number in zip(places, group.numbers, strict=True):
        centre = x + wide / 2
        if grid.fps:
            draw.text((centre, frames_top - 34), str(number), _INK, font, anchor="ma")
            time = f"{number / grid.fps:.2f} s"
            draw.text((centre, frames_top - 18), time, _FAINT, font, anchor="ma")
        else:
            draw.text((centre, frames_top - 17), str(number), _INK, font, anchor="ma")
