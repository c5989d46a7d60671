"""Weights that a stage takes over from elsewhere before its first step."""

import json
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from dummy_runs import OFTEN, OPTIONS, At, experiment, send, traces

import framecast
from contract.dummy import Dummy, Plain, PlainConfig
from framecast.errors import FramecastError
from framecast.training import Interrupted, RunOptions, plan, train


@dataclass(frozen=True)
class BorrowedConfig(PlainConfig):
    """A stage whose encoder starts from a file."""

    type: ClassVar[str] = "dummy/borrowed"
    file: Path = Path()
    """A number, as text."""


class Borrowed(Plain, of=Dummy, name="borrowed"):
    """All weights of the encoder begin as the number in the file."""

    config_type = BorrowedConfig

    def begin(self) -> dict[str, str]:
        if not self.config.file.is_file():
            raise FramecastError(f"{self.config.file}: no such file")
        number = float(self.config.file.read_text())
        torch.nn.init.constant_(self.model.encoder.weight, number)
        return {"encoder": f"all weights are {number}"}


def borrowed(file: Path, **fields: Any) -> Any:
    """A run of one such stage."""
    return experiment(
        borrowed=BorrowedConfig(file=file, **{"steps": 4, "batch": 8, **OFTEN, **fields})
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file to start from."""
    path = tmp_path / "number.txt"
    path.write_text("0.25")
    return path


def test_a_stage_begins_with_what_it_takes_over(file: Path, tmp_path: Path) -> None:
    """Also its average: training starts from there, and the record of the run says so."""
    frozen = borrowed(file, ema=0.9, optimizer=framecast.stage.OptimizerConfig(learning_rate=0.0))
    train(frozen, tmp_path / "run", options=OPTIONS)
    model = framecast.load(tmp_path / "run")
    assert torch.equal(model.encoder.weight, torch.full_like(model.encoder.weight, 0.25))
    assert model.about["stages"][0]["begun"] == {"encoder": "all weights are 0.25"}
    card = (tmp_path / "run" / "model" / "README.md").read_text()
    assert "- borrowed began with encoder: all weights are 0.25\n" in card


def test_a_run_that_goes_on_does_not_begin_again(
    file: Path, tmp_path: Path, after_step: At
) -> None:
    """Neither the weights nor the record need the file any more."""
    train(borrowed(file), tmp_path / "whole", options=OPTIONS)
    after_step(2, send(signal.SIGTERM))
    with pytest.raises(Interrupted):
        train(borrowed(file), tmp_path / "run", options=OPTIONS)
    file.unlink()
    train(borrowed(file), tmp_path / "run", resume=True, options=OPTIONS)
    assert traces(tmp_path / "run") == traces(tmp_path / "whole")


def test_other_runs_record_nothing(tmp_path: Path) -> None:
    """Most stages begin with the weights they are given."""
    train(experiment(plain=PlainConfig(steps=1, batch=8)), tmp_path, options=OPTIONS)
    assert "begun" not in framecast.load(tmp_path).about["stages"][0]
    document = next((tmp_path / "checkpoints").glob("*/checkpoint.json"))
    assert json.loads(document.read_text())["begun"] == {}


def test_what_was_taken_over_is_said(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, where progress is."""
    shown = RunOptions(accelerator="cpu", workers=0)
    train(borrowed(file, steps=1), tmp_path / "run", options=shown)
    assert "borrowed: encoder: all weights are 0.25\n" in capsys.readouterr().err
    train(borrowed(file, steps=1), tmp_path / "quiet", options=OPTIONS)
    assert "encoder" not in capsys.readouterr().err


def test_a_missing_file_is_found_before_training(file: Path, tmp_path: Path) -> None:
    """By a dry run too; the folder stays free for another try."""
    file.unlink()
    for start in (
        lambda: plan(borrowed(file), OPTIONS),
        lambda: train(borrowed(file), tmp_path / "run", options=OPTIONS),
    ):
        with pytest.raises(FramecastError, match=r"number\.txt: no such file"):
            start()
    file.write_text("1")
    train(borrowed(file, steps=1), tmp_path / "run", options=OPTIONS)
