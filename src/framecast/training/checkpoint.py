"""Checkpoints: all that a stage needs to go on bit for bit, in verified folders."""

import shutil
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from torch import Tensor

from framecast.errors import FolderError, TrainingError
from framecast.folder import Json, read_verified, write_verified

_TENSORS = ("stage", "optimizers", "average", "best")
_DOCUMENT = "checkpoint.json"
_PATTERN = "[0-9][0-9]-" + 9 * "[0-9]"
"""Names of checkpoints: the stage's number and the step, so that they sort by age."""

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Kept:
    """The weights that a stage would hand on if it ended now."""

    weights: Tensors  # of the model
    step: int  # steps done when they were kept
    score: float | None  # of validation, lower is better; None without one


@dataclass(frozen=True)
class Checkpoint:
    """A training between two steps."""

    index: int  # number of the stage, from 0
    step: int  # steps of the stage that are done
    stage: Tensors  # parameters and buffers of the stage
    optimizers: Tensors = field(default_factory=dict)
    average: Tensors = field(default_factory=dict)  # moving average of the weights
    kept: Kept | None = None
    finished: tuple[Json, ...] = ()  # facts about the stages before
    begun: dict[str, str] = field(default_factory=dict)  # what the stage took over, by part
    log_bytes: int = 0  # length of the log


def save(folder: Path, checkpoint: Checkpoint, keep: int) -> Path:
    """Write a checkpoint, then remove all but the newest `keep`.

    Returns:
        Where it is.
    """
    kept = checkpoint.kept
    tensors = {
        "stage": checkpoint.stage,
        "optimizers": checkpoint.optimizers,
        "average": checkpoint.average,
        "best": kept.weights if kept else {},
    }
    document = {
        "index": checkpoint.index,
        "step": checkpoint.step,
        "kept": {"step": kept.step, "score": kept.score} if kept else None,
        "finished": list(checkpoint.finished),
        "begun": checkpoint.begun,
        "log_bytes": checkpoint.log_bytes,
    }
    target = folder / f"{checkpoint.index:02d}-{checkpoint.step:09d}"
    files = {f"{name}.safetensors": tensors[name] for name in _TENSORS}
    write_verified(target, files, {_DOCUMENT: document})
    for old in _all(folder)[keep:]:
        shutil.rmtree(old)
    return target


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that verifies; None where there is none at all.

    Damaged ones are warned of.

    Raises:
        TrainingError: if there are some, and none can be read; all of them stay.
    """
    faults: list[str] = []
    for path in _all(folder):
        try:
            load(path)
        except FolderError as error:
            faults.append(str(error))
        else:
            for fault in faults:
                warnings.warn(f"skipped a damaged checkpoint: {fault}", stacklevel=2)
            return path
    if faults:
        raise TrainingError(
            f"no checkpoint in {folder} can be read ({faults[0]}); all are left as they are: mend "
            "them, remove them to begin anew, or choose another folder"
        )
    return None


def load(path: Path) -> Checkpoint:
    """Read a checkpoint.

    Raises:
        FolderError: if it is damaged.
    """
    names = tuple(f"{name}.safetensors" for name in _TENSORS)
    tensors, documents = read_verified(path, names, (_DOCUMENT,))
    stage, optimizers, average, best = (tensors[name] for name in names)
    facts = documents[_DOCUMENT]
    kept = facts["kept"]
    return Checkpoint(
        facts["index"],
        facts["step"],
        stage,
        optimizers,
        average,
        Kept(best, kept["step"], kept["score"]) if kept else None,
        tuple(facts["finished"]),
        facts.get("begun", {}),
        facts["log_bytes"],
    )


def tidy(folder: Path, path: Path | None, keep: int) -> None:
    """Remove what is newer than a checkpoint (damaged), too old, or was left half written."""
    usable = [other for other in _all(folder) if path is not None and other.name <= path.name]
    left = {*usable[:keep]}
    for other in (*_all(folder), *folder.glob(f".{_PATTERN}.*")):
        if other not in left:
            shutil.rmtree(other)


def _all(folder: Path) -> list[Path]:
    """Newest first."""
    return sorted(folder.glob(_PATTERN), reverse=True)
