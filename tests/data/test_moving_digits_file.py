"""The published Moving-MNIST files, written here in the same layouts."""

import pickle

import numpy as np
import pytest
import torch

from framecast import registry
from framecast.data.moving_digits_file import MovingDigitsFile
from framecast.errors import DataError

COUNT = 5


def sequences(seed, frames=20):
    return np.random.default_rng(seed).integers(0, 256, (COUNT, frames, 64, 64), np.uint8)


def write_npz(path, content, *, split_at=10, gap=0, save=np.savez, **changes):
    """PredRNN's layout: sequences behind one another, `gap` frames between input and output."""
    blocks, clips = [], np.zeros((2, COUNT, 2), np.int32)
    for i, sequence in enumerate(content):
        begin = sum(len(block) for block in blocks)
        blocks += [sequence[:split_at], np.zeros((gap, 64, 64), np.uint8), sequence[split_at:]]
        clips[0, i] = begin, split_at
        clips[1, i] = begin + split_at + gap, len(sequence) - split_at
    raw = (np.concatenate(blocks)[:, None] / 255).astype(np.float32)
    dims = np.array([[1, 64, 64]], np.int32)
    save(path, **{"clips": clips, "dims": dims, "input_raw_data": raw} | changes)


@pytest.fixture
def folder(tmp_path):
    np.save(tmp_path / "mnist_test_seq.npy", sequences(0).transpose(1, 0, 2, 3))
    write_npz(tmp_path / "moving-mnist-train.npz", sequences(1))
    write_npz(tmp_path / "moving-mnist-valid.npz", sequences(2), save=np.savez_compressed)
    return tmp_path


def expected(seed, index, frames):
    return torch.from_numpy((sequences(seed)[index, :frames, None] / 255).astype(np.float32))


@pytest.mark.parametrize(("split", "seed"), [("test", 0), ("train", 1), ("validation", 2)])
@pytest.mark.parametrize("frames", [1, 8, 20])
def test_every_split_gives_the_first_frames_of_its_file(folder, split, seed, frames):
    source = pickle.loads(pickle.dumps(MovingDigitsFile(folder).source(split, frames, 0)))
    assert len(source) == COUNT
    assert source.fixed
    for index in range(COUNT):
        clip = source[(3, index)]
        assert clip.frames.dtype == torch.float32
        assert torch.equal(clip.frames, expected(seed, index, frames))
    for index in (-1, COUNT):
        with pytest.raises(IndexError):
            source[(0, index)]


def test_what_is_read_can_be_changed_without_harm(folder):
    source = MovingDigitsFile(folder).source("train", 20, 0)
    source[(0, 0)].frames.zero_()
    assert torch.equal(source[(0, 0)].frames, expected(1, 0, 20))


def test_predrnn_clips_are_followed(tmp_path):
    write_npz(tmp_path / "moving-mnist-test.npz", sequences(4), split_at=7, gap=3)
    source = MovingDigitsFile(tmp_path).source("test", 15, 0)
    assert torch.equal(source[(0, 2)].frames, expected(4, 2, 15))


def test_the_canonical_file_comes_before_predrnns_test_file(folder):
    write_npz(folder / "moving-mnist-test.npz", sequences(5))
    source = MovingDigitsFile(folder).source("test", 4, 0)
    assert torch.equal(source[(0, 0)].frames, expected(0, 0, 4))


def test_a_file_serves_one_split(folder):
    path = folder / "mine.npz"
    path.write_bytes((folder / "moving-mnist-train.npz").read_bytes())
    source = MovingDigitsFile(path, serves="validation").source("validation", 4, 0)
    assert torch.equal(source[(0, 1)].frames, expected(1, 1, 4))
    assert len(MovingDigitsFile(folder / "mnist_test_seq.npy").source("test", 4, 0)) == COUNT
    with pytest.raises(DataError, match=r"is the test split; .*moving-mnist-valid\.npz"):
        MovingDigitsFile(path).source("validation", 4, 0)


@pytest.mark.parametrize(
    ("name", "split"),
    [
        ("moving-mnist-train.npz", "train"),
        ("moving-mnist-valid.npz", "validation"),
        ("mnist_test_seq.npy", "test"),
    ],
)
@pytest.mark.parametrize("serves", ["train", "validation", "test"])
def test_a_published_file_serves_only_the_split_of_its_name(folder, name, split, serves):
    config = MovingDigitsFile(folder / name, serves=serves)
    if serves == split:
        assert len(config.source(serves, 4, 0)) == COUNT
        return
    with pytest.raises(DataError, match=f"is the {split} split by its name, not {serves}"):
        config.source(serves, 4, 0)


def test_fingerprints_are_of_content_and_frames(folder):
    config = MovingDigitsFile(folder)
    first = config.source("train", 4, 0).fingerprint()
    assert config.source("train", 4, 1).fingerprint() == first
    assert config.source("train", 5, 0).fingerprint() != first
    moved = folder / "moved.npz"
    moved.write_bytes((folder / "moving-mnist-train.npz").read_bytes())
    again = MovingDigitsFile(moved).source("test", 4, 0)
    assert again.fingerprint() == first
    write_npz(moved, sequences(6))
    assert again.fingerprint() != first


def test_notes_tell_another_number_of_sequences(folder):
    source = MovingDigitsFile(folder).source("test", 4, 0)
    assert source.notes() == ("5 sequences in mnist_test_seq.npy; published: 10,000",)
    whole = folder / "whole.npy"
    np.save(whole, np.zeros((2, 10_000, 4, 4), np.uint8))
    assert MovingDigitsFile(whole).source("test", 2, 0).notes() == ()


@pytest.mark.parametrize("split", ["train", "test"])
def test_more_frames_than_there_are(folder, split):
    for frames in (0, 21):
        with pytest.raises(DataError, match=f"20 frames, not {frames}"):
            MovingDigitsFile(folder).source(split, frames, 0)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_missing_files_are_one_line_with_names_and_source(tmp_path, split):
    names = {"train": "train.npz", "validation": "valid.npz", "test": "mnist_test_seq.npy or"}
    for root in (None, tmp_path):
        with pytest.raises(DataError, match=names[split]) as caught:
            MovingDigitsFile(root).source(split, 4, 0)
        assert "cs.toronto.edu" in str(caught.value)
        assert "\n" not in str(caught.value)


def write_damaged(folder, kind):
    npy, npz = folder / "damaged.npy", folder / "damaged.npz"
    if kind == "float npy":
        np.save(npy, np.zeros((2, 3, 4, 4), np.float32))
    elif kind == "flat npy":
        np.save(npy, np.zeros((2, 3), np.uint8))
    elif kind == "pickled npy":
        np.save(npy, np.array([{}], object), allow_pickle=True)
    elif kind == "empty npy":
        npy.write_bytes(b"")
    elif kind == "no clips":
        np.savez(npz, input_raw_data=np.zeros((4, 1, 8, 8)))
    elif kind == "flat clips":
        write_npz(npz, sequences(0), clips=np.zeros((2, 3), np.int32))
    elif kind == "clips beyond the end":
        write_npz(npz, sequences(0), clips=np.full((2, 3, 2), 90, np.int32))
    elif kind == "cut npz":
        write_npz(npz, sequences(0))
        npz.write_bytes(npz.read_bytes()[:-3000])
    return npy if npy.exists() else npz


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("float npy", "expected bytes"),
        ("flat npy", "expected bytes"),
        ("pickled npy", "cannot be read"),
        ("no clips", "cannot be read.*clips"),
        ("flat clips", "as PredRNN has them"),
        ("clips beyond the end", "point beyond"),
        ("cut npz", "cannot be read"),
        ("empty npy", "cannot be read"),
    ],
)
def test_damaged_files_are_named(tmp_path, kind, message):
    path = write_damaged(tmp_path, kind)
    with pytest.raises(DataError, match=message) as caught:
        MovingDigitsFile(path).source("test", 2, 0)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_registered_name_leads_here():
    assert registry.find("data", "moving-digits-file") is MovingDigitsFile
