"""Columns beside the metric sets: sharpness, and events at thresholds in units."""

import csv
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from handmade import Handmade, HandmadeClips, Toy, ToyConfig

from framecast.clip import Clip, Key, Split
from framecast.data.arrays import Arrays
from framecast.evaluation import drawing
from framecast.evaluation.columns import Columns, gradient_energy, metric_set, sharpness
from framecast.evaluation.events import EventScores
from framecast.evaluation.protocol import Protocol, find
from framecast.evaluation.runner import evaluate
from framecast.models.copy_last import CopyLast, CopyLastConfig
from framecast.pictures import Plot, curves

THRESHOLDS = (1.0, 4.0)
CONTEXT, HORIZON = 2, 3


@dataclass(frozen=True)
class Growing(Handmade):
    """Frames of one pattern whose contrast grows evenly with time."""

    type: ClassVar[str] = "growing"

    def source(self, split: Split, frames: int, seed: int) -> HandmadeClips:
        return GrowingClips(self, frames)


class GrowingClips(HandmadeClips):
    def __getitem__(self, key: Key) -> Clip:
        growth = torch.arange(1.0, self.frames + 1)[:, None, None, None] / self.frames
        return Clip(super().__getitem__(key).frames * growth)


SHARPER = Protocol("sharper", Growing(still=True), 3, 3)


def test_gradient_energy_pixel_by_pixel() -> None:
    frames = torch.rand(2, 3, 5, 6, generator=torch.Generator().manual_seed(0))
    plain = frames.double().numpy()
    for found, frame in zip(gradient_energy(frames), plain, strict=True):
        lengths = [
            ((c[y, x + 1] - c[y, x]) ** 2 + (c[y + 1, x] - c[y, x]) ** 2) ** 0.5
            for c in frame
            for y in range(4)
            for x in range(5)
        ]
        assert found.item() == pytest.approx(np.mean(lengths))


def test_blur_is_below_one_and_noise_above() -> None:
    random = torch.Generator().manual_seed(0)
    truth = torch.rand(1, 1, 32, 32, generator=random)
    blurred = torch.nn.functional.avg_pool2d(truth, 3, stride=1, padding=1)
    assert sharpness(blurred, truth) < 0.6
    assert sharpness(truth, truth) == 1
    assert sharpness(truth, blurred) > 1.5


def test_flat_frames() -> None:
    flat, rough = torch.zeros(1, 1, 4, 4), torch.eye(4)[None, None]
    assert sharpness(flat, flat) == 1
    assert sharpness(flat, rough) == 0
    assert sharpness(rough, flat).isinf()


def test_sharpness_of_each_predicted_frame_is_in_the_curves(tmp_path: Path) -> None:
    """Of frames that grow sharper, the last observed one has less and less of the sharpness."""
    result = evaluate(Toy(ToyConfig()), SHARPER, out=tmp_path / "r")
    expected = [3 / (3 + ahead) for ahead in (1, 2, 3)]
    with (tmp_path / "r" / "curves.csv").open() as file:
        lines = [
            line
            for line in csv.DictReader(file)
            if (line["model"], line["metric"]) == ("toy", "gradient-energy-ratio")
        ]
    assert [int(line["frame"]) for line in lines] == [1, 2, 3]
    assert [float(line["mean"]) for line in lines] == pytest.approx(expected, rel=1e-5)
    assert result.metrics["gradient-energy-ratio"].label == "gradient energy ratio"


def test_the_curves_have_a_plot_of_sharpness(tmp_path: Path, monkeypatch) -> None:
    drawn: list[Plot] = []

    def watched(plots, *rest):
        drawn.extend(plots)
        return curves(plots, *rest)

    monkeypatch.setattr(drawing, "curves", watched)
    evaluate(Toy(ToyConfig()), SHARPER, out=tmp_path / "r")
    (plot,) = (plot for plot in drawn if plot.title == "gradient energy ratio")
    np.testing.assert_allclose(plot.series["toy"].mean, [3 / 4, 3 / 5, 3 / 6], rtol=1e-5)


def test_a_set_with_another_network_has_its_own_name() -> None:
    assert metric_set("standard-squeeze").keys[-1] == "lpips-squeeze"
    assert metric_set("standard").keys[-1] == "lpips-alex"


def test_what_cannot_be_computed_is_left_out_with_a_reason(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)
    columns = Columns.of(find("glyphs/10-10"), None)
    assert list(columns.omitted) == ["lpips-alex"]
    assert "lpips-alex" not in columns.infos(several=False)


@pytest.fixture
def rain(tmp_path: Path) -> Path:
    """One array of whole millimetres, so that many values are exactly at a threshold; in some
    places nothing was measured."""
    random = np.random.default_rng(0)
    values = random.integers(0, 8, (40, 16, 16)).astype(np.float32)
    values[random.random(values.shape) < 0.2] = np.nan
    np.save(tmp_path / "rain.npy", values)
    return tmp_path


@pytest.mark.parametrize("knee", [None, 0.5])
def test_events_are_counted_in_units_and_divided_at_the_end(rain: Path, knee: float | None) -> None:
    data = Arrays(range=(0.0, 10.0), log_knee=knee, splits=(0.3, 0.2, 0.5), stride=2)
    protocol = replace(
        find("arrays"), data=data, context=CONTEXT, horizon=HORIZON, thresholds=THRESHOLDS
    )
    result = evaluate(CopyLast(CopyLastConfig()), protocol, root=rain, batch=3)
    values = np.load(rain / "rain.npy")[20:]
    starts = range(0, len(values) - CONTEXT - HORIZON + 1, 2)
    assert result.data.sequences == len(starts)
    for threshold in THRESHOLDS:
        counts = np.zeros((HORIZON, 3))
        for start in starts:
            predicted = np.nan_to_num(values[start + CONTEXT - 1]) >= threshold
            for t in range(HORIZON):
                measured = np.isfinite(values[start + CONTEXT + t])
                seen = values[start + CONTEXT + t] >= threshold
                counts[t] += [
                    (predicted & seen).sum(),
                    (~predicted & seen).sum(),
                    (predicted & ~seen & measured).sum(),
                ]
        for t in range(HORIZON):
            hits, misses, _ = counts[t]
            found = result.rows[0].curves[f"pod@{threshold:g}"][t].mean
            assert found == pytest.approx(hits / (hits + misses))
        hits, misses, false = counts.sum(0)
        row = result.rows[0].values
        assert row[f"csi@{threshold:g}"].mean == pytest.approx(hits / (hits + misses + false))
        assert row[f"far@{threshold:g}"].mean == pytest.approx(false / (hits + false))
        csi = row[f"csi@{threshold:g}"]
        assert csi.low < csi.mean < csi.high
    assert result.metrics["csi@1"].higher_is_better
    assert not result.metrics["far@1"].higher_is_better


def test_a_ratio_without_events_is_unknown() -> None:
    scores = EventScores(Arrays(range=(0.0, 10.0)), (5.0,))
    found = scores.values(np.zeros((3, 1, 3), dtype=np.int64), seed=0)
    assert found["csi@5"].mean is None
    assert not found["csi@5"].infinite


def test_the_interval_of_events_covers_what_sequences_differ_by() -> None:
    """Equal sequences leave no doubt, different ones do."""
    scores = EventScores(Arrays(range=(0.0, 10.0)), (5.0,))
    equal = np.tile(np.array([[[6, 2, 2]]]), (20, 1, 1))
    csi = scores.values(equal, seed=0)["csi@5"]
    assert csi.low == csi.high == pytest.approx(0.6)
    mixed = equal.copy()
    mixed[::2] = [1, 5, 4]
    csi = scores.values(mixed, seed=0)["csi@5"]
    assert csi.low < 0.3 < 0.4 < csi.high
