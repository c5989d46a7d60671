"""The folder that a training leaves: what belongs where, and whether one may go on in it."""

import fcntl
import platform
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from framecast import __version__, atomic
from framecast.config import dump, from_json, to_json
from framecast.errors import TrainingError
from framecast.experiment import Experiment
from framecast.folder import Json, read_json

DESCRIPTION = "experiment.json"
LOCK = ".lock"
FORMAT_VERSION = 1

_MAY_CHANGE = {"learning_rate", "clip_norm", "log_every", "sample_every", "checkpoint_every"}
"""Fields of stages and their optimizers that may differ when a run goes on: how to get past a loss
that is not finite, and what changes no weights."""


@dataclass(frozen=True)
class RunFolder:
    """Paths in a run."""

    path: Path

    @property
    def description(self) -> Path:
        """The resolved experiment, versions, and the machine's side."""
        return self.path / DESCRIPTION

    @property
    def checkpoints(self) -> Path:
        """Folder of checkpoints."""
        return self.path / "checkpoints"

    @property
    def log(self) -> Path:
        """Table of losses, learning rates and validations."""
        return self.path / "metrics.csv"

    @property
    def events(self) -> Path:
        """Folder of TensorBoard's events, one folder per stage."""
        return self.path / "tensorboard"

    @property
    def samples(self) -> Path:
        """Folder of pictures."""
        return self.path / "samples"

    @property
    def model(self) -> Path:
        """The trained model."""
        return self.path / "model"

    def stage(self, name: str) -> Path:
        """The model that a stage hands on."""
        return self.path / "stages" / name

    def sweep(self, stages: Iterable[str]) -> None:
        """Remove what a killed process left half written."""
        for target in (self.model, self.description, *(self.stage(name) for name in stages)):
            atomic.sweep(target)

    def in_use(self) -> bool:
        """Whether anything stands there, but for the description of a run that never began."""
        names, draft = {self.description.name, LOCK}, f".{self.description.stem}."
        return self.path.is_dir() and any(
            entry.name not in names and not entry.name.startswith(draft)
            for entry in self.path.iterdir()
        )

    def check_free(self) -> None:
        """See that a new run may begin there.

        Raises:
            TrainingError: if a run stands there.
        """
        if self.in_use():
            raise TrainingError(
                f"{self.path} holds a run; go on with it (framecast train --resume {self.path}), "
                "or choose another folder"
            )

    def check_place(self) -> None:
        """See that nothing but a run stands there.

        Raises:
            TrainingError: if a file does, or another folder.
        """
        if self.path.exists() and not self.path.is_dir():
            raise TrainingError(f"{self.path} is a file; choose a folder for the run")
        if self.in_use() and not self.description.is_file():
            raise TrainingError(f"{self.path} is not empty and holds no run; choose another folder")

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from training into the folder; a killed process lets it go.

        Raises:
            TrainingError: if another process does so now, something other than a run stands there,
                or it cannot be written.
        """
        self.check_place()
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = (self.path / LOCK).open("w")
        except OSError as error:
            raise TrainingError(f"cannot write {self.path}: {error.strerror or error}") from None
        with file:
            try:
                fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise TrainingError(
                    f"another process trains into {self.path}; wait for it or choose another folder"
                ) from None
            yield


def describe(
    experiment: Experiment, fingerprints: dict[str, str], init: str | None, machine: Json
) -> Json:
    """What `experiment.json` holds."""
    return {
        "format_version": FORMAT_VERSION,
        "experiment": to_json(experiment),
        "init": init,
        "data": fingerprints,
        "versions": {
            "framecast": __version__,
            "torch": torch.__version__,
            "python": platform.python_version(),
        },
        "machine": machine,
    }


def begin(folder: RunFolder, description: Json, resume: bool) -> Json:
    """Start a run in an empty folder, or check that the one there can go on.

    Returns:
        The description of the run: the given one, or the older one where `init` stands.

    Raises:
        TrainingError: if a run stands there, or one of another experiment or other data.
    """
    if not folder.in_use() and not (resume and folder.description.is_file()):
        folder.sweep(())
        _write(folder, description)
        return description
    if not resume:
        folder.check_free()
    merged = going_on(folder, description)
    folder.sweep(description["experiment"]["stages"])
    _write(folder, merged)
    return merged


def going_on(folder: RunFolder, description: Json) -> Json:
    """The description of a run that goes on, where `init` is the older one's.

    Raises:
        TrainingError: if the run there is of another experiment or other data.
    """
    path, before = folder.path, read_json(folder.description)
    begun = before.get("init")
    if description["init"] not in (None, begun):
        raise TrainingError(
            f"{path} began from {begun or 'new weights'}, not from {description['init']}; go on "
            "without --init, or choose another folder"
        )
    _check_same(path, before, description)
    return {**description, "init": begun}


def _check_same(path: Path, before: Json, now: Json) -> None:
    # through the classes of today, which know the defaults of fields that are new
    old = to_json(from_json(Experiment, before.get("experiment"), str(path / DESCRIPTION)))
    new = now["experiment"]
    changes = differences(old, new, "")
    if not changes and list(old["stages"]) != list(new["stages"]):
        changes = [("stages", list(old["stages"]), list(new["stages"]))]
    for field, old, new in changes:
        if field == "data.root":
            continue  # data may move; its fingerprint may not change
        if not (field.startswith("stages.") and field.rpartition(".")[2] in _MAY_CHANGE):
            raise TrainingError(
                f"{path} holds another experiment: {field} is {old!r} there and {new!r} here; "
                "make them agree or choose another folder"
            )
        warnings.warn(f"{field} changes from {old!r} to {new!r}", stacklevel=2)
    for split, _, _ in differences(before.get("data"), now["data"], ""):
        raise TrainingError(
            f"the {split} data is not what {path} was trained on; restore it or start a new run"
        )
    for part in ("versions", "machine"):
        for field, old, new in differences(before.get(part), now[part], ""):
            warnings.warn(
                f"{field} was {old!r} and is {new!r}: the run goes on, but not bit for bit",
                stacklevel=2,
            )


def differences(old: Any, new: Any, where: str) -> list[tuple[str, Any, Any]]:
    """Fields in which two JSON documents differ: dotted path, value in each (None: absent)."""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return [] if old == new else [(where, old, new)]
    found: list[tuple[str, Any, Any]] = []
    for key in [*old, *(key for key in new if key not in old)]:
        found += differences(old.get(key), new.get(key), f"{where}.{key}" if where else key)
    return found


def _write(folder: RunFolder, description: Json) -> None:
    text = dump(description)
    try:
        atomic.write_text(folder.description, text)
    except OSError as error:
        raise TrainingError(f"cannot write {folder.path}: {error.strerror or error}") from None
