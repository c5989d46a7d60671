"""Vectorised motion and drawing against loops over single digits, frames and pixels."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from framecast.data.motion import MOTIONS, draw, enlarge

VARIANTS = list(MOTIONS)


def walk(variant, start, redraws, frames):
    """Corners (row, column) of one digit, as plain numbers step by step."""
    u, v, a, b = (float(x) for x in start)
    if variant == "srivastava":
        return walk_on_unit_canvas(u, v, a, frames)
    if variant == "v3d":
        return walk_beyond_edges(u, v, a, b, frames)
    return walk_on_grid(u, v, a, b, redraws, frames, variant == "svg-stochastic")


def walk_on_unit_canvas(y, x, turn, frames):
    vy, vx = math.sin(2 * math.pi * turn), math.cos(2 * math.pi * turn)
    corners = []
    for _ in range(frames):
        y, x = y + 0.1 * vy, x + 0.1 * vx
        if y <= 0:
            y, vy = 0.0, -vy
        elif y >= 1:
            y, vy = 1.0, -vy
        if x <= 0:
            x, vx = 0.0, -vx
        elif x >= 1:
            x, vx = 1.0, -vx
        corners.append((int(36 * y), int(36 * x)))
    return corners


def walk_beyond_edges(u, v, turn, pace, frames):
    y, x = 36 * u, 36 * v
    speed = 2 + int(5 * pace)
    angle = math.pi * (2 * turn - 1)
    vy, vx = speed * math.sin(angle), speed * math.cos(angle)
    corners = []
    for _ in range(frames):
        corners.append((math.trunc(y), math.trunc(x)))
        if not -2 <= y + vy <= 38:
            vy = -vy
        if not -2 <= x + vx <= 38:
            vx = -vx
        y, x = y + vy, x + vx
    return corners


def walk_on_grid(u, v, a, b, redraws, frames, stochastic):
    y, x, dy, dx = int(32 * u), int(32 * v), int(9 * a) - 4, int(9 * b) - 4
    corners = []
    for t in range(frames):
        if stochastic:
            row_away, row_along, column_away, column_along = (float(r) for r in redraws[t])
        if y < 0 or y > 31:
            sign = 1 if y < 0 else -1
            y = 0 if y < 0 else 31
            dy, dx = (
                (sign * (1 + int(4 * row_away)), int(9 * row_along) - 4)
                if stochastic
                else (-dy, dx)
            )
        if x < 0 or x > 31:
            sign = 1 if x < 0 else -1
            x = 0 if x < 0 else 31
            dx, dy = (
                (sign * (1 + int(4 * column_away)), int(9 * column_along) - 4)
                if stochastic
                else (-dx, dy)
            )
        corners.append((y, x))
        y, x = y + dy, x + dx
    return corners


def paint(glyphs, corners, overlap):
    """One frame, pixel by pixel."""
    frame = [[0] * 64 for _ in range(64)]
    for glyph, (top, left) in zip(glyphs, corners, strict=True):
        for row in range(len(glyph)):
            for column in range(len(glyph)):
                y, x, ink = top + row, left + column, int(glyph[row][column])
                if 0 <= y < 64 and 0 <= x < 64:
                    both = frame[y][x] + ink
                    frame[y][x] = max(frame[y][x], ink) if overlap == "maximum" else min(both, 255)
    return np.array(frame)


def uniforms(variant, sequences, frames, digits, seed):
    random = np.random.default_rng(seed)
    redraws = random.random((sequences, frames, digits, MOTIONS[variant].redraws))
    return random.random((sequences, digits, 4)), redraws


@pytest.mark.parametrize("variant", VARIANTS)
@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32), digits=st.integers(1, 3), frames=st.integers(1, 60))
def test_positions_are_those_of_a_loop(variant, seed, digits, frames):
    start, redraws = uniforms(variant, 5, frames, digits, seed)
    places = MOTIONS[variant].move(start, redraws)
    for n in range(5):
        for d in range(digits):
            expected = walk(variant, start[n, d], redraws[n, :, d], frames)
            assert [tuple(p) for p in places[n, :, d].tolist()] == expected


@pytest.mark.parametrize("variant", VARIANTS)
def test_starts_are_not_changed(variant):
    start, redraws = uniforms(variant, 3, 10, 2, 0)
    before = start.copy()
    MOTIONS[variant].move(start, redraws)
    assert (start == before).all()


@pytest.mark.parametrize("variant", VARIANTS)
def test_positions_keep_within_the_declared_range_and_reach_its_ends(variant):
    motion = MOTIONS[variant]
    places = motion.move(*uniforms(variant, 400, 100, 2, 1))
    # Beyond −2 and 38 a digit turns back, so truncation leaves −1 and 37.
    ends = {"v3d": (-1, 37)}.get(variant, (motion.low, motion.high))
    assert (places.min(), places.max()) == ends
    assert motion.low <= places.min()
    assert places.max() <= motion.high


def test_srivastava_moves_once_before_the_first_frame():
    start = np.array([[[0.5, 0.5, 0.25, 0.0]]])
    places = MOTIONS["srivastava"].move(start, np.empty((1, 3, 1, 0)))
    assert places[0, :, 0].tolist() == [[21, 18], [25, 18], [28, 18]]


def test_svg_digits_stop_one_frame_at_a_wall():
    start = np.array([[[30.5 / 32, 0.5, 8.5 / 9, 4.5 / 9]]])  # row 30, down by 4
    places = MOTIONS["svg-deterministic"].move(start, np.empty((1, 4, 1, 0)))
    assert places[0, :, 0, 0].tolist() == [30, 31, 27, 23]


def test_stochastic_digits_leave_a_wall_as_the_redraws_say():
    start = np.array([[[30.5 / 32, 0.5, 8.5 / 9, 4.5 / 9]]])  # row 30, down by 4, column 16
    redraws = np.full((1, 4, 1, 4), 0.999)
    redraws[0, 1, 0] = (0.6, 0.0, 0.999, 0.999)  # away from the wall by 3, along it by −4
    places = MOTIONS["svg-stochastic"].move(start, redraws)
    assert places[0, :, 0].tolist() == [[30, 16], [31, 16], [28, 12], [25, 8]]


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("digits", [1, 2, 3])
def test_pixels_are_those_of_a_loop(variant, digits):
    motion = MOTIONS[variant]
    random = np.random.default_rng(3)
    glyphs = random.integers(0, 256, (2, digits, motion.side, motion.side), np.uint8)
    places = random.integers(motion.low, motion.high + 1, (2, 4, digits, 2))
    places[0, 0], places[0, 1] = motion.low, motion.high
    frames = draw(glyphs, places, motion)
    for n in range(2):
        for t in range(4):
            assert (frames[n, t] == paint(glyphs[n], places[n, t], motion.overlap)).all()


def test_overlap_differs_between_kinds():
    glyphs, places = np.full((1, 2, 28, 28), 200, np.uint8), np.zeros((1, 1, 2, 2), np.int64)
    assert draw(glyphs, places, MOTIONS["srivastava"]).max() == 200
    assert draw(glyphs, places, MOTIONS["v3d"]).max() == 255


@pytest.mark.parametrize("side", [28, 32])
def test_enlarged_digits_are_the_bytes_that_pillow_gives(side):
    images = np.random.default_rng(4).integers(0, 256, (50, 28, 28), np.uint8)
    expected = [
        np.asarray(Image.fromarray(i).resize((side, side), Image.Resampling.BILINEAR))
        for i in images
    ]
    assert (enlarge(images, side) == np.stack(expected)).all()
