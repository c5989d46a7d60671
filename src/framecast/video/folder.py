"""Folders of PNG or JPEG images as videos."""

import re
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from framecast.errors import VideoError
from framecast.video.stream import Moment, over_white, round_down
from framecast.wording import counted

FOLDER_FPS = 25.0
"""Frames per second of a folder of images, which has no clock of its own."""

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})

_LAST_NUMBER = re.compile(r"(.*?)(\d+)(\D*)")
_LARGEST = 9_999_999
"""Larger numbers are rather times or dates than counts."""
_LISTED = 3
"""How many gaps a note spells out."""


def is_image(path: Path) -> bool:
    """Whether a file is an image, by its suffix."""
    return path.suffix.lower() in SUFFIXES


def natural(path: Path) -> tuple[list[list[tuple[int, int | str]]], str]:
    """Key that sorts paths in natural order: `2.png` before `10.png`, whatever the case."""
    parts = [re.split(r"(\d+)", part.lower()) for part in path.parts]
    runs = [
        [(0, int(run)) if run.isdecimal() else (1, run) for run in part if run] for part in parts
    ]
    return runs, str(path)


def images(folder: Path) -> list[Path]:
    """The images of a folder, `2.png` before `10.png`; empty if there are none."""
    try:
        found = [
            path for path in folder.iterdir() if is_image(path) and not path.name.startswith(".")
        ]
    except OSError as error:
        raise VideoError(f"{folder} cannot be listed: {error.strerror}") from error
    return sorted(found, key=natural)


def missing(path: Path) -> str | None:
    """Which numbers a folder of numbered images lacks, as a line; None where none is missing.

    Numbers go on by what most of them go on by. Names that differ in more than one number, or hold
    times or dates, tell nothing.
    """
    names = [_LAST_NUMBER.fullmatch(image.stem) for image in images(path)] if path.is_dir() else []
    counts = [int(name[2]) for name in names if name]
    if len({name and (name[1], name[3]) for name in names}) != 1 or not counts:
        return None
    steps = [later - earlier for earlier, later in pairwise(counts)]
    step, often = Counter(steps).most_common(1)[0] if steps else (0, 0)
    if step < 1 or 2 * often <= len(steps) or counts[-1] > _LARGEST:
        return None
    gaps = [
        _range(number + step, number + wide - step, step)
        for number, wide in zip(counts, steps, strict=False)
        if wide > step
    ]
    if not gaps:
        return None
    more = f" and {counted(len(gaps) - _LISTED, 'gap')} more" if len(gaps) > _LISTED else ""
    said = ", ".join(gaps[:_LISTED]) + more
    return f"missing between {counts[0]} and {counts[-1]}: {said}; what moves jumps there"


def _range(first: int, last: int, step: int) -> str:
    several = last - first >= step
    return f"{first} to {last}" if several else str(first)


def numbered(folder: Path) -> list[Path]:
    """The images of a folder that must have some.

    Raises:
        VideoError: if there are none.
    """
    found = images(folder)
    if not found:
        raise VideoError(
            f"{folder} holds no PNG or JPEG images; give a video file or a folder of frames"
        )
    return found


def moments(folder: Path, start: int | float, rate: float) -> Iterator[Moment]:
    """The images from one on, `rate` of them a second.

    Raises:
        VideoError: if there are no images, or none from `start` on, or one has another size.
    """
    paths = numbered(folder)
    number = start if isinstance(start, int) else round_down(start * rate)
    if number >= len(paths):
        raise VideoError(
            f"{folder} has {counted(len(paths), 'image')}, and frame {number} is past its end "
            f"(frames count from 0); start at {len(paths) - 1} or earlier"
        )
    size = image_size(paths[0])
    for index, path in enumerate(paths[number:], number):
        yield Moment(index / rate, 1 / rate, 1e-6, _picture(path, paths[0], size))


def image_size(path: Path) -> tuple[int, int]:
    """(height, width) of an upright image, without decoding it."""
    with _opened(path) as image:
        width, height = image.size
        orientation = image.getexif().get(0x0112, 1)
    return (width, height) if orientation in {5, 6, 7, 8} else (height, width)


def image_kind(path: Path) -> tuple[str, str]:
    """Format (`png`, `jpeg`) and PIL mode of an image, without decoding it."""
    with _opened(path) as image:
        return (image.format or "unknown").lower(), image.mode


def _picture(
    path: Path, first: Path, size: tuple[int, int]
) -> Callable[[], UInt8[np.ndarray, "h w 3"]]:
    def picture() -> UInt8[np.ndarray, "h w 3"]:
        array = load_image(path)
        if array.shape[:2] != size:
            raise VideoError(
                f"{path.parent} mixes sizes: {first.name} has {size[1]}x{size[0]} pixels and "
                f"{path.name} {array.shape[1]}x{array.shape[0]}; bring all to one size"
            )
        return array

    return picture


def load_image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    """An image, upright, in RGB; what is transparent lies on white.

    Raises:
        VideoError: if it cannot be read.
    """
    try:
        with _opened(path) as opened:
            image = ImageOps.exif_transpose(opened)
            if image.mode.startswith("I"):  # 16-bit gray, which PIL would clip at 255
                gray = np.asarray(image).astype(np.int64) // 257
                return np.repeat(gray.clip(0, 255).astype(np.uint8)[..., None], 3, axis=-1)
            if image.has_transparency_data:
                return over_white(np.asarray(image.convert("RGBA")))
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, VideoError):
            raise
        raise VideoError(f"{path} cannot be read as an image: {error}; replace it") from error


def _opened(path: Path) -> Image.Image:
    try:
        return Image.open(path)
    except Image.UnidentifiedImageError as error:
        raise VideoError(f"{path} is no image, whatever its name says; remove it") from error
    except (OSError, Image.DecompressionBombError) as error:
        raise VideoError(f"{path} cannot be read as an image: {error}; replace it") from error
