"""PredRNN++: Causal LSTMs in a stack, with a gradient highway above the first.

A Causal LSTM makes its spatial memory of its temporal one, which is deeper in every frame; the
highway, whose state is kept or replaced as a whole, is the short way for what happened long ago.

Programs that follow the authors' make one more convolution per unit, of both memories, that they
never use: 3,276,800 of the 38,584,320 parameters that are quoted as 38.58M. Here there is nothing
that is not used, so the same network has 35,307,520. The authors' own layout, 128-64-64-64 with
layer norm, is not offered, as all units have equal width here.

Reference:
    Wang et al., PredRNN++: Towards a Resolution of the Deep-in-Time Dilemma in Spatiotemporal
    Predictive Learning (ICML 2018).
"""

from dataclasses import dataclass
from typing import Any, ClassVar

from torch import nn

from framecast.layers.recurrent.causal_lstm import CausalLSTMUnit
from framecast.layers.recurrent.highway import HighwayUnit
from framecast.layers.recurrent.unit import Unit
from framecast.models.patch_stack import (
    NextPatches,
    PatchStack,
    PatchStackConfig,
    PatchStackTraining,
)


@dataclass(frozen=True)
class PredRNNPPConfig(PatchStackConfig):
    """Sizes of a PredRNN++; as they are, 35,307,520 parameters."""

    type: ClassVar[str] = "predrnn-pp"


class PredRNNPP(PatchStack):
    """PredRNN++ on patches; a point predictor for frames of any size, or of its norm's one."""

    config_type = PredRNNPPConfig

    def __init__(self, config: PredRNNPPConfig) -> None:
        """Make the units, the highway above the first, and the 1×1 output."""
        shared: dict[str, Any] = {"norm": config.norm, "size": config.cells, "bias": config.bias}
        hidden, kernel = config.hidden, config.kernel
        units: list[Unit[Any]] = [
            CausalLSTMUnit(inputs, hidden, kernel, forget_bias=config.forget_bias, **shared)
            for inputs in config.inputs()
        ]
        units.insert(1, HighwayUnit(hidden, hidden, kernel, **shared))
        output = nn.Conv2d(hidden, config.patch_channels, 1, bias=config.bias)
        super().__init__(config, units, output)


@dataclass(frozen=True)
class TrainingConfig(PatchStackTraining):
    """How a PredRNN++ is trained."""

    type: ClassVar[str] = "predrnn-pp/main"


class Training(NextPatches, of=PredRNNPP, name="main"):
    """Learns next frames: the model's own predictions are fed back as scheduled."""

    config_type = TrainingConfig
