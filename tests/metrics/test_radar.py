"""Contingency counts against loops over pixels."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from framecast.errors import FramecastError
from framecast.evaluation.metrics.radar import contingency


def loop(prediction, target, threshold, missing) -> tuple[int, int, int]:
    hits = misses = alarms = 0
    for p, t, m in zip(prediction, target, missing, strict=True):
        if m or math.isnan(t):
            continue
        hits += p >= threshold and t >= threshold
        misses += not p >= threshold and t >= threshold
        alarms += p >= threshold and t < threshold
    return hits, misses, alarms


values = st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0, float("nan")]), min_size=12, max_size=12)


@given(values, values, st.lists(st.booleans(), min_size=12, max_size=12))
def test_counts_match_loops(prediction, target, missing) -> None:
    shape = (1, 1, 3, 4)
    table = contingency(
        torch.tensor(prediction).view(shape),
        torch.tensor(target).view(shape),
        (0.1, 0.5),
        missing=torch.tensor(missing).view(shape),
    )
    for index, threshold in enumerate((torch.tensor(0.1).item(), 0.5)):
        found = (table.hits, table.misses, table.false_alarms)
        single = (
            [float(torch.tensor(x)) for x in prediction],
            [float(torch.tensor(x)) for x in target],
        )
        expected = loop(*single, threshold, missing)
        assert tuple(int(count[0, index]) for count in found) == expected


def test_scores_are_ratios_of_sums_over_frames() -> None:
    prediction = torch.tensor([[1.0, 1, 0, 0], [1, 1, 1, 0]]).view(2, 1, 2, 2)
    target = torch.tensor([[1.0, 0, 1, 0], [1, 1, 1, 1]]).view(2, 1, 2, 2)
    table = contingency(prediction, target, [0.5])
    assert table.hits.tolist() == [[1], [3]]
    pooled = table.sum(0)
    assert pooled.csi.item() == pytest.approx(4 / 7)  # the mean of both would be (1/3 + 3/4) / 2
    assert pooled.pod.item() == pytest.approx(4 / 6)
    assert pooled.far.item() == pytest.approx(1 / 5)
    both = table + table
    assert both.sum(0).hits.item() == 8
    assert torch.equal(both.csi, table.csi)


def test_nothing_to_divide_by_is_nan() -> None:
    dry = torch.zeros(1, 1, 2, 2)
    table = contingency(dry, dry, [0.5])
    assert all(score.isnan().all() for score in (table.csi, table.pod, table.far))
    wet = contingency(dry, dry + 1, [0.5])
    assert (wet.csi.item(), wet.pod.item()) == (0, 0)
    assert wet.far.isnan().all()


def test_sequences_are_summed_and_lead_times_kept() -> None:
    generator = torch.Generator().manual_seed(0)
    prediction = torch.rand(4, 5, 1, 6, 6, generator=generator)
    target = torch.rand(4, 5, 1, 6, 6, generator=generator)
    table = contingency(prediction, target, (0.2, 0.8)).sum(0)
    assert table.csi.shape == (5, 2)
    for t in range(5):
        flat = prediction[:, t].flatten().tolist(), target[:, t].flatten().tolist()
        for k, threshold in enumerate((0.2, 0.8)):
            hits, misses, alarms = loop(*flat, threshold, [False] * 144)
            assert table.csi[t, k].item() == pytest.approx(hits / (hits + misses + alarms))


def test_mistakes_are_one_line() -> None:
    dry = torch.zeros(1, 1, 2, 2)
    with pytest.raises(FramecastError, match="threshold"):
        contingency(dry, dry, [])
    table = contingency(dry, dry, [0.5])
    for axes in ((), (-1,), (0, 1)):
        with pytest.raises(FramecastError, match="before the last"):
            table.sum(*axes)
