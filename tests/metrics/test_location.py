"""The centroid distance, against closed forms and sums over pixels."""

import math

import pytest
import torch
from torch import Tensor

from framecast.evaluation.corruption import fragment_blur, gaussian_blur
from framecast.evaluation.metrics.location import centroid, centroid_distance


def dots(*places: tuple[int, int, float], size: tuple[int, int] = (32, 40)) -> Tensor:
    """A black frame `1 h w` with pixels of given brightness."""
    frame = torch.zeros(1, *size)
    for y, x, value in places:
        frame[0, y, x] = value
    return frame


@pytest.mark.parametrize("channels", [1, 3])
def test_centroids_pixel_by_pixel(channels: int) -> None:
    frames = torch.rand(2, channels, 5, 7, generator=torch.Generator().manual_seed(0))
    for frame, found in zip(frames, centroid(frames), strict=True):
        total = rows = columns = 0.0
        for c in range(channels):
            for y in range(5):
                for x in range(7):
                    value = frame[c, y, x].item()
                    total, rows, columns = total + value, rows + y * value, columns + x * value
        assert found.tolist() == pytest.approx([rows / total, columns / total], rel=1e-6)


@pytest.mark.parametrize("move", [(0, 0), (3, 0), (0, -4), (3, 4), (-5, 12)])
def test_a_shift_is_its_distance(move: tuple[int, int]) -> None:
    here = dots((12, 14, 0.5), (14, 20, 1.0), (13, 13, 0.2))
    there = here.roll(move, (1, 2))
    found = centroid_distance(there, here).item()
    assert found == pytest.approx(math.hypot(*move), abs=1e-4)


def test_brightness_and_blur_move_nothing() -> None:
    here = dots((14, 16, 0.9), (17, 22, 0.6))
    others = [here / 3, gaussian_blur(here, 2), fragment_blur(here, 4)]
    for other in others:
        assert centroid_distance(other, here).item() == pytest.approx(0, abs=1e-4)
        there = other.roll((0, 5), (1, 2))
        assert centroid_distance(there, here).item() == pytest.approx(5, abs=1e-4)


def test_a_black_frame_has_its_centroid_in_the_middle() -> None:
    black, corner = dots(), dots((0, 0, 1.0))
    assert centroid_distance(black, black).item() == 0
    expected = math.hypot(31 / 2, 39 / 2)
    assert centroid_distance(black, corner).item() == pytest.approx(expected)
    assert centroid_distance(corner, black).item() == pytest.approx(expected)


def test_opposite_errors_cancel_as_the_docstring_says() -> None:
    here = dots((10, 10, 1.0), (20, 20, 1.0))
    there = dots((10, 13, 1.0), (20, 17, 1.0))
    assert centroid_distance(there, here).item() == pytest.approx(0, abs=1e-5)


def test_one_value_per_frame() -> None:
    frames = torch.rand(2, 3, 1, 8, 8)
    found = centroid_distance(frames, frames.flip(-1))
    assert found.shape == (2, 3)
    assert found.dtype == torch.float32
