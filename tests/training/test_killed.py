"""Runs that are killed at any moment go on bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.parametrize("points", [20, pytest.param(75, marks=pytest.mark.slow)])
@pytest.mark.timeout(600)
def test_killed_runs_become_what_undisturbed_ones_are(tmp_path: Path, points: int) -> None:
    script = Path(__file__).with_name("killed.py")
    done = subprocess.run(
        [sys.executable, script, tmp_path, str(points)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(done.stdout.splitlines()) == points
