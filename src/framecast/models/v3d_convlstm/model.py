"""V3D-ConvLSTM: a variational recurrent network that goes from window to window of frames.

In every step a 3-D ResNet encodes a window of M frames, 3-D ConvLSTMs take its features and the
latent maps of the step before, a prior of the hidden state gives the latent maps of this one, and a
decoder makes the window that lies H frames later, whose last H frames are new. With a window of one
frame and kernels of depth 1 it is the variational 2-D ConvLSTM; without latent maps, the plain one.

Reference:
    Razali, Fernando, A Log-likelihood Regularized KL Divergence for Video Prediction With a 3D
    Convolutional Variational Recurrent Network (2020).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.recurrent.convlstm import ConvLSTMState, ConvLSTMUnit
from framecast.layers.resnet3d import Decoder3d, ResNet3d
from framecast.layers.typed import Layers
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step, evaluating
from framecast.models.v3d_convlstm.latent import GaussianMaps
from framecast.noise import Noise
from framecast.pictures import Panel

SHRINKS = 4
"""How many pixels of a frame, to the side, become one cell of the maps."""
PORTION = 8
"""Context windows that are encoded at a time in prediction, so that memory stays bounded."""
SPREAD_OF = 16
"""Drawn frames whose spread `inspect` shows."""

States = tuple[ConvLSTMState, ...]


@dataclass(frozen=True)
class V3DConvLSTMConfig(ModelConfig):
    """Sizes of a V3D-ConvLSTM; the defaults are the paper's."""

    type: ClassVar[str] = "v3d-convlstm"
    channels: int = 1
    """Channels of a frame, 1 or 3."""
    window: int = 4
    """M, frames that a step takes and gives: an even number, or 1 with kernels of depth 1."""
    advance: int = 1
    """H, new frames per step: how much later the window that it gives lies."""
    depth: int = 3
    """Size of the kernels in time: 3, or 1 for the 2-D variants, which take windows of one frame
    (the first convolution and the last one have it, too)."""
    width: int = 64
    """Channels of the encoder's first half; there are twice as many in the second."""
    hidden: int = 128
    """Channels of each ConvLSTM."""
    layers: int = 2
    """ConvLSTMs on top of one another."""
    latent: int = 16
    """Channels of z; 0 for a network without latent maps, which is a point predictor. `trunk`, and
    what the stage says of latent maps, then change nothing, so that 0 is all that need be said."""
    trunk: int = 96
    """Channels between the hidden state and μ and σ, in the prior and in the posterior."""
    posterior_encoder: Literal["shared", "separate"] = "shared"
    """Whether the posterior encodes the target by the input's encoder, as Eq 2 has it, or by one of
    its own, as Section 3.3 has it."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if self.channels not in (1, 3):
            raise ConfigError(f"channels is 1 or 3, got {self.channels}")
        if min(self.width, self.hidden, self.layers, self.trunk) < 1:
            raise ConfigError("width, hidden, layers and trunk are at least 1")
        if self.latent < 0:
            raise ConfigError("latent is 0 or more")
        self._check_window()
        if not self.latent and self.posterior_encoder == "separate":
            raise ConfigError("without latent maps there is no posterior to encode for")

    def _check_window(self) -> None:
        if self.depth not in (1, 3):
            raise ConfigError(f"depth is 3, or 1 for the 2-D variants; got {self.depth}")
        if self.depth == 1 and self.window != 1:
            raise ConfigError(f"depth 1 takes a window of 1 frame, got {self.window}")
        if self.depth == 3 and (self.window < 2 or self.window % 2):
            raise ConfigError(
                f"window is an even number of frames, as its length is halved; got {self.window}"
            )
        if not 1 <= self.advance <= self.window:
            raise ConfigError(f"advance is from 1 to {self.window}, the window; got {self.advance}")


@dataclass(frozen=True)
class Moment:
    """What a step leaves for its decoder and for the step after it."""

    states: States
    z: Float[Tensor, "m z d h w"] | None  # None without latent maps

    @property
    def hidden(self) -> Float[Tensor, "n k d h w"]:
        """h_t, of the upper ConvLSTM; z has s times as many rows if s samples have it in common."""
        return self.states[-1].hidden

    def rows(self, rows: slice) -> "Moment":
        """The same of some rows, where z has no more of them."""
        states = tuple(ConvLSTMState(s.hidden[rows], s.cell[rows]) for s in self.states)
        return Moment(states, None if self.z is None else self.z[rows])


class V3DConvLSTM(Model):
    """V3D-ConvLSTM; draws futures window by window of frames, of any size."""

    config_type = V3DConvLSTMConfig

    prior: GaussianMaps
    """f_p; it and the posterior are there with latent maps."""
    posterior: GaussianMaps
    """f_q, which is only used in training."""
    posterior_encoder: ResNet3d
    """Where the posterior has one of its own."""

    def __init__(self, config: V3DConvLSTMConfig) -> None:
        """Make the networks."""
        super().__init__(config)
        width, depth, hidden = config.width, config.depth, config.hidden
        self.encoder = ResNet3d(width=width, depth=depth)
        self.features = self.encoder.features
        inputs = (self.features + config.latent, *[hidden] * (config.layers - 1))
        self.convlstm = Layers[ConvLSTMUnit](
            ConvLSTMUnit(each, hidden, 3, depth=depth) for each in inputs
        )
        if config.latent:
            sizes = (config.trunk, config.latent, depth)
            self.prior = GaussianMaps(hidden, 0, *sizes)
            self.posterior = GaussianMaps(hidden, self.features, *sizes)
        if config.posterior_encoder == "separate":
            self.posterior_encoder = ResNet3d(width=width, depth=depth)
        self.decoder = Decoder3d(
            hidden + config.latent, channels=config.channels, width=width, depth=depth
        )

    @property
    def expects(self) -> FrameSpec:
        """At least one window of frames, whose sizes are padded to multiples of 4."""
        config = self.config
        return FrameSpec(config.channels, multiple_of=SHRINKS, context_min=config.window)

    # ---- one step

    def encode(self, windows: Float[Tensor, "n m c h w"]) -> Float[Tensor, "n k d h2 w2"]:
        """f_enc(x_t): features of windows."""
        return self.encoder(windows.transpose(1, 2))

    def encode_target(self, windows: Float[Tensor, "n m c h w"]) -> Float[Tensor, "n k d h2 w2"]:
        """Features of windows that the posterior looks at."""
        separate = self.config.posterior_encoder == "separate"
        encoder = self.posterior_encoder if separate else self.encoder
        return encoder(windows.transpose(1, 2))

    def drive(self, features: Float[Tensor, "n k d h w"]) -> Float[Tensor, "n g d h w"]:
        """The features' share of the first ConvLSTM's gates; that of z_{t−1} is added to it."""
        return next(iter(self.convlstm)).project(features, 0)

    def listen(self, drive: Float[Tensor, "n g d h w"], before: Moment | None) -> States:
        """h_t = LSTM(f_enc(x_t), h_{t−1}, z_{t−1}), with zeros before the first step.

        Args:
            drive: Of the window x_t; with s samples that have it in common, z_{t−1} has s times as
                many rows, samples first.
            before: The step before; None in the first one.

        Reference:
            Eq 6.
        """
        first, *others = self.convlstm
        if before is None:
            # cells add up over all steps, in single precision at least
            precise = torch.promote_types(drive.dtype, torch.float32)
            begun = (unit.initial(drive) for unit in self.convlstm)
            states = tuple(state._replace(cell=state.cell.to(precise)) for state in begun)
        elif before.z is None:
            states = before.states
        else:
            rows = len(before.z)
            drive = repeated(drive, rows) + first.project(before.z, self.features)
            states = tuple(repeated_state(state, rows) for state in before.states)
        _, state = first.step(drive, states[0])
        new = [state._replace(hidden=state.hidden.to(drive))]
        for unit, old in zip(others, states[1:], strict=True):
            _, state = unit.step(unit.project(new[-1].hidden), old)
            new.append(state._replace(hidden=state.hidden.to(drive)))
        return tuple(new)

    def imagine(
        self,
        drive: Float[Tensor, "n g d h w"],
        before: Moment | None,
        noise: Float[Tensor, "m z d h w"] | None = None,
    ) -> Moment:
        """One step of prediction, with z_t of the prior: Eqs 6, 1 and 3.

        Args:
            drive: Of the window.
            before: The step before; None in the first one.
            noise: Standard normal; None for the prior's mean.
        """
        states = self.listen(drive, before)
        if not self.config.latent:
            return Moment(states, None)
        return Moment(states, self.prior(states[-1].hidden).drawn(noise).to(drive))

    def decode(self, moments: Sequence[Moment]) -> Float[Tensor, "n t c h w"]:
        """f_dec(z_t, h_t): the windows that lie H frames later, of all steps one after the other.

        Reference:
            Eq 5.
        """
        maps = torch.cat([moment.hidden for moment in moments])
        z = [moment.z for moment in moments if moment.z is not None]
        if z:
            drawn = torch.cat(z)
            maps = torch.cat([repeated(maps, len(drawn)), drawn], 1)
        return self.decoder(maps).transpose(1, 2)

    def cells(self, height: int, width: int) -> tuple[int, int, int]:
        """Size d h w of the maps of a window of frames of this size in pixels, padded or not."""
        depth = self.config.window // 2 if self.config.depth > 1 else 1
        return depth, -(-height // SHRINKS), -(-width // SHRINKS)

    def windows(self, frames: Float[Tensor, "b t c h w"], by: int) -> Float[Tensor, "n b m c h w"]:
        """Windows of M frames, each `by` frames after the one before."""
        return rearrange(frames.unfold(1, self.config.window, by), "b n c h w m -> n b m c h w")

    # ---- prediction

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        """Go over the context's windows, then over windows with predicted frames in them.

        The last context window ends at the last observed frame. The latent maps are drawn from the
        prior from the first window on; without samples they are its mean. What does not depend on
        them is computed once for all samples. What is kept is one window and one step.
        """
        del options
        advance, latent = self.config.advance, self.config.latent
        rows = samples if samples and latent else 1

        def drawn(drive: Tensor) -> Tensor | None:
            if samples is None or not latent:
                return None
            return noise.normal(latent, *drive.shape[2:]).flatten(0, 1).to(drive)

        moment, window = None, context.frames[:, -self.config.window :]
        for drive in self._observed(context.frames):
            moment = self.imagine(drive, moment, drawn(drive))
        for done in range(0, horizon, advance):
            if done:
                drive = self.drive(self.encode(window))
                moment = self.imagine(drive, moment, drawn(drive))
            assert moment is not None
            new = self.decode([moment])[:, -advance:]
            for frame in new[:, : horizon - done].unbind(1):
                each = frame.unflatten(0, (rows, -1))
                yield Step(each.expand(samples or 1, *each.shape[1:]))
            window = torch.cat([repeated(window, len(new))[:, advance:], new.to(window)], 1)

    def _observed(self, frames: Float[Tensor, "b t c h w"]) -> Iterator[Tensor]:
        """The drive of each window of the context, made for several at a time."""
        window, advance = self.config.window, self.config.advance
        starts = range(self.first_start(frames.shape[1]), frames.shape[1] - window + 1, advance)
        for number in range(0, len(starts), PORTION):
            some = starts[number : number + PORTION]
            windows = self.windows(frames[:, some[0] : some[-1] + window], advance)
            drives = self.drive(self.encode(windows.flatten(0, 1)))
            yield from drives.unflatten(0, (len(windows), -1)).unbind()

    def first_start(self, context: int) -> int:
        """Start of the first window, for the last one in the context to end where that does."""
        return (context - self.config.window) % self.config.advance

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The frame after each one, by the prior's means, as if those up to it were the context.

        Windows follow one another by H frames, so there are H chains of them side by side. A window
        that begins before the clip repeats its first frame, and is a chain of its own.
        """
        (height, width), batch = clip.frames.shape[-2:], len(clip.frames)
        short, advance = self.config.window - 1, self.config.advance
        frames = self.adapted(clip.frames[:, :-1])
        frames = torch.cat([frames[:, :1].expand(-1, short, -1, -1, -1), frames], 1)
        drives = self.drive(self.encode(self.windows(frames, by=1).flatten(0, 1)))
        first, later = drives.tensor_split([(short + advance) * batch])
        moments = [self.imagine(first, None)]
        for drive in later.split(advance * batch) if len(later) else ():
            chains = moments[-1].rows(slice(-advance * batch, None)).rows(slice(len(drive)))
            moments.append(self.imagine(drive, chains))
        decoded = self.decode(moments)
        predicted = decoded[:, -advance].unflatten(0, (-1, batch)).transpose(0, 1)
        return self.restored(predicted, (clip.frames.shape[2], height, width))

    def inspect(self, clip: Clip) -> list[Panel]:
        """The last frame, the next one, and what the latent maps do to it.

        The prior's σ, a mean over its channels and times, is large where z_t is uncertain; each of
        its cells covers the pixels that it was made for. Without z_t the next frame is what h_t
        alone says; the spread is a standard deviation over samples.
        """
        self._check_inspected(clip)
        self._check(clip, 1, None, Options())
        with torch.no_grad(), evaluating(self):
            shown = self._look(clip.frames)
        return [Panel("last frame", clip.frames[0, -1], (0, 1)), *shown]

    def _look(self, frames: Float[Tensor, "1 t c h w"]) -> list[Panel]:
        channels, height, width = frames.shape[2:]
        moment = None
        for drive in self._observed(self.adapted(frames)):
            moment = self.imagine(drive, moment)
        assert moment is not None

        def frame(title: str, z: Tensor | None) -> Panel:
            decoded = self.decode([Moment(moment.states, z)])[0, -self.config.advance]
            return Panel(title, self.restored(decoded, (channels, height, width)), (0, 1))

        if moment.z is None:
            return [frame("next frame", None)]
        cells = self.prior(moment.hidden).deviation[0].mean((0, 1))
        deviation = cells.repeat_interleave(SHRINKS, 0).repeat_interleave(SHRINKS, 1)
        deviation = deviation[None, :height, :width]
        drawn = self.predict(frames, 1, samples=SPREAD_OF).frames[:, 0, 0]
        spread = drawn.std(0).mean(0, keepdim=True)
        return [
            frame("next frame", moment.z),
            frame("next frame without z", torch.zeros_like(moment.z)),
            Panel("deviation of the prior", deviation, (0, float(deviation.max()))),
            Panel(f"spread of {SPREAD_OF} next frames", spread, (0, float(spread.max()))),
        ]


def repeated(x: Tensor, rows: int) -> Tensor:
    """The rows of a tensor over and over, up to a number of rows; itself if it has as many."""
    return x if len(x) == rows else x.expand(rows // len(x), *x.shape).flatten(0, 1)


def repeated_state(state: ConvLSTMState, rows: int) -> ConvLSTMState:
    """The same of a state."""
    return ConvLSTMState(repeated(state.hidden, rows), repeated(state.cell, rows))
