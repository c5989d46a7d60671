"""What a training shows."""

import signal
import sys
from pathlib import Path

import pytest
from dummy_runs import OPTIONS, plain

from framecast.training import train
from framecast.training.progress import Steps
from framecast.training.signals import StopSignals


class Clock:
    """A clock that is put forward by hand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr("framecast.training.progress.time.monotonic", lambda: self.now)


def test_a_file_gets_a_line_now_and_then(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock(monkeypatch)
    with Steps("prior", total=400, done=100, shown=True) as steps:
        for done in range(101, 201):
            clock.now += 0.5
            steps.advance(done, "loss 0.3, score 2" if done < 150 else "loss 0.2")
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "prior: step 161/400, 2 steps/s, 2 min left, loss 0.2",
        "prior: step 200/400, 2 steps/s, 2 min left, loss 0.2",
    ]


def test_a_terminal_gets_a_bar(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "160")
    with Steps("prior", total=400, done=100, shown=True) as steps:
        steps.advance(120, "loss 0.3")
    shown = capsys.readouterr().err
    assert "120/400" in shown
    assert "steps/s" in shown
    assert "loss 0.3" in shown


def test_nothing_is_shown_where_nothing_is_wanted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    train(plain(steps=1), tmp_path, options=OPTIONS)
    assert capfd.readouterr() == ("", "")


def test_the_first_signal_is_answered(capsys: pytest.CaptureFixture[str]) -> None:
    with StopSignals(told=True) as stop:
        assert stop.number == 0
        signal.raise_signal(signal.SIGTERM)
        assert stop.number == signal.SIGTERM
    assert "stopping after this step" in capsys.readouterr().err
