"""HAF-SVG: a recurrent VAE with a learned prior in groups, and aligned features; SVG-LP as a case.

A frame is encoded, a posterior that has seen the frame after it (in training and in the context) or
a prior that has not (in the future) gives z_t, an LSTM takes both to the features of the next
frame, and a decoder makes pixels of them, with the encoder's maps of the last observed frame at
hand. One group and no aligner is SVG-LP, several groups without an aligner are H-SVG.

Reference:
    Lin, Yuan, Li, HAF-SVG: Hierarchical Stochastic Video Generation with Aligned Features (IJCAI
    2020); Denton, Fergus, Stochastic Video Generation with a Learned Prior (ICML 2018).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from framecast.clip import Clip
from framecast.errors import ConfigError, FramecastError
from framecast.layers.batch_norm import BatchNorm
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step, evaluating
from framecast.models.haf_svg import exploration
from framecast.models.haf_svg.aligner import Recalled, repeated
from framecast.models.haf_svg.coders import CoderConfig, Decoder, Encoded, Encoder, pick
from framecast.models.haf_svg.fixed import FixedDecoder
from framecast.models.haf_svg.latents import (
    Hierarchy,
    LatentConfig,
    LSTMStates,
    Predictor,
    divergence,
)
from framecast.noise import Noise
from framecast.pictures import Panel

SPREAD = 0.02
"""Standard deviation of new weights."""

Draw = Callable[[Float[Tensor, "n d"]], Float[Tensor, "n z"] | None]
"""Standard normal noise for z_t of as many rows as the features have; None for means."""


@dataclass(frozen=True)
class HAFSVGConfig(ModelConfig):
    """Sizes of a HAF-SVG; the defaults are those of SVG-LP for digits."""

    type: ClassVar[str] = "haf-svg"
    coder: CoderConfig = field(default_factory=CoderConfig)
    """Encoder, decoder and aligners."""
    latent: LatentConfig = field(default_factory=LatentConfig)
    """z_t in groups."""
    hidden: int = 256
    """Cells of each LSTM of the frame predictor."""
    layers: int = 2
    """LSTMs of the frame predictor."""
    reference_skip: bool = False
    """Recall the last but one observed frame in the future, as SVG's program does by one step too
    few, rather than the last one."""

    def __post_init__(self) -> None:
        """Check the sizes."""
        if min(self.hidden, self.layers) < 1:
            raise ConfigError("hidden and layers are at least 1")


@dataclass(frozen=True)
class HAFSVGOptions(Options):
    """How futures are drawn."""

    zeroed: tuple[int, ...] = ()
    """Numbers, from 1, of groups of z_t that are zero in every predicted frame (Fig 8)."""


@dataclass(frozen=True)
class States:
    """All that goes through time."""

    posterior: LSTMStates
    prior: LSTMStates
    predictor: LSTMStates


@dataclass(frozen=True)
class Observed:
    """All that predictions go on from: s samples of b clips, n = s·b, samples first."""

    vector: Float[Tensor, "n d"]  # h of the last frame
    states: States
    recalled: tuple[Recalled, ...]  # of the b clips


@dataclass(frozen=True)
class Moment:
    """One step of time whose next frame is known."""

    vector: Float[Tensor, "n d"]  # of the next frame, for the decoder
    divergence: Float[Tensor, "n groups"]  # nats
    states: States


@dataclass(frozen=True)
class Unrolled:
    """A clip in training."""

    frames: Float[Tensor, "b t2 c h w"]  # predictions of frames 1, 2, …
    divergence: Float[Tensor, "b t2 groups"]  # D_KL(q‖p) of each, in nats


class HAFSVG(Model):
    """HAF-SVG and SVG-LP, recurrent VAEs that draw any number of futures; frames of one size."""

    config_type = HAFSVGConfig
    options_type = HAFSVGOptions

    def __init__(self, config: HAFSVGConfig) -> None:
        """Make the networks."""
        super().__init__(config)
        coder, latent = config.coder, config.latent
        self.encoder, self.decoder = Encoder(coder), Decoder(coder)
        self.posterior = Hierarchy(coder.features, latent)
        self.prior = Hierarchy(coder.features, latent)
        self.predictor = Predictor(coder.features, latent.total, config.hidden, config.layers)
        self.apply(_initialise)

    @property
    def expects(self) -> FrameSpec:
        """Square frames of the configured size."""
        coder = self.config.coder
        return FrameSpec(channels=coder.channels, size=(coder.size, coder.size))

    def check_options(self, options: Options) -> None:
        """See that there are the groups that are to stay at zero."""
        assert isinstance(options, HAFSVGOptions)
        groups = self.config.latent.groups
        wrong = [number for number in options.zeroed if not 1 <= number <= groups]
        if wrong:
            raise FramecastError(f"zeroed names groups from 1 to {groups}, not {wrong[0]}")

    def rollout(
        self,
        context: Clip,
        horizon: int,
        samples: int | None,
        noise: Noise,
        options: Options,
    ) -> Iterator[Step]:
        """Draw z_t from the posterior in the context and from the prior in the future.

        Without samples it is the mean of either. Context frames are encoded once for all samples;
        what is kept is of one time step.
        """
        assert isinstance(options, HAFSVGOptions)
        rows = samples or 1

        def drawn(like: Tensor) -> Tensor | None:
            if samples is None:
                return None
            return noise.normal(self.config.latent.total).flatten(0, 1).to(like)

        observed = self.observed(context.frames, rows, drawn)
        for frames in self.imagined(observed, horizon, drawn, options.zeroed):
            yield Step(frames.unflatten(0, (rows, -1)))

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        """The frame after each one, as if those up to it were the context, by the means of z_t."""
        encoded, vectors = self._encode(self.coloured(clip.frames[:, :-1]))
        states, predicted = self.initial(vectors[0]), []
        for number, vector in enumerate(vectors):
            if number:
                states = self.observe(vectors[number - 1], vector, states, None).states
            predicted.append(self.imagine(vector, states, None)[0])
        skipped = int(self.config.reference_skip)
        seen = torch.arange(len(vectors)).sub(skipped).clamp(min=0)
        decoded = self._decode(torch.stack(predicted), encoded, seen)
        return self.restored(decoded, clip.frames.shape[2:])

    def unroll(
        self,
        frames: Float[Tensor, "b t c h w"],
        context: int,
        noise: Float[Tensor, "b t2 z"],
        forced: Bool[Tensor, "b horizon"] | None = None,
    ) -> Unrolled:
        """Predict the frames after the first in training, by z_t of the posterior.

        Args:
            frames: The true clip.
            context: Frames of it that are observed; the last of them is recalled after it, and the
                frame before within it.
            noise: Standard normal, for the z_t of frames 1, 2, …
            forced: For each frame of the horizon but the last, whether the true frame comes before
                the next one rather than the predicted one, which passes no gradient on; None for
                all, as in SVG's program.
        """
        encoded, vectors = self._encode(frames)
        last = max(context - 1 - int(self.config.reference_skip), 0)
        mixed = forced is not None and not bool(forced.all())
        recalled = self._recalled(frames[:, last]) if mixed else ()
        states, moments = self.initial(vectors[0]), list[Moment]()
        for number in range(1, len(vectors)):
            before, now = vectors[number - 1], vectors[number]
            if forced is not None and recalled and number > context:
                own = self._seen_again(moments[-1].vector, recalled)
                before = torch.where(forced[:, number - 1 - context, None], before, own)
            moments.append(self.observe(before, now, states, noise[:, number - 1]))
            states = moments[-1].states
        seen = torch.arange(len(vectors) - 1)
        seen = torch.where(seen < context - 1, seen, last)
        decoded = self._decode(torch.stack([each.vector for each in moments]), encoded, seen)
        return Unrolled(decoded, torch.stack([each.divergence for each in moments], 1))

    def observed(self, frames: Float[Tensor, "b t c h w"], rows: int, drawn: Draw) -> Observed:
        """Go through a context, each frame encoded once for all rows of samples."""
        first, *rest = frames.unbind(1)
        before = last = self.encoder(first)
        vector = repeated(last.features, rows * len(first))
        states = self.initial(vector)
        for frame in rest:
            before, last = last, self.encoder(frame)
            now = repeated(last.features, len(vector))
            states = self.observe(vector, now, states, drawn(vector)).states
            vector = now
        recalled = self.decoder.recall((before if self.config.reference_skip else last).maps)
        return Observed(vector, states, recalled)

    def imagined(
        self, observed: Observed, horizon: int, drawn: Draw, zeroed: tuple[int, ...] = ()
    ) -> Iterator[Float[Tensor, "n c h w"]]:
        """The frames after a context, one by one; what is kept is of one time step."""
        vector, states = observed.vector, observed.states
        decode = FixedDecoder(self.decoder, observed.recalled)
        for done in range(1, horizon + 1):
            predicted, states = self.imagine(vector, states, drawn(vector), zeroed)
            frames = decode(predicted)
            yield frames
            if done < horizon:
                vector = self.encoder(frames).features

    def initial(self, like: Float[Tensor, "n d"]) -> States:
        """Zeros, for as many rows."""
        parts = (self.posterior, self.prior, self.predictor)
        return States(*(part.initial(like) for part in parts))

    def observe(
        self,
        before: Float[Tensor, "n d"],
        now: Float[Tensor, "n d"],
        states: States,
        noise: Float[Tensor, "n z"] | None,
    ) -> Moment:
        """Go on from a frame to the next one, which is known, by z_t of the posterior.

        Args:
            before: h_{t−1}.
            now: h_t.
            states: Those before t.
            noise: Standard normal; None for the posterior's mean.
        """
        q = self.posterior.drawn(now, states.posterior, noise)
        p = self.prior.given(before, q.z, states.prior)
        vector, predictor = self.predictor(before, q.z, states.predictor)
        nats = [divergence(*pair) for pair in zip(q.groups, p.groups, strict=True)]
        return Moment(vector, torch.stack(nats, -1), States(q.states, p.states, predictor))

    def imagine(
        self,
        before: Float[Tensor, "n d"],
        states: States,
        noise: Float[Tensor, "n z"] | None,
        zeroed: tuple[int, ...] = (),
    ) -> tuple[Float[Tensor, "n d"], States]:
        """Go on from a frame to the next one, which is not known, by z_t of the prior.

        Returns:
            The vector for the decoder, and the states; the posterior's stay as they are.
        """
        p = self.prior.drawn(before, states.prior, noise, zeroed)
        vector, predictor = self.predictor(before, p.z, states.predictor)
        return vector, States(states.posterior, p.states, predictor)

    def attention(
        self, context: Clip, height: int, positions: Int[Tensor, "p 2"]
    ) -> Float[Tensor, "b p h w"]:
        """Where positions of the next frame look in the observed one that is recalled (Eq 5).

        Args:
            context: The observed frames, `b t c h w`.
            height: Of the aligned map.
            positions: (row, column) in that map.

        Returns:
            For each position a picture that sums to 1.

        Raises:
            ValueError: if the frames are not what the model expects.
        """
        self._check_frames(context.frames)
        with torch.no_grad(), evaluating(self):
            observed = self.observed(self.coloured(context.frames), 1, _always(None))
            vector, _ = self.imagine(observed.vector, observed.states, None)
            return self.decoder.look(vector, observed.recalled, height, positions)

    def traverse(
        self, context: Clip, numbers: Sequence[int], values: Sequence[float], horizon: int
    ) -> Float[Tensor, "p s b c h w"]:
        """What single numbers of z_t do: a predicted frame as one of them leaves its mean.

        It does so in every predicted frame up to that one. The others are at their means: of the
        prior, which is told of the groups before, and in the context of the posterior.

        Args:
            context: The observed frames, `b t c h w`.
            numbers: Which, from 1, through all groups.
            values: How far from the prior's mean, in its standard deviations.
            horizon: Number, from 1, of the frame.

        Returns:
            A frame for each number and, as samples, each value.

        Raises:
            ValueError: if z_t has no such number, or the frames are not what the model expects.
        """
        self._check(context, horizon, len(values), HAFSVGOptions())
        total = self.config.latent.total
        if wrong := [number for number in numbers if not 1 <= number <= total]:
            raise FramecastError(f"z_t has numbers from 1 to {total}, not {wrong[0]}")
        noise = torch.zeros(len(numbers), len(values), len(context.frames), total)
        for place, number in enumerate(numbers):
            noise[place, :, :, number - 1] = torch.tensor(values)[:, None]
        drawn = _always(noise.flatten(0, 2))
        with torch.no_grad(), evaluating(self):
            rows = len(numbers) * len(values)
            observed = self.observed(self.coloured(context.frames), rows, _always(None))
            *_, last = self.imagined(observed, horizon, drawn)
        return last.unflatten(0, noise.shape[:3])

    def inspect(self, clip: Clip) -> list[Panel]:
        """Where the next frame looks, what groups held at zero take away, and what z_t does.

        Returns:
            The last frame, the next one, and the attention of its most changed place, per aligned
            map; predictions without each group (Fig 8); traversals of each group's numbers.
        """
        self._check_inspected(clip)
        context, latent = Clip(self.coloured(clip.frames)), self.config.latent

        def predict(samples: int | None, zeroed: tuple[int, ...]) -> Tensor:
            options = HAFSVGOptions(zeroed)
            found = self.predict(context, exploration.HORIZON, samples=samples, options=options)
            return found.frames[0, 0]

        def traverse(numbers: Sequence[int], values: Sequence[float]) -> Tensor:
            return self.traverse(context, numbers, values, exploration.AHEAD)[:, :, 0]

        return [
            *self._looked(context),
            exploration.held(predict, latent.groups),
            *exploration.traversed(traverse, latent),
        ]

    def _looked(self, context: Clip) -> list[Panel]:
        """Around the change from the last frame to the next one."""
        frame, last = self.predict(context, 1).frames[0, 0, 0], context.frames[0, -1]
        place = int((frame - last).abs().sum(0).argmax())
        panels = [Panel("last frame", last, (0, 1)), Panel("next frame", frame, (0, 1))]
        for height in sorted(self.config.coder.aligned, reverse=True):
            cell = self.config.coder.size // height
            row, column = place // frame.shape[-1] // cell, place % frame.shape[-1] // cell
            found = self.attention(context, height, torch.tensor([[row, column]]))[0]
            title = f"attention of ({row}, {column}) at {height}x{height}"
            panels.append(Panel(title, found, (0, float(found.max()))))
        return panels

    def _recalled(self, frame: Tensor) -> tuple[Recalled, ...]:
        """What the decoder recalls of a frame when it predicts, without gradients."""
        with torch.no_grad(), evaluating(self):
            return self.decoder.recall(self.encoder(frame).maps)

    def _seen_again(self, vector: Tensor, recalled: tuple[Recalled, ...]) -> Tensor:
        """h of a predicted frame that is fed back, without gradients."""
        with torch.no_grad(), evaluating(self):
            return self.encoder(self.decoder(vector, recalled)).features

    def _encode(self, frames: Tensor) -> tuple[Encoded, Float[Tensor, "t b d"]]:
        """All frames at once, times first."""
        encoded = self.encoder(frames.transpose(0, 1).flatten(0, 1))
        return encoded, encoded.features.unflatten(0, (frames.shape[1], -1))

    def _decode(
        self, vectors: Float[Tensor, "t2 b d"], encoded: Encoded, seen: Int[Tensor, " t2"]
    ) -> Float[Tensor, "b t2 c h w"]:
        """All frames at once, each with the maps of the frame that it recalls, computed once."""
        batch = vectors.shape[1]
        used = int(seen.max()) + 1
        recalled = self.decoder.recall([maps[: used * batch] for maps in encoded.maps])
        rows = (seen[:, None] * batch + torch.arange(batch)).flatten().to(vectors.device)
        frames = self.decoder(vectors.flatten(0, 1), pick(recalled, rows))
        return frames.unflatten(0, (-1, batch)).transpose(0, 1)


def _always(noise: Float[Tensor, "n z"] | None) -> Draw:
    return lambda like: None if noise is None else noise.to(like)


def _initialise(module: nn.Module) -> None:
    """N(0, 0.02) as in SVG, around 1 for the gains of norms; LSTM cells are left as they are."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
        nn.init.normal_(module.weight, 0.0, SPREAD)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, BatchNorm):
        nn.init.normal_(module.weight, 1.0, SPREAD)
