"""`framecast reproduce`: the tables and figures of the papers, made again."""

import shlex
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Annotated, Any

from rich.table import Table
from tyro.conf import Positional, arg

from framecast import published
from framecast.cli import data, evaluate, terminal, train
from framecast.cli.options import OUT, parse
from framecast.errors import ConfigError
from framecast.reproduction import (
    SCALES,
    Entry,
    Place,
    Plan,
    Scale,
    Step,
    entries,
    find,
    plan,
    sources,
)
from framecast.reproduction.planning import datasets

FOLDER = arg(metavar="FOLDER")
READERS: dict[str, Callable[[Sequence[str]], object]] = {
    "prepare": lambda words: data.read_prepare(words[1:]),
    "train": train.read,
    "evaluate": evaluate.read,
}
"""What finds faults in options before hours are spent on the commands that come first."""

BETWEEN = ("prepare", "train")
"""Kinds of commands that make what later ones read, and are not named as results."""

WRONG_INPUT = 2
"""Exit code of a command whose input is at fault."""


@dataclass(frozen=True)
class Data:
    """Folders of datasets, as `framecast train` and `evaluate` take them."""

    root: Annotated[Path | None, FOLDER] = None
    """Of the one dataset that is needed, where there is one only."""
    moving_mnist: Annotated[Path | None, FOLDER] = None
    """The four files of MNIST."""
    kth: Annotated[Path | None, FOLDER] = None
    """KTH."""
    bair: Annotated[Path | None, FOLDER] = None
    """BAIR robot pushing."""
    kinetics_600: Annotated[Path | None, FOLDER] = None
    """Kinetics-600."""
    ucf_sports: Annotated[Path | None, FOLDER] = None
    """UCF Sports."""
    human36m: Annotated[Path | None, FOLDER] = None
    """Human3.6M."""
    sjtu4k: Annotated[Path | None, FOLDER] = None
    """SJTU4K."""
    video_folder: Annotated[Path | None, FOLDER] = None
    """Videos of your own."""


@dataclass(frozen=True)
class Reproduce:
    """Make a table or figure of one of the five papers again, or one of Framecast's own.

    Prints the commands that train its models, evaluate them and compare the results beside the
    published figures, as a script; with --run, runs them. What is done is not done again, and an
    interrupted training goes on. Without a table, lists those of the paper; without a paper, lists
    the papers.
    """

    paper: Annotated[Positional[str | None], arg(metavar="PAPER")] = None
    """Name of a paper's model, such as s-hr-vqvae; framecast for its own tables."""
    table: Annotated[Positional[str | None], arg(metavar="TABLE")] = None
    """Such as table2 or figure7."""
    scale: Scale | None = None
    """tiny: drawn digits and very small networks, no download; cpu: small networks on MNIST's
    digits or own videos; paper: as published. The largest that there is if not given."""
    run: bool = False
    """Run the commands, one after another."""
    data: Data = Data()
    """Folders of datasets."""
    video: Annotated[Path | None, arg(metavar="PATH")] = None
    """The video that pictures are made of, where the entry has some; drawn digits if not given."""
    train: Annotated[str, arg(metavar="OPTIONS")] = ""
    """More options for every training, in quotes, such as '--precision bf16-mixed'."""
    evaluate: Annotated[str, arg(metavar="OPTIONS")] = ""
    """More options for every evaluation, in quotes, such as '--device cuda --weights WEIGHTS'."""
    out: Annotated[Path, OUT] = Path("reproduced")
    """The folder for runs, results and pages; tables share what they have in common."""
    json: bool = False
    """Print one JSON document."""


def run(argv: Sequence[str]) -> int:
    """List, print a plan, or run it."""
    options = parse(Reproduce, "reproduce", list(_joined(argv)))
    if options.table is None and (options.run or options.scale):
        asked = "--run" if options.run else "--scale"
        raise ConfigError(f"{asked} is of one table: framecast reproduce PAPER TABLE {asked} …")
    if options.paper is None:
        return _papers(options)
    if options.table is None:
        return _entries(options, options.paper)
    entry = find(options.paper, options.table)
    scale: Scale = options.scale or (entry.scales[-1] if entry.scales else "paper")
    place = _place(options, entry, scale)
    made = plan(options.paper, entry, scale, place, partial=options.run)
    if options.run:
        return _run(options, made, place, scale)
    printed = sources.printed(options.paper, entry.name)
    document = {
        **asdict(made),
        "commands": [step.line for step in made.steps],
        "published": [asdict(table) for table in printed],
    }
    lines = list(_script(made))
    measured = any(step.kind == "evaluate" for step in made.steps)
    if measured and printed and scale != "paper":
        lines += ["", f"# Figures of the paper, with which the scale {scale} does not compare:"]
    lines += [line for table in printed for line in _figures(table)]
    terminal.show(document, lines, options.json)
    return 0


def _joined(argv: Sequence[str]) -> Iterator[str]:
    """`--train VALUE` as one word: a value that begins with a dash would pass for an option."""
    words = iter(argv)
    for word in words:
        value = next(words, None) if word in ("--train", "--evaluate") else None
        yield word if value is None else f"{word}={value}"


def _papers(options: Reproduce) -> int:
    rows = [
        {
            "paper": paper,
            "citation": sources.citation(paper),
            "entries": len(entries(paper)),
            "can_be_had": sum(not entry.missing for entry in entries(paper)),
        }
        for paper in sources.COLLECTIONS
    ]
    lines = [
        terminal.table(
            ("paper", "tables and figures", "can be had", ""),
            [(r["paper"], str(r["entries"]), str(r["can_be_had"]), r["citation"]) for r in rows],
        ),
        "",
        "next: framecast reproduce PAPER",
    ]
    terminal.show(rows, lines, options.json)
    return 0


def _entries(options: Reproduce, paper: str) -> int:
    found = entries(paper)
    rows = [(e.name, ", ".join(e.scales), e.title, e.missing or e.note) for e in found]
    lines: list[str | Table] = [
        sources.citation(paper),
        "",
        terminal.table(("", "scales", "", "note"), rows),
        "",
        *[f"{scale}: {line}" for scale, line in SCALES.items()],
        "",
        f"next: framecast reproduce {paper} TABLE --scale tiny [--run]",
    ]
    document = [
        {"name": e.name, "title": e.title, "scales": e.scales, "missing": e.missing, "note": e.note}
        for e in found
    ]
    terminal.show(document, lines, options.json)
    return 0


def _place(options: Reproduce, entry: Entry, scale: Scale) -> Place:
    roots = {
        field.name.replace("_", "-"): path
        for field in fields(options.data)
        if (path := getattr(options.data, field.name)) is not None
    }
    root, needed = roots.pop("root", None), datasets(entry, scale)
    if root is not None:
        if len(needed) != 1:
            names = " and ".join(f"--data.{name}" for name in needed)
            raise ConfigError(
                f"{entry.name} at the scale {scale} needs "
                + (
                    f"several datasets; give {names}"
                    if needed
                    else "no data; leave --data.root out"
                )
            )
        roots.setdefault(needed[0], root)
    prepared = frozenset(name for name, path in roots.items() if _is_prepared(path))
    train, evaluate = _words("--train", options.train), _words("--evaluate", options.evaluate)
    return Place(options.out, roots, prepared, options.video, train, evaluate)


def _is_prepared(root: Path) -> bool:
    from framecast.data.prepared import is_prepared

    return is_prepared(root)


def _words(option: str, text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ConfigError(f"{option}: {error}, in {text}") from None


def _script(made: Plan) -> Iterator[str]:
    """The commands as a script for the shell; everything else in comments."""
    yield f"# {made.title}"
    yield from (f"# {note}" for note in made.notes)
    yield from (f"# not made: {what}" for what in made.left_out)
    yield from (f"# give {option}" for option in made.wanted)
    yield ""
    yield from (step.line for step in made.steps)


def _figures(table: published.Table) -> Iterator[str]:
    """A published table, in comments."""
    yield from ("", f"# published: {table.source}, {table.title}")
    for row in table.rows:
        known = (label for label in table.columns if label in {**row.values, **row.texts})
        figures = ", ".join(f"{label} {row.cell(label)}" for label in known)
        yield f"#   {row.method}: {figures}" + (f" ({row.note})" if row.note else "")
    yield from (f"# note: {fault}" for fault in table.faults)


def _agree(read: Mapping[Step, Any]) -> None:
    """See that the frames that are asked for are those that are prepared.

    Args:
        read: What the commands were read into.

    Raises:
        ConfigError: if `--train` or `--evaluate` asks for others.
    """
    made = {
        str(step.makes): config.recipe()
        for step, options in read.items()
        for config in _data(step.kind, options)
        if step.kind == "prepare"
    }
    for step, options in read.items():
        for root in {*made} & {*step.words}:
            for config in _data(step.kind, options):
                if config.recipe() != made[root]:
                    raise _other_frames(step.kind, config.recipe(), made[root])


def _data(kind: str, options: Any) -> list[Any]:
    """The data of a command that was read."""
    if kind == "evaluate":
        return [protocol.data for protocol in options[1].values()]
    return [options.data if kind == "prepare" else options.experiment.data]


def _other_frames(kind: str, wanted: Mapping[str, Any], made: Mapping[str, Any]) -> ConfigError:
    others = ", ".join(f"{key} {value}" for key, value in wanted.items() if value != made[key])
    return ConfigError(
        f"--{kind} asks for videos with {others}, and others are prepared here; run framecast data "
        "prepare with the same options yourself, and give the folder that it makes"
    )


def _run(options: Reproduce, made: Plan, place: Place, scale: Scale) -> int:
    if made.wanted:
        raise ConfigError(
            f"{options.paper} {options.table} at the scale {scale} needs "
            f"{' and '.join(made.wanted)}; give folders, or use --scale tiny"
        )
    from framecast.reproduction.driving import check, done, drive

    for path in (*place.roots.values(), place.video):
        if path is not None and not path.exists():
            raise ConfigError(f"{path} is not there")
    check(made)
    new = [step for step in made.steps if step.kind in READERS and not done(step)]
    _agree({step: READERS[step.kind](step.words[1:]) for step in new})
    for what in made.left_out:
        terminal.note(f"not made: {what}")
    ended = drive(made, terminal.note, sys.stderr if options.json else None)
    if ended.step is not None:
        wrong = ended.code == WRONG_INPUT
        cure = "; after a correction, it" if wrong else "; the same command"
        terminal.note(
            f"framecast: stopped (exit code {ended.code}) at: {ended.step.line}\n"
            f"what is done is kept{cure} goes on from there"
        )
        return ended.code
    files = [step.makes for step in made.steps if step.makes and step.kind not in BETWEEN]
    last: Any = files[-1] if files else None
    document = {"title": made.title, "made": files, "left_out": made.left_out}
    terminal.show(document, [f"wrote {last}"] if last else [], options.json)
    return 0
