"""Where a run happens: what all of its stages share."""

from dataclasses import dataclass
from functools import cached_property

import torch
from lightning_fabric import Fabric

from framecast.clip import Clip, Source
from framecast.errors import EmptySplitError, TrainingError
from framecast.experiment import Experiment
from framecast.folder import Json
from framecast.model import Model
from framecast.noise import mix
from framecast.training.options import RunOptions
from framecast.training.run_folder import RunFolder
from framecast.training.signals import StopSignals


class Sources:
    """The clips of an experiment."""

    def __init__(self, experiment: Experiment) -> None:
        """Open them.

        Raises:
            TrainingError: if there is nothing to validate on.
        """
        self.train = experiment.source("train")
        try:
            self.validation = experiment.source("validation") if experiment.validation else None
        except EmptySplitError as error:
            raise TrainingError(f"{error}; or train without validation (--no-validation)") from None
        if self.validation is not None and not len(self.validation):
            raise TrainingError("the validation split is empty; train without (--no-validation)")

    @cached_property
    def first(self) -> Clip:
        """The first training clip, as a batch of one."""
        return Clip.collate([self.train[(0, 0)]])

    @property
    def size(self) -> list[int]:
        """Height and width of the first training clip, in pixels."""
        return list(self.first.frames.shape[-2:])

    def fingerprints(self) -> Json:
        """Of each split."""
        found = {"train": self.train.fingerprint()}
        if self.validation is not None:
            found["validation"] = self.validation.fingerprint()
        return found

    def notes(self) -> tuple[str, ...]:
        """What the splits say about themselves, each line once."""
        held_out = () if self.validation is None else self.validation.notes()
        return tuple(dict.fromkeys((*self.train.notes(), *held_out)))

    def shown(self) -> Source:
        """What pictures are made of."""
        return self.train if self.validation is None else self.validation


@dataclass(frozen=True)
class Place:
    """What the stages of a run share."""

    fabric: Fabric
    experiment: Experiment
    sources: Sources
    folder: RunFolder
    options: RunOptions
    stop: StopSignals


def initial_model(experiment: Experiment) -> Model:
    """The experiment's model, its weights drawn from the experiment's seed."""
    torch.manual_seed(mix(experiment.seed, "weights"))
    return experiment.model.build()
