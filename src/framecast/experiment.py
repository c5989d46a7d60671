"""An experiment: a model, the data, and how it is trained. Presets return one."""

from dataclasses import dataclass, field

from framecast.clip import DataConfig, Source, Split
from framecast.config import Config
from framecast.errors import ConfigError
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
    """Hold the validation split out; without it the last weights are kept."""

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

    def source(self, split: Split) -> Source:
        """The clips of one split, context and horizon together."""
        return self.data.source(split, self.context + self.horizon, self.seed)
