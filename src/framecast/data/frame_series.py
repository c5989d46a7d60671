"""Images of one folder that are numbered frames of a video, found by their names.

A run is frames whose numbers grow by a constant step; where a number is missing, another run
begins. Its first image stands for it: `S1/Directions_000026.jpg` with a step of 5 is the frames 26,
31, 36 … as far as they are there.
"""

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

from framecast.data.prepared import digest

_NUMBER = re.compile(r"(.*?)(\d+)", re.DOTALL)


@dataclass(frozen=True)
class Run:
    """Numbered images in a row."""

    first: Path
    """The first image."""
    frames: int
    """How many there are."""


def number(path: Path) -> int:
    """The number at the end of an image's name."""
    return _parts(path)[1]


def runs(images: Iterable[Path], step: int) -> list[Run]:
    """The runs of some images of one folder, by name and number.

    Images between two frames of a run are left out, so that a folder with all frames of a video
    gives every `step`-th one, counted from the first.

    Args:
        images: Images whose names end in a number.
        step: By how much numbers grow.
    """
    found: dict[tuple[str, str], dict[int, Path]] = defaultdict(dict)
    for path in images:
        prefix, at, _ = _parts(path)
        found[prefix, path.suffix][at] = path
    return [run for _, images in sorted(found.items()) for run in _runs(images, step)]


def frames(first: Path, step: int, start: int = 0) -> Iterator[Path]:
    """The images of a run from number `start` of it on, to its end."""
    prefix, begin, width = _parts(first)
    paths = (
        first.with_name(f"{prefix}{at:0{width}}{first.suffix}")
        for at in count(begin + start * step, step)
    )
    return takewhile(Path.is_file, paths)


def fingerprint(first: Path, step: int) -> str:
    """SHA-256 of the names and sizes of a run, and of both ends of three of its images."""
    paths = list(frames(first, step))
    state = hashlib.sha256()
    for path in paths:
        state.update(f"{path.name}\0{path.stat().st_size}\n".encode())
    for place in sorted({0, len(paths) // 2, len(paths) - 1}):
        state.update(digest(paths[place]).encode())
    return state.hexdigest()


def _parts(path: Path) -> tuple[str, int, int]:
    """What stands before the number, the number, and to how many digits zeros fill it up."""
    match = _NUMBER.fullmatch(path.stem)
    if match is None:
        raise ValueError(f"the name of {path} ends in no number")
    digits = match[2]
    return match[1], int(digits), len(digits) if digits.startswith("0") and len(digits) > 1 else 0


def _runs(images: dict[int, Path], step: int) -> Iterator[Run]:
    following = 0
    for at in sorted(images):
        if at >= following:
            length = next(n for n in count(1) if at + n * step not in images)
            following = at + length * step
            yield Run(images[at], length)
