"""The page of a comparison: one HTML file that loads nothing and needs no script."""

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import Element

from PIL import Image

from framecast.evaluation.comparison import charts
from framecast.evaluation.comparison.charts import Point, Series
from framecast.evaluation.comparison.frames import Strip, strips
from framecast.evaluation.comparison.grids import Cell, Grid
from framecast.evaluation.comparison.lines import Line
from framecast.evaluation.comparison.markup import Child, asset, embedded, page, tag
from framecast.evaluation.comparison.pairs import Pair, p_value
from framecast.evaluation.comparison.section import Section, signed
from framecast.evaluation.report import heading
from framecast.evaluation.result import Interval, MetricInfo
from framecast.evaluation.statistics import LEVEL

COLOURS = 8
"""Colours of models in the style sheet; more models begin anew."""


def report(sections: Sequence[Section], title: str) -> str:
    """The whole page.

    Args:
        sections: One per group of results that compare.
        title: Above all.

    Raises:
        FolderError: if frames that a result has kept are damaged.
    """
    colours = _colours(sections)
    intro = tag(
        "p",
        "Each table holds results of one protocol on the same sequences, scored alike; figures of "
        "different tables do not compare.",
        class_="lead",
    )
    body = tag(
        "main",
        tag("header", tag("h1", title), intro, _contents(sections)),
        [_section(each, number, colours) for number, each in enumerate(sections)],
        _origins(sections),
    )
    return page(title, asset("page.css"), body)


def _colours(sections: Sequence[Section]) -> dict[str, str]:
    """A colour for each model, the same in all sections."""
    names = dict.fromkeys(entry.label for section in sections for entry in section.group.entries)
    return {name: f"c{number % COLOURS}" for number, name in enumerate(names)}


def _contents(sections: Sequence[Section]) -> Element | None:
    if len(sections) < 2:
        return None
    links = (tag("a", section.title, href=f"#s{number}") for number, section in enumerate(sections))
    return tag("nav", links)


def _section(section: Section, number: int, colours: Mapping[str, str]) -> Element:
    facts = (tag("div", tag("dt", name), tag("dd", value)) for name, value in section.facts)
    return tag(
        "section",
        tag("h2", section.title),
        tag("p", f"{section.about}.", class_="about") if section.about else None,
        tag("p", section.group.apart, class_="apart") if section.group.apart else None,
        tag("dl", facts, class_="facts"),
        _table(section.table, colours),
        _horizon(section, colours),
        _cost(section, colours),
        _tests(section),
        _frames(section, colours),
        [_folded(grid, colours) for grid in section.others],
        _papers(section.papers),
        id=f"s{number}",
    )


# ---- tables


def _table(grid: Grid, colours: Mapping[str, str]) -> Element:
    names = (tag("th", each.text, title=each.more or None, scope="col") for each in grid.columns)
    head = tag("tr", names)
    rows = [
        tag(
            "tr",
            _first(row[0], colours),
            (_cell(cell) for cell in row[1:]),
            class_="base" if grid.models is not None and place >= grid.models else None,
        )
        for place, row in enumerate(grid.rows)
    ]
    table = tag("table", tag("thead", head), tag("tbody", rows))
    return tag("div", tag("div", table, class_="scroll"), _notes(grid.notes), class_="grid")


def _first(cell: Cell, colours: Mapping[str, str]) -> Element:
    colour = colours.get(cell.text)
    mark = tag("i", class_=f"swatch {colour}") if colour else None
    return tag("th", mark, cell.text, scope="row")


def _cell(cell: Cell) -> Element:
    value, plus, half = cell.text.partition(" ±")
    inside = [tag("b", value) if cell.best else value]
    inside += [tag("small", f" ±{half}")] if plus else []
    return tag("td", inside, title=cell.more or None, class_="best" if cell.best else None)


def _notes(notes: Sequence[str]) -> Element | None:
    return tag("ul", (tag("li", note) for note in notes), class_="notes") if notes else None


def _folded(grid: Grid, colours: Mapping[str, str]) -> Element:
    return tag("details", tag("summary", grid.title), _table(grid, colours))


def _papers(grids: Sequence[Grid]) -> Element | None:
    if not grids:
        return None
    words = "Printed, not measured here: under the papers' own data, windows and metrics."
    parts = [tag("div", tag("h4", grid.title), _table(grid, {})) for grid in grids]
    inside = [tag("h3", "What papers print"), tag("p", words, class_="hint"), *parts]
    return tag("div", inside, class_="papers")


# ---- curves


def _horizon(section: Section, colours: Mapping[str, str]) -> Element | None:
    drawn = [
        found
        for key, info in section.infos.items()
        if (found := _curves(section, key, info, colours)) is not None
    ]
    if not drawn:
        return None
    return tag(
        "div",
        tag("h3", "Frame by frame"),
        tag("p", "Means over the sequences; bands are 95 % intervals.", class_="hint"),
        _legend(section.lines, colours),
        tag("div", drawn, class_="charts"),
        class_="figures",
    )


def _curves(
    section: Section, key: str, info: MetricInfo, colours: Mapping[str, str]
) -> Element | None:
    series = [
        Series(line.name, _colour(line, colours), _points(line.row.curves[key]))
        for line in reversed(section.lines)
        if key in line.row.curves
    ]
    if all(len(each.points) < 2 for each in series):
        return None
    xlabel = "predicted frame" if section.group.first.predicted else "frame"
    label = f"{info.label} of each frame"
    chart = charts.curves(series, label, xlabel)
    return None if chart is None else _figure(heading(info), chart)


def _points(curve: Sequence[Interval]) -> list[Point]:
    return [Point(n, each.mean, each.low, each.high) for n, each in enumerate(curve, start=1)]


def _figure(title: str, chart: Element) -> Element:
    return tag("figure", tag("figcaption", title), chart)


def _legend(lines: Sequence[Line], colours: Mapping[str, str]) -> Element:
    entries = (
        tag("li", tag("i", class_=f"key {_colour(line, colours)}"), line.name) for line in lines
    )
    return tag("ul", entries, class_="legend")


def _colour(line: Line, colours: Mapping[str, str]) -> str:
    if line.model:
        return colours[line.name]
    return "base" if line.name == "copy-last" else "base other"


# ---- cost


def _cost(section: Section, colours: Mapping[str, str]) -> Element | None:
    key = section.first_metric
    models = [line for line in section.lines if line.model]
    if key is None or len(models) < 2:
        return None
    info = section.infos[key]
    sizes = {line.name: line.entry.result.model.parameters for line in models}
    speeds = {line.name: line.entry.result.run.frames_per_second for line in models}
    drawn = [
        found
        for costs, xlabel in (
            (sizes, "parameters"),
            (section.work, "multiply–adds of a prediction"),
            (speeds, "frames per second"),
        )
        if (found := _against(models, key, info, costs, xlabel, colours)) is not None
    ]
    return (
        tag(
            "div",
            tag("h3", f"{heading(info)} against cost"),
            tag("div", drawn, class_="charts"),
            class_="figures",
        )
        if drawn
        else None
    )


def _against(
    models: Sequence[Line],
    key: str,
    info: MetricInfo,
    costs: Mapping[str, float] | Mapping[str, int],
    xlabel: str,
    colours: Mapping[str, str],
) -> Element | None:
    series = []
    for line in models:
        value, cost = line.row.values.get(key), costs.get(line.name, 0)
        if value is not None and value.mean is not None and cost > 0:
            point = Point(cost, value.mean, value.low, value.high)
            series.append(Series(line.name, _colour(line, colours), [point]))
    if len(series) < 2:
        return None
    chart = charts.scatter(series, f"{info.label} against {xlabel}", f"{xlabel}, logarithmic")
    return None if chart is None else _figure(f"against {xlabel}", chart)


# ---- tests


def _tests(section: Section) -> Element | None:
    grid = section.pair_table
    if grid is None:
        return None
    matrices = [
        _matrix(section, key, found, key == section.first_metric)
        for key, found in section.pairs.items()
    ]
    return tag(
        "div",
        tag("h3", grid.title),
        tag("p", f"Row minus column: {grid.notes[0]}.", class_="hint"),
        matrices,
        class_="tests",
    )


def _matrix(section: Section, key: str, found: Sequence[Pair], shown: bool) -> Element:
    info = section.infos[key]
    present = {name for pair in found for name in (pair.first, pair.second)}
    names = [line.name for line in section.lines if line.name in present]
    by = {(pair.first, pair.second): pair for pair in found}
    head = tag("tr", tag("th"), (tag("th", name, scope="col") for name in names))
    rows = [
        tag("tr", tag("th", row, scope="row"), (_versus(by, row, col, info) for col in names))
        for row in names
    ]
    table = tag("table", tag("thead", head), tag("tbody", rows), class_="matrix")
    inside = tag("div", table, class_="scroll")
    return tag("details", tag("summary", heading(info)), inside, open=shown)


def _versus(by: Mapping[tuple[str, str], Pair], row: str, column: str, info: MetricInfo) -> Element:
    if row == column:
        return tag("td", "", class_="self")
    sign = 1 if (row, column) in by else -1
    pair = by[(row, column) if sign == 1 else (column, row)]
    difference, (low, high) = sign * pair.found.difference, _turned(pair, sign)
    told = pair.p < 1 - LEVEL
    better = (difference > 0) == info.higher_is_better
    look = "even" if not told else "better" if better else "worse"
    words = {"even": "≈", "better": "better", "worse": "worse"}[look]
    return tag(
        "td",
        tag("span", signed(difference), class_="by"),
        tag("small", f"{signed(low)} to {signed(high)}"),
        tag("small", f"{words}, p {p_value(pair.p)}"),
        class_=look,
    )


def _turned(pair: Pair, sign: int) -> tuple[float, float]:
    low, high = pair.found.low, pair.found.high
    return (low, high) if sign == 1 else (-high, -low)


# ---- frames


def _frames(section: Section, colours: Mapping[str, str]) -> Element | None:
    entries = section.group.entries
    missing = [entry.label for entry in entries if not entry.result.films]
    order = [line.entry for line in section.lines if line.model]
    shown = strips(order)
    if not shown and len(missing) < len(entries):
        return None
    said = f"Without frames, as their folders hold none: {', '.join(missing)}." if missing else ""
    return tag(
        "div",
        tag("h3", "What it looks like"),
        tag("p", said, class_="hint") if said else None,
        [_strip(strip, colours) for strip in shown],
        class_="frames",
    )


def _strip(strip: Strip, colours: Mapping[str, str]) -> Element:
    columns = ["last seen"] if strip.observed else []
    columns += [str(number) for number in strip.numbers]
    style = f"--n: {len(columns)}"
    heads = tag("div", (tag("span", each) for each in columns), class_="numbers", style=style)
    rows: list[Child] = [tag("span"), heads, tag("span", "truth", class_="who")]
    total = len(columns)
    rows.append(_film(strip.truth, f"{strip.name}, truth", total, total))
    for each in strip.rows:
        name = ", ".join(part for part in (each.model, each.sample) if part)
        mark = tag("i", class_=f"swatch {colours[each.model]}")
        film = _film(each.picture, f"{strip.name}, {name}", len(strip.numbers), total)
        rows += [tag("span", mark, name, class_="who"), film]
    return tag(
        "figure",
        tag("figcaption", f"sequence {strip.name}"),
        tag("div", tag("div", rows, class_="strip"), class_="scroll"),
    )


def _film(image: Image.Image, words: str, count: int, total: int) -> Element:
    """A row of so many frames, as wide as its share of the columns."""
    size = {"width": image.width, "height": image.height}
    picture = tag("img", src=embedded(image), alt=words, **size)
    return tag(
        "div", picture, class_="row", style=f"--k: {count}; width: {100 * count / total:.4g}%"
    )


# ---- where it is from


def _origins(sections: Sequence[Section]) -> Element:
    rows = [_origin(line, section.title) for section in sections for line in section.lines]
    columns = tuple(map(Cell, ("model", "protocol", "folder", "seed", "device", "command")))
    grid = Grid("", columns, tuple(row for row in rows if row))
    inside = _table(grid, {})
    return tag("footer", tag("details", tag("summary", "How each was evaluated"), inside))


def _origin(line: Line, protocol: str) -> tuple[Cell, ...]:
    if not line.model:
        return ()
    run = line.entry.result.run
    texts = (line.name, protocol, str(line.entry.folder), str(run.seed), run.device, run.command)
    return tuple(Cell(text or "–") for text in texts)
