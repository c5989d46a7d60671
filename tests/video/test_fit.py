"""Sizes and colours."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from framecast import video
from framecast.errors import FramecastError

sides = st.integers(1, 40)


@given(sides, sides, sides, sides)
def test_any_size_to_any_size(height, width, to_height, to_width):
    frames = torch.rand(2, 1, height, width)
    fitted = video.fit(frames, (to_height, to_width))
    assert fitted.shape == (2, 1, to_height, to_width)
    assert fitted.min() >= frames.min() - 1e-5
    assert fitted.max() <= frames.max() + 1e-5


def test_aspect_is_kept_and_the_centre_cut():
    # 20 rows x 60 columns: three squares side by side; only the middle one is left
    frames = torch.cat([torch.full((3, 20, 20), v) for v in (0.0, 0.5, 1.0)], dim=-1)
    assert torch.equal(video.fit(frames, (20, 20)), torch.full((3, 20, 20), 0.5))
    assert video.fit(frames, (10, 10)).sub(0.5)[..., 1:-1].abs().max() < 1e-6


def test_shrinking_averages_rather_than_picks():
    checks = (torch.arange(64)[:, None] + torch.arange(64)) % 2 * torch.ones(1, 1, 1)
    assert video.fit(checks.float(), (8, 8)).sub(0.5).abs().max() < 0.05


def test_the_right_size_is_left_alone():
    frames = torch.rand(3, 8, 9)
    assert video.fit(frames, (8, 9)) is frames
    with pytest.raises(FramecastError, match="at least one pixel"):
        video.fit(frames, (0, 9))


def test_luma():
    frames = torch.rand(2, 5, 3, 4, 6)
    r, g, b = frames.unbind(-3)
    expected = 0.299 * r + 0.587 * g + 0.114 * b
    gray = video.to_gray(frames)
    assert gray.shape == (2, 5, 1, 4, 6)
    assert torch.allclose(gray[:, :, 0], expected)
    assert video.to_gray(gray) is gray
    with pytest.raises(FramecastError, match="not 2"):
        video.to_gray(frames[..., :2, :, :])
