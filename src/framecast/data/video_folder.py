"""Any folder of videos as a dataset, split by file."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from operator import gt
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
from jaxtyping import UInt8

from framecast.clip import Source, Split
from framecast.data.prepared import Recording
from framecast.data.recorded import (
    RecordedClips,
    RecordedConfig,
    Scan,
    Video,
    listing,
    videos_under,
)
from framecast.data.varied import VariedClips
from framecast.data.windows import Span, Windows
from framecast.errors import ConfigError, DataError, EmptySplitError
from framecast.noise import SEED_BITS, mix
from framecast.video import fit_bytes, missing
from framecast.video import frames as video_frames
from framecast.wording import counted

LONG = 16
"""Frames of a video that may be held out for validation or test."""

SPLITS: tuple[Split, ...] = ("train", "validation", "test")
FOLDERS: dict[str, Split] = {
    "train": "train",
    "validation": "validation",
    "val": "validation",
    "test": "test",
}
"""Folders right under the root that say what split they hold."""


@dataclass(frozen=True)
class VideoFolder(RecordedConfig):
    """Video files, GIFs and folders of PNG or JPEG frames, at any depth under `root`.

    Where `root` has a folder `train`, the folders `train`, `validation` (or `val`) and `test` are
    the splits. Otherwise videos are split by a hash of their names, so that a video stays in its
    split when others come or go; where that would leave a split empty (few videos), the order of
    the hashes is cut instead. A video is never cut into several splits, and the split does not
    depend on the length of the clips.

    Training draws a window at random for every index and epoch, or has those at fixed places with
    `random_windows` off; validation and test always do. Videos that cannot be read or are too
    short are left out and named in `notes`.
    """

    type: ClassVar[str] = "video-folder"

    size: tuple[int, int] | None = None
    """(height, width) in pixels: short side resized, aspect kept, centre cropped. None for the
    videos' own size: batches then need videos of one size."""
    channels: Literal[1, 3] = 3
    """3 for colour, 1 for gray."""
    fps: float | None = None
    """Frames per second to resample videos to; None for their own frames. Folders of frames have
    no clock and are taken to have this rate."""
    stride: int | None = None
    """Frames between the starts of windows, also what sets the windows of a training epoch; None
    for as many as a window has, so that windows do not overlap."""
    most_windows: int | None = None
    """Most windows of one video in an epoch, spread evenly, so that a long video does not outweigh
    the others; None for all."""
    random_windows: bool = True
    """Whether training windows are drawn anew in every epoch, or stay at fixed places."""
    crop: tuple[int, int] | None = None
    """(height, width) in pixels of the part of each frame that is used: at a place drawn anew in
    every epoch for training, the centre for validation and test; None for the whole frame."""
    flip: bool = False
    """Whether training clips are mirrored left to right at random."""
    splits: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Fractions of the videos for training, validation and test."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.size is not None and min(self.size) < 1:
            raise ConfigError("size is (height, width), at least 1 pixel each")
        if self.fps is not None and not 0 < self.fps < math.inf:
            raise ConfigError("fps is above 0, and finite")
        if self.stride is not None and self.stride < 1:
            raise ConfigError("stride is at least 1 frame")
        if self.most_windows is not None and self.most_windows < 1:
            raise ConfigError("most_windows is at least 1, or None for all")
        if self.crop is not None and min(self.crop) < 1:
            raise ConfigError("crop is (height, width), at least 1 pixel each")
        if self.crop and self.size and any(map(gt, self.crop, self.size)):
            (high, wide), (height, width) = self.crop, self.size
            raise ConfigError(
                f"a crop of {high}x{wide} cannot be cut from frames of {height}x{width}; "
                "set a smaller data.crop, or None"
            )
        if min(self.splits) < 0 or abs(sum(self.splits) - 1) > 1e-6:
            raise ConfigError("splits are three fractions that add up to 1")

    def source(self, split: Split, frames: int, seed: int) -> Source:
        """The clips of one split.

        Raises:
            DataError: if the root or the split has no video that can be used.
        """
        scan = self.scan()
        assigned, notes = self._assign(scan.recordings)
        chosen = [r for r in scan.recordings if assigned.get(r.name) == split]
        usable = [r for r in chosen if r.frames >= frames]
        if not usable:
            raise EmptySplitError(self._nothing(split, len(chosen), frames, scan))
        strides = [self._stride_of(recording.frames, frames) for recording in usable]
        spans = tuple(
            Span(number, 0, recording.frames - 1, stride)
            for number, (recording, stride) in enumerate(zip(usable, strides, strict=True))
        )
        notes += (*_notes(scan, chosen, frames), *self._gaps(scan, usable))
        draw = seed if split == "train" and self.random_windows else None
        windows = Windows(spans, frames)
        clips = RecordedClips(self, tuple(usable), scan.prepared, windows, draw, notes)
        flip = self.flip and split == "train"
        if self.crop is None and not flip:
            return clips
        return VariedClips(clips, self.crop, flip, seed if split == "train" else None)

    def recipe(self) -> dict[str, Any]:
        """What the frames depend on besides the originals."""
        size = None if self.size is None else list(self.size)
        return {"type": self.type, "size": size, "channels": self.channels, "fps": self.fps}

    def rate(self) -> float | None:
        """Frames per second that videos are resampled to."""
        return self.fps

    def originals(self) -> list[Video]:
        """The videos under `root`, by name."""
        root = self.folder()
        found = [Video(path.relative_to(root).as_posix(), path) for path in videos_under(root)]
        if not found:
            raise DataError(
                f"{root} holds no videos: neither files (mp4, mov, avi, mkv, webm, gif …) "
                "nor folders of PNG or JPEG frames"
            )
        return sorted(found)

    def decode(
        self, path: Path, start: int, count: int | None
    ) -> Iterator[UInt8[np.ndarray, "h w c"]]:
        """Frames, resampled, resized and rounded to 8 bits."""
        place = start if self.fps is None else start / self.fps
        for frame in video_frames(path, start=place, count=count, fps=self.fps):
            yield self._picture(frame.image)

    def _picture(self, image: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "oh ow c"]:
        if self.channels == 3 and self.size in (None, image.shape[:2]):
            return image
        return fit_bytes(image, self.size, self.channels)

    def _stride_of(self, length: int, frames: int) -> int:
        """Frames between the windows of a video of some length."""
        stride = self.stride or frames
        if self.most_windows is None:
            return stride
        return max(stride, math.ceil((length - frames + 1) / self.most_windows))

    def _assign(
        self, recordings: tuple[Recording, ...]
    ) -> tuple[dict[str, Split], tuple[str, ...]]:
        """The split of every video, and a note on those that have none.

        Videos that are too short to measure anything on are for training, if others are left.
        """
        names = [recording.name for recording in recordings]
        tops = {name: name.split("/", 1)[0] for name in names if "/" in name}
        if "train" in tops.values():
            placed: dict[str, Split] = {
                name: FOLDERS[top] for name, top in tops.items() if top in FOLDERS
            }
            outside = [name for name in names if name not in placed]
            return placed, listing("video", "outside train, validation and test", outside)
        long = [recording.name for recording in recordings if recording.frames >= LONG]
        if len(long) < len(self.splits) or not self.splits[0]:
            return by_name(names, self.splits), ()
        return {**dict.fromkeys(names, "train"), **by_name(long, self.splits)}, ()

    def _gaps(self, scan: Scan, recordings: list[Recording]) -> tuple[str, ...]:
        """A note on the folders of frames in which some are missing; none on prepared ones."""
        if scan.prepared:
            return ()
        root = self.folder()
        found = {recording.name: missing(root / recording.name) for recording in recordings}
        return listing("video", "with gaps", {name: gap for name, gap in found.items() if gap})

    def _nothing(self, split: Split, chosen: int, frames: int, scan: Scan) -> str:
        there, bad = len(scan.recordings), len(scan.unreadable)
        if chosen:
            return (
                f"of the {counted(chosen, 'video')} of the {split} split of {self.root} none has "
                f"{frames} frames; ask for shorter clips, or add longer videos"
            )
        if not there:
            reason = next(iter(scan.unreadable.values()), "the folder is empty")
            videos = counted(bad, "video")
            return f"of the {videos} of {self.root} none can be read; the first: {reason}"
        videos = counted(there, "readable video")
        return (
            f"the {split} split of {self.root} is empty: {videos}, and one is never cut into "
            "several splits; add videos, or change the splits (--data.splits)"
        )


def by_name(names: list[str], fractions: tuple[float, float, float]) -> dict[str, Split]:
    """Split names by their hashes: a pure function of the set of names.

    A name's split depends on itself alone, unless some wanted split would be empty that way. Then
    the order of the hashes is cut, each wanted split getting at least one name, training first.
    """
    wanted: list[tuple[Split, float]] = [
        (split, part) for split, part in zip(SPLITS, fractions, strict=True) if part > 0
    ]
    places = {name: mix("split", name) / 2**SEED_BITS for name in names}
    split_of: dict[str, Split] = {name: _at(place, wanted) for name, place in places.items()}
    if len(set(split_of.values())) == len(wanted):
        return split_of
    order = sorted(names, key=lambda name: (places[name], name))
    spare = max(0, len(names) - len(wanted))
    counts = [1 + int(spare * part) for _, part in wanted]
    counts[0] += max(0, len(names) - sum(counts))
    owners: list[Split] = [
        split for (split, _), n in zip(wanted, counts, strict=True) for _ in range(n)
    ]
    return dict(zip(order, owners, strict=False))


def _at(place: float, wanted: list[tuple[Split, float]]) -> Split:
    edge = 0.0
    for split, part in wanted:
        edge += part
        if place < edge:
            return split
    return wanted[-1][0]


def _notes(scan: Scan, chosen: list[Recording], frames: int) -> tuple[str, ...]:
    short = {r.name: counted(r.frames, "frame") for r in chosen if r.frames < frames}
    faults = {r.name: r.fault for r in chosen if r.fault and r.frames >= frames}
    sizes = sorted({(r.height, r.width) for r in chosen if r.frames >= frames})
    notes = listing("video", "cannot be read", scan.unreadable)
    notes += listing("video", f"with fewer than {frames} frames", short)
    notes += listing("video", "damaged and used up to the fault", faults)
    if len(sizes) > 1:
        shown = ", ".join(f"{h}x{w}" for h, w in sizes[:5])
        notes += (f"videos of {len(sizes)} sizes ({shown}): only batches of one until size is set",)
    return notes
