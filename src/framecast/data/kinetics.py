"""Kinetics-600: short clips of 600 kinds of human action, from YouTube.

Reference: Carreira et al., "A short note about Kinetics-600" (2018); clips of 16 frames as in Video
VQ-VAE, section 3.1.
"""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import UInt8

from framecast.clip import Source, Split
from framecast.data.prepared import Recording
from framecast.data.recorded import (
    RecordedClips,
    RecordedConfig,
    Video,
    listing,
    videos_under,
)
from framecast.data.windows import Span, Windows
from framecast.errors import ConfigError, DataError, EmptySplitError
from framecast.noise import mix
from framecast.video import fit_bytes
from framecast.video import frames as video_frames
from framecast.wording import counted

SITE = "https://github.com/cvdfoundation/kinetics-dataset"
WHERE = (
    "folders train, val and test of videos (train/CLASS/ID_000010_000020.mp4), or any folders of "
    "them beside the published lists train.csv, val.csv and test.csv"
)
PARTS: dict[str, Split] = {
    "train": "train",
    "validation": "validation",
    "validate": "validation",
    "val": "validation",
    "test": "test",
}
"""Splits by name of a folder, or by what the name of a list ends in."""

_FILE = re.compile(r"(?P<id>.{11})(?:_(?P<start>\d{6})_\d{6})?")
_LIST = re.compile(rf"(?:.*[^a-z])?({'|'.join(PARTS)})\.csv", re.IGNORECASE)

Named = tuple[str, int | None]
"""What a list calls a clip: identifier of the video, and the second it starts at, if known."""


@dataclass(frozen=True)
class Kinetics(RecordedConfig):
    """Kinetics-600 as it is distributed: video files by split, class and YouTube identifier.

    The split of a file is that of the published lists where there are some, and otherwise that of
    the folder it is in, `train`, `val` (`validate`, `validation`) or `test` right under `root`.
    What is on no list, or in no such folder, is left out and counted, and so is what cannot be
    read or is too short.

    Frames are the native ones, short side resized to `size`, centre cropped. A clip of training
    begins anywhere in its video, anew in every epoch; of validation and test each video gives its
    first frames, in an order that mixes the classes, so that the first so many stand for all.
    """

    type: ClassVar[str] = "kinetics-600"

    size: int = 256
    """Height and width of the frames, in pixels."""
    lists: Path | None = None
    """Folder of the published lists; None for `root`."""

    def __post_init__(self) -> None:
        """Check the size."""
        if self.size < 1:
            raise ConfigError("size is the height and width of frames, at least 1 pixel")

    def source(self, split: Split, frames: int, seed: int) -> Source:
        """The clips of one split.

        Raises:
            DataError: if no video of the split can be used.
        """
        scan = self.scan()
        lists = self._lists()
        assigned = _by_list(scan.recordings, lists) if lists else _by_folder(scan.recordings)
        chosen = [r for r in scan.recordings if assigned.get(r.name) == split]
        usable = [r for r in chosen if r.frames >= frames]
        if not usable:
            raise EmptySplitError(
                self._nothing(split, frames, len(chosen), bool(lists), scan.unreadable)
            )
        if split != "train":
            usable.sort(key=lambda recording: (mix("kinetics", recording.name), recording.name))
        spans = tuple(Span(n, 0, r.frames - 1, r.frames) for n, r in enumerate(usable))
        outside = [r.name for r in scan.recordings if r.name not in assigned]
        said = (
            *listing("video", "cannot be read, left out", scan.unreadable),
            *_notes(chosen, frames),
            *listing("video", f"{'on no list' if lists else 'in no split'}, left out", outside),
            f"{counted(len(usable), f'{split} clip')} of {frames} frames"
            + (_listed(split, len(usable), lists) if lists else ""),
        )
        windows = Windows(spans, frames)
        draw = seed if split == "train" else None
        return RecordedClips(self, tuple(usable), scan.prepared, windows, draw, said)

    def recipe(self) -> dict[str, Any]:
        """What the frames depend on besides the originals."""
        return {"type": self.type, "size": self.size}

    def originals(self) -> list[Video]:
        """The videos under `root`, by name."""
        root = self.folder()
        found = [Video(path.relative_to(root).as_posix(), path) for path in videos_under(root)]
        if not found:
            raise DataError(f"{root} holds no videos: expected {WHERE}; from {SITE}")
        return sorted(found)

    def decode(
        self, path: Path, start: int, count: int | None
    ) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """Frames in colour, short side resized, centre cropped, rounded to 8 bits."""
        for frame in video_frames(path, start=start, count=count):
            yield fit_bytes(frame.image, (self.size, self.size), 3)

    def companions(self) -> dict[str, Path]:
        """The published lists, where they are at hand."""
        return {path.name: path for path in self._list_files()}

    def _list_files(self) -> list[Path]:
        folder = self.lists or self.folder()
        if not folder.is_dir():
            raise DataError(f"{folder} is no folder; give the folder of the lists as data.lists")
        found = [path for path in sorted(folder.glob("*.csv")) if _LIST.fullmatch(path.name)]
        if self.lists is not None and not found:
            raise DataError(f"{folder} holds no list: expected train.csv, val.csv and test.csv")
        return found

    def _lists(self) -> dict[Named, Split]:
        """The split of every listed clip, by identifier and start, and by identifier alone."""
        found: dict[Named, Split] = {}
        for path in self._list_files():
            match = _LIST.fullmatch(path.name)
            assert match is not None  # `_list_files` has seen to it
            split = PARTS[match[1].lower()]
            for name in read_list(path):
                if found.setdefault(name, split) != split:
                    raise DataError(
                        f"{path.parent} lists {name[0]} in {found[name]} and in {split}; mend that"
                    )
        return found

    def _nothing(
        self, split: Split, frames: int, chosen: int, listed: bool, unreadable: dict[str, str]
    ) -> str:
        if chosen:
            videos = counted(chosen, f"{split} video")
            return f"of the {videos} of {self.root} none has {frames} frames"
        bad = f"; {len(unreadable)} cannot be read" if unreadable else ""
        how = "that a list names" if listed else "in a folder of that split"
        return (
            f"{self.root} has no readable {split} video {how}{bad}: expected {WHERE}; from {SITE}"
        )


def read_list(path: Path) -> list[Named]:
    """Read a published list: a row per clip, with the columns `youtube_id` and `time_start`.

    Returns:
        Identifier and start in seconds of each clip, without a start where the list has none.

    Raises:
        DataError: if it cannot be read, lacks the columns, or has a row without them.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file)
            if "youtube_id" not in (rows.fieldnames or ()):
                raise DataError(f"{path} has no column youtube_id; get the list from {SITE}")
            return [_entry(path, rows.line_num, row) for row in rows]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from None


def _entry(path: Path, line: int, row: dict[str, str | None]) -> Named:
    name, start = (row.get("youtube_id") or "").strip(), (row.get("time_start") or "").strip()
    try:
        second = int(float(start)) if start else None
    except (ValueError, OverflowError):
        second, name = None, ""
    if not name:
        raise DataError(f"line {line} of {path} names no clip; get the list from {SITE}")
    return name, second


def _by_list(recordings: tuple[Recording, ...], lists: dict[Named, Split]) -> dict[str, Split]:
    """The split of every file that a list names: by identifier and start, as far as both tell."""
    loose: dict[str, Split] = {name: split for (name, _), split in lists.items()}
    found: dict[str, Split] = {}
    for recording in recordings:
        match = _FILE.fullmatch(Path(recording.name).stem)
        if match is None:
            continue
        start = None if match["start"] is None else int(match["start"])
        exact, unstarted = (match["id"], start), (match["id"], None)
        if exact in lists:
            found[recording.name] = lists[exact]
        elif unstarted in lists:
            found[recording.name] = lists[unstarted]
        elif start is None and match["id"] in loose:
            found[recording.name] = loose[match["id"]]
    return found


def _by_folder(recordings: tuple[Recording, ...]) -> dict[str, Split]:
    tops = {r.name: r.name.split("/", 1)[0].lower() for r in recordings if "/" in r.name}
    return {name: PARTS[top] for name, top in tops.items() if top in PARTS}


def _notes(chosen: list[Recording], frames: int) -> tuple[str, ...]:
    short = {r.name: counted(r.frames, "frame") for r in chosen if r.frames < frames}
    faults = {r.name: r.fault for r in chosen if r.fault and r.frames >= frames}
    return (
        *listing("video", f"with fewer than {frames} frames, left out", short),
        *listing("video", "damaged and used up to the fault", faults),
    )


def _listed(split: Split, used: int, lists: dict[Named, Split]) -> str:
    total = sum(each == split for each in lists.values())
    return f" of {total:,} that the list names" if used != total else ", all that the list names"
