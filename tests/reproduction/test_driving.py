"""Plans that run: to a page, once; after an interruption from where they were."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from framecast.errors import FolderError
from framecast.reproduction import driving
from framecast.reproduction.driving import _complete, call, check, done, drive
from framecast.reproduction.planning import Plan, Step

SMALL = (
    "--stages.main.steps 3 --stages.main.batch 2 --stages.main.validate-every 3 "
    "--stages.main.validation-clips 2 --stages.main.checkpoint-every 1 "
    "--stages.main.sample-every 0 --data.train-size 8 --data.validation-size 4 "
    "--workers 0 --threads 1"
)


def start(*words: str, folder: Path) -> subprocess.Popen[str]:
    """`framecast reproduce … --run` as a process."""
    return subprocess.Popen(
        [sys.executable, "-m", "framecast.cli", "reproduce", *words, "--run"],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_from_nothing_to_a_page(tmp_path: Path) -> None:
    words = ("haf-svg", "figure8", "--scale", "tiny", "--train", SMALL)
    process = start(*words, "--evaluate", "--limit 2 --samples 2 --seed 3", folder=tmp_path)
    out, err = process.communicate()
    assert process.returncode == 0, err
    page = tmp_path / "reproduced/haf-svg-figure8-tiny.html"
    assert "z^2 held at zero" in page.read_text("utf-8")
    assert out.splitlines()[-1] == "wrote reproduced/haf-svg-figure8-tiny.html"
    assert "[5/5] framecast compare" in err
    made = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("results.json")}
    assert len(made) == 3
    process = start(*words, "--evaluate", "--limit 2 --samples 2 --seed 3", folder=tmp_path)
    _, err = process.communicate()
    assert process.returncode == 0, err
    assert err.count("done before") == 4
    assert {path: path.stat().st_mtime_ns for path in made} == made


def test_videos_that_cannot_be_read_do_not_end_a_run(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """What prepares the others has named them."""
    videos, made = tmp_path / "videos", tmp_path / "made"
    videos.mkdir()
    Image.new("RGB", (8, 8)).save(videos / "one.gif")
    words = ("data", "prepare", "video-folder", "--data.root", str(videos), "--out", str(made))
    step = Step("prepare", words, made)
    plan = Plan("", (), (step, Step("show", ("models", "convlstm"))), (), ())
    (videos / "two.mp4").write_text("no video")
    assert drive(plan, lambda line: None).code == 0
    out = capfd.readouterr().out
    assert "left out two.mp4" in out
    assert "parameters" in out
    assert not done(step), "there may be more videos than the last time"
    index = (made / "index.json").read_text("utf-8")
    (made / "index.json").write_text(index.replace('"complete": true', '"complete": false'))
    assert not _complete(step)
    videos.rename(tmp_path / "elsewhere")
    assert drive(plan, lambda line: None).step is step


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    longer = SMALL.replace("steps 3", "steps 40").replace("validate-every 3", "validate-every 40")
    (tmp_path / "broken.mp4").write_text("no video")
    words = ("stip", "figure5", "--scale", "tiny", "--video", str(tmp_path / "broken.mp4"))
    process = start(*words, "--train", longer, folder=tmp_path)
    run = tmp_path / "reproduced/runs/stip-tiny"
    while not list(run.glob("checkpoints/*/manifest.json")):
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130, err
    assert "the same command goes on from there" in err
    assert not (run / "model").exists()
    before = (run / "metrics.csv").read_text()
    process = start(*words, "--train", longer, folder=tmp_path)
    _, err = process.communicate()
    assert (run / "model/manifest.json").is_file(), err
    assert (run / "metrics.csv").read_text().startswith(before)
    assert process.returncode == 2
    assert "[2/2] framecast inspect" in err
    assert "stopped (exit code 2) at: framecast inspect" in err


def test_the_first_failure_ends_a_run(capfd: pytest.CaptureFixture[str]) -> None:
    version, wrong = Step("show", ("--version",)), Step("show", ("nonsense",))
    said: list[str] = []
    ended = drive(Plan("", (), (version, wrong, version), (), ()), said.append)
    assert (ended.code, ended.step) == (2, wrong)
    assert said == ["[1/3] framecast --version", "[2/3] framecast nonsense"]
    captured = capfd.readouterr()
    assert captured.out.count("framecast") == 1
    assert "there is no verb 'nonsense'" in captured.err


def test_commands_may_print_elsewhere(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(Step("show", ("--version",)), sys.stderr) == 0
    captured = capfd.readouterr()
    assert (captured.out, "framecast" in captured.err) == ("", True)


def test_handlers_of_signals_are_put_back() -> None:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    call(Step("show", ("--version",)))
    assert {number: signal.getsignal(number) for number in before} == before


def test_a_signal_that_comes_while_a_command_starts_reaches_it(monkeypatch) -> None:
    start_process = subprocess.Popen

    def interrupted(*_: object, **__: object) -> subprocess.Popen[bytes]:
        os.kill(os.getpid(), signal.SIGINT)
        return start_process(["sleep", "60"], process_group=0)

    monkeypatch.setattr(subprocess, "Popen", interrupted)
    assert call(Step("show", ())) == 128 + signal.SIGINT


def test_a_run_of_another_command_does_not_pass_for_this_one(tmp_path: Path) -> None:
    def made(*options: str) -> Plan:
        run = tmp_path / "runs/x"
        words = ("train", "nowhere", "--data.root", str(tmp_path), *options, "--out", str(run))
        return Plan("", (), (Step("train", words, run),), (), ())

    assert drive(made("--minutes", "1"), lambda line: None).code == 2
    check(made("--minutes", "2"))
    (tmp_path / "runs/x").mkdir()
    check(made("--minutes", "1"))
    with pytest.raises(FolderError, match=r"was made by another command .*--minutes 1"):
        check(made("--minutes", "2"))
    for damage in (b"framecast train it's", b"caf\xe9 --minutes 2"):
        (tmp_path / "runs/x.command").write_bytes(damage)
        with pytest.raises(FolderError, match="delete it"):
            check(made("--minutes", "2"))
    (tmp_path / "runs/x.command").unlink()
    check(made("--minutes", "2"))


class TestDone:
    """What counts as done."""

    def test_a_model_that_is_whole(self, cli, tmp_path) -> None:
        from framecast.models.convlstm import ConvLSTM, ConvLSTMConfig

        step = Step("train", ("train", "x"), tmp_path / "run")
        assert not done(step)
        ConvLSTM(ConvLSTMConfig(hidden=(2,), kernel=3)).save(tmp_path / "run/model")
        assert done(step)
        weights = tmp_path / "run/model/model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
        assert not done(step)

    def test_results_of_the_same_command(self, cli, tmp_path) -> None:
        out = tmp_path / "results"
        words = ("evaluate", "copy-last", "--protocol", "glyphs/5-5", "--limit", "2")
        step = Step("evaluate", (*words, "--out", str(out)), out)
        assert not done(step)
        assert cli(*step.words).code == 0
        assert done(step)
        assert not done(Step("evaluate", (*step.words, "--seed", "1"), out))
        (out / "results.json").write_text("{")
        assert not done(step)

    def test_results_and_pictures_of_the_model_that_is_there(self, cli, tmp_path) -> None:
        from framecast.models.convlstm import ConvLSTM, ConvLSTMConfig

        run, out, picture = (tmp_path / name for name in ("run", "results", "picture.png"))
        words = ("evaluate", str(run), "--protocol", "glyphs/5-5", "--limit", "2")
        step = Step("evaluate", (*words, "--out", str(out)), out)
        shown = Step("picture", ("inspect", str(run), "-o", str(picture)), picture)
        ConvLSTM(ConvLSTMConfig(hidden=(2,), kernel=3)).save(run / "model")
        assert cli(*step.words).code == 0
        picture.write_bytes(b"")
        picture.with_name("picture.png.command").write_text(f"{shown.line}\n")
        assert done(step)
        assert done(shown)
        ConvLSTM(ConvLSTMConfig(hidden=(3,), kernel=3)).save(run / "model")
        os.utime(picture, (0, 0))
        assert not done(step)
        assert not done(shown)

    def test_pictures_of_the_video_that_is_given(self, monkeypatch, tmp_path) -> None:
        """Another of the same name, or the same when it has changed, is shown anew."""
        picture = tmp_path / "clip.png"
        videos = [tmp_path / folder / "clip.mp4" for folder in "ab"]
        for video in videos:
            video.parent.mkdir()
            video.write_bytes(b"")
            os.utime(video, (0, 0))
        steps = [Step("picture", ("inspect", "m", str(video)), picture) for video in videos]

        def drawn(step: Step, output: object) -> int:
            picture.write_text(step.words[-1])
            return 0

        monkeypatch.setattr(driving, "call", drawn)
        for step in steps:
            assert not done(step)
            assert drive(Plan("", (), (step,), (), ()), lambda line: None).code == 0
            assert done(step)
        os.utime(videos[1])
        os.utime(picture, (1, 1))
        assert not done(steps[1])

    def test_pictures_that_are_there_but_no_lists_and_no_pages(self, tmp_path) -> None:
        picture = tmp_path / "a.png"
        assert not done(Step("picture", ("inspect",), picture))
        picture.write_bytes(b"")
        assert not done(Step("picture", ("inspect",), picture))  # nobody knows of what
        picture.with_name("a.png.command").write_text("framecast inspect\n")
        assert done(Step("picture", ("inspect",), picture))
        assert not done(Step("compare", ("compare",), picture))
        assert not done(Step("show", ("models",)))
