"""The commands by which docs/TRAINING.md shows that a killed run goes on bit for bit."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs" / "TRAINING.md"
SMALLER = (
    "convlstm/tiny --stages.main.steps 60 --stages.main.batch 2 --stages.main.checkpoint-every 5 "
    "--stages.main.validate-every 20 --stages.main.validation-clips 2 --data.train-size 16"
)


def run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """A line of the shell, with this environment's `framecast`."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_run_killed_by_the_commands_of_the_docs_ends_with_the_same_bytes(tmp_path: Path) -> None:
    """As written, but for the size of the training."""
    shown = DOCS.read_text().partition("To see it:")[2].strip("\n").partition("\n\n")[0]
    lines = [line.strip().replace("convlstm/tiny", SMALLER) for line in shown.splitlines()]
    straight, begin, kill, resume, compare = lines
    done = run(straight, tmp_path)
    assert done.returncode == 0, done.stderr
    done = run(f"{begin}\n{kill}\nwait $!", tmp_path)
    assert done.returncode == 128 + signal.SIGKILL, done.stderr
    assert not (tmp_path / "runs/killed/model").exists()
    done = run(resume, tmp_path)
    assert done.returncode == 0, done.stderr
    done = run(compare, tmp_path)
    assert done.stdout == "equal\n", done.stdout + done.stderr
