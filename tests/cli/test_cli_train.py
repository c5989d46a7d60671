"""`framecast train`: presets, overrides, resuming, and being stopped."""

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from framecast import registry, training
from framecast.model import load
from framecast.training import Interrupted, planning

TINY = (
    *("train", "convlstm/tiny", "--model.hidden", 4, "--data.train-size", 8, "--workers", 0),
    *("--data.validation-size", 2, "--stages.main.batch", 2, "--stages.main.steps", 2),
    *("--stages.main.sample-every", 1000, "--no-progress"),
)


def _experiment(run: str) -> Any:
    return json.loads((Path(run) / "experiment.json").read_text())


def test_overrides_are_trained_and_stored(cli) -> None:
    ran = cli(*TINY, "--context", 3, "--horizon", 2, "--seed", 5, "-o", "r")
    assert ran.code == 0
    assert "wrote r/model" in ran.out
    assert "framecast predict VIDEO --model r" in ran.out
    stored = _experiment("r")["experiment"]
    assert (stored["context"], stored["horizon"], stored["seed"]) == (3, 2, 5)
    assert stored["model"]["hidden"] == [4]
    assert stored["stages"]["main"]["steps"] == 2
    model = load("r")
    assert (model.config.hidden, model.about["context"]) == ((4,), 3)


def test_the_run_is_named_after_the_preset(cli) -> None:
    document = cli(*TINY, "--json").json
    assert document == {"run": "runs/convlstm-tiny", "model": "runs/convlstm-tiny/model"}


@pytest.mark.parametrize("words", [("--resume", "r"), ("--resume", "-o", "r"), ("r", "--resume")])
def test_a_run_goes_on_without_its_preset(cli, words: tuple[str, ...]) -> None:
    assert cli(*TINY, "-o", "r").code == 0
    weights = Path("r/model/model.safetensors").read_bytes()
    again = cli("train", *words, "--workers", 0, "--no-progress")
    assert again.code == 0
    assert Path("r/model/model.safetensors").read_bytes() == weights


def test_a_run_that_was_cut_ends_as_if_it_had_not_been(cli, monkeypatch) -> None:
    from framecast.training import trainer

    options = ("--stages.main.steps", 4, "--stages.main.checkpoint-every", 1)
    assert cli(*TINY, *options, "-o", "whole").code == 0
    step, taken = trainer.Trainer.step, []

    def stopping(self: Any, micros: Any) -> Any:
        taken.append(1)
        if len(taken) == 2:
            signal.raise_signal(signal.SIGINT)
        return step(self, micros)

    with monkeypatch.context() as patched:
        patched.setattr(trainer.Trainer, "step", stopping)
        cut = cli(*TINY, *options, "-o", "cut")
    assert cut.code == 130
    assert len(cut.err.splitlines()) == 1
    assert "framecast train --resume cut" in cut.err
    assert cli("train", "--resume", "cut", "--workers", 0).code == 0
    files = [Path(run) / "model" / "model.safetensors" for run in ("whole", "cut")]
    assert files[0].read_bytes() == files[1].read_bytes()
    tables = [(Path(run) / "metrics.csv").read_text().splitlines() for run in ("whole", "cut")]
    assert len(tables[0]) == len(tables[1])


def test_a_training_of_some_minutes_keeps_its_steps_when_it_goes_on(cli, monkeypatch) -> None:
    """Another measurement would come out differently, and be another experiment."""
    seconds = iter([0.0, 4.0, 0.0, 8.0])
    monkeypatch.setattr(planning, "_clock", lambda device: lambda: next(seconds))
    words = (*TINY, "--minutes", 0.05, "-o", "r")
    ran = cli(*words)
    assert (ran.code, ran.err) == (0, "framecast: as many steps as take 0.05 min: main 3\n")
    assert _experiment("r")["experiment"]["stages"]["main"]["steps"] == 3
    weights = Path("r/model/model.safetensors").read_bytes()
    occupied = cli(*words)
    assert (occupied.code, occupied.err.count("\n")) == (2, 1)
    assert "holds a run" in occupied.err
    again = cli(*words, "--resume")
    assert (again.code, "keeps its steps, whatever the minutes: main 3" in again.err) == (0, True)
    assert _experiment("r")["experiment"]["stages"]["main"]["steps"] == 3
    assert Path("r/model/model.safetensors").read_bytes() == weights
    assert next(seconds) == 0.0, "measured again"
    other = cli(*words, "--resume", "--stages.main.batch", 1)
    assert (other.code, "batch is 2 there and 1 here" in other.err) == (2, True)


def test_a_dry_run_of_some_minutes_measures_once(cli, monkeypatch) -> None:
    seconds = iter([0.0, 4.0])
    monkeypatch.setattr(planning, "_clock", lambda device: lambda: next(seconds))
    ran = cli(*TINY, "--minutes", 0.05, "--dry-run", "--json")
    assert ran.json["plan"]["stages"][0]["steps"] == 3
    assert ran.json["experiment"]["stages"]["main"]["steps"] == 3
    assert not list(Path().iterdir())


def test_a_terminated_training_exits_with_143(cli, monkeypatch) -> None:
    def stopped(*arguments: object, **named: object) -> None:
        raise Interrupted("stopped; go on with --resume", signal.SIGTERM)

    monkeypatch.setattr(training, "train", stopped)
    ran = cli(*TINY, "-o", "r")
    assert (ran.code, ran.err) == (143, "framecast: stopped; go on with --resume\n")


def test_a_dry_run_writes_nothing(cli) -> None:
    ran = cli(*TINY, "--dry-run", "--json")
    assert ran.code == 0
    assert ran.json["plan"]["stages"][0]["steps"] == 2
    assert ran.json["experiment"]["model"]["hidden"] == [4]
    assert not list(Path().iterdir())
    text = cli(*TINY, "--dry-run").out
    assert "main" in text
    assert "would take about" in text


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_a_dry_run_refuses_what_training_refuses(cli, frame_folder, dry: tuple[str, ...]) -> None:
    assert cli(*TINY, "-o", "used").code == 0
    before = sorted(Path().rglob("*"))
    for arguments, said in [
        (("--init", "gone"), "there is no model 'gone'"),
        (("--init", "used", "--model.hidden", 3), "cannot start from"),
        (("-o", "used", "--seed", 3), "used holds a run"),
        (("-o", "used", "--resume", "--seed", 3), "another experiment: seed is 0 there and 3"),
        (("-o", "used/model"), "holds no run"),
    ]:
        ran = cli(*TINY, *arguments, *dry)
        assert (ran.code, said in ran.err) == (2, True), ran.err
        assert len(ran.err.splitlines()) == 1
    assert sorted(Path().rglob("*")) == before


@pytest.mark.parametrize("dry", [(), ("--dry-run",)])
def test_clips_of_other_channels_are_one_line(cli, frame_folder, dry: tuple[str, ...]) -> None:
    for name in ("v/a", "v/b", "v/c"):
        frame_folder(name, 25, 16, 16)
    ran = cli("train", "convlstm/tiny", "--data", "video-folder", "--data.root", "v", *dry)
    assert (ran.code, len(ran.err.splitlines())) == (2, 1)
    assert "3 channels and the model takes 1" in ran.err
    assert "(--data.channels 1 or --model.channels 3)" in ran.err


def test_what_the_data_says_of_itself_is_told(cli) -> None:
    said = "NOPE is not read; --data.digits mnist reads its digits"
    plan = cli(*TINY, "--data.root", "NOPE", "--dry-run")
    assert (f"  {said}" in plan.out, plan.err) == (True, "")
    shown = [word for word in TINY if word != "--no-progress"]
    assert f"data: {said}" in cli(*shown, "--data.root", "NOPE", "-o", "r").err


def test_training_starts_from_given_weights(cli) -> None:
    assert cli(*TINY, "-o", "first").code == 0
    assert cli(*TINY, "-o", "fresh", "--seed", 1).code == 0
    assert cli(*TINY, "-o", "second", "--seed", 1, "--init", "first").code == 0
    fresh, second = (Path(r, "model/model.safetensors").read_bytes() for r in ("fresh", "second"))
    assert fresh != second
    assert Path(_experiment("second")["init"]) in (Path("first"), Path("first/model").resolve())


def test_another_dataset(cli, frame_folder) -> None:
    for name in ("v/a", "v/b", "v/c"):
        frame_folder(name, 12)
    data = ("--data", "video-folder", "--data.root", "v", "--data.size", 16, 16)
    ran = cli(
        *("train", "convlstm/tiny", *data, "--data.channels", 1, "--model.hidden", 4),
        *("--stages.main.steps", 1, "--stages.main.batch", 1, "--workers", 0, "-o", "r"),
        *("--context", 3, "--horizon", 2),
    )
    assert ran.code == 0, ran.err
    assert _experiment("r")["experiment"]["data"]["type"] == "video-folder"


@pytest.mark.parametrize("workers", [0, 1])
def test_videos_of_several_sizes_are_told_to_get_one(cli, frame_folder, workers: int) -> None:
    for number, size in enumerate([(16, 16), (16, 20), (20, 16), (20, 20)]):
        for split in ("train", "validation"):
            frame_folder(f"v/{split}/{number}", 5, *size)
    ran = cli(
        *("train", "convlstm/tiny", "--data", "video-folder", "--data.root", "v"),
        *("--data.channels", 1, "--model.hidden", 4, "--context", 3, "--horizon", 2),
        *("--stages.main.steps", 1, "--stages.main.batch", 4, "--workers", workers),
        *("--no-progress", "-o", "r"),
    )
    assert (ran.code, "--data.size H W" in ran.err) == (2, True)
    assert len([line for line in ran.err.splitlines() if "warning" not in line]) == 1
    assert "Traceback" not in ran.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("convlst/tiny",), "did you mean 'convlstm/tiny'"),
        (("foo",), "there is no preset 'foo'; framecast presets lists all"),
        (("convlstm/tiny", "--data", "kht"), "did you mean 'kth'"),
        (("convlstm/tiny", "--data"), "--data lacks its value"),
        (("--resume",), "name a preset"),
        (("--resume", "gone"), "gone holds no run to resume"),
        (("convlstm/tiny", "--init", "gone", "--no-progress"), "no model 'gone'"),
        (("convlstm/moving-mnist-small", "--workers", "0"), "root"),
    ],
)
def test_wrong_input_is_one_line(cli, arguments: tuple[str, ...], said: str) -> None:
    ran = cli("train", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert "Traceback" not in ran.err


def test_wrong_options_and_contradictions_are_explained(cli) -> None:
    ran = cli("train", "convlstm/tiny", "--model.hiden", 4)
    assert (ran.code, "--model.hidden" in ran.err) == (2, True)
    ran = cli("train", "convlstm/tiny", "--model.kernel", 4)
    assert (ran.code, "kernel is odd" in ran.err) == (2, True)
    assert "Traceback" not in ran.err


def test_a_used_folder_is_left_alone(cli) -> None:
    assert cli(*TINY, "-o", "r").code == 0
    ran = cli(*TINY, "-o", "r")
    assert (ran.code, "--resume" in ran.err) == (2, True)


@pytest.mark.parametrize("name", ["convlstm/tiny", "convlstm/arrays"])
def test_a_preset_has_its_help(cli, name: str) -> None:
    ran = cli("train", name, "--help")
    assert ran.code == 0
    for option in ("--data.root", "--context", "--out", "--init", "--dry-run", "--workers"):
        assert option in ran.out
    for stage in registry.find("presets", name)().stages:
        assert f"--stages.{stage}.steps" in ran.out
