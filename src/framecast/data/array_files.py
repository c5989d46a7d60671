"""Numbers out of array files, a slice at a time: npy, npz, HDF5, NetCDF and TIFF.

Every kind is read by position (a tuple of integers and slices, one per axis of the array as
stored), so that memory holds what was asked for and not the file. No file stays open between calls.
"""

import importlib
import math
import operator
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from framecast.errors import DataError
from framecast.registry import suggest

Index = tuple[int | slice, ...]
Take = Callable[[Index], np.ndarray]


@dataclass(frozen=True)
class Layout:
    """What an array file declares about its array, before any of it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype
    """Type of the numbers as stored."""
    packed: bool
    """Whether attributes of the file scale the stored numbers."""


@dataclass(frozen=True)
class Packing:
    """How stored numbers become values in units, as far as the file itself does not say."""

    scale: float = 1.0
    offset: float = 0.0
    missing: float | None = None
    """The stored number, before scale and offset, that stands for no value."""


@dataclass(frozen=True)
class _Stored:
    layout: Layout
    take: Take
    """Numbers by position; masked, and in units, as far as the file says so itself."""
    raw: Take
    """Numbers by position as they are stored."""


def is_array_file(path: Path) -> bool:
    """Whether the suffix is one of an array file."""
    return path.suffix.lower() in _READERS


def layout(path: Path, key: str | None) -> Layout:
    """Shape and type of the array in a file, from its header.

    Args:
        path: An array file.
        key: Name of the array in it; None where the file holds one array only.

    Raises:
        DataError: if the file is damaged, the array is not there or not of numbers, or the
            library that reads this kind of file is not installed.
    """
    with _opened(path, key) as stored:
        return stored.layout


def blocks(
    path: Path, key: str | None, indexes: Iterable[Index], packing: Packing
) -> Iterator[np.ndarray]:
    """Values in units at some positions of the array in a file, missing ones as NaN.

    Missing are NaN, `packing.missing`, and what the file itself declares: `_FillValue`,
    `missing_value` and the valid range in NetCDF, the first two also as attributes in HDF5.

    Yields:
        One array per position, float32, or float64 where the stored type needs it.

    Raises:
        DataError: as `layout`, and if a part of the file cannot be read.
    """
    with _opened(path, key) as stored:
        for index in indexes:
            yield _values(stored, index, packing)


def _values(stored: _Stored, index: Index, packing: Packing) -> np.ndarray:
    taken = stored.take(index)
    numbers = np.ma.getdata(taken)
    values = numbers.astype(np.result_type(numbers.dtype, np.float32))
    gone = np.ma.getmaskarray(taken)
    if packing.missing is not None:
        gone = gone | (stored.raw(index) == packing.missing)
    if (packing.scale, packing.offset) != (1.0, 0.0):
        values = values * values.dtype.type(packing.scale) + values.dtype.type(packing.offset)
    values[gone] = np.nan
    return values


@contextmanager
def _opened(path: Path, key: str | None) -> Iterator[_Stored]:
    if not path.is_file():
        raise DataError(f"{path} is not there; check the root folder")
    try:
        with _READERS[path.suffix.lower()](path, key) as stored:
            if not _is_numeric(stored.layout.dtype):
                raise DataError(f"{path} holds {stored.layout.dtype}, not numbers")
            yield stored
    except DataError:
        raise
    # Each library has errors of its own for a damaged file: netCDF4 RuntimeError, numpy and
    # tifffile ValueError, zipfile BadZipFile, h5py OSError and KeyError.
    except (
        *(OSError, EOFError, ValueError, RuntimeError, KeyError, IndexError),
        *(zlib.error, zipfile.BadZipFile),
    ) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(f"{path} cannot be read, it is damaged or of another kind: {reason}") from (
            error
        )


@contextmanager
def _npy(path: Path, key: str | None) -> Iterator[_Stored]:
    _no_key(path, key)
    array = np.load(path, mmap_mode="r")
    yield _plain(array.shape, array.dtype, lambda index: np.asarray(array[index]))


@contextmanager
def _npz(path: Path, key: str | None) -> Iterator[_Stored]:
    with zipfile.ZipFile(path) as archive:
        members = [name for name in archive.namelist() if name.endswith(".npy")]
        headers = {name.removesuffix(".npy"): _npy_header(archive, name) for name in members}
        name = _choose(path, key, {n: (h.shape, h.dtype) for n, h in headers.items()})
        header = headers[name]
        yield _plain(
            header.shape, header.dtype, lambda index: _from_npz(archive, name, header, index)
        )


@dataclass(frozen=True)
class _Header:
    shape: tuple[int, ...]
    dtype: np.dtype
    fortran: bool
    bytes: int


def _npy_header(archive: zipfile.ZipFile, name: str) -> _Header:
    with archive.open(name) as member:
        version = np.lib.format.read_magic(member)
        read = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, fortran, dtype = read(member)
        return _Header(shape, dtype, fortran, member.tell())


def _from_npz(archive: zipfile.ZipFile, name: str, header: _Header, index: Index) -> np.ndarray:
    """Read what the leading integers and the first slice of `index` span, and no more."""
    shape = header.shape
    with archive.open(f"{name}.npy") as member:
        if header.fortran:
            member.seek(header.bytes)
            return np.frombuffer(member.read(), header.dtype).reshape(shape, order="F")[index]
        lead = next(axis for axis, place in enumerate(index) if isinstance(place, slice))
        first = 0
        for axis in range(lead):
            first = first * shape[axis] + operator.index(index[axis])  # pyright: ignore[reportArgumentType]
        start, stop, _ = index[lead].indices(shape[lead])  # pyright: ignore[reportAttributeAccessIssue]
        inner = shape[lead + 1 :]
        size = math.prod(inner) * header.dtype.itemsize
        member.seek(header.bytes + (first * shape[lead] + start) * size)
        data = np.frombuffer(member.read((stop - start) * size), header.dtype)
        return data.reshape(stop - start, *inner)[(slice(None), *index[lead + 1 :])]


@contextmanager
def _hdf5(path: Path, key: str | None) -> Iterator[_Stored]:
    h5py = _library("h5py", path)
    with h5py.File(path, "r") as file:
        found: dict[str, Any] = {}
        file.visititems(lambda name, item: found.update({name: item} if _is_array(item) else {}))
        arrays = {name: (item.shape, item.dtype) for name, item in found.items()}
        array = found[_choose(path, key.strip("/") if key else None, arrays)]
        yield _with_attributes(array)


def _is_array(item: Any) -> bool:
    return hasattr(item, "dtype") and getattr(item, "shape", None) is not None


def _is_numeric(dtype: np.dtype) -> bool:
    return dtype.kind in "biuf"


def _with_attributes(array: Any) -> _Stored:
    """An HDF5 dataset, with those attributes of the CF conventions that change its values."""
    codes = [
        float(code)
        for name in ("_FillValue", "missing_value")
        for code in np.ravel(array.attrs.get(name, ()))
    ]
    scale, offset = (
        float(np.ravel(array.attrs.get(name, default))[0])
        for name, default in (("scale_factor", 1.0), ("add_offset", 0.0))
    )
    packed = (scale, offset) != (1.0, 0.0)

    def take(index: Index) -> np.ndarray:
        values = stored = array[index]
        if packed:
            kind = np.result_type(stored.dtype, np.float32).type
            values = stored.astype(kind) * kind(scale) + kind(offset)
        gone = np.zeros(stored.shape, bool)
        for code in codes:
            gone |= stored == code
        return np.ma.array(values, mask=gone)

    return _Stored(Layout(array.shape, array.dtype, packed), take, lambda index: array[index])


@contextmanager
def _netcdf(path: Path, key: str | None) -> Iterator[_Stored]:
    netcdf = _library("netCDF4", path)
    with netcdf.Dataset(str(path), "r") as file:
        found = dict(_variables(file))
        # A variable of text has the type `str` itself, without numbers.
        arrays = {n: (v.shape, np.dtype(v.dtype)) for n, v in found.items() if v.dtype is not str}
        variable = found[_choose(path, key.strip("/") if key else None, arrays)]
        packed = any(hasattr(variable, name) for name in ("scale_factor", "add_offset"))

        def read(index: Index, unpack: bool) -> np.ndarray:
            variable.set_auto_maskandscale(unpack)
            return variable[index]

        yield _Stored(
            Layout(tuple(variable.shape), np.dtype(variable.dtype), packed),
            lambda index: read(index, True),
            lambda index: read(index, False),
        )


def _variables(group: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, variable in group.variables.items():
        yield prefix + name, variable
    for name, inner in group.groups.items():
        yield from _variables(inner, f"{prefix}{name}/")


@contextmanager
def _tiff(path: Path, key: str | None) -> Iterator[_Stored]:
    _no_key(path, key)
    tifffile = _library("tifffile", path)
    with tifffile.TiffFile(path) as file:
        if len(file.series) != 1:
            raise DataError(
                f"{path} holds {len(file.series)} stacks of images of different kinds; save one "
                "stack per file"
            )
        series = file.series[0]
        shape = tuple(series.shape)
        paged = len(shape) - len(series.pages[0].shape)

        def take(index: Index) -> np.ndarray:
            numbers = np.arange(math.prod(shape[:paged])).reshape(shape[:paged])[index[:paged]]
            pages = [series.pages[int(n)].asarray() for n in np.ravel(numbers)]
            stack = np.stack(pages).reshape(*numbers.shape, *pages[0].shape)
            return stack[(*(slice(None),) * numbers.ndim, *index[paged:])]

        def take_mapped(index: Index) -> np.ndarray:
            return np.asarray(tifffile.memmap(path, series=0, mode="r")[index])

        # One page may declare a whole stack (large ImageJ files): such a series lies in one piece.
        whole = math.prod(shape[:paged]) == len(series.pages)
        yield _plain(shape, series.dtype, take if whole else take_mapped)


def _plain(shape: tuple[int, ...], dtype: np.dtype, take: Take) -> _Stored:
    return _Stored(Layout(tuple(shape), dtype, packed=False), take, take)


def _choose(
    path: Path, key: str | None, arrays: dict[str, tuple[tuple[int, ...], np.dtype]]
) -> str:
    """The name of the array that is meant: the key, or the only one with two axes or more."""
    if key is not None:
        if key in arrays:
            return key
        raise DataError(f"{path} has no array {key!r}; {suggest(key, arrays) if arrays else ''}")
    large = [
        name for name, (shape, dtype) in arrays.items() if len(shape) >= 2 and _is_numeric(dtype)
    ]
    if len(large) == 1:
        return large[0]
    listed = ", ".join(f"{name} {arrays[name][0]}" for name in large) or "none"
    raise DataError(f"{path}: say which array to read with --data.key; it holds {listed}")


def _no_key(path: Path, key: str | None) -> None:
    if key is not None:
        raise DataError(f"{path} holds one array without a name; leave out the key {key!r}")


def _library(name: str, path: Path) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise DataError(
            f"{path} needs {name}, which is not installed: pip install {name}"
        ) from None


_READERS: dict[str, Callable[[Path, str | None], AbstractContextManager[_Stored]]] = {
    ".npy": _npy,
    ".npz": _npz,
    **dict.fromkeys((".h5", ".hdf5", ".hdf", ".he5"), _hdf5),
    **dict.fromkeys((".nc", ".nc4", ".cdf"), _netcdf),
    **dict.fromkeys((".tif", ".tiff"), _tiff),
}
