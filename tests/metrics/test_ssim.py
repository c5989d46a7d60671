"""SSIM against scikit-image, and against loops over windows."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from framecast.errors import FramecastError
from framecast.evaluation.metrics import ssim

Oracle = Callable[[Tensor, Tensor], float]


def scikit(prediction: Tensor, target: Tensor, **options: object) -> float:
    """scikit-image in double precision on one frame."""
    arrays = [frame.double().numpy() for frame in (prediction, target)]
    return float(structural_similarity(*arrays, channel_axis=0, **options))


def gaussian(prediction: Tensor, target: Tensor) -> float:
    return scikit(
        prediction,
        target,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        data_range=1,
    )


def uint8(prediction: Tensor, target: Tensor) -> float:
    arrays = [(frame.numpy() * 255).astype(np.uint8) for frame in (prediction, target)]
    return float(structural_similarity(*arrays, channel_axis=0))


VARIANTS: list[tuple[Callable[[Tensor, Tensor], Tensor], Oracle]] = [
    (ssim.ssim_gaussian, gaussian),
    (ssim.ssim_uniform_range1, lambda p, t: scikit(p, t, data_range=1)),
    (ssim.ssim_uniform_range2, lambda p, t: scikit(p, t, data_range=2)),
    (ssim.ssim_uint8, uint8),
]


def frames(*shape: int, noise: float = 0.1, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random targets, and predictions that are somewhat like them."""
    generator = torch.Generator().manual_seed(seed)
    target = torch.rand(shape, generator=generator)
    prediction = target + noise * torch.randn(shape, generator=generator)
    return prediction.clamp(0, 1), target


@pytest.mark.parametrize(("function", "oracle"), VARIANTS)
@pytest.mark.parametrize("shape", [(19, 1, 64, 64), (5, 3, 40, 33), (1, 1, 11, 11), (2, 3, 12, 90)])
def test_equals_scikit_image(
    function: Callable[[Tensor, Tensor], Tensor], oracle: Oracle, shape: tuple[int, ...]
) -> None:
    prediction, target = frames(*shape)
    found = function(prediction, target)
    expected = [oracle(p, t) for p, t in zip(prediction, target, strict=True)]
    assert found.shape == shape[:1]
    np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(("function", "oracle"), VARIANTS)
def test_unrelated_and_digit_like_frames_equal_scikit_image(
    function: Callable[[Tensor, Tensor], Tensor], oracle: Oracle
) -> None:
    unrelated = frames(2, 1, 32, 32, noise=3.0)
    digits = frames(2, 1, 32, 32)
    digits = tuple((frame - 0.8).clamp(0) * 5 for frame in digits)  # mostly black
    for prediction, target in (unrelated, digits):
        found = function(prediction, target)
        expected = [oracle(p, t) for p, t in zip(prediction, target, strict=True)]
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-5)


def test_equals_loops_over_windows() -> None:
    prediction, target = frames(1, 1, 13, 12)
    offsets = [math.exp(-((i - 5) ** 2) / (2 * 1.5**2)) for i in range(11)]
    weights = np.outer(offsets, offsets)
    weights /= weights.sum()
    x, y = (frame[0, 0].double().numpy() for frame in (prediction, target))
    values = []
    for top in range(3):
        for left in range(2):
            a, b = (frame[top : top + 11, left : left + 11] for frame in (x, y))
            ma, mb = (weights * a).sum(), (weights * b).sum()
            va, vb = (weights * (a - ma) ** 2).sum(), (weights * (b - mb) ** 2).sum()
            cov = (weights * (a - ma) * (b - mb)).sum()
            luminance = (2 * ma * mb + 1e-4) / (ma**2 + mb**2 + 1e-4)
            values.append(luminance * (2 * cov + 9e-4) / (va + vb + 9e-4))
    assert ssim.ssim_gaussian(prediction, target).item() == pytest.approx(np.mean(values), abs=1e-6)


@pytest.mark.parametrize("function", [function for function, _ in VARIANTS])
def test_equal_frames_give_one_exactly(function: Callable[[Tensor, Tensor], Tensor]) -> None:
    target, _ = frames(18, 1, 16, 16)
    assert function(target, target).tolist() == [1.0] * 18


@pytest.mark.parametrize(("one", "two"), [(1.0, 0.999), (0.9, 0.7), (0.33, 0.34), (1.0, 0.0)])
def test_flat_frames_keep_their_digits(one: float, two: float) -> None:
    prediction, target = torch.full((1, 1, 32, 32), one), torch.full((1, 1, 32, 32), two)
    expected = (2 * one * two + 1e-4) / (one**2 + two**2 + 1e-4)
    assert ssim.ssim_gaussian(prediction, target).item() == pytest.approx(expected, abs=1e-4)


def test_float_range_two_inflates() -> None:
    prediction, target = frames(8, 1, 32, 32, noise=0.05)
    target, prediction = target * 0.2, prediction * 0.2
    one = ssim.ssim_uniform_range1(prediction, target)
    two = ssim.ssim_uniform_range2(prediction, target)
    assert (two > one).all()


def test_channels_one_by_one_give_the_same() -> None:
    prediction, target = frames(4, 3, 20, 20)
    for function, _ in VARIANTS:
        separate = function(prediction.unsqueeze(2), target.unsqueeze(2)).mean(1)
        torch.testing.assert_close(function(prediction, target), separate, rtol=0, atol=1e-6)


def test_leading_axes_and_portions(monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, target = frames(2, 3, 5, 1, 16, 16)
    whole = ssim.ssim_gaussian(prediction, target)
    assert whole.shape == (2, 3, 5)
    monkeypatch.setattr(ssim, "PORTION", 7 * 256)
    torch.testing.assert_close(ssim.ssim_gaussian(prediction, target), whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1, 83, 40), (1, 3, 50, 40), (2, 3, 33, 31), (17, 1, 30, 30)])
@pytest.mark.parametrize("least", [1, 4, 7])
def test_strips_of_a_large_frame_give_its_value(
    shape: tuple[int, ...], least: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    prediction, target = frames(*shape)
    whole = ssim.ssim_gaussian(prediction, target)
    groups: list[tuple[int, ...]] = []
    original = ssim._lanes

    def spy(one: Tensor, *rest: object) -> Tensor:
        groups.append(tuple(one.shape))
        return original(one, *rest)

    monkeypatch.setattr(ssim, "_lanes", spy)
    monkeypatch.setattr(ssim, "LEAST_ROWS", least)
    monkeypatch.setattr(ssim, "PORTION", 1)
    cut = ssim.ssim_gaussian(prediction, target)
    torch.testing.assert_close(cut, whole, rtol=0, atol=1e-6)
    assert all(height <= least + 10 for _, _, height, _ in groups)
    assert all(many * lanes <= 3 * ssim.LANES for many, lanes, _, _ in groups)


def test_shifted_sums_filter_as_the_convolution_does() -> None:
    maps = torch.rand(4, 20, 24, 16)
    window = torch.rand(7, dtype=torch.float64)
    shifted = ssim._shifted(ssim._shifted(maps, window, 2), window, 1)
    torch.testing.assert_close(shifted, ssim._filtered(maps, window), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("function", "size"), [(ssim.ssim_gaussian, 11), (ssim.ssim_uint8, 7)])
def test_frames_below_the_window_are_one_line(
    function: Callable[[Tensor, Tensor], Tensor], size: int
) -> None:
    small, fits = torch.rand(1, 1, 64, size - 1), torch.rand(1, 1, 64, size)
    with pytest.raises(FramecastError, match="smaller than SSIM's window") as error:
        function(small, small)
    assert "\n" not in str(error.value)
    assert function(fits, fits).item() == 1
