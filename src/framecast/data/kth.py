"""KTH actions: six actions, 25 persons, four scenes, gray.

Reference: Schuldt, Laptev, Caputo, "Recognizing human actions: a local SVM approach", ICPR 2004.
Splits and windows as in PredRNN's and SVG's loaders, which the papers here follow.
"""

import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import UInt8

from framecast.clip import Source, Split
from framecast.data.prepared import Recording
from framecast.data.recorded import (
    RecordedClips,
    RecordedConfig,
    Scan,
    Video,
    files_under,
    listing,
)
from framecast.data.windows import Span, Windows, runs
from framecast.errors import DataError, EmptySplitError
from framecast.video import frames as video_frames
from framecast.video import to_gray

STRIDES: dict[str, int | None] = {
    "boxing": None,
    "handclapping": None,
    "handwaving": None,
    "walking": None,
    "jogging": 3,
    "running": 3,
}
"""Frames by which windows advance, by action; None for the length of a window."""
TEST_FROM = {"1-16/17-25": 17, "1-20/21-25": 21}
"""First test person of each split."""
VALIDATION = (15, 16)
"""Persons held out of training."""
CLIPS = 599
"""Files of the official distribution: person 13 has no handclapping in scene 3."""
PUBLISHED = {"train": 108_717, "test": 4_086}
"""Windows that S-HR-VQVAE reports, as E3D-LSTM did."""
RANGES = "00sequences.txt"
SITE = "https://www.csc.kth.se/cvap/actions/"

_FILE = re.compile(rf"(person(\d\d)_({'|'.join(STRIDES)})_d([1-4]))_uncomp\.avi", re.IGNORECASE)
_LINE = re.compile(
    r"\s*(person\d\d_[a-z]+_d\d)(?:_uncomp(?:\.avi)?)?[\s:]+(?:frames\s+)?(.*)", re.I
)
_RANGE = re.compile(r"(\d+)\s*-\s*(\d+)")
_RANGE_LIST = re.compile(r"[\d\s,;-]*")

Ranges = dict[str, list[tuple[int, int]]]


@dataclass(frozen=True)
class Kth(RecordedConfig):
    """KTH clips `person{01..25}_{action}_d{1..4}_uncomp.avi`, at any depth under `root`.

    A window advances by its own length for boxing, handclapping, handwaving and walking, by 3
    frames for jogging and running, counted back from the end of every run of frames.

    The whole 160×120 frame is squeezed to `size` × `size` (the aspect is not kept), as published:
    for 128 bilinear without antialiasing (PredRNN), for 64 bicubic with it (SVG).

    The whole dataset so has 12,386 windows of 20 frames for persons 1-16 and 5,045 of 30 for
    17-25, which are not the published counts (`PUBLISHED`): `notes` says so. Windows of validation
    and test are numbered in an order that mixes actions and persons, so that the first so many
    stand for all.
    """

    type: ClassVar[str] = "kth"

    size: Literal[64, 128] = 128
    """Height and width of the frames, in pixels."""
    persons: Literal["1-16/17-25", "1-20/21-25"] = "1-16/17-25"
    """Persons to train on and to test on."""
    hold_out: bool = True
    """Keep persons 15 and 16 out of training, for validation."""
    span: Literal["range", "clip"] = "range"
    """Where windows lie: in the official ranges with a person in view, or anywhere in a clip."""
    ranges: Path | None = None
    """The official list of ranges; None for `00sequences.txt` under `root`."""

    def source(self, split: Split, frames: int, seed: int) -> Source:  # noqa: ARG002
        """The published windows of one split: the same in every epoch, whatever the seed."""
        scan = self.scan()
        ranges = read_ranges(self._range_file()) if self.span == "range" else None
        chosen = [r for r in scan.recordings if self._split(_person(r.name)) == split]
        if not chosen:
            raise EmptySplitError(
                f"{self.root} has no readable KTH clip of {self._persons(split)}, so the {split} "
                f"split is empty; add them ({SITE})"
            )
        spans, unlisted = _spans(chosen, ranges, frames)
        windows = Windows(spans, frames, anchor="last", mixed=split != "train")
        if not len(windows):
            raise EmptySplitError(
                f"no sequence of the {split} split of {self.root} has {frames} frames; "
                "ask for fewer" + ("" if ranges is None else ', or for span="clip"')
            )
        notes = self._notes(split, scan, windows, unlisted)
        return RecordedClips(self, tuple(chosen), scan.prepared, windows, said=notes)

    def recipe(self) -> dict[str, Any]:
        """What the frames depend on besides the originals."""
        return {"type": self.type, "size": self.size}

    def originals(self) -> list[Video]:
        """The clips under `root`, by action, person and scene."""
        root = self.folder()
        found = [Video(path.relative_to(root).as_posix(), path) for path in files_under(root)]
        clips = [video for video in found if _FILE.fullmatch(video.path.name)]
        if not clips:
            raise DataError(
                f"{root} holds no KTH clip (person01_boxing_d1_uncomp.avi …, in it or in a folder "
                f"per action); get them from {SITE}"
            )
        names = Counter(_key(video.name) for video in clips)
        twice = [name for name, number in names.items() if number > 1]
        if twice:
            raise DataError(f"{root} holds {twice[0]} more than once; keep one")
        return sorted(clips, key=lambda video: _order(video.name))

    def decode(
        self, path: Path, start: int, count: int | None
    ) -> Iterator[UInt8[np.ndarray, "h w c"]]:
        """Gray frames, resized and rounded to 8 bits."""
        for frame in video_frames(path, start=start, count=count):
            yield squeeze(frame.image, self.size)

    def companions(self) -> dict[str, Path]:
        """The list of ranges, where it is at hand."""
        path = self.ranges or self.folder() / RANGES
        return {RANGES: path} if path.is_file() else {}

    def _range_file(self) -> Path:
        path = self.ranges or self.folder() / RANGES
        if not path.is_file():
            raise DataError(
                f"{path} is missing: the official frame ranges, from {SITE}; "
                'span="clip" takes whole clips and does without'
            )
        return path

    def _split(self, person: int) -> Split:
        if person >= TEST_FROM[self.persons]:
            return "test"
        return "validation" if self.hold_out and person in VALIDATION else "train"

    def _persons(self, split: Split) -> str:
        persons = [p for p in range(1, 26) if self._split(p) == split]
        if not persons:
            return "a validation person, for hold_out is off"
        parts = [f"{a}-{b}" for a, b in runs((p, p) for p in persons)]
        return f"persons {' and '.join(parts)}"

    def _notes(
        self, split: Split, scan: Scan, windows: Windows, unlisted: list[str]
    ) -> tuple[str, ...]:
        missing = CLIPS - len(scan.recordings) - len(scan.unreadable)
        notes = listing("clip", "cannot be read", scan.unreadable)
        notes += listing("clip", "without ranges in the list, left out", unlisted)
        if missing > 0:
            notes += (f"{missing} of the {CLIPS} KTH clips are not there",)
        if windows.dropped:
            notes += (
                f"{windows.dropped} of {len(windows.spans)} sequences have fewer than "
                f"{windows.frames} frames and are left out",
            )
        if split in PUBLISHED and self.persons == "1-16/17-25":
            notes += (
                f"{len(windows):,} {split} windows of {windows.frames} frames; "
                f"S-HR-VQVAE and E3D-LSTM report {PUBLISHED[split]:,}",
            )
        return notes


def squeeze(image: UInt8[np.ndarray, "h w 3"], size: int) -> UInt8[np.ndarray, "size size 1"]:
    """A frame in gray, resized to a square as published, rounded to 8 bits."""
    picture = to_gray(torch.from_numpy(image).permute(2, 0, 1)[None].float() / 255)
    small = size < min(image.shape[:2])
    resized = F.interpolate(
        picture, size=(size, size), mode="bicubic" if small else "bilinear", antialias=small
    )
    return resized[0].permute(1, 2, 0).mul(255).round_().clamp_(0, 255).byte().numpy()


def read_ranges(path: Path) -> Ranges:
    """Read the official list: `person01_boxing_d1  frames  1-95, 96-185, …` line by line.

    Returns:
        Clip name to its ranges (first, last), both included and counted from 0. A clip that is
        listed as missing has none.

    Raises:
        DataError: if a line cannot be understood, or no line names a clip.
    """
    found: Ranges = {}
    for number, line in enumerate(path.read_text("utf-8", errors="replace").splitlines(), 1):
        match = _LINE.match(line)
        if match is None:
            continue
        name, rest = match[1].lower(), match[2].strip()
        pairs = [(int(a) - 1, int(b) - 1) for a, b in _RANGE.findall(rest)]
        known = _RANGE_LIST.fullmatch(rest) or "missing" in rest.lower()
        if not known or any(a < 0 or b < a for a, b in pairs):
            raise DataError(f"line {number} of {path} holds no frame ranges: {line.strip()!r}")
        found[name] = pairs
    if not found:
        raise DataError(f"{path} names no KTH clip; get {RANGES} from {SITE}")
    return found


def _spans(
    recordings: list[Recording], ranges: Ranges | None, frames: int
) -> tuple[tuple[Span, ...], list[str]]:
    """The runs of frames to take windows from, and the clips that the list lacks."""
    spans: list[Span] = []
    unlisted: list[str] = []
    for number, recording in enumerate(recordings):
        key = _key(recording.name)
        listed = [(0, recording.frames - 1)] if ranges is None else ranges.get(key, [])
        if not listed:
            unlisted.append(key)
        stride = STRIDES[key.split("_")[1]] or frames
        for first, last in runs(listed):
            if first < recording.frames:
                spans.append(Span(number, first, min(last, recording.frames - 1), stride))
    return tuple(spans), unlisted


def _matched(name: str) -> re.Match[str]:
    match = _FILE.fullmatch(name.rsplit("/", 1)[-1])
    if match is None:
        raise DataError(f"{name!r} is no KTH clip; prepare the folder again")
    return match


def _key(name: str) -> str:
    return _matched(name)[1].lower()


def _person(name: str) -> int:
    return int(_matched(name)[2])


def _order(name: str) -> tuple[int, int, int]:
    _, person, action, scene = _matched(name).groups()
    return list(STRIDES).index(action.lower()), int(person), int(scene)
