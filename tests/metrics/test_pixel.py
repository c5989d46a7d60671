"""MSE, MAE and PSNR against loops over pixels."""

import inspect
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch import Tensor

from framecast.errors import FramecastError
from framecast.evaluation.metrics import chunks, pixel


def pair(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


def by_hand(prediction: Tensor, target: Tensor, power: int) -> float:
    """Σ |p − t|^power of one frame, value by value in double precision."""
    return math.fsum(
        abs(p - t) ** power
        for p, t in zip(prediction.flatten().tolist(), target.flatten().tolist(), strict=True)
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_sums_and_means_match_loops(channels: int) -> None:
    prediction, target = pair(2, 3, channels, 5, 7)
    prediction = prediction * 1.4 - 0.2
    for b in range(2):
        for t in range(3):
            squared = by_hand(prediction[b, t], target[b, t], 2)
            absolute = by_hand(prediction[b, t], target[b, t], 1)
            size = channels * 5 * 7
            expected = {
                pixel.mse_sum: squared,
                pixel.mae_sum: absolute,
                pixel.mse_mean: squared / size,
                pixel.mae_mean: absolute / size,
                pixel.psnr: 10 * math.log10(size / squared),
            }
            for function, value in expected.items():
                found = function(prediction, target)
                assert found.shape == (2, 3)
                assert found[b, t].item() == pytest.approx(value, rel=1e-5)


def test_psnr_of_a_64x64_frame_follows_from_its_summed_error() -> None:
    prediction, target = pair(1, 64, 64)
    expected = 10 * math.log10(4096 / pixel.mse_sum(prediction, target).item())
    assert pixel.psnr(prediction, target).item() == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("channels", [1, 3])
def test_psnr_equals_scikit_image(channels: int) -> None:
    prediction, target = pair(4, channels, 32, 48)
    for index in range(4):
        expected = peak_signal_noise_ratio(
            target[index].double().numpy(), prediction[index].double().numpy(), data_range=1
        )
        assert pixel.psnr(prediction, target)[index].item() == pytest.approx(expected, abs=1e-5)


def test_psnr_per_channel_is_the_mean_of_the_channels_own() -> None:
    prediction, target = pair(2, 3, 16, 16)
    prediction[:, 0] = target[:, 0] + 0.01
    channels = [pixel.psnr(prediction[:, c, None], target[:, c, None]) for c in range(3)]
    found = pixel.psnr_per_channel(prediction, target)
    torch.testing.assert_close(found, torch.stack(channels).mean(0))
    assert (found > pixel.psnr(prediction, target) + 1).all()


def test_psnr_uint8_equals_scikit_image_on_truncated_bytes() -> None:
    prediction, target = pair(3, 3, 16, 16)
    for index in range(3):
        as_bytes = [(x[index].numpy() * 255).astype(np.uint8) for x in (target, prediction)]
        expected = peak_signal_noise_ratio(*as_bytes)
        assert pixel.psnr_uint8(prediction, target)[index].item() == pytest.approx(
            expected, abs=1e-4
        )


def test_psnr_uint8_does_not_see_less_than_a_grey_level() -> None:
    target = torch.full((1, 1, 8, 8), 100.2 / 255)
    prediction = torch.full((1, 1, 8, 8), 100.8 / 255)
    assert pixel.psnr_uint8(prediction, target).item() == math.inf
    assert pixel.psnr(prediction, target).isfinite().all()


def test_an_exact_prediction_has_infinite_psnr() -> None:
    target, _ = pair(2, 1, 8, 8)
    assert pixel.psnr(target, target).tolist() == [math.inf, math.inf]


@pytest.mark.parametrize("function", [pixel.mse_sum, pixel.mae_sum, pixel.psnr])
def test_portions_change_nothing(function: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    prediction, target = pair(3, 5, 1, 8, 8)
    whole = function(prediction, target)
    monkeypatch.setattr(pixel, "PORTION", 100)
    assert torch.equal(function(prediction, target), whole)


def test_portions_are_as_small_as_asked() -> None:
    prediction, target = pair(3, 5, 1, 8, 8)
    sizes: list[int] = []

    def function(one: Tensor, two: Tensor) -> Tensor:
        sizes.append(len(one))
        return one.sum((1, 2, 3))

    chunks.per_frame(function, prediction, target, pixels=64 * 4 + 63)
    assert sizes == [4, 4, 4, 3]
    sizes.clear()
    chunks.per_frame(function, prediction, target, pixels=1)
    assert sizes == [1] * 15


def test_a_single_frame_half_precision_and_gradients() -> None:
    prediction, target = pair(1, 8, 8)
    value = pixel.mse_sum(prediction.requires_grad_(), target)
    assert value.shape == ()
    assert not value.requires_grad
    half = pixel.mse_sum(prediction.detach().half(), target.half())
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(value.item(), rel=1e-2)


def test_differing_shapes_are_one_line() -> None:
    # one channel would broadcast against three; without the tests' shape checks we have to see it
    unchecked = inspect.unwrap(chunks.per_frame)
    with pytest.raises(FramecastError, match="differ in shape"):
        unchecked(torch.sub, torch.rand(2, 1, 8, 8), torch.rand(2, 3, 8, 8), pixels=1)


def test_no_frames_give_no_values() -> None:
    prediction, target = pair(2, 0, 1, 8, 8)
    assert pixel.mse_sum(prediction, target).shape == (2, 0)
