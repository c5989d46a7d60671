"""Which frames of which video make a sample: pure functions of spans and strides.

A span is a run of frames of one video; a window is the part of a span that makes one clip. Nothing
here opens a file: an index of a million windows is one tuple of spans and one of running counts.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from typing import Literal

from framecast.clip import Key
from framecast.noise import mix


@dataclass(frozen=True)
class Span:
    """Frames `first` to `last`, both included and counted from 0, of video number `video`."""

    video: int
    first: int
    last: int
    stride: int = 1
    """Frames between the starts of successive windows."""

    @property
    def length(self) -> int:
        """Number of frames."""
        return self.last - self.first + 1


@dataclass(frozen=True)
class Window:
    """`frames` frames in a row of video number `video`, from frame `start` (counted from 0)."""

    video: int
    start: int
    frames: int


@dataclass(frozen=True)
class Windows:
    """All windows of `frames` frames in some spans, in the order of the spans and of time.

    A span shorter than a window gives none (`dropped` counts such spans), one that is just as long
    gives one, and frames that fill no window are left over at the end of the span, or at its
    beginning where `anchor` is "last".
    """

    spans: tuple[Span, ...]
    frames: int
    anchor: Literal["first", "last"] = "first"
    """Which end of a span its windows are counted from."""
    mixed: bool = False
    """Number the windows in an order that mixes all spans, the same everywhere, so that the first
    so many stand for all."""
    ends: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """Number of windows in the spans up to and including each one."""
    order: tuple[int, ...] = field(init=False, repr=False, compare=False)
    """Windows by their numbers, where they are mixed; empty otherwise."""

    def __post_init__(self) -> None:
        """Count the windows."""
        if self.frames < 1 or any(span.stride < 1 for span in self.spans):
            raise ValueError("windows and their strides have at least one frame")
        counts = (count(span.length, self.frames, span.stride) for span in self.spans)
        object.__setattr__(self, "ends", tuple(accumulate(counts)))
        places = range(len(self)) if self.mixed else ()
        order = sorted(places, key=lambda index: (mix("windows", index), index))
        object.__setattr__(self, "order", tuple(order))

    def __len__(self) -> int:
        """Number of windows."""
        return self.ends[-1] if self.ends else 0

    def __getitem__(self, index: int) -> Window:
        """Window number `index`.

        Raises:
            IndexError: if there is none.
        """
        span, number = self._locate(index)
        start = span.first + number * span.stride
        if self.anchor == "last":
            start += (span.length - self.frames) % span.stride
        return Window(span.video, start, self.frames)

    def at(self, key: Key, seed: int | None) -> Window:
        """The window of a key: drawn by a seed, or, where it is None, the same in every epoch."""
        epoch, index = key
        return self[index] if seed is None else self.random(seed, epoch, index)

    def random(self, seed: int, epoch: int, index: int) -> Window:
        """A window anywhere in the span of window number `index`: a pure function of the names.

        An epoch so visits every span as often as it has windows, and over the epochs every start
        is as likely as any other.
        """
        span, _ = self._locate(index)
        starts = span.length - self.frames + 1
        return Window(
            span.video, span.first + mix(seed, "window", epoch, index) % starts, self.frames
        )

    @property
    def dropped(self) -> int:
        """Number of spans that are too short for a window."""
        return sum(span.length < self.frames for span in self.spans)

    @property
    def overlap(self) -> bool:
        """Whether some windows share frames."""
        windows = (self[index] for index in range(len(self)))
        starts = sorted((window.video, window.start) for window in windows)
        return any(a == c and d - b < self.frames for (a, b), (c, d) in pairwise(starts))

    def _locate(self, index: int) -> tuple[Span, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"window {index} of {len(self)}")
        index = self.order[index] if self.mixed else index
        place = bisect_right(self.ends, index)
        return self.spans[place], index - (self.ends[place - 1] if place else 0)


def count(length: int, frames: int, stride: int) -> int:
    """Number of windows of `frames` frames that start every `stride` in `length` frames."""
    return max(0, (length - frames) // stride + 1)


def runs(ranges: Iterable[Sequence[int]]) -> list[tuple[int, int]]:
    """Join ranges (first, last), both included, that overlap or follow on without a gap."""
    joined: list[tuple[int, int]] = []
    for first, last in sorted((first, last) for first, last in ranges):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        else:
            joined.append((first, last))
    return joined
