"""`framecast evaluate`: measure a model under a protocol."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from rich.table import Table
from tyro.conf import FlagCreatePairsOff, UseAppendAction

from framecast import listing, registry
from framecast.cli import terminal
from framecast.cli.options import NESTED, OPTION, OUT, parse, taken
from framecast.errors import FolderError, FramecastError

if TYPE_CHECKING:
    from framecast.evaluation.protocol import Protocol
    from framecast.evaluation.result import Result
    from framecast.model import Model

HELP = """usage: framecast evaluate MODEL --protocol NAME [--data.root FOLDER] [--out FOLDER]

Predict the sequences of a protocol and score them, with two baselines beside: the last observed
frame and the mean of the observed frames, repeated. With --task reconstruct, encode and decode them
instead; with --corrupt gaussian-blur:2, give the model blurred frames and score clean ones.

  framecast protocols                           lists the protocols
  framecast evaluate MODEL --protocol NAME -h   lists all options, with their values"""


def run(argv: Sequence[str]) -> int:
    """Evaluate, print the table and say where the files are."""
    if not argv or argv[0] in {"-h", "--help"}:
        print(HELP)
        return 0
    if taken(argv, "--protocol")[0] is None and {"-h", "--help"} & set(argv):
        print(HELP)
        return 0
    if not argv[0].startswith("-"):
        listing.checked(argv[0])
    settings, runs = read(argv)
    from framecast.cli.loading import load_model
    from framecast.config import to_json

    model = load_model(argv[0], settings.device)
    documents = []
    for out, each in runs.items():
        result = _evaluated(argv, model, each, settings, out)
        documents.append({"wrote": out, "result": to_json(result)})
        if not settings.json:
            terminal.show(None, lines(result, out), as_json=False)
    if settings.json:
        document = documents[0] if len(documents) == 1 else {"results": documents}
        terminal.show(document, (), as_json=True)
    return 0


def read(argv: Sequence[str]) -> tuple[Any, dict[Path, "Protocol"]]:
    """The options, and what is measured, by the folder of its results.

    The model need not be there yet.

    Raises:
        FramecastError: says what is wrong with the arguments.
    """
    if argv[0].startswith("-"):
        raise FramecastError("name a model first: framecast evaluate MODEL --protocol NAME")
    name, rest = taken(argv[1:], "--protocol")
    if name is None:
        raise FramecastError("add --protocol NAME; framecast protocols lists the names")
    settings, protocol = _parse(argv[0], name, rest)
    if settings.weights is not None and not settings.weights.is_dir():
        raise FramecastError(
            f"--weights {settings.weights} is no folder; framecast weights convert fills one, and "
            "without --weights LPIPS and FVD are left out"
        )
    from framecast.cli.loading import checked_device
    from framecast.evaluation.columns import metric_set

    checked_device(settings.device)
    metric_set(protocol.metrics)
    return settings, {out: each for each, out in _places(argv[0], name, protocol, settings)}


def _places(
    model: str, name: str, protocol: "Protocol", settings: Any
) -> Iterator[tuple["Protocol", Path]]:
    """The protocol under each corruption that is asked for, and the folder of its results."""
    from framecast.evaluation.corruption import find_all

    corruptions = find_all(settings.corrupt) or [None]
    for corruption in corruptions:
        each = replace(protocol, corruption=corruption)
        usual = Path("results") / _slug(f"{Path(model)}-{name}{each.mark}")
        if len(corruptions) > 1 and settings.out is not None:
            yield each, settings.out / _slug(each.mark.lstrip(":+"))
        else:
            yield each, settings.out or usual


def _evaluated(
    argv: Sequence[str], model: "Model", protocol: "Protocol", settings: Any, out: Path
) -> "Result":
    from framecast.cli.loading import options_of
    from framecast.evaluation.runner import evaluate

    what = "sequences" if protocol.corruption is None else protocol.corruption.name
    with terminal.progress(what) as advance:
        return evaluate(
            model,
            protocol,
            limit=settings.limit,
            likelihood=settings.likelihood,
            batch=settings.batch,
            seed=settings.seed,
            out=out,
            weights=settings.weights,
            device=settings.device,
            options=options_of(model, settings.options),
            command=shlex.join(["framecast", "evaluate", *argv]),
            progress=advance,
        )


def lines(result: "Result", out: Path) -> list[str | Table]:
    """The table with its notes, and where the files are."""
    from framecast.evaluation.report import rate, table

    found = table(result)
    done = "predicted" if result.predicted else "encoded and decoded"
    return [
        found.title,
        terminal.table(found.columns, found.rows),
        *[f"note: {note}" for note in found.notes],
        f"{rate(result.run.frames_per_second)} frames {done} per second",
        f"wrote {out}",
    ]


def _parse(model: str, name: str, argv: list[str]) -> tuple[Any, "Protocol"]:
    """The options, and the protocol as they change it."""
    registry.target("protocols", name)
    from framecast.clip import DataConfig, Split
    from framecast.evaluation.protocol import (
        Assignment,
        Protocol,
        as_trained,
        reconstructing,
        taken_from_model,
        with_samples,
    )

    plain: Protocol = registry.find("protocols", name)()
    protocol = as_trained(plain, _about(model)) if plain.own else plain

    @dataclass(frozen=True)
    class Evaluate:
        """Measure a model under a protocol.

        A published protocol with changed fields is reported as modified. With data of your own,
        context, horizon and data are by default as the model was trained.
        """

        data: DataConfig
        task: Assignment = "predict"
        """What is scored: the predicted frames; or context and horizon, encoded and decoded by a
        model with codes."""
        levels: int | None = None
        """Of a reconstruction, decode the first so many levels of the codes; all if not given."""
        corrupt: tuple[str, ...] = ()
        """What happens to the frames that the model is given, while clean ones are scored:
        gaussian-blur:SIGMA and fragment-blur:SHIFT in pixels, noise:SNR in dB; `all` for the usual
        levels of each. Of several, each has a result in a folder of its own."""
        split: Split = protocol.split
        """The part of the data whose sequences are predicted."""
        context: int | None = protocol.context
        """Observed frames."""
        horizon: int | None = protocol.horizon
        """Predicted frames."""
        samples: int | None = protocol.samples
        """Futures per sequence; the model's point prediction if not given. Of several, also the
        best and the means of the first 5, of 50 and of all are reported, and the calibration."""
        metrics: str = protocol.metrics
        """Name of the metric set."""
        thresholds: tuple[float, ...] = protocol.thresholds
        """Values, in the units of arrays, at which events are scored."""
        likelihood: FlagCreatePairsOff[bool] = False
        """Also find how likely a model with codes finds those of the true futures, in bits."""
        limit: int | None = None
        """Use only the first so many sequences; the result is marked as partial."""
        batch: int = 32
        """Futures predicted at a time."""
        seed: int = 0
        """Seed of the samples."""
        options: Annotated[UseAppendAction[tuple[str, ...]], OPTION] = ()
        """An option of the model, for example temperature=0.7; may be repeated."""
        weights: Path | None = None
        """Folder of the weights of LPIPS and FVD."""
        out: Annotated[Path | None, OUT] = None
        """The folder for results, curves, scores and pictures; results/MODEL-PROTOCOL if not
        given."""
        device: str = "cpu"
        """Where to compute, for example cuda."""
        json: FlagCreatePairsOff[bool] = False
        """Print one JSON document."""

    verb = f"evaluate {model} --protocol {name}"
    given = parse(Evaluate, verb, argv, settings=NESTED, default=Evaluate(protocol.data))
    fields = ("data", "split", "context", "horizon", "metrics", "thresholds")
    changed = {field: getattr(given, field) for field in fields}
    if given.split == protocol.validation:
        changed["validation"] = None
    if given.task == "reconstruct":
        if given.samples != protocol.samples:
            raise FramecastError("--samples is for predictions; a reconstruction takes none")
        chosen = reconstructing(protocol, given.levels)
    else:
        chosen = replace(with_samples(protocol, given.samples), levels=given.levels)
    final = replace(chosen, **changed)
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
    return "-".join(part for part in re.split("[@:+/]", text) if part not in ("", ".."))
