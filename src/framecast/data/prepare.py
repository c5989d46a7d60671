"""Convert a dataset of videos once, so that training reads windows instead of decoding.

Every `RecordedConfig` can be prepared. What was finished stays when the work is interrupted, and
the same call goes on from there.
"""

import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framecast.clip import DataConfig
from framecast.data.prepared import (
    FORMAT_VERSION,
    Index,
    Recording,
    array_path,
    check_recipe,
    is_prepared,
    read_index,
    write_array,
    write_index,
)
from framecast.data.recorded import RecordedConfig, Video, reason
from framecast.digest import of_file
from framecast.errors import DataError, FramecastError
from framecast.video import FrameWarning

SAVE_EVERY = 2.0
"""Seconds between writes of the index while converting."""

Progress = Callable[[int, int, str], None]
"""Called with (videos done, videos in all, name of the one just done)."""


@dataclass(frozen=True)
class Preparation:
    """What `prepare` did."""

    root: Path
    """The prepared root: give it as the dataset's root."""
    converted: int
    """Videos converted now."""
    kept: int
    """Videos that were converted before, and verified now."""
    frames: int
    """Frames in all videos."""
    bytes: int
    """Size of all arrays."""
    unreadable: dict[str, str]
    """Names of videos that cannot be decoded, with the reason."""
    damaged: dict[str, str]
    """Names of videos of which only the frames before a fault were kept, with the fault."""


def prepare(
    config: DataConfig, target: Path, progress: Progress = lambda _done, _all, _name: None
) -> Preparation:
    """Convert the videos under `config.root` to the prepared form in `target`.

    Videos that were converted before are verified and skipped; one whose original has changed is
    converted again; one whose original is gone leaves the index. An array is there whole or not at
    all. What cannot be decoded is listed, and does not stop the rest.

    Args:
        config: The dataset, with the size and the like that the arrays shall have.
        target: A new or empty folder, or one from an interrupted or earlier call.
        progress: Called after every video.

    Raises:
        DataError: if the dataset is not one of videos, there is nothing to convert, or `target`
            holds something else or cannot be written.
    """
    if not isinstance(config, RecordedConfig):
        raise DataError(f"{config.type} is no dataset of videos and needs no preparation")
    root = config.folder()
    if is_prepared(root):
        raise DataError(f"{root} is in the prepared form already; use it as it is")
    videos = config.originals()
    work = _Work(config, target, _earlier(target, root, config))
    try:
        target.mkdir(parents=True, exist_ok=True)
        work.save()
        for name, path in config.companions().items():
            shutil.copyfile(path, target / name)
        work.run(videos, progress)
    except OSError as error:
        raise DataError(
            f"cannot write {error.filename or target} ({error.strerror or error}); what is "
            "finished stays: mend that and give the same command again"
        ) from None
    return work.report()


def verify(root: Path) -> dict[str, str]:
    """Check every array of a prepared root against its index.

    Returns:
        Names of the videos at fault, and of the folder where its preparation was interrupted, with
        what is wrong; empty where all is well.

    Raises:
        DataError: if the index cannot be read.
    """
    index = read_index(root)
    begun = {} if index.complete else {str(root): "its preparation was interrupted"}
    return begun | {r.name: fault for r in index.recordings if (fault := _fault(root, r))}


@dataclass
class _Work:
    """The state of a conversion."""

    config: RecordedConfig
    target: Path
    earlier: dict[str, Recording]
    """Converted by an earlier call, and not yet verified."""
    recordings: dict[str, Recording] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)
    kept: int = 0

    def run(self, videos: list[Video], progress: Progress) -> None:
        saved, complete = time.monotonic(), False
        try:
            for number, video in enumerate(videos, 1):
                self.convert(video, self.earlier.pop(video.name, None))
                if time.monotonic() - saved > SAVE_EVERY:
                    self.save()
                    saved = time.monotonic()
                progress(number, len(videos), video.name)
            self.earlier.clear()
            complete = True
        finally:
            self.save(complete)

    def save(self, complete: bool = False) -> None:
        rows = [*self.recordings.values(), *self.earlier.values()]
        recipe = self.config.recipe()
        write_index(self.target, Index(FORMAT_VERSION, complete, recipe, rows, self.unreadable))

    def convert(self, video: Video, earlier: Recording | None) -> None:
        try:
            content = self.config.digest(video)
        except OSError as error:
            self.unreadable[video.name] = reason(error, video.path)
            return
        if earlier and earlier.digest == content and not _fault(self.target, earlier):
            self.recordings[video.name] = earlier
            self.kept += 1
            return
        try:
            self.recordings[video.name] = self._converted(video, content)
        except FramecastError as error:
            self.unreadable[video.name] = reason(error, video.path)

    def _converted(self, video: Video, content: str) -> Recording:
        path = array_path(self.target, video.name)
        faults: list[str] = []
        frames, height, width, _ = write_array(path, self._decoded(video.path, faults))
        return Recording(
            name=video.name,
            digest=content,
            frames=frames,
            height=height,
            width=width,
            rate=self.config.clock(video.path),
            fault=faults[0].removeprefix(f"{video.path} ") if faults else "",
            sha256=of_file(path),
        )

    def _decoded(self, path: Path, faults: list[str]) -> Iterator[Any]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", FrameWarning)
            yield from self.config.decode(path, 0, None)
        faults += [str(w.message) for w in caught if issubclass(w.category, FrameWarning)]

    def report(self) -> Preparation:
        rows = self.recordings.values()
        return Preparation(
            root=self.target,
            converted=len(rows) - self.kept,
            kept=self.kept,
            frames=sum(r.frames for r in rows),
            bytes=sum(array_path(self.target, r.name).stat().st_size for r in rows),
            unreadable=self.unreadable,
            damaged={r.name: r.fault for r in rows if r.fault},
        )


def _earlier(target: Path, root: Path, config: RecordedConfig) -> dict[str, Recording]:
    """What an earlier call has converted, by name."""
    if target.exists() and target.resolve() == root.resolve():
        raise DataError("the prepared form needs a folder of its own; choose another target")
    if target.is_dir() and is_prepared(target):
        index = read_index(target)
        check_recipe(target, index, config.recipe())
        return {recording.name: recording for recording in index.recordings}
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise DataError(f"{target} holds something else; choose a new or empty folder")
    return {}


def _fault(root: Path, recording: Recording) -> str:
    path = array_path(root, recording.name)
    if not path.is_file():
        return "its array is missing"
    return "" if of_file(path) == recording.sha256 else "its array does not match its SHA-256 sum"
