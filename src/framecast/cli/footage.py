"""A user's video, brought to what a model takes, with a line on each thing that was done to it."""

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.clip import Clip
from framecast.errors import FramecastError, VideoError
from framecast.model import FrameSpec, Model
from framecast.video import (
    FOLDER_FPS,
    Frame,
    FrameWarning,
    Size,
    VideoInfo,
    fit_image,
    frames,
    is_video,
    missing,
    natural,
    probe,
)
from framecast.wording import counted

Sizing = tuple[int, int] | Literal["native", "model"]
SQUARE = 0.01
"""Pixels whose aspect is nearer to 1 than this are called square."""


@contextmanager
def faults() -> Iterator[list[str]]:
    """Gather a line on each damage that videos warn of; the list is filled as the block ends."""
    found: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FrameWarning)
        yield found
    found += [str(each.message) for each in caught if issubclass(each.category, FrameWarning)]


@dataclass(frozen=True)
class Reading:
    """How a video is read."""

    start: int | float = 0
    """First frame of the context: a number, or a time in seconds."""
    context: int | None = None
    """Observed frames; None for the model's own number."""
    fps: float | None = None
    """Frames per second to read at; None for the frames as they are."""
    size: Sizing = "model"
    """What frames are resized to."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.fps is not None and not 0 < self.fps <= 1000:
            raise FramecastError(f"fps is above 0 and at most 1000, got {self.fps:g}")


@dataclass(frozen=True)
class Footage:
    """The context of a prediction, and the frames of the video after it, read as they are used."""

    path: Path
    fps: float
    first: int
    """Number of the first frame of the context, at that rate."""
    context: Clip
    """One clip: `1 t c h w`."""
    future: Iterator[Tensor]
    """The frames after the context, `c h w` each; it may end early, or in a `VideoError`."""
    notes: list[str] = field(default_factory=list)
    """What was done to the frames, a line each."""


def open_footage(path: Path, model: Model, reading: Reading) -> Footage:
    """Read the context of a video for a model.

    Raises:
        FramecastError: if the video cannot be read, or has too few frames.
    """
    spec, about = model.expects, model.about
    wanted = reading.context or max(spec.context_min, stated(about.get("context")) or 1)
    source = frames(path, start=reading.start, fps=reading.fps)
    first = next(source)
    target = _target(first.image.shape[:2], reading.size, spec, about.get("size"))
    if spec.size not in (None, target or first.image.shape[:2]):
        height, width = spec.size
        raise FramecastError(
            f"{model.config.type} takes frames of {height}x{width} alone; leave --size out"
        )
    gray = spec.channels == 1
    stream = _adapted(path, chain([first], source), target, gray)
    observed = list(islice(stream, wanted))
    if len(observed) < wanted:
        raise VideoError(_too_short(path, len(observed), wanted, reading.start, model))
    notes = [*_sizing_notes(first.image.shape[:2], target), *_model_notes(model, wanted)]
    if gray and _colourful(first):
        notes.append("colour was turned into gray, which is what the model takes")
    info = probe(path)
    notes += [*filter(None, [missing(path)]), *_aspect_notes(info)]
    rate = info.fps or reading.fps or FOLDER_FPS
    fps = reading.fps or rate
    seconds = reading.start / rate if isinstance(reading.start, int) else reading.start
    number = round(seconds * fps)
    return Footage(path, fps, number, Clip(torch.stack(observed)[None]), stream, notes)


def find_videos(paths: Sequence[Path]) -> list[Path]:
    """The videos that paths stand for, each once.

    A file is a video, a folder of images is one, and a folder of videos is many, in natural order
    of their names.

    Raises:
        VideoError: if a folder holds neither, or nothing is given.
    """
    if not paths:
        raise VideoError("no video is given: name a video file, or a folder of videos or images")
    return list(dict.fromkeys(video for path in paths for video in _videos(path)))


def _videos(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    try:
        children = sorted(path.iterdir(), key=natural)
    except OSError as error:
        raise VideoError(f"{path} cannot be listed: {error.strerror}") from error
    shown = [child for child in children if not child.name.startswith(".")]
    files = [child for child in shown if child.is_file() and is_video(child)]
    if not files and is_video(path):
        return [path]
    found = [child for child in shown if child in files or (child.is_dir() and is_video(child))]
    if not found:
        raise VideoError(f"{path} holds neither videos nor images; name another folder or a file")
    return found


def _adapted(
    path: Path, source: Iterator[Frame], target: Size | None, gray: bool
) -> Iterator[Float[Tensor, "c h w"]]:
    """Frames as a model takes them, one by one."""
    shape = None
    for number, frame in enumerate(source):
        image = fit_image(frame.image, target, 1 if gray else 3)
        shape = shape or image.shape
        if image.shape != shape:
            raise VideoError(
                f"{path} changes its size to {image.shape[-2]}x{image.shape[-1]} {number} frames "
                "on; give a size, for example --size 240x320"
            )
        yield image


def _target(
    native: tuple[int, ...], sizing: Sizing, spec: FrameSpec, trained: object
) -> Size | None:
    """(height, width) that frames are brought to; None to leave them."""
    if isinstance(sizing, tuple):
        return sizing
    if sizing == "native":
        return None
    if spec.size is not None:
        return spec.size
    short = stated(trained) or min(filter(None, map(stated, _items(trained))), default=None)
    if short is None:
        return None
    scale = short / min(native)
    height, width = (max(1, round(side * scale)) for side in native)
    return height, width


def _items(value: object) -> list[object]:
    return list(value) if isinstance(value, list | tuple) else []


def stated(value: object) -> int | None:
    """What a model's folder says where that is a whole number above 0; None otherwise."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _colourful(frame: Frame) -> bool:
    image = frame.image.astype("int16")
    return bool(abs(image - image[..., :1]).max() > 8)


def _sizing_notes(native: tuple[int, ...], target: Size | None) -> list[str]:
    if target is None or target == tuple(native):
        return []
    notes = [f"frames were resized from {native[0]}x{native[1]} to {target[0]}x{target[1]}"]
    scale = max(target[0] / native[0], target[1] / native[1])
    cut = [round(side * scale) - kept for side, kept in zip(native, target, strict=True)]
    if max(cut) > 1:
        where = "above and below" if cut[0] > cut[1] else "left and right"
        side = native[0] if cut[0] > cut[1] else native[1]
        share = max(cut) / (side * scale)
        notes.append(f"the centre was kept: {share:.0%} was cropped {where}")
    return notes


def _aspect_notes(info: VideoInfo) -> list[str]:
    if abs(info.aspect - 1) < SQUARE:
        return []
    return [
        f"players show the stored pixels {info.aspect:.3g} times as wide as high; "
        "frames are used as they are stored, and look squeezed or stretched"
    ]


def _model_notes(model: Model, context: int) -> list[str]:
    most = model.expects.context_max
    if most is None or context <= most:
        return []
    return [f"of {context} context frames {model.config.type} uses the last {most}"]


def _too_short(path: Path, found: int, wanted: int, start: int | float, model: Model) -> str:
    place = f"frame {start}" if isinstance(start, int) else f"{start:g} s"
    least = model.expects.context_min
    cure = f"pass --context {found}" if found >= least else "give a longer video"
    earlier = " or an earlier --start" if start else ""
    need = f"; {model.config.type} needs at least {least}" if found < least else ""
    return (
        f"{path} has {counted(found, 'frame')} from {place} on, and the context is {wanted}"
        f"{need}; {cure}{earlier}"
    )
