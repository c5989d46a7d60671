"""Contact sheets, read back pixel by pixel."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import picture
from PIL import Image

from framecast.cli.sheet import COLUMNS, ROWS, SIDE, Sheet, save_rows


def _pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def _contains(sheet: np.ndarray, image: np.ndarray) -> bool:
    height, width = image.shape[:2]
    windows = np.lib.stride_tricks.sliding_window_view(sheet, (height, width, 3))[:, :, 0]
    corners = np.argwhere((windows[:, :, 0, 0] == image[0, 0]).all(-1))
    return any((windows[y, x] == image).all() for y, x in corners)


def _frame(number: int) -> torch.Tensor:
    return torch.from_numpy(picture(number, 48, 64)).permute(2, 0, 1) / 255


def test_truth_stands_above_predictions_and_blanks_are_white(tmp_path: Path) -> None:
    sheet = Sheet(context=2, horizon=2, samples=1)
    for number in range(2):
        sheet.observe(_frame(number))
    sheet.predict(_frame(10)[None], _frame(2))
    sheet.predict(_frame(11)[None], None)
    sheet.save(tmp_path / "s.png")
    pixels = _pixels(tmp_path / "s.png")
    half = len(pixels) // 2 + 8
    for number in (0, 1, 2):
        assert _contains(pixels[:half], picture(number, 48, 64))
    for number in (10, 11):
        assert _contains(pixels[half - 10 :], picture(number, 48, 64))
        assert not _contains(pixels[:half], picture(number, 48, 64))


def test_long_predictions_are_thinned_and_many_samples_cut(tmp_path: Path) -> None:
    widths, heights = set(), set()
    for horizon, samples in ((COLUMNS, ROWS), (100, 50)):
        sheet = Sheet(1, horizon, samples)
        sheet.observe(_frame(0))
        for _ in range(horizon):
            sheet.predict(torch.zeros(samples, 3, 48, 64), None)
        sheet.save(tmp_path / "s.png")
        heights.add(_pixels(tmp_path / "s.png").shape[0])
        widths.add(_pixels(tmp_path / "s.png").shape[1])
        assert max(sheet.predicted) == horizon - 1
        assert min(sheet.predicted) == 0
    assert len(widths) == len(heights) == 1


@pytest.mark.parametrize(("side", "shown"), [(1000, SIDE), (20, 60), (100, 100)])
def test_cells_are_of_a_size_to_look_at(tmp_path: Path, side: int, shown: int) -> None:
    sheet = Sheet(1, 1, 1)
    sheet.observe(torch.full((1, side, side), 0.2))
    sheet.predict(torch.ones(1, 1, side, side), None)
    sheet.save(tmp_path / "s.png")
    dark = (_pixels(tmp_path / "s.png") == 51).all(-1)
    assert dark.sum(1).max() == shown
    assert dark.sum(0).max() == shown


def test_rows_have_their_names(tmp_path: Path) -> None:
    for name in ("a", "a much longer name"):
        save_rows({name: [_frame(0)]}, tmp_path / f"{len(name)}.png")
    assert _pixels(tmp_path / "18.png").shape[1] > _pixels(tmp_path / "1.png").shape[1] + 50
