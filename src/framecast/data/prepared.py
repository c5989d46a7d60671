"""Videos on disk in one indexed form: one uint8 array per video, and `index.json` over them.

A prepared root holds `NAME.npy` (t, h, w, c) for every video NAME of the originals, resized and
gray where the recipe says so, so that a window is a slice of a memory map. It gives the clips that
the originals give, bit for bit: both are rounded to 8 bits.
"""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from jaxtyping import UInt8
from numpy.lib import format as npy

from framecast import atomic
from framecast.config import Config, dump, from_json, parse
from framecast.errors import ConfigError, DataError

FORMAT_VERSION = 1
INDEX = "index.json"
ENDS = 1 << 16
"""Bytes at each end of a file that its digest covers."""


@dataclass(frozen=True)
class Recording(Config):
    """One video, as clips see it: resampled and resized."""

    name: str
    """Path of the original under its root, with forward slashes."""
    digest: str
    """Of the original: see `digest`."""
    frames: int
    """Number of frames."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""
    rate: float
    """Frames per second, on average."""
    fault: str = ""
    """What is wrong with a damaged video, of which the frames before the fault are used."""
    sha256: str = ""
    """Of the prepared array; empty where the original is read."""


@dataclass(frozen=True)
class Index(Config):
    """What `index.json` holds."""

    format_version: int
    """Version of this layout."""
    complete: bool
    """Whether every original was dealt with."""
    recipe: dict[str, Any]
    """What the frames depend on besides the originals: dataset, size, channels, rate."""
    recordings: list[Recording] = field(default_factory=list)
    """The videos, by name."""
    unreadable: dict[str, str] = field(default_factory=dict)
    """Names of originals that cannot be decoded, with the reason."""


def is_prepared(root: Path) -> bool:
    """Whether a folder is in the prepared form, complete or not, or damaged."""
    if not (root / INDEX).is_file():
        return False
    try:
        content = parse((root / INDEX).read_text("utf-8"))
    except (OSError, ValueError):
        return True  # `read_index` says what is wrong with it
    return isinstance(content, dict) and "recipe" in content


def read_index(root: Path) -> Index:
    """Read the index of a prepared root.

    Raises:
        DataError: if it is damaged, or of a later version.
    """
    if not (root / INDEX).is_file():
        raise DataError(f"{root} is no prepared folder; framecast data prepare makes one")
    try:
        index = from_json(Index, parse((root / INDEX).read_text("utf-8")))
    except (OSError, ValueError, ConfigError) as error:
        raise DataError(
            f"{root / INDEX} cannot be read ({_line(error)}); prepare again into a new folder"
        ) from None
    if index.format_version > FORMAT_VERSION:
        raise DataError(
            f"{root} was prepared by a later framecast (format {index.format_version}); update it"
        )
    for recording in index.recordings:
        if PurePosixPath(recording.name).is_absolute() or ".." in recording.name.split("/"):
            raise DataError(f"{root / INDEX} names {recording.name!r}, which leaves the folder")
    return index


def open_index(root: Path, recipe: dict[str, Any]) -> Index:
    """Read the index of a root that was prepared by a recipe.

    Raises:
        DataError: if the preparation is unfinished, or was by another recipe.
    """
    index = read_index(root)
    if not index.complete:
        raise DataError(
            f"the preparation of {root} was interrupted; give the same command again to finish it"
        )
    check_recipe(root, index, recipe)
    return index


def check_recipe(root: Path, index: Index, recipe: dict[str, Any]) -> None:
    """Refuse arrays that were made otherwise than asked for.

    Raises:
        DataError: if the recipes differ: one line that names the first difference.
    """
    for key in {**recipe, **index.recipe}:
        asked, there = recipe.get(key), index.recipe.get(key)
        if asked != there:
            raise DataError(
                f"{root} was prepared with {key} {_show(there)}, not {_show(asked)}; "
                f"ask for that {key}, or prepare the originals again into another folder"
            )


def write_index(root: Path, index: Index) -> None:
    """Write the index of a root in one step."""
    atomic.write_text(root / INDEX, dump(index))


def array_path(root: Path, name: str) -> Path:
    """Where the frames of a video are in a prepared root."""
    return root / f"{name}.npy"


def read_array(root: Path, name: str, start: int, count: int) -> UInt8[np.ndarray, "t h w c"]:
    """Frames `start` to `start + count` of a video of a prepared root; nothing else is read.

    Raises:
        DataError: if the array is missing or damaged, or has fewer frames.
    """
    path = array_path(root, name)
    try:
        whole = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({_line(error)}); prepare again") from None
    if whole.ndim != 4 or whole.dtype != np.uint8 or len(whole) < start + count:
        raise DataError(f"{path} does not hold the frames that the index lists; prepare again")
    return np.array(whole[start : start + count])


def write_array(
    path: Path, frames: Iterable[UInt8[np.ndarray, "h w c"]]
) -> tuple[int, int, int, int]:
    """Write frames as they come, in one step: the array is there whole, or not at all.

    Returns:
        Shape (t, h, w, c).

    Raises:
        DataError: if the frames differ in size, or there is none.
    """
    shape = (0, 0, 0, 0)
    atomic.sweep(path)
    with atomic.NewFile(path) as draft, draft.open("wb") as file:
        for frame in frames:
            if shape[0] == 0:
                _head(file, (1, *frame.shape))
            elif frame.shape != shape[1:]:
                raise DataError("its frames differ in size; give the data a size")
            shape = (shape[0] + 1, *frame.shape)
            file.write(np.ascontiguousarray(frame).data)
        if shape[0] == 0:
            raise DataError("it holds no frame")
        file.seek(0)
        _head(file, shape)
    return shape


def _head(file: Any, shape: tuple[int, ...]) -> None:
    # NumPy pads the header so that the first axis can grow to any number without moving the data.
    npy.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def digest(path: Path) -> str:
    """What tells originals apart, cheaply.

    Of a file its size and both its ends; of a folder the names and sizes of its files, and both
    ends of the first, the middle and the last one.
    """
    state = hashlib.sha256()
    if not path.is_dir():
        _add_ends(state, path)
        return state.hexdigest()
    files = sorted(entry for entry in path.iterdir() if entry.is_file())
    for file in files:
        state.update(f"{file.name}\0{file.stat().st_size}\n".encode("utf-8", "surrogateescape"))
    for place in sorted({0, len(files) // 2, len(files) - 1}) if files else ():
        _add_ends(state, files[place])
    return state.hexdigest()


def _add_ends(state: Any, path: Path) -> None:
    size = path.stat().st_size
    state.update(f"{size}\n".encode())
    with path.open("rb") as file:
        state.update(file.read(ENDS))
        if size > ENDS:
            file.seek(max(ENDS, size - ENDS))
            state.update(file.read())


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _show(value: Any) -> str:
    return "unset" if value is None else json.dumps(value)
