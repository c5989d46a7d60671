"""Sizes and colours."""

import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils._python_dispatch import TorchDispatchMode

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


@given(sides, sides, sides, sides, st.sampled_from([1, 3]), st.integers(1, 300))
def test_images_are_fitted_as_frames_are(height, width, to_height, to_width, channels, portion):
    """Bit for bit, however many rows are narrowed at a time."""
    image = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    frame = torch.from_numpy(image).permute(2, 0, 1).float() / 255
    expected = video.to_gray(frame) if channels == 1 else frame
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys.modules["framecast.video.fit"], "PORTION", portion)
        found = video.fit_image(image, (to_height, to_width), channels)
    assert torch.equal(found, video.fit(expected, (to_height, to_width)))
    assert torch.equal(video.fit_image(image, None, channels), expected)


@pytest.mark.parametrize("channels", [1, 3])
def test_large_images_are_never_whole_as_floats(channels):
    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            made = func(*args, **(kwargs or {}))
            if isinstance(made, torch.Tensor) and made.is_floating_point():
                largest = max(largest, made.untyped_storage().nbytes())
            return made

    with Watch():
        video.fit_image(np.zeros((1500, 2000, 3), np.uint8), (64, 64), channels)
    assert 0 < largest < 1500 * 2000 * 4


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
