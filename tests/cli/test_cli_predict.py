"""`framecast predict`: every option that changes a result, and every way to go wrong."""

import hashlib
import json
import math
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch
from conftest import images, picture
from PIL import Image

from framecast.cli.forecast import beside
from framecast.cli.options import read_size, read_start
from framecast.cli.predict import outputs
from framecast.evaluation.metrics import pixel
from framecast.video import Writer, probe

COPY = ("--model", "copy-last")


def test_frames_are_written_unchanged_and_the_last_one_repeated(cli, frame_folder) -> None:
    clip = frame_folder()
    ran = cli("predict", clip, *COPY, "--context", 4, "--horizon", 3, "-o", "result")
    assert ran.code == 0
    expected = [picture(n) for n in (0, 1, 2, 3, 3, 3, 3)]
    assert np.array_equal(images(Path("result")), np.stack(expected))
    assert Path("result.png").is_file()
    assert "wrote result" in ran.out
    assert "wrote result.png" in ran.out


@pytest.mark.parametrize(("start", "first"), [("5", 5), ("0.2s", 5)])
def test_start_is_a_frame_or_a_time(cli, frame_folder, start: str, first: int) -> None:
    clip = frame_folder()
    options = ("--context", 2, "--horizon", 1, "--start", start, "-o", "result")
    assert cli("predict", clip, *COPY, *options).code == 0
    expected = [picture(first), picture(first + 1), picture(first + 1)]
    assert np.array_equal(images(Path("result")), np.stack(expected))


def test_context_and_horizon_come_from_the_model(cli, frame_folder, model_folder) -> None:
    model = model_folder(context=4, horizon=6)
    document = cli("predict", frame_folder(), "--model", model, "-o", "r", "--json").json
    assert (document["results"][0]["context"], document["results"][0]["horizon"]) == (4, 6)
    assert len(images(Path("r"))) == 10


def movie(path: Path, aspect: Fraction | None) -> Path:
    """A video whose pixels players do not show as squares."""
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", rate=25)
        stream.height, stream.width, stream.pix_fmt = 24, 32, "yuv420p"
        stream.codec_context.sample_aspect_ratio = aspect
        for number in range(6):
            frame = av.VideoFrame.from_ndarray(picture(number), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("aspect", "said"), [(Fraction(12, 11), "1.09"), (Fraction(1), "")])
def test_pixels_that_are_not_square_are_told_of(cli, aspect: Fraction, said: str) -> None:
    ran = cli("predict", movie(Path("a.mp4"), aspect), *COPY, "--horizon", 1, "-o", "r")
    assert images(Path("r")).shape[1:3] == (24, 32)
    assert (f"players show the stored pixels {said} times" in ran.out) == bool(said)
    assert ("players show" in ran.out) == bool(said)


def test_the_default_output_is_a_video_named_after_the_input(cli, frame_folder) -> None:
    assert cli("predict", frame_folder("walk"), *COPY, "--horizon", 2).code == 0
    assert probe("out/walk-predicted.mp4").frames == 3
    assert Path("out/walk-predicted.png").is_file()


@pytest.mark.parametrize(
    ("size", "expected"),
    [("model", (16, 21)), ("native", (24, 32)), ("12x12", (12, 12))],
)
def test_size(cli, frame_folder, model_folder, size: str, expected: tuple[int, int]) -> None:
    model = model_folder(context=2, horizon=1, size=[16, 16])
    ran = cli("predict", frame_folder(), "--model", model, "--size", size, "-o", "r")
    assert images(Path("r")).shape[1:3] == expected
    said = f"resized from 24x32 to {expected[0]}x{expected[1]}"
    assert (said in ran.out) == (size != "native")
    assert ("cropped left and right" in ran.out) == (size == "12x12")


def test_a_fixed_size_of_the_model_is_met(cli, frame_folder, noisy: str) -> None:
    assert cli("predict", frame_folder(), "--model", noisy, "-o", "r").code == 0
    assert images(Path("r")).shape[1:3] == (16, 20)


def test_colour_becomes_gray_for_a_gray_model(cli, frame_folder, model_folder) -> None:
    model = model_folder(context=2, horizon=2)
    ran = cli("predict", frame_folder(), "--model", model, "-o", "r")
    assert "colour was turned into gray" in ran.out
    first = images(Path("r"))[0]
    luma = picture(0) @ np.array([0.299, 0.587, 0.114])
    assert np.abs(first - luma[..., None]).max() <= 1
    colour = cli("predict", frame_folder("b"), *COPY, "-o", "c")
    assert "turned into gray" not in colour.out


def test_samples_get_folders_and_seeds_decide_them(cli, frame_folder, noisy: str) -> None:
    clip = frame_folder()
    base = ("predict", clip, "--model", noisy, "--horizon", 2, "--samples", 3)
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        assert cli(*base, "--seed", seed, "-o", name).code == 0
    drawn = {
        name: np.stack([images(Path(name) / f"sample-{n}") for n in (1, 2, 3)]) for name in "abc"
    }
    assert np.array_equal(drawn["a"], drawn["b"])
    assert np.array_equal(drawn["a"][:, :3], drawn["c"][:, :3])  # the context
    assert not np.array_equal(drawn["a"][:, 3:], drawn["c"][:, 3:])
    assert not np.array_equal(drawn["a"][0], drawn["a"][1])


def test_older_samples_and_frames_do_not_stay(cli, frame_folder, noisy: str) -> None:
    base = ("predict", frame_folder(), "--model", noisy, "--horizon", 1, "-o", "out")
    for samples in (3, 2):
        assert cli(*base, "--samples", samples).code == 0
        names = {f"sample-{number + 1}" for number in range(samples)}
        assert {path.name for path in Path("out").iterdir()} == names
    assert cli(*base).code == 0
    assert all(path.suffix == ".png" for path in Path("out").iterdir())
    assert cli(*base, "--samples", 2).code == 0
    assert {path.name for path in Path("out").iterdir()} == {"sample-1", "sample-2"}


def test_equal_samples_are_told(cli, frame_folder) -> None:
    ran = cli("predict", frame_folder(), *COPY, "--samples", 3, "-o", "r.mp4")
    assert "all 3 samples are the same: this copy-last draws nothing" in ran.out
    assert "samples are the same" not in cli("predict", "clip", *COPY, "-o", "s.mp4").out


def test_the_contact_sheet_replaces_nobodys_picture(cli, frame_folder) -> None:
    clip = frame_folder()
    Image.new("RGB", (4, 4)).save("r.png")
    before = Path("r.png").read_bytes()
    ran = cli("predict", clip, *COPY, "-o", "r.mp4")
    assert (ran.code, "r.png, which is no picture of framecast's" in ran.err) == (2, True)
    assert Path("r.png").read_bytes() == before
    assert not Path("r.mp4").exists()
    for _ in range(2):
        assert cli("predict", clip, *COPY, "-o", "s.mp4").code == 0


def test_facts_of_a_folder_that_are_no_numbers(cli, frame_folder, model_folder) -> None:
    folder = model_folder()
    path = Path(folder) / "config.json"
    about = json.loads(path.read_text())
    about["about"] = {"horizon": "10", "context": 2.5}
    path.write_text(json.dumps(about))
    manifest = Path(folder) / "manifest.json"
    sums = json.loads(manifest.read_text())
    sums["files"]["config.json"] = {
        "bytes": path.stat().st_size,
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
    }
    manifest.write_text(json.dumps(sums))
    assert cli("predict", frame_folder(), "--model", folder, "-o", "r.mp4").code == 0


def test_samples_that_scatter_are_shown_and_told(cli, frame_folder, noisy: str) -> None:
    base = ("predict", frame_folder(), "--model", noisy, "--horizon", 2, "--samples")
    ran = cli(*base, 6, "-o", "six")
    assert "samples differ by" in ran.out
    drawn = np.stack([images(Path("six") / f"sample-{n}")[-2:] for n in range(1, 7)]) / 255
    expected = drawn.std(0, ddof=1).mean((1, 2, 3))
    found = cli(*base, 6, "-o", "six", "--json").json["results"][0]["deviation"]
    assert found == pytest.approx(expected, abs=2e-3)
    for name, extra in (("equal", (6, "--option", "strength=0")), ("one", (1,))):
        assert "samples differ" not in cli(*base, *extra, "-o", name).out
        document = cli(*base, *extra, "-o", name, "--json").json
        assert document["results"][0]["deviation"] == []


def test_samples_stand_side_by_side_in_a_video(cli, frame_folder, noisy: str) -> None:
    options = ("--model", noisy, "--samples", 3, "-o", "r.gif", "--horizon", 1)
    assert cli("predict", frame_folder(), *options).code == 0
    info = probe("r.gif")
    assert (info.height, info.width) == (2 * 16 + 2, 2 * 20 + 2)


def test_options_of_the_model_reach_it(cli, frame_folder, noisy: str) -> None:
    base = ("predict", frame_folder(), "--model", noisy, "--samples", 1, "--horizon", 1)
    assert cli(*base, "--option", "strength=0", "-o", "still").code == 0
    assert cli(*base, "-o", "noisy").code == 0
    still, noise = images(Path("still")), images(Path("noisy"))
    assert np.array_equal(still[-1], still[-2])
    assert not np.array_equal(noise[-1], noise[-2])
    wrong = cli(*base, "--option", "strenght=0", "-o", "x")
    assert (wrong.code, "did you mean 'strength'" in wrong.err) == (2, True)
    assert "KEY=VALUE" in cli(*base, "--option", "strength", "-o", "x").err


def test_mark_draws_a_border_on_predictions_alone(cli, frame_folder) -> None:
    cli("predict", frame_folder(), *COPY, "--horizon", 1, "--mark", "-o", "r")
    context, predicted = images(Path("r"))
    assert np.array_equal(context, picture(0))
    border = np.round(np.array([0.95, 0.45, 0.0]) * 255)
    assert np.array_equal(predicted[0, 5], border)
    assert np.array_equal(predicted[7, -1], border)
    assert np.array_equal(predicted[1:-1, 1:-1], picture(0)[1:-1, 1:-1])


def test_fps_thins_the_video_and_is_written(cli, tmp_path: Path) -> None:
    with Writer(tmp_path / "v.mp4", 20) as writer:
        for number in range(12):
            writer.append(torch.full((1, 16, 16), number / 11))
    options = ("--context", 3, "--horizon", 1)
    cli("predict", "v.mp4", *COPY, *options, "--fps", 10, "-o", "thin.mp4")
    assert probe("thin.mp4").fps == pytest.approx(10)
    cli("predict", "v.mp4", *COPY, *options, "-o", "own.mp4")
    assert probe("own.mp4").fps == pytest.approx(20)
    cli("predict", "v.mp4", *COPY, *options, "--fps", 10, "-o", "r")
    levels = images(Path("r"))[:3, 8, 8, 0] / 255 * 11
    assert np.allclose(levels, [0, 2, 4], atol=0.2)


def test_odd_sizes_are_padded_and_it_is_said(cli, frame_folder) -> None:
    ran = cli("predict", frame_folder(height=15, width=17), *COPY, "-o", "r.mp4")
    assert "17x15 was padded to 18x16" in ran.out


def test_errors_are_measured_where_the_video_goes_on(cli, frame_folder) -> None:
    options = ("--context", 2, "--horizon", 4, "-o", "r", "--json")
    ran = cli("predict", frame_folder(count=5), *COPY, *options)
    (result,) = ran.json["results"]
    frames = np.stack([picture(n) for n in range(5)]) / 255
    squares = [((frames[1] - frames[n]) ** 2).sum() for n in (2, 3, 4)]
    assert result["errors"]["frames"] == 3
    assert result["errors"]["mse"] == pytest.approx(np.mean(squares), rel=1e-5)
    assert result["errors"]["copy_last_mse"] == pytest.approx(np.mean(squares), rel=1e-5)
    psnr = np.mean([-10 * math.log10(square / frames[0].size) for square in squares])
    assert result["errors"]["psnr"] == pytest.approx(psnr, rel=1e-5)
    assert "goes on for 3 of the 4" in result["notes"][0]


def test_errors_are_those_of_evaluations(cli, tmp_path: Path, noisy: str) -> None:
    levels = (0, 51, 102, 10, 250)  # frames so unlike that PSNR of means is not the mean of PSNR
    (tmp_path / "v").mkdir()
    for number, level in enumerate(levels):
        image = np.full((16, 20, 3), level, np.uint8)
        Image.fromarray(image).save(tmp_path / "v" / f"{number}.png")
    options = ("--model", noisy, "--context", 3, "--horizon", 2, "--samples", 3, "-o", "r")
    ran = cli("predict", "v", *options, "--json")
    errors = ran.json["results"][0]["errors"]
    drawn = np.stack([images(Path("r") / f"sample-{n}")[3:] for n in (1, 2, 3)]) / 255
    frames = torch.from_numpy(drawn).float().movedim(-1, 2)
    truth = torch.tensor(levels[3:]).div(255)[None, :, None, None, None].expand_as(frames)
    last = torch.full_like(truth[0], levels[2] / 255)
    assert errors["psnr"] == pytest.approx(float(pixel.psnr(frames, truth).mean()), rel=1e-3)
    assert errors["mse"] == pytest.approx(float(pixel.mse_sum(frames, truth).mean()), rel=1e-2)
    copied = float(pixel.psnr(last, truth[0]).mean())
    assert errors["copy_last_psnr"] == pytest.approx(copied, rel=1e-5)
    text = cli("predict", "v", *options).out
    assert f"PSNR {errors['psnr']:.2f} dB, means over 2 frames" in text
    assert f"{copied:.2f} dB" in text


def test_a_video_that_ends_has_no_errors(cli, frame_folder) -> None:
    options = ("--context", 4, "--horizon", 2, "-o", "r", "--json")
    (result,) = cli("predict", frame_folder(count=4), *COPY, *options).json["results"]
    assert result["errors"] is None
    assert "nothing to compare" in result["notes"][0]


def test_nothing_is_read_beyond_the_horizon(cli, frame_folder) -> None:
    clip = frame_folder(count=8)
    (clip / "5.png").write_bytes(b"no image")
    options = ("--context", 2, "-o", "r")
    ran = cli("predict", clip, *COPY, *options, "--horizon", 3)
    assert (ran.code, "no image" in ran.out) == (0, False)
    assert "no image" in cli("predict", clip, *COPY, *options, "--horizon", 4).out


@pytest.mark.parametrize("bad", [2, 4])
def test_a_fault_after_the_context_ends_the_comparison_alone(cli, frame_folder, bad: int) -> None:
    clip = frame_folder(count=8)
    (clip / f"{bad}.png").write_bytes(b"no image")
    options = ("--context", 2, "--horizon", 4, "-o", "r", "--json")
    ran = cli("predict", clip, *COPY, *options)
    assert ran.code == 0
    (result,) = ran.json["results"]
    assert np.array_equal(images(Path("r"))[2:], np.stack([picture(1)] * 4))
    assert Path("r.png").is_file()
    assert (result["errors"] or {"frames": 0})["frames"] == bad - 2
    assert f"{bad - 2} of the 4 predicted frames could be compared" in result["notes"][0]
    assert f"{bad}.png is no image" in result["notes"][0]
    (clip / "1.png").write_bytes(b"no image")
    assert cli("predict", clip, *COPY, *options).code == 2


def test_a_short_video_is_told_what_to_pass(cli, frame_folder, model_folder, noisy: str) -> None:
    model = model_folder(context=10, horizon=2)
    ran = cli("predict", frame_folder("a", 7), "--model", model)
    assert ran.code == 2
    assert "has 7 frames" in ran.err
    assert "--context 7" in ran.err
    ran = cli("predict", frame_folder("b", 2), "--model", noisy)
    assert "needs at least 3" in ran.err
    ran = cli("predict", frame_folder("c", 9), "--model", noisy, "--context", 2)
    assert (ran.code, "at least 3 context frames" in ran.err) == (2, True)


def test_a_size_that_the_model_does_not_take_is_one_line(cli, frame_folder, noisy: str) -> None:
    clip = frame_folder("clip", 12, 24, 32)
    for size in ("native", "10x10"):
        ran = cli("predict", clip, "--model", noisy, "--size", size)
        assert (ran.code, "leave --size out" in ran.err) == (2, True)
        assert len(ran.err.splitlines()) == 1


def test_missing_frames_are_mentioned(cli, frame_folder) -> None:
    clip = frame_folder("clip", 12)
    (clip / "7.png").unlink()
    assert "  missing between 0 and 11: 7; what moves jumps" in cli("predict", clip, *COPY).out


def test_unused_context_is_mentioned(cli, frame_folder, noisy: str) -> None:
    ran = cli("predict", frame_folder(), "--model", noisy, "--context", 6)
    assert "of 6 context frames noisy uses the last 4" in ran.out


class TestManyVideos:
    """Folders, templates and failures."""

    def test_a_folder_of_videos_gives_one_result_each(self, cli, frame_folder) -> None:
        for name in ("many/b2", "many/b10", "many/a"):
            frame_folder(name, 3)
        ran = cli("predict", "many", *COPY, "--horizon", 1, "--json", "-o", "r/{stem}-x")
        names = [Path(result["video"]).name for result in ran.json["results"]]
        assert names == ["a", "b2", "b10"]
        assert sorted(p.name for p in Path("r").iterdir() if p.is_dir()) == ["a-x", "b10-x", "b2-x"]

    def test_a_plain_folder_gets_one_folder_each(self, cli, frame_folder) -> None:
        one, two = frame_folder("p/same", 3), frame_folder("q/same", 3)
        assert cli("predict", one, two, *COPY, "--horizon", 1, "-o", "r").code == 0
        assert len(images(Path("r/same"))) == len(images(Path("r/same-2"))) == 2

    def test_names_with_dots(self, cli, frame_folder) -> None:
        for name in ("cam.01", "cam.02"):
            frame_folder(f"many/{name}", 3)
        ran = cli("predict", "many", *COPY, "--horizon", 1, "-o", "r")
        assert ran.code == 0, ran.err
        assert sorted(path.name for path in Path("r").iterdir()) == [
            *("cam.01", "cam.01.png", "cam.02", "cam.02.png")
        ]

    def test_no_two_videos_share_an_output(self, tmp_path: Path) -> None:
        names = ("a.mp4", "a.avi", "a-2.mp4", "A.gif", "b/a.mp4")
        videos = [tmp_path / name for name in names]
        for template in ("out/{stem}-predicted.mp4", "{stem}.gif", "r"):
            found = outputs(videos, template)
            sheets = [beside(target) for target in found]
            assert len({str(path).lower() for path in (*found, *sheets)}) == 2 * len(videos)
        assert [path.name for path in found] == ["a", "a-3", "a-2", "A-4", "a-5"]

    def test_no_two_videos_share_a_contact_sheet(self, tmp_path: Path) -> None:
        for name in ("a", "a.gif"):
            (tmp_path / name).mkdir()
        videos = [tmp_path / "a", tmp_path / "a.gif"]
        for template in ("r/{stem}", "r.{stem}", "{stem}/p.mp4", "{stem}/../p.mp4"):
            found = outputs(videos, template)
            assert found[0] != found[1]
            assert beside(found[0]) != beside(found[1])

    def test_one_file_for_several_is_refused(self, cli, frame_folder) -> None:
        ran = cli("predict", frame_folder("a"), frame_folder("b"), *COPY, "-o", "r.mp4")
        assert (ran.code, "{stem}" in ran.err) == (2, True)

    def test_failures_come_last_and_do_not_stop_the_rest(self, cli, frame_folder) -> None:
        Path("bad.mp4").write_bytes(b"no video")
        good = frame_folder("good", 3)
        ran = cli("predict", "bad.mp4", good, "gone.mp4", *COPY, "--horizon", 1, "--json")
        assert ran.code == 1
        assert [Path(r["video"]).name for r in ran.json["results"]] == ["good"]
        assert [f["video"] for f in ran.json["failures"]] == ["bad.mp4", "gone.mp4"]
        assert len(ran.err.splitlines()) == 2
        assert all(line.startswith("framecast: error: ") for line in ran.err.splitlines())
        assert cli("predict", "bad.mp4", "gone.mp4", *COPY).code == 2


class TestInputsAreSafe:
    """Nothing that is read is written over."""

    def test_a_file(self, cli, frame_folder) -> None:
        assert cli("predict", frame_folder(), *COPY, "-o", "v.mp4").code == 0
        before = Path("v.mp4").read_bytes()
        ran = cli("predict", "v.mp4", *COPY, "-o", "../" + Path.cwd().name + "/v.mp4")
        assert (ran.code, "would overwrite" in ran.err) == (2, True)
        assert Path("v.mp4").read_bytes() == before

    @pytest.mark.parametrize("out", ["frames", "frames/p.gif"])
    def test_a_folder_of_frames(self, cli, frame_folder, out: str) -> None:
        clip = frame_folder("frames", 3)
        for path in clip.iterdir():
            path.rename(clip / f"{int(path.stem):05d}.png")
        ran = cli("predict", clip, *COPY, "-o", out)
        assert (ran.code, "would overwrite" in ran.err) == (2, True)
        assert len(images(clip)) == 3


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((), "no video is given"),
        (("gone.mp4",), "gone.mp4 does not exist"),
        (("clip", "--horizon", "0"), "--horizon is at least 1"),
        (("clip", "--context", "0"), "--context is at least 1"),
        (("clip", "--samples", "0"), "--samples is at least 1"),
        (("clip", "--samples", "1000000000"), "--samples is at most 10,000"),
        (("clip", "--fps", "-3"), "fps is above 0"),
        (("clip", "--start", "50"), "past its end"),
        (("clip", "--device", "abacus"), "no device 'abacus'"),
        (("clip", "--model", "copylast"), "did you mean 'copy-last'"),
        (("clip", "--model", "convlstm"), "has no weights"),
        (("clip", "-o", "r.avi"), "unknown suffix .avi"),
        (("empty",), "neither videos nor images"),
    ],
)
def test_wrong_input_is_one_line(cli, frame_folder, arguments, said: str) -> None:
    frame_folder("clip", 5)
    Path("empty").mkdir()
    model = () if "--model" in arguments else COPY
    ran = cli("predict", *arguments, *model)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "arguments", [("--start", "x"), ("--size", "12"), ("--size", "0x4"), ("--horizn", "3")]
)
def test_wrong_options_are_explained(cli, frame_folder, arguments) -> None:
    ran = cli("predict", frame_folder(), *COPY, *arguments)
    assert ran.code == 2
    assert arguments[0] in ran.err
    assert "Traceback" not in ran.err


def test_times_and_sizes_are_read() -> None:
    assert (read_start("120"), type(read_start("120"))) == (120, int)
    assert (read_start("12.5s"), read_start("3s"), read_start(".5s")) == (12.5, 3.0, 0.5)
    assert read_size("240x320") == (240, 320)
    for text in ("12.5", "-1", "1e3s", "s"):
        with pytest.raises(ValueError, match="neither"):
            read_start(text)


class TestRealVideos:
    """What people have."""

    @pytest.mark.parametrize("name", ["kth/person01_handwaving_d1_uncomp.avi"])
    def test_a_clip_of_kth(self, cli, data: Path, model_folder, name: str) -> None:
        model = model_folder(context=10, horizon=5, size=[32, 32])
        ran = cli("predict", data / name, "--model", model, "--json", "--start", "2.0s")
        (result,) = ran.json["results"]
        assert result["errors"]["frames"] == 5
        assert result["size"] == [32, 43]
        info = probe(result["written"][0])
        assert (info.frames, info.fps) == (15, pytest.approx(25))

    def test_broken_files_fail_in_one_line_each(self, cli, data: Path) -> None:
        options = ("--horizon", 1, "--size", "32x32", "--json")
        ran = cli("predict", data / "videos-broken", *COPY, *options)
        assert ran.code == 1
        assert ran.json["failures"]
        assert len(ran.err.splitlines()) == len(ran.json["failures"])
