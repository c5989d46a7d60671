"""What `features.json` and `dataset_info.json` say about a dataset in the RLDS layout.

Reference: the layouts of TensorFlow Datasets, https://www.tensorflow.org/datasets/external_tfrecord,
and of RLDS, https://github.com/google-research/rlds.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framecast.errors import DataError

FEATURES = "features.json"
INFO = "dataset_info.json"


@dataclass(frozen=True)
class Fields:
    """Features of a step that a clip can be made of."""

    images: dict[str, tuple[int | None, ...]]
    """Name of each image of bytes and its shape (height, width, channels), None where open."""
    vectors: dict[str, int]
    """Name of each feature of float numbers, and how many it has per step."""


def read_fields(root: Path) -> Fields:
    """The images and vectors of the steps of a dataset, in the order of their names.

    Raises:
        DataError: if `features.json` cannot be read, or names no steps.
    """
    document = _read(root / FEATURES)
    try:
        steps = _children(document)["steps"]["sequence"]["feature"]
        leaves = dict(sorted(_leaves("steps", steps)))
        images = {
            name: tuple(_dimensions(leaf["image"]))
            for name, leaf in leaves.items()
            if "image" in leaf and leaf["image"]["dtype"] == "uint8"
        }
        vectors = {
            name: math.prod(_dimensions(leaf["tensor"], unknown=0))
            for name, leaf in leaves.items()
            if "tensor" in leaf and leaf["tensor"]["dtype"].startswith("float")
        }
    except (KeyError, TypeError, AttributeError, ValueError):
        raise DataError(
            f"{root / FEATURES} describes no episodes of steps, as RLDS has them"
        ) from None
    return Fields(images, vectors)


def read_lengths(root: Path) -> dict[str, int]:
    """Episodes of each split as `dataset_info.json` lists them; empty without that file.

    Raises:
        DataError: if it cannot be read.
    """
    if not (root / INFO).is_file():
        return {}
    try:
        splits = _read(root / INFO)["splits"]
        return {split["name"]: sum(map(int, split["shardLengths"])) for split in splits}
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"{root / INFO} lists no splits; get the file anew") from None


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise DataError(f"{path} is no JSON ({error}); get the file anew") from None


def _children(feature: Any) -> Any:
    return feature["featuresDict"]["features"]


def _leaves(name: str, feature: Any) -> list[tuple[str, Any]]:
    """The features below one, by the names that records give them."""
    if "featuresDict" not in feature:
        return [(name, feature)]
    below = _children(feature).items()
    return [leaf for key, child in below for leaf in _leaves(f"{name}/{key}", child)]


def _dimensions(kind: Any, unknown: Any = None) -> list[Any]:
    """A shape; an open axis is written as -1."""
    sizes = [int(size) for size in kind["shape"].get("dimensions", [])]
    return [unknown if size < 0 else size for size in sizes]
