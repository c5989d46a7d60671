"""E3D-LSTM: 3-D convolutions within the recurrent units, on the last frames at once.

Every step takes a window of frames, the newest last and zeros before the first one, and all states
are maps of as many frames. A unit's temporal memory is renewed by what it recalls: a mean of its
past memories, weighted by how well each place of them answers the recall gate.

What differs from the authors' program and those that follow it:

- The spatiotemporal memory that a unit renewed goes on to the next unit. The program hands on the
  one that it took, which is then zero for ever, and its weights never learn; its authors call that
  a fault of the published program.
- The last five memories are recalled, not all of them, so that a rollout holds as much after a
  thousand frames as after ten. `history=None` is all of them.
- Convolutions of depth 2 give every frame of the window its own product, with zeros behind the
  last one, as the authors' program does. One that follows it makes a single product per window and
  repeats it, so that nothing but the weights of a norm can tell the frames of its states apart; it
  also compares rows of memories that are not vectors of channels, as its maps are reshaped where
  they had to be transposed.

`reference=True` is the program's tanh(W M) for M, which the published numbers of parameters count,
and its tanh within the output gate; otherwise the units are the paper's.

Reference:
    Wang et al., Eidetic 3D LSTM: A Model for Video Prediction and Beyond (ICLR 2019).
"""

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor, nn

from framecast.errors import ConfigError
from framecast.layers.norm import Norm
from framecast.layers.recurrent.e3d_lstm import E3DLSTMUnit
from framecast.layers.recurrent.stack import StackState
from framecast.models.patch_stack import (
    NextPatches,
    PatchStack,
    PatchStackConfig,
    PatchStackTraining,
)


@dataclass(frozen=True)
class E3DLSTMConfig(PatchStackConfig):
    """Sizes of an E3D-LSTM."""

    type: ClassVar[str] = "e3d-lstm"
    window: int = 2
    """Frames that a step takes."""
    depth: int = 2
    """Depth of the units' convolutions, in frames."""
    history: int | None = 5
    """How many past memories are recalled; None for all, which grow with every frame."""
    recall_norm: Norm = "none"
    """Weights of the norm of what is recalled; the statistics are the same with `none`."""
    reference: bool = False
    """Whether the units have the authors' program's products of the memory, and output gate."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        super().__post_init__()
        for name in ("window", "depth"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1, got {getattr(self, name)}")
        if self.depth > 2 * self.window - 1:
            raise ConfigError(
                f"convolutions of depth {self.depth} reach beyond windows of {self.window} frames; "
                f"depth is at most {2 * self.window - 1}"
            )

    @property
    def norms(self) -> tuple[Norm, ...]:
        """Of products, and of what is recalled."""
        return (self.norm, self.recall_norm)


class WindowState(NamedTuple):
    """What a stack on windows hands to the next frame."""

    stack: StackState
    before: Float[Tensor, "b c n h w"]  # the frames that the next window begins with


class E3DLSTM(PatchStack):
    """E3D-LSTM on patches; a point predictor for frames of any size, unless a norm is for one."""

    config_type = E3DLSTMConfig

    def __init__(self, config: E3DLSTMConfig) -> None:
        """Make the units, and the output that folds the frames of the window into one."""
        volume = config.cells and (config.window, *config.cells)
        units = [
            E3DLSTMUnit(
                inputs,
                config.hidden,
                config.kernel,
                depth=config.depth,
                history=config.history,
                reference=config.reference,
                norm=config.norm,
                recall_norm=config.recall_norm,
                size=volume,
                bias=config.bias,
                forget_bias=config.forget_bias,
            )
            for inputs in config.inputs()
        ]
        fold = nn.Conv3d(
            config.hidden, config.patch_channels, (config.window, 1, 1), bias=config.bias
        )
        super().__init__(config, units, nn.Sequential(fold, nn.Flatten(1, 2)))

    def remember(
        self, patches: Float[Tensor, "b c h w"], state: WindowState | None
    ) -> tuple[Tensor, WindowState]:
        """The top unit's maps of the window that ends with these patches, and the new state."""
        frame = patches.unsqueeze(2)
        if state is None:
            before = torch.zeros_like(frame).expand(-1, -1, self.config.window - 1, -1, -1)
            state = WindowState(self.stack.initial(torch.cat([before, frame], 2)), before)
        window = torch.cat([state.before.to(frame), frame], 2)
        maps, stack = self.stack(window, state.stack)
        return maps, WindowState(stack, window[:, :, 1:])


@dataclass(frozen=True)
class TrainingConfig(PatchStackTraining):
    """How an E3D-LSTM is trained."""

    type: ClassVar[str] = "e3d-lstm/main"


class Training(NextPatches, of=E3DLSTM, name="main"):
    """Learns next frames: the model's own predictions are fed back as scheduled."""

    config_type = TrainingConfig
