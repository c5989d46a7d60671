"""BAIR robot pushing: a robot arm that pushes things about in a bin, with its actions.

Reference: Ebert, Finn, Lee, Levine, "Self-supervised visual planning with temporal skip
connections", CoRL 2017. Sequences and settings as in SVG (Denton, Fergus, ICML 2018).
"""

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from jaxtyping import UInt8

from framecast.clip import Split
from framecast.data.episodes import (
    EpisodeClips,
    EpisodesConfig,
    Moments,
    Place,
    episode_name,
    existing,
    places,
)
from framecast.data.example import Example
from framecast.data.tfrecord import is_tfrecord
from framecast.data.video_folder import by_name
from framecast.data.windows import Span, Windows
from framecast.errors import ConfigError, DataError, EmptySplitError
from framecast.video import natural
from framecast.wording import counted

LENGTH = 30
"""Frames of an episode."""
SHAPE = (64, 64, 3)
"""Height, width and channels of a frame, which is stored as raw bytes."""
ACTION = 4
"""Numbers of an action."""
POSITION = 3
"""Numbers of a position of the end effector."""
PUBLISHED = {"train": 43_264, "test": 256}
"""Episodes in the two folders of the official distribution."""
FOLDER = "softmotion30_44k"
SITE = "http://rail.eecs.berkeley.edu/datasets/bair_robot_pushing_dataset_v0.tar"
LAYOUT = f"with {FOLDER}/train/*.tfrecords and {FOLDER}/test/*.tfrecords, from {SITE}"


@dataclass(frozen=True)
class Bair(EpisodesConfig):
    """BAIR robot pushing: 64x64 RGB videos of 30 frames with actions, as TFRecords.

    `root` holds `softmotion30_44k/{train,test}/*.tfrecords`, or is that folder. Frames are those of
    the camera `image_aux1`. A clip's action t is what the robot does at frame t.

    Test and validation clips begin at the first frame of an episode, in the order of the files.
    """

    type: ClassVar[str] = "bair"

    hold_out: float = 0.01
    """Fraction of the training episodes that is kept out of training, for validation; drawn by a
    hash of their files' names and their numbers."""
    random_windows: bool = True
    """Whether training clips are drawn anew in every epoch from all of an episode, or always begin
    at its first frame, as SVG's loader has it."""
    position: bool = False
    """Whether the position of the end effector (3 numbers) follows the 4 numbers of the action."""

    def __post_init__(self) -> None:
        """Check the fraction."""
        if not 0 <= self.hold_out < 1:
            raise ConfigError("hold_out is a fraction of the training episodes, below 1")

    def source(self, split: Split, frames: int, seed: int) -> EpisodeClips:
        """The clips of one split.

        Raises:
            DataError: if the records are missing or damaged, the split is empty, or `frames` is
                more than an episode has.
        """
        if frames > LENGTH:
            raise DataError(f"BAIR episodes have {LENGTH} frames, not {frames}; ask for fewer")
        folder = self._folder()
        part = "test" if split == "test" else "train"
        files = _files(folder, part)
        found = places(folder, files)
        chosen = found if split == "test" else self._held(found, files, split)
        if not chosen:
            raise EmptySplitError(f"the {split} split of {folder} is empty; {self._remedy(split)}")
        drawn = split == "train" and self.random_windows
        # The whole episode as stride leaves the window at its first frame alone.
        stride = frames if drawn else LENGTH
        spans = tuple(Span(number, 0, LENGTH - 1, stride) for number in range(len(chosen)))
        notes = [f"{counted(len(found), 'episode')} in {part}; published: {PUBLISHED[part]:,}"]
        if split != "test":
            notes.append(f"{len(chosen):,} of them are the {split} split")
        return EpisodeClips(
            self,
            folder,
            files,
            chosen,
            Windows(spans, frames),
            seed if drawn else None,
            tuple(notes),
        )

    def recipe(self) -> dict[str, Any]:
        """What the clips depend on besides files and windows."""
        return {"type": self.type, "position": self.position}

    def decode(self, example: Example, start: int, count: int) -> Moments:
        """Frames and actions of an episode."""
        times = range(start, start + count)
        actions = [_numbers(example, f"{time}/action", ACTION) for time in times]
        if self.position:
            positions = [_numbers(example, f"{t}/endeffector_pos", POSITION) for t in times]
            actions = [np.concatenate(pair) for pair in zip(actions, positions, strict=True)]
        frames = [_frame(example, f"{time}/image_aux1/encoded") for time in times]
        return Moments(np.stack(frames), np.stack(actions))

    def _folder(self) -> Path:
        root = existing(self.root, LAYOUT)
        for folder in (root / FOLDER, root):
            if (folder / "train").is_dir() or (folder / "test").is_dir():
                return folder
        raise DataError(f"{root} holds no BAIR records; give a folder {LAYOUT}")

    def _held(
        self, found: tuple[Place, ...], files: tuple[str, ...], split: Split
    ) -> tuple[Place, ...]:
        """The training episodes that are held out, or the others."""
        named = {episode_name(files, place): place for place in found}
        splits = by_name(list(named), (1 - self.hold_out, self.hold_out, 0.0))
        return tuple(place for name, place in named.items() if splits[name] == split)

    def _remedy(self, split: Split) -> str:
        if split == "validation" and not self.hold_out:
            return "set data.hold_out above 0"
        return f"give a folder {LAYOUT}"


def _files(folder: Path, part: str) -> tuple[str, ...]:
    """The files of a part, in the natural order of their names."""
    place = folder / part
    paths = sorted(filter(is_tfrecord, place.glob("*")), key=natural) if place.is_dir() else []
    if not paths:
        raise DataError(f"{place} holds no TFRecords; give a folder {LAYOUT}")
    return tuple(path.relative_to(folder).as_posix() for path in paths)


def _frame(example: Example, name: str) -> UInt8[np.ndarray, "64 64 3"]:
    blobs = example.blobs(name)
    sizes = [len(blob) for blob in blobs]
    if sizes != [math.prod(SHAPE)]:
        shown = "x".join(map(str, SHAPE))
        raise ValueError(f"has {sizes or 'no'} bytes in {name!r}, not those of {shown}")
    return np.frombuffer(blobs[0], np.uint8).reshape(SHAPE)


def _numbers(example: Example, name: str, count: int) -> np.ndarray:
    numbers = example.floats(name)
    if len(numbers) != count:
        raise ValueError(f"has {len(numbers)} numbers in {name!r}, not {count}")
    return numbers
