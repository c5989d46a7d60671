"""What the clips of these tests show."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

RGB = np.ndarray
Make = Callable[..., Path]


def picture(number: int, height: int = 48, width: int = 64) -> RGB:
    """A smooth image, red at the left, blue at the bottom, with a bar at a place of its own."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = np.linspace(200, 40, width)[None]
    image[..., 2] = np.linspace(40, 200, height)[:, None]
    image[..., 1] = 40
    left = number * 3 % (width - 4)
    image[:, left : left + 4, 1] = 220
    return image
