"""What is refused before a training begins, by the training and by its plan alike."""

from dataclasses import replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from framecast import model as models
from framecast.config import to_json
from framecast.errors import FramecastError, TrainingError
from framecast.experiment import Experiment
from framecast.folder import Json, locate
from framecast.model import Model
from framecast.training import run_folder
from framecast.training.batches import check_shares
from framecast.training.checkpoint import Tensors
from framecast.training.options import RunOptions, launch, numerics
from framecast.training.place import Sources
from framecast.training.run_folder import RunFolder


def check(
    experiment: Experiment,
    out: str | Path,
    *,
    resume: bool = False,
    init: str | Path | None = None,
    options: RunOptions | None = None,
) -> None:
    """Refuse what `train` would refuse of its folder, weights and stages; write nothing.

    Arguments are those of `train`. What its first steps would raise, `plan` raises.

    Raises:
        FramecastError: as `train`.
    """
    options, folder = options or RunOptions(), RunFolder(Path(out))
    check_stages(experiment, options.processes)
    given = None if init is None else str(locate(init).resolve())
    if given:
        weights_of(given, experiment)
    folder.check_place()
    if not resume:
        folder.check_free()
    elif folder.description.is_file():
        fabric = launch(replace(options, devices=1, nodes=1))
        with numerics(options, fabric.device):
            description = run_folder.describe(
                experiment, Sources(experiment).fingerprints(), given, machine(options, fabric)
            )
        run_folder.going_on(folder, description)


def check_stages(experiment: Experiment, world: int) -> None:
    """See that there are stages, with batches that so many processes can share.

    Raises:
        FramecastError: if not, or if a stage's name cannot be a folder's.
    """
    if not experiment.stages:
        raise TrainingError(f"{experiment.model.type} has no stages here, so nothing is trained")
    for name, stage in experiment.stages.items():
        check_shares(stage.batch, stage.accumulate, world)
        if Path(name).name != name or name.startswith("."):
            raise TrainingError(f"the stage {name!r} cannot name a folder; rename it")


def check_clips(model: Model, sources: Sources, experiment: Experiment) -> None:
    """Let the model look at a clip, so that what does not fit is said before the first step.

    Raises:
        TrainingError: if it takes no clips like the first one.
    """
    context, _ = sources.first.split(experiment.context)
    found, expected = context.frames.shape[2], model.expects.channels
    if expected not in (None, found) and (found, expected) != (1, 3):
        raise TrainingError(
            f"the training clips have {found} channels and the model takes {expected}; "
            + _channels(experiment, found, expected)
        )
    try:
        model.stream(context, experiment.horizon)
    except FramecastError as error:
        raise TrainingError(f"the training clips do not fit the model: {error}") from None


def _channels(experiment: Experiment, found: int, expected: int) -> str:
    """How to make them agree: by the options that there are."""
    parts = (("data", experiment.data, expected), ("model", experiment.model, found))
    options = [f"--{name}.channels {n}" for name, part, n in parts if hasattr(part, "channels")]
    named = f" ({' or '.join(options)})" if options else ""
    return f"set the channels of the data or of the model{named}"


def weights_of(init: str, experiment: Experiment) -> Tensors:
    """Weights of another model of the same configuration.

    Raises:
        FramecastError: if it is of another one, or cannot be read.
    """
    model = models.load(init)
    given, wanted = to_json(model.config), to_json(experiment.model)
    for field, old, new in run_folder.differences(given, wanted, "model"):
        raise TrainingError(
            f"cannot start from {init}: its {field} is {old!r}, the experiment's is {new!r}"
        )
    return model.state_dict()


def machine(options: RunOptions, fabric: Fabric) -> Json:
    """What decides, beside versions, whether a run goes on bit for bit."""
    return {
        "device": fabric.device.type,
        "world_size": options.processes,
        "threads": torch.get_num_threads(),
        "precision": options.precision,
    }
