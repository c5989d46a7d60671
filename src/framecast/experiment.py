"""An experiment: a model, the data, and how it is trained. Presets return one."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from framecast.clip import DataConfig, Key, Source, Split
from framecast.config import Config
from framecast.digest import of_text
from framecast.errors import ConfigError, EmptySplitError
from framecast.model import ModelConfig
from framecast.stage import StageConfig


@dataclass(frozen=True)
class Experiment(Config):
    """All that determines a training, but for the machine that it runs on."""

    model: ModelConfig
    """The model."""
    data: DataConfig
    """Where the clips come from."""
    context: int
    """Observed frames of a training clip."""
    horizon: int
    """Frames of a training clip that the model learns to predict."""
    stages: dict[str, StageConfig] = field(default_factory=dict)
    """Stages by name, in order; each starts from the weights that the one before hands on."""
    seed: int = 0
    """Seed of weights, order and noise."""
    validation: bool = True
    """Hold the validation split out to find the best weights; otherwise it is trained on too, if
    there is any, and the last weights are kept."""

    def __post_init__(self) -> None:
        """Check what can be checked without building anything."""
        if self.context < 1 or self.horizon < 1:
            raise ConfigError("context and horizon are at least 1 frame")
        for name, stage in self.stages.items():
            model = stage.type.partition("/")[0]
            if model != self.model.type:
                raise ConfigError(
                    f"the stage {name!r} trains {model or 'no model'}, not {self.model.type}"
                )
            stage.check(self.model, self.context, self.horizon)

    def lasting(self, steps: Mapping[str, int]) -> "Experiment":
        """The same with stages in as many steps as given by name; others stay as they are."""
        stages = {
            name: stage.lasting(steps.get(name, stage.steps)) for name, stage in self.stages.items()
        }
        return replace(self, stages=stages)

    def source(self, split: Split) -> Source:
        """The clips of one split, context and horizon together."""
        frames = self.context + self.horizon
        source = self.data.source(split, frames, self.seed)
        if split != "train" or self.validation:
            return source
        try:
            return Joined(source, self.data.source("validation", frames, self.seed))
        except EmptySplitError:
            return source


class Joined(Source):
    """The items of two sources, one after the other."""

    def __init__(self, first: Source, second: Source) -> None:
        """Keep both."""
        self.first, self.second = first, second
        self.fixed = first.fixed and second.fixed

    def __len__(self) -> int:
        """Items of both."""
        return len(self.first) + len(self.second)

    def __getitem__(self, key: Key) -> Any:
        """The item of one of them."""
        epoch, index = key
        beyond = index - len(self.first)
        return self.first[key] if beyond < 0 else self.second[(epoch, beyond)]

    def fingerprint(self) -> str:
        """Digest of both."""
        sums = self.first.fingerprint() + self.second.fingerprint()
        return of_text(sums)

    def name(self, index: int) -> str:
        """What its own source calls the item."""
        beyond = index - len(self.first)
        return self.first.name(index) if beyond < 0 else self.second.name(beyond)

    def notes(self) -> tuple[str, ...]:
        """Notes of both, each once."""
        return tuple(dict.fromkeys((*self.first.notes(), *self.second.notes())))
