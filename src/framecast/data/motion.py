"""How digits move and overlap: the four published kinds of Moving-MNIST, many sequences at once.

All kinds show digits on a canvas of 64×64 pixels and draw nothing themselves: they are pure
functions of uniform numbers in [0, 1), so that whoever calls decides where randomness comes from.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32, Float64, Int64, UInt8
from numpy.lib.stride_tricks import sliding_window_view

Variant = Literal["srivastava", "svg-deterministic", "svg-stochastic", "v3d"]

CANVAS = 64
STARTS = 4
"""Uniform numbers that start one digit: two for its place, two for its velocity."""

Starts = Float64[np.ndarray, "n d 4"]
Redraws = Float64[np.ndarray, "n t d r"]
Places = Int64[np.ndarray, "n t d 2"]


@dataclass(frozen=True)
class Motion:
    """One kind of Moving-MNIST."""

    side: int
    """Height and width of a digit, pixels; MNIST's 28 are enlarged where it is more."""
    low: int
    """Smallest coordinate of a digit's upper left corner, pixels; negative: partly outside."""
    high: int
    """Largest coordinate of a digit's upper left corner, pixels."""
    redraws: int
    """Uniform numbers per frame and digit that bounces may use: two for each axis, or none."""
    overlap: Literal["maximum", "sum"]
    """What is seen where digits overlap; a sum is clamped to white."""
    move: Callable[[Starts, Redraws], Places]
    """Upper left corners (row, column) of every digit in every frame. There are as many frames as
    redraws, though these may be empty."""


def _srivastava(start: Starts, redraw: Redraws) -> Places:
    """Position on a canvas of side 1, unit direction × 0.1 per frame, one step before frame 0.

    At a wall the position is clamped and the velocity turned. Pixels are 36 times the position,
    truncated.

    Reference: Srivastava et al., Unsupervised Learning of Video Representations using LSTMs
        (2015), section 3.2, and the generator that the authors published.
    """
    place, angle = start[..., :2], 2 * np.pi * start[..., 2]
    velocity = 0.1 * np.stack([np.sin(angle), np.cos(angle)], -1)
    places = np.empty((redraw.shape[1], *place.shape))
    for t in range(len(places)):
        place = np.minimum(np.maximum(place + velocity, 0), 1, out=places[t])
        at_wall = np.rint(place) == place  # only 0 and 1 are whole
        np.negative(velocity, out=velocity, where=at_wall)
    return (36 * places).astype(np.int64).swapaxes(0, 1)


def _svg(start: Starts, redraw: Redraws, stochastic: bool) -> Places:
    """Corner in 0…31, velocity −4…4 per axis, whole pixels; frame 0 shows the start.

    Walls are looked at before a frame is shown, rows before columns. Beyond a wall the digit is put
    at 0 or 31, and the velocity turned; or, stochastic, its component across the wall becomes 1…4
    away from it and the other one −4…4. In a corner the column's draws replace the row's.

    Reference: Denton & Fergus, Stochastic Video Generation with a Learned Prior (2018), section
        4.1, and the data code that the authors published.
    """
    place = (32 * start[..., :2]).astype(np.int64)
    velocity = (9 * start[..., 2:]).astype(np.int64) - 4
    places = np.empty((redraw.shape[1], *place.shape), np.int64)
    bounces = _bounces(redraw) if stochastic else None
    for t in range(len(places)):
        shown = np.minimum(np.maximum(place, 0), 31, out=places[t])
        if bounces is None:
            np.negative(velocity, out=velocity, where=shown != place)
        else:
            beyond = place < 0, place > 31
            for axis, side in ((0, 0), (0, 1), (1, 0), (1, 1)):
                hit = beyond[side][..., axis, None]
                np.copyto(velocity, bounces[axis][side][t], where=hit)
        place = shown + velocity
    return places.swapaxes(0, 1)


def _bounces(redraw: Redraws) -> list[list[Int64[np.ndarray, "t n d 2"]]]:
    """Velocities that digits leave a wall with: by axis across the wall, then low wall or high."""
    drawn = redraw.swapaxes(0, 1)
    away = 1 + (4 * drawn[..., 0::2]).astype(np.int64)
    along = (9 * drawn[..., 1::2]).astype(np.int64) - 4
    rows = [np.stack([turned[..., 0], along[..., 0]], -1) for turned in (away, -away)]
    columns = [np.stack([along[..., 1], turned[..., 1]], -1) for turned in (away, -away)]
    return [rows, columns]


def _svg_deterministic(start: Starts, redraw: Redraws) -> Places:
    return _svg(start, redraw, stochastic=False)


def _svg_stochastic(start: Starts, redraw: Redraws) -> Places:
    return _svg(start, redraw, stochastic=True)


def _v3d(start: Starts, redraw: Redraws) -> Places:
    """Corner in [0, 36), speed 2…6 whole pixels per frame, any direction; frame 0 shows the start.

    A component of the velocity turns when the next step would leave −2…38, so that digits may be
    cut by two pixels at an edge. Corners are truncated towards zero.

    Reference: the generator used by the author of V3D-ConvLSTM, which follows Srivastava et al.
    """
    place, angle = 36 * start[..., :2], np.pi * (2 * start[..., 2] - 1)
    speed = 2 + np.floor(5 * start[..., 3])
    velocity = np.stack([np.sin(angle), np.cos(angle)], -1) * speed[..., None]
    places = np.empty((redraw.shape[1], *place.shape))
    for t in range(len(places)):
        places[t] = place
        following = place + velocity
        np.negative(velocity, out=velocity, where=(following < -2) | (following > 38))
        place += velocity
    return places.astype(np.int64).swapaxes(0, 1)


MOTIONS: dict[Variant, Motion] = {
    "srivastava": Motion(28, 0, 36, 0, "maximum", _srivastava),
    "svg-deterministic": Motion(32, 0, 31, 0, "sum", _svg_deterministic),
    "svg-stochastic": Motion(32, 0, 31, 4, "sum", _svg_stochastic),
    "v3d": Motion(28, -2, 38, 0, "sum", _v3d),
}


def draw(
    glyphs: UInt8[np.ndarray, "n d side side"], places: Places, motion: Motion
) -> UInt8[np.ndarray, "n t 64 64"]:
    """Frames of digits at given corners.

    Every digit lies once on an empty sheet whose rows are as long as a frame's, so that a frame
    that shows the digit elsewhere is one unbroken run of the sheet's bytes, begun earlier or later.
    One indexing operation per digit copies these runs for all sequences and frames. (A run that
    begins inside a row wraps around into columns left of the digit, which are empty.)

    Args:
        glyphs: The digits of each sequence.
        places: Their upper left corners, within `motion.low`…`motion.high`.
        motion: Says how overlapping digits combine.

    Returns:
        The frames; a view into larger ones where digits may leave the canvas.
    """
    n, digits, side, _ = glyphs.shape
    before, after = max(0, -motion.low), max(0, motion.high + side - CANVAS)
    row, farthest = CANVAS + before + after, motion.high + before
    sheets = np.zeros((n, digits, row + farthest + 1, row), np.uint8)
    sheets[:, :, farthest : farthest + side, farthest : farthest + side] = glyphs
    runs = sliding_window_view(sheets.reshape(n, digits, -1), row * row, axis=2)
    each = np.arange(n)[:, None]
    starts = (motion.high - places) @ np.array([row, 1])
    frames = runs[each, 0, starts[:, :, 0]]
    for digit in range(1, digits):
        layer = runs[each, digit, starts[:, :, digit]]
        if motion.overlap == "sum":
            np.minimum(layer, ~frames, out=layer)
            frames += layer
        else:
            np.maximum(frames, layer, out=frames)
    inside = slice(before, before + CANVAS)
    return frames.reshape(n, -1, row, row)[:, :, inside, inside]


def enlarge(images: UInt8[np.ndarray, "n 28 28"], side: int) -> UInt8[np.ndarray, "n side side"]:
    """Bilinear enlargement in two passes, columns then rows, each rounded to whole gray levels.

    These are the steps that Pillow takes, for many images at once; 28 → 32 gives equal bytes.
    """
    weights = _bilinear(28, side)
    out = np.empty((len(images), side, side), np.uint8)
    for first in range(0, len(images), 4096):
        part = slice(first, first + 4096)
        wide = np.floor(images[part].astype(np.float32) @ weights.T + 0.5)
        out[part] = np.floor(weights @ wide + 0.5)
    return out


def _bilinear(before: int, after: int) -> Float32[np.ndarray, "after before"]:
    centres = (np.arange(after) + 0.5) * before / after
    distance = np.abs(np.arange(before) + 0.5 - centres[:, None])
    weights = np.maximum(0, 1 - distance)
    return (weights / weights.sum(1, keepdims=True)).astype(np.float32)
