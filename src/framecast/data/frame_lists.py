"""Published lists of windows: `train.txt` and `test.txt`, one window of a video per line.

A line is the folder of the video's frames, in some lists what their names begin with, the number of
the first frame, and in some lists that of the last one:

    data/ucfsport/Riding-Horse/,26
    data/sjtu4k/Traffic_Flow.mp4/,63,73
    data/human36m/S1/,S1_Directions.54138969_,1276,1346

Reference: the lists of STRPM (Chang et al., CVPR 2022) and STIP.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Literal

from framecast.errors import DataError

Layout = Literal["FOLDER,FIRST", "FOLDER,FIRST,LAST", "FOLDER,PREFIX,FIRST,LAST"]
"""The fields of a line."""


@dataclass(frozen=True)
class Listed:
    """A window of a list."""

    video: str
    """Key of the video."""
    first: int
    """Number of its first frame, as the names of the frames count."""


def read(path: Path, layout: Layout, key: Callable[[str], str | None]) -> list[Listed]:
    """Read a list; empty lines are passed over.

    The last frame is checked, and not needed: how many frames a window has is the caller's to say,
    as it is in the authors' loaders.

    Args:
        path: The list.
        layout: The fields of its lines.
        key: Which video a folder, with the prefix behind it, is of; None for none.

    Raises:
        DataError: if it cannot be read, is empty, or has a line that is no window: one line that
            names the file and the line.
    """
    try:
        lines = path.read_text("utf-8", errors="replace").splitlines()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    found: list[Listed] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            try:
                found.append(_listed(line, layout, key))
            except ValueError as error:
                shown = line.strip()[:100]
                raise DataError(f"line {number} of {path} {error}: {shown!r}") from None
    if not found:
        raise DataError(f"{path} lists no window; a line is {layout}")
    return found


def _listed(line: str, layout: Layout, key: Callable[[str], str | None]) -> Listed:
    """The window of a line; a ValueError says what is wrong with it."""
    names, fields = layout.split(","), [field.strip() for field in line.split(",")]
    by_name = dict(zip(names, fields, strict=False))
    first, last = (by_name.get(name, "0") for name in ("FIRST", "LAST"))
    if len(fields) != len(names) or not (first.isdecimal() and last.isdecimal()):
        raise ValueError(f"is no window {layout}")
    if "LAST" in names and int(last) < int(first):
        raise ValueError("has a last frame before its first")
    video = key(by_name["FOLDER"].replace("\\", "/") + by_name.get("PREFIX", ""))
    if video is None:
        raise ValueError("names no video of the dataset")
    return Listed(video, int(first))


@dataclass(frozen=True)
class Leak:
    """How much of a test list a training list gives away."""

    videos: int
    """Videos of the test list."""
    shared: int
    """Those of which the training list has windows too."""
    windows: int
    """Windows of the test list."""
    overlapping: int
    """Those that share frames with a window of the training list."""
    adjacent: int
    """Those that begin at the frame of a training window, or one frame from it."""

    def __str__(self) -> str:
        """As a note."""
        return (
            f"the lists leak: {self.shared:,} of {self.videos:,} test videos are in the training "
            f"list too; {self.overlapping:,} of {self.windows:,} test windows share frames with a "
            f"training window, {self.adjacent:,} are no more than one frame from one"
        )


def leak(train: Iterable[Listed], test: Iterable[Listed], frames: int, step: int) -> Leak:
    """Count what the lists share.

    Args:
        train: Windows to train on.
        test: Windows to test on.
        frames: Length of a window.
        step: By how much the number grows from a frame to the next.
    """
    starts: dict[str, list[int]] = defaultdict(list)
    for listed in train:
        starts[listed.video].append(listed.first)
    for numbers in starts.values():
        numbers.sort()
    windows = list(test)
    videos = {each.video for each in windows}
    distances = [_nearest(starts.get(each.video, []), each.first) for each in windows]
    return Leak(
        len(videos),
        len(videos & starts.keys()),
        len(windows),
        overlapping=sum(distance < frames * step for distance in distances),
        adjacent=sum(distance <= step for distance in distances),
    )


def _nearest(numbers: list[int], wanted: int) -> float:
    place = bisect_left(numbers, wanted)
    return min(
        (float(abs(n - wanted)) for n in numbers[max(0, place - 1) : place + 1]), default=inf
    )
