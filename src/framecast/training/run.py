"""A run: the stages of an experiment, one after another."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, TypeVar

from lightning_fabric import Fabric

from framecast.errors import FramecastError
from framecast.experiment import Experiment
from framecast.folder import locate
from framecast.training import checkpoint, run_folder
from framecast.training.checkpoint import Checkpoint
from framecast.training.checks import check_stages, machine, weights_of
from framecast.training.options import RunOptions, launch, numerics
from framecast.training.place import Place, Sources
from framecast.training.progress import say
from framecast.training.run_folder import RunFolder
from framecast.training.signals import StopSignals
from framecast.training.stage_run import StageRun

T = TypeVar("T")


def train(
    experiment: Experiment,
    out: str | Path,
    *,
    resume: bool = False,
    init: str | Path | None = None,
    options: RunOptions | None = None,
) -> Path:
    """Train a model, stage after stage.

    Args:
        experiment: What to train, on what, how.
        out: The run's folder: new or empty, unless `resume`. All machines have to see it.
        resume: Go on with the run there, bit for bit on the same machine; begin where none is.
        init: A shipped model, model folder or run whose weights training starts from.
        options: The machine's side; the defaults if None.

    Returns:
        The folder of the trained model, `out/model`.

    Raises:
        TrainingError: if training cannot start or go on; what was written stays usable.
        Interrupted: after SIGINT or SIGTERM, when a checkpoint has been saved.
    """
    options = options or RunOptions()
    fabric = launch(options)
    check_stages(experiment, fabric.world_size)
    folder = RunFolder(Path(out))
    told = options.progress and fabric.is_global_zero
    with numerics(options, fabric.device), StopSignals(told) as stop, ExitStack() as held:
        place = Place(fabric, experiment, Sources(experiment), folder, options, stop)
        if told:
            say("data", place.sources.notes())
        given = None if init is None else str(locate(init).resolve())
        if given:
            weights_of(given, experiment)  # refused before anything is written
        _run(place, resume, given, held)
    return folder.model


def _run(place: Place, resume: bool, init: str | None, held: ExitStack) -> None:
    """Take the folder until `held` ends, and train the stages that are left."""
    reached, begun_from = _begin(place, resume, init, held)
    weights = None
    if begun_from is not None and reached is None:
        weights = weights_of(begun_from, place.experiment)
    finished = reached.finished if reached else ()
    for index in range(reached.index if reached else 0, len(place.experiment.stages)):
        stage = StageRun(place, index, finished, weights, reached)
        weights = reached = None  # the stage has them: no second copy while it trains
        stage.run()
        assert stage.kept is not None
        finished, weights = stage.facts(), stage.kept.weights
        del stage  # with its optimizers, before the next one is built


def _begin(
    place: Place, resume: bool, init: str | None, held: ExitStack
) -> tuple[Checkpoint | None, str | None]:
    """Take the folder until `held` ends, and find where to go on and what the run starts from."""

    def prepare() -> tuple[Path | None, str | None]:
        held.enter_context(place.folder.held())
        now, prints = machine(place.options, place.fabric), place.sources.fingerprints()
        description = run_folder.describe(place.experiment, prints, init, now)
        begun = run_folder.begin(place.folder, description, resume)
        path = checkpoint.newest(place.folder.checkpoints)
        checkpoint.tidy(place.folder.checkpoints, path, place.options.keep_checkpoints)
        return path, begun["init"]

    path, init = _on_first(place.fabric, prepare)
    return (checkpoint.load(path) if path else None), init


def _on_first(fabric: Fabric, work: Callable[[], T]) -> T:
    """Do something in the first process; all get its result, or raise its error."""
    outcome: tuple[Any, Any] = (None, None)
    if fabric.is_global_zero:
        try:
            outcome = (work(), None)
        except FramecastError as error:
            outcome = (None, error)
    result, problem = fabric.broadcast(outcome)
    if problem is not None:
        raise problem
    return result
