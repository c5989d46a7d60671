"""What models share that predict the next frame of each, and go on from their own.

Such a model gives `advance`, from a frame and the state before it to the next frame and state; the
rollout, the teacher-forced pass and training with scheduled sampling are here, once.
"""

from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from framecast.clip import Clip
from framecast.layers.recompute import recompute
from framecast.model import Model, Options, Step, pad_to_multiple
from framecast.noise import Noise
from framecast.schedules import Schedule, constant
from framecast.stage import OptimizerConfig, Stage, StageConfig


class Recurrent(Model):
    """A point predictor that knows the past by its state alone."""

    @abstractmethod
    def advance(
        self, frame: Float[Tensor, "b c h w"], state: Any
    ) -> tuple[Float[Tensor, "b c h w"], Any]:
        """The frame after `frame`, and the new state.

        Args:
            frame: Of a size that the model needs no padding for.
            state: From the frame before; None before the first.
        """

    def observe(
        self, frames: Float[Tensor, "b t c h w"], *, recomputed: bool = False
    ) -> tuple[Float[Tensor, "b t2 c h w"], Any]:
        """Predictions of the frame after each observed one, and the last state.

        Args:
            frames: Observed, of a size that the model needs no padding for.
            recomputed: Keep states for the backward pass, and compute the rest again.
        """
        state, predictions = None, []
        for frame in frames.unbind(1):
            predicted, state = recompute(self.advance, frame, state, when=recomputed)
            predictions.append(predicted)
        return torch.stack(predictions, 1), state

    def after(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Float[Tensor, "b c h w"], Any]:
        """The prediction of the frame after the last observed one, and the state."""
        predictions, state = self.observe(frames)
        return predictions[:, -1], state

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Predict and feed back, holding the state alone; all samples are equal."""
        del noise, options
        frame, state = self.after(context.frames)
        for done in range(1, horizon + 1):
            yield Step(frame.expand(samples or 1, *frame.shape))
            if done < horizon:
                frame, state = self.advance(frame, state)

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The frame after each one, from the true frames up to it."""
        nothing_fed_back = torch.ones(len(clip.frames), 0, dtype=torch.bool)
        frames = self.coloured(clip.frames)
        predicted = self.unroll(frames, clip.length - 1, nothing_fed_back)
        return self.restored(predicted, clip.frames.shape[2:])

    def unroll(
        self,
        frames: Float[Tensor, "b t c h w"],
        context: int,
        forced: Bool[Tensor, "b fed"],
        *,
        recomputed: bool = False,
    ) -> Float[Tensor, "b t2 c h w"]:
        """Predict the frames after the first in training, with scheduled sampling.

        Args:
            frames: The true clip.
            context: Frames of it that are observed.
            forced: For each frame after these but the last, whether the true frame is fed back
                rather than the prediction.
            recomputed: Keep frames and states alone for the backward pass, and compute the rest of
                each step again.

        Returns:
            Predictions of frames 1, 2, …; fewer of the observed ones where `observe` gives fewer.
        """
        height, width = frames.shape[-2:]
        frames = pad_to_multiple(frames, self.expects.multiple_of)
        observed, state = self.observe(frames[:, :context], recomputed=recomputed)
        predictions = [*observed.unbind(1)]
        for step in range(context, frames.shape[1] - 1):
            share = forced[:, step - context, None, None, None]
            fed = torch.where(share, frames[:, step], predictions[-1].to(frames))
            predicted, state = recompute(self.advance, fed, state, when=recomputed)
            predictions.append(predicted)
        return torch.stack(predictions, 1)[..., :height, :width]


@dataclass(frozen=True)
class RecurrentTraining(StageConfig):
    """How a recurrent model is trained; a model's own configuration adds what is optimised."""

    optimizer: OptimizerConfig = OptimizerConfig(learning_rate=5e-4)
    """Optimizer of all parameters."""
    teacher_forcing: Schedule = constant(0.0)
    """Probability, by step, that a frame of the horizon is fed back as it truly was."""
    context_forcing: Schedule = constant(1.0)
    """Probability, by step, that a frame of the context after the first is what is observed, rather
    than the model's prediction of it: a rise to 1 is reverse scheduled sampling."""
    recompute: bool = False
    """Compute each step again in the backward pass: equal gradients, less memory, more time."""


class NextFrames(Stage):
    """Learns next frames: the model's own predictions are fed back as scheduled."""

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        """The loss over all predicted frames, a mean per pixel."""
        del phase
        frames = self.model.coloured(batch.frames)
        context, forced = self._fed(frames, step)
        recomputed = self.config.recompute
        predicted = self.model.unroll(frames, context, forced, recomputed=recomputed)
        return {"total": self.loss(predicted.float(), frames[:, -predicted.shape[1] :])}

    def loss(self, predicted: Tensor, truth: Tensor) -> Tensor:
        """Squared error, a mean per pixel."""
        return functional.mse_loss(predicted, truth)

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        """Squared error of the rollout."""
        return self.rollout_scores(batch)

    def _fed(self, frames: Tensor, step: int) -> tuple[int, Tensor]:
        """Frames that are surely observed, and which of the others are fed as they truly were."""
        forced = self.forced(frames, self.config.teacher_forcing, step)
        if self.config.context_forcing == constant(1.0):
            return self.context, forced
        chance = self.config.context_forcing(step, self.config.steps)
        observed = torch.rand(len(frames), self.context - 1) < chance
        return 1, torch.cat([observed.to(forced.device), forced], 1)


def pixel_error(kind: str, predicted: Tensor, truth: Tensor) -> Tensor:
    """`mse`, squared error, or `l1+mse`, absolute plus squared error; a mean per pixel."""
    error = functional.mse_loss(predicted, truth)
    return error + functional.l1_loss(predicted, truth) if kind == "l1+mse" else error
