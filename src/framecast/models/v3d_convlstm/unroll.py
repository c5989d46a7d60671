"""A V3D-ConvLSTM in training: over all windows of a clip, whose last target the clip still fills.

True windows are encoded at once, for the input and as the posterior's targets; windows with fed
back predictions are encoded as they come. What no later step waits for is made at the end, at once.
"""

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from framecast.errors import FramecastError
from framecast.model import pad_to_multiple
from framecast.models.v3d_convlstm.latent import Gaussian, joined
from framecast.models.v3d_convlstm.model import SHRINKS, Moment, V3DConvLSTM

ZFrom = Literal["posterior", "prior"]


@dataclass(frozen=True)
class Unrolled:
    """A clip in training, step after step."""

    predicted: Float[Tensor, "k b m c h w"]  # windows of M frames
    true: Float[Tensor, "k b m c h w"]  # what they should be
    prior: Gaussian | None  # of k·b rows; None without latent maps
    posterior: Gaussian | None


@dataclass(frozen=True)
class Course:
    """Which windows of a clip are gone over."""

    window: int  # M
    advance: int  # H
    start: int  # of the first window
    context: int  # frames
    steps: int  # windows with a target that the clip fills

    @classmethod
    def of(cls, model: V3DConvLSTM, context: int, frames: int) -> "Course":
        """The course through a clip of so many frames.

        Raises:
            FramecastError: if the context has no window, or the horizon has none of the targets.
        """
        window, advance = model.config.window, model.config.advance
        if context < window:
            raise FramecastError(
                f"v3d-convlstm expects at least {window} context frames, got {context}"
            )
        if frames < context + advance:
            raise FramecastError(
                f"a horizon of {frames - context} frames is shorter than the {advance} that a step "
                "of v3d-convlstm predicts; use a longer one or a smaller advance"
            )
        start = model.first_start(context)
        return cls(window, advance, start, context, (frames - start - window) // advance)

    def begins(self, step: int) -> int:
        """First frame of the input of a step; its target lies H frames later."""
        return self.start + step * self.advance

    def ends(self, step: int) -> int:
        """The frame after the input's last one, which is the first that the step predicts."""
        return self.begins(step) + self.window


class Feed:
    """The frames that inputs are cut of: true ones, and from the context on as chance has it."""

    def __init__(
        self, frames: Float[Tensor, "b t c h w"], forced: Bool[Tensor, "b horizon"], course: Course
    ) -> None:
        """Begin with the context.

        Args:
            frames: The true clip.
            forced: For each frame of the horizon, whether it is fed back as it truly was.
            course: Which windows are asked for.
        """
        self.frames, self.forced, self.course = frames, forced, course
        self.fed = [*frames[:, : course.context].unbind(1)]
        self._true = [True] * course.context + forced.all(0).tolist()

    def true(self, step: int) -> bool:
        """Whether the input of a step is as it truly was, in every clip."""
        return all(self._true[self.course.begins(step) : self.course.ends(step)])

    def waits(self, step: int) -> bool:
        """Whether what a step predicts is fed back in some clip."""
        end = self.course.ends(step)
        asked = end >= self.course.context and step + 1 < self.course.steps
        return asked and not all(self._true[end : end + self.course.advance])

    def add(self, predicted: Float[Tensor, "b m c h w"] | None) -> None:
        """Go on by the last H frames of a step's window; None if none of them is fed back."""
        first = len(self.fed)
        for frame in range(first, first + self.course.advance):
            true = self.frames[:, frame]
            if predicted is not None:
                share = self.forced[:, frame - self.course.context, None, None, None]
                own = predicted[:, frame - first - self.course.advance]
                true = torch.where(share, true, own.to(true))
            self.fed.append(true)

    def window(self, step: int) -> Float[Tensor, "b m c h w"]:
        """The input of a step."""
        return torch.stack(self.fed[self.course.begins(step) : self.course.ends(step)], 1)


@dataclass(frozen=True)
class Known:
    """What the true windows give before the first step."""

    drives: dict[int, Float[Tensor, "b g d h w"]]  # by step, of the inputs that are true
    shares: tuple[Float[Tensor, "b r d h w"], ...]  # of the targets; none without latent maps


def unroll(
    model: V3DConvLSTM,
    frames: Float[Tensor, "b t c h w"],
    context: int,
    forced: Bool[Tensor, "b horizon"],
    noise: Float[Tensor, "k b z d h2 w2"],
    z_from: ZFrom = "posterior",
) -> Unrolled:
    """Go over a clip in training: Eqs 1 to 6.

    Args:
        model: In whichever mode.
        frames: The true clip.
        context: Frames of it that are observed.
        forced: For each frame of the horizon, whether it is fed back as it truly was.
        noise: Standard normal, of `noise_shape`.
        z_from: Which of the two z_t the decoder and the next step take.

    Raises:
        FramecastError: as `Course.of`.
    """
    course = Course.of(model, context, frames.shape[1])
    padded = pad_to_multiple(frames, SHRINKS)
    windows = model.windows(padded[:, course.start :], course.advance)
    feed = Feed(padded, forced, course)
    known = _known(model, windows, feed)
    moments, sources, decoded = list[Moment](), list[Gaussian](), dict[int, Tensor]()
    for step in range(course.steps):
        drive = known.drives.get(step)
        if drive is None:
            drive = model.drive(model.encode(feed.window(step)))
        states = model.listen(drive, moments[-1] if moments else None)
        source = _source(model, states[-1].hidden, known, step, z_from)
        if source is not None:
            sources.append(source)
        z = None if source is None else source.drawn(noise[step]).to(drive)
        moments.append(Moment(states, z))
        if feed.waits(step):
            decoded[step] = model.decode(moments[-1:])
        if course.ends(step) >= context:
            feed.add(decoded.get(step))
    height, width = frames.shape[-2:]
    predicted = torch.stack(_all_decoded(model, moments, decoded))
    prior, posterior = _both(model, moments, sources, known, z_from)
    return Unrolled(
        predicted[..., :height, :width], windows[1:, ..., :height, :width], prior, posterior
    )


def noise_shape(model: V3DConvLSTM, frames: Tensor, context: int) -> tuple[int, ...]:
    """Shape `k b z d h w` of the noise that a clip `b t c h w` takes."""
    steps = Course.of(model, context, frames.shape[1]).steps
    return steps, len(frames), model.config.latent, *model.cells(*frames.shape[-2:])


def _known(model: V3DConvLSTM, windows: Float[Tensor, "n b m c h w"], feed: Feed) -> Known:
    """Encode the true windows, each of them once where one encoder does it."""
    steps = [step for step in range(len(windows) - 1) if feed.true(step)]
    latent, separate = model.config.latent, model.config.posterior_encoder == "separate"
    targets = None
    if latent and not separate:
        features = model.encode(windows.flatten(0, 1)).unflatten(0, (len(windows), -1))
        inputs, targets = torch.cat([features[step] for step in steps]), features[1:].flatten(0, 1)
    else:
        inputs = model.encode(torch.cat([windows[step] for step in steps]))
    if separate:
        targets = model.encode_target(windows[1:].flatten(0, 1))
    drives = model.drive(inputs).chunk(len(steps))
    shares = () if targets is None else model.posterior.share(targets).chunk(len(windows) - 1)
    return Known(dict(zip(steps, drives, strict=True)), shares)


def _source(
    model: V3DConvLSTM, hidden: Tensor, known: Known, step: int, z_from: ZFrom
) -> Gaussian | None:
    """What z_t is drawn from in a step."""
    if not known.shares:
        return None
    return model.prior(hidden) if z_from == "prior" else model.posterior(hidden, known.shares[step])


def _both(
    model: V3DConvLSTM,
    moments: list[Moment],
    sources: list[Gaussian],
    known: Known,
    z_from: ZFrom,
) -> tuple[Gaussian | None, Gaussian | None]:
    """Prior and posterior of all steps; the one that no z_t was drawn from is made at once."""
    if not sources:
        return None, None
    hidden, drawn_from = torch.cat([moment.hidden for moment in moments]), joined(sources)
    if z_from == "prior":
        return drawn_from, model.posterior(hidden, torch.cat(known.shares))
    return model.prior(hidden), drawn_from


def _all_decoded(
    model: V3DConvLSTM, moments: list[Moment], decoded: dict[int, Tensor]
) -> list[Tensor]:
    """The windows of all steps; those that were not decoded yet are decoded at once."""
    late = [step for step in range(len(moments)) if step not in decoded]
    windows = model.decode([moments[step] for step in late])
    done = decoded | dict(zip(late, windows.unflatten(0, (len(late), -1)), strict=True))
    return [done[step] for step in range(len(moments))]
