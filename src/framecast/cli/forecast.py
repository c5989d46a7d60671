"""A prediction for one video, written as it comes: the video, and a contact sheet beside it."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.atomic import NewFolder, named
from framecast.cli.footage import Footage
from framecast.cli.options import FILMS
from framecast.cli.sheet import Sheet, deviation
from framecast.cli.terminal import Advance
from framecast.errors import VideoError
from framecast.evaluation.metrics import pixel
from framecast.model import Model, Options
from framecast.video import Writer
from framecast.video.write import check_replaceable
from framecast.wording import counted

MARK = (0.95, 0.45, 0.0)
"""Colour of the border that `--mark` draws: red, green, blue."""
GAP = 2
"""Pixels between samples shown side by side."""

Render = Callable[[Float[Tensor, "s c h w"]], Float[Tensor, "c h2 w2"]]


@dataclass(frozen=True)
class Wish:
    """What to predict and where to write it."""

    out: Path
    """`.mp4`, `.gif`, or a folder of PNG images."""
    horizon: int
    samples: int | None = None
    seed: int = 0
    mark: bool = False
    """Draw a border on predicted frames."""
    options: Options | None = None
    """The model's own."""
    images: bool = False
    """Write a folder of images, whatever dots there are in its name."""


@dataclass(frozen=True)
class Errors:
    """How far a prediction, clipped to [0, 1], is from what the video shows: `pixel.mse_sum` and
    `pixel.psnr` of each frame, averaged over frames and samples."""

    frames: int
    """Predicted frames that the video goes on for."""
    mse: float
    psnr: float
    """In dB; infinite where a frame is matched exactly."""
    copy_last_mse: float
    """The same for the last observed frame repeated."""
    copy_last_psnr: float


@dataclass(frozen=True)
class Outcome:
    """What a prediction wrote."""

    video: Path
    written: tuple[Path, ...]
    sheet: Path
    context: int
    horizon: int
    samples: int | None
    fps: float
    size: tuple[int, int]
    errors: Errors | None
    """None where the video ends with the context."""
    notes: tuple[str, ...]
    deviation: tuple[float, ...] = ()
    """Standard deviation of the samples, a mean over the pixels and channels of each predicted
    frame; empty where there are not several that differ."""


def forecast(model: Model, footage: Footage, wish: Wish, advance: Advance) -> Outcome:
    """Predict and write, frame by frame: memory does not grow with the horizon.

    Raises:
        FramecastError: if the model cannot take the video, or a file cannot be written.
    """
    context = footage.context
    sheet_path = beside(wish.out)
    steps = model.stream(
        context.to(model.device),
        wish.horizon,
        samples=wish.samples,
        seed=wish.seed,
        options=wish.options,
    )
    observed = context.frames[0]
    sheet = Sheet(len(observed), wish.horizon)
    score, deviations = _Score(observed[-1]), list[float]()
    with _sinks(wish, footage.fps) as sinks:
        for frame in observed:
            sheet.observe(frame)
            sinks.write(frame.expand(wish.samples or 1, -1, -1, -1), predicted=False)
        truths = _Truths(footage.future)
        for number, (step, truth) in enumerate(zip(steps, truths, strict=False), 1):
            frame = step.frame[:, 0].float().cpu().clamp(0, 1)
            sinks.write(frame, predicted=True)
            sheet.predict(frame, truth)
            score.add(frame, truth)
            deviations.append(float(deviation(frame).mean()))
            advance(number, wish.horizon)
    sheet.save(sheet_path, _title(model, footage), footage.first, footage.fps)
    errors = score.result()
    return Outcome(
        video=footage.path,
        written=tuple(sinks.paths),
        sheet=sheet_path,
        context=len(observed),
        horizon=wish.horizon,
        samples=wish.samples,
        fps=footage.fps,
        size=(observed.shape[-2], observed.shape[-1]),
        errors=errors,
        notes=(
            *footage.notes,
            *_truth_note(errors, wish.horizon, truths.fault),
            *_sample_note(model, wish.samples, deviations),
            *sinks.notes,
        ),
        deviation=tuple(deviations) if any(deviations) else (),
    )


def _title(model: Model, footage: Footage) -> str:
    return f"{footage.path.name}, predicted by {model.config.type}"


def beside(out: Path) -> Path:
    """The contact sheet's path beside an output."""
    film = out.suffix.lower() in FILMS
    return out.with_suffix(".png") if film else named(out).with_name(f"{out.name}.png")


class _Sinks:
    """The files of one prediction."""

    def __init__(self, wish: Wish, fps: float, stack: ExitStack) -> None:
        count, out = wish.samples or 1, wish.out
        self._mark = wish.mark
        self._sinks: list[tuple[Writer, Render]]
        images = wish.images or not out.suffix
        if not images or count == 1:
            self._sinks = [(Writer(out, fps, images), tiled)]
            self.paths = [out]
        else:
            check_replaceable(out)
            # one folder that takes its place as a whole: no older sample stays in it
            draft = stack.enter_context(NewFolder(out))
            names = [f"sample-{number + 1}" for number in range(count)]
            self._sinks = [
                (Writer(draft / name, fps), _picked(number)) for number, name in enumerate(names)
            ]
            self.paths = [out / name for name in names]
        for writer, _ in self._sinks:
            stack.enter_context(writer)

    @property
    def notes(self) -> tuple[str, ...]:
        found = (note for writer, _ in self._sinks for note in writer.notes)
        return tuple(dict.fromkeys(found))

    def write(self, frames: Float[Tensor, "s c h w"], predicted: bool) -> None:
        if self._mark:
            frames = marked(frames) if predicted else frames.expand(-1, 3, -1, -1)
        for writer, render in self._sinks:
            writer.append(render(frames))


@contextmanager
def _sinks(wish: Wish, fps: float) -> Iterator[_Sinks]:
    with ExitStack() as stack:
        yield _Sinks(wish, fps, stack)


def _picked(number: int) -> Render:
    return lambda frames: frames[number]


def tiled(frames: Float[Tensor, "s c h w"]) -> Float[Tensor, "c h2 w2"]:
    """Samples side by side, in rows of about as many as there are rows."""
    count, channels, height, width = frames.shape
    if count == 1:
        return frames[0]
    across = math.ceil(math.sqrt(count))
    down = math.ceil(count / across)
    size = (down * (height + GAP) - GAP, across * (width + GAP) - GAP)
    canvas = torch.full((channels, *size), 0.5)
    for number, frame in enumerate(frames):
        row, column = divmod(number, across)
        top, left = row * (height + GAP), column * (width + GAP)
        canvas[:, top : top + height, left : left + width] = frame
    return canvas


def marked(frames: Float[Tensor, "s c h w"]) -> Float[Tensor, "s 3 h w"]:
    """Frames in colour with a thin border inside."""
    frames = frames.expand(-1, 3, -1, -1).clone()
    width = max(1, min(frames.shape[-2:]) // 64)
    colour = torch.tensor(MARK)[:, None, None]
    for edge in (slice(None, width), slice(-width, None)):
        frames[:, :, edge, :] = colour
        frames[:, :, :, edge] = colour
    return frames


@dataclass
class _Truths:
    """What really followed, frame by frame, then None for ever.

    A fault ends it early: these frames are only compared with, and a prediction outlives them.
    """

    future: Iterator[Tensor]
    fault: str | None = None

    def __iter__(self) -> Iterator[Tensor | None]:
        try:
            yield from self.future
        except VideoError as error:
            self.fault = str(error)
        yield from repeat(None)


@dataclass
class _Score:
    """Sums over frames of squared error and PSNR: of a prediction, and of the last frame."""

    last: Float[Tensor, "c h w"]
    frames: int = 0
    sums: list[float] = field(default_factory=lambda: [0.0] * 4)

    def add(self, frame: Float[Tensor, "s c h w"], truth: Float[Tensor, "c h w"] | None) -> None:
        if truth is None:
            return
        self.frames += 1
        values = [
            float(measure(guess, truth.expand_as(guess)).mean())
            for guess in (frame, self.last[None])
            for measure in (pixel.mse_sum, pixel.psnr)
        ]
        self.sums = [total + value for total, value in zip(self.sums, values, strict=True)]

    def result(self) -> Errors | None:
        if not self.frames:
            return None
        return Errors(self.frames, *[total / self.frames for total in self.sums])


def _truth_note(errors: Errors | None, horizon: int, fault: str | None) -> list[str]:
    if fault is not None:
        compared = errors.frames if errors else 0
        return [
            f"{compared} of the {horizon} predicted frames could be compared with the video: "
            f"{fault}"
        ]
    if errors is None:
        return ["the video ends with the context, so there is nothing to compare with"]
    if errors.frames < horizon:
        return [f"the video goes on for {errors.frames} of the {horizon} predicted frames"]
    return []


def _sample_note(model: Model, samples: int | None, deviations: Sequence[float]) -> list[str]:
    if samples is None or samples < 2 or any(deviations):
        return []
    return [f"all {samples} samples are the same: this {model.config.type} draws nothing"]


def summary(errors: Errors) -> str:
    """One line on how good a prediction is, beside the last observed frame repeated."""
    return (
        f"squared error per frame {errors.mse:.1f}, PSNR {errors.psnr:.2f} dB, means over "
        f"{counted(errors.frames, 'frame')}; the last frame repeated: {errors.copy_last_mse:.1f}, "
        f"{errors.copy_last_psnr:.2f} dB"
    )


def scatter(deviations: Sequence[float]) -> str:
    """One line on how far samples differ."""
    return (
        f"samples differ by {deviations[0]:.3g} in the first predicted frame and "
        f"{deviations[-1]:.3g} in the last (standard deviation, mean over pixels)"
    )


def as_json(outcome: Outcome) -> dict[str, Any]:
    """An outcome for programs."""
    from dataclasses import asdict

    return asdict(outcome)
