"""Clips out of arrays of numbers: rain radar, microscopy, simulations.

Arrays come as npy, npz, HDF5, NetCDF or multi-page TIFF, in one file or a folder of them, in units
of their own: a declared range of values becomes [0, 1], and `Arrays.to_units` leads back.

What is a sequence: a file with several frames is one; the single-frame files of a folder, in the
natural order of their names, are one together; each subfolder stands by itself.
"""

import dataclasses
import hashlib
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from framecast.clip import Clip, DataConfig, Key, Source, Split
from framecast.config import to_json
from framecast.data.array_files import Packing
from framecast.data.array_records import Record, find_records, read_record
from framecast.data.recorded import listing
from framecast.data.video_folder import FOLDERS, SPLITS, by_name
from framecast.data.windows import Span, Windows
from framecast.errors import ConfigError, DataError, EmptySplitError
from framecast.video import Size, fit

SURVEYED = 64
"""Frames that are looked at for what `notes` and messages say about the values."""
ENDS = 2**16
"""Bytes at either end of a file that its fingerprint covers."""
MOSTLY = 0.5
"""A pixel of a resized frame is missing where at least this part of what it covers is."""


@dataclass(frozen=True)
class Arrays(DataConfig):
    """Sequences of two-dimensional fields of numbers, in units.

    Where `root` has a folder `train`, the folders `train`, `validation` (or `val`) and `test` are
    the splits. Otherwise three sequences or more are shared out whole, by a hash of their names.
    One or two are split in time, each into a first part to train on, then validation, then test,
    and no clip crosses a border.
    """

    type: ClassVar[str] = "arrays"

    key: str | None = None
    """Name of the array in npz, HDF5 and NetCDF files (`image1/image_data`); None where a file
    holds only one with two axes or more."""
    axes: str | None = None
    """Axes of the array as stored, one letter each: b sequences, t time, c channels, h, w. None
    stands for `hw` with two axes and `thw` with three."""
    range: tuple[float, float] | None = None
    """(low, high) in units: the values that become 0 and 1. Others are clipped. None is only for
    bytes, where it stands for (0, 255)."""
    missing: float | None = None
    """The stored number, before scale and offset, that stands for no value. NaN and the fill
    values that NetCDF and HDF5 attributes declare count as missing anyway."""
    fill: float | None = None
    """The value, in units and in the range, that missing ones take; None stands for the low end."""
    scale: float = 1.0
    """Units per stored number, for files that do not say so themselves."""
    offset: float = 0.0
    """Units at the stored number 0, for files that do not say so themselves."""
    log_knee: float | None = None
    """Map values by log(1 + (value - low) / log_knee) rather than linearly: fine steps below the
    knee, in units above the low end, and coarse ones above it. For amounts of rain, most of which
    are far below the highest."""
    size: Size | None = None
    """(height, width) of the clips: just covered, aspect kept, centre cropped; None as stored."""
    channels: int = 1
    """Number of channels of the arrays."""
    stride: int | None = None
    """Frames between the starts of successive clips. None for 1 in training, and otherwise for as
    many as a clip has: clips that are scored do not overlap."""
    splits: tuple[float, float, float] = (0.7, 0.15, 0.15)
    """Fractions of the sequences, or of the frames, for training, validation and test."""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself.

        Raises:
            ConfigError: one line that names the field.
        """
        letters = "hw" if self.axes is None else self.axes
        problems = {
            f"axes {letters!r}: use each of b, t, c, h, w at most once, and h and w": (
                not {"h", "w"} <= set(letters) <= set("btchw") or len(set(letters)) < len(letters)
            ),
            "range: the first value is the low one, below the second": (
                self.range is not None and not self.range[0] < self.range[1]
            ),
            "fill lies in the range": (
                self.fill is not None
                and self.range is not None
                and not self.range[0] <= self.fill <= self.range[1]
            ),
            "scale and offset need a range, in the units they lead to": (
                self.range is None and (self.scale, self.offset) != (1.0, 0.0)
            ),
            "scale is not zero": self.scale == 0,
            "log_knee is above zero": self.log_knee is not None and self.log_knee <= 0,
            "size, channels and stride are at least 1": (
                any(
                    n is not None and n < 1
                    for n in (*(self.size or ()), self.channels, self.stride)
                )
            ),
            "splits are not negative and add up to 1": (
                min(self.splits) < 0 or not math.isclose(sum(self.splits), 1, abs_tol=1e-6)
            ),
        }
        for problem, found in problems.items():
            if found:
                raise ConfigError(problem)

    @property
    def limits(self) -> tuple[float, float]:
        """The values, in units, of frames at 0 and at 1."""
        return self.range or (0.0, 255.0)

    def source(self, split: Split, frames: int, seed: int) -> "ArrayClips":  # noqa: ARG002
        """All clips of `frames` frames in one split, in order; the seed plays no part.

        Raises:
            DataError: if there are no arrays, they are damaged or laid out otherwise than
                declared, the range of their values is unknown, or no clip is short enough.
        """
        records = self._records()
        stride = (1 if split == "train" else frames) if self.stride is None else self.stride
        spans = _spans(records, split, self.splits, stride)
        clips = ArrayClips(self, split, records, Windows(spans, frames))
        if len(clips) == 0:
            longest = max((span.length for span in spans), default=0)
            raise EmptySplitError(
                f"no clip of {frames} frames fits the {split} split of {self.root}, whose longest "
                f"part has {longest}; shorten context or horizon, or change --data.splits"
            )
        return clips

    def to_units(self, frames: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Values in units of frames in [0, 1]: the way back from what `source` gives.

        Args:
            frames: of any shape; what lies outside [0, 1] is carried on, not clipped.
        """
        low, high = self.limits
        if self.log_knee is None:
            return low + (high - low) * frames
        top = math.log1p((high - low) / self.log_knee)
        return low + self.log_knee * torch.expm1(top * frames)

    def to_frames(self, values: Float[Tensor, "*n"]) -> Float[Tensor, "*n"]:
        """Frames in [0, 1] of values in units, clipped to the range; NaN takes the fill value."""
        low, high = self.limits
        filled = torch.nan_to_num(
            values, nan=low if self.fill is None else self.fill, posinf=high, neginf=low
        ).clamp(low, high)
        if self.log_knee is None:
            return (filled - low) / (high - low)
        return torch.log1p((filled - low) / self.log_knee) / math.log1p(
            (high - low) / self.log_knee
        )

    def read(self, record: Record, start: int, count: int) -> Iterator[np.ndarray]:
        """Values in units of some frames, NaN where missing, in blocks `t c h w`."""
        packing = Packing(self.scale, self.offset, self.missing)
        return read_record(record, start, count, self.key, packing)

    def _records(self) -> tuple[Record, ...]:
        if self.root is None or not self.root.exists():
            raise DataError(
                f"no arrays at {self.root}: give --data.root an npy, npz, HDF5, NetCDF or TIFF "
                "file, or a folder of them"
            )
        records = find_records(self.root, self.key, self.axes)
        for record in records:
            path, channels = record.folder / record.files[0], record.grid.channels
            if channels != self.channels:
                raise DataError(
                    f"{path} has {channels} channels, not {self.channels}: set --data.channels, "
                    "or name the axes with --data.axes"
                )
            if record.layout.packed and (self.scale, self.offset) != (1.0, 0.0):
                raise DataError(f"{path} gives its scale and offset itself: leave them out")
        if self.range is None:
            self._need_bytes(records)
        return records

    def _need_bytes(self, records: tuple[Record, ...]) -> None:
        """Refuse to guess the range of anything but bytes, and help to declare it."""
        if all(r.layout.dtype == np.uint8 and not r.layout.packed for r in records):
            return
        spans = tuple(Span(number, 0, r.length - 1) for number, r in enumerate(records))
        survey = _survey(self, records, spans)
        raise DataError(
            f"{self.root} has no declared range: its values run from {survey.low:.6g} to "
            f"{survey.high:.6g} in the {survey.frames} frames looked at; give --data.range LOW "
            "HIGH, in units"
        )


class ArrayClips(Source):
    """The clips of one split of `Arrays`. Files are opened when a clip is asked for."""

    fixed = True

    def __init__(
        self, config: Arrays, split: Split, records: tuple[Record, ...], windows: Windows
    ) -> None:
        """Keep what says where each clip is; `Arrays.source` makes it up."""
        self.config = config
        self.split: Split = split
        self.records = records
        self.windows = windows

    def __len__(self) -> int:
        """Number of clips."""
        return len(self.windows)

    def __getitem__(self, key: Key) -> Clip:
        """The clip of one key: the same in every epoch."""
        window = self.windows[key[1]]
        record = self.records[window.video]
        parts: list[tuple[Tensor, Tensor]] = []
        for block in self.config.read(record, window.start, window.frames):
            values = torch.from_numpy(block)
            frames, missing = self.config.to_frames(values).float(), values.isnan()
            if self.config.size is not None:
                frames = fit(frames, self.config.size)
                missing = fit(missing.float(), self.config.size) >= MOSTLY
            parts.append((frames, missing))
        frames, missing = (torch.cat(each) for each in zip(*parts, strict=True))
        return Clip(frames, missing=missing)

    def name(self, index: int) -> str:
        """File and number of the first frame (file and time of single-frame files)."""
        window = self.windows[index]
        return self.records[window.video].frame_name(window.start)

    def notes(self) -> tuple[str, ...]:
        """How the arrays were split, what was too short, and how much is missing or clipped.

        The values are those of up to `SURVEYED` frames, evenly spread over the split.
        """
        spans = self.windows.spans
        notes: list[str] = []
        if _by_time(self.records):
            notes += [
                f"{self.records[span.video].name} is split in time: {self.split} is frames "
                f"{span.first} to {span.last}"
                for span in spans
            ]
        if _by_folder(self.records):
            strays = [r.name for r in self.records if _top(r) not in FOLDERS]
            notes += listing("sequence", "outside train, validation and test", strays)
        if self.windows.dropped:
            notes.append(
                f"{self.windows.dropped} of {len(spans)} sequences have fewer than "
                f"{self.windows.frames} frames and were left out"
            )
        survey = _survey(self.config, self.records, spans)
        low, high = self.config.limits
        if survey.missing:
            fill = low if self.config.fill is None else self.config.fill
            notes.append(f"{survey.share(survey.missing)} are missing and became {fill:g}")
        if survey.outside:
            notes.append(
                f"{survey.share(survey.outside)} lie outside the declared range {low:g} to "
                f"{high:g} and were clipped (they run from {survey.low:.6g} to {survey.high:.6g})"
            )
        return tuple(notes)

    def fingerprint(self) -> str:
        """Digest of the configuration, the windows, and the name, size and both ends of each file.

        The place of the root plays no part, so that a moved dataset stays the same.
        """
        settings = to_json(dataclasses.replace(self.config, root=None))
        digest = hashlib.blake2b(digest_size=16)
        digest.update(json.dumps([settings, self.split, self.windows.frames]).encode())
        paths = {name: record.folder / name for record in self.records for name in record.files}
        for name, path in paths.items():
            size = path.stat().st_size
            with path.open("rb") as file:
                digest.update(f"{name}:{size}:".encode() + file.read(ENDS))
                file.seek(max(ENDS, size - ENDS))
                digest.update(file.read())
        return digest.hexdigest()


class Survey(NamedTuple):
    """Counts over some frames, and the lowest and highest value in units."""

    frames: int
    values: int
    missing: int
    outside: int
    low: float
    high: float

    def share(self, part: int) -> str:
        """A part of the values in words."""
        percent = 100 * part / self.values
        return f"{part} of {self.values} values ({percent:.2g} %) in {self.frames} frames looked at"


def _survey(config: Arrays, records: tuple[Record, ...], spans: tuple[Span, ...]) -> Survey:
    total = sum(span.length for span in spans)
    wanted = {round(n) for n in np.linspace(0, total - 1, min(SURVEYED, total))}
    values = missing = outside = 0
    lows, highs = [math.inf], [-math.inf]
    places = ((span.video, span.first + n) for span in spans for n in range(span.length))
    bottom, top = config.limits
    # Packed numbers that stand for the ends of the range come out a rounding error beyond them.
    slack = 1e-6 * (top - bottom)
    for number, (video, time) in enumerate(places):
        if number not in wanted:
            continue
        for block in config.read(records[video], time, 1):
            present = block[~np.isnan(block)]
            values += block.size
            missing += block.size - present.size
            outside += int(((present < bottom - slack) | (present > top + slack)).sum())
            lows.append(float(present.min(initial=math.inf)))
            highs.append(float(present.max(initial=-math.inf)))
    return Survey(len(wanted), values, missing, outside, min(lows), max(highs))


def _spans(
    records: tuple[Record, ...], split: Split, parts: tuple[float, float, float], stride: int
) -> tuple[Span, ...]:
    """The parts of the records that belong to a split."""
    if _by_time(records):
        ends = [_time(record.length, split, parts) for record in records]
    else:
        owners = (
            {r.name: FOLDERS.get(_top(r)) for r in records}
            if _by_folder(records)
            else by_name([r.name for r in records], parts)
        )
        ends = [(0, r.length if owners[r.name] == split else 0) for r in records]
    return tuple(
        Span(number, first, end - 1, stride)
        for number, (first, end) in enumerate(ends)
        if end > first
    )


def _top(record: Record) -> str:
    """The folder right under the root that a record lies in, empty where it lies in none."""
    return record.name.rpartition("/")[0].split("/", 1)[0]


def _by_folder(records: tuple[Record, ...]) -> bool:
    return any(_top(record) == "train" for record in records)


def _by_time(records: tuple[Record, ...]) -> bool:
    return len(records) < 3 and not _by_folder(records)


def _time(length: int, split: Split, parts: tuple[float, float, float]) -> tuple[int, int]:
    """First frame of a split of one record, and the frame after its last."""
    borders = (0, round(length * parts[0]), round(length * (parts[0] + parts[1])), length)
    place = SPLITS.index(split)
    return borders[place], borders[place + 1]
