"""Contact sheets of predictions keep what they show, and nothing else."""

import itertools

import pytest
import torch

from framecast import pictures
from framecast.cli.sheet import COLUMNS, SIDE, Sheet, deviation


@pytest.fixture
def drawn(monkeypatch):
    """What reaches the drawing, as well as the drawing."""
    seen = {}
    draw = pictures.contact_sheet

    def spy(*tensors, **named):
        seen["tensors"], seen["named"] = tensors, named
        return draw(*tensors, **named)

    monkeypatch.setattr(pictures, "contact_sheet", spy)
    return seen


def _filled(context: int, horizon: int, known: int, size: tuple[int, int] = (4, 6)) -> Sheet:
    """A sheet whose n-th frame has the value n / 1000."""
    sheet, numbers = Sheet(context, horizon), itertools.count()
    for _ in range(context):
        sheet.observe(torch.full((1, *size), next(numbers) / 1000))
    for step in range(horizon):
        frame = torch.full((2, 1, *size), next(numbers) / 1000)
        sheet.predict(frame, frame[0] if step < known else None)
    return sheet


@pytest.mark.parametrize(("context", "horizon"), [(3, 2), (1, 1), (40, 300), (COLUMNS, COLUMNS)])
def test_frames_stand_under_their_numbers(tmp_path, drawn, context: int, horizon: int) -> None:
    _filled(context, horizon, known=horizon).save(tmp_path / "s.png", "title", 7, 10.0)
    before, after = drawn["named"]["kept"]
    observed, samples, truth = drawn["tensors"]
    assert (before[0], before[-1]) == (0, context - 1 if context > 1 else 0)
    assert (after[0], after[-1]) == (context, context + horizon - 1)
    assert len(before) == min(context, COLUMNS)
    assert len(after) == min(horizon, COLUMNS)
    for frames, numbers in ((observed, before), (samples[0], after), (samples[1], after)):
        assert torch.allclose(frames[:, 0, 0, 0] * 1000, torch.tensor(numbers).float())
    assert torch.equal(truth, samples[0])
    assert (tmp_path / "s.png").is_file()


def test_truth_is_kept_as_far_as_it_goes(tmp_path, drawn) -> None:
    _filled(2, 5, known=3).save(tmp_path / "s.png", "", 0, 10.0)
    assert len(drawn["tensors"][2]) == 3
    _filled(2, 5, known=0).save(tmp_path / "s.png", "", 0, 10.0)
    assert drawn["tensors"][2] is None


def test_large_frames_are_made_smaller(tmp_path, drawn) -> None:
    _filled(1, 1, known=1, size=(100, 1000)).save(tmp_path / "s.png", "", 0, 10.0)
    assert drawn["tensors"][0].shape[-2:] == (26, SIDE)


def test_the_scatter_of_samples_in_each_pixel() -> None:
    random = torch.Generator().manual_seed(0)
    samples = torch.rand(5, 3, 2, 4, generator=random)
    expected = samples.double().numpy().std(0, ddof=1).mean(0)
    torch.testing.assert_close(deviation(samples).double(), torch.from_numpy(expected))
    assert not deviation(samples[:1]).any()
    assert not deviation(samples[:1].repeat(5, 1, 1, 1)).any()


@pytest.mark.parametrize("differ", [True, False])
def test_the_sheet_gets_the_scatter_of_the_frames_that_it_shows(
    tmp_path, drawn, differ: bool
) -> None:
    """Frame n scatters by n / 100 in its left half alone; every second frame is shown."""
    sheet = Sheet(1, 2 * COLUMNS - 1)
    sheet.observe(torch.zeros(1, 4, 6))
    for step in range(2 * COLUMNS - 1):
        samples = torch.zeros(2, 1, 4, 6)
        if differ:
            samples[0, :, :, :3] = step / 100 * 2**0.5
        sheet.predict(samples, None)
    sheet.save(tmp_path / "s.png", "", 0, 10.0)
    found = drawn["named"]["deviation"]
    assert found.shape == (COLUMNS, 4, 6)
    expected = torch.arange(COLUMNS) * 2 / 100 if differ else torch.zeros(COLUMNS)
    torch.testing.assert_close(found[:, 0, 0], expected)
    assert not found[:, :, 3:].any()
