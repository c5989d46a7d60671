"""Clips that are windows of videos on disk, be they originals or in the prepared form."""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import UInt8

from framecast.clip import Clip, DataConfig, Key, Source
from framecast.config import to_json
from framecast.data.prepared import (
    Recording,
    digest,
    is_prepared,
    open_index,
    read_array,
)
from framecast.data.recent import Recent
from framecast.data.windows import Window, Windows
from framecast.digest import of_json
from framecast.errors import DataError, FramecastError, VideoError
from framecast.video import FOLDER_FPS, FrameWarning, is_video, probe
from framecast.video import frames as video_frames
from framecast.wording import counted

LISTED = 5
"""How many names a note spells out."""


class Video(NamedTuple):
    """An original on disk."""

    name: str  # path under the root, with forward slashes
    path: Path
    frames: int | None = None  # how many there are, where finding it has told


@dataclass(frozen=True)
class Scan:
    """The videos of a root."""

    recordings: tuple[Recording, ...]  # by name
    unreadable: dict[str, str]  # name to reason
    prepared: bool  # whether frames are read from arrays


@dataclass(frozen=True)
class RecordedConfig(DataConfig):
    """A dataset of videos. `prepare` converts any subclass: it needs the three methods below."""

    def recipe(self) -> dict[str, Any]:
        """All that the frames depend on besides the originals, as plain JSON."""
        raise NotImplementedError

    def originals(self) -> list[Video]:
        """The videos under `root`, by name.

        Raises:
            DataError: if there is none: one line with the expected layout.
        """
        raise NotImplementedError

    def decode(
        self, path: Path, start: int, count: int | None
    ) -> Iterator[UInt8[np.ndarray, "h w c"]]:
        """Frames of a video from number `start` on, resampled, resized and rounded to 8 bits."""
        raise NotImplementedError

    def rate(self) -> float | None:
        """Frames per second that videos are resampled to; None to take them as they are."""
        return None

    @property
    def step(self) -> int:
        """Frames of a video from one that is used to the next."""
        return 1

    def clock(self, path: Path) -> float:
        """Frames per second of a video's clips."""
        return self.rate() or probe(path).fps or FOLDER_FPS

    def digest(self, video: Video) -> str:
        """What tells an original from another, or from what it was before."""
        return digest(video.path)

    def examine(self, video: Video) -> Recording:
        """What clips of an original have: frames, size, rate.

        Raises:
            FramecastError: if it cannot be read.
        """
        return _examine(self, video, self.digest(video))

    def companions(self) -> dict[str, Path]:
        """Other files that a prepared root needs: name under it, and where they are now."""
        return {}

    def folder(self) -> Path:
        """The root.

        Raises:
            DataError: if it is not given or no folder.
        """
        if self.root is None:
            raise DataError(f"{self.type} needs the folder of its videos; give --data.root FOLDER")
        if not self.root.is_dir():
            raise DataError(f"{self.root} is no folder; give the folder of the {self.type} videos")
        return self.root

    def scan(self) -> Scan:
        """Find the videos under the root and how many frames each has.

        Raises:
            DataError: if there is none, or the root was prepared otherwise than asked for.
        """
        root = self.folder()
        if is_prepared(root):
            index = open_index(root, self.recipe())
            return Scan(tuple(index.recordings), dict(index.unreadable), True)
        found, unreadable = [], {}
        for video in self.originals():
            try:
                found.append(self.examine(video))
            except (FramecastError, OSError) as error:
                unreadable[video.name] = reason(error, video.path)
        return Scan(tuple(found), unreadable, False)


@dataclass(frozen=True)
class RecordedClips(Source):
    """Windows of recordings as clips: gray or RGB, float32 in [0, 1], with their times."""

    config: RecordedConfig
    recordings: tuple[Recording, ...]
    """What `windows` number."""
    prepared: bool
    """Whether frames come from arrays rather than from originals."""
    windows: Windows
    seed: int | None = None
    """Draw windows at random by this seed, anew in every epoch; None for always the same ones."""
    said: tuple[str, ...] = ()
    """What `notes` gives."""
    fixed: bool = field(init=False)
    recent: Recent = field(default_factory=Recent, init=False, compare=False, repr=False)
    """Decoded windows, where they come again in every epoch."""

    def __post_init__(self) -> None:
        """Say whether epochs differ."""
        object.__setattr__(self, "fixed", self.seed is None)

    def __len__(self) -> int:
        """Number of windows."""
        return len(self.windows)

    def __getitem__(self, key: Key) -> Clip:
        """The clip of a key.

        Raises:
            DataError: if its file has changed or turns out to be damaged.
        """
        window = self.windows.at(key, self.seed)
        recording = self.recordings[window.video]
        if self.fixed and not self.prepared:
            frames = self.recent.get(key[1], lambda: self._read(recording.name, window))
        else:
            frames = self._read(recording.name, window)
        seconds = torch.arange(window.frames, dtype=torch.float32) / recording.rate
        pixels = torch.from_numpy(frames).permute(0, 3, 1, 2).float().div_(255)
        return Clip(pixels, seconds=seconds)

    def fingerprint(self) -> str:
        """Hex SHA-256: the same for originals and for what was prepared from them."""
        facts = {
            "recipe": self.config.recipe(),
            "videos": [(r.name, r.digest, r.frames) for r in self.recordings],
            "windows": [(s.video, s.first, s.last, s.stride) for s in self.windows.spans],
            "frames": self.windows.frames,
            "anchor": self.windows.anchor,
            "seed": self.seed,
            **({"mixed": True} if self.windows.mixed else {}),
        }
        return of_json(to_json(facts))

    def name(self, index: int) -> str:
        """`VIDEO:FRAME`, the video and the first frame of the window (counted from 0).

        `VIDEO` alone where windows are drawn at random: the frame then differs between epochs.
        """
        window = self.windows[index]
        video = self.recordings[window.video].name
        return video if self.seed is not None else f"{video}:{window.start}"

    def notes(self) -> tuple[str, ...]:
        """What was left out, and counts that deviate."""
        return self.said

    def _read(self, name: str, window: Window) -> UInt8[np.ndarray, "t h w c"]:
        root, start, count = self.config.folder(), window.start, window.frames
        if self.prepared:
            return read_array(root, name, start, count)
        try:
            frames = list(self.config.decode(root / name, start, count))
        except VideoError as error:
            raise DataError(f"{error}, or leave the file out of the dataset") from None
        if len(frames) < count:
            raise DataError(
                f"{root / name} gives {len(frames)} of {count} frames from frame {start} on; "
                f"leave it out, or run framecast data prepare {self.config.type}"
            )
        return np.stack(frames)


def reason(error: Exception, path: Path) -> str:
    """What an error says, on one line and without the path of its file at the front."""
    return " ".join(str(error).split()).removeprefix(f"{path} ")


def listing(noun: str, what: str, names: dict[str, str] | list[str]) -> tuple[str, ...]:
    """A note that counts names and spells out the first ones, with reasons where there are some.

    `what` is said of one and of many.
    """
    if not names:
        return ()
    reasons = names if isinstance(names, dict) else {}
    shown = [f"{n} ({reasons[n]})" if n in reasons else n for n in islice(names, LISTED)]
    more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
    return (f"{counted(len(names), noun)} {what}: {'; '.join(shown)}{more}",)


def files_under(root: Path) -> Iterator[Path]:
    """All files under a folder, links followed, what begins with a dot left out.

    Raises:
        DataError: if a name is not valid Unicode.
    """
    for folder in _folders(root):
        yield from _children(folder, files=True)


def files_by_folder(root: Path) -> Iterator[tuple[Path, list[Path]]]:
    """A folder and all below it, each with its files by name; as `files_under`."""
    for folder in _folders(root):
        yield folder, _children(folder, files=True)


def videos_under(root: Path) -> Iterator[Path]:
    """Video files under a folder, and folders of frames: those with images and no videos."""
    for folder in _folders(root):
        files = [path for path in _children(folder, files=True) if is_video(path)]
        yield from files
        if folder != root and not files and is_video(folder):
            yield folder


def _folders(root: Path) -> Iterator[Path]:
    waiting, seen = [root], set[Path]()
    while waiting:
        folder = waiting.pop()
        real = folder.resolve()
        if real not in seen:
            seen.add(real)
            yield folder
            waiting += _children(folder, files=False)


def _children(folder: Path, files: bool) -> list[Path]:
    try:
        entries = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise DataError(f"{folder} cannot be listed: {error.strerror}") from None
    for path in entries:
        try:
            path.name.encode()
        except UnicodeEncodeError:
            shown = ascii(path.name)
            raise DataError(
                f"{folder} holds a name that is not UTF-8, {shown}; rename it"
            ) from None
    return [path for path in entries if (path.is_file() if files else path.is_dir())]


@lru_cache(maxsize=1 << 17)
def _examine(config: RecordedConfig, video: Video, content: str) -> Recording:
    height, width, _ = next(config.decode(video.path, 0, 1)).shape
    info = probe(video.path)
    rate = config.rate()
    recording = Recording(video.name, content, 0, height, width, config.clock(video.path))
    listed = info.frames
    if rate is not None and info.fps is not None:
        listed = None if info.seconds is None else round(info.seconds * rate)
    if listed is not None:
        listed = -(-listed // config.step)
    # What a file lists may be an estimate, or more than it holds: look at its end.
    for guess in () if listed is None else (listed, listed + 1, listed - 1):
        if guess > 0 and _ends_with(config, video.path, guess):
            return replace(recording, frames=guess)
    frames, fault = count_frames(video_frames(video.path, fps=rate))
    used = -(-frames // config.step)
    return replace(recording, frames=used, fault=fault.removeprefix(f"{video.path} "))


def _ends_with(config: RecordedConfig, path: Path, frames: int) -> bool:
    with warnings.catch_warnings():
        warnings.simplefilter("error", FrameWarning)
        try:
            return len(list(config.decode(path, frames - 1, 2))) == 1
        except (VideoError, FrameWarning):
            return False


def count_frames(frames: Iterator[Any]) -> tuple[int, str]:
    """How many frames a decoder gives, and what is wrong where a fault ends them early."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FrameWarning)
        number = sum(1 for _ in frames)
    faults = [str(w.message) for w in caught if issubclass(w.category, FrameWarning)]
    return number, faults[0] if faults else ""
