"""Which array files are one sequence, and the frames of a sequence in units.

A file with several frames is a sequence; the single-frame files of a folder, in the natural order
of their names, are one together; each subfolder stands by itself.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from framecast.data.array_files import Index, Layout, Packing, blocks, is_array_file, layout
from framecast.data.recorded import files_under
from framecast.errors import DataError
from framecast.video import natural

BLOCK = 2**24
"""Values read at a time, so that memory is bounded by the clip and not by the frames on disk."""


class Grid(NamedTuple):
    """How one file is laid out: letters of its axes as stored, and their lengths."""

    axes: str
    times: int
    items: int | None
    """Length of the axis b, None without one."""
    channels: int
    height: int
    width: int


class Record(NamedTuple):
    """One sequence: a file of several frames, or several files of one frame each."""

    folder: Path
    """What the paths are relative to."""
    files: tuple[str, ...]
    """Paths in order of time."""
    length: int
    """Number of frames."""
    item: int | None
    """Place on the axis b, None without one."""
    grid: Grid
    layout: Layout
    """Of the first file."""

    @property
    def spread(self) -> bool:
        """Whether each frame has a file of its own."""
        return len(self.files) > 1

    @property
    def name(self) -> str:
        """What reports call the sequence."""
        name = f"{self.files[0]} and on" if self.spread else self.files[0]
        return name if self.item is None else f"{name} [{self.item}]"

    def frame_name(self, time: int) -> str:
        """What reports call one of its frames."""
        if self.spread:
            return self._replace(files=(self.files[time],)).name
        return f"{self.name} at {time}"


def find_records(root: Path, key: str | None, axes: str | None) -> tuple[Record, ...]:
    """The sequences in a file or below a folder, in the natural order of their names.

    Args:
        root: An array file, or a folder of them.
        key: Name of the array in each file, None where it is the only one.
        axes: Letters of its axes (b, t, c, h, w) as stored; None for `hw` and `thw`.

    Raises:
        DataError: if there are none, a file is damaged, or its axes are not those.
    """
    if root.is_file():
        if not is_array_file(root):
            raise DataError(f"{root} is no array file (.npy, .npz, .h5, .hdf5, .nc, .tif, .tiff)")
        return tuple(_records_of(root.parent, [root], key, axes))
    found = [record for files in _by_folder(root) for record in _records_of(root, files, key, axes)]
    if not found:
        raise DataError(
            f"no arrays in {root}: it needs npy, npz, HDF5, NetCDF or TIFF files, or folders "
            "of them"
        )
    return tuple(found)


def read_record(
    record: Record, start: int, count: int, key: str | None, packing: Packing
) -> Iterator[np.ndarray]:
    """Values in units of `count` frames from `start`, NaN where missing, in blocks `t c h w`.

    Raises:
        DataError: if a file is damaged, or no longer what it was when it was found.
    """
    grid = record.grid
    if record.spread:
        reads = [(file, [_index(record, 0, 1)]) for file in record.files[start : start + count]]
    else:
        step = max(1, BLOCK // (grid.channels * grid.height * grid.width))
        times = [(t, min(t + step, start + count)) for t in range(start, start + count, step)]
        reads = [(record.files[0], [_index(record, first, last) for first, last in times])]
    kept = grid.axes.replace("b", "")
    order = [kept.index(letter) for letter in "tchw" if letter in kept]
    for file, indexes in reads:
        for block in blocks(record.folder / file, key, indexes, packing):
            turned = np.ascontiguousarray(block.transpose(order))
            yield turned.reshape(-1, grid.channels, grid.height, grid.width)


def _index(record: Record, first: int, last: int) -> Index:
    places: dict[str, int | slice | None] = {"b": record.item, "t": slice(first, last)}
    found = (places.get(letter) for letter in record.grid.axes)
    return tuple(slice(None) if place is None else place for place in found)


def _records_of(
    root: Path, files: list[Path], key: str | None, axes: str | None
) -> Iterator[Record]:
    """The sequences of one folder."""
    layouts = [layout(path, key) for path in files]
    grids = [_grid(path, found, axes) for path, found in zip(files, layouts, strict=True)]
    names = [path.relative_to(root).as_posix() for path in files]
    if len(files) < 2 or any(grid.times > 1 for grid in grids):
        for name, found, grid in zip(names, layouts, grids, strict=True):
            for item in _items(grid):
                yield Record(root, (name,), grid.times, item, grid, found)
        return
    for path, grid in zip(files, grids, strict=True):
        if grid != grids[0]:
            raise DataError(
                f"{path} differs in shape from {files[0].name}, but the single-frame files of a "
                "folder are one sequence; put others into subfolders"
            )
    for item in _items(grids[0]):
        yield Record(root, tuple(names), len(names), item, grids[0], layouts[0])


def _grid(path: Path, found: Layout, declared: str | None) -> Grid:
    shape = "x".join(map(str, found.shape))
    axes = {2: "hw", 3: "thw"}.get(len(found.shape)) if declared is None else declared
    if axes is None or len(axes) != len(found.shape):
        told = "may be read in several ways" if axes is None else f"does not have the axes {axes}"
        raise DataError(
            f"{path} is an array of {shape} and {told}: name its axes in their order with "
            "--data.axes, such as thw, tchw or thwc"
        )
    if declared is None and len(axes) == 3 and found.shape[2] <= 4:
        raise DataError(f"{path} is an array of {shape}: is that hwc or thw? Say with --data.axes")
    sizes = {"t": 1, "c": 1, **dict(zip(axes, found.shape, strict=True))}
    if min(sizes.values()) < 1:
        raise DataError(f"{path} is an array of {shape}: there is nothing in it")
    return Grid(axes, sizes["t"], sizes.get("b"), sizes["c"], sizes["h"], sizes["w"])


def _items(grid: Grid) -> list[int | None]:
    return [None] if grid.items is None else list(range(grid.items))


def _by_folder(root: Path) -> list[list[Path]]:
    """The array files below a root, folder by folder, all in natural order."""
    folders: dict[Path, list[Path]] = {}
    for path in sorted(filter(is_array_file, files_under(root)), key=natural):
        folders.setdefault(path.parent, []).append(path)
    return list(folders.values())
