"""Two processes on one machine against one process with the same batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from dummy_runs import OPTIONS, metrics, quiet, traces, weights

from framecast.training import train


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two gloo processes left."""
    folder = tmp_path_factory.mktemp("several")
    script = Path(__file__).with_name("several.py")
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    done = subprocess.run(
        [*torchrun, "--nproc-per-node", "2", script, folder],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_two_processes_learn_what_one_learns(runs: Path, tmp_path: Path) -> None:
    train(quiet(), tmp_path, options=OPTIONS)
    one, two = metrics(tmp_path), metrics(runs / "whole")
    assert list(one) == list(two)
    for row, value in one.items():
        if row[3] == "root":  # a mean of roots depends on the parts that they are taken of
            continue
        assert two[row] == pytest.approx(value, rel=1e-4, abs=1e-6), row
    for stage in quiet().stages:
        alone = weights(tmp_path / "stages" / stage)
        for name, tensor in weights(runs / "whole" / "stages" / stage).items():
            torch.testing.assert_close(tensor, alone[name], msg=f"{stage} {name}")


def test_a_signal_to_one_process_stops_all_and_they_go_on_bit_for_bit(runs: Path) -> None:
    assert [(runs / f"interrupted{rank}").read_text() for rank in (0, 1)] == ["143", "143"]
    whole, stopped = traces(runs / "whole"), traces(runs / "stopped")
    assert {name: stopped.get(name) for name in whole} == whole


def test_all_processes_raise_the_error_of_the_first(runs: Path) -> None:
    for rank in (0, 1):
        assert "holds a run; go on with it" in (runs / f"used{rank}").read_text()


def test_a_batch_that_processes_cannot_share_is_an_error(runs: Path) -> None:
    for rank in (0, 1):
        assert (
            "a batch of 6 cannot be shared by 2 processes" in (runs / f"uneven{rank}").read_text()
        )
    assert not (runs / "uneven").exists()


def test_all_processes_validate_with_the_buffers_of_the_first(runs: Path) -> None:
    assert [(runs / f"buffer{rank}").read_text() for rank in (0, 1)] == ["7.0", "7.0"]
