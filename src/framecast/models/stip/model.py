"""STIP: two-stream autoencoder, a stack of spatiotemporal GRUs, learned perceptual loss.

A clip of two frames is encoded twice: temporal features join the state that goes through time,
spatial features go up the stack. Two decoders, which recall the encoders' features, make the next
frame from both. It is trained on squared error, on whether a discriminator takes its frames for
true ones, and on their distance in the discriminator's last feature map.

Reference:
    Chang et al., STIP: A SpatioTemporal Information-Preserving and Perception-Augmented Model for
    High-Resolution Video Prediction (2022).
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional

from framecast.clip import Clip
from framecast.layers.recompute import recompute
from framecast.layers.recurrent.stgru import Gates
from framecast.model import FrameSpec, Model, Options, Step, evaluating, pad_to_multiple
from framecast.models.stip.network import Encoded, Network, States, STIPConfig
from framecast.noise import Noise
from framecast.pictures import Panel


class STIP(Model):
    """STIP; a point predictor for frames of any size, unless its norm is for one."""

    config_type = STIPConfig

    def __init__(self, config: STIPConfig) -> None:
        """Make the network."""
        super().__init__(config)
        self.network = Network(config)

    @property
    def expects(self) -> FrameSpec:
        """Frames of the configured channels and size, padded for patches and levels."""
        return FrameSpec(
            channels=self.config.channels,
            size=self.config.size,
            multiple_of=self.config.multiple_of,
        )

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Predict from the last two frames and the states, and feed back; all samples are equal.

        Only the last observed frame is decoded, and nothing is kept but the states.
        """
        del noise, options
        before, last, states = self._observe(context.frames)
        for _ in range(horizon):
            patches, states = self.network.advance(before, last, states)
            frame = functional.pixel_shuffle(patches, self.config.patch)
            yield Step(frame.expand(samples or 1, *frame.shape))
            before, last = last, patches

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The frame after each one, from the true frames up to it."""
        always = torch.ones(clip.frames.shape[:2], dtype=torch.bool, device=clip.frames.device)
        predicted = self.unroll(self.coloured(clip.frames), 1, always[:, 2:])
        return self.restored(predicted, clip.frames.shape[2:])

    def unroll(
        self,
        frames: Float[Tensor, "b t c h w"],
        context: int,
        forced: Bool[Tensor, "b horizon"],
        *,
        recomputed: bool = False,
    ) -> Float[Tensor, "b t2 c h w"]:
        """Predict the frames after the first in training, with scheduled sampling.

        Args:
            frames: The true clip.
            context: Frames of it that are observed.
            forced: For each frame of the horizon but the last, whether the true frame is fed back
                rather than the prediction.
            recomputed: Keep only frames and states for the backward pass and compute the rest of
                each step again: less memory, about a third more time, equal gradients.

        Returns:
            Predictions of frames 1, 2, …, t − 1.
        """
        height, width = frames.shape[-2:]
        padded = pad_to_multiple(frames[:, :-1], self.config.multiple_of)
        cut = self._cut(padded.flatten(0, 1)).unflatten(0, padded.shape[:2])
        last, predictions = torch.zeros_like(cut[:, 0]), []
        states = self.network.initial(last)
        for number, true in enumerate(cut.unbind(1)):
            before, last = last, true
            if number >= context:
                share = forced[:, number - context, None, None, None]
                last = torch.where(share, true, predictions[-1].to(true))
            step = (before, last, states)
            patches, states = recompute(self.network.advance, *step, when=recomputed)
            predictions.append(patches)
        whole = functional.pixel_shuffle(torch.stack(predictions, 1), self.config.patch)
        return whole[..., :height, :width]

    def inspect(self, clip: Clip) -> list[Panel]:
        """The clip's last frame, and features and gates there, means over channels (Fig 5).

        Gates are those of the first unit whose both inputs are states: the second, where there is
        one, as in the authors' program.
        """
        self._check_inspected(clip)
        with torch.no_grad(), evaluating(self):
            encoded, gates = self._look(self.adapted(clip.frames))
        maps = {"spatial features S_E": encoded.spatial[-1]}
        if self.config.two_streams:
            maps["temporal features T_E"] = encoded.temporal[-1]
        maps |= {"trend gate R": gates.trend, "update gate U": gates.update}
        shown = [_heat(title, values[0].mean(0, keepdim=True)) for title, values in maps.items()]
        return [Panel("last frame", clip.frames[0, -1], (0, 1)), *shown]

    def _observe(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Tensor, Tensor, States]:
        """The patches of the last two frames, and the states before the last one."""
        before = torch.zeros_like(self._cut(frames[:, 0]))
        last, states = self._cut(frames[:, 0]), self.network.initial(before)
        for frame in frames[:, 1:].unbind(1):
            _, states = self.network.recur(self.network.encode(before, last), states)
            before, last = last, self._cut(frame)
        return before, last, states

    def _look(self, frames: Float[Tensor, "1 t c h w"]) -> tuple[Encoded, Gates]:
        """The last frame's features, and the gates of the second unit, or the only one."""
        before, last, states = self._observe(frames)
        encoded = self.network.encode(before, last)
        spatial, states = encoded.spatial[-1], self.network.entered(encoded, states)
        first, *rest = self.network.units
        if not rest:
            return encoded, first.gates(spatial, states[0])
        return encoded, rest[0].gates(first(spatial, states[0]).output, states[1])

    def _cut(self, frames: Float[Tensor, "b c h w"]) -> Float[Tensor, "b c2 h2 w2"]:
        return functional.pixel_unshuffle(frames, self.config.patch)


def _heat(title: str, values: Float[Tensor, "1 h w"]) -> Panel:
    low, high = float(values.min()), float(values.max())
    return Panel(title, values, (low, max(high, low + 1e-6)))
