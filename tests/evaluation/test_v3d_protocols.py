"""Protocols of V3D-ConvLSTM's paper, on a model of its kind: 50 samples, averaged, over time."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from framecast import registry
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.evaluation import drawing
from framecast.evaluation.metrics import SETS, evaluate_frames
from framecast.evaluation.protocol import find
from framecast.evaluation.result import Result
from framecast.evaluation.runner import evaluate
from framecast.model import Model
from framecast.models.v3d_convlstm.model import V3DConvLSTMConfig
from framecast.pictures import Plot, curves

NAMES = [name for name in registry.names("protocols") if name.endswith("@v3d")]
DIGITS = replace(
    find("moving-mnist/5-10@v3d"),
    data=MovingDigits(digits="glyphs", variant="v3d", pool="train", test_size=2),
)
"""As published but for two sequences of drawn digits."""
METRICS = ("mse", "psnr", "ssim")


def tiny(latent: int) -> Model:
    """A model whose samples differ, and change as the frames go on."""
    torch.manual_seed(0)
    config = V3DConvLSTMConfig(window=2, width=2, hidden=3, latent=latent, trunk=2)
    model = config.build().eval()
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    return model


@cache
def by_hand(latent: int, samples: int) -> dict[str, np.ndarray]:
    """Scores of every future alone: sample, sequence, frame."""
    model = tiny(latent)
    context, horizon = DIGITS.lengths()
    source = DIGITS.data.source("test", context + horizon, 0)
    found: dict[str, list[list[np.ndarray]]] = {key: [] for key in METRICS}
    for index in range(2):
        frames = source[(0, index)].frames
        drawn = model.predict(frames[None, :context], horizon, samples=samples, sequences=[index])
        each = [
            evaluate_frames(SETS["standard"], one, frames[context:])
            for one in drawn.unclipped[:, 0]
        ]
        for key in METRICS:
            found[key].append([scores[key].numpy() for scores in each])
    return {key: np.array(values).swapaxes(0, 1) for key, values in found.items()}


@pytest.mark.parametrize("name", NAMES)
def test_protocols_are_the_papers(name: str) -> None:
    """Section 4.1: 50 samples whose scores are averaged, whatever the data and the lengths."""
    protocol = find(name)
    assert (protocol.samples, protocol.reduce, protocol.metrics) == (50, "mean", "standard")
    assert protocol.report_frames == ()
    data = protocol.data
    if isinstance(data, MovingDigits):
        assert (data.variant, data.pool, data.count) == ("v3d", "train", 2)
        assert (data.train_size, data.validation_size, data.test_size) == (10_000, 1_000, 1_000)
    else:
        assert isinstance(data, Kth)
        assert (data.size, data.persons) == (128, "1-16/17-25")


def test_the_lengths_are_the_papers() -> None:
    """Tables 1 and 2."""
    lengths = {name: find(name).lengths() for name in NAMES}
    digits = {value for name, value in lengths.items() if name.startswith("moving")}
    assert digits == {(5, 10), (5, 15), (10, 10), (10, 20)}
    assert set(lengths.values()) - digits == {(10, 40), (10, 60)}
    assert lengths["kth/10-20@v3d"] == (10, 20)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, dict[str, Plot]]:
    """A result of 50 samples, and the plots of its curves over time."""
    shown: list[list[Plot]] = []

    def watched(plots: list[Plot], title: str, axis: str):
        shown.append(plots)
        return curves(plots, title, axis)

    out: Path = tmp_path_factory.mktemp("v3d") / "results"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drawing, "curves", watched)
        result = evaluate(tiny(latent=2), DIGITS, out=out, batch=128)
    assert (out / "curves.png").is_file()
    return result, {plot.title: plot for plot in shown[0]}


@pytest.mark.parametrize("metric", METRICS)
def test_scores_of_50_samples_are_averaged(drawn: tuple[Result, dict], metric: str) -> None:
    """Each of them is scored for itself; the best one and the mean frame are other lines."""
    result, _ = drawn
    scores = by_hand(2, 50)[metric]
    assert scores.std(0).min() > 0
    found = [point.mean for point in result.rows[0].curves[metric]]
    assert found == pytest.approx(scores.mean((0, 1)), rel=1e-4)
    assert result.rows[0].values[metric].mean == pytest.approx(scores.mean(), rel=1e-4)
    others = {row.name: row.values[metric].mean for row in result.rows[1:]}
    best = scores.mean(2).min(0) if metric == "mse" else scores.mean(2).max(0)
    assert others["v3d-convlstm, best of 50"] == pytest.approx(best.mean(), rel=1e-4)


def test_degradation_is_drawn_for_every_metric(drawn: tuple[Result, dict[str, Plot]]) -> None:
    """One plot each: a point per predicted frame with its interval, the baselines beside."""
    result, plots = drawn
    assert {info.label for info in result.metrics.values()} == set(plots)
    for metric in METRICS:
        plot = plots[result.metrics[metric].label]
        assert {"v3d-convlstm", "copy-last", "context-mean"} < set(plot.series)
        curve = plot.series["v3d-convlstm"]
        assert curve.x.tolist() == list(range(1, 11))
        assert (curve.low < curve.mean).all()
        assert (curve.mean < curve.high).all()


def test_a_deterministic_variant_has_one_future() -> None:
    """Table 3's 2D ConvLSTM under the same protocol."""
    result = evaluate(tiny(latent=0), DIGITS, batch=128)
    scores = by_hand(0, 1)["mse"]
    assert [row.role for row in result.rows] == ["model", "baseline", "baseline"]
    assert result.rows[0].values["mse"].mean == pytest.approx(scores.mean(), rel=1e-4)
