"""`framecast data`, and `framecast demo`."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from framecast.data.moving_digits import MovingDigits
from framecast.video import probe, read

GLYPHS = ("data", "show", "moving-digits", "--data.digits", "glyphs")


class TestShow:
    """A picture and facts."""

    def test_facts(self, cli) -> None:
        options = ("--data.test-size", 30, "--split", "test", "--frames", 5, "-o", "p.png")
        document = cli(*GLYPHS, *options, "--json").json
        config = MovingDigits(digits="glyphs", test_size=30)
        source = config.source("test", 5, 0)
        assert document["clips"] == 30
        assert document["fingerprint"] == source.fingerprint()
        assert document["notes"] == list(source.notes())
        assert document["shapes"] == [[5, 1, 64, 64]]
        assert document["shown"] == ["00000", "00010", "00019", "00029"]
        with Image.open("p.png") as picture:
            assert np.asarray(picture).std() > 10

    def test_lines(self, cli) -> None:
        text = cli(*GLYPHS, "--data.train-size", 7, "--clips", 2).out
        assert "7 clips, the same in every epoch" in text
        assert "drawn with a font" in text
        assert "wrote out/moving-digits.png" in text

    def test_seeds_and_clips_change_the_picture(self, cli) -> None:
        for name, options in {"a": (), "b": ("--seed", 1), "c": ("--clips", 2)}.items():
            assert cli(*GLYPHS, "--data.train-size", 9, *options, "-o", f"{name}.png").code == 0
        pictures = {name: Path(f"{name}.png").read_bytes() for name in "abc"}
        assert len(set(pictures.values())) == 3

    def test_clips_of_one_video_have_a_row_each(self, cli, frame_folder) -> None:
        for name in ("v/a", "v/b"):
            frame_folder(name, 40)
        show = ("data", "show", "video-folder", "--data.root", "v", "--data.splits", 1, 0, 0)
        rows = {}
        for count in (2, 5):
            options = ("--data.size", 16, 16, "--frames", 4, "--clips", count, "--json")
            assert len(set(cli(*show, *options, "-o", "p.png").json["shown"])) == count
            with Image.open("p.png") as picture:
                rows[count] = picture.height
        assert rows[5] > 1.5 * rows[2]

    @pytest.mark.parametrize(
        ("arguments", "said"),
        [
            (("show",), "name a dataset"),
            (("show", "kht"), "did you mean 'kth'"),
            (("show", "kth"), "--data.root"),
            (("show", "moving-digits"), "(--data.root) the folder with the idx files"),
            (("show", "moving-digits", "--frames", "0"), "at least 1"),
            (("prepare", "moving-digits"), "needs no preparing"),
            (("verify", "gone"), "gone is no prepared folder"),
            (("show", "foo"), "there is no dataset 'foo'; known: arrays, "),
        ],
    )
    def test_wrong_input_is_one_line(self, cli, arguments: tuple[str, ...], said: str) -> None:
        ran = cli("data", *arguments)
        assert ran.code == 2
        assert said in ran.err
        assert len(ran.err.splitlines()) == 1

    def test_a_real_dataset(self, cli, data: Path) -> None:
        where = ("--data.root", data / "kth", "--data.span", "clip")
        options = (*where, "--split", "train", "--clips", 1, "--json")
        document = cli("data", "show", "kth", *options).json
        assert document["clips"] > 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "show|prepare|verify"),
        (("show",), "moving-digits"),
        (("prepare",), "video-folder"),
        (("verify",), "prepared folder"),
        (("show", "moving-digits"), "--data.digits"),
        (("prepare", "video-folder"), "--data.size"),
    ],
)
@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_is_no_error(cli, arguments: tuple[str, ...], said: str, flag: str) -> None:
    ran = cli("data", *arguments, flag)
    assert (ran.code, ran.err) == (0, "")
    assert "usage: " + " ".join(["framecast", "data", *arguments]) in ran.out
    assert said in ran.out


class TestPrepare:
    """Once, resumable, with faults listed."""

    def test_and_verify(self, cli, frame_folder) -> None:
        for name in ("v/a", "v/b"):
            frame_folder(name, 6)
        base = ("data", "prepare", "video-folder", "--data.root", "v", "--data.size", 16, 16)
        first = cli(*base, "-o", "p", "--json")
        assert first.code == 0
        assert (first.json["converted"], first.json["kept"], first.json["frames"]) == (2, 0, 12)
        second = cli(*base, "-o", "p")
        assert "0 videos converted, 2 kept" in second.out
        assert "next: --data.root p" in second.out
        sound = cli("data", "verify", "p")
        assert (sound.code, sound.out) == (0, "p is sound\n")
        array = next(path for path in Path("p").rglob("*") if path.stat().st_size > 4000)
        array.write_bytes(b"x")
        broken = cli("data", "verify", "p", "--json")
        assert broken.code == 1
        assert len(broken.json["faults"]) == 1

    def test_what_cannot_be_read_is_listed(self, cli, frame_folder) -> None:
        frame_folder("v/a", 6)
        Path("v/bad.mp4").write_bytes(b"no video")
        ran = cli("data", "prepare", "video-folder", "--data.root", "v", "-o", "p")
        assert ran.code == 1
        assert "left out bad.mp4" in ran.out


class TestDemo:
    """A prediction with nothing there."""

    def test_what_is_written(self, cli, model_folder) -> None:
        model = model_folder(context=4, horizon=3)
        ran = cli("demo", "--model", model, "-o", "d", "--json")
        assert ran.code == 0
        document = ran.json
        assert document["drawn"] == "d/demo.mp4"
        assert (document["context"], document["horizon"]) == (4, 3)
        assert document["errors"]["frames"] == 3
        assert probe("d/demo-predicted.mp4").frames == 7
        assert Path("d/demo-predicted.png").is_file()

    def test_the_video_is_a_clip_of_the_test_set(self, cli) -> None:
        assert cli("demo", "--model", "copy-last", "-o", "d", "--clip", 3).code == 0
        drawn = read("d/demo.mp4", channels=1).frames
        clip = MovingDigits(digits="glyphs").source("test", len(drawn), 0)[(0, 3)].frames
        assert (drawn - clip).abs().mean() < 0.02

    def test_lines_compare_with_the_truth(self, cli) -> None:
        text = cli("demo", "--model", "copy-last", "--horizon", 25).out
        assert "wrote out/demo.mp4" in text
        assert "dB, means over 25 frames; the last frame repeated" in text

    def test_options(self, cli) -> None:
        ran = cli("demo", "--model", "copy-last", "--clip", -1)
        assert (ran.code, "--clip" in ran.err) == (2, True)
        options = ("--samples", 3, "--seed", 1, "--json")
        assert cli("demo", "--model", "copy-last", *options).json["samples"] == 3
