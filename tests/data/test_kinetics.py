"""Kinetics-600: small files in its layouts, and real files that are broken."""

import os
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from framecast.clip import DataConfig, collate
from framecast.config import from_json, to_json
from framecast.data import kinetics
from framecast.data.kinetics import Kinetics, read_list
from framecast.data.prepare import prepare
from framecast.errors import ConfigError, DataError
from framecast.video import Writer, fit

DATA = os.environ.get("FRAMECAST_DATA")
real = pytest.mark.skipif(DATA is None, reason="FRAMECAST_DATA is not set")
SIZE = 12


def movie(path: Path, frames: int, size: tuple[int, int] = (16, 24)) -> None:
    """Frames whose brightness tells their number, sharper to the right."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, 10) as writer:
        for t in range(frames):
            picture = torch.full((3, *size), 0.1 + 0.035 * t)
            picture[0, :, size[1] // 2 :] = 0.9
            writer.append(picture)


def name(number: int, start: int = 10) -> str:
    return f"vid-_{number:06d}_{start:06d}_{start + 10:06d}.mp4"


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Splits as folders: classes in training and validation, none in test; one video is short."""
    made = tmp_path_factory.mktemp("kinetics")
    for number, action in enumerate(("abseiling", "zumba", "yoga")):
        movie(made / "train" / action / name(number), 22)
    movie(made / "val" / "abseiling" / name(10), 20)
    for number in range(20, 28):
        movie(made / "test" / name(number), 18 if number % 2 else 17)
    movie(made / "test" / name(30), 9)
    movie(made / "test" / "zumba" / name(31), 16)
    movie(made / "extra" / name(40), 18)
    return made


def config(root: Path, **fields) -> Kinetics:
    return Kinetics(root=root, size=SIZE, **fields)


def stems(source) -> list[str]:
    return [Path(source.name(n).split(":")[0]).name for n in range(len(source))]


def numbers(clip) -> list[int]:
    """Of a clip's frames, by the brightness of the left half."""
    return [round((float(f[1, :, :4].mean()) - 0.1) / 0.035) for f in clip.frames]


class TestFolders:
    """Splits as the folders say."""

    def test_each_split_is_its_folder(self, root):
        found = {s: stems(config(root).source(s, 16, 0)) for s in ("train", "validation", "test")}
        assert found["train"] == [name(0), name(2), name(1)]
        assert found["validation"] == [name(10)]
        assert sorted(found["test"]) == [*(name(n) for n in range(20, 28)), name(31)]

    def test_test_clips_are_the_first_frames_in_an_order_that_mixes_classes(self, root):
        source = config(root).source("test", 16, 0)
        assert source.fixed
        assert stems(source) == stems(config(root).source("test", 16, 99))
        assert stems(source) != sorted(stems(source))
        clips = collate([source[(0, n)] for n in range(len(source))])
        assert clips.frames.shape == (9, 16, 3, SIZE, SIZE)
        assert numbers(source[(0, 0)]) == list(range(16)) == numbers(source[(5, 3)])
        shorter = config(root).source("test", 9, 0)
        assert [s for s in stems(shorter) if s != name(30)] == stems(source)

    def test_training_clips_begin_anywhere_anew_in_every_epoch(self, root):
        source = config(root).source("train", 16, 3)
        assert not source.fixed
        assert len(source) == 3
        starts = {numbers(source[(epoch, 0)])[0] for epoch in range(30)}
        assert starts == set(range(7))
        rows = numbers(source[(2, 1)])
        assert rows == list(range(rows[0], rows[0] + 16))
        again = config(root).source("train", 16, 3)
        assert torch.equal(again[(2, 1)].frames, source[(2, 1)].frames)

    def test_frames_are_native_resized_by_the_short_side_and_cropped(self, tmp_path):
        noise = np.random.default_rng(0).integers(0, 256, (4, 20, 32, 3), dtype=np.uint8)
        folder = tmp_path / "test" / "yoga" / "abcdefghijk_000001_000011"
        folder.mkdir(parents=True)
        for number, image in enumerate(noise):
            Image.fromarray(image).save(folder / f"{number}.png")
        clip = config(tmp_path).source("test", 4, 0)[(0, 0)]
        plain = torch.from_numpy(noise).permute(0, 3, 1, 2).float() / 255
        expected = fit(plain, (SIZE, SIZE)).mul(255).round().div(255)
        torch.testing.assert_close(clip.frames, expected, atol=1e-6, rtol=0)
        wide = torch.nn.functional.interpolate(plain, (12, 19), mode="bilinear", antialias=True)
        torch.testing.assert_close(clip.frames, wide[..., 3:15], atol=0.5 / 255 + 1e-6, rtol=0)

    def test_notes_tell_what_is_left_out(self, root):
        notes = config(root).source("test", 16, 0).notes()
        assert f"1 video with fewer than 16 frames, left out: test/{name(30)} (9 frames)" in notes
        assert f"1 video in no split, left out: extra/{name(40)}" in notes
        assert "9 test clips of 16 frames" in notes

    def test_what_is_not_there_is_said_in_one_line(self, root, tmp_path):
        with pytest.raises(
            DataError, match="holds no videos: expected folders train, val and test"
        ):
            config(tmp_path).source("test", 16, 0)
        with pytest.raises(DataError, match=r"of the 1 validation video .* none has 21 frames"):
            config(root).source("validation", 21, 0)
        movie(tmp_path / "somewhere" / name(1), 3)
        with pytest.raises(DataError, match="no readable test video in a folder of that split"):
            config(tmp_path).source("test", 2, 0)
        with pytest.raises(DataError, match="needs the folder"):
            Kinetics().source("test", 2, 0)
        with pytest.raises(ConfigError, match="at least 1 pixel"):
            Kinetics(size=0)


class TestLists:
    """Splits as the published lists say."""

    @pytest.fixture
    def listed(self, root, tmp_path) -> Path:
        lists = tmp_path / "lists"
        lists.mkdir()
        head = "label,youtube_id,time_start,time_end,split\n"

        def row(number: int, start: object = 10) -> str:
            return f'"making, tea",vid-_{number:06d},{start},20,x\n'

        train = head + "".join(map(row, (20, 21, 31))) + row(22, 11)
        (lists / "kinetics_600_train.csv").write_text("\ufeff" + train, "utf-8")
        (lists / "validate.csv").write_text(head + row(23, "10.0"))
        (lists / "test.csv").write_text(head + "".join(map(row, (0, 1, 40, 41))))
        (lists / "readme.csv").write_text("nothing")
        return lists

    def test_a_file_is_of_the_split_of_its_list_wherever_it_lies(self, root, listed):
        made = config(root, lists=listed)
        assert sorted(stems(made.source("test", 16, 0))) == [name(0), name(1), name(40)]
        assert sorted(stems(made.source("train", 16, 0))) == [name(20), name(21), name(31)]
        assert stems(made.source("validation", 16, 0)) == [name(23)]

    def test_notes_count_what_is_listed_and_what_is_not(self, root, listed):
        notes = config(root, lists=listed).source("test", 16, 0).notes()
        assert "3 test clips of 16 frames of 4 that the list names" in notes
        assert any(note.startswith("8 videos on no list, left out: ") for note in notes)
        only = config(root, lists=listed).source("validation", 16, 0).notes()
        assert "1 validation clip of 16 frames, all that the list names" in only

    def test_identifiers_alone_are_enough(self, tmp_path, listed):
        movie(tmp_path / "x" / "vid-_000020.mp4", 16)
        movie(tmp_path / "x" / "vid-_000040_000099_000109.mp4", 16)
        (listed / "test.csv").write_text("youtube_id\nvid-_000040\n")
        made = Kinetics(root=tmp_path / "x", size=SIZE, lists=listed)
        assert stems(made.source("train", 16, 0)) == ["vid-_000020.mp4"]
        assert stems(made.source("test", 16, 0)) == ["vid-_000040_000099_000109.mp4"]

    def test_lists_are_read_where_the_videos_are(self, listed, tmp_path):
        movie(tmp_path / "x" / "any" / name(20), 16)
        shutil.copy(listed / "kinetics_600_train.csv", tmp_path / "x")
        made = Kinetics(root=tmp_path / "x", size=SIZE)
        assert stems(made.source("train", 16, 0)) == [name(20)]
        with pytest.raises(DataError, match="no readable test video that a list names"):
            made.source("test", 16, 0)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("label,time_start\nyoga,1\n", "has no column youtube_id"),
            ("", "has no column youtube_id"),
            ("youtube_id,time_start\nabcdefghijk,1\n,2\n", "line 3 of .* names no clip"),
            ("youtube_id,time_start\nabcdefghijk,soon\n", "line 2 of .* names no clip"),
            ("youtube_id,time_start\nabcdefghijk,inf\n", "line 2 of .* names no clip"),
        ],
    )
    def test_damaged_lists_are_refused_in_one_line(self, tmp_path, text, message):
        path = tmp_path / "train.csv"
        path.write_text(text)
        with pytest.raises(DataError, match=message) as caught:
            read_list(path)
        assert "\n" not in str(caught.value)

    def test_contradictions_are_refused(self, root, listed, tmp_path):
        (listed / "val.csv").write_text("youtube_id,time_start\nvid-_000020,10\n")
        with pytest.raises(DataError, match="lists vid-_000020 in train and in validation"):
            config(root, lists=listed).source("test", 16, 0)
        with pytest.raises(DataError, match="is no folder"):
            config(root, lists=tmp_path / "gone").source("test", 16, 0)
        with pytest.raises(DataError, match="holds no list"):
            config(root, lists=root / "val").source("test", 16, 0)


class TestUse:
    """Configuration, prepared form, loader processes."""

    def test_configuration_survives_json_by_its_registered_name(self, root):
        made = config(root)
        assert from_json(DataConfig, to_json(made), "data") == made

    def test_prepared_clips_are_the_same(self, root, tmp_path):
        shutil.copytree(root / "test", tmp_path / "k" / "test")
        (tmp_path / "k" / "test.csv").write_text(f"youtube_id,time_start\n{name(24)[:11]},10\n")
        made = Kinetics(root=tmp_path / "k", size=SIZE)
        done = prepare(made, tmp_path / "p")
        assert done.converted == 10
        other = Kinetics(root=tmp_path / "p", size=SIZE)
        one, two = made.source("test", 16, 0), other.source("test", 16, 0)
        assert stems(one) == stems(two) == [name(24)]
        assert torch.equal(one[(0, 0)].frames, two[(0, 0)].frames)
        assert one.fingerprint() == two.fingerprint()

    def test_sources_pickle(self, root):
        source = config(root).source("train", 16, 1)
        other = pickle.loads(pickle.dumps(source))
        assert torch.equal(source[(4, 2)].frames, other[(4, 2)].frames)


@real
def test_broken_videos_are_skipped_counted_and_listed(tmp_path):
    broken = Path(str(DATA)) / "videos-broken"
    shutil.copytree(broken, tmp_path / "test" / "yoga")
    for number in range(3):
        movie(tmp_path / "test" / "zumba" / name(number), 18)
    source = config(tmp_path).source("test", 16, 0)
    notes = "\n".join(source.notes())
    kept = [stem for stem in stems(source) if not stem.startswith("vid-_")]
    assert sorted(set(stems(source)) - set(kept)) == [name(n) for n in range(3)]
    assert "videos cannot be read, left out: " in notes
    assert "test/yoga/" in notes
    unreadable = int(notes.split(" videos cannot be read")[0].rsplit("\n", 1)[-1])
    short = notes.split(" videos with fewer than 16")
    few = int(short[0].rsplit("\n", 1)[-1]) if len(short) > 1 else 0
    assert unreadable >= 2
    assert unreadable + few + len(kept) == len(list(kinetics.videos_under(broken)))
    clips = [source[(0, n)] for n in range(len(source))]
    assert all(clip.frames.shape == (16, 3, SIZE, SIZE) for clip in clips)
