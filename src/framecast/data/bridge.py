"""Bridge, and other robot videos with actions in the RLDS layout: an episode per TFRecord.

Reference: Walke et al., "BridgeData V2: a dataset for robot learning at scale", CoRL 2023.
"""

import io
import re
from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

from framecast.clip import Split
from framecast.data import tfrecord
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
from framecast.data.rlds_features import FEATURES, Fields, read_fields, read_lengths
from framecast.data.video_folder import SPLITS, by_name
from framecast.data.windows import Span, Windows
from framecast.errors import ConfigError, DataError, EmptySplitError
from framecast.video import fit, natural
from framecast.wording import counted

ACTION = "steps/action"
SITE = "https://rail-berkeley.github.io/bridgedata"
LAYOUT = f"with {FEATURES} and NAME-train.tfrecord-00000-of-… beside it (Bridge: {SITE})"

_FILE = re.compile(r".+-(train|val|validation|test)\.tfrecords?(-\d+-of-\d+)?")

Owned = dict[Split, tuple[Place, ...]]


@dataclass(frozen=True)
class Bridge(EpisodesConfig):
    """Bridge and other robot videos in the RLDS layout: TFRecords beside a `features.json`.

    Features are read by the names that `features.json` gives them. A clip's action t is what the
    robot does at frame t.

    Files of `test` are the test split, or those of `val` where there are none; then, and where
    there is neither, what is missing is held out of `train` by a hash of files' names and
    episodes' numbers. Validation and test clips lie at fixed places.
    """

    type: ClassVar[str] = "bridge"

    image: str | None = None
    """Feature with the frames, such as `steps/observation/image_0`; None for the first image of a
    step by name."""
    action: str | None = None
    """Feature with the actions; None for `steps/action`, where it holds float numbers."""
    size: tuple[int, int] | None = (64, 64)
    """(height, width) in pixels: short side resized, aspect kept, centre cropped. None as
    stored."""
    stride: int | None = None
    """Frames between the starts of windows, also what sets the windows of a training epoch; None
    for as many as a window has, so that windows do not overlap."""
    random_windows: bool = True
    """Whether training windows are drawn anew in every epoch, or stay at fixed places."""
    splits: tuple[float, float, float] = (0.8, 0.1, 0.1)
    """Fractions of the episodes of `train` for training, validation and test; those that have files
    of their own take none."""

    def __post_init__(self) -> None:
        """Check the numbers."""
        if self.size is not None and min(self.size) < 1:
            raise ConfigError("size is (height, width), at least 1 pixel each")
        if self.stride is not None and self.stride < 1:
            raise ConfigError("stride is at least 1 frame")
        if min(self.splits) < 0 or abs(sum(self.splits) - 1) > 1e-6 or not self.splits[0]:
            raise ConfigError("splits are three fractions that add up to 1, the first above 0")

    def source(self, split: Split, frames: int, seed: int) -> EpisodeClips:
        """The clips of one split.

        The files are read through once per process, for the lengths of the episodes.

        Raises:
            DataError: if the records are missing or damaged, or no episode of the split is long
                enough.
        """
        root = existing(self.root, LAYOUT)
        image, _ = self._features()
        by_part = _files(root)
        files = tuple(name for names in by_part.values() for name in names)
        chosen = self._shared_out(places(root, files), files, by_part)[split]
        spans = self._spans(root, files, chosen, frames, image)
        windows = Windows(spans, frames)
        if not len(windows):
            longest = max((span.length for span in spans), default=0)
            raise EmptySplitError(
                f"of the {counted(len(chosen), 'episode')} of the {split} split of {root} none has "
                f"{frames} frames, the longest {longest}; ask for fewer, add episodes, or "
                "change --data.splits"
            )
        drawn = seed if split == "train" and self.random_windows else None
        notes = self._notes(root, by_part, split, windows)
        return EpisodeClips(self, root, files, chosen, windows, drawn, notes)

    def recipe(self) -> dict[str, Any]:
        """What the clips depend on besides files and windows."""
        image, action = self._features()
        size = None if self.size is None else list(self.size)
        return {"type": self.type, "image": image, "action": action, "size": size}

    def decode(self, example: Example, start: int, count: int) -> Moments:
        """Frames, resized and rounded to 8 bits, and actions of an episode."""
        image, action = self._features()
        declared = self._fields().images[image]
        stored = example.blobs(image)
        if len(stored) < start + count:
            raise ValueError(f"has {len(stored)} images, not the {start + count} it had")
        frames = [self._picture(blob, image, declared) for blob in stored[start : start + count]]
        if action is None:
            return Moments(np.stack(frames), None)
        width = self._fields().vectors[action]
        numbers = example.floats(action)
        if len(numbers) != width * len(stored):
            raise ValueError(
                f"has {len(numbers)} numbers in {action!r}, not {width} for each of "
                f"{len(stored)} images"
            )
        return Moments(np.stack(frames), numbers.reshape(-1, width)[start : start + count].copy())

    def _fields(self) -> Fields:
        root = existing(self.root, LAYOUT)
        path = root / FEATURES
        if not path.is_file():
            raise DataError(f"{path} is missing; give a folder {LAYOUT}")
        return _known(root, path.stat().st_mtime_ns)

    def _features(self) -> tuple[str, str | None]:
        """The names of the features with the frames and the actions."""
        fields = self._fields()
        image = self.image or next(iter(fields.images), "any")
        if image not in fields.images:
            there = ", ".join(fields.images) or "none"
            raise DataError(f"{self.root} has no image {image!r}; set data.image, there: {there}")
        action = self.action or (ACTION if ACTION in fields.vectors else None)
        if action is not None and action not in fields.vectors:
            there = ", ".join(fields.vectors) or "none"
            raise DataError(
                f"{self.root} has no action {action!r}; set data.action, there: {there}"
            )
        return image, action

    def _shared_out(
        self, found: tuple[Place, ...], files: tuple[str, ...], by_part: dict[str, list[str]]
    ) -> Owned:
        """The episodes of each split: those of its own files, or held out of `train`."""
        own = _own(by_part)
        train, validation, test = self.splits
        parts = (train, 0.0 if "validation" in own else validation, 0.0 if "test" in own else test)
        shares = (parts[0] / sum(parts), parts[1] / sum(parts), parts[2] / sum(parts))
        owned: dict[Split, list[Place]] = {split: [] for split in SPLITS}
        to_share: dict[str, Place] = {}
        owner: dict[str, Split] = {name: split for split, names in own.items() for name in names}
        for place in found:
            split = owner[files[place.file]]
            if split == "train":
                to_share[episode_name(files, place)] = place
            else:
                owned[split].append(place)
        for name, share in by_name(list(to_share), shares).items():
            owned[share].append(to_share[name])
        return {split: tuple(sorted(chosen)) for split, chosen in owned.items()}

    def _spans(
        self, root: Path, files: tuple[str, ...], chosen: tuple[Place, ...], frames: int, image: str
    ) -> tuple[Span, ...]:
        lengths = {file: _lengths(root / files[file], image) for file, _, _ in chosen}
        stride = self.stride or frames
        return tuple(
            Span(number, 0, lengths[place.file][place.number] - 1, stride)
            for number, place in enumerate(chosen)
        )

    def _picture(
        self, blob: memoryview, name: str, declared: tuple[int | None, ...]
    ) -> UInt8[np.ndarray, "h w 3"]:
        try:
            with Image.open(io.BytesIO(blob)) as image:
                pixels = np.asarray(image.convert("RGB"))
        except (OSError, SyntaxError, Image.DecompressionBombError):
            raise ValueError(f"holds an image in {name!r} that cannot be decoded") from None
        for size, wanted in zip(pixels.shape[:2], declared, strict=False):
            if wanted not in (None, size):
                shape = "x".join(map(str, pixels.shape[:2]))
                asked = "x".join("?" if n is None else str(n) for n in declared[:2])
                raise ValueError(f"holds an image of {shape} in {name!r}, not of {asked}")
        if self.size in (None, pixels.shape[:2]):
            return pixels
        picture = fit(torch.from_numpy(pixels.copy()).permute(2, 0, 1).float(), self.size)
        return picture.round_().clamp_(0, 255).byte().permute(1, 2, 0).numpy()

    def _notes(
        self, root: Path, by_part: dict[str, list[str]], split: Split, windows: Windows
    ) -> tuple[str, ...]:
        listed = read_lengths(root)
        image, action = self._features()
        counts = []
        for part, names in by_part.items():
            number = len(places(root, names))
            known = f"; {listed[part]:,} by dataset_info.json" if part in listed else ""
            counts.append(f"{counted(number, 'episode')} in {part}{known}")
        missing = [f"no file of the split {part}" for part in listed if part not in by_part]
        what = (
            f"{counted(len(windows.spans), 'episode')} in the {split} split; frames are {image}, "
            f"actions {action or 'none'}"
        )
        short = (
            [f"{windows.dropped} of {len(windows.spans)} episodes are too short and left out"]
            if windows.dropped
            else []
        )
        return (*counts, *missing, what, *short)


def _files(root: Path) -> dict[str, list[str]]:
    """The files of each part of the dataset, in natural order."""
    found: dict[str, list[str]] = defaultdict(list)
    for path in sorted(root.glob("*"), key=natural):
        match = _FILE.fullmatch(path.name)
        if match and path.is_file():
            found[match[1]].append(path.name)
    if not found:
        raise DataError(f"{root} holds no episodes; give a folder {LAYOUT}")
    return dict(found)


def _own(by_part: dict[str, list[str]]) -> dict[Split, list[str]]:
    """Files by the split that they serve; a single held-out part is for testing."""
    validation = [name for part in ("val", "validation") for name in by_part.get(part, ())]
    own: dict[Split, list[str]] = {
        "train": by_part.get("train", []),
        "validation": validation,
        "test": by_part.get("test", []),
    }
    if not own["test"]:
        own["validation"], own["test"] = [], validation
    return {split: names for split, names in own.items() if names}


@lru_cache(maxsize=16)
def _known(root: Path, changed: int) -> Fields:
    del changed
    return read_fields(root)


def _lengths(path: Path, feature: str) -> tuple[int, ...]:
    """The number of frames of each episode of a file."""
    facts = path.stat()
    return _counted(path, feature, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=1 << 14)
def _counted(path: Path, feature: str, size: int, changed: int) -> tuple[int, ...]:
    del size, changed
    counts: list[int] = []
    for number, offset in enumerate(tfrecord.offsets(path).tolist()):
        try:
            counts.append(len(Example.parse(tfrecord.read(path, number, offset)).blobs(feature)))
        except DataError:
            raise
        except ValueError as error:
            raise tfrecord.damaged(path, number, str(error)) from None
    return tuple(counts)
