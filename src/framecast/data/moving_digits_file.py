"""Moving-MNIST from the files in which it was published, in both layouts."""

import struct
import zipfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Int64, Num

from framecast import digest
from framecast.clip import Clip, DataConfig, Key, Source, Split
from framecast.errors import DataError, EmptySplitError

CANONICAL = "mnist_test_seq.npy"
CANONICAL_COUNT = 10_000
PREDRNN: dict[Split, str] = {
    "train": "moving-mnist-train.npz",
    "validation": "moving-mnist-valid.npz",
    "test": "moving-mnist-test.npz",
}
NAMED: dict[str, Split] = {CANONICAL: "test", **{name: split for split, name in PREDRNN.items()}}
"""Which split a published file is."""
LOCAL_HEADER = 30
"""Bytes before the name of a member in a zip file."""


@dataclass(frozen=True)
class MovingDigitsFile(DataConfig):
    """Moving-MNIST sequences from the files that were published, the same in every epoch.

    `root` is a folder with `mnist_test_seq.npy` ((20, N, 64, 64), bytes), which is the test set,
    and with PredRNN's `moving-mnist-{train,valid,test}.npz`, as far as they are wanted; or one such
    file. Frames are float32 `t 1 64 64` in [0, 1]. Uncompressed files are mapped, not read;
    compressed ones are read whole, once per process.
    """

    type: ClassVar[str] = "moving-digits-file"

    serves: Split = "test"
    """Which split `root` is, where it is a file: it never serves as two."""

    def source(self, split: Split, frames: int, seed: int) -> "MovingDigitsFileSource":  # noqa: ARG002
        """The first `frames` frames of every sequence of one split, in the file's order.

        Raises:
            DataError: if there is no file for the split, it is damaged, or its sequences are too
                short.
        """
        path = self._find(split)
        available = _open(path).length
        if not 1 <= frames <= available:
            raise DataError(
                f"{path} has sequences of {available} frames, not {frames}; "
                "ask for fewer, or make sequences of any length with moving-digits"
            )
        return MovingDigitsFileSource(path, frames)

    def _find(self, split: Split) -> Path:
        names = [CANONICAL, PREDRNN[split]] if split == "test" else [PREDRNN[split]]
        if self.root is not None and self.root.is_file():
            named = NAMED.get(self.root.name, self.serves)
            if named != self.serves:
                raise DataError(
                    f"{self.root} is the {named} split by its name, not {self.serves}; "
                    f"set --data.serves {named}, or rename it"
                )
            if split == self.serves:
                return self.root
            raise EmptySplitError(
                f"{self.root} is the {self.serves} split; for {split} give as root a folder with "
                f"{names[-1]}"
            )
        for name in names:
            if self.root is not None and (self.root / name).is_file():
                return self.root / name
        place = "root is not set" if self.root is None else f"not in {self.root}"
        raise EmptySplitError(
            f"{' or '.join(names)} is missing ({place}); {CANONICAL} is published at "
            "https://www.cs.toronto.edu/~nitish/unsupervised_video, the npz files with PredRNN"
        )


class MovingDigitsFileSource(Source):
    """Sequences of one file."""

    fixed = True

    def __init__(self, path: Path, frames: int) -> None:
        """Note what to read; the file is opened once per process, when first asked for."""
        self.path, self.frames = path, frames

    def __len__(self) -> int:
        """Number of sequences."""
        return _open(self.path).count

    def __getitem__(self, key: Key) -> Clip:
        """One sequence, whatever the epoch."""
        _, index = key
        if not 0 <= index < len(self):
            raise IndexError(f"sequence {index} of {len(self)}")
        frames = torch.from_numpy(_open(self.path).sequence(index, self.frames))
        return Clip(frames.float().div_(255) if frames.dtype == torch.uint8 else frames.float())

    def fingerprint(self) -> str:
        """SHA-256 of the number of frames and the file's content."""
        return digest.of_text(f"{self.frames} {digest.of_file(self.path)}")

    def notes(self) -> tuple[str, ...]:
        """Where the number of sequences is not the published one."""
        if len(self) == CANONICAL_COUNT:
            return ()
        return (f"{len(self):,} sequences in {self.path.name}; published: {CANONICAL_COUNT:,}",)


@dataclass(frozen=True)
class _Sequences:
    """A file's frames, and which of them make a sequence."""

    frames: Num[np.ndarray, "t_or_f n_or_1 h w"]
    """`t n h w` where `clips` is None, else `f 1 h w`: all sequences behind one another."""
    clips: Int64[np.ndarray, "2 n 2"] | None
    """First frame and length of the input (0) and the output (1) of each sequence."""

    @property
    def count(self) -> int:
        return self.frames.shape[1] if self.clips is None else self.clips.shape[1]

    @property
    def length(self) -> int:
        """Frames of the shortest sequence."""
        if self.clips is None:
            return self.frames.shape[0]
        return int(self.clips[..., 1].sum(0).min())

    def sequence(self, index: int, length: int) -> Num[np.ndarray, "t 1 h w"]:
        """The first frames of one sequence, a copy `t 1 h w`."""
        if self.clips is None:
            return np.array(self.frames[:length, index, None])
        pieces = [self.frames[begin : begin + n] for begin, n in self.clips[:, index].tolist()]
        return np.concatenate(pieces)[:length]


@lru_cache(maxsize=4)
def _open(path: Path) -> _Sequences:
    try:
        return _open_npz(path) if zipfile.is_zipfile(path) else _open_npy(path)
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        if isinstance(error, DataError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{path} cannot be read ({reason}); get the file anew") from error


def _open_npy(path: Path) -> _Sequences:
    frames = np.lib.format.open_memmap(path, mode="r")
    if frames.ndim != 4 or frames.dtype != np.uint8 or 0 in frames.shape:
        raise DataError(
            f"{path} holds {frames.dtype} {frames.shape}; expected bytes of "
            "(frames, sequences, height, width), as in mnist_test_seq.npy"
        )
    return _Sequences(frames, None)


def _open_npz(path: Path) -> _Sequences:
    frames, clips = _member(path, "input_raw_data"), _member(path, "clips").astype(np.int64)
    if frames.ndim != 4 or clips.ndim != 3 or clips.shape[::2] != (2, 2) or 0 in clips.shape:
        raise DataError(
            f"{path} holds input_raw_data {frames.shape} and clips {clips.shape}; expected "
            "(frames, 1, height, width) and (2, sequences, 2), as PredRNN has them"
        )
    if clips.min() < 0 or clips.sum(-1).max() > len(frames):
        raise DataError(f"{path}: clips point beyond its {len(frames)} frames; get the file anew")
    return _Sequences(frames, clips)


def _member(path: Path, name: str) -> np.ndarray:
    """An array of an npz file, mapped where it is not compressed."""
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{name}.npy")
    if info.compress_type != zipfile.ZIP_STORED:
        with np.load(path) as arrays:
            return arrays[name]
    with path.open("rb") as file:
        file.seek(info.header_offset + LOCAL_HEADER - 4)
        file.seek(sum(struct.unpack("<HH", file.read(4))), 1)
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0
        if version != (1, 0):
            read = np.lib.format.read_array_header_2_0
        shape, fortran, dtype = read(file)
        order = "F" if fortran else "C"
        return np.memmap(path, dtype, "r", file.tell(), shape, order)
