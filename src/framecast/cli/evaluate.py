"""`framecast evaluate`: measure a model under a protocol."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro
from rich.table import Table
from tyro.conf import FlagCreatePairsOff, UseAppendAction

from framecast import registry
from framecast.cli import terminal
from framecast.cli.options import OPTION, OUT, taken
from framecast.errors import FolderError, FramecastError

if TYPE_CHECKING:
    from framecast.evaluation.protocol import Protocol
    from framecast.evaluation.result import Result

HELP = """usage: framecast evaluate MODEL --protocol NAME [--data.root FOLDER] [--out FOLDER]

Predict the sequences of a protocol and score them, with two baselines beside: the last observed
frame and the mean of the observed frames, repeated.

  framecast protocols                           lists the protocols
  framecast evaluate MODEL --protocol NAME -h   lists all options, with their values"""


def run(argv: Sequence[str]) -> int:
    """Evaluate, print the table and say where the files are."""
    if not argv or argv[0] in {"-h", "--help"}:
        print(HELP)
        return 0
    if argv[0].startswith("-"):
        raise FramecastError("name a model first: framecast evaluate MODEL --protocol NAME")
    name, rest = taken(argv[1:], "--protocol")
    if name is None and {"-h", "--help"} & set(rest):
        print(HELP)
        return 0
    if name is None:
        raise FramecastError("add --protocol NAME; framecast protocols lists the names")
    settings, protocol = _parse(argv[0], name, rest)
    result = _evaluated(argv, protocol, settings)
    from framecast.config import to_json

    document = {"wrote": settings.out, "result": to_json(result)}
    terminal.show(document, lines(result, settings.out), settings.json)
    return 0


def _evaluated(argv: Sequence[str], protocol: "Protocol", settings: Any) -> "Result":
    from framecast.cli.loading import load_model, options_of
    from framecast.evaluation.runner import evaluate

    model = load_model(argv[0], settings.device)
    with terminal.progress("sequences") as advance:
        return evaluate(
            model,
            protocol,
            limit=settings.limit,
            batch=settings.batch,
            seed=settings.seed,
            out=settings.out,
            weights=settings.weights,
            device=settings.device,
            options=options_of(model, settings.options),
            command=shlex.join(["framecast", "evaluate", *argv]),
            progress=advance,
        )


def lines(result: "Result", out: Path) -> list[str | Table]:
    """The table with its notes, and where the files are."""
    from framecast.evaluation.report import table

    found = table(result)
    return [
        found.title,
        terminal.table(found.columns, found.rows),
        *[f"note: {note}" for note in found.notes],
        f"{result.run.frames_per_second:.3g} frames predicted per second",
        f"wrote {out}",
    ]


def _parse(model: str, name: str, argv: list[str]) -> tuple[Any, "Protocol"]:
    """The options, and the protocol as they change it."""
    from framecast.clip import DataConfig, Split
    from framecast.evaluation.protocol import Protocol, as_trained, taken_from_model, with_samples

    plain: Protocol = registry.find("protocols", name)()
    protocol = as_trained(plain, _about(model)) if plain.own else plain

    @dataclass(frozen=True)
    class Evaluate:
        """Measure a model under a protocol.

        A published protocol with changed fields is reported as modified. With data of your own,
        context, horizon and data are by default as the model was trained.
        """

        data: DataConfig
        split: Split = protocol.split
        """The part of the data whose sequences are predicted."""
        context: int | None = protocol.context
        """Observed frames."""
        horizon: int | None = protocol.horizon
        """Predicted frames."""
        samples: int | None = protocol.samples
        """Futures per sequence; the model's point prediction if not given."""
        metrics: str = protocol.metrics
        """Name of the metric set."""
        thresholds: tuple[float, ...] = protocol.thresholds
        """Values, in the units of arrays, at which events are scored."""
        limit: int | None = None
        """Use only the first so many sequences; the result is marked as partial."""
        batch: int = 32
        """Futures predicted at a time."""
        seed: int = 0
        """Seed of the samples."""
        options: Annotated[UseAppendAction[tuple[str, ...]], OPTION] = ()
        """An option of the model, for example temperature=0.7; may be repeated."""
        weights: Path | None = None
        """Folder of LPIPS weights."""
        out: Annotated[Path, OUT] = Path("results") / _slug(f"{Path(model)}-{name}")
        """The folder for results, curves, scores and pictures."""
        device: str = "cpu"
        """Where to compute, for example cuda."""
        json: FlagCreatePairsOff[bool] = False
        """Print one JSON document."""

    given = tyro.cli(
        Evaluate,
        prog=f"framecast evaluate {model} --protocol {name}",
        args=argv,
        default=Evaluate(protocol.data),
        config=(tyro.conf.HelptextFromCommentsOff,),
    )
    fields = ("data", "split", "context", "horizon", "metrics", "thresholds")
    changed = {field: getattr(given, field) for field in fields}
    if given.split == protocol.validation:
        changed["validation"] = None
    final = replace(with_samples(protocol, given.samples), **changed)
    notes = (*final.notes, *taken_from_model(final, plain, protocol))
    return given, replace(final, notes=notes)


def _about(name: str) -> dict[str, Any]:
    """What a model's folder says about its training; nothing where there is no such folder.

    A name that stands for nothing is an error when the model is loaded, after `--help`.
    """
    from framecast import folder

    try:
        about = folder.read_json(folder.locate(name) / folder.CONFIG).get("about")
    except FolderError:
        return {}
    return about if isinstance(about, dict) else {}


def _slug(text: str) -> str:
    return "-".join(part for part in text.replace("@", "-").split("/") if part not in ("", ".."))
