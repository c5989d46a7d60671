"""Charts as SVG: curves with bands, and points with intervals over a logarithmic axis.

Colours are classes (`c0`, `c1` …, `base` for baselines) that the page's style sheet gives, so that
charts follow a light or a dark page.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from framecast.evaluation.comparison.markup import tag

Number = float | int
Box = tuple[Number, Number, Number, Number]
"""Left, top, right, bottom."""

WIDTH, HEIGHT = 460, 270
LEFT, RIGHT, TOP, BOTTOM = 58, 14, 14, 40
FEW = 40
"""Most points that are drawn on a curve."""
LETTER = 7
"""Width of a letter of a name, roughly, in pixels."""
ROOM = 44
"""Least distance between ticks beside each other, in pixels."""


@dataclass(frozen=True)
class Point:
    """A value with its interval, if there is one."""

    x: Number
    y: Number | None  # None for a gap
    low: Number | None = None
    high: Number | None = None


@dataclass(frozen=True)
class Series:
    """Points of one name."""

    name: str
    colour: str  # class of its colour
    points: Sequence[Point]

    @property
    def known(self) -> list[Point]:
        """The points that have a value."""
        return [point for point in self.points if point.y is not None]


@dataclass(frozen=True)
class _Axis:
    """From values to pixels."""

    low: Number
    high: Number
    start: Number  # pixel of `low`
    end: Number
    log: bool = False

    def __call__(self, value: Number) -> float:
        low, high, at = ((math.log10(v) if self.log else v) for v in (self.low, self.high, value))
        return round(self.start + (at - low) / ((high - low) or 1) * (self.end - self.start), 1)


def curves(series: Sequence[Series], label: str, xlabel: str) -> Element | None:
    """Lines with bands over whole numbers; None where nothing has a value.

    Args:
        series: One curve each.
        label: What the chart shows, for those who cannot see it.
        xlabel: Below the horizontal axis.
    """
    points = [point for each in series for point in each.known]
    if not points:
        return None
    first, last = min(p.x for p in points), max(p.x for p in points)
    levels, y = _vertical(points)
    x = _Axis(first, last if last > first else first + 1, LEFT + 8, WIDTH - RIGHT - 8)
    whole = [tick for tick in ticks(first, last, 8) if tick == int(tick) and first <= tick <= last]
    marks = sorted({first, *[tick for tick in whole if tick - first >= (last - first) / 12]})
    parts = [*_grid(y, levels), *_below(x, marks, xlabel)]
    for each in series:
        parts += _curve(each, x, y)
    return _svg(label, parts)


def scatter(series: Sequence[Series], label: str, xlabel: str) -> Element | None:
    """Named points with intervals over a logarithmic axis; None where nothing has a value."""
    points = [point for each in series for point in each.known]
    if not points:
        return None
    levels, y = _vertical(points)
    low, high = min(p.x for p in points), max(p.x for p in points)
    x = _Axis(low / 1.6, high * 1.6, LEFT, WIDTH - RIGHT, log=True)
    parts = [*_grid(y, levels), *_below(x, _decades(x), xlabel)]
    places = []
    for each in series:
        for point in each.known:
            parts += _dot(each, point, x, y)
            places.append((y(_value(point)), x(point.x), each))
    return _svg(label, parts + list(_labels(places)))


def ticks(low: Number, high: Number, most: int = 6) -> list[float]:
    """Round numbers from at most `low` to at least `high`, 1, 2 or 5 of a power of ten apart."""
    span = (high - low) or abs(high) or 1.0
    step = 10.0 ** math.floor(math.log10(span / most))
    step = next(step * factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
    start, end = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(number * step, 12) for number in range(start, max(end, start + 1) + 1)]


def number(value: Number) -> str:
    """A tick's value, as short as it can be."""
    for size, mark in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= 10_000 and abs(value) >= size:
            return f"{value / size:g}{mark}"
    return f"{value:g}".replace("-", "−")


# ---- parts


def _svg(label: str, parts: Sequence[Element]) -> Element:
    return tag(
        "svg",
        tag("title", label),
        parts,
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        class_="chart",
    )


def _vertical(points: Sequence[Point]) -> tuple[list[float], _Axis]:
    """Round values that hold all points and their intervals, and the axis from first to last."""
    values = [v for p in points for v in (p.y, p.low, p.high) if v is not None]
    marks = ticks(min(values), max(values), 5)
    return marks, _Axis(marks[0], marks[-1], HEIGHT - BOTTOM, TOP)


def _grid(y: _Axis, levels: Sequence[Number]) -> Iterator[Element]:
    for value in levels:
        place = y(value)
        yield tag("line", x1=LEFT, x2=WIDTH - RIGHT, y1=place, y2=place, class_="grid")
        yield tag("text", number(value), x=LEFT - 8, y=place + 4, class_="tick end")


def _below(x: _Axis, marks: Sequence[Number], label: str) -> Iterator[Element]:
    for value in marks:
        place = x(value)
        yield tag("text", number(value), x=place, y=HEIGHT - BOTTOM + 17, class_="tick middle")
    middle = (LEFT + WIDTH - RIGHT) / 2
    yield tag("text", label, x=middle, y=HEIGHT - 6, class_="axis middle")


def _curve(series: Series, x: _Axis, y: _Axis) -> Iterator[Element]:
    for run in _runs(series.points):
        bounded = [point for point in run if point.low is not None and point.high is not None]
        upper = [f"{x(p.x)},{y(p.high)}" for p in bounded if p.high is not None]
        lower = [f"{x(p.x)},{y(p.low)}" for p in reversed(bounded) if p.low is not None]
        if len(bounded) > 1:
            yield tag("polygon", points=" ".join(upper + lower), class_=f"band {series.colour}")
        line = " ".join(f"{x(p.x)},{y(_value(p))}" for p in run)
        yield tag("polyline", points=line, class_=f"line {series.colour}")
    few = len(series.points) <= FEW
    for point in series.known if few else ():
        words = f"{series.name}, {number(point.x)}: {_value(point):.4g}"
        place = {"cx": x(point.x), "cy": y(_value(point)), "r": 2.5}
        yield tag("circle", tag("title", words), **place, class_=f"dot {series.colour}")


def _runs(points: Sequence[Point]) -> Iterator[list[Point]]:
    """Points without gaps between them."""
    run: list[Point] = []
    for point in points:
        if point.y is None:
            if run:
                yield run
            run = []
        else:
            run.append(point)
    if run:
        yield run


def _dot(series: Series, point: Point, x: _Axis, y: _Axis) -> Iterator[Element]:
    across = x(point.x)
    if point.low is not None and point.high is not None:
        ends = {"y1": y(point.low), "y2": y(point.high)}
        yield tag("line", x1=across, x2=across, **ends, class_=f"bar {series.colour}")
    words = f"{series.name}: {_value(point):.4g} at {number(point.x)}"
    place = {"cx": across, "cy": y(_value(point)), "r": 5.5}
    yield tag("circle", tag("title", words), **place, class_=f"dot {series.colour}")


def _labels(places: Sequence[tuple[Number, Number, Series]]) -> Iterator[Element]:
    """Names beside their points: to the right, or where they cover the least of anything else."""
    taken = [(x - 7, y - 7, x + 7, y + 7) for y, x, _ in places]
    for y, x, series in sorted(places, key=lambda place: place[:2]):
        wide = LETTER * len(series.name)
        found = [
            (x + 10, y + 4, "", x + 10),
            (x - 10, y + 4, "end", x - 10 - wide),
            (x, y - 12, "middle", x - wide / 2),
            (x, y + 20, "middle", x - wide / 2),
        ]
        boxes = [(left, down - 11, left + wide, down + 3) for _, down, _, left in found]
        best = min(range(len(found)), key=lambda n: _covered(boxes[n], taken))
        taken.append(boxes[best])
        across, down, anchor, _ = found[best]
        place = {"x": round(across, 1), "y": round(down, 1)}
        yield tag("text", series.name, **place, class_=f"name {anchor}".strip())


def _covered(box: Box, others: Sequence[Box]) -> float:
    """Area of a box that others share, and how far it leaves the chart, which weighs more."""
    left, top, right, bottom = box
    shared = sum(
        max(0.0, min(right, other[2]) - max(left, other[0]))
        * max(0.0, min(bottom, other[3]) - max(top, other[1]))
        for other in others
    )
    across = max(0.0, LEFT - left) + max(0.0, right - WIDTH)
    down = max(0.0, -top) + max(0.0, bottom - (HEIGHT - BOTTOM + 6))
    return shared + 100 * (across + down)


def _decades(x: _Axis) -> list[float]:
    """Powers of ten, and multiples of them where there are few, as far as they have room."""
    powers = range(math.floor(math.log10(x.low)), math.ceil(math.log10(x.high)) + 1)
    found: list[float] = []
    for factors in ((1,), (1, 3), (1, 2, 5), tuple(range(1, 10))):
        marks = [f * 10.0**p for p in powers for f in factors if x.low <= f * 10.0**p <= x.high]
        if len(found) >= 3 or any(x(b) - x(a) < ROOM for a, b in itertools.pairwise(marks)):
            break
        found = marks
    if len(found) > 1:
        return found
    steps = [x.low * (x.high / x.low) ** (part / 4) for part in (0.5, 2, 3.5)]
    return [float(f"{value:.2g}") for value in steps]


def _value(point: Point) -> Number:
    assert point.y is not None  # only points with a value are drawn
    return point.y
