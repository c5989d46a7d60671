"""What models share that are a stack of recurrent units on patches of frames."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.errors import ConfigError
from framecast.layers.norm import Norm
from framecast.layers.recurrent.stack import Stack
from framecast.layers.recurrent.unit import Unit
from framecast.model import FrameSpec, ModelConfig
from framecast.models.recurrent import NextFrames, Recurrent, RecurrentTraining, pixel_error


@dataclass(frozen=True)
class PatchStackConfig(ModelConfig):
    """Sizes of a stack of recurrent units on patches."""

    channels: int = 1
    """Channels of a frame."""
    patch: int = 4
    """Frames are cut into patches of this size, whose pixels become channels."""
    layers: int = 4
    """Units on top of one another."""
    hidden: int = 128
    """Channels of the units' states."""
    kernel: int = 5
    """Width of the units' convolutions."""
    norm: Norm = "none"
    """Normalisation of the products of each map with its gates. `layer` is the authors' and needs a
    fixed size of frames."""
    size: tuple[int, int] | None = None
    """(h, w) of the frames in pixels, where a norm is `layer`; otherwise any."""
    bias: bool = False
    """Whether the units and the output have biases."""
    forget_bias: float = 1.0
    """Constant added to the forget gates."""
    residual: bool = False
    """Whether the change since the frame before is predicted; it then starts as copy-last."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is odd, so that maps keep their size; got {self.kernel}")
        for name in ("channels", "patch", "layers", "hidden"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is at least 1, got {getattr(self, name)}")
        if ("layer" in self.norms) != (self.size is not None):
            raise ConfigError("norm 'layer' needs the frames' size, and the others take none")
        if self.size is not None and any(side % self.patch for side in self.size):
            raise ConfigError(f"frames of {self.size} cannot be cut into patches of {self.patch}")

    @property
    def norms(self) -> tuple[Norm, ...]:
        """All normalisations in the model."""
        return (self.norm,)

    @property
    def patch_channels(self) -> int:
        """Channels of a frame cut into patches."""
        return self.channels * self.patch**2

    @property
    def cells(self) -> tuple[int, int] | None:
        """(h, w) of the maps, where the size of the frames is fixed."""
        return self.size and (self.size[0] // self.patch, self.size[1] // self.patch)

    def inputs(self) -> list[int]:
        """Channels that each unit takes, from the bottom up."""
        return [self.patch_channels] + [self.hidden] * (self.layers - 1)


class PatchStack(Recurrent):
    """Recurrent units from patches of a frame to those of the next one."""

    def __init__(
        self, config: PatchStackConfig, units: Iterable[Unit[Any]], output: nn.Module
    ) -> None:
        """Keep the parts.

        Args:
            config: Sizes.
            units: From the bottom up.
            output: From the top unit's maps to patches.
        """
        super().__init__(config)
        self.stack = Stack(units)
        self.output = output
        if config.residual:
            for parameter in output.parameters():
                nn.init.zeros_(parameter)

    @property
    def expects(self) -> FrameSpec:
        """Frames of the configured channels and size; sizes are padded to multiples of a patch."""
        return FrameSpec(
            channels=self.config.channels, size=self.config.size, multiple_of=self.config.patch
        )

    def advance(
        self, frame: Float[Tensor, "b c h w"], state: Any
    ) -> tuple[Float[Tensor, "b c h w"], Any]:
        """The frame after `frame`."""
        patches = functional.pixel_unshuffle(frame, self.config.patch)
        maps, state = self.remember(patches, state)
        predicted = functional.pixel_shuffle(self.output(maps), self.config.patch)
        return predicted + frame if self.config.residual else predicted, state

    def remember(self, patches: Float[Tensor, "b c h w"], state: Any) -> tuple[Tensor, Any]:
        """The top unit's maps, and the new state; the state before the first frame is None."""
        return self.stack(patches, state or self.stack.initial(patches))


@dataclass(frozen=True)
class PatchStackTraining(RecurrentTraining):
    """How a stack of recurrent units on patches is trained."""

    loss: Literal["mse", "l1+mse"] = "mse"
    """Squared error, or absolute plus squared error."""


class NextPatches(NextFrames):
    """Learns next frames with the configured loss."""

    def loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """As configured, a mean per pixel."""
        return pixel_error(self.config.loss, predicted, truth)
