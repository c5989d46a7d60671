"""TFRecord files: records behind one another, each with a checksum of its length and of its data.

A record is its length (8 bytes), the masked CRC-32C of those bytes (4), the data, and the masked
CRC-32C of the data (4), all little-endian. Lengths alone lead from record to record, so that an
index of a file reads a few bytes of each.

Reference: the format as TensorFlow documents it, https://www.tensorflow.org/tutorials/load_data/tfrecord.
"""

import importlib
import os
import struct
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import Int64

from framecast.data.recorded import files_under
from framecast.errors import DataError
from framecast.video import natural

HEAD = struct.Struct("<QI")
"""Length of the data, and checksum of the length."""
TAIL = struct.Struct("<I")
"""Checksum of the data."""
AROUND = HEAD.size + TAIL.size
"""Bytes of a record besides its data."""

Progress = Callable[[int, int], None]
"""Called with (files done, files in all)."""


def is_tfrecord(path: Path) -> bool:
    """Whether a file is one by its name: `.tfrecord`, `.tfrecords`, `.tfrecord-00000-of-00512`."""
    return path.suffix.split("-")[0].lower() in {".tfrecord", ".tfrecords"}


def offsets(path: Path) -> Int64[np.ndarray, "n"]:
    """Where each record of a file begins; kept for the process as long as the file stays as it is.

    Raises:
        DataError: if it cannot be read, is no TFRecord file, or is cut off.
    """
    try:
        facts = path.stat()
        return _offsets(path, facts.st_size, facts.st_mtime_ns)
    except OSError as error:
        raise _unreadable(path, error) from None


def read(path: Path, number: int, offset: int) -> bytes:
    """The data of a record, after comparing it with its checksums.

    Args:
        path: The file.
        number: Of the record, counted from 0, for what an error says.
        offset: Where it begins: see `offsets`.

    Raises:
        DataError: if it is damaged or cannot be read: one line with the file and the number.
    """
    try:
        with path.open("rb") as file:
            length = _length(file, path, number, offset, os.fstat(file.fileno()).st_size)
            body = file.read(length + TAIL.size)
    except OSError as error:
        raise _unreadable(path, error) from None
    data = body[:length]
    if TAIL.unpack(body[length:])[0] != masked(data):
        raise damaged(path, number, "does not match its checksum")
    return data


def masked(data: bytes) -> int:
    """The checksum of some bytes: CRC-32C, rotated right by 15 bits, plus a constant."""
    crc = _crc32c()(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def damaged(path: Path, number: int, what: str) -> DataError:
    """An error that names a record and says what is wrong with it."""
    return DataError(f"record {number} of {path} {what}; get the file anew")


def below(root: Path) -> list[Path]:
    """The TFRecord files below a folder, in the natural order of their names."""
    return sorted(filter(is_tfrecord, files_under(root)), key=natural) if root.is_dir() else []


def verify(root: Path, progress: Progress = lambda _done, _all: None) -> dict[str, str]:
    """Compare every record below a folder with its checksums.

    Returns:
        The files at fault by their paths below the folder, with the first fault of each.
    """
    files = below(root)
    faults: dict[str, str] = {}
    for done, path in enumerate(files, 1):
        try:
            for number, offset in enumerate(offsets(path).tolist()):
                read(path, number, offset)
        except DataError as error:
            faults[path.relative_to(root).as_posix()] = str(error)
        progress(done, len(files))
    return faults


@lru_cache(maxsize=1 << 14)
def _offsets(path: Path, size: int, changed: int) -> Int64[np.ndarray, "n"]:
    del changed
    with path.open("rb", buffering=0) as file:
        return np.fromiter(_walk(file, path, size), np.int64)


def _walk(file: BinaryIO, path: Path, size: int) -> Iterator[int]:
    number = offset = 0
    while offset < size:
        length = _length(file, path, number, offset, size)
        yield offset
        offset, number = offset + AROUND + length, number + 1


def _length(file: BinaryIO, path: Path, number: int, offset: int, size: int) -> int:
    """The length of a record's data, with the file left where the data begin."""
    file.seek(offset)
    head = file.read(HEAD.size)
    if len(head) < HEAD.size:
        raise damaged(path, number, "is cut off")
    length, check = HEAD.unpack(head)
    if check != masked(head[:8]):
        if number == 0:
            raise DataError(f"{path} does not begin with a TFRecord: is it compressed, or another?")
        raise damaged(path, number, "has a length that does not match its checksum")
    if offset + AROUND + length > size:
        there = size - offset
        raise damaged(path, number, f"is cut off: {there:,} of {AROUND + length:,} bytes are there")
    return length


@cache
def _crc32c() -> Callable[[bytes], int]:
    try:
        return importlib.import_module("google_crc32c").value
    except ImportError:
        raise DataError(
            "TFRecords need google-crc32c, which is not installed: pip install google-crc32c"
        ) from None


def _unreadable(path: Path, error: OSError) -> DataError:
    return DataError(f"{path} cannot be read: {error.strerror or error}")
