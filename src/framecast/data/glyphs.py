"""Digits drawn with the font that Pillow carries: a stand-in for MNIST that needs no file.

Size, slant, rotation, stroke width, proportions and blur vary from glyph to glyph. As in MNIST, a
glyph fills about 20 of 28 pixels and its centre of mass is the centre of the image.
"""

from functools import lru_cache

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from framecast.clip import Split
from framecast.noise import mix

SIDE = 28
COUNT = 2_000
"""Glyphs per split, digits 0…9 in turn."""
SCALE = 4
"""Glyphs are drawn this many times larger and then reduced, which smooths their edges."""


@lru_cache(maxsize=3)
def draw_glyphs(split: Split) -> UInt8[np.ndarray, "n 28 28"]:
    """The glyphs of one split, 0 background and 255 ink, the same whatever the run.

    The splits share no random draw. Another version of Pillow may rasterise its font differently by
    some gray levels; a data fingerprint tells.
    """
    images = [
        _glyph(str(number % 10), np.random.default_rng(mix("glyph", split, number)))
        for number in range(COUNT)
    ]
    return np.stack(images)


@lru_cache(maxsize=64)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _glyph(text: str, random: np.random.Generator) -> UInt8[np.ndarray, "28 28"]:
    large = SIDE * SCALE
    canvas = Image.new("L", (large, large))
    size = int(random.integers(92, 106))
    stroke = int(random.integers(0, 4))
    ImageDraw.Draw(canvas).text(
        (large / 2, large / 2), text, 255, _font(size), anchor="mm", stroke_width=stroke
    )
    canvas = canvas.transform(
        canvas.size, Image.Transform.AFFINE, _warp(random, large / 2), Image.Resampling.BILINEAR
    )
    canvas = canvas.filter(ImageFilter.GaussianBlur(random.uniform(0.5, 1.6)))
    return _centred(np.asarray(canvas.resize((SIDE, SIDE), Image.Resampling.BOX)))


def _warp(random: np.random.Generator, centre: float) -> tuple[float, ...]:
    """Rotation, slant and proportions about the centre, as coefficients of an affine map."""
    angle = random.uniform(-0.22, 0.22)
    slant = np.array([[1.0, random.uniform(-0.1, 0.4)], [0.0, 1.0]])
    proportions = np.diag([random.uniform(0.75, 1.2), random.uniform(0.95, 1.15)])
    rotation = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = rotation @ slant @ proportions
    shift = centre - linear @ np.array([centre, centre])
    return tuple(np.column_stack([linear, shift]).ravel().tolist())


def _centred(image: UInt8[np.ndarray, "28 28"]) -> UInt8[np.ndarray, "28 28"]:
    """Shift by whole pixels so that the centre of mass is in the middle."""
    ink = image.sum(dtype=np.int64)
    along = np.arange(SIDE) + 0.5
    down = round(float(SIDE / 2 - (image.sum(1) * along).sum() / ink))
    right = round(float(SIDE / 2 - (image.sum(0) * along).sum() / ink))
    return np.roll(image, (down, right), (0, 1))
