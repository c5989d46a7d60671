"""PredRNN: a stack of ST-LSTMs with a memory that zigzags through it.

Every unit keeps a temporal memory to itself. The spatiotemporal one goes from unit to unit, and
from the top unit to the bottom one of the next frame, so that what the top has made of a frame is
there when the next one comes in.

As in the authors' program the patches are a 1×1 convolution of the top unit's hidden state, and
there are no biases and no norms; `norm="layer"` is its option. The decoupling loss of PredRNN-V2 is
not here; its reverse scheduled sampling is (`context_forcing`).

Reference:
    Wang et al., PredRNN (NeurIPS 2017); PredRNN: A Recurrent Neural Network for Spatiotemporal
    Predictive Learning (TPAMI 2022), for reverse scheduled sampling.
"""

from dataclasses import dataclass
from typing import ClassVar

from torch import nn

from framecast.layers.recurrent.st_lstm import STLSTMUnit
from framecast.models.patch_stack import (
    NextPatches,
    PatchStack,
    PatchStackConfig,
    PatchStackTraining,
)


@dataclass(frozen=True)
class PredRNNConfig(PatchStackConfig):
    """Sizes of a PredRNN; as they are, 23,838,720 parameters."""

    type: ClassVar[str] = "predrnn"


class PredRNN(PatchStack):
    """PredRNN on patches; a point predictor for frames of any size, unless its norm is for one."""

    config_type = PredRNNConfig

    def __init__(self, config: PredRNNConfig) -> None:
        """Make the units and the 1×1 output."""
        units = [
            STLSTMUnit(
                inputs,
                config.hidden,
                config.kernel,
                norm=config.norm,
                size=config.cells,
                bias=config.bias,
                forget_bias=config.forget_bias,
            )
            for inputs in config.inputs()
        ]
        output = nn.Conv2d(config.hidden, config.patch_channels, 1, bias=config.bias)
        super().__init__(config, units, output)


@dataclass(frozen=True)
class TrainingConfig(PatchStackTraining):
    """How a PredRNN is trained."""

    type: ClassVar[str] = "predrnn/main"


class Training(NextPatches, of=PredRNN, name="main"):
    """Learns next frames: the model's own predictions are fed back as scheduled."""

    config_type = TrainingConfig
