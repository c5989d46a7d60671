"""Folders of results: results.json, curves.csv, scores.npz, pictures, films; written in one step.

The pictures are curves and a strip; of several samples also how scores change with their number,
and how they are calibrated.
"""

import csv
import os
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from framecast.atomic import NewFolder
from framecast.config import dump, from_json, parse
from framecast.errors import FolderError
from framecast.evaluation import films as films_of
from framecast.evaluation.drawing import (
    draw_calibration,
    draw_curves,
    draw_samples,
    draw_strips,
)
from framecast.evaluation.films import Film
from framecast.evaluation.result import FORMAT_VERSION, Result
from framecast.evaluation.strips import Strip

RESULTS, CURVES, SCORES = "results.json", "curves.csv", "scores.npz"
CURVES_PICTURE, STRIP_PICTURE = "curves.png", "strip.png"
SAMPLES_PICTURE, CALIBRATION_PICTURE = "samples.png", "calibration.png"
FILMS = "films"
_NEEDED = {"name", "data", "context", "horizon", "split", "channels", "size", "metrics"}
"""What is read of a protocol."""
_DAMAGED = (BadZipFile, zlib.error)
_PICTURES = {CURVES_PICTURE, STRIP_PICTURE, SAMPLES_PICTURE, CALIBRATION_PICTURE}
_OWN = {RESULTS, CURVES, SCORES, FILMS, *_PICTURES}


def read(folder: Path) -> Result:
    """Read the result of a folder, or of a `results.json`.

    Raises:
        FolderError: if there is none, or it is damaged or of a later version.
    """
    path = folder / RESULTS if folder.is_dir() else folder
    try:
        document = parse(path.read_text("utf-8"))
        version = document.get("format_version") if isinstance(document, dict) else None
        if isinstance(version, int) and version > FORMAT_VERSION:
            raise FolderError(f"{path} is of a later framecast (format {version}); update it")
        result = from_json(Result, document, str(path))
        if missing := sorted(_NEEDED - result.protocol.keys()):
            raise FolderError(f"{path} has a protocol without {missing[0]}; evaluate again")
        if not result.rows or result.rows[0].role != "model":
            raise FolderError(f"{path} has no row of a model; evaluate again")
        return result
    except FileNotFoundError:
        raise FolderError(f"{folder} holds no {RESULTS}; give a folder of results") from None
    except (OSError, ValueError) as error:
        if isinstance(error, FolderError):
            raise
        reason = str(error).splitlines()[0]
        raise FolderError(f"{path} cannot be read ({reason}); evaluate again") from None


def read_scores(folder: Path) -> dict[str, np.ndarray]:
    """The mean over time of each sequence, by `ROW/METRIC`, and `sequence`, their numbers.

    Raises:
        FolderError: if there are none.
    """
    try:
        # opened here, as numpy leaves a damaged file open
        with (folder / SCORES).open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, TypeError, EOFError, RuntimeError, *_DAMAGED) as error:
        words = (isinstance(error, OSError) and error.strerror) or str(error) or "damaged"
        reason = words.splitlines()[0]
        raise FolderError(f"{folder / SCORES} cannot be read ({reason}); evaluate again") from None


def check(folder: Path, result: Result, likelihood: bool) -> None:
    """See that a result may be written to a folder.

    It may replace a result of the same model under the same protocol with as many sequences and
    figures or fewer.

    Args:
        folder: Where.
        result: All of it, or all but its figures.
        likelihood: Whether it has, or will have, the likelihood of codes.

    Raises:
        FolderError: if something else is there, or nothing can be written there.
    """
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file; give a folder for the results")
    within = folder.exists() and Path.cwd().is_relative_to(folder.resolve())
    if within or os.path.ismount(folder):
        what = "where you are" if within else "a mounted folder"
        raise FolderError(
            f"{folder} is {what}, and cannot be replaced as a whole; give a folder in it"
        )
    if folder.exists() and any(folder.iterdir()):
        _check_older(folder, result, likelihood)
    draft = NewFolder(folder)
    try:
        draft.open()
    except OSError as error:
        raise _unwritable(folder, error) from None
    finally:
        draft.discard()


def _check_older(folder: Path, result: Result, likelihood: bool) -> None:
    """See that what a folder holds may be replaced."""
    if not (folder / RESULTS).is_file():
        raise FolderError(f"{folder} holds something else than results; give another folder")
    foreign = sorted(path.name for path in folder.iterdir() if path.name not in _OWN)
    if foreign:
        raise FolderError(
            f"{folder} holds {foreign[0]!r} beside results, and would be replaced as a whole; move "
            "it, or give another folder"
        )
    try:
        there = read(folder)
    except FolderError as error:
        reason = str(error).partition(";")[0]
        raise FolderError(f"{reason}; delete {folder}, or give another folder") from None
    lost = sorted(_computed(there) - _computed(result))
    differences = {
        f"of the protocol {there.name}": there.protocol_hash != result.protocol_hash,
        f"of another {there.model.kind}": there.model.fingerprint != result.model.fingerprint,
        "of other data": there.data.fingerprint != result.data.fingerprint,
        "of another seed": there.run.seed != result.run.seed,
        "of other options": there.model.options != result.model.options,
        f"of {there.data.sequences} sequences": there.data.sequences > result.data.sequences,
        f"with {', '.join(lost)}, which would be lost": bool(lost),
        "with likelihoods, which would be lost": there.likelihood is not None and not likelihood,
    }
    for what, differs in differences.items():
        if differs:
            raise FolderError(
                f"{folder} holds results {what}; give another folder, or delete that one"
            )


def _computed(result: Result) -> set[str]:
    return set(result.metrics) - set(result.omitted)


def _unwritable(folder: Path, error: OSError) -> FolderError:
    where = f"{error.filename}: " if error.filename not in (None, str(folder)) else ""
    return FolderError(
        f"cannot write {folder}: {where}{error.strerror or error}; give another --out"
    )


def write(
    folder: Path,
    result: Result,
    scores: Mapping[str, np.ndarray],
    strips: Sequence[Strip],
    films: Sequence[Film],
) -> None:
    """Write a folder of results: it is there whole, or not at all.

    Raises:
        FolderError: if something else stands there, or it cannot be written.
    """
    check(folder, result, result.likelihood is not None)
    try:
        with NewFolder(folder) as draft:
            (draft / RESULTS).write_text(dump(result), "utf-8")
            _write_curves(draft / CURVES, result)
            arrays: dict[str, Any] = dict(scores)
            np.savez_compressed(draft / SCORES, **arrays)
            draw_curves(result, draft / CURVES_PICTURE)
            draw_strips(result, strips, draft / STRIP_PICTURE)
            films_of.write(draft / FILMS, films)
            if len({row.samples for row in result.rows if row.samples}) > 1:
                draw_samples(result, draft / SAMPLES_PICTURE)
            if result.calibration is not None:
                draw_calibration(result, result.calibration, draft / CALIBRATION_PICTURE)
    except OSError as error:
        raise _unwritable(folder, error) from None


def _write_curves(path: Path, result: Result) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file)
        table.writerow(["model", "metric", "frame", "mean", "low", "high", "n"])
        for row in result.rows:
            for metric, curve in row.curves.items():
                for frame, point in enumerate(curve, start=1):
                    mean = "inf" if point.infinite else point.mean
                    bounds = [point.low, point.high]
                    table.writerow([row.name, metric, frame, mean, *bounds, result.data.sequences])
        for covered in result.calibration.coverage if result.calibration else ():
            name = f"coverage-{covered.level:g}"
            for frame, share in enumerate(covered.frames, start=1):
                ends = [None, None]
                line = [result.rows[0].name, name, frame, share, *ends, result.data.sequences]
                table.writerow(line)
