"""Running a plan: each command in a process of its own, what is done not again.

A process of its own, since trainings on several devices start their command line anew in every
process, and a command that runs out of memory must not take the others with it.
"""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TextIO

from framecast import folder
from framecast.atomic import write_text
from framecast.data.prepared import read_index
from framecast.errors import DataError, FolderError, FramecastError
from framecast.evaluation import results_folder
from framecast.model import load
from framecast.reproduction.planning import Plan, Step

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
LEFT_OUT = 1
"""Exit code of a preparation that is complete but for videos that it has named."""


@dataclass(frozen=True)
class Ended:
    """How a plan ended."""

    code: int  # exit code of the last command: 0 where all is done
    step: Step | None  # that did not end well; None where all did


def check(plan: Plan) -> None:
    """See that the runs that are there were made by the plan's own commands.

    Raises:
        FolderError: if one was made by another command, whose model would pass for this one.
    """
    for step in plan.steps:
        if step.kind != "train" or step.makes is None or not step.makes.exists():
            continue
        before = _recorded(step.makes)
        if before is not None and _essence(before) != _essence(step.line):
            raise FolderError(
                f"{step.makes} was made by another command ({before}); give another --out, or "
                "delete it"
            )


def drive(plan: Plan, say: Callable[[str], None], output: TextIO | None = None) -> Ended:
    """Run the steps of a plan that are not done yet, up to the first that fails.

    Videos that cannot be read are no failure: their preparation names them, and goes on.

    A signal goes to the command that runs: a training then saves a checkpoint, and the next call
    goes on from there; an evaluation starts over.

    Args:
        plan: What to run.
        say: Takes a line on each step as it begins.
        output: Where the commands print; standard output if None.
    """
    for number, step in enumerate(plan.steps, start=1):
        progress = f"[{number}/{len(plan.steps)}]"
        if done(step):
            say(f"{progress} done before: {step.line}")
            continue
        say(f"{progress} {step.line}")
        if step.kind == "train" and step.makes is not None and not step.makes.exists():
            write_text(_record(step.makes), f"{step.line}\n")
        code = call(step, output)
        if code != 0 and not (code == LEFT_OUT and _complete(step)):
            return Ended(code, step)
        if step.kind == "picture" and step.makes is not None:
            write_text(_record(step.makes), f"{step.line}\n")
    return Ended(0, None)


def done(step: Step) -> bool:
    """Whether what a step makes is there, whole, and of the model that is there.

    Pages and lists are always made anew, and prepared videos looked through.
    """
    if step.makes is None or step.kind in ("prepare", "compare"):
        return False
    if step.kind == "train":
        return _verified(step.makes / "model")
    if step.kind == "evaluate":
        return _evaluated(step.makes, step)
    return _drawn(step.makes, step)


def _complete(step: Step) -> bool:
    """Whether a step has prepared all videos that can be read."""
    if step.kind != "prepare" or step.makes is None:
        return False
    try:
        return read_index(step.makes).complete
    except DataError:
        return False


def call(step: Step, output: TextIO | None = None) -> int:
    """Run a command in a process group of its own, and hand signals on to all of the group.

    Returns:
        Its exit code; 128 + the number of the signal where one ended it.
    """
    started: list[subprocess.Popen[bytes]] = []
    early: list[int] = []

    def hand_on(number: int, frame: FrameType | None) -> None:
        del frame
        for process in started:
            _signal(process, number)
        if not started:
            early.append(number)

    before = {number: signal.signal(number, hand_on) for number in SIGNALS}
    try:
        command = [sys.executable, "-m", "framecast.cli", *step.words]
        process = subprocess.Popen(command, stdout=output, process_group=0)
        started.append(process)
        for number in early:
            _signal(process, number)
        code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return code if code >= 0 else 128 - code


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    if process.poll() is None:
        with suppress(ProcessLookupError):  # it has just ended
            os.killpg(process.pid, number)


def _verified(model: Path) -> bool:
    try:
        folder.verify(model)
    except FolderError:
        return False
    return True


def _evaluated(results: Path, step: Step) -> bool:
    """Whether results of the same command and weights lie there.

    Those of another one are overwritten or refused by the command itself.
    """
    try:
        found = results_folder.read(results)
        model = _model(step.words[1])
        same = model is None or load(model).fingerprint() == found.model.fingerprint
    except FramecastError:
        return False
    return same and found.run.words == shlex.split(step.line)


def _drawn(picture: Path, step: Step) -> bool:
    """Whether a picture is of the same command, and not older than what it shows."""
    if not picture.exists() or _recorded(picture) != step.line:
        return False
    models = (_model(word) for word in step.words[1:])
    shown = [model / folder.MANIFEST for model in models if model is not None]
    shown += [path for word in step.words[1:] if (path := Path(word)).is_file() and path != picture]
    return all(each.stat().st_mtime <= picture.stat().st_mtime for each in shown)


def _model(word: str) -> Path | None:
    """The folder of the model that a word of a command line names; None where it names none."""
    try:
        return folder.locate(word)
    except FolderError:
        return None


def _record(run: Path) -> Path:
    """The file beside a run or a picture that says what made it."""
    return run.with_name(f"{run.name}.command")


def _recorded(run: Path) -> str | None:
    try:
        return _record(run).read_bytes().decode("utf-8", "replace").strip()
    except OSError:
        return None


def _essence(line: str) -> list[str]:
    """The words of a command line but for the places of data and results."""
    try:
        words = shlex.split(line)
    except ValueError:  # a quotation without end is no command of ours
        return [line]
    places = {at for at, word in enumerate(words) if word == "--out" or word.endswith(".root")}
    return [word for at, word in enumerate(words) if not {at, at - 1} & places]
