"""ConvLSTM on patches, in the two layouts that published tables stand on.

`forecaster` is the encoder–forecaster of the paper: the forecasting half starts from the encoder's
states and takes no frames. `stack` is the autoregressive stack of later benchmarks: every predicted
frame is fed back.

Reference:
    Shi et al., Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting
    (NeurIPS 2015).
"""

from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.recompute import recompute
from framecast.layers.recurrent.convlstm import ConvLSTMState, ConvLSTMUnit
from framecast.layers.typed import Layers
from framecast.model import FrameSpec, ModelConfig
from framecast.models.recurrent import NextFrames, Recurrent, RecurrentTraining, pixel_error
from framecast.schedules import constant

States = list[ConvLSTMState]

PORTION = 16
"""Observed frames whose features are held at a time where no gradients are wanted."""


@dataclass(frozen=True)
class ConvLSTMConfig(ModelConfig):
    """Sizes of a ConvLSTM."""

    type: ClassVar[str] = "convlstm"
    channels: int = 1
    """Channels of a frame."""
    layout: Literal["stack", "forecaster"] = "stack"
    """Autoregressive stack, or the paper's encoder–forecaster."""
    patch: int = 4
    """Frames are cut into patches of this size, whose pixels become channels."""
    hidden: tuple[int, ...] = (128, 128, 128, 128)
    """Channels of each layer, from the frames up."""
    kernel: int = 5
    """Width of the convolutions."""
    bias: bool = False
    """Whether gates and output have a bias."""
    peephole: bool = False
    """Whether the gates see the cell, by one weight per channel."""
    forget_bias: float = 0.0
    """Constant added to the forget gates."""
    output: Literal["linear", "sigmoid"] = "linear"
    """What is done to the predicted pixels."""
    residual: bool = False
    """Whether a stack predicts the change since the frame before; it then starts as copy-last."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if not self.hidden or min(self.hidden) < 1:
            raise ConfigError("hidden needs at least one layer of at least one channel")
        if self.kernel % 2 == 0:
            raise ConfigError(f"kernel is odd, so that maps keep their size; got {self.kernel}")
        if self.patch < 1 or self.channels < 1:
            raise ConfigError("patch and channels are at least 1")
        if self.residual and (self.layout, self.output) != ("stack", "linear"):
            raise ConfigError("residual needs the layout stack and the output linear")

    @property
    def patch_channels(self) -> int:
        """Channels of a frame cut into patches."""
        return self.channels * self.patch**2


def _unit(config: ConvLSTMConfig, inputs: int, hidden: int) -> ConvLSTMUnit:
    return ConvLSTMUnit(
        inputs,
        hidden,
        config.kernel,
        bias=config.bias,
        peephole=config.peephole,
        forget_bias=config.forget_bias,
    )


def _encoder(config: ConvLSTMConfig) -> Layers[ConvLSTMUnit]:
    widths = pairwise((config.patch_channels, *config.hidden))
    return Layers[ConvLSTMUnit](_unit(config, inputs, hidden) for inputs, hidden in widths)


def _observe(
    units: Layers[ConvLSTMUnit], frames: Tensor, recomputed: bool
) -> tuple[Tensor, States]:
    """Run layers over observed frames, layer by layer: the top's outputs, and the last states.

    Without gradients only so many frames are between the layers at a time.
    """
    states: list[ConvLSTMState | None] = [None] * len(units)
    tops = []
    for portion in frames.split(frames.shape[1] if torch.is_grad_enabled() else PORTION, 1):
        top = portion
        for place, unit in enumerate(units):
            top, states[place] = recompute(_layer, unit, top, states[place], when=recomputed)
        tops.append(top)
    return torch.cat(tops, 1), [state for state in states if state is not None]


def _layer(
    unit: ConvLSTMUnit, frames: Tensor, before: ConvLSTMState | None
) -> tuple[Tensor, ConvLSTMState]:
    projected = unit.project(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
    state = unit.initial(frames) if before is None else before
    outputs = []
    for step in projected.unbind(1):
        output, state = unit.step(step, state)
        outputs.append(output)
    return torch.stack(outputs, 1), state


class Stack(nn.Module):
    """Layers from frame to next frame."""

    def __init__(self, config: ConvLSTMConfig) -> None:
        """Make the layers and the 1×1 output."""
        super().__init__()
        self.units = _encoder(config)
        self.output = nn.Conv2d(config.hidden[-1], config.patch_channels, 1, bias=config.bias)
        self.residual = config.residual
        if config.residual:
            for parameter in self.output.parameters():
                nn.init.zeros_(parameter)

    def observe(
        self, frames: Float[Tensor, "b t c h w"], recomputed: bool
    ) -> tuple[Tensor, States]:
        """Predictions of the frame after each observed one, and the states."""
        top, states = _observe(self.units, frames, recomputed)
        predictions = self.output(top.flatten(0, 1)).unflatten(0, frames.shape[:2])
        return predictions + frames if self.residual else predictions, states

    def advance(self, frame: Float[Tensor, "b c h w"], states: States) -> tuple[Tensor, States]:
        """The frame after `frame`."""
        new, top = [], frame
        for unit, state in zip(self.units, states, strict=True):
            turn = unit(top, state)
            new.append(turn.state)
            top = turn.output
        return self.output(top) + frame if self.residual else self.output(top), new


class Forecaster(nn.Module):
    """The paper's encoder and forecaster; the output reads all of the forecaster's layers."""

    def __init__(self, config: ConvLSTMConfig) -> None:
        """Make both halves; the forecaster's top layer has no input."""
        super().__init__()
        self.encoder = _encoder(config)
        above = (*config.hidden[1:], 0)
        self.forecaster = Layers[ConvLSTMUnit](
            _unit(config, inputs, hidden)
            for inputs, hidden in zip(above, config.hidden, strict=True)
        )
        self.output = nn.Conv2d(sum(config.hidden), config.patch_channels, 1, bias=config.bias)

    def observe(
        self, frames: Float[Tensor, "b t c h w"], recomputed: bool
    ) -> tuple[Tensor, States]:
        """The prediction of the frame after the last observed one, and the states."""
        _, states = _observe(self.encoder, frames, recomputed)
        prediction, states = self.advance(frames[:, -1], states)
        return prediction[:, None], states

    def advance(self, frame: Float[Tensor, "b c h w"], states: States) -> tuple[Tensor, States]:
        """The next frame from the states alone."""
        del frame
        new: States = []
        output = None
        for unit, state in zip(reversed(list(self.forecaster)), reversed(states), strict=True):
            projected = None if output is None else unit.project(output)
            output, state = unit.step(projected, state)  # noqa: PLW2901
            new.insert(0, state)
        return self.output(torch.cat([state.hidden for state in new], 1)), new


class ConvLSTM(Recurrent):
    """ConvLSTM on patches; a point predictor for frames of any size."""

    config_type = ConvLSTMConfig

    def __init__(self, config: ConvLSTMConfig) -> None:
        """Make the network of the chosen layout."""
        super().__init__(config)
        self.network = Stack(config) if config.layout == "stack" else Forecaster(config)

    @property
    def expects(self) -> FrameSpec:
        """Frames of the configured channels; sizes are padded to multiples of the patch."""
        return FrameSpec(channels=self.config.channels, multiple_of=self.config.patch)

    def advance(self, frame: Float[Tensor, "b c h w"], state: Any) -> tuple[Tensor, States]:
        """The frame after `frame`; a forecaster's comes from the states alone."""
        patches, states = self.network.advance(self._cut(frame), state)
        return self._join(patches), states

    def observe(
        self, frames: Float[Tensor, "b t c h w"], *, recomputed: bool = False
    ) -> tuple[Tensor, States]:
        """Predictions of the frame after each observed one (`stack`), or after the last alone."""
        predictions, states = self.network.observe(self._cut(frames), recomputed)
        return self._join(predictions), states

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The frame after each one, from the true frames up to it."""
        if isinstance(self.network, Stack):
            return super().teacher_forced(clip)
        frames = self.adapted(clip.frames[:, :-1])
        ends = range(1, clip.length)
        predicted = torch.cat([self.observe(frames[:, :end])[0] for end in ends], 1)
        return self.restored(predicted, clip.frames.shape[2:])

    def _cut(self, frames: Tensor) -> Tensor:
        return functional.pixel_unshuffle(frames, self.config.patch)

    def _join(self, patches: Tensor) -> Tensor:
        frames = functional.pixel_shuffle(patches, self.config.patch)
        return torch.sigmoid(frames) if self.config.output == "sigmoid" else frames


@dataclass(frozen=True)
class TrainingConfig(RecurrentTraining):
    """How a ConvLSTM is trained."""

    type: ClassVar[str] = "convlstm/main"
    loss: Literal["mse", "l1+mse", "bce"] = "mse"
    """Squared error, absolute plus squared error, or the paper's cross-entropy of pixels."""


class Training(NextFrames, of=ConvLSTM, name="main"):
    """Learns next frames: the model's own predictions are fed back as scheduled."""

    config_type = TrainingConfig

    def __init__(self, config: TrainingConfig, model: ConvLSTM, context: int) -> None:
        """Check that loss and output go together."""
        super().__init__(config, model, context)
        if config.loss == "bce" and model.config.output != "sigmoid":
            raise ConfigError("the loss bce needs the model's output to be sigmoid")
        if model.config.layout == "forecaster" and config.teacher_forcing != constant(0.0):
            raise ConfigError("a forecaster takes no frames, so teacher_forcing has to stay 0")
        if model.config.layout == "forecaster" and config.context_forcing != constant(1.0):
            raise ConfigError("a forecaster predicts no context, so context_forcing has to stay 1")

    def loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """As configured, a mean per pixel."""
        if self.config.loss == "bce":
            with torch.autocast(predicted.device.type, enabled=False):
                return functional.binary_cross_entropy(predicted, truth)
        return pixel_error(self.config.loss, predicted, truth)
