"""Digit images in the idx format in which MNIST is distributed."""

import gzip
import zlib
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import UInt8

from framecast.errors import DataError

Part = Literal["train", "test"]

STEMS: dict[Part, str] = {"train": "train-images", "test": "t10k-images"}
COUNTS: dict[Part, int] = {"train": 60_000, "test": 10_000}
"""Images in the original files."""
HEADER = 16
MAGIC = 0x0803
"""Unsigned bytes in three dimensions."""


def find_images(root: Path | None, part: Part) -> Path:
    """The image file of one part: `train-images-idx3-ubyte`, also with `.idx3`, also with `.gz`.

    Raises:
        DataError: if there is no such file: one line with the names looked for and their source.
    """
    names = [
        f"{STEMS[part]}{mark}idx3-ubyte{packed}" for mark in ("-", ".") for packed in ("", ".gz")
    ]
    if root is not None:
        for name in names:
            if (root / name).is_file():
                return root / name
    place = "no folder was given" if root is None else f"{root} has no {STEMS[part]} file"
    raise DataError(
        f"MNIST digits are missing: {place}; give as root (--data.root) the folder with the idx "
        "files of https://yann.lecun.com/exdb/mnist: train-images-idx3-ubyte and "
        "t10k-images-idx3-ubyte (.gz or not; the two label files may lie beside them), or ask "
        "for digits='glyphs' (--data.digits glyphs)"
    )


@lru_cache(maxsize=4)
def read_images(path: Path) -> UInt8[np.ndarray, "n 28 28"]:
    """All images of an idx file, read once per process; not to be written to.

    Raises:
        DataError: if the file is no idx file of 28×28 bytes, or is cut short.
    """
    try:
        raw = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} cannot be read ({error}); get the file anew") from error
    if len(raw) < HEADER:
        raise DataError(f"{path} holds {len(raw)} bytes, too few for an idx file; get it anew")
    magic, count, height, width = (int(n) for n in np.frombuffer(raw, ">u4", 4))
    if (magic, height, width) != (MAGIC, 28, 28):
        raise DataError(f"{path} is no idx file of 28×28 images; get the original MNIST file")
    if len(raw) != HEADER + count * 28 * 28:
        raise DataError(
            f"{path} should hold {count} images but has {len(raw)} bytes; get the file anew"
        )
    return np.frombuffer(raw, np.uint8, offset=HEADER).reshape(count, 28, 28)
