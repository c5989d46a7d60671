"""Folders of videos: files that the tests write, and real ones."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from framecast.clip import DataConfig, collate
from framecast.config import from_json, to_json
from framecast.data.video_folder import VideoFolder, by_name
from framecast.errors import ConfigError, DataError, FramecastError
from framecast.video import Writer, read
from framecast.wording import counted

DATA = os.environ.get("FRAMECAST_DATA")
real = pytest.mark.skipif(DATA is None, reason="FRAMECAST_DATA is not set")
ALL_TRAIN = (1.0, 0.0, 0.0)


def frame_folder(path: Path, frames: int, seed: int = 0, size: tuple[int, int] = (12, 16)) -> None:
    path.mkdir(parents=True)
    noise = np.random.default_rng(seed).integers(0, 256, (frames, *size, 3), dtype=np.uint8)
    for number, image in enumerate(noise):
        Image.fromarray(image).save(path / f"{number}.png")


def movie(path: Path, frames: int, fps: float = 10.0, size: tuple[int, int] = (32, 48)) -> None:
    with Writer(path, fps) as writer:
        for t in range(frames):
            writer.append(torch.full((3, *size), 0.1 + 0.8 * t / max(1, frames - 1)))


def names(source) -> set[str]:
    return {source.name(index).rsplit(":", 1)[0] for index in range(len(source))}


def test_files_frame_folders_and_gifs_are_found_at_any_depth(tmp_path):
    frame_folder(tmp_path / "deep" / "er" / "frames", 5)
    movie(tmp_path / "deep" / "clip.mp4", 6)
    movie(tmp_path / "anim.gif", 5)
    frame_folder(tmp_path / ".hidden", 5)
    (tmp_path / "readme.txt").write_text("x")
    Image.new("RGB", (4, 4)).save(tmp_path / "cover.png")
    (tmp_path / "deep" / "loop").symlink_to(tmp_path)
    source = VideoFolder(root=tmp_path, size=(8, 8), splits=ALL_TRAIN).source("train", 4, 0)
    assert names(source) == {"anim.gif", "deep/clip.mp4", "deep/er/frames"}
    assert collate([source[(0, i)] for i in range(len(source))]).frames.shape == (3, 4, 3, 8, 8)


def test_training_draws_windows_anew_and_validation_does_not(tmp_path):
    for split, seed in (("train", 1), ("val", 2), ("test", 3)):
        frame_folder(tmp_path / split / "a", 20, seed)
    config = VideoFolder(root=tmp_path, channels=1)
    train, validation, test = (config.source(s, 4, 7) for s in ("train", "validation", "test"))
    assert [len(s) for s in (train, validation, test)] == [5, 5, 5]
    assert not train.fixed
    assert validation.fixed
    draws = {train[(epoch, 0)].frames.sum().item() for epoch in range(12)}
    assert len(draws) > 6
    again = pickle.loads(pickle.dumps(train))
    assert torch.equal(again[(3, 2)].frames, train[(3, 2)].frames)
    assert train.name(1) == "train/a", "the frame differs between epochs"
    assert validation.name(1) == "val/a:4"
    seeded = config.source("train", 4, 8)
    assert any(not torch.equal(seeded[(0, i)].frames, train[(0, i)].frames) for i in range(5))
    assert torch.equal(validation[(0, 1)].frames, validation[(9, 1)].frames)
    whole = read(tmp_path / "val" / "a", channels=1).frames
    assert (validation[(0, 1)].frames - whole[4:8]).abs().max() <= 0.5 / 255 + 1e-6
    still = VideoFolder(root=tmp_path, random_windows=False).source("train", 4, 7)
    assert still.fixed
    assert still.name(1) == "train/a:4"
    assert torch.equal(still[(0, 1)].frames, read(tmp_path / "train" / "a").frames[4:8])


def test_very_short_videos_are_not_held_out(tmp_path):
    """Where three longer ones are there, validation and test are of those, whatever the hashes."""
    for number in range(12):
        frame_folder(tmp_path / f"short{number}", 3, seed=number)
    for number in range(3):
        frame_folder(tmp_path / f"long{number}", 16, seed=number)
    config = VideoFolder(root=tmp_path, size=(8, 8))
    held = [names(config.source(split, 3, 0)) for split in ("validation", "test")]
    assert all(len(each) == 1 and min(each).startswith("long") for each in held)
    assert len(names(config.source("train", 3, 0))) == 13


def test_stride_sets_the_number_of_windows(tmp_path):
    frame_folder(tmp_path / "train" / "a", 20)
    assert len(VideoFolder(root=tmp_path, stride=3).source("train", 5, 0)) == 6
    assert len(VideoFolder(root=tmp_path).source("train", 20, 0)) == 1


def test_folders_named_after_splits_take_precedence_and_strays_are_noted(tmp_path):
    frame_folder(tmp_path / "train" / "a", 5)
    frame_folder(tmp_path / "validation" / "b", 5)
    frame_folder(tmp_path / "c", 5)
    config = VideoFolder(root=tmp_path)
    source = config.source("validation", 5, 0)
    assert names(source) == {"validation/b"}
    assert any("1 video outside train, validation and test: c" in n for n in source.notes())
    with pytest.raises(DataError, match=r"test split of .* is empty"):
        config.source("test", 5, 0)


@pytest.mark.parametrize("count", [3, 4, 5, 10, 30])
def test_every_split_gets_videos_and_no_video_is_in_two(count):
    for trial in range(40):
        videos = [f"v{trial}-{number}.mp4" for number in range(count)]
        split_of = by_name(videos, (0.8, 0.1, 0.1))
        assert split_of == by_name(videos[::-1], (0.8, 0.1, 0.1))
        assert sorted(split_of) == sorted(videos)
        assert set(split_of.values()) == {"train", "validation", "test"}


def test_hash_splits_are_stable_and_near_their_fractions():
    many = [f"{number}.mp4" for number in range(3000)]
    before, after = by_name(many[:2000], (0.7, 0.1, 0.2)), by_name(many, (0.7, 0.1, 0.2))
    assert all(after[name] == split for name, split in before.items())
    shares = [list(after.values()).count(s) / 3000 for s in ("train", "validation", "test")]
    np.testing.assert_allclose(shares, [0.7, 0.1, 0.2], atol=0.03)
    assert set(by_name(many[:50], (0.0, 0.0, 1.0)).values()) == {"test"}
    assert set(by_name(many[:2], (0.5, 0.0, 0.5)).values()) == {"train", "test"}


@pytest.mark.parametrize("most", [1, 2, 3, 7])
def test_a_long_video_does_not_outweigh_the_others(tmp_path, most):
    """At most so many windows each, over the whole length; short videos keep theirs."""
    frame_folder(tmp_path / "long", 50)
    frame_folder(tmp_path / "short", 8, seed=1)
    config = VideoFolder(root=tmp_path, splits=(0.0, 0.0, 1.0), most_windows=most)
    source = config.source("test", 4, 0)
    starts = [int(source.name(i).rsplit(":", 1)[1]) for i in range(len(source))]
    assert [n for n, i in enumerate(starts) if i == 0] == [0, len(starts) - min(most, 2)]
    long = starts[: len(starts) - min(most, 2)]
    assert len(long) == most
    assert most == 1 or long[-1] >= 47 * (most - 1) // most - most
    with pytest.raises(ConfigError, match="most_windows"):
        VideoFolder(most_windows=0)


def test_the_split_does_not_depend_on_the_length_of_clips(tmp_path):
    for number in range(6):
        frame_folder(tmp_path / f"v{number}", 5 + number)
    config = VideoFolder(root=tmp_path, splits=(0.5, 0.25, 0.25))
    short = {s: names(config.source(s, 2, 0)) for s in ("train", "validation", "test")}
    assert sum(len(found) for found in short.values()) == 6
    for split, found in short.items():
        expected = {name for name in found if int(name[1:]) + 5 >= 8}
        if expected:
            source = config.source(split, 8, 0)
            assert names(source) == expected
            assert bool(found - expected) == any("fewer than 8" in n for n in source.notes())
        else:
            with pytest.raises(DataError, match=f"of the {split} split of .* has 8 frames"):
                config.source(split, 8, 0)


@pytest.mark.parametrize("count", [1, 2])
def test_one_or_two_videos_cannot_make_three_splits(tmp_path, count):
    for number in range(count):
        frame_folder(tmp_path / f"v{number}", 5)
    config = VideoFolder(root=tmp_path)
    assert len(config.source("train", 5, 0)) == 1
    with pytest.raises(
        DataError, match=f"{counted(count, 'readable video')}, and one is never cut"
    ):
        config.source("test", 5, 0)


def test_unreadable_and_short_videos_are_noted(tmp_path):
    frame_folder(tmp_path / "good", 9)
    frame_folder(tmp_path / "short", 3)
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    frame_folder(tmp_path / "mixed", 3)
    Image.new("RGB", (5, 5)).save(tmp_path / "mixed" / "2.png")
    source = VideoFolder(root=tmp_path, splits=ALL_TRAIN).source("train", 4, 0)
    assert names(source) == {"good"}
    notes = " | ".join(source.notes())
    assert "2 videos cannot be read: bad.mp4" in notes
    assert "mixed" in notes
    assert "1 video with fewer than 4 frames: short (3 frames)" in notes


def test_missing_frames_are_noted(tmp_path):
    frame_folder(tmp_path / "whole", 6)
    frame_folder(tmp_path / "torn", 7)
    (tmp_path / "torn" / "3.png").unlink()
    (note,) = VideoFolder(root=tmp_path, splits=ALL_TRAIN).source("train", 4, 0).notes()
    assert note == ("1 video with gaps: torn (missing between 0 and 6: 3; what moves jumps there)")


def test_roots_without_videos_are_errors(tmp_path):
    with pytest.raises(DataError, match="needs the folder"):
        VideoFolder().source("train", 4, 0)
    with pytest.raises(DataError, match="holds no videos"):
        VideoFolder(root=tmp_path).source("train", 4, 0)
    (tmp_path / "bad.mp4").write_bytes(b"not a video")
    with pytest.raises(DataError, match=r"of the 1 video of .* none can be read; the first"):
        VideoFolder(root=tmp_path).source("train", 4, 0)


def test_videos_of_their_own_sizes_only_go_alone(tmp_path):
    frame_folder(tmp_path / "a", 4, size=(12, 16))
    frame_folder(tmp_path / "b", 4, size=(10, 16))
    source = VideoFolder(root=tmp_path, splits=ALL_TRAIN).source("train", 4, 0)
    assert any("2 sizes (10x16, 12x16)" in note for note in source.notes())
    items = [source[(0, 0)], source[(0, 1)]]
    assert collate(items[:1]).frames.shape == (1, 4, 3, 12, 16)
    with pytest.raises(ValueError, match="give the data one size"):
        collate(items)


def test_rates_are_resampled(tmp_path):
    movie(tmp_path / "a.mp4", 20, fps=10.0)
    native = VideoFolder(root=tmp_path, splits=ALL_TRAIN, random_windows=False)
    halved = VideoFolder(root=tmp_path, splits=ALL_TRAIN, random_windows=False, fps=5.0)
    slow, fast = halved.source("train", 5, 0), native.source("train", 10, 0)
    assert (len(slow), len(fast)) == (2, 2)
    for index in range(2):
        assert torch.equal(slow[(0, index)].frames, fast[(0, index)].frames[::2])
    torch.testing.assert_close(slow[(0, 0)].seconds, torch.arange(5) / 5)
    torch.testing.assert_close(fast[(0, 0)].seconds, torch.arange(10) / 10)


def test_a_file_that_changes_after_the_scan_is_an_error(tmp_path):
    movie(tmp_path / "a.mp4", 12)
    source = VideoFolder(root=tmp_path, splits=ALL_TRAIN).source("train", 12, 0)
    before = source.fingerprint()
    movie(tmp_path / "a.mp4", 6)
    with pytest.raises(DataError, match="6 of 12 frames"):
        source[(0, 0)]
    assert (
        VideoFolder(root=tmp_path, splits=ALL_TRAIN).source("train", 6, 0).fingerprint() != before
    )
    (tmp_path / "a.mp4").unlink()
    with pytest.raises(DataError, match="leave the file out"):
        source[(0, 0)]


def test_fingerprints_tell_contents_settings_and_seeds_apart(tmp_path):
    frame_folder(tmp_path / "one" / "a", 8, seed=1)
    frame_folder(tmp_path / "two" / "a", 8, seed=2)
    settings = [{}, {"size": (6, 6)}, {"channels": 1}, {"fps": 5.0}, {"random_windows": False}]
    prints = [
        VideoFolder(root=tmp_path / root, splits=ALL_TRAIN, **fields)
        .source("train", 4, seed)
        .fingerprint()
        for root, seed, fields in [
            *(("one", 0, fields) for fields in settings),
            ("two", 0, {}),
            ("one", 1, {}),
        ]
    ]
    assert len(set(prints)) == len(prints)
    config = VideoFolder(root=tmp_path / "one", splits=ALL_TRAIN)
    assert config.source("train", 4, 0).fingerprint() == prints[0]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": (0, 4)}, "size"),
        ({"fps": 0.0}, "fps"),
        ({"stride": 0}, "stride"),
        ({"splits": (0.5, 0.2, 0.2)}, "splits"),
        ({"splits": (1.2, -0.2, 0.0)}, "splits"),
    ],
)
def test_contradictions_are_configuration_errors(fields, message):
    with pytest.raises(ConfigError, match=message):
        VideoFolder(**fields)


def test_the_configuration_survives_json():
    config = VideoFolder(root=Path("x"), size=(4, 6), channels=1, fps=5.0, stride=2)
    assert from_json(DataConfig, to_json(config)) == config


@real
@pytest.mark.parametrize("fps", [None, 7.5])
def test_windows_of_real_videos_hold_the_frames_that_plain_reading_gives(tmp_path, fps):
    root = Path(str(DATA)) / "videos"
    for name in ("decord_flipping_a_pancake.mkv", "moviepy_chaplin.mp4", "decord_video_90.mov"):
        (tmp_path / name).symlink_to(root / name)
    config = VideoFolder(
        root=tmp_path, size=(32, 48), fps=fps, splits=ALL_TRAIN, random_windows=False
    )
    source = config.source("train", 16, 0)
    assert "1 video with fewer than 16 frames: decord_video_90.mov" in source.notes()[0]
    for number, recording in enumerate(source.recordings):
        whole = read(root / recording.name, size=(32, 48), fps=fps).frames
        assert recording.frames == len(whole)
        windows = [i for i in range(len(source)) if source.windows[i].video == number]
        assert len(windows) == len(whole) // 16
        for index in (windows[0], windows[-1]):
            start = source.windows[index].start
            difference = source[(0, index)].frames - whole[start : start + 16]
            assert difference.abs().max() <= 0.5 / 255 + 1e-6


@real
@pytest.mark.slow
def test_every_odd_real_video_is_readable_to_its_last_frame():
    root = Path(str(DATA)) / "videos"
    config = VideoFolder(root=root, size=(32, 48), splits=ALL_TRAIN, random_windows=False)
    source = config.source("train", 1, 0)
    assert source.notes() == ()
    assert len(source.recordings) == 18
    for recording, end in zip(source.recordings, source.windows.ends, strict=True):
        assert source.name(end - 1) == f"{recording.name}:{recording.frames - 1}"
        assert source[(0, end - 1)].frames.shape == (1, 3, 32, 48)


@real
def test_broken_real_videos_are_left_out_or_used_up_to_the_fault():
    config = VideoFolder(root=Path(str(DATA)) / "videos-broken", size=(16, 16), splits=ALL_TRAIN)
    source = config.source("train", 28, 0)
    assert "decord_corrupted.mp4" in names(source)
    notes = " | ".join(source.notes())
    assert "8 videos cannot be read" in notes
    assert "damaged and used up to the fault: decord_corrupted.mp4" in notes
    index = next(i for i in range(len(source)) if source.name(i).startswith("decord_corrupted"))
    assert source[(0, index)].frames.shape == (28, 3, 16, 16)
    with pytest.raises(FramecastError):
        config.source("test", 28, 0)
