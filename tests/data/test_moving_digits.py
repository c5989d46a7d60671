"""Moving-MNIST sequences: what they depend on, whose digits they show, what is noted of them."""

import gzip
import math
import os
import pickle
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from framecast import registry
from framecast.clip import DataConfig, collate
from framecast.config import from_json, to_json
from framecast.data import idx
from framecast.data.glyphs import COUNT, draw_glyphs
from framecast.data.motion import MOTIONS
from framecast.data.moving_digits import CHUNK, MovingDigits
from framecast.errors import ConfigError, DataError
from framecast.noise import mix

VARIANTS = list(MOTIONS)
GLYPHS = MovingDigits(digits="glyphs", train_size=50, validation_size=50, test_size=50)
EXTRA = 40
"""Training digits of the small MNIST beyond the 10,000 held out."""


def write_idx(path, images):
    raw = struct.pack(">4I", 0x0803, *images.shape) + images.tobytes()
    path.write_bytes(gzip.compress(raw, 1, mtime=0) if path.suffix == ".gz" else raw)


@pytest.fixture(scope="module")
def small_mnist(tmp_path_factory):
    """Files in MNIST's layout whose images tell where they come from.

    A training image is flat gray of level 1 + number (held out: 200), a test image is 100.
    """
    root = tmp_path_factory.mktemp("mnist")
    train = np.full((EXTRA + 10_000, 28, 28), 200, np.uint8)
    train[:EXTRA] = 1 + np.arange(EXTRA, dtype=np.uint8)[:, None, None]
    write_idx(root / "train-images-idx3-ubyte.gz", train)
    write_idx(root / "t10k-images.idx3-ubyte", np.full((30, 28, 28), 100, np.uint8))
    return root


def frames_of(config, split, frames=6, seed=0, epoch=0, count=20):
    clips = config.source(split, frames, seed).__getitems__([(epoch, i) for i in range(count)])
    return torch.stack([clip.frames for clip in clips])


def oracle(config, split, frames, seed, epoch, index, images):
    """One sequence, frame by frame and digit by digit, from the documented random numbers."""
    stochastic = config.variant == "svg-stochastic"
    count = config.count
    fixed = config.fixed_train or split != "train"
    stream = mix(
        "moving-digits", split, 0 if split == "test" else seed, 0 if fixed else epoch, index
    )
    total = 5 * count + (4 * count * frames if stochastic else 0)
    raw = np.random.Philox(key=stream).random_raw(total)
    numbers = [(int(bits) >> 11) / 2**53 for bits in raw]
    which, starts, redraws = numbers[:count], numbers[count : 5 * count], numbers[5 * count :]
    sheet = np.zeros((frames, 64 + 8, 64 + 8), np.int64)  # four pixels beyond every edge
    for digit in range(count):
        image = images[int(which[digit] * len(images))]
        if config.variant.startswith("svg"):
            image = np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BILINEAR))
        corners = follow(config.variant, starts[4 * digit : 4 * digit + 4], redraws, digit, count)
        for frame, (y, x) in zip(sheet, corners, strict=False):
            side = len(image)
            spot = frame[4 + y : 4 + y + side, 4 + x : 4 + x + side]
            if config.variant == "srivastava":
                spot[...] = np.where(image > spot, image, spot)
            else:
                spot[...] = np.minimum(spot + image, 255)
    return torch.from_numpy((sheet[:, 4:-4, 4:-4] / 255).astype(np.float32))[:, None]


def follow(variant, start, redraws, digit, count):
    """Corners of one digit without end: each axis for itself where the kind allows it."""
    if variant == "srivastava":
        position, step = (
            list(start[:2]),
            [0.1 * f(2 * math.pi * start[2]) for f in (math.sin, math.cos)],
        )
        while True:
            for axis in (0, 1):
                position[axis] += step[axis]
                if not 0 < position[axis] < 1:
                    position[axis], step[axis] = float(position[axis] >= 1), -step[axis]
            yield tuple(int(36 * p) for p in position)
    if variant == "v3d":
        position, angle = [36 * s for s in start[:2]], math.pi * (2 * start[2] - 1)
        speed = [2, 3, 4, 5, 6][int(5 * start[3])]
        step = [speed * math.sin(angle), speed * math.cos(angle)]
        while True:
            yield tuple(int(p) for p in position)
            for axis in (0, 1):
                if not -2 <= position[axis] + step[axis] <= 38:
                    step[axis] = -step[axis]
                position[axis] += step[axis]
    position = [int(32 * s) for s in start[:2]]
    step = [range(-4, 5)[int(9 * s)] for s in start[2:]]
    t = 0
    while True:
        for axis in (0, 1):
            wall = min(max(position[axis], 0), 31)
            if wall != position[axis]:
                step[axis] *= -1
                if redraws:
                    away, along = redraws[4 * (count * t + digit) + 2 * axis :][:2]
                    step[axis] = (1 if wall == 0 else -1) * [1, 2, 3, 4][int(4 * away)]
                    step[1 - axis] = range(-4, 5)[int(9 * along)]
                position[axis] = wall
        yield tuple(position)
        position = [p + s for p, s in zip(position, step, strict=True)]
        t += 1


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_sequences_are_those_of_a_loop(variant, count):
    config = replace(GLYPHS, variant=variant, count=count, fixed_train=False)
    images = draw_glyphs("train")
    keys = [(0, 3), (0, 4), (2, 3), (1, 49)]
    clips = config.source("train", 40, 7).__getitems__(keys)
    for (epoch, index), clip in zip(keys, clips, strict=True):
        expected = oracle(config, "train", 40, 7, epoch, index, images)
        assert torch.equal(clip.frames, expected)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_other_splits_are_those_of_a_loop(split):
    clip = GLYPHS.source(split, 20, 7)[(5, 11)]
    assert torch.equal(clip.frames, oracle(GLYPHS, split, 20, 7, 5, 11, draw_glyphs(split)))


@pytest.mark.parametrize("variant", VARIANTS)
def test_one_by_one_equals_many_at_once(variant):
    source = replace(GLYPHS, variant=variant).source("train", 5, 1)
    keys = [(0, i % 50) for i in range(CHUNK + 3)]
    for key, clip in zip(keys, source.__getitems__(keys), strict=True):
        assert torch.equal(source[key].frames, clip.frames)
        assert clip.frames.shape == (5, 1, 64, 64)
        assert clip.frames.dtype == torch.float32
        assert 0 <= clip.frames.min() < clip.frames.max() <= 1


def test_batches_are_not_copied_and_share_nothing_with_one_another():
    source = GLYPHS.source("train", 5, 1)
    keys = [(0, i) for i in range(2 * CHUNK + 3)]
    clips, again = source.__getitems__(keys), source.__getitems__(keys)
    batch = collate(clips)
    assert batch.frames.is_contiguous()
    assert batch.frames.data_ptr() == clips[0].frames.data_ptr()
    expected = collate(again).frames.clone()
    batch.frames.fill_(0.5)
    assert torch.equal(collate(again).frames, expected)
    assert torch.equal(collate(source.__getitems__(keys)).frames, expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_longer_sequences_begin_like_shorter_ones(variant):
    config = replace(GLYPHS, variant=variant)
    assert torch.equal(frames_of(config, "train", 30)[:, :6], frames_of(config, "train", 6))


def test_what_sequences_depend_on():
    fresh = replace(GLYPHS, fixed_train=False)
    for config, split, epochs_alike, seeds_alike in [
        (GLYPHS, "train", True, False),
        (fresh, "train", False, False),
        (fresh, "validation", True, False),
        (fresh, "test", True, True),
    ]:
        base = frames_of(config, split)
        assert torch.equal(base, frames_of(config, split, epoch=1)) == epochs_alike
        assert torch.equal(base, frames_of(config, split, seed=1)) == seeds_alike
        assert config.source(split, 6, 0).fixed == epochs_alike
        assert len({frames.numpy().tobytes() for frames in base}) == len(base)


def test_sources_pickle_small_and_know_their_length():
    source = GLYPHS.source("train", 4, 0)
    before = source[(0, 1)].frames
    assert len(pickle.dumps(source)) < 1000
    assert torch.equal(pickle.loads(pickle.dumps(source))[(0, 1)].frames, before)
    assert [len(replace(GLYPHS, test_size=7).source(s, 4, 0)) for s in ("train", "test")] == [50, 7]
    for index in (-1, 50):
        with pytest.raises(IndexError):
            source[(0, index)]


def test_fingerprints_tell_configurations_apart_and_nothing_else(small_mnist, tmp_path):
    def of(config=GLYPHS, split="train", frames=4, seed=0):
        return config.source(split, frames, seed).fingerprint()

    variants = [
        of(),
        of(seed=1),
        of(frames=5),
        of(split="validation"),
        of(replace(GLYPHS, variant="v3d")),
        of(replace(GLYPHS, count=3)),
        of(replace(GLYPHS, pool="train"), split="test"),
        of(split="test"),
    ]
    assert len(set(variants)) == len(variants)
    assert of(split="test", seed=1) == of(split="test")
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for path in small_mnist.iterdir():
        (moved / path.name).write_bytes(path.read_bytes())
    here, there = (of(MovingDigits(root=root)) for root in (small_mnist, moved))
    assert here == there
    other = np.zeros((EXTRA + 10_000, 28, 28), np.uint8)
    changed = tmp_path / "changed"
    changed.mkdir()
    write_idx(changed / "train-images-idx3-ubyte", other)
    assert of(MovingDigits(root=changed)) != here


def levels(config, split):
    """Gray levels in some sequences of one digit each."""
    frames = frames_of(replace(config, count=1), split, frames=1, count=400)
    return set((frames * 255).round().int().unique().tolist()) - {0}


def test_splits_use_the_digits_that_belong_to_them(small_mnist):
    config = MovingDigits(root=small_mnist)
    assert levels(config, "train") == set(range(1, EXTRA + 1))
    assert levels(config, "validation") == {200}
    assert levels(config, "test") == {100}
    shared = replace(config, pool="train")
    for split in ("train", "validation", "test"):
        assert 200 in levels(shared, split)
        assert 100 not in levels(shared, split)


def test_digits_of_both_kinds_have_equal_chances(small_mnist):
    source = MovingDigits(root=small_mnist, digits="mnist+glyphs").source("test", 4, 0)
    bank, glyphs = source.digits(), {glyph.tobytes() for glyph in draw_glyphs("test")}
    assert sum(image.tobytes() in glyphs for image in bank) == len(bank) / 2 == 30
    assert sum((image == 100).all() for image in bank) == 30
    assert any("half of the digits" in note for note in source.notes())


def test_missing_digits_are_one_line_with_names_and_source(tmp_path):
    for root in (None, tmp_path):
        with pytest.raises(DataError, match=r"train-images-idx3-ubyte and t10k.*\.gz") as caught:
            MovingDigits(root=root).source("train", 4, 0)
        assert "yann.lecun.com" in str(caught.value)
        assert "\n" not in str(caught.value)
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((10_001, 28, 28), np.uint8))
    MovingDigits(root=tmp_path).source("train", 4, 0)
    with pytest.raises(DataError, match="t10k-images"):
        MovingDigits(root=tmp_path).source("test", 4, 0)


def test_the_training_file_must_be_larger_than_what_is_held_out(tmp_path):
    write_idx(tmp_path / "train-images-idx3-ubyte", np.zeros((10_000, 28, 28), np.uint8))
    with pytest.raises(DataError, match="60,000"):
        MovingDigits(root=tmp_path).source("train", 4, 0)[(0, 0)]


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte", "train-images.idx3-ubyte.gz"])
def test_idx_files_are_found_and_read(tmp_path, name):
    images = np.random.default_rng(0).integers(0, 256, (3, 28, 28), np.uint8)
    write_idx(tmp_path / name, images)
    assert (idx.read_images(idx.find_images(tmp_path, "train")) == images).all()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"short", "too few"),
        (struct.pack(">4I", 0x0801, 1, 28, 28) + bytes(784), "no idx file"),
        (struct.pack(">4I", 0x0803, 2, 28, 28) + bytes(784), "should hold 2"),
        (gzip.compress(bytes(2000), mtime=0)[:-9], "cannot be read"),
        (b"\x1f\x8b nonsense, not gzip", "cannot be read"),
    ],
    ids=["short", "other magic", "too few images", "cut gzip", "no gzip"],
)
def test_damaged_idx_files_are_named(tmp_path, content, message):
    path = tmp_path / ("x.gz" if content[:2] == b"\x1f\x8b" else "x")
    path.write_bytes(content)
    with pytest.raises(DataError, match=message) as caught:
        idx.read_images(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_configurations_that_cannot_be():
    for name in ("count", "train_size", "validation_size", "test_size"):
        with pytest.raises(ConfigError, match=name):
            replace(GLYPHS, **{name: 0})
    with pytest.raises(DataError, match="1 or more"):
        GLYPHS.source("train", 0, 0)


def test_the_registered_name_leads_here_and_json_goes_both_ways():
    assert registry.find("data", "moving-digits") is MovingDigits
    config = replace(GLYPHS, variant="v3d", root=Path("somewhere"))
    assert from_json(DataConfig, to_json(config)) == config


def test_notes_tell_deviations_from_published_sets(small_mnist):
    def notes(split="test", **changes):
        return " | ".join(MovingDigits(root=small_mnist, **changes).source(split, 4, 0).notes())

    digits = "30 test digits; MNIST has 10,000"
    assert notes() == notes(test_size=5_000) == digits
    assert "drawn with a font" in notes(digits="glyphs")
    assert f"{small_mnist} is not read; --data.digits mnist reads" in notes(digits="glyphs")
    assert "is not read" not in notes(digits="mnist+glyphs")
    assert "999 test sequences; published: 10,000 or 5,000" in notes(test_size=999)
    assert "10,000 test sequences; published: 1,000" in notes(variant="v3d")
    assert "published for v3d: all training" in notes(variant="v3d", test_size=1000)
    assert "published for srivastava: the split's own" in notes(pool="train")
    assert notes(variant="v3d", test_size=1000, pool="train").startswith("10,040 train digits")
    assert "fresh in every epoch" in notes("train", fixed_train=False)
    assert "fresh" not in notes("train")
    assert "3 digits per sequence" in notes(count=3)
    assert notes(variant="svg-stochastic", count=3, test_size=77) == digits


def test_glyphs_look_like_mnist_in_numbers():
    banks = [draw_glyphs(split) for split in ("train", "validation", "test")]
    for bank in banks:
        assert bank.shape == (COUNT, 28, 28)
        assert 0.11 < bank.mean() / 255 < 0.16  # MNIST: 0.131
        assert (bank.max((1, 2)) > 200).all()
        assert 17 < (bank.max(2) > 40).sum(1).mean() < 21  # rows with ink; MNIST: 19.7
        assert len({image.tobytes() for image in bank}) > 0.99 * COUNT
        centre = (bank.sum((0, 1)) * np.arange(28)).sum() / bank.sum()
        assert abs(centre - 13.5) < 0.5
    everything = {image.tobytes() for bank in banks for image in bank}
    assert len(everything) == sum(len({image.tobytes() for image in bank}) for bank in banks)
    zeros, ones = banks[0][::10].mean(0), banks[0][1::10].mean(0)
    assert zeros[12:16, 13:15].mean() < 0.2 * ones[12:16, 13:15].mean()  # a hole, and a stroke


@pytest.mark.skipif("FRAMECAST_DATA" not in os.environ, reason="FRAMECAST_DATA is not set")
def test_real_mnist_digits_in_every_split():
    config = MovingDigits(root=Path(os.environ["FRAMECAST_DATA"]) / "mnist", test_size=10_000)
    for split, part in [("train", slice(0, 50_000)), ("validation", slice(50_000, None))]:
        images = idx.read_images(idx.find_images(config.root, "train"))[part]
        clip = config.source(split, 20, 3)[(0, 9)]
        assert torch.equal(clip.frames, oracle(config, split, 20, 3, 0, 9, images))
    source = config.source("test", 20, 3)
    assert source.notes() == ()
    ink = torch.stack([clip.frames for clip in source.__getitems__([(0, i) for i in range(50)])])
    assert 0.03 < ink.mean() < 0.06  # two digits of 784 × 0.131 on 4096 pixels: 0.050 less overlap
