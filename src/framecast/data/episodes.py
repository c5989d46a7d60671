"""Clips that are windows of episodes, each a record of a TFRecord file: frames with actions."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from framecast.clip import Clip, DataConfig, Key, Source
from framecast.config import to_json
from framecast.data import tfrecord
from framecast.data.example import Example
from framecast.data.prepared import digest
from framecast.data.windows import Windows
from framecast.digest import of_json
from framecast.errors import DataError


class Place(NamedTuple):
    """Where an episode is."""

    file: int  # its file, as the files are numbered
    number: int  # its record, counted from 0
    offset: int  # byte at which the record begins


class Moments(NamedTuple):
    """Some frames of an episode, and what the robot did at each."""

    frames: UInt8[np.ndarray, "t h w c"]
    actions: Float32[np.ndarray, "t a"] | None


@dataclass(frozen=True)
class EpisodesConfig(DataConfig):
    """A dataset of episodes; a subclass says how a record holds one."""

    def recipe(self) -> dict[str, Any]:
        """All that clips depend on besides the files and the windows, as plain JSON."""
        raise NotImplementedError

    def decode(self, example: Example, start: int, count: int) -> Moments:
        """Frames `start` to `start + count` of an episode, with actions.

        Raises:
            ValueError: what is wrong with the record, as the end of a sentence about it.
        """
        raise NotImplementedError


@dataclass(frozen=True)
class EpisodeClips(Source):
    """Windows of episodes as clips: float32 in [0, 1], with their actions.

    Clips have no times: the files do not say how fast their frames follow on one another.
    """

    config: EpisodesConfig
    folder: Path
    """What the names of the files are relative to."""
    files: tuple[str, ...]
    """Names with forward slashes."""
    episodes: tuple[Place, ...]
    """What `windows` number."""
    windows: Windows
    seed: int | None = None
    """Draw windows at random by this seed, anew in every epoch; None for always the same ones."""
    said: tuple[str, ...] = ()
    """What `notes` gives."""
    fixed: bool = field(init=False)

    def __post_init__(self) -> None:
        """Say whether epochs differ."""
        object.__setattr__(self, "fixed", self.seed is None)

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.windows)

    def __getitem__(self, key: Key) -> Clip:
        """The clip of a key.

        Raises:
            DataError: if its record is damaged or holds something else: one line that names both.
        """
        window = self.windows.at(key, self.seed)
        place = self.episodes[window.video]
        path = self.folder / self.files[place.file]
        record = tfrecord.read(path, place.number, place.offset)
        try:
            moments = self.config.decode(Example.parse(record), window.start, window.frames)
        except ValueError as error:
            raise tfrecord.damaged(path, place.number, str(error)) from None
        frames = torch.from_numpy(moments.frames).permute(0, 3, 1, 2).float().div_(255)
        actions = None if moments.actions is None else torch.from_numpy(moments.actions)
        return Clip(frames, actions)

    def fingerprint(self) -> str:
        """Hex SHA-256 of the settings, the windows, and the names, sizes and ends of the files."""
        windows = hashlib.sha256()
        for span in self.windows.spans:
            place = self.episodes[span.video]
            windows.update(
                f"{place.file} {place.number} {span.first} {span.last} {span.stride}\n".encode()
            )
        used = sorted({place.file for place in self.episodes})
        facts = {
            "recipe": self.config.recipe(),
            "files": [(self.files[n], digest(self.folder / self.files[n])) for n in used],
            "windows": windows.hexdigest(),
            "frames": self.windows.frames,
            "seed": self.seed,
        }
        return of_json(to_json(facts))

    def name(self, index: int) -> str:
        """`FILE/RECORD:FRAME`, the first frame of the window counted from 0.

        `FILE/RECORD` alone where windows are drawn at random: the frame then differs by epoch.
        """
        window = self.windows[index]
        episode = episode_name(self.files, self.episodes[window.video])
        return episode if self.seed is not None else f"{episode}:{window.start}"

    def notes(self) -> tuple[str, ...]:
        """Counts beside those that were published, and what was left out."""
        return self.said


def places(folder: Path, files: Iterable[str]) -> tuple[Place, ...]:
    """All episodes of some files, in their order.

    Raises:
        DataError: if a file is damaged: one line with the file and the record.
    """
    return tuple(
        Place(file, number, offset)
        for file, name in enumerate(files)
        for number, offset in enumerate(tfrecord.offsets(folder / name).tolist())
    )


def episode_name(files: Sequence[str], place: Place) -> str:
    """What reports call an episode, and what its split depends on."""
    return f"{files[place.file]}/{place.number}"


def existing(root: Path | None, what: str) -> Path:
    """The root, if it is a folder.

    Raises:
        DataError: if it is not: one line that says what is wanted.
    """
    if root is None:
        raise DataError(f"give --data.root FOLDER, {what}")
    if not root.is_dir():
        raise DataError(f"{root} is no folder; give --data.root FOLDER, {what}")
    return root
