"""What the three datasets of high resolution share: how their frames lie, and their two splits.

Reference: STIP (Chang et al., 2022), Section IV.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import UInt8

from framecast.clip import Source, Split
from framecast.data import frame_lists, frame_series
from framecast.data.frame_lists import Layout, Listed
from framecast.data.prepared import Recording
from framecast.data.recorded import (
    RecordedClips,
    RecordedConfig,
    Video,
    files_by_folder,
    listing,
)
from framecast.data.windows import Span, Windows
from framecast.errors import ConfigError, DataError, EmptySplitError
from framecast.video import frames as video_frames
from framecast.video import image_size, is_image, is_video, load_image, natural, probe
from framecast.wording import counted

LISTS: dict[Split, str] = {"train": "train.txt", "validation": "train.txt", "test": "test.txt"}
"""The published list that each split is taken from."""


@dataclass(frozen=True)
class ListedVideos(RecordedConfig):
    """Videos as numbered images or as files, split by video or by the published lists of windows.

    A subclass says how its frames are named, which video a path is of, and which videos are held
    out.
    """

    site: ClassVar[str]
    """Where the dataset is to be had."""
    where: ClassVar[str]
    """How it lies under its root, in words."""
    lists_from: ClassVar[str]
    """Where the published lists are to be had."""
    layout: ClassVar[Layout]
    """Fields of a line of the lists."""
    published: ClassVar[dict[str, int]]
    """Windows that STIP reports, by split."""
    begin: ClassVar[int] = 0
    """Number of the first frame of a video whose frames are not named by numbers."""
    own_rate: ClassVar[float]
    """Frames per second of the original videos."""

    size: tuple[int, int] = (512, 512)
    """(height, width) in pixels; frames of another size are squeezed to it, aspect not kept."""
    split: Literal["disjoint", "published"] = "disjoint"
    """By video, so that no test video is trained on; or by the published train.txt and test.txt,
    whose test windows may be of training videos."""
    lists: Path | None = None
    """Folder of train.txt and test.txt; None for `root`. Only the published split reads them."""
    stride: int = 1
    """Frames between the starts of training windows, where the split is by video."""
    test_stride: int = 10
    """Frames between the starts of validation and test windows, where the split is by video."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if min(self.size) < 1:
            raise ConfigError("size is (height, width), at least 1 pixel each")
        if min(self.stride, self.test_stride, self.step) < 1:
            raise ConfigError("stride, test_stride and every are at least 1 frame")

    def named(self, path: Path) -> bool:
        """Whether an image is named as the published lists count frames."""
        raise NotImplementedError

    def key(self, name: str) -> str | None:
        """Which video a file, a folder or a line of a list is of; None for none."""
        raise NotImplementedError

    def assigned(self, key: str) -> Split:
        """The split of a video, where the split is by video."""
        raise NotImplementedError

    def held_out(self, split: Split) -> str:
        """The videos of a split, in words."""
        raise NotImplementedError

    def source(self, split: Split, frames: int, seed: int) -> Source:  # noqa: ARG002
        """The windows of one split: the same in every epoch, whatever the seed."""
        scan = self.scan()
        videos = self._by_video(scan.recordings)
        if self.split == "published":
            spans, notes = self._listed(split, frames, videos)
        else:
            spans, notes = self._strided(split, frames, videos)
        windows = Windows(tuple(spans), frames)
        if not len(windows):
            raise EmptySplitError(self._nothing(split, frames, videos))
        recordings = tuple(part for parts in videos.values() for part in parts)
        unknown = [r.name for r in scan.recordings if self.key(r.name) is None]
        said = (
            *listing("video", "cannot be read", scan.unreadable),
            *listing("file", "of no video of the dataset, left out", unknown),
            *notes,
            *self.about(videos.keys()),
        )
        return RecordedClips(self, recordings, scan.prepared, windows, said=said)

    def about(self, keys: Any) -> tuple[str, ...]:
        """What else a reader of results should know, given the videos that are there."""
        del keys
        return ()

    def recipe(self) -> dict[str, Any]:
        """What the frames depend on besides the originals."""
        return {"type": self.type, "size": list(self.size), "every": self.step}

    def folder(self) -> Path:
        """The root.

        Raises:
            DataError: if it is not given or no folder.
        """
        try:
            return super().folder()
        except DataError as error:
            raise DataError(f"{error}: {self.where}; from {self.site}") from None

    def originals(self) -> list[Video]:
        """Runs of numbered images, folders of other images, and video files, by name.

        Where a folder holds images, its video files are left alone.
        """
        root = self.folder()
        found = [
            Video(path.relative_to(root).as_posix(), path, frames)
            for folder, files in files_by_folder(root)
            for path, frames in self._videos_of(folder, files, root)
        ]
        if not found:
            raise DataError(
                f"{root} holds no frames and no videos of {self.type}: expected "
                f"{self.where}; from {self.site}"
            )
        return sorted(found, key=lambda video: natural(Path(video.name)))

    def _videos_of(
        self, folder: Path, files: list[Path], root: Path
    ) -> Iterator[tuple[Path, int | None]]:
        images = [path for path in files if is_image(path)]
        named = [path for path in images if self.named(path)]
        if named:
            yield from ((run.first, run.frames) for run in frame_series.runs(named, self.step))
        elif images and folder != root:
            yield folder, None
        elif not images:
            yield from ((path, None) for path in files if self.is_file_of_video(path))

    def is_file_of_video(self, path: Path) -> bool:
        """Whether a file looks like a video that can be read."""
        return is_video(path)

    def digest(self, video: Video) -> str:
        """Of a run its names and sizes, of others their content at both ends."""
        if is_image(video.path):
            return frame_series.fingerprint(video.path, self.step)
        return super().digest(video)

    def examine(self, video: Video) -> Recording:
        """What clips of an original have."""
        if video.frames is None:
            return super().examine(video)
        image_size(video.path)  # an error where it is no image
        return Recording(
            video.name, self.digest(video), video.frames, *self.size, self.clock(video.path)
        )

    def clock(self, path: Path) -> float:
        """Frames per second of a video's clips; images have no clock of their own."""
        own = None if path.is_dir() or is_image(path) else probe(path).fps
        return (own or self.own_rate) / self.step

    def decode(
        self, path: Path, start: int, count: int | None
    ) -> Iterator[UInt8[np.ndarray, "h w c"]]:
        """Frames in colour, squeezed to `size`, rounded to 8 bits."""
        for image in islice(self.pictures(path, start), count):
            yield squeeze(image, self.size)

    def pictures(self, path: Path, start: int) -> Iterator[UInt8[np.ndarray, "h w 3"]]:
        """Frames of a video from number `start` of those used on, as they are stored."""
        if is_image(path):
            yield from map(load_image, frame_series.frames(path, self.step, start))
        else:
            shown = video_frames(path, start=start * self.step)
            yield from (frame.image for frame in islice(shown, 0, None, self.step))

    def companions(self) -> dict[str, Path]:
        """The published lists, where they are at hand."""
        places = {name: self._lists_folder() / name for name in sorted(set(LISTS.values()))}
        return {name: path for name, path in places.items() if path.is_file()}

    def _lists_folder(self) -> Path:
        return self.lists or self.folder()

    def _read_list(self, name: str) -> list[Listed]:
        path = self._lists_folder() / name
        if not path.is_file():
            raise DataError(
                f"{path} is missing: the published windows, from {self.lists_from}; "
                "data.split disjoint does without"
            )
        return frame_lists.read(path, self.layout, self.key)

    def _by_video(self, recordings: tuple[Recording, ...]) -> dict[str, list[Recording]]:
        """The recordings of every video: several where frames are missing in between.

        Raises:
            DataError: if a video is there more than once.
        """
        videos: dict[str, list[Recording]] = defaultdict(list)
        for recording in recordings:
            key = self.key(recording.name)
            if key is not None:
                videos[key].append(recording)
        for key, parts in videos.items():
            if len({self._origin(part.name) for part in parts}) > 1:
                raise DataError(
                    f"{self.root} holds {key} more than once ({parts[0].name}, {parts[1].name}); "
                    "keep one"
                )
        return dict(videos)

    def _origin(self, name: str) -> str:
        path = Path(name)
        if is_image(path) and self.named(path):
            return name.removesuffix(path.name) + path.stem.rstrip("0123456789")
        return name

    def _begin(self, name: str) -> int:
        """Number of the first frame of a recording."""
        path = Path(name)
        return frame_series.number(path) if is_image(path) else self.begin

    def _strided(
        self, split: Split, frames: int, videos: dict[str, list[Recording]]
    ) -> tuple[list[Span], tuple[str, ...]]:
        """Windows at a stride in the videos of a split."""
        stride = self.stride if split == "train" else self.test_stride
        spans, used, short = [], set[str](), list[str]()
        for number, (key, part) in enumerate((k, p) for k, parts in videos.items() for p in parts):
            if self.assigned(key) == split and part.frames < frames:
                short.append(part.name)
            elif self.assigned(key) == split:
                spans.append(Span(number, 0, part.frames - 1, stride))
                used.add(key)
        total = len(Windows(tuple(spans), frames))
        windows = counted(total, f"{split} window")
        notes = (
            f"split by video: {self.held_out(split)}; {windows} of {frames} frames of "
            f"{counted(len(used), 'video')}"
            + (
                f"; STIP reports {self.published[split]:,} of a split by window"
                if split in self.published
                else ""
            ),
        )
        return spans, (*listing("run", f"with fewer than {frames} frames", short), *notes)

    def _listed(
        self, split: Split, frames: int, videos: dict[str, list[Recording]]
    ) -> tuple[list[Span], tuple[str, ...]]:
        """The windows of a published list, as far as their frames are there."""
        listed = self._read_list(LISTS[split])
        wanted = [w for w in listed if split == "test" or self._trains(w, split)]
        places = self._places(videos)
        spans = [span for w in wanted if (span := places(w, frames)) is not None]
        left = len(listed) - len(wanted)
        notes = [f"{counted(len(spans), f'{split} window')} of the published split"]
        if split in self.published:
            held = f" ({left:,} of them held out for validation)" if left else ""
            notes[0] += (
                f"; {LISTS[split]} lists {len(listed):,}{held}, STIP reports "
                f"{self.published[split]:,}"
            )
        if len(spans) < len(wanted):
            notes.append(
                f"{len(wanted) - len(spans):,} listed windows are left out: some of their frames "
                "are not there"
            )
        if split == "test" and LISTS["train"] in self.companions():
            train = self._read_list(LISTS["train"])
            notes.append(str(frame_lists.leak(train, listed, frames, self.step)))
        return spans, tuple(notes)

    def _trains(self, window: Listed, split: Split) -> bool:
        return (self.assigned(window.video) == "validation") == (split == "validation")

    def _places(self, videos: dict[str, list[Recording]]) -> Callable[[Listed, int], Span | None]:
        """Where a listed window lies among the recordings."""
        parts: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
        for number, (key, part) in enumerate((k, p) for k, ps in videos.items() for p in ps):
            parts[key].append((number, self._begin(part.name), part.frames))

        def place(window: Listed, frames: int) -> Span | None:
            for number, begin, length in parts.get(window.video, ()):
                start, rest = divmod(window.first - begin, self.step)
                if not rest and 0 <= start <= length - frames:
                    return Span(number, start, start + frames - 1, frames)
            return None

        return place

    def _nothing(self, split: Split, frames: int, videos: dict[str, list[Recording]]) -> str:
        if self.split == "published":
            return (
                f"{self.root} has the frames of no {split} window of {frames} frames that "
                f"{LISTS[split]} lists; expected {self.where}, from {self.site}"
            )
        if any(self.assigned(key) == split for key in videos):
            return f"no {split} video of {self.root} has {frames} frames in a row; ask for fewer"
        return (
            f"{self.root} has no {split} video ({self.held_out(split)}): expected {self.where}, "
            f"from {self.site}; or take the published split with its lists "
            "(--data.split published)"
        )


def squeeze(
    image: UInt8[np.ndarray, "h w 3"], size: tuple[int, int]
) -> UInt8[np.ndarray, "oh ow 3"]:
    """A frame resized bilinearly, aspect not kept, rounded to 8 bits; antialiased if it shrinks."""
    if image.shape[:2] == tuple(size):
        return image
    picture = torch.from_numpy(image).permute(2, 0, 1)[None].float()
    small = size[0] < image.shape[0] or size[1] < image.shape[1]
    resized = F.interpolate(picture, size=size, mode="bilinear", antialias=small)
    whole = resized[0].round_().clamp_(0, 255).byte()
    return np.ascontiguousarray(whole.permute(1, 2, 0).numpy())
