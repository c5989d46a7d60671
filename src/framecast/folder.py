"""Verified folders: tensors in safetensors, the rest in JSON, a manifest with SHA-256 sums.

Model folders and checkpoints are such folders. They are written beside their target, synced, the
manifest last, and renamed; reading one executes nothing and trusts nothing that the manifest does
not vouch for.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from framecast import digest
from framecast.atomic import NewFolder
from framecast.config import dump, parse
from framecast.errors import FolderError
from framecast.registry import shipped, suggest

Json = dict[str, Any]

FORMAT_VERSION = 1
MANIFEST = "manifest.json"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
CARD = "README.md"


@dataclass(frozen=True)
class ModelFolder:
    """What a model folder holds."""

    path: Path
    type: str  # registered name of the model
    config: Json
    about: Json  # what the model was trained on and for: context, horizon, data, steps…
    tensors: dict[str, torch.Tensor]


def write_verified(
    target: Path,
    tensors: Mapping[str, Mapping[str, torch.Tensor]],
    documents: Mapping[str, Json],
    texts: Mapping[str, str] | None = None,
) -> None:
    """Write a verified folder in one step: it is there whole, or not at all.

    Args:
        target: Where it goes. An older verified folder there is replaced.
        tensors: File name to named tensors.
        documents: File name to JSON.
        texts: File name to text that the manifest does not cover, so that people may edit it.

    Raises:
        FolderError: if something else stands at `target`, or it cannot be written.
        ConfigError: if a document holds a number that is not finite.
    """
    if target.exists() and not (target / MANIFEST).is_file() and not _empty(target):
        raise FolderError(f"{target} exists and is not a framecast folder; choose another place")
    written = {name: dump(document) for name, document in documents.items()}
    try:
        with NewFolder(target) as draft:
            for name, named in tensors.items():
                save_file({key: _plain(tensor) for key, tensor in named.items()}, draft / name)
            for name, text in {**written, **(texts or {})}.items():
                (draft / name).write_text(text, "utf-8")
            covered = [draft / name for name in (*tensors, *documents)]
            files = {path.name: _entry(path) for path in covered}
            manifest = {"format_version": FORMAT_VERSION, "files": files}
            (draft / MANIFEST).write_text(dump(manifest), "utf-8")
    except (OSError, SafetensorError) as error:
        reason = (isinstance(error, OSError) and error.strerror) or str(error)
        raise FolderError(f"cannot write {target}: {reason}") from None


def verify(folder: Path) -> Json:
    """Check a folder against its manifest.

    Returns:
        The manifest.

    Raises:
        FolderError: one line that names the file at fault.
    """
    manifest = read_json(folder / MANIFEST)
    version = manifest.get("format_version")
    if not isinstance(version, int) or not 1 <= version <= FORMAT_VERSION:
        raise FolderError(
            f"{folder} has format version {version!r}; this framecast reads 1 to {FORMAT_VERSION}"
        )
    files = manifest.get("files")
    if not isinstance(files, dict):
        raise FolderError(f"{folder / MANIFEST} lists no files; the folder is damaged")
    for name, expected in files.items():
        if Path(name).name != name or name in {"", ".", ".."} or "\\" in name:
            raise FolderError(f"{folder / MANIFEST} names {name!r}, which leaves the folder")
        path = folder / name
        if path.is_symlink() or not path.is_file():
            raise FolderError(f"{path} is missing or no plain file; copy the folder again")
        if not isinstance(expected, dict) or path.stat().st_size != expected.get("bytes"):
            raise FolderError(f"{path} has another length than it was written with; copy it again")
        if digest.of_file(path) != expected.get("sha256"):
            raise FolderError(f"{path} does not match its SHA-256 sum; copy the folder again")
    return manifest


def read_verified(
    folder: Path, tensors: tuple[str, ...], documents: tuple[str, ...]
) -> tuple[dict[str, dict[str, torch.Tensor]], dict[str, Json]]:
    """Read named files of a verified folder: tensor files, and JSON documents.

    Raises:
        FolderError: if the folder is damaged, or its manifest does not cover a named file.
    """
    covered = verify(folder)["files"]
    for name in (*tensors, *documents):
        if name not in covered:
            raise FolderError(f"{folder} has no {name} in its manifest; it is no complete folder")
    return (
        {name: read_tensors(folder / name) for name in tensors},
        {name: read_json(folder / name) for name in documents},
    )


def read_tensors(path: Path) -> dict[str, torch.Tensor]:
    """Read a safetensors file.

    Raises:
        FolderError: if it is anything else, a pickle for example.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise FolderError(f"{path} is not a readable safetensors file ({reason})") from None


def read_json(path: Path) -> Json:
    """Read a JSON object.

    Raises:
        FolderError: if the file is missing or holds something else.
    """
    try:
        document = parse(path.read_text("utf-8"))
    except FileNotFoundError:
        raise FolderError(f"{path.parent} has no {path.name}; it is no framecast folder") from None
    except (OSError, ValueError, RecursionError) as error:
        raise FolderError(f"{path} is not readable JSON ({error})") from None
    if not isinstance(document, dict):
        raise FolderError(f"{path} should hold a JSON object")
    return document


def write_model(
    target: Path,
    type_name: str,
    config: Json,
    tensors: Mapping[str, torch.Tensor],
    about: Json,
    card: str,
) -> None:
    """Write a model folder: config.json, model.safetensors, manifest.json and README.md."""
    document = {
        "format_version": FORMAT_VERSION,
        "type": type_name,
        "config": config,
        "about": about,
    }
    write_verified(target, {WEIGHTS: tensors}, {CONFIG: document}, {CARD: card})


def read_model(folder: Path) -> ModelFolder:
    """Read a model folder without building the model.

    Raises:
        FolderError: if it is missing, damaged, or has fields that this version does not know.
    """
    tensors, documents = read_verified(folder, (WEIGHTS,), (CONFIG,))
    document = documents[CONFIG]
    known = {"format_version": int, "type": str, "config": dict, "about": dict}
    for key, value in document.items():
        if not isinstance(value, known.get(key, ())):
            raise FolderError(f"{folder / CONFIG}: unexpected field {key!r} or type of its value")
    for key in known:
        if key not in document:
            raise FolderError(f"{folder / CONFIG}: the field {key!r} is missing")
    if document["format_version"] != FORMAT_VERSION:
        raise FolderError(
            f"{folder / CONFIG} has format version {document['format_version']}; this framecast "
            f"reads {FORMAT_VERSION}"
        )
    return ModelFolder(
        folder, document["type"], document["config"], document["about"], tensors[WEIGHTS]
    )


def locate(name: str | os.PathLike[str]) -> Path:
    """The folder of a shipped model's name, or of a path (a training run gives its `model`).

    Raises:
        FolderError: if there is neither, with the nearest names.
    """
    path, models = Path(name), shipped()
    if str(name) in models:
        return models[str(name)]
    if (path / MANIFEST).is_file():
        return path
    if (path / "model" / MANIFEST).is_file():
        return path / "model"
    if path.is_dir():
        raise FolderError(f"{path} is no model folder: it has no {MANIFEST}")
    if path.exists():
        raise FolderError(f"{path} is a file, no model; give a model folder or a shipped name")
    near = suggest(str(name), models)
    raise FolderError(f"there is no model {str(name)!r}, shipped or as a folder; {near}")


def fingerprint(folder: Path) -> str:
    """SHA-256 of a model folder's configuration and weights, as hex."""
    files = verify(folder)["files"]
    sums = "".join(files[name]["sha256"] for name in (CONFIG, WEIGHTS))
    return digest.of_text(sums)


def _empty(path: Path) -> bool:
    return path.is_dir() and not any(path.iterdir())


def _entry(path: Path) -> Json:
    return {"bytes": path.stat().st_size, "sha256": digest.of_file(path)}


def _plain(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.detach().cpu().contiguous().clone()
