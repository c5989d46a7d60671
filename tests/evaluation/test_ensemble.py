"""Samples put aside: what they say together, wherever they lie and however they are cut."""

import errno
import os

import numpy as np
import pytest
import torch
from torch import Tensor

from framecast.errors import FramecastError
from framecast.evaluation import ensemble
from framecast.evaluation.calibration import STEP, ranks
from framecast.evaluation.ensemble import Ensemble, Together

SAMPLES, SHAPE = 7, (2, 3, 2, 4, 5)  # b t c h w


def frames(seed: int = 0) -> Tensor:
    return torch.rand(SAMPLES, *SHAPE, generator=torch.Generator().manual_seed(seed))


def filled(drawn: Tensor, in_memory: int = 2**20) -> Ensemble:
    """Put aside in portions of 4 and 3 samples."""
    found = Ensemble(len(drawn), drawn.shape[1:], in_memory)
    for first, portion in ((0, drawn[:4]), (4, drawn[4:])):
        for number in range(drawn.shape[2]):
            found.put(number, first, portion[:, :, number])
    return found


def compared(store: Ensemble, truth: Tensor, number: int = 1) -> Together:
    return store.frame(number, truth[:, number], None, (3, SAMPLES))


def assert_equal(one: Together, two: Together) -> None:
    for key, value in one.values.items():
        torch.testing.assert_close(two.values[key], value)
    for count, mean in one.means.items():
        torch.testing.assert_close(two.means[count], mean)
    torch.testing.assert_close(two.ranks.histogram, one.ranks.histogram)
    assert torch.equal(two.ranks.certain, one.ranks.certain)


def test_every_pair_and_every_pixel() -> None:
    drawn, truth = frames(), frames(1)[0]
    found = compared(filled(drawn), truth)
    exact, true = drawn[:, :, 1].double().numpy(), truth[:, 1].double().numpy()
    pairs = [(a, b) for a in range(SAMPLES) for b in range(a)]
    for row in range(2):
        away = np.mean([np.abs(x[row] - true[row]).mean() for x in exact])
        apart = np.mean([np.abs(exact[a, row] - exact[b, row]).mean() for a, b in pairs])
        squared = np.mean([np.square(exact[a, row] - exact[b, row]).sum() for a, b in pairs])
        expected = {
            "crps": away - apart / 2,
            "crps-plain": away - apart * (SAMPLES - 1) / SAMPLES / 2,
            "spread": apart,
            "diversity": squared,
        }
        assert list(found.values) == list(expected)
        for key, value in expected.items():
            assert found.values[key][row].item() == pytest.approx(value, rel=1e-5)
    torch.testing.assert_close(found.means[3], drawn[:3, :, 1].mean(0))
    torch.testing.assert_close(found.means[SAMPLES], drawn[:, :, 1].mean(0))
    whole = ranks(drawn[:, :, 1].flatten(2), truth[:, 1].flatten(1), step=STEP)
    torch.testing.assert_close(found.ranks.histogram, whole.histogram)


@pytest.mark.parametrize("portion", [1, 100])
def test_portions_of_pixels_change_nothing(monkeypatch: pytest.MonkeyPatch, portion: int) -> None:
    store, truth = filled(frames()), frames(1)[0]
    expected = compared(store, truth)
    monkeypatch.setattr(ensemble, "PORTION", portion)
    assert_equal(expected, compared(store, truth))


def test_a_file_changes_nothing() -> None:
    drawn, truth = frames(), frames(1)[0]
    memory, disk = filled(drawn), filled(drawn, in_memory=drawn.numel() * 4 - 1)
    assert (memory.in_file, disk.in_file) == (False, True)
    assert_equal(compared(memory, truth), compared(disk, truth))


def test_missing_values_have_no_rank() -> None:
    store, truth = filled(frames()), frames(1)[0]
    missing = torch.zeros(truth[:, 0].shape, dtype=torch.bool)
    missing[..., :2] = True
    found = store.frame(0, truth[:, 0], missing, ())
    assert (found.ranks.histogram.sum(1) + found.ranks.certain).tolist() == [2 * 4 * 3] * 2


def test_equal_samples_differ_by_nothing_and_miss_on_one_side() -> None:
    drawn, truth = frames()[:1].expand(SAMPLES, *SHAPE), frames(1)[0]
    found = compared(filled(drawn), truth)
    assert (found.values["spread"] == 0).all()
    assert (found.values["diversity"] == 0).all()
    error = (drawn[0, :, 1] - truth[:, 1]).abs().flatten(1).mean(1)
    torch.testing.assert_close(found.values["crps"].float(), error)
    assert torch.equal(found.means[3], drawn[0, :, 1])
    whole = ranks(drawn[:, :, 1].flatten(2), truth[:, 1].flatten(1), step=STEP)
    torch.testing.assert_close(found.ranks.histogram, whole.histogram)


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="room cannot be asked for here")
def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(FramecastError, match=r"No space left.*TMPDIR") as caught:
        Ensemble(SAMPLES, SHAPE, in_memory=0)
    assert "\n" not in str(caught.value)
