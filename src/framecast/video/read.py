"""Reading: a stream of frames, or a clip."""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from framecast.clip import Clip
from framecast.errors import FramecastError, VideoError
from framecast.video import folder, stream
from framecast.video.fit import Size, fit_image
from framecast.video.stream import Moment


@dataclass(frozen=True)
class Frame:
    """One image of a video."""

    image: UInt8[np.ndarray, "h w 3"]
    """RGB, upright."""
    seconds: float
    """Time since the first frame of the video."""


def frames(
    path: str | Path,
    *,
    start: int | float = 0,
    count: int | None = None,
    fps: float | int | None = None,
) -> Iterator[Frame]:
    """Stream a video: memory holds a few frames, whatever its length.

    A start within the file is sought, not decoded to, and lands exactly: `start=n` gives the frame
    that is the n-th when decoding from the beginning. (In a damaged file a seek passes over faults
    that a decoder would stop at.)

    Images are upright, and their pixels are the stored ones, even where the file says that a
    player shall not show them as squares (`VideoInfo.aspect`).

    Args:
        path: a video file, a GIF, or a folder of PNG or JPEG images in natural order of names.
        start: an int is a frame number from 0; a float is a time in seconds, and the frame on show
            then comes first.
        count: how many frames at most; a shorter video simply ends. None for all.
        fps: None for the frames as they are. Otherwise at a constant rate: each instant gets the
            latest frame at or before it, and `seconds` is the instant. For a folder, which has no
            clock, this is the rate of its images (`FOLDER_FPS` where None).

    Warns:
        FrameWarning: where the file is damaged, after the frames before the fault; and at its end
            where it is cut off: more than 2 frames and 2 % shorter than it states (MPEG-TS and raw
            streams state no length).

    Raises:
        VideoError: if there is no such video, or no frame from `start` on. (From the first `next`.)
        FramecastError: if `start`, `count` or `fps` is out of its range.
    """
    path = Path(path)
    _check(start, count, fps)
    if path.is_dir():
        shown = folder.moments(path, start, fps or folder.FOLDER_FPS)
    else:
        shown = stream.moments(path, start)
        if fps is not None:
            shown = _resampled(shown, fps, start if isinstance(start, float) else None)
    return (Frame(moment.picture(), moment.seconds) for moment in islice(shown, count))


def read(
    path: str | Path,
    *,
    start: int | float = 0,
    count: int | None = None,
    fps: float | int | None = None,
    size: Size | None = None,
    channels: Literal[1, 3] = 3,
) -> Clip:
    """Read a clip: `frames` is `t c h w` in [0, 1], `seconds` counts from its first frame.

    Memory holds the clip once, and a few frames besides.

    Args:
        path: a video file, a GIF, or a folder of PNG or JPEG images.
        start: frame number (int) or time in seconds (float).
        count: how many frames; None for all from `start` on.
        fps: a constant rate to resample to; see `frames`.
        size: (height, width): short side resized, aspect kept, centre cropped. None for native.
        channels: 3 for colour, 1 for BT.601 luma.

    Raises:
        VideoError: if the video cannot be read, or has fewer than `count` frames from `start` on.
        FramecastError: if an argument is out of its range.
    """
    held = _Growing(count)
    seconds: list[float] = []
    for frame in frames(path, start=start, count=count, fps=fps):
        height, width = size or frame.image.shape[:2]
        slot = held.slot((channels, height, width))
        if slot is None:
            raise VideoError(
                f"{path} changes its size to {width}x{height} at {frame.seconds:g} s; "
                "read it at a fixed size"
            )
        _fill(slot, frame.image, size)
        seconds.append(frame.seconds)
        del frame  # not to be held while the next one is decoded
    if count is not None and len(seconds) < count:
        place = f"frame {start}" if isinstance(start, int) else f"{start:g} s"
        raise VideoError(
            f"{path} has only {len(seconds)} frames from {place} on, and {count} are asked for; "
            "ask for fewer, or start earlier"
        )
    times = torch.tensor([second - seconds[0] for second in seconds], dtype=torch.float32)
    return Clip(held.tensor(), seconds=times)


class _Growing:
    """A tensor that grows along its first axis, allocated once where the length is known."""

    def __init__(self, length: int | None):
        self._room = length or 32
        self._data = torch.empty(0)
        self._length = 0

    def slot(self, shape: tuple[int, int, int]) -> Tensor | None:
        """The next item, to be filled; None if the items so far have another shape."""
        if self._length == 0:
            self._data = torch.empty(self._room, *shape)
        elif self._data.shape[1:] != shape:
            return None
        elif self._length == len(self._data):
            grown = torch.empty(2 * self._length, *shape)
            grown[: self._length] = self._data
            self._data = grown
        self._length += 1
        return self._data[self._length - 1]

    def tensor(self) -> Tensor:
        """All items, without the room left over."""
        full = self._length == len(self._data)
        return self._data if full else self._data[: self._length].clone()


def _fill(
    slot: Float[Tensor, "c oh ow"], image: UInt8[np.ndarray, "h w 3"], size: Size | None
) -> None:
    if size is None and len(slot) == 3:
        # no second copy: a 4K frame takes 100 MB
        slot.copy_(torch.from_numpy(image).permute(2, 0, 1)).div_(255)
    else:
        slot.copy_(fit_image(image, size, 1 if len(slot) == 1 else 3))


def _check(start: int | float, count: int | None, fps: float | int | None) -> None:
    if not (math.isfinite(start) and start >= 0):
        raise FramecastError(f"a video starts at frame or second 0, not {start}")
    if count is not None and count < 1:
        raise FramecastError(f"count is a number of frames from 1 on, or None for all, not {count}")
    if fps is not None and not (math.isfinite(fps) and fps > 0):
        raise FramecastError(f"fps is a positive number of frames per second, not {fps}")


def _resampled(shown: Iterator[Moment], fps: float | int, start: float | None) -> Iterator[Moment]:
    """At each instant of a constant rate, the latest frame at or before it."""
    held: Moment | None = None
    origin, number = 0.0, 0
    for moment in shown:
        if held is None:
            origin = moment.seconds if start is None else start
        else:
            while origin + number / fps < moment.seconds - moment.slack:
                yield replace(held, seconds=origin + number / fps)
                number += 1
        held = moment
    if held is not None:
        while origin + number / fps < held.seconds + held.length - held.slack:
            yield replace(held, seconds=origin + number / fps)
            number += 1
