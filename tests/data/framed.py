"""Small folders of numbered frames in the published layouts, written by tests."""

from pathlib import Path

import numpy as np
from PIL import Image


def picture(number: int, size: tuple[int, int]) -> np.ndarray:
    """A colour image that tells its number: red is it, green and blue are ramps."""
    image = np.zeros((*size, 3), np.uint8)
    image[..., 0] = number % 256
    image[..., 1] = np.linspace(0, 250, size[1]).astype(np.uint8)[None]
    image[..., 2] = np.linspace(0, 120, size[0]).astype(np.uint8)[:, None]
    return image


def write(folder: Path, numbers, pattern: str = "{}.png", size: tuple[int, int] = (12, 16)) -> None:
    """Frames of some numbers."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in numbers:
        Image.fromarray(picture(number, size)).save(folder / pattern.format(number))


def reds(clip) -> list[int]:
    """The numbers of a clip's frames."""
    return [round(float(frame[0].mean()) * 255) for frame in clip.frames]


def starts(source) -> list[tuple[str, int]]:
    """Folder and number of the first frame of every window."""
    names = [source.name(index).rsplit(":", 1)[0] for index in range(len(source))]
    firsts = [reds(source[(0, index)])[0] for index in range(len(source))]
    return [(name.rpartition("/")[0], first) for name, first in zip(names, firsts, strict=True)]
