"""Result folders, each under a name that tells its model from the others'."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from framecast.digest import of_json
from framecast.errors import FolderError
from framecast.evaluation import results_folder
from framecast.evaluation.result import Result

SAME_FOLDER = "give it once"
OWN_NAMES = "call one of them otherwise, NAME=FOLDER"


@dataclass(frozen=True)
class Entry:
    """One result folder."""

    label: str  # of its model, the same in all of its results
    folder: Path
    result: Result
    scores: Mapping[str, np.ndarray]  # by ROW/METRIC, one number per sequence

    @property
    def model(self) -> str:
        """Tells a model and how it predicts from all others."""
        return _identity(self.result)


def load(places: Sequence[tuple[str | None, Path]]) -> list[Entry]:
    """Read result folders and name their models.

    A model is called by its type. Where several of a type are compared, what tells them apart
    follows: their options or seeds, or else what the command line called them, or their folders'
    names.

    Args:
        places: Folders or their `results.json`, each with a name for its model or None; a name
            holds for all results of the model.

    Raises:
        FolderError: if a folder holds no result, or two cannot be told apart: the same model under
            the same protocol twice, or different ones under one name.
    """
    found = [(name, *_read(path)) for name, path in places]
    _refuse_repeated([(folder, result) for _, folder, result in found])
    labels = _labels(found)
    entries = [
        Entry(labels[_identity(result)], folder, result, _scores(folder, result))
        for _, folder, result in found
    ]
    _refuse_shared_names(entries)
    return entries


def comparable(result: Result) -> tuple[str, str, int]:
    """Results with equal values were scored alike on the same sequences."""
    return result.protocol_hash, result.data.fingerprint, result.data.sequences


def _read(path: Path) -> tuple[Path, Result]:
    """The folder and its result; a copy of the figures without the folder of films has none."""
    result = results_folder.read(path)
    folder = path if path.is_dir() else path.parent
    filmed = (folder / results_folder.FILMS).is_dir()
    return folder, result if filmed else replace(result, films=[])


def _scores(folder: Path, result: Result) -> dict[str, np.ndarray]:
    """The scores of every sequence, which have the means that the result has."""
    found = results_folder.read_scores(folder)
    for row in result.rows:
        for key, value in row.values.items():
            scores = found.get(f"{'model' if row.role == 'model' else row.name}/{key}")
            if scores is None or row.role not in ("model", "baseline"):
                continue
            if scores.shape != (result.data.sequences,) or _differs(scores, value.mean):
                raise FolderError(
                    f"{folder / results_folder.SCORES} is not of {results_folder.RESULTS} beside "
                    f"it ({row.name}, {key}); evaluate again"
                )
    return found


def _differs(scores: np.ndarray, mean: float | None) -> bool:
    """Whether finite scores have another mean, but for how they are rounded."""
    with np.errstate(invalid="ignore"):
        found = float(np.mean(scores, dtype=np.float64))
    return mean is not None and not math.isclose(found, mean, rel_tol=1e-4, abs_tol=1e-6)


def _identity(result: Result) -> str:
    model = result.model
    return of_json([model.kind, model.fingerprint, model.options, result.run.seed])


def _refuse_repeated(found: Sequence[tuple[Path, Result]]) -> None:
    known: dict[tuple[object, ...], Path] = {}
    for folder, result in found:
        key = (_identity(result), *comparable(result))
        if key in known:
            other = known[key]
            same = other.resolve() == folder.resolve()
            raise FolderError(
                f"{folder} is given twice; {SAME_FOLDER}"
                if same
                else f"{other} and {folder} hold the same model ({result.model.kind}) under the "
                f"same protocol ({result.name}); leave one of them out"
            )
        known[key] = folder


def _refuse_shared_names(entries: Sequence[Entry]) -> None:
    known: dict[str, Entry] = {}
    for entry in entries:
        baselines = {row.name for row in entry.result.rows if row.role == "baseline"}
        if entry.label in baselines - {entry.result.model.kind}:
            raise FolderError(
                f"{entry.folder} cannot be called {entry.label!r}, which is a baseline; {OWN_NAMES}"
            )
        other = known.setdefault(entry.label, entry)
        if other.model != entry.model:
            raise FolderError(
                f"{other.folder} and {entry.folder} hold different models, both called "
                f"{entry.label!r}; {OWN_NAMES}"
            )


def _labels(found: Sequence[tuple[str | None, Path, Result]]) -> dict[str, str]:
    """Names by identity."""
    given: dict[str, str] = {}
    for name, folder, result in found:
        if name is not None and given.setdefault(_identity(result), name) != name:
            raise FolderError(
                f"{folder} holds the model that is called {given[_identity(result)]!r} elsewhere, "
                f"not {name!r}; give it one name"
            )
    unnamed = {
        _identity(result): (folder, result)
        for _, folder, result in reversed(found)
        if _identity(result) not in given
    }
    kinds: dict[str, list[str]] = {}
    for identity, (_, result) in reversed(unnamed.items()):
        kinds.setdefault(result.model.kind, []).append(identity)
    labels = dict(given)
    for kind, identities in kinds.items():
        if len(identities) == 1:
            labels[identities[0]] = kind
            continue
        endings = _endings([unnamed[identity] for identity in identities])
        labels |= {
            identity: f"{kind} ({ending})"
            for identity, ending in zip(identities, endings, strict=True)
        }
    return labels


def _endings(models: Sequence[tuple[Path, Result]]) -> list[str]:
    """What tells models of one type apart, as short as it can be."""
    results = [result for _, result in models]
    one = len({result.model.fingerprint for result in results}) == 1
    choices = [_choices(result) for result in results]
    if one and _distinct(choices):
        varied = [key for key in choices[0] if len({each.get(key) for each in choices}) > 1]
        return [", ".join(f"{key} {each.get(key)}" for key in varied) for each in choices]
    called = [_called(result) for result in results]
    folders = [folder.resolve() for folder, _ in models]
    for paths in (called if all(called) else [], folders):
        longest = max((len(path.parts) for path in paths if path), default=0)
        for depth in range(1, longest + 1):
            tails = ["/".join(path.parts[-depth:]) for path in paths if path]
            if _distinct(tails):
                return tails
    return [str(folder) for folder in folders]


def _called(result: Result) -> Path | None:
    """The model as the command line named it: `framecast evaluate MODEL …`."""
    words = result.run.words
    return Path(words[2]) if len(words) > 2 and words[1] == "evaluate" else None


def _choices(result: Result) -> dict[str, str]:
    options = {key: str(value) for key, value in result.model.options.items()}
    return options | {"seed": str(result.run.seed)}


def _distinct(values: Iterable[object]) -> bool:
    texts = [str(value) for value in values]
    return len(set(texts)) == len(texts)
