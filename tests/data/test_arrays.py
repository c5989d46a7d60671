"""Arrays of numbers as clips: every kind of file, units, missing values, sequences, splits."""

import dataclasses
import os
import pickle
import shutil
import sys
import tracemalloc
from pathlib import Path

import h5py
import netCDF4
import numpy as np
import pytest
import tifffile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framecast.clip import Clip, DataConfig, collate
from framecast.config import from_json, to_json
from framecast.data import array_records
from framecast.data.arrays import ArrayClips, Arrays
from framecast.errors import ConfigError, DataError
from framecast.video import fit

ALL = (0.0, 0.0, 1.0)
"""Everything is test data."""


def write_npy(path: Path, array: np.ndarray) -> Path:
    np.save(path.with_suffix(".npy"), array)
    return path.with_suffix(".npy")


def write_npz(path: Path, array: np.ndarray) -> Path:
    np.savez(path.with_suffix(".npz"), other=np.zeros(3), field=array)
    return path.with_suffix(".npz")


def write_npz_small(path: Path, array: np.ndarray) -> Path:
    np.savez_compressed(path.with_suffix(".npz"), field=array)
    return path.with_suffix(".npz")


def write_npz_fortran(path: Path, array: np.ndarray) -> Path:
    np.savez(path.with_suffix(".npz"), field=np.asfortranarray(array))
    return path.with_suffix(".npz")


def write_hdf5(path: Path, array: np.ndarray) -> Path:
    with h5py.File(path.with_suffix(".h5"), "w") as file:
        file.create_dataset("deep/field", data=array, chunks=True, compression="gzip")
        file.create_dataset("deep/time", data=np.arange(len(array)))
    return path.with_suffix(".h5")


def write_netcdf(path: Path, array: np.ndarray) -> Path:
    with netCDF4.Dataset(path.with_suffix(".nc"), "w") as file:
        names = [f"d{axis}" for axis in range(array.ndim)]
        for name, size in zip(names, array.shape, strict=True):
            file.createDimension(name, size)
        group = file.createGroup("deep")
        group.createVariable("label", str, names[:1])
        endian = "big" if array.dtype.str[0] == ">" else "native"
        group.createVariable("field", array.dtype, names, endian=endian)[:] = array
    return path.with_suffix(".nc")


def write_tiff(path: Path, array: np.ndarray) -> Path:
    tifffile.imwrite(path.with_suffix(".tif"), array, photometric="minisblack")
    return path.with_suffix(".tif")


def write_tiff_small(path: Path, array: np.ndarray) -> Path:
    tifffile.imwrite(path.with_suffix(".tiff"), array, photometric="minisblack", compression="zlib")
    return path.with_suffix(".tiff")


def write_tiff_one_page(path: Path, array: np.ndarray) -> Path:
    tifffile.imwrite(path.with_suffix(".tif"), array, photometric="minisblack", truncate=True)
    return path.with_suffix(".tif")


WRITERS = [
    write_npy,
    write_npz,
    write_npz_small,
    write_npz_fortran,
    write_hdf5,
    write_netcdf,
    write_tiff,
    write_tiff_small,
    write_tiff_one_page,
]


def each_kind(cases: list, few: int) -> list:
    """Every case with npy files, `few` of them with each other kind of file."""
    return [
        (write, case)
        for write in WRITERS
        for case in (cases if write is write_npy else cases[:few])
    ]


AXES = [
    ("tbwhc", (7, 4, 5, 6, 2), 2),
    ("thw", (7, 6, 5), 1),
    ("hwt", (6, 5, 7), 1),
    ("tchw", (7, 3, 6, 5), 3),
    ("thwc", (7, 6, 5, 3), 3),
    ("cthw", (2, 7, 6, 5), 2),
    ("bthw", (4, 7, 6, 5), 1),
]
"""Axes as stored, shape, channels; the first has all five, in no usual order."""


def numbers(*shape: int, dtype: str = "float32", seed: int = 0) -> np.ndarray:
    return (np.random.default_rng(seed).random(shape) * 200).astype(dtype)


def only(config: Arrays, frames: int) -> ArrayClips:
    """All clips of a split, a new one at every frame."""
    stride = 1 if config.stride is None else config.stride
    return dataclasses.replace(config, stride=stride).source("test", frames, 0)


def expect_error(match: str, config: Arrays, frames: int = 2) -> None:
    with pytest.raises(DataError, match=match) as caught:
        only(config, frames)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("write", "dtype"), each_kind(["uint16", ">f4", "uint8", "float32", "float64"], few=2)
)
def test_every_kind_of_file_gives_its_numbers(tmp_path, write, dtype):
    array = numbers(7, 6, 5, dtype=dtype)
    root = write(tmp_path / "a", array)
    source = only(Arrays(root=root, range=(0.0, 200.0), splits=ALL), 3)
    assert len(source) == 5
    for index in range(5):
        clip = source[(0, index)]
        assert isinstance(clip, Clip)
        assert clip.frames.dtype == torch.float32
        wanted = array[index : index + 3].astype(np.float64) / 200
        np.testing.assert_allclose(clip.frames.numpy(), wanted[:, None], atol=1e-6)


@pytest.mark.parametrize(("write", "case"), each_kind(AXES, few=1))
def test_axes_in_any_order(tmp_path, write, case):
    axes, shape, channels = case
    array = numbers(*shape)
    root = write(tmp_path / "a", array)
    config = Arrays(root=root, range=(0.0, 200.0), axes=axes, channels=channels, splits=ALL)
    source = only(config, 7)
    spelled = np.expand_dims(array, list(range(len(axes), 5)))
    order = axes + "".join(letter for letter in "btchw" if letter not in axes)
    wanted = np.einsum(f"{order}->btchw", spelled) / 200
    assert len(source) == wanted.shape[0]
    for index in range(len(source)):
        frames = source[(0, index)].frames.numpy()
        np.testing.assert_allclose(frames, wanted[index], atol=1e-6)


def test_npy_and_hdf5_and_netcdf_are_read_in_slices(tmp_path):
    """Files that declare far more than any memory holds."""
    count = 200_000
    np.lib.format.open_memmap(
        tmp_path / "a.npy", mode="w+", dtype=np.uint8, shape=(count, 512, 512)
    )[count - 1] = 51
    with h5py.File(tmp_path / "a.h5", "w") as file:
        field = file.create_dataset("x", (count, 512, 512), "uint8", chunks=(1, 512, 512))
        field[count - 1] = 51
    with netCDF4.Dataset(tmp_path / "a.nc", "w") as file:
        for name, size in (("t", count), ("y", 512), ("x", 512)):
            file.createDimension(name, size)
        variable = file.createVariable(
            "v", "u1", ("t", "y", "x"), chunksizes=(1, 512, 512), fill_value=0
        )
        variable[count - 1] = 51
    for name in ("a.npy", "a.h5", "a.nc"):
        config = Arrays(root=tmp_path / name, range=(0.0, 255.0), splits=ALL)
        source = only(config, 3)
        assert len(source) == count - 2
        levels = source[(0, count - 3)].frames.mean((1, 2, 3))
        assert levels.tolist() == pytest.approx([0, 0, 0.2])


@pytest.mark.parametrize("write", [write_npz, write_npz_small, write_tiff, write_tiff_small])
def test_memory_is_bounded_by_the_clip(tmp_path, write):
    # more than twice what zipfile skips at a time, 16 MiB
    array = np.zeros((512, 400, 400), np.uint8)
    array[500] = 255
    source = only(Arrays(root=write(tmp_path / "a", array), splits=ALL), 2)
    source[(0, 0)]  # libraries load on first use
    tracemalloc.start()
    clip = source[(0, 499)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert clip.frames.mean((1, 2, 3)).tolist() == [0, 1]
    assert peak < array.nbytes / 2


def test_reading_in_blocks_changes_nothing(tmp_path, monkeypatch):
    root = write_hdf5(tmp_path / "a", numbers(9, 6, 5))
    source = only(Arrays(root=root, range=(0.0, 200.0), size=(3, 3), splits=ALL), 8)
    whole = source[(0, 1)].frames
    monkeypatch.setattr(array_records, "BLOCK", 60)
    torch.testing.assert_close(source[(0, 1)].frames, whole)


def test_size_is_a_fit_after_the_units(tmp_path):
    array = numbers(4, 9, 12)
    root = write_npy(tmp_path / "a", array)
    clip = only(Arrays(root=root, range=(0.0, 200.0), size=(6, 6), splits=ALL), 4)[(0, 0)]
    wanted = fit(torch.from_numpy(array)[:, None] / 200, (6, 6))
    torch.testing.assert_close(clip.frames, wanted)


def test_scale_offset_and_missing_code(tmp_path):
    array = np.array([[[0, 100], [65535, 300]]], np.uint16)
    root = write_hdf5(tmp_path / "a", array)
    config = Arrays(
        root=root,
        range=(1.0, 5.0),
        scale=0.01,
        offset=1.0,
        missing=65535.0,
        fill=3.0,
        axes="thw",
        splits=ALL,
    )
    frames = only(config, 1)[(0, 0)].frames
    assert frames.flatten().tolist() == pytest.approx([0, 0.25, 0.5, 0.75])
    low = Arrays(
        root=root, range=(1.0, 5.0), scale=0.01, offset=1.0, missing=65535.0, axes="thw", splits=ALL
    )
    assert only(low, 1)[(0, 0)].frames.flatten().tolist() == pytest.approx([0, 0.25, 0, 0.75])


def test_clips_say_which_pixels_are_missing(tmp_path):
    """As stored, and after resizing where half of what a pixel covers is missing."""
    values = np.ones((2, 4, 4), np.float32)
    values[0, :2, :2] = np.nan
    values[1, 0, 0] = np.nan
    np.save(tmp_path / "a.npy", values)
    config = Arrays(root=tmp_path, range=(0.0, 1.0), axes="thw", splits=ALL)
    clip = config.source("test", 2, 0)[(0, 0)]
    assert torch.equal(clip.missing, torch.from_numpy(values).isnan()[:, None])
    small = dataclasses.replace(config, size=(2, 2)).source("test", 2, 0)[(0, 0)]
    assert small.missing[:, 0].tolist() == [[[True, False], [False, False]], [[False] * 2] * 2]


def test_nan_is_missing_and_infinity_is_clipped(tmp_path):
    array = np.array([[[np.nan, -np.inf], [np.inf, 1.0]]], np.float32)
    config = Arrays(
        root=write_npy(tmp_path / "a", array), range=(0.0, 4.0), fill=2.0, axes="thw", splits=ALL
    )
    source = only(config, 1)
    assert source[(0, 0)].frames.flatten().tolist() == [0.5, 0, 1, 0.25]
    missing, outside = source.notes()[1:]
    assert missing.startswith("1 of 4 values (25 %) in 1 frames")
    assert outside.startswith("2 of 4 values (50 %)")


def test_netcdf_attributes_scale_and_mask(tmp_path):
    path = tmp_path / "a.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name in ("t", "y", "x"):
            file.createDimension(name, 2 if name != "t" else 1)
        variable = file.createVariable("rain", "i2", ("t", "y", "x"), fill_value=-1)
        variable.set_auto_maskandscale(False)
        variable.scale_factor, variable.add_offset = 0.05, 1.0
        variable[:] = np.array([[[-1, 0], [20, 77]]], np.int16)
    config = Arrays(root=path, range=(0.0, 10.0), fill=10.0, axes="thw", splits=ALL)
    frames = only(config, 1)[(0, 0)].frames.flatten().tolist()
    assert frames == pytest.approx([1, 0.1, 0.2, 0.485])
    coded = Arrays(root=path, range=(0.0, 10.0), fill=10.0, missing=77.0, axes="thw", splits=ALL)
    frames = only(coded, 1)[(0, 0)].frames.flatten().tolist()
    assert frames == pytest.approx([1, 0.1, 0.2, 1])
    expect_error("gives its scale", Arrays(root=path, range=(0.0, 10.0), scale=0.1, axes="thw"), 1)


def test_hdf5_attributes_scale_and_mask(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        field = file.create_dataset("x", data=np.array([[-9999.9, 4], [7, 9]], np.float32))
        field.attrs["_FillValue"] = np.float32(-9999.9)
        field.attrs["missing_value"] = np.array([7.0])
        field.attrs["scale_factor"] = 0.5
        field.attrs["add_offset"] = np.array([1.0])
    config = Arrays(root=tmp_path / "a.h5", range=(0.0, 10.0), fill=10.0, splits=ALL)
    frames = only(config, 1)[(0, 0)].frames.flatten().tolist()
    assert frames == pytest.approx([1, 0.3, 1, 0.55])


def test_only_bytes_have_a_range_of_their_own(tmp_path):
    frames = numbers(3, 4, 5, dtype="uint8")
    source = only(Arrays(root=write_npy(tmp_path / "a", frames), splits=ALL), 3)
    np.testing.assert_allclose(source[(0, 0)].frames[:, 0].numpy(), frames / 255, atol=1e-6)
    values = np.linspace(-3, 12.5, 60, dtype=np.float32).reshape(3, 4, 5)
    expect_error("run from -3 to 12.5 in the 3", Arrays(root=write_npy(tmp_path / "b", values)))
    words = numbers(3, 4, 5, dtype="uint16")
    expect_error("--data.range LOW HIGH", Arrays(root=write_npy(tmp_path / "c", words)))


def test_values_beyond_the_range_are_clipped_and_counted(tmp_path):
    array = np.full((4, 5, 5), 2.0, np.float32)
    array[1, 0, :3] = 7, -1, 4
    source = only(Arrays(root=write_npy(tmp_path / "a", array), range=(0.0, 4.0), splits=ALL), 4)
    frames = source[(0, 0)].frames
    assert frames[1, 0, 0].tolist() == [1, 0, 1, 0.5, 0.5]
    said = source.notes()[-1]
    assert said.startswith("2 of 100 values (2 %) in 4 frames looked at lie outside")
    assert "0 to 4 and were clipped (they run from -1 to 7)" in said


def test_packed_ends_of_the_range_are_not_outside(tmp_path):
    array = np.arange(300, dtype=np.uint16).reshape(1, 15, 20)
    root = write_npy(tmp_path / "a", array)
    source = only(Arrays(root=root, range=(0.07, 3.06), scale=0.01, offset=0.07, splits=ALL), 1)
    assert not any("outside" in note for note in source.notes())


@given(
    low=st.floats(-100, 100),
    width=st.floats(0.1, 1000),
    knee=st.none() | st.floats(0.01, 10),
    places=st.lists(st.floats(0, 1), min_size=1, max_size=20),
)
def test_units_there_and_back(low, width, knee, places):
    config = Arrays(range=(low, low + width), log_knee=knee)
    frames = torch.tensor(places, dtype=torch.float64)
    values = config.to_units(frames)
    torch.testing.assert_close(config.to_frames(values), frames, atol=1e-6, rtol=1e-6)
    ends = config.to_units(torch.tensor([0.0, 1.0], dtype=torch.float64))
    assert ends.tolist() == pytest.approx([low, low + width])
    order = torch.argsort(frames)
    assert bool((values[order].diff() >= -1e-9 * width).all())


def test_log_knee_is_the_documented_curve(tmp_path):
    array = np.array([[[0.0, 0.5], [3.0, 5.0]]], np.float32)
    config = Arrays(
        root=write_npy(tmp_path / "a", array),
        range=(0.0, 5.0),
        log_knee=0.5,
        axes="thw",
        splits=ALL,
    )
    frames = only(config, 1)[(0, 0)].frames
    wanted = np.log([1, 2, 7, 11]) / np.log(11)
    assert frames.flatten().tolist() == pytest.approx(wanted.tolist(), abs=1e-6)
    torch.testing.assert_close(config.to_units(frames)[0, 0], torch.from_numpy(array[0]))


@pytest.mark.parametrize("write", WRITERS)
def test_single_frame_files_of_a_folder_are_one_sequence_in_natural_order(tmp_path, write):
    array = numbers(12, 6, 5)
    for time in range(12):
        write(tmp_path / f"radar_{time}", array[time])
    (tmp_path / "README.md").write_text("no array")
    write(tmp_path / ".hidden", array[0])
    source = only(Arrays(root=tmp_path, range=(0.0, 200.0), splits=ALL), 11)
    assert len(source) == 2
    clip = source[(3, 1)].frames[:, 0].numpy()
    np.testing.assert_allclose(clip, array[1:] / 200, atol=1e-6)
    assert Path(source.name(1)).stem == "radar_1"


def test_files_and_subfolders_are_sequences(tmp_path):
    long, short = numbers(8, 6, 5), numbers(2, 6, 5, seed=1)
    write_npy(tmp_path / "a", long)
    write_hdf5(tmp_path / "b", short)
    (tmp_path / "c").mkdir()
    for time in range(5):
        write_tiff(tmp_path / "c" / f"{time}", long[time])
    source = only(Arrays(root=tmp_path, range=(0.0, 200.0), splits=ALL), 4)
    assert len(source) == (8 - 4 + 1) + (5 - 4 + 1)
    assert [source.name(i) for i in (0, 4, 5)] == ["a.npy at 0", "a.npy at 4", "c/0.tif"]
    assert any("1 of 3 sequences have fewer than 4 frames" in note for note in source.notes())
    batch = collate([source[(0, 0)], source[(0, 5)]])
    torch.testing.assert_close(batch.frames[0], batch.frames[1])


def test_stride(tmp_path):
    root = write_npy(tmp_path / "a", numbers(10, 4, 5))
    source = only(Arrays(root=root, range=(0.0, 200.0), stride=3, splits=ALL), 4)
    assert [source.name(i) for i in range(len(source))] == [f"a.npy at {n}" for n in (0, 3, 6)]


def test_only_training_clips_overlap_by_default(tmp_path):
    config = Arrays(root=write_npy(tmp_path / "a", numbers(100, 4, 5)), range=(0.0, 200.0))
    counts = [len(config.source(split, 4, 0)) for split in ("train", "validation", "test")]
    assert counts == [70 - 3, 15 // 4, 15 // 4]


@settings(deadline=None)
@given(length=st.integers(20, 200), frames=st.integers(1, 3), stride=st.integers(1, 5))
def test_one_record_is_split_in_time_and_no_clip_crosses(tmp_path_factory, length, frames, stride):
    folder = tmp_path_factory.mktemp("record")
    array = np.arange(length, dtype=np.uint8)[:, None, None] * np.ones((1, 2, 5), np.uint8)
    config = Arrays(root=write_npy(folder / "a", array), stride=stride)
    seen: dict[str, set[int]] = {}
    for split in ("train", "validation", "test"):
        source = config.source(split, frames, 0)
        clips = [source[(0, index)].frames for index in range(len(source))]
        seen[split] = {round(float(v) * 255) for clip in clips for v in clip[:, 0, 0, 0]}
    assert max(seen["train"]) < min(seen["validation"])
    assert max(seen["validation"]) < min(seen["test"])
    assert max(seen["train"]) < round(0.7 * length) <= min(seen["validation"])
    shutil.rmtree(folder)


def test_three_sequences_are_split_whole(tmp_path):
    for number in range(10):
        write_npy(tmp_path / f"{number}", numbers(5, 4, 5, dtype="uint8", seed=number))
    config = Arrays(root=tmp_path)
    names = {
        split: {source.name(i).split(" ")[0] for i in range(len(source))}
        for split in ("train", "validation", "test")
        for source in [config.source(split, 2, 0)]
    }
    together = [name for part in names.values() for name in part]
    assert sorted(together) == [f"{number}.npy" for number in range(10)]
    assert len(names["train"]) > len(names["test"]) >= 1
    assert not any("split in time" in note for note in config.source("train", 2, 0).notes())


def test_folders_named_after_splits_are_the_splits(tmp_path):
    for place in ("train", "val", "test", "elsewhere"):
        (tmp_path / place).mkdir()
        write_npy(tmp_path / place / "a", numbers(5, 4, 5, dtype="uint8"))
    config = Arrays(root=tmp_path)
    for split, place in (("train", "train"), ("validation", "val"), ("test", "test")):
        source = config.source(split, 5, 0)
        assert [source.name(i) for i in range(len(source))] == [f"{place}/a.npy at 0"]
        assert source.notes() == ("1 sequence outside train, validation and test: elsewhere/a.npy",)
    shutil.rmtree(tmp_path / "elsewhere")
    shutil.rmtree(tmp_path / "test")
    assert len(config.source("train", 5, 0)) == 1
    expect_error("no clip of 5 frames fits the test split", config, 5)


def test_clips_longer_than_a_split_tell_its_length(tmp_path):
    root = write_npy(tmp_path / "a", numbers(40, 4, 5, dtype="uint8"))
    expect_error("no clip of 7 frames .* has 6; .*--data.splits", Arrays(root=root), 7)
    assert len(only(Arrays(root=root), 6)) == 1


def test_a_source_opens_no_file_and_pickles(tmp_path):
    root = write_hdf5(tmp_path / "a", numbers(6, 4, 5))
    source = only(Arrays(root=root, range=(0.0, 200.0), splits=ALL), 3)
    clip = source[(0, 2)].frames
    packed = pickle.dumps(source)
    moved = root.rename(tmp_path / "away.h5")
    again = ArrayClips(source.config, "test", source.records, source.windows)
    unpacked = pickle.loads(packed)
    for late in (again, unpacked):
        with pytest.raises(DataError, match="is not there"):
            late[(0, 2)]
    moved.rename(root)
    torch.testing.assert_close(unpacked[(5, 2)].frames, clip, rtol=0, atol=0)


def test_fingerprint_follows_content_and_settings_but_not_the_place(tmp_path):
    (tmp_path / "one").mkdir()
    array = numbers(6, 4, 5)
    root = write_npy(tmp_path / "one" / "a", array)
    config = Arrays(root=tmp_path / "one", range=(0.0, 200.0), splits=ALL)
    first = only(config, 3).fingerprint()
    assert first == only(config, 3).fingerprint()
    assert first != only(config, 4).fingerprint()
    other = Arrays(root=tmp_path / "one", range=(0.0, 100.0), splits=ALL)
    assert first != only(other, 3).fingerprint()
    moved = Arrays(root=tmp_path / "two", range=(0.0, 200.0), splits=ALL)
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    assert only(moved, 3).fingerprint() == first
    array[5, 3, 4] += 1
    write_npy(root, array)
    assert only(config, 3).fingerprint() != first


@pytest.mark.parametrize(
    ("write", "library"),
    [(write_hdf5, "h5py"), (write_netcdf, "netCDF4"), (write_tiff, "tifffile")],
)
def test_a_library_that_is_not_installed_is_named(tmp_path, monkeypatch, write, library):
    root = write(tmp_path / "a", numbers(3, 4, 5))
    monkeypatch.setitem(sys.modules, library, None)
    expect_error(rf"needs {library}.*pip install {library}", Arrays(root=root))


@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("keep", [0, 10, 100])
def test_a_cut_file_is_one_line(tmp_path, write, keep):
    root = write(tmp_path / "a", numbers(30, 20, 20))
    root.write_bytes(root.read_bytes()[:keep])
    expect_error("cannot be read, it is damaged", Arrays(root=root, range=(0.0, 200.0)))


@pytest.mark.parametrize("write", [write_npz_small, write_hdf5, write_tiff_small])
def test_a_file_damaged_inside_is_one_line(tmp_path, write):
    root = write(tmp_path / "a", numbers(30, 20, 20))
    content = bytearray(root.read_bytes())
    content[len(content) // 3 : len(content) // 2] = bytes(len(content) // 2 - len(content) // 3)
    root.write_bytes(content)
    config = Arrays(root=root, range=(0.0, 200.0), splits=ALL)
    with pytest.raises(DataError, match="damaged") as caught:
        only(config, 30)[(0, 0)]
    assert "\n" not in str(caught.value)


def test_which_array_is_meant(tmp_path):
    first, second = numbers(3, 4, 5), numbers(3, 4, 5, seed=1)
    np.savez(tmp_path / "a.npz", rain=first, wind=second, names=np.array(["x", "y"]))
    root = tmp_path / "a.npz"
    expect_error(
        r"--data.key; it holds rain \(3, 4, 5\), wind \(3, 4, 5\)",
        Arrays(root=root, range=(0.0, 200.0)),
    )
    expect_error("did you mean 'rain'", Arrays(root=root, key="rian", range=(0.0, 200.0)))
    expect_error("not numbers", Arrays(root=root, key="names", range=(0.0, 200.0)))
    source = only(Arrays(root=root, key="wind", range=(0.0, 200.0), splits=ALL), 3)
    np.testing.assert_allclose(source[(0, 0)].frames[:, 0].numpy(), second / 200, atol=1e-6)
    for write in (write_hdf5, write_netcdf):
        keyed = Arrays(
            root=write(tmp_path / "b", first), key="/deep/field", range=(0.0, 200.0), splits=ALL
        )
        assert len(only(keyed, 3)) == 1
    for write in (write_npy, write_tiff):
        expect_error("leave out the key", Arrays(root=write(tmp_path / "b", first), key="rain"))


@pytest.mark.parametrize(
    ("shape", "fields", "match"),
    [
        ((3, 2, 4, 5), {}, "array of 3x2x4x5 and may be read in several ways"),
        ((4, 5, 3), {}, "hwc or thw"),
        ((3, 4, 5), {"axes": "hw"}, "does not have the axes hw"),
        ((3, 2, 4, 5), {"axes": "tchw"}, "has 2 channels, not 1"),
        ((0, 4, 5), {"axes": "thw"}, "nothing in it|cannot be read"),
        ((7,), {}, "several ways"),
    ],
)
def test_shapes_that_do_not_fit_are_told(tmp_path, shape, fields, match):
    root = write_npy(tmp_path / "a", numbers(*shape))
    expect_error(match, Arrays(root=root, range=(0.0, 200.0), **fields), 1)


def test_roots_without_arrays(tmp_path):
    expect_error("no arrays at None: give --data.root", Arrays())
    expect_error("no arrays at .*gone", Arrays(root=tmp_path / "gone"))
    expect_error("no arrays in", Arrays(root=tmp_path))
    (tmp_path / "a.txt").write_text("1 2 3")
    expect_error("is no array file", Arrays(root=tmp_path / "a.txt"))


def test_single_frames_of_different_shapes_are_told(tmp_path):
    write_npy(tmp_path / "a", numbers(4, 5))
    write_npy(tmp_path / "b", numbers(4, 6))
    expect_error("b.npy differs in shape from a.npy", Arrays(root=tmp_path, range=(0.0, 200.0)))


def test_tiff_with_pages_of_several_sizes_is_told(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as file:
        file.write(numbers(6, 7), photometric="minisblack")
        file.write(numbers(8, 9), photometric="minisblack")
    expect_error("2 stacks of images", Arrays(root=tmp_path / "a.tif", range=(0.0, 200.0)))


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"axes": "th"}, "axes"),
        ({"axes": "thww"}, "axes"),
        ({"axes": "xhw"}, "axes"),
        ({"axes": ""}, "axes"),
        ({"range": (1.0, 1.0)}, "range"),
        ({"scale": 0.01}, "need a range"),
        ({"scale": 0.0, "range": (0.0, 1.0)}, "scale is not zero"),
        ({"log_knee": 0.0}, "log_knee"),
        ({"range": (0.0, 10.0), "fill": -5.0}, "fill lies in the range"),
        ({"size": (0, 4)}, "size"),
        ({"channels": 0}, "channels"),
        ({"stride": 0}, "stride"),
        ({"splits": (0.5, 0.5, 0.5)}, "splits"),
        ({"splits": (1.5, -0.5, 0.0)}, "splits"),
    ],
)
def test_contradictions_are_refused(fields, match):
    with pytest.raises(ConfigError, match=match):
        Arrays(**fields)


def test_configuration_is_json(tmp_path):
    config = Arrays(root=tmp_path, range=(0.0, 5.0), missing=255.0, size=(64, 64), log_knee=0.2)
    data = to_json(config)
    assert data["type"] == "arrays"
    assert from_json(DataConfig, data) == config


@pytest.fixture
def radar() -> Path:
    if "FRAMECAST_DATA" not in os.environ:
        pytest.skip("FRAMECAST_DATA is not set: no real radar images")
    return Path(os.environ["FRAMECAST_DATA"]) / "radar"


def test_knmi_radar(radar):
    """Sums of 5 minutes in hundredths of a millimetre, 65535 outside the reach of the radars."""
    config = Arrays(
        root=radar / "knmi_20100826",
        key="image1/image_data",
        range=(0.0, 2.0),
        scale=0.01,
        missing=65535.0,
    )
    counts = {split: len(config.source(split, 5, 0)) for split in ("train", "validation", "test")}
    assert counts == {"train": 60, "validation": 2, "test": 2}
    source = config.source("test", 5, 0)
    assert source.name(1) == "RAD_NL25_RAP_5min_201008260655.h5"
    clip = source[(0, 1)].frames
    with h5py.File(radar / "knmi_20100826" / source.name(1)) as file:
        stored = file["image1/image_data"][:].astype(np.float64)
    rain = np.where(stored == 65535, 0, stored / 100)
    assert 0 < rain.max() < 2
    np.testing.assert_allclose(config.to_units(clip)[0, 0].numpy(), rain, atol=1e-6)
    assert any("74 %" in note and "missing and became 0" in note for note in source.notes())


def test_bom_radar(radar):
    """Sums of 6 minutes, packed in the way that NetCDF attributes declare."""
    config = Arrays(root=radar / "bom_cscn_20180616", range=(0.0, 5.0), log_knee=0.2)
    source = config.source("train", 20, 0)
    assert len(source) == 43 - 20 + 1
    clip = source[(0, 0)].frames
    assert clip.shape == (20, 1, 512, 512)
    with h5py.File(radar / "bom_cscn_20180616" / source.name(0)) as file:
        rain = np.clip(file["precipitation"][:] * 0.05, 0, 5)
    np.testing.assert_allclose(config.to_units(clip)[0, 0].numpy(), rain, atol=1e-5)
    assert source.notes()[-1].endswith("(they run from 0 to 5.3)")
    with pytest.raises(DataError, match=r"run from 0 to 5\.3 in the 61 frames"):
        Arrays(root=radar / "bom_cscn_20180616").source("train", 20, 0)
