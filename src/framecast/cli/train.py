"""`framecast train`: the experiment of a preset, with any field overridden."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.conf import FlagCreatePairsOff

from framecast import registry
from framecast.cli import terminal
from framecast.cli.options import MODEL, NESTED, OUT, parse, taken
from framecast.errors import ConfigError, TrainingError

HELP = """usage: framecast train PRESET [--data NAME] [--FIELD VALUE …] [--out RUN]
       framecast train --resume RUN

Train the model of a preset. Every field of the experiment can be overridden, for example
--data.root FOLDER, --model.hidden 64 64, --stages.main.steps 200, --context 5, --seed 1.

  framecast presets              lists the presets
  framecast train PRESET --help  lists the fields of one, with their values
  --data NAME                    takes another dataset (such as video-folder) than the preset's
  --out RUN                      the run's folder; runs/PRESET if not given
  --resume                       goes on with the run there
  --init MODEL                   starts from the weights of a model folder or shipped model
  --minutes NUMBER               makes all stages longer or shorter, to take that time here
  --dry-run                      says what would be trained, and stops
  --no-validation                trains on the validation clips too, and keeps the last weights
  --json                         prints one document for programs
  --devices N, --accelerator, --precision, --threads, --workers
                                 are the machine's side of it (--help of a preset says more)"""


def run(argv: Sequence[str]) -> int:
    """Train, or say what would be trained."""
    if not argv or argv[0] in {"-h", "--help"}:
        print(HELP)
        return 0
    settings, planned = read(argv), None
    if settings.minutes is not None:
        settings, planned = _fitted(settings)
    if settings.dry_run:
        return _plan(settings, planned)
    return _train(settings)


def read(argv: Sequence[str]) -> Any:
    """What is trained, where, and how.

    Raises:
        FramecastError: says what is wrong with the arguments.
    """
    subject, rest = _subject(list(argv))
    kind, rest = taken(rest, "--data")
    experiment, out = _begin(subject, rest)
    if kind is not None:
        experiment = replace(experiment, data=registry.find("data", kind)())
    return _parse(subject, experiment, out, rest)


def _fitted(settings: Any) -> tuple[Any, Any]:
    """Settings with as many steps as fit in the minutes, and the plan that says so.

    A run that goes on keeps its steps, for another measurement would come out differently.
    """
    from framecast.training import within
    from framecast.training.run_folder import RunFolder

    given = settings.experiment
    if settings.resume and _holds_run(settings.out):
        before = {name: stage.steps for name, stage in _stored(settings.out).stages.items()}
        terminal.note(f"framecast: the run keeps its steps, whatever the minutes: {_steps(before)}")
        return replace(settings, experiment=given.lasting(before)), None
    RunFolder(settings.out).check_free()
    experiment, planned = within(given, settings.minutes, settings.run)
    steps = _steps({stage.name: stage.steps for stage in planned.stages})
    terminal.note(f"framecast: as many steps as take {settings.minutes:g} min: {steps}")
    return replace(settings, experiment=experiment), planned


def _steps(stages: Mapping[str, int]) -> str:
    return ", ".join(f"{name} {steps:,}" for name, steps in stages.items())


def _train(settings: Any) -> int:
    from framecast.training import Interrupted, train

    try:
        model = train(
            settings.experiment,
            settings.out,
            resume=settings.resume,
            init=settings.init,
            options=settings.run,
        )
    except Interrupted as stop:
        terminal.note(f"framecast: {stop}")
        return stop.exit_code
    lines = [
        f"wrote {model}",
        f"next: framecast predict VIDEO --model {settings.out}",
        f"      framecast evaluate {settings.out} --protocol NAME   (framecast protocols)",
    ]
    terminal.show({"run": settings.out, "model": model}, lines, settings.json)
    return 0


def _plan(settings: Any, planned: Any) -> int:
    from framecast.config import to_json
    from framecast.training import check, plan

    check(
        settings.experiment,
        settings.out,
        resume=settings.resume,
        init=settings.init,
        options=settings.run,
    )
    planned = planned or plan(settings.experiment, settings.run)
    rows = [
        (
            stage.name,
            f"{stage.steps:,}",
            f"{stage.trained:,} of {sum(stage.parameters.values()):,}",
            f"{stage.seconds:.0f} s",
            _duration(stage.seconds * stage.steps / 1000),
            f"{stage.peak_bytes / 2**30:.1f} GiB",
        )
        for stage in planned.stages
    ]
    heading = ("stage", "steps", "parameters trained", "per 1,000 steps", "in all", "memory")
    experiment = settings.experiment
    lines = [
        f"{experiment.model.type} on {experiment.data.type}, {experiment.context} frames observed "
        f"and {experiment.horizon} predicted, on {planned.device}",
        *[f"  {note}" for note in planned.notes],
        "",
        terminal.table(heading, rows),
        "",
        f"training would take about {_duration(planned.seconds)} and write {settings.out}",
    ]
    document = {"experiment": to_json(experiment), "out": settings.out, "plan": asdict(planned)}
    terminal.show(document, lines, settings.json)
    return 0


def _duration(seconds: float) -> str:
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.3g} {unit}"
    return f"{seconds:.3g} seconds"


def _parse(subject: str | None, experiment: Any, out: Path, argv: list[str]) -> Any:
    from framecast.experiment import Experiment
    from framecast.training import RunOptions

    @dataclass(frozen=True)
    class Train:
        """Train the model of a preset; every field can be overridden."""

        experiment: Annotated[Experiment, tyro.conf.arg(name="")]
        run: Annotated[RunOptions, tyro.conf.arg(name="")]
        out: Annotated[Path, OUT]
        """The run's folder."""
        resume: FlagCreatePairsOff[bool] = False
        """Go on with the run in that folder."""
        init: Annotated[str | None, MODEL] = None
        """A shipped model, model folder or run whose weights training starts from."""
        minutes: Annotated[float | None, tyro.conf.arg(metavar="NUMBER")] = None
        """Make all stages longer or shorter by one factor, so that their steps take so long on
        this machine; with one CPU thread, so much processor time."""
        dry_run: FlagCreatePairsOff[bool] = False
        """Say what would be trained, and stop."""
        json: FlagCreatePairsOff[bool] = False
        """Print one JSON document at the end."""

    default = Train(experiment, RunOptions(), out)
    verb = " ".join(["train", *([subject] if subject else [])])
    return parse(Train, verb, argv, settings=NESTED, default=default)


def _subject(argv: list[str]) -> tuple[str | None, list[str]]:
    """The preset or run that comes first, as in `PRESET …` or `--resume RUN …`, and the rest."""
    if not argv[0].startswith("-"):
        return argv[0], argv[1:]
    if argv[0] == "--resume" and len(argv) > 1 and not argv[1].startswith("-"):
        return argv[1], ["--resume", *argv[2:]]
    return None, argv


def _begin(subject: str | None, argv: list[str]) -> tuple[Any, Path]:
    """The experiment to start from, and the default folder of its run."""
    resume = "--resume" in argv
    if subject is None:
        out = taken(argv, "-o", "--out")[0]
        if out is None or not resume:
            raise ConfigError("name a preset (framecast presets), or a run with --resume --out RUN")
        return _stored(Path(out)), Path(out)
    if resume and subject not in registry.names("presets"):
        return _stored(Path(subject)), Path(subject)
    return registry.find("presets", subject)(), Path("runs") / subject.replace("/", "-")


def _holds_run(path: Path) -> bool:
    from framecast.training.run_folder import RunFolder

    return RunFolder(path).description.is_file()


def _stored(run: Path) -> Any:
    """The experiment of a run."""
    from framecast.config import from_json
    from framecast.experiment import Experiment
    from framecast.folder import read_json
    from framecast.training.run_folder import RunFolder

    if not _holds_run(run):
        raise TrainingError(f"{run} holds no run to resume; name the --out folder of a training")
    path = RunFolder(run).description
    return from_json(Experiment, read_json(path).get("experiment"), str(path))
