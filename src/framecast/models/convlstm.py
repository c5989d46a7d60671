"""ConvLSTM on patches, in the two layouts that published tables stand on.

`forecaster` is the encoder–forecaster of the paper: the forecasting half starts from the encoder's
states and takes no frames. `stack` is the autoregressive stack of later benchmarks: every predicted
frame is fed back.

Reference:
    Shi et al., Convolutional LSTM Network: A Machine Learning Approach for Precipitation Nowcasting
    (NeurIPS 2015).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar, Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional

from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.recurrent.convlstm import ConvLSTMState, ConvLSTMUnit
from framecast.layers.typed import Layers
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step, pad_to_multiple
from framecast.noise import Noise
from framecast.schedules import Schedule, constant
from framecast.stage import OptimizerConfig, Stage, StageConfig

States = list[ConvLSTMState]


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


def _observe(units: Layers[ConvLSTMUnit], frames: Tensor) -> tuple[Tensor, States]:
    """Run layers over observed frames, layer by layer: the top's outputs, and the last states."""
    states = []
    for unit in units:
        projected = unit.project(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
        state, outputs = unit.initial(frames), []
        for step in projected.unbind(1):
            output, state = unit.step(step, state)
            outputs.append(output)
        states.append(state)
        frames = torch.stack(outputs, 1)
    return frames, states


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

    def observe(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Tensor, States]:
        """Predictions of the frame after each observed one, and the states."""
        top, states = _observe(self.units, frames)
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

    def observe(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Tensor, States]:
        """The prediction of the frame after the last observed one, and the states."""
        _, states = _observe(self.encoder, frames)
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


class ConvLSTM(Model):
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

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Predict and feed back; all samples are equal."""
        del noise, options
        predictions, states = self.network.observe(self._cut(context.frames))
        patches = predictions[:, -1]
        for done in range(1, horizon + 1):
            frame = self._join(patches)
            yield Step(frame.expand(samples or 1, *frame.shape))
            if done < horizon:
                patches, states = self.network.advance(self._cut(frame), states)

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The frame after each one, from the true frames up to it."""
        height, width = clip.frames.shape[-2:]
        patches = self._cut(pad_to_multiple(clip.frames[:, :-1], self.config.patch))
        if isinstance(self.network, Stack):
            predicted = self.network.observe(patches)[0]
        else:
            ends = range(1, patches.shape[1] + 1)
            predicted = torch.cat([self.network.observe(patches[:, :end])[0] for end in ends], 1)
        return self._join(predicted)[..., :height, :width]

    def unroll(
        self, frames: Float[Tensor, "b t c h w"], context: int, forced: Bool[Tensor, "b horizon"]
    ) -> Float[Tensor, "b t2 c h w"]:
        """Predict the frames after the first in training, with scheduled sampling.

        Args:
            frames: The true clip.
            context: Frames of it that are observed.
            forced: For each frame of the horizon but the last, whether the true frame is fed back
                rather than the prediction.

        Returns:
            Predictions of frames 1, 2, … (`stack`), or of the horizon alone (`forecaster`).
        """
        height, width = frames.shape[-2:]
        frames = pad_to_multiple(frames, self.config.patch)
        first, states = self.network.observe(self._cut(frames[:, :context]))
        predictions = [self._join(first)]
        for step in range(context, frames.shape[1] - 1):
            share = forced[:, step - context, None, None, None]
            own = predictions[-1][:, -1]
            fed = torch.where(share, frames[:, step], own.to(frames))
            patch, states = self.network.advance(self._cut(fed), states)
            predictions.append(self._join(patch)[:, None])
        return torch.cat(predictions, 1)[..., :height, :width]

    def _cut(self, frames: Tensor) -> Tensor:
        return functional.pixel_unshuffle(frames, self.config.patch)

    def _join(self, patches: Tensor) -> Tensor:
        frames = functional.pixel_shuffle(patches, self.config.patch)
        return torch.sigmoid(frames) if self.config.output == "sigmoid" else frames


@dataclass(frozen=True)
class TrainingConfig(StageConfig):
    """How a ConvLSTM is trained."""

    type: ClassVar[str] = "convlstm/main"
    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=5e-4)
    """Optimizer of all parameters."""
    loss: Literal["mse", "l1+mse", "bce"] = "mse"
    """Squared error, absolute plus squared error, or the paper's cross-entropy of pixels."""
    teacher_forcing: Schedule = constant(0.0)
    """Probability, by step, that a frame of the horizon is fed back as it truly was."""


class Training(Stage, of=ConvLSTM, name="main"):
    """Learns next frames: the model's own predictions are fed back as scheduled."""

    config_type = TrainingConfig

    def __init__(self, config: TrainingConfig, model: ConvLSTM, context: int) -> None:
        """Check that loss and output go together."""
        super().__init__(config, model, context)
        if config.loss == "bce" and model.config.output != "sigmoid":
            raise ConfigError("the loss bce needs the model's output to be sigmoid")
        if model.config.layout == "forecaster" and config.teacher_forcing != constant(0.0):
            raise ConfigError("a forecaster takes no frames, so teacher_forcing has to stay 0")

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """The loss over all predicted frames, a mean per pixel."""
        del phase
        frames = self.model.coloured(batch.frames)
        forced = self.forced(frames, self.config.teacher_forcing, step)
        predicted = self.model.unroll(frames, self.context, forced)
        return {"total": self._loss(predicted.float(), frames[:, -predicted.shape[1] :])}

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Squared error of the rollout."""
        return self.rollout_scores(batch)

    def _loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        if self.config.loss == "bce":
            with torch.autocast(predicted.device.type, enabled=False):
                return functional.binary_cross_entropy(predicted, truth)
        loss = functional.mse_loss(predicted, truth)
        return loss + functional.l1_loss(predicted, truth) if self.config.loss == "l1+mse" else loss
