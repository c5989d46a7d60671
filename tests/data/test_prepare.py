"""The prepared form: the same clips as the originals, and nothing lost when work is interrupted."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from framecast.data import prepared
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.data.prepare import prepare, verify
from framecast.data.video_folder import VideoFolder
from framecast.errors import DataError
from framecast.video import Writer

DATA = os.environ.get("FRAMECAST_DATA")
real = pytest.mark.skipif(DATA is None, reason="FRAMECAST_DATA is not set")
ALL_TRAIN = (1.0, 0.0, 0.0)


def movie(path: Path, frames: int, fps: float = 10.0, seed: int = 0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = torch.rand(frames, 3, 6, 8, generator=torch.Generator().manual_seed(seed))
    with Writer(path, fps) as writer:
        for frame in torch.nn.functional.interpolate(noise, scale_factor=8, mode="bilinear"):
            writer.append(frame)


@pytest.fixture
def originals(tmp_path):
    root = tmp_path / "originals"
    for number in range(4):
        movie(root / f"v{number}.mp4", 12 + number, seed=number)
    (root / "deep" / "frames").mkdir(parents=True)
    for number in range(12):
        image = np.full((9, 11, 3), 20 * number, dtype=np.uint8)
        Image.fromarray(image).save(root / "deep" / "frames" / f"{number}.png")
    (root / "bad.mp4").write_bytes(b"no video")
    return root


def same_clips(one, other):
    assert len(one) == len(other)
    assert [one.name(i) for i in range(len(one))] == [other.name(i) for i in range(len(one))]
    assert one.fingerprint() == other.fingerprint()
    assert one.notes() == other.notes()
    for index in range(len(one)):
        first, second = one[(2, index)], other[(2, index)]
        assert torch.equal(first.frames, second.frames)
        assert torch.equal(first.seconds, second.seconds)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"size": (20, 24)},
        {"size": (20, 24), "channels": 1, "fps": 4.0},
        {"fps": 5.0},
        {"fps": 25.0, "channels": 1},
    ],
)
def test_prepared_videos_give_the_same_clips_bit_for_bit(originals, tmp_path, fields):
    target = tmp_path / "out" / "prepared"
    result = prepare(VideoFolder(root=originals, **fields), target)
    assert (result.converted, result.kept, list(result.unreadable)) == (5, 0, ["bad.mp4"])
    settings = {**fields, "splits": ALL_TRAIN}
    for length in (3, 4):
        one = VideoFolder(root=originals, **settings).source("train", length, 3)
        same_clips(one, VideoFolder(root=target, **settings).source("train", length, 3))
    assert verify(target) == {}


def test_arrays_are_plain_npy_files_of_what_the_index_says(originals, tmp_path):
    target = tmp_path / "prepared"
    result = prepare(VideoFolder(root=originals, size=(20, 24), channels=1), target)
    index = json.loads((target / "index.json").read_text())
    assert index["complete"] is True
    assert len(index["recordings"]) == 5
    total = 0
    for row in index["recordings"]:
        array = np.load(target / f"{row['name']}.npy", mmap_mode="r")
        assert array.dtype == np.uint8
        assert array.shape == (row["frames"], 20, 24, 1)
        total += len(array)
    assert result.frames == total == 12 + 13 + 14 + 15 + 12
    assert result.bytes == sum(path.stat().st_size for path in target.rglob("*.npy"))
    assert not list(target.rglob(".*"))


class StopError(Exception):
    pass


def test_an_interrupted_preparation_goes_on_where_it_stopped(originals, tmp_path):
    config = VideoFolder(root=originals, size=(8, 8), splits=ALL_TRAIN)
    target = tmp_path / "prepared"

    def stop_after(number):
        def progress(done, _total, _name):
            if done == number:
                raise StopError

        return progress

    with pytest.raises(StopError):
        prepare(config, target, stop_after(3))
    with pytest.raises(DataError, match="was interrupted; give the same command again"):
        VideoFolder(root=target, size=(8, 8), splits=ALL_TRAIN).source("train", 3, 0)
    assert verify(target) == {str(target): "its preparation was interrupted"}
    finished = {path: path.stat().st_mtime_ns for path in target.rglob("*.npy")}
    assert len(finished) == 2
    seen = []
    with pytest.raises(StopError):
        prepare(config, target, stop_after(1))
    result = prepare(config, target, lambda *call: seen.append(call))
    assert (result.converted, result.kept) == (3, 2)
    assert [call[:2] for call in seen] == [(n, 6) for n in range(1, 7)]
    assert all(path.stat().st_mtime_ns == time for path, time in finished.items())
    there = VideoFolder(root=target, size=(8, 8), splits=ALL_TRAIN).source("train", 3, 0)
    same_clips(config.source("train", 3, 0), there)


def test_damaged_changed_and_removed_videos_are_put_right(originals, tmp_path):
    config = VideoFolder(root=originals, size=(8, 8), splits=ALL_TRAIN)
    target = tmp_path / "prepared"
    prepare(config, target)
    array = target / "v1.mp4.npy"
    content = bytearray(array.read_bytes())
    content[-1] ^= 255
    array.write_bytes(content)
    (target / "v2.mp4.npy").unlink()
    assert verify(target) == {
        "v1.mp4": "its array does not match its SHA-256 sum",
        "v2.mp4": "its array is missing",
    }
    source = VideoFolder(root=target, size=(8, 8), splits=ALL_TRAIN).source("train", 3, 0)
    index = next(i for i in range(len(source)) if source.name(i).startswith("v2"))
    with pytest.raises(DataError, match=r"v2\.mp4\.npy cannot be read .*prepare again"):
        source[(0, index)]
    movie(originals / "v3.mp4", 5, seed=9)
    (originals / "v0.mp4").unlink()
    result = prepare(config, target)
    assert (result.converted, result.kept) == (3, 1)
    assert verify(target) == {}
    there = VideoFolder(root=target, size=(8, 8), splits=ALL_TRAIN).source("train", 3, 0)
    same_clips(config.source("train", 3, 0), there)


def test_arrays_made_otherwise_are_refused(originals, tmp_path):
    target = tmp_path / "prepared"
    prepare(VideoFolder(root=originals, size=(8, 8)), target)
    with pytest.raises(DataError, match=r"prepared with size \[8, 8\], not \[4, 4\]; ask for"):
        VideoFolder(root=target, size=(4, 4)).source("train", 3, 0)
    with pytest.raises(DataError, match="prepared with channels 3, not 1"):
        prepare(VideoFolder(root=originals, size=(8, 8), channels=1), target)
    with pytest.raises(DataError, match='prepared with type "video-folder", not "kth"'):
        Kth(root=target).source("train", 3, 0)


def test_targets_and_roots_that_cannot_serve_are_refused(originals, tmp_path):
    config = VideoFolder(root=originals, size=(8, 8))
    with pytest.raises(DataError, match="moving-digits is no dataset of videos"):
        prepare(MovingDigits(), tmp_path / "digits")
    with pytest.raises(DataError, match="needs a folder of its own"):
        prepare(config, originals)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(DataError, match="holds something else"):
        prepare(config, tmp_path / "full")
    with pytest.raises(DataError, match="holds something else"):
        prepare(config, tmp_path / "full" / "letter.txt")
    with pytest.raises(DataError, match="cannot write"):
        prepare(config, tmp_path / "full" / "letter.txt" / "below")
    prepare(config, tmp_path / "prepared")
    with pytest.raises(DataError, match="is in the prepared form already"):
        prepare(VideoFolder(root=tmp_path / "prepared", size=(8, 8)), tmp_path / "again")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 99}, "by a later framecast"),
        ({"recordings": 3}, r"index\.json cannot be read .*; prepare again"),
        ({"surprise": 1}, r"index\.json cannot be read .*; prepare again"),
        (None, r"index\.json cannot be read .*; prepare again"),
        ("../v0.mp4", "leaves the folder"),
    ],
)
def test_a_damaged_index_is_one_line(originals, tmp_path, change, message):
    target = tmp_path / "prepared"
    prepare(VideoFolder(root=originals, size=(8, 8)), target)
    index = json.loads((target / "index.json").read_text())
    if isinstance(change, str):
        index["recordings"][0]["name"] = change
    elif change is not None:
        index.update(change)
    (target / "index.json").write_text("{" if change is None else json.dumps(index))
    with pytest.raises(DataError, match=message) as caught:
        VideoFolder(root=target, size=(8, 8)).source("train", 3, 0)
    assert "\n" not in str(caught.value)


def test_another_index_makes_no_prepared_folder(originals):
    """Folders of videos may have an index.json of their own."""
    before = VideoFolder(root=originals, size=(8, 8), splits=ALL_TRAIN).source("train", 3, 0)
    (originals / "index.json").write_text('{"title": "mine"}')
    after = VideoFolder(root=originals, size=(8, 8), splits=ALL_TRAIN).source("train", 3, 0)
    same_clips(before, after)


def test_an_array_with_fewer_frames_than_listed_is_an_error(tmp_path):
    frames = np.zeros((4, 2, 2, 3), dtype=np.uint8)
    assert prepared.write_array(tmp_path / "a.npy", iter(frames)) == (4, 2, 2, 3)
    assert prepared.read_array(tmp_path, "a", 1, 3).shape == (3, 2, 2, 3)
    with pytest.raises(DataError, match="does not hold the frames"):
        prepared.read_array(tmp_path, "a", 2, 3)
    np.save(tmp_path / "b.npy", frames.astype(np.float32))
    with pytest.raises(DataError, match="does not hold the frames"):
        prepared.read_array(tmp_path, "b", 0, 1)


def test_arrays_grow_to_any_length_and_failures_leave_nothing(tmp_path):
    frames = np.arange(1234 * 6, dtype=np.uint32).astype(np.uint8).reshape(1234, 2, 3, 1)
    assert prepared.write_array(tmp_path / "a.npy", iter(frames)) == (1234, 2, 3, 1)
    np.testing.assert_array_equal(np.load(tmp_path / "a.npy"), frames)
    with pytest.raises(DataError, match="differ in size"):
        prepared.write_array(tmp_path / "b.npy", iter([frames[0], frames[0][:1]]))
    with pytest.raises(DataError, match="no frame"):
        prepared.write_array(tmp_path / "b.npy", iter([]))
    assert [path.name for path in tmp_path.iterdir()] == ["a.npy"]


@real
def test_prepared_kth_brings_its_list_along(tmp_path):
    root = Path(str(DATA)) / "kth"
    config = Kth(root=root, ranges=root / "sequences_excerpt.txt", size=64)
    result = prepare(config, tmp_path / "kth")
    assert (result.converted, result.frames) == (3, 468 + 328 + 242)
    same_clips(
        config.source("train", 30, 0), Kth(root=tmp_path / "kth", size=64).source("train", 30, 0)
    )


@real
def test_damaged_real_videos_keep_what_decodes(tmp_path):
    root = Path(str(DATA)) / "videos-broken"
    config = VideoFolder(root=root, size=(16, 16), splits=ALL_TRAIN)
    result = prepare(config, tmp_path / "out")
    assert len(result.unreadable) == 8
    assert "28 frames were decoded before the fault" in result.damaged["decord_corrupted.mp4"]
    there = VideoFolder(root=tmp_path / "out", size=(16, 16), splits=ALL_TRAIN)
    same_clips(config.source("train", 10, 0), there.source("train", 10, 0))
