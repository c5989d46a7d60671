"""Ranks and coverage, against counting by hand and samples whose calibration is known."""

import numpy as np
import pytest
import torch
from torch import Tensor

from framecast.evaluation.calibration import LEVELS, STEP, Calibration, coverage, ranks

PIXELS = 40_000


def draws(samples: int, scale: float = 1.0, shift: float = 0.0) -> tuple[Tensor, Tensor]:
    """Samples that scatter `scale` times as much as the truth, each pixel around its own place."""
    random = torch.Generator().manual_seed(0)
    centre = torch.rand(1, PIXELS, generator=random)
    noise = torch.randn(samples, 1, PIXELS, generator=random)
    truth = centre + 0.1 * torch.randn(1, PIXELS, generator=random)
    return centre + shift + 0.1 * scale * noise, truth


def shares(samples: Tensor, truth: Tensor) -> np.ndarray:
    found = ranks(samples, truth, step=None).histogram[0].numpy()
    return found / found.sum()


def test_ranks_of_every_value_with_ties_in_equal_parts() -> None:
    random = torch.Generator().manual_seed(3)
    samples = torch.randint(0, 4, (5, 2, 60), generator=random).float()
    truth = torch.randint(0, 4, (2, 60), generator=random).float()
    missing = torch.rand(2, 60, generator=random) < 0.2
    found = ranks(samples, truth, step=None, missing=missing)
    for row in range(2):
        expected, certain = np.zeros(6), 0
        for pixel in range(60):
            drawn, true = samples[:, row, pixel].tolist(), truth[row, pixel].item()
            places = [r for r in range(6) if sum(x < true for x in drawn) <= r]
            places = [r for r in places if r <= sum(x <= true for x in drawn)]
            if not missing[row, pixel] and len(places) == 6:
                certain += 1
            elif not missing[row, pixel]:
                expected[places] += 1 / len(places)
        np.testing.assert_allclose(found.histogram[row].numpy(), expected, atol=1e-9)
        assert found.certain[row] == certain


def test_what_all_share_is_certain_and_a_miss_is_not() -> None:
    samples, truth = torch.zeros(4, 1, 3), torch.tensor([[0.0, 0.0, 1.0]])
    found = ranks(samples, truth, step=None)
    assert found.certain.tolist() == [2]
    assert found.histogram.tolist() == [[0, 0, 0, 0, 1]]


def test_less_than_half_a_gray_level_is_no_difference() -> None:
    samples, truth = torch.full((3, 1, 2), 0.0015), torch.tensor([[0.0, 0.0041]])
    assert ranks(samples, truth, step=None).certain.tolist() == [0]
    found = ranks(samples, truth, step=STEP)
    assert found.certain.tolist() == [1]
    assert found.histogram.tolist() == [[0, 0, 0, 1]]


@pytest.mark.parametrize("samples", [2, 5, 20])
@pytest.mark.parametrize("level", LEVELS)
def test_calibrated_samples_cover_what_they_should_however_few(samples: int, level: float) -> None:
    found = shares(*draws(samples))
    np.testing.assert_allclose(found, 1 / (samples + 1), atol=0.01)
    assert coverage(found, level) == pytest.approx(level, abs=0.01)


def test_values_that_repeat_leave_calibrated_samples_calibrated() -> None:
    """Most values are 0, as in frames of digits, and many of these are certain."""
    samples, truth = (values.sub(0.9).clamp(0, 1).mul(4).round() for values in draws(4))
    found = ranks(samples, truth, step=None)
    assert found.certain.item() > PIXELS / 2
    histogram = found.histogram[0].numpy()
    np.testing.assert_allclose(histogram / histogram.sum(), 1 / 5, atol=0.015)


@pytest.mark.parametrize("level", LEVELS)
def test_samples_that_scatter_too_little_or_too_much(level: float) -> None:
    little, much = (coverage(shares(*draws(20, scale)), level) for scale in (0.5, 2.0))
    assert little < level - 0.1
    assert much > level + 0.03
    ends = shares(*draws(20, 0.5))
    assert min(ends[0], ends[-1]) > 2 * ends[10]
    middle = shares(*draws(20, 2.0))
    assert max(middle[0], middle[-1]) < middle[10] / 2


def test_samples_that_are_too_bright() -> None:
    found = shares(*draws(20, shift=0.1))
    assert found[0] > 3 / 21 > 1 / 42 > found[-1]


def test_coverage_takes_parts_of_ranks() -> None:
    """Of 4 ranks the middle half is the two in the middle, the middle 80 % reaches out."""
    histogram = np.array([[8.0, 1.0, 0.0, 1.0], [0.0, 0.0, 0.0, 0.0]])
    assert coverage(histogram, 0.5)[0] == pytest.approx(0.1)
    assert coverage(histogram, 0.8)[0] == pytest.approx(0.1 + 0.6 * 0.9)
    assert np.isnan(coverage(histogram, 0.8)[1])


def test_what_is_reported_of_several_sequences_and_frames() -> None:
    """Frame 0 is calibrated, in frame 1 the samples scatter too little."""
    wide, narrow = (draws(9, scale) for scale in (1.0, 0.3))
    tally = Calibration()
    for part in range(20):
        pixels = slice(part * 2000, (part + 1) * 2000)
        tally.add([ranks(s[..., pixels], t[:, pixels], step=None) for s, t in (wide, narrow)])
    found = tally.info(seed=0)
    assert found is not None
    assert (found.samples, len(found.histogram)) == (9, 10)
    assert sum(found.histogram) == pytest.approx(1)
    covered = next(each for each in found.coverage if each.level == 0.8)
    early, late = covered.frames
    assert early == pytest.approx(0.8, abs=0.01)
    assert late < 0.5
    assert covered.share.mean == pytest.approx((early + late) / 2)
    assert covered.share.low < covered.share.mean < covered.share.high
    assert covered.share.high - covered.share.low < 0.03
    assert [each.resolved for each in found.coverage] == [True, True, False, False]
    assert found.certain == 0


def test_one_sequence_has_no_interval_and_certainty_alone_no_calibration() -> None:
    samples, truth = draws(5)
    one, none = Calibration(), Calibration()
    one.add([ranks(samples, truth, step=None)])
    none.add([ranks(torch.zeros(5, 1, 4), torch.zeros(1, 4), step=None)])
    found = one.info(seed=0)
    assert found is not None
    assert found.coverage[0].share.low is None
    assert none.info(seed=0) is None
