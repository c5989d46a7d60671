"""Trains in child processes that die at chosen file operations, and goes on with what they left.

Usage: killed.py FOLDER POINTS. One interpreter, with everything imported, forks a child per
training; an audit hook in the child counts what it does to files and kills it at the given count.
Prints a line per point; exits with 1 if any run differs from the one that nobody disturbed.
"""

import os
import signal
import sys
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from dummy_runs import OPTIONS, chain, traces

from framecast.training import train
from framecast.training.run_folder import LOCK

WATCHED = ("open", "os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.truncate", "os.chmod")


class Executioner:
    """Counts file operations inside a folder, and kills its process at one of them."""

    def __init__(self, folder: Path, fatal: int) -> None:
        self.folder, self.fatal, self.seen = str(folder), fatal, 0

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in WATCHED and str(arguments[0]).startswith(self.folder):
            self.seen += 1
            if self.seen == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)


def child(run: Path, fatal: int, resume: bool) -> int:
    """Train in a child process.

    Returns:
        What `os.waitpid` says; 0 if it came to its end.
    """
    process = os.fork()
    if process:
        return os.waitpid(process, 0)[1]
    try:
        executioner = Executioner(run, fatal)
        sys.addaudithook(executioner)
        train(chain(), run, resume=resume, options=OPTIONS)
        (run.parent / "operations").write_text(str(executioner.seen))
    except BaseException:
        traceback.print_exc()
        os._exit(1)
    os._exit(0)


def main(folder: Path, points: int) -> int:
    """Kill `points` runs, each once more while it goes on, and compare what they become."""
    whole = folder / "whole"
    assert child(whole, -1, resume=False) == 0
    operations = int((folder / "operations").read_text())
    expected, wrong = traces(whole), 0
    for number in range(points):
        run = folder / f"run{number}"
        fatal = 1 + number * (operations - 1) // max(points - 1, 1)
        first = child(run, fatal, resume=False)
        second = child(run, 1 + (7 * fatal) % operations // 2, resume=True)
        last = child(run, -1, resume=True)
        same = last == 0 and traces(run) == expected
        litter = [str(path) for path in run.rglob(".*") if path.name != LOCK]
        right = first == signal.SIGKILL and same and not litter
        wrong += not right
        sys.stdout.write(f"{fatal}/{operations}: {first} {second} {last} {same} {litter}\n")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
