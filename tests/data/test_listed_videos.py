"""UCF Sports, Human3.6M and SJTU4K: tiny files in their layouts, and real frames."""

import os
import pickle
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from framed import picture, reds, starts, write
from PIL import Image

from framecast.clip import DataConfig
from framecast.config import from_json, to_json
from framecast.data import ucf_sports
from framecast.data.human36m import PERSONS, Human36m
from framecast.data.listed_videos import squeeze
from framecast.data.prepare import prepare, verify
from framecast.data.sjtu4k import Sjtu4k
from framecast.data.ucf_sports import UcfSports
from framecast.errors import ConfigError, DataError
from framecast.video import Writer

DATA = os.environ.get("FRAMECAST_DATA")
real = pytest.mark.skipif(DATA is None, reason="FRAMECAST_DATA is not set")
SMALL = (12, 16)
SPLITS = ("train", "validation", "test")


@pytest.fixture(scope="module")
def ucf(tmp_path_factory) -> Path:
    """Five videos, one in two pieces, and lists as published."""
    root = tmp_path_factory.mktemp("ucf")
    write(root / "Lifting" / "001", range(14))
    write(root / "Lifting" / "002", range(30))
    write(root / "Lifting" / "003", [*range(6, 18), *range(20, 32)])
    write(root / "Lifting" / "005", range(25))
    write(root / "Riding-Horse", range(6, 17))
    base = "E:/datasets/ucf_action_images/Lifting"
    train = [f"{base}/002/,{n}" for n in (6, 7, 9)] + [f"{base}/003/,20", f"{base}/001/,2"]
    test = [f"{base}/002/,8", f"{base}/003/,14", f"{base}/006/,6", f"{base}/005/,15"]
    (root / "train.txt").write_text("\r\n".join(train) + "\r\n", newline="")
    (root / "test.txt").write_text("\r\n".join(test) + "\r\n", newline="")
    return root


@pytest.fixture(scope="module")
def human(tmp_path_factory) -> Path:
    """All persons; person 5 with all frames, the others with every fifth one."""
    root = tmp_path_factory.mktemp("human")
    for person in PERSONS:
        numbers = range(1, 102) if person == "S5" else range(1, 102, 5)
        write(root / person, numbers, f"{person}_Directions_1.54138969_{{:06d}}.png")
    line = "E:/h36m/{0}/,{0}_Directions_1.54138969_,{1},{2}"
    (root / "train.txt").write_text("\n".join(line.format(p, 26, 96) for p in ("S1", "S8", "S9")))
    (root / "test.txt").write_text("\n".join(line.format(p, 51, 121) for p in ("S1", "S5", "S11")))
    return root


def videos(source) -> Counter:
    return Counter(folder for folder, _ in starts(source))


class TestSplitByVideo:
    """No frame of a test video is trained on."""

    def test_windows_of_training_begin_anywhere_and_others_share_nothing(self, ucf):
        train = UcfSports(root=ucf, size=SMALL).source("train", 10, 0)
        numbers = {"Lifting/002": range(21), "Lifting/003": (6, 7, 8, 20, 21, 22)}
        assert starts(train) == [(video, n) for video, ns in numbers.items() for n in ns]
        test = UcfSports(root=ucf, size=SMALL).source("test", 10, 0)
        expected = [("Lifting/005", 0), ("Lifting/005", 10), ("Riding-Horse", 6)]
        assert starts(test) == expected
        assert not test.windows.overlap
        strides = UcfSports(root=ucf, size=SMALL, stride=7, test_stride=15)
        assert len(strides.source("train", 10, 0)) == 3 + 1 + 1
        assert starts(strides.source("test", 10, 0))[:2] == [
            ("Lifting/005", 0),
            ("Lifting/005", 15),
        ]

    def test_no_video_is_of_two_splits(self, ucf, human):
        for config in (UcfSports(root=ucf, size=SMALL), Human36m(root=human, size=SMALL)):
            found = [set(videos(config.source(split, 8, 0))) for split in SPLITS]
            assert all(found)
            assert sum(map(len, found)) == len(set.union(*found)) == len(set.union(*found))

    def test_ucf_sports_has_a_third_for_testing_and_a_video_of_each_action_for_validation(self):
        config = UcfSports()
        keys = [
            f"{a}/{n:03d}" for a, count in ucf_sports.VIDEOS.items() for n in range(1, count + 1)
        ]
        found = Counter(config.assigned(key) for key in keys)
        assert found == {"test": 47, "validation": 10, "train": 93}
        assert all(config.key(f"E:/x/{key}/") == key for key in keys)
        # neighbours may show one scene: within an action, the splits follow one another
        for action, count in ucf_sports.VIDEOS.items():
            row = [config.assigned(f"{action}/{n:03d}") for n in range(1, count + 1)]
            order = {"validation": 0, "train": 1, "test": 2}
            assert [order[split] for split in row] == sorted(order[split] for split in row)

    def test_notes_give_counts_and_deviations(self, ucf, human):
        notes = "\n".join(UcfSports(root=ucf, size=SMALL).source("test", 10, 0).notes())
        assert "split by video: the last third of each action; 3 test windows" in notes
        assert "STIP reports 752 of a split by window" in notes
        assert "5 of the 150 videos are there" in notes
        short = UcfSports(root=ucf, size=SMALL).source("train", 13, 0).notes()
        assert "2 runs with fewer than 13 frames: Lifting/003/6.png; Lifting/003/20.png" in short
        assert not any(
            "there" in note for note in Human36m(root=human).source("test", 8, 0).notes()
        )


class TestPublishedSplit:
    """The lists, as far as their frames are there."""

    def test_windows_are_those_of_the_lists(self, ucf):
        config = UcfSports(root=ucf, size=SMALL, split="published")
        assert starts(config.source("test", 4, 0)) == [
            ("Lifting/002", 8), ("Lifting/003", 14), ("Lifting/005", 15)
        ]  # fmt: skip
        assert starts(config.source("train", 10, 0)) == [
            ("Lifting/002", 6), ("Lifting/002", 7), ("Lifting/002", 9), ("Lifting/003", 20)
        ]  # fmt: skip
        assert starts(config.source("validation", 10, 0)) == [("Lifting/001", 2)]
        assert reds(config.source("test", 10, 0)[(0, 0)]) == list(range(8, 18))

    def test_notes_tell_what_is_missing_and_how_much_leaks(self, ucf):
        source = UcfSports(root=ucf, size=SMALL, split="published").source("test", 10, 0)
        notes = "\n".join(source.notes())
        assert "2 test windows of the published split; test.txt lists 4, STIP reports 752" in notes
        assert "2 listed windows are left out: some of their frames are not there" in notes
        assert "2 of 4 test videos are in the training list too; 2 of 4 test windows" in notes
        assert "1 are no more than one frame from one" in notes
        train = UcfSports(root=ucf, size=SMALL, split="published").source("train", 10, 0)
        assert any("(1 of them held out for validation)" in note for note in train.notes())
        assert train.windows.overlap, "intervals of its scores would be too narrow"

    def test_numbers_of_human36m_are_those_of_its_videos(self, human):
        config = Human36m(root=human, size=SMALL, split="published")
        test = config.source("test", 8, 0)
        assert starts(test) == [("S1", 51), ("S5", 51), ("S11", 51)]
        assert reds(test[(0, 1)]) == pytest.approx(range(51, 91, 5), abs=2)  # as JPEG keeps them
        assert [len(config.source(split, 8, 0)) for split in ("train", "validation")] == [2, 1]
        nineteen = config.source("test", 11, 0)
        assert len(nineteen) == 3
        with pytest.raises(DataError, match="no test window of 12 frames"):
            config.source("test", 12, 0)

    def test_lists_may_lie_elsewhere_and_must_be_there(self, ucf, tmp_path):
        write(tmp_path / "Lifting" / "002", range(30))
        config = UcfSports(root=tmp_path, size=SMALL, split="published")
        message = r"test\.txt is missing: the published windows, from .*STRPM.*disjoint"
        with pytest.raises(DataError, match=message):
            config.source("test", 10, 0)
        there = UcfSports(root=tmp_path, size=SMALL, split="published", lists=ucf)
        assert starts(there.source("test", 10, 0)) == [("Lifting/002", 8)]
        (tmp_path / "test.txt").write_text("data/Lifting/002/,8\ndata/Cooking/001/,8\n")
        with pytest.raises(DataError, match=r"line 2 of .*test\.txt names no video of the dataset"):
            config.source("test", 10, 0)


class TestFrames:
    """What a clip holds."""

    def test_clips_are_colour_frames_with_times(self, ucf, human):
        item = UcfSports(root=ucf, size=SMALL).source("test", 10, 0)[(4, 1)]
        assert item.frames.shape == (10, 3, *SMALL)
        assert item.frames.dtype == torch.float32
        expected = np.stack([picture(n, SMALL) for n in range(10, 20)]).transpose(0, 3, 1, 2)
        assert torch.equal(item.frames, torch.from_numpy(expected).float() / 255)
        torch.testing.assert_close(item.seconds, torch.arange(10) / 10)
        item = Human36m(root=human, size=(6, 10)).source("train", 8, 0)[(0, 0)]
        assert item.frames.shape == (8, 3, 6, 10)
        torch.testing.assert_close(item.seconds, torch.arange(8) / 10)

    def test_every_tells_which_frames_are_used(self, human, tmp_path):
        write(tmp_path / "S1", range(1, 30), "S1_Walking.54138969_{:06d}.jpg")
        numbered = Human36m(root=tmp_path, size=SMALL, every=1, stride=21).source("train", 8, 0)
        assert reds(numbered[(0, 1)]) == pytest.approx(range(22, 30), abs=2)
        sparse = Human36m(root=tmp_path, size=SMALL, every=4).source("train", 8, 0)
        assert reds(sparse[(0, 0)]) == pytest.approx(range(1, 30, 4), abs=2)

    @pytest.mark.parametrize("size", [(24, 40), (6, 8), (6, 40)])
    def test_sizes_are_squeezed_to(self, size):
        image = picture(77, SMALL)
        found = squeeze(image, size)
        assert found.shape == (*size, 3)
        assert (found[..., 0] == 77).all()
        mean = np.abs(found.mean((0, 1)) - image.mean((0, 1)))
        assert mean.max() < 2, "nothing is cropped"

    def test_defaults_are_the_papers(self):
        assert UcfSports().size == (512, 512)
        assert (Human36m().size, Human36m().every) == ((1024, 1024), 5)
        assert Sjtu4k().size == (2160, 3840)


class TestOriginals:
    """Files as the datasets come, and their prepared form."""

    def test_ucf_sports_images_come_before_the_video_beside_them(self, tmp_path):
        write(tmp_path / "ucf action" / "Lifting" / "005", range(70133001, 70133013), "a_{}.jpg")
        (tmp_path / "ucf action" / "Lifting" / "005" / "a.avi").write_bytes(b"no video")
        movie(tmp_path / "ucf action" / "Lifting" / "006" / "b.mp4", 11)
        config = UcfSports(root=tmp_path, size=SMALL)
        source = config.source("test", 10, 0)
        names = [source.name(index) for index in range(2)]
        assert names == ["ucf action/Lifting/005:0", "ucf action/Lifting/006/b.mp4:0"]
        listed = tmp_path / "lists"
        listed.mkdir()
        (listed / "test.txt").write_text("x/Lifting/005/,2\nx/Lifting/006/,1\nx/Lifting/006/,2")
        published = UcfSports(root=tmp_path, size=SMALL, split="published", lists=listed)
        windows = published.source("test", 10, 0)
        assert [windows.name(i).rsplit(":")[-1] for i in range(len(windows))] == ["2", "1"]

    def test_human36m_takes_every_fifth_frame_of_a_video(self, tmp_path):
        movie(tmp_path / "S9" / "Videos" / "Directions 1.54138969.mp4", 41)
        movie(tmp_path / "S9" / "Videos" / "_ALL 1.54138969.mp4", 5)
        config = Human36m(root=tmp_path, size=(32, 48), test_stride=1)
        source = config.source("test", 8, 0)
        assert len(source) == 2, "frames 1, 6 … 41 are nine"
        levels = source[(0, 1)].frames.mean((1, 2, 3))
        assert levels.tolist() == pytest.approx([(5 + 5 * n) / 40 for n in range(8)], abs=0.02)
        torch.testing.assert_close(source[(0, 1)].seconds, torch.arange(8) / 2)
        assert any("left out: S9/Videos/_ALL 1" in note for note in source.notes())
        (tmp_path / "test.txt").write_text("x/S9/,S9_Directions_1.54138969_,6,41")
        published = Human36m(root=tmp_path, size=(32, 48), split="published").source("test", 8, 0)
        assert torch.equal(published[(0, 0)].frames, source[(0, 1)].frames)

    def test_sjtu4k_knows_a_video_by_its_letters(self, tmp_path):
        config = Sjtu4k()
        for name in (
            "data/sjtu4k/Traffic_Flow.mp4/", "Traffic_Flow.mp4/77.png",
            "yuv/TrafficFlow_3840x2160_30fps_420_8bit.yuv", "Traffic Flow.mp4",
        ):  # fmt: skip
            assert config.key(name) == "trafficflow"
        assert config.key("TrafficAndBuilding_4k.yuv") == config.key("Traffic_Building.mp4/")
        assert config.assigned("trafficbuilding") == "test"
        assert config.key("77.png") is None
        write(tmp_path / "Traffic_Flow.mp4", range(60, 75))
        write(tmp_path / "Wood", range(9))
        write(tmp_path / "Rush_Hour", range(8))
        (tmp_path / "test.txt").write_text("data/sjtu4k/Traffic_Flow.mp4/,63,73")
        small = Sjtu4k(root=tmp_path, size=SMALL)
        assert [len(small.source(split, 8, 0)) for split in SPLITS] == [2, 1, 1]
        assert any("3 videos are there, not 15" in n for n in small.source("test", 8, 0).notes())
        listed = Sjtu4k(root=tmp_path, size=SMALL, split="published").source("test", 8, 0)
        assert starts(listed) == [("Traffic_Flow.mp4", 63)]

    def test_sjtu4k_reads_raw_yuv(self, tmp_path):
        levels = (60, 120, 200)
        luma, chroma = np.ones(2160 * 3840, np.uint8), np.full(1080 * 3840, 128, np.uint8)
        with (tmp_path / "TreeShade_3840x2160.yuv").open("wb") as file:
            for level in levels:
                file.write((luma * level).tobytes() + chroma.tobytes())
        source = Sjtu4k(root=tmp_path, size=(27, 48), test_stride=1).source("test", 2, 0)
        assert len(source) == 2
        found = source[(0, 1)].frames.mean((1, 2, 3)) * 219 + 16
        assert found.tolist() == pytest.approx(levels[1:], abs=1.5)
        wrong = Sjtu4k(root=tmp_path, size=(27, 48), yuv="yuv444p10le")
        with pytest.raises(DataError, match="has no test video"):
            wrong.source("test", 2, 0)

    def test_prepared_arrays_give_the_same_clips_and_bring_the_lists(self, ucf, human, tmp_path):
        for config in (UcfSports(root=ucf, size=(6, 8)), Human36m(root=human, size=(6, 8))):
            target = tmp_path / config.type
            done = prepare(config, target)
            assert not done.unreadable
            assert verify(target) == {}
            there = from_json(DataConfig, {**to_json(config), "root": str(target)})
            for split in ("disjoint", "published"):
                sources = [
                    from_json(DataConfig, {**to_json(each), "split": split}).source("test", 8, 0)
                    for each in (config, there)
                ]
                assert sources[0].fingerprint() == sources[1].fingerprint()
                for index in range(len(sources[0])):
                    pair = [source[(0, index)] for source in sources]
                    assert torch.equal(pair[0].frames, pair[1].frames)
                    assert torch.equal(pair[0].seconds, pair[1].seconds)
            assert prepare(config, target).converted == 0


class TestFaults:
    """One line each."""

    @pytest.mark.parametrize(
        ("config", "site"), [(UcfSports, "crcv"), (Human36m, "imar"), (Sjtu4k, "medialab")]
    )
    def test_a_missing_or_wrong_root_names_layout_and_source(self, config, site, tmp_path):
        for root, said in (
            (None, "--data.root"),
            (tmp_path / "no", "is no folder"),
            (tmp_path, ""),
        ):
            with pytest.raises(DataError, match=rf"{said}.*frames .*{site}") as caught:
                config(root=root).source("test", 8, 0)
            assert "\n" not in str(caught.value)

    def test_an_empty_split_says_which_videos_it_needs(self, tmp_path):
        write(tmp_path / "S1", range(1, 42, 5), "S1_Walking.54138969_{:06d}.jpg")
        with pytest.raises(DataError, match=r"no test video \(persons S9, S11\)"):
            Human36m(root=tmp_path).source("test", 8, 0)
        with pytest.raises(DataError, match=r"no train video of .* has 10 frames in a row"):
            Human36m(root=tmp_path).source("train", 10, 0)

    def test_a_video_that_is_there_twice_is_an_error(self, tmp_path):
        write(tmp_path / "a" / "Lifting" / "002", range(12))
        write(tmp_path / "b" / "Lifting" / "002", range(12))
        with pytest.raises(DataError, match=r"holds Lifting/002 more than once .*keep one"):
            UcfSports(root=tmp_path).source("train", 10, 0)

    def test_damaged_frames_are_named(self, tmp_path):
        write(tmp_path / "Lifting" / "002", range(12))
        write(tmp_path / "Lifting" / "003", range(12))
        (tmp_path / "Lifting" / "003" / "0.png").write_bytes(b"no image")
        source = UcfSports(root=tmp_path, size=SMALL).source("train", 10, 0)
        assert len(source) == 3
        assert any("1 video cannot be read: Lifting/003/0.png" in n for n in source.notes())
        (tmp_path / "Lifting" / "002" / "5.png").unlink()
        with pytest.raises(DataError, match="gives 5 of 10 frames from frame 0"):
            source[(0, 0)]
        (tmp_path / "Lifting" / "002" / "5.png").write_bytes(b"no image")
        with pytest.raises(DataError, match=r"5\.png is no image"):
            source[(0, 0)]

    def test_strides_below_one_are_refused(self):
        for change in ({"stride": 0}, {"test_stride": 0}, {"size": (0, 4)}):
            with pytest.raises(ConfigError, match="at least 1"):
                UcfSports(**change)
        with pytest.raises(ConfigError, match="at least 1"):
            Human36m(every=0)


def test_sources_pickle_and_are_pure_functions_of_their_configuration(ucf):
    config = from_json(DataConfig, to_json(UcfSports(root=ucf, size=SMALL)))
    source = config.source("train", 10, 0)
    again = pickle.loads(pickle.dumps(config.source("train", 10, 5)))
    assert torch.equal(again[(0, 2)].frames, source[(7, 2)].frames)
    assert again.fingerprint() == source.fingerprint()
    others = [
        UcfSports(root=ucf, size=(6, 8)).source("train", 10, 0),
        UcfSports(root=ucf, size=SMALL).source("train", 9, 0),
        UcfSports(root=ucf, size=SMALL, stride=2).source("train", 10, 0),
        UcfSports(root=ucf, size=SMALL, split="published").source("train", 10, 0),
    ]
    assert len({source.fingerprint(), *(other.fingerprint() for other in others)}) == 5


@real
def test_real_frames_of_ucf_sports():
    root = Path(str(DATA)) / "ucf_sports"
    published = UcfSports(root=root, split="published").source("test", 10, 0)
    assert [published.name(i).rsplit(":")[-1] for i in range(5)] == ["26", "13", "38", "23", "14"]
    with Image.open(root / "Riding-Horse" / "29.png") as image:
        expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
    assert torch.equal(published[(0, 0)].frames[3], expected)
    disjoint = UcfSports(root=root, size=(32, 32)).source("test", 10, 0)
    assert len(disjoint) == 6


@real
def test_real_frames_of_human36m():
    root = Path(str(DATA)) / "human36m"
    source = Human36m(root=root, split="published").source("test", 8, 0)
    assert len(source) == 2
    with Image.open(root / "S1" / "S1_Discussion_1.55011271_003286.jpg") as image:
        expected = torch.from_numpy(np.array(image.convert("RGB"))).permute(2, 0, 1) / 255
    assert torch.equal(source[(0, 1)].frames[7], expected)


def movie(path: Path, frames: int) -> None:
    """Gray that brightens evenly from black to white."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Writer(path, 10.0) as writer:
        for t in range(frames):
            writer.append(torch.full((3, 32, 48), t / (frames - 1)))
