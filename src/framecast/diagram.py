"""A graph of boxes drawn in columns, from what goes in to what comes out.

Reference:
    Sugiyama, Tagawa, Toda, Methods for Visual Understanding of Hierarchical System Structures
    (1981): ranks, then orders within them that leave few crossings.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch
from matplotlib.path import Path as Line

from framecast.atomic import NewFile
from framecast.errors import FramecastError

KINDS = (".png", ".svg", ".pdf")
WIDTH, HEIGHT = 2.0, 0.66
"""Of a box, in inches."""
GAP, ROW = 0.8, 1.0
"""From a column to the next, and from the middle of a box to that of the one below, in inches."""
LANE = 0.14
"""Between lines of feedback, in inches."""
INK, SOFT, BACK = "#1f2933", "#52606d", "#b4532a"
"""Colours of names, of small words and arrows, of feedback."""
PART, END = "#e4ecf7", "#f3efe4"
"""Colours of boxes: of parts; of what goes in or comes out."""
SVG: Any = {
    "svg.hashsalt": "framecast",
    "svg.fonttype": "none",
    "font.sans-serif": ["DejaVu Sans"],
}
"""Words stay words, and the same picture is the same file."""
SWEEPS = 8
PASSING = 0.4
"""Rows that an arrow takes in a column that it passes."""

Arrow = tuple[str, str]
"""Names of the box that it comes from, and of the one that it leads to."""
Spot = tuple[float, float]
"""Column and row, counted from 0."""


@dataclass(frozen=True)
class Box:
    """A node: a name, and small lines below it."""

    name: str
    lines: tuple[str, ...] = ()
    end: bool = False  # what goes in or comes out, rather than a part


@dataclass(frozen=True)
class Layout:
    """Where boxes go, and by which places arrows pass."""

    spots: Mapping[str, Spot]  # of the boxes' middles
    routes: Mapping[Arrow, tuple[Spot, ...]]  # of arrows forward, from box to box
    feedback: tuple[Arrow, ...]  # those that lead back
    columns: int
    lowest: float  # row


def draw(boxes: Sequence[Box], arrows: Iterable[Arrow], path: Path, title: str) -> None:
    """Draw boxes and arrows into a file; what leads back to an earlier box is dashed.

    Args:
        boxes: The first is where everything begins.
        arrows: Between names of boxes.
        path: A .png, .svg or .pdf file; replaced where it exists.
        title: A line above.

    Raises:
        FramecastError: if the file is of another kind.
    """
    check_path(path)
    layout = arrange([box.name for box in boxes], sorted(arrows))
    below = layout.lowest * ROW + HEIGHT / 2 + 0.25
    wide = layout.columns * (WIDTH + GAP) - GAP
    low = below + LANE * len(layout.feedback)
    figure = Figure((wide + 0.4, low + 0.9), dpi=150)
    axes: Axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.set(xlim=(-0.2, wide + 0.2), ylim=(low, -0.9))
    axes.axis("off")
    axes.text(0, -0.65, title, color=INK, fontsize=11, fontweight="bold", va="center")
    for route in layout.routes.values():
        _draw_route(axes, route)
    for number, (source, target) in enumerate(layout.feedback):
        _draw_back(axes, layout.spots[source], layout.spots[target], below + LANE * number)
    for box in boxes:
        _draw_box(axes, box, layout.spots[box.name])
    with NewFile(path) as draft, matplotlib.rc_context(rc=SVG):
        figure.savefig(draft, metadata={"Date": None} if path.suffix.lower() == ".svg" else None)


def check_path(path: Path) -> None:
    """See that a diagram can be drawn into a file.

    Raises:
        FramecastError: if it is of another kind.
    """
    if path.suffix.lower() not in KINDS:
        raise FramecastError(f"a diagram is a {', '.join(KINDS)} file, got {path}")


def arrange(names: Sequence[str], arrows: Sequence[Arrow]) -> Layout:
    """Columns by the longest way from the first name, rows so that few arrows cross.

    Arrows from a box to itself are left out.
    """
    proper = [arrow for arrow in arrows if arrow[0] != arrow[1]]
    feedback = _feedback(names, proper)
    forward = [arrow for arrow in proper if arrow not in feedback]
    ranks = _ranks(names, forward)
    chains = {arrow: _chain(arrow, ranks) for arrow in forward}
    columns: list[list[str]] = [[] for _ in range(max(ranks.values()) + 1)]
    for name in names:
        columns[ranks[name]].append(name)
    for (source, _), chain in chains.items():
        for rank, place in enumerate(chain[1:-1], ranks[source] + 1):
            if place not in columns[rank]:
                columns[rank].append(place)
    links = {link for chain in chains.values() for link in pairwise(chain)}
    spots = _rows(_ordered(columns, links), set(names))
    lowest = max(row for _, row in spots.values())
    routes = {arrow: tuple(spots[place] for place in chain) for arrow, chain in chains.items()}
    boxes = {name: spots[name] for name in names}
    return Layout(boxes, routes, tuple(sorted(feedback)), len(columns), lowest)


def _feedback(names: Sequence[str], arrows: Sequence[Arrow]) -> set[Arrow]:
    """Arrows to a box on the way to where they start, as a search in depth meets them."""
    found, done, way = set[Arrow](), set[str](), list[str]()

    def visit(name: str) -> None:
        way.append(name)
        for arrow in arrows:
            if arrow[0] == name and arrow[1] in way:
                found.add(arrow)
            elif arrow[0] == name and arrow[1] not in done:
                visit(arrow[1])
        done.add(way.pop())

    for name in names:
        if name not in done:
            visit(name)
    return found


def _ranks(names: Sequence[str], forward: Sequence[Arrow]) -> dict[str, int]:
    """Arrows on the longest way to each; what nothing leads to but the first stands before its own
    next ones."""
    ranks = dict.fromkeys(names, 0)
    for _ in names:
        for source, target in forward:
            ranks[target] = max(ranks[target], ranks[source] + 1)
    return ranks


def _chain(arrow: Arrow, ranks: Mapping[str, int]) -> list[str]:
    """The boxes of an arrow, and a place in every column between, which a source's arrows share."""
    source, target = arrow
    between = [f"{source} at {n}" for n in range(ranks[source] + 1, ranks[target])]
    return [source, *between, target]


def _ordered(columns: list[list[str]], links: set[Arrow]) -> list[list[str]]:
    """Each column by the mean row of what it is linked with, to and fro, until few links cross."""
    best = columns
    for sweep in range(SWEEPS):
        onwards = sweep % 2 == 0
        new = columns if onwards else columns[::-1]
        made = [new[0]]
        for column in new[1:]:
            rows = {name: row for row, name in enumerate(made[-1])}
            made.append(sorted(column, key=lambda name: _mean_row(name, rows, links, column)))
        columns = made if onwards else made[::-1]
        if _crossings(columns, links) < _crossings(best, links):
            best = columns
    return best


def _mean_row(
    name: str, rows: Mapping[str, int], links: set[Arrow], column: Sequence[str]
) -> tuple[float, int]:
    linked = [
        rows[a if b == name else b] for a, b in links if name in (a, b) and {a, b} & set(rows)
    ]
    place = column.index(name)
    return (sum(linked) / len(linked) if linked else place), place


def _crossings(columns: Sequence[Sequence[str]], links: set[Arrow]) -> int:
    rows = {name: row for column in columns for row, name in enumerate(column)}
    number = {name: n for n, column in enumerate(columns) for name in column}
    pairs = [(number[a], rows[a], rows[b]) for a, b in links]
    return sum(
        1 for column, a, b in pairs for other, c, d in pairs if column == other and a < c and b > d
    )


def _rows(columns: Sequence[Sequence[str]], boxes: set[str]) -> dict[str, Spot]:
    """Columns in the middle of the tallest one; arrows that pass need less room than boxes."""
    spots = dict[str, Spot]()
    tallest = max(sum(_room(name, boxes) for name in members) for members in columns)
    for column, members in enumerate(columns):
        top = (tallest - sum(_room(name, boxes) for name in members)) / 2
        for name in members:
            spots[name] = float(column), top + _room(name, boxes) / 2 - 0.5
            top += _room(name, boxes)
    return spots


def _room(name: str, boxes: set[str]) -> float:
    return 1.0 if name in boxes else PASSING


def _middle(spot: Spot) -> tuple[float, float]:
    """Of a box, in inches."""
    return spot[0] * (WIDTH + GAP) + WIDTH / 2, spot[1] * ROW


def _draw_box(axes: Axes, box: Box, spot: Spot) -> None:
    x, y = _middle(spot)
    corner = x - WIDTH / 2, y - HEIGHT / 2
    colour = END if box.end else PART
    shape = FancyBboxPatch(
        corner,
        WIDTH,
        HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.08",
        facecolor=colour,
        edgecolor=SOFT,
        linewidth=0.8,
    )
    axes.add_patch(shape)
    lines = len(box.lines)
    axes.text(x, y - 0.09 * lines, box.name, ha="center", va="center", color=INK, fontsize=8.5)
    for number, line in enumerate(box.lines):
        low = y + 0.17 * (number + 1) - 0.09 * lines
        axes.text(x, low, line, ha="center", va="center", color=SOFT, fontsize=6.5)


def _draw_route(axes: Axes, route: Sequence[Spot]) -> None:
    """Through the columns between, level there, and in an arc from column to column."""
    points = [_middle(spot) for spot in route]
    vertices, codes = [(points[0][0] + WIDTH / 2, points[0][1])], [Line.MOVETO]
    for number, (x, y) in enumerate(points[1:], 1):
        start, end = vertices[-1], (x - WIDTH / 2, y)
        half = (start[0] + end[0]) / 2
        vertices += [(half, start[1]), (half, y), end]
        codes += [Line.CURVE4] * 3
        if number < len(points) - 1:
            vertices.append((x + WIDTH / 2, y))
            codes.append(Line.LINETO)
    _draw_line(axes, Line(vertices, codes), SOFT, "solid")


def _draw_back(axes: Axes, source: Spot, target: Spot, low: float) -> None:
    """Below all boxes."""
    (x, y), (left, top) = _middle(source), _middle(target)
    x, left = x + WIDTH / 4, left - WIDTH / 4
    vertices = [(x, y + HEIGHT / 2), (x, low), (left, low), (left, top + HEIGHT / 2)]
    _draw_line(axes, Line(vertices, [Line.MOVETO] + [Line.LINETO] * 3), BACK, "dashed")


def _draw_line(axes: Axes, line: Line, colour: str, style: str) -> None:
    axes.add_patch(
        FancyArrowPatch(
            path=line,
            arrowstyle="-|>,head_length=4,head_width=2",
            color=colour,
            linewidth=0.9,
            linestyle=style,
            zorder=0,
        )
    )
