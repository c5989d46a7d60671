"""From an entry to command lines: pure functions, which look at no file."""

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from framecast.errors import ConfigError
from framecast.reproduction import sources
from framecast.reproduction.entries import Entry, Line, Measure, Part, Scale, Training, View

Kind = Literal["prepare", "train", "evaluate", "picture", "show", "compare"]


@dataclass(frozen=True)
class Place:
    """The user's side: where things lie, and options that apply to many commands."""

    out: Path
    """The folder for prepared videos, runs, results and pages, shared by all tables."""
    roots: Mapping[str, Path] = field(default_factory=dict)
    """Folders of datasets, by name."""
    prepared: frozenset[str] = frozenset()
    """Names of those whose folders hold prepared videos already."""
    video: Path | None = None
    """What pictures are made of."""
    train: tuple[str, ...] = ()
    """More options for every training."""
    evaluate: tuple[str, ...] = ()
    """More options for every evaluation."""


@dataclass(frozen=True)
class Step:
    """A command, and what it leaves."""

    kind: Kind
    """What sort of command it is."""
    words: tuple[str, ...]
    """After `framecast`."""
    makes: Path | None = None
    """Prepared videos, the run, the results, the picture or the page; None for what is printed."""

    @property
    def line(self) -> str:
        """As one would type it."""
        return shlex.join(["framecast", *self.words])


@dataclass(frozen=True)
class Plan:
    """All that makes an entry at a scale."""

    title: str
    """Paper, number and what is shown."""
    notes: tuple[str, ...]
    """What a reader has to know."""
    steps: tuple[Step, ...]
    """In the order in which they run."""
    left_out: tuple[str, ...]
    """Parts and lines that are not made, with the reason."""
    wanted: tuple[str, ...]
    """Options that the user has yet to give before all steps can run."""


def plan(paper: str, entry: Entry, scale: Scale, place: Place, *, partial: bool = False) -> Plan:
    """The commands that make an entry.

    Args:
        paper: Name of the paper, or `framecast` for our own.
        entry: One of its tables and figures.
        scale: Which networks, data and protocols.
        place: The user's side. What it lacks stands in the commands in capitals.
        partial: Leave parts out for which something is lacking, as long as others remain.

    Raises:
        ConfigError: if the entry cannot be had, or not at this scale.
    """
    if entry.missing:
        raise ConfigError(f"{paper} {entry.name} cannot be made again: {entry.missing}")
    if scale not in entry.scales:
        known = ", ".join(entry.scales)
        raise ConfigError(f"{paper} {entry.name} is not made at the scale {scale}; use {known}")
    parts, left_out = _chosen(entry, scale, place, partial)
    title = f"{sources.short(paper)}, {_number(entry.name)}: {entry.title}"
    page = place.out / f"{paper}-{entry.name}-{scale}.html"
    steps = list(_steps(parts, scale, place))
    if results := _results(parts, scale, place):
        heading = f"{title} (scale {scale})"
        words = ("compare", *results, "--out", str(page), "--title", heading)
        steps.append(Step("compare", words, page))
    wanted = (option for part in parts for option in _lacking(part, scale, place))
    return Plan(
        title,
        tuple(_notes(entry, parts, scale)),
        tuple(dict.fromkeys(steps)),
        (*left_out, *_unmade(paper, entry, parts, scale)),
        tuple(dict.fromkeys(wanted)),
    )


def _chosen(
    entry: Entry, scale: Scale, place: Place, partial: bool
) -> tuple[list[Part], list[str]]:
    """The parts that are made, and why the others are not."""
    parts = [part for part in entry.parts if part.commands or (part.lines and part.at(scale))]
    others = [part for part in entry.parts if part not in parts]
    left_out = [f"{part.title}: not at the scale {scale}" for part in others]
    lacking = [_lacking(part, scale, place) for part in parts]
    if not partial or all(lacking):
        return parts, left_out
    pairs = list(zip(parts, lacking, strict=True))
    left_out += [f"{part.title}: no {', no '.join(few)}" for part, few in pairs if few]
    return [part for part, few in pairs if not few], left_out


def datasets(entry: Entry, scale: Scale) -> tuple[str, ...]:
    """The datasets whose folders an entry needs at a scale."""
    measures = (measure for part in entry.parts if part.lines for measure in part.at(scale))
    return tuple(dict.fromkeys(m.data for m in measures if m.data is not None))


def _lacking(part: Part, scale: Scale, place: Place) -> list[str]:
    """Options that a part needs and the user has not given."""
    found: list[str] = []
    for measure in part.at(scale) if part.lines else ():
        if measure.data is not None and measure.data not in place.roots:
            found.append(f"--data.{measure.data}")
        if isinstance(measure, View) and not measure.drawn and place.video is None:
            found.append("--video")
    return list(dict.fromkeys(found))


def _steps(parts: list[Part], scale: Scale, place: Place) -> Iterator[Step]:
    for part in parts:
        for words in part.commands:
            yield Step("show", words)
        measures = part.at(scale)
        if any(isinstance(m, View) and m.drawn for m in measures) and place.video is None:
            clip = place.out / "drawn"
            yield Step("picture", ("demo", "--out", str(clip)), clip / "demo.mp4")
        yield from (_prepare(measure, place) for measure in measures if _prepares(measure, place))
        for line in part.lines:
            training = line.at(scale)
            if training is not None and measures:
                yield _train(training, measures[0], place)
                for measure in measures:
                    yield _measure(line, training, measure, place)


def _prepares(measure: Measure | View, place: Place) -> bool:
    """Whether videos are prepared before anything reads them."""
    return bool(measure.prepared) and measure.data not in place.prepared


def _prepare(measure: Measure | View, place: Place) -> Step:
    data, made = measure.data or "", _prepared(measure, place)
    words = ("data", "prepare", data, *_given(measure, place), *measure.prepared)
    return Step("prepare", (*words, "--out", str(made)), made)


def _train(training: Training, measure: Measure | View, place: Place) -> Step:
    run = place.out / "runs" / training.run
    words = ("train", training.preset, *training.changes, *_root(measure, place), *place.train)
    return Step("train", (*words, "--resume", "--out", str(run)), run)


def _measure(line: Line, training: Training, measure: Measure | View, place: Place) -> Step:
    if isinstance(measure, View):
        return _picture(training, measure, place)
    parts = (training.called, _slug(measure.protocol), measure.name, line.name)
    out = place.out / "results" / "-".join(part for part in parts if part)
    root, options = _root(measure, place), (*measure.options, *line.options)
    words = ("evaluate", _model(training, place), "--protocol", measure.protocol, *root, *options)
    return Step("evaluate", (*words, *place.evaluate, "--out", str(out)), out)


def _picture(training: Training, view: View, place: Place) -> Step:
    drawn = place.out / "drawn" / "demo.mp4" if view.drawn else "VIDEO"
    video = place.video or drawn
    shown = "drawn" if place.video is None else place.video.stem
    out = place.out / "pictures" / f"{training.called}-{view.words[0]}-{shown}"
    model = _model(training, place)
    words = tuple(word.format(model=model, video=video, out=out) for word in view.words)
    return Step("picture", words, out.with_name(out.name + view.suffix))


def _model(training: Training, place: Place) -> str:
    run = place.out / "runs" / training.run
    return str(run if training.stage is None else run / "stages" / training.stage)


def _results(parts: list[Part], scale: Scale, place: Place) -> tuple[str, ...]:
    """The folders of all results, each with the name that its model has in the comparison.

    That is the paper's, and where it stands for several trainings, the run's as well.
    """
    lines = [
        (part, line, found) for part in parts for line in part.lines if (found := line.at(scale))
    ]
    models: dict[str, set[str]] = {}
    for _, line, training in lines:
        models.setdefault(line.method, set()).add(training.called)
    results: dict[str, None] = {}
    for part, line, training in lines:
        several = len(models[line.method]) > 1
        method = f"{line.method} ({training.differs} here)" if training.differs else line.method
        name = f"{method}, {training.called}" if several else method
        for measure in part.at(scale):
            if isinstance(measure, Measure):
                results[f"{name}={_measure(line, training, measure, place).makes}"] = None
    return tuple(results)


def _root(measure: Measure | View, place: Place) -> tuple[str, ...]:
    """Where training and evaluation read."""
    if _prepares(measure, place):
        return ("--data.root", str(_prepared(measure, place)))
    return _given(measure, place)


def _given(measure: Measure | View, place: Place) -> tuple[str, ...]:
    """The user's folder of a dataset."""
    if measure.data is None:
        return ()
    return ("--data.root", str(place.roots.get(measure.data, measure.data.upper())))


def _prepared(measure: Measure | View, place: Place) -> Path:
    return place.out / "data" / (measure.data or "")


def _notes(entry: Entry, parts: list[Part], scale: Scale) -> Iterator[str]:
    if entry.note:
        yield entry.note
    measures = (m for part in parts for m in part.at(scale) if isinstance(m, Measure))
    protocols = dict.fromkeys(measure.protocol for measure in measures)
    if protocols:
        from framecast import listing

        known = listing.protocols()
        yield from (f"protocol {name}: {known[name]}" for name in protocols)


def _unmade(paper: str, entry: Entry, parts: list[Part], scale: Scale) -> Iterator[str]:
    """Lines without a model at a scale, and published ones without any."""
    tables = {table.part: table for table in sources.printed(paper, entry.name)}
    for part in parts:
        before = f"{part.title}: " if part.title else ""
        made = {line.method for line in part.lines}
        for line in part.lines:
            if line.at(scale) is None:
                yield f"{before}{line.method}: no preset at the scale {scale}"
        if part.key is not None:
            others = [row.method for row in tables[part.key].rows if row.method not in made]
            if others:
                yield f"{before}published figures alone of {', '.join(others)}"


def _slug(text: str) -> str:
    return "-".join(re.split("[@:+/]", text))


def _number(name: str) -> str:
    return re.sub(r"(\d+)$", r" \1", name).capitalize()
