"""Evaluations of models that sample: of how many samples, reduced how, calibrated how."""

import csv
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from handmade import Handmade, HandmadeClips, Toy, ToyConfig
from safetensors.torch import save_file

from framecast.clip import Clip, Key, Split
from framecast.evaluation import drawing, results_folder
from framecast.evaluation.columns import Columns
from framecast.evaluation.metrics import SETS, evaluate_frames, lpips
from framecast.evaluation.metrics.features import CHANNELS, FILES, Features
from framecast.evaluation.protocol import Protocol
from framecast.evaluation.reduction import Reduction, best_of, counts, others
from framecast.evaluation.report import table
from framecast.evaluation.result import Result, Row
from framecast.evaluation.runner import evaluate
from framecast.evaluation.scoring import Keep, score_model
from framecast.model import Options, Step
from framecast.noise import Noise
from framecast.pictures import Plot, curves

CONTEXT, HORIZON, SAMPLES = 2, 3, 7
MEAN = Protocol(
    "mean", Handmade(count=3), CONTEXT, HORIZON, samples=SAMPLES, reduce="mean", metrics="svg"
)
BEST = replace(MEAN, name="best", reduce="best-of", best_by=("ssim", "psnr"))


def row(result: Result, name: str) -> Row:
    return next(row for row in result.rows if row.name == name)


def futures(model: Toy) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """All samples of each sequence, `s t c h w`, and its true frames."""
    source = MEAN.data.source("test", CONTEXT + HORIZON, 0)
    for index in range(len(source)):
        frames = source[(0, index)].frames
        context = frames[None, :CONTEXT]
        drawn = model.predict(context, HORIZON, samples=SAMPLES, sequences=[index])
        yield drawn.unclipped[:, 0], frames[CONTEXT:]


def curve(found: Row, metric: str) -> list[float | None]:
    return [point.mean for point in found.curves[metric]]


def test_numbers_of_samples_that_are_reported() -> None:
    assert counts(100) == (5, 50, 100)
    assert counts(20) == (5, 20)
    assert counts(5) == (5,)
    assert counts(2) == (2,)
    ranked = list(BEST.best_by)
    assert others(replace(MEAN, samples=None, reduce="single"), ranked) == []
    names = [each.name for each in others(replace(BEST, samples=100), ranked)]
    assert names == [
        *("best of 5", "best of 50"),
        *(f"mean score of {n}" for n in (5, 50, 100)),
        *(f"mean frame of {n}" for n in (5, 50, 100)),
    ]
    assert Reduction("mean score", 7) not in others(MEAN, ranked)
    assert Reduction("best", 7) in others(replace(BEST, samples=7), [*ranked, "mse"]), (
        "the protocol's own line has the mean of mse"
    )


def test_a_score_that_is_no_number_is_not_hidden() -> None:
    scores = torch.tensor([1.0, math.nan, 5.0])[:, None, None]
    for higher_is_better in (True, False):
        assert best_of(scores, higher_is_better).isnan().all()


@pytest.mark.parametrize("metric", ["psnr", "ssim"])
@pytest.mark.parametrize("count", [5, SAMPLES])
def test_each_reduction_of_the_first_samples(toy: Toy, metric: str, count: int) -> None:
    result = evaluate(toy, MEAN, batch=4)
    expected: dict[str, list[np.ndarray]] = {"best": [], "mean score": [], "mean frame": []}
    for drawn, truth in futures(toy):
        scores = np.array(
            [evaluate_frames(SETS["svg"], each, truth)[metric].numpy() for each in drawn[:count]]
        )
        expected["best"].append(scores[scores.mean(1).argmax()])
        expected["mean score"].append(scores.mean(0))
        mean = drawn[:count].clamp(0, 1).double().mean(0).float()
        expected["mean frame"].append(evaluate_frames(SETS["svg"], mean, truth)[metric].numpy())
    for kind, values in expected.items():
        own = (kind, count) == ("mean score", SAMPLES)
        found = row(result, "toy" if own else f"toy, {kind} of {count}")
        assert curve(found, metric) == pytest.approx(np.mean(values, 0), rel=1e-4)
        assert found.samples == (None if own else count)
        middle = found.curves[metric][1]
        assert middle.low < middle.mean < middle.high


def test_the_first_samples_of_many_are_the_few(toy: Toy) -> None:
    many, few = evaluate(toy, MEAN, batch=4), evaluate(toy, replace(MEAN, samples=5))
    for kind in ("best", "mean frame"):
        one, two = (row(each, f"toy, {kind} of 5") for each in (many, few))
        for metric in ("psnr", "ssim"):
            assert curve(one, metric) == pytest.approx(curve(two, metric), rel=1e-6)
    assert curve(row(many, "toy, mean score of 5"), "ssim") == pytest.approx(
        curve(few.rows[0], "ssim"), rel=1e-6
    )


def test_more_samples_have_a_better_best(toy: Toy) -> None:
    result = evaluate(toy, BEST)
    for metric in ("psnr", "ssim"):
        few = row(result, "toy, best of 5").values[metric].mean
        many = result.rows[0].values[metric].mean
        assert row(result, f"toy, mean score of {SAMPLES}").values[metric].mean < few <= many


@dataclass(frozen=True)
class Noisy(Handmade):
    """One picture plus noise as strong as that of a toy whose width is 0.1."""

    type: ClassVar[str] = "noisy-picture"

    def source(self, split: Split, frames: int, seed: int) -> "NoisyClips":
        return NoisyClips(self, frames)


class NoisyClips(HandmadeClips):
    def __getitem__(self, key: Key) -> Clip:
        random = torch.Generator().manual_seed(key[1])
        picture = torch.rand(1, 1, 16, 16, generator=random) * 0.2 + 0.4
        noise = 0.1 * torch.randn(self.frames, 1, 16, 16, generator=random)
        noise[:CONTEXT] = 0
        return Clip((picture + noise).clamp(0, 1))


@pytest.mark.parametrize(("width", "sign"), [(0.05, -1), (0.1, 0), (0.2, 1)])
def test_calibration_of_a_model_whose_scatter_is_known(toy: Toy, width: float, sign: int) -> None:
    protocol = replace(MEAN, data=Noisy(count=8), samples=20)
    result = evaluate(Toy(ToyConfig(width=width)), protocol)
    found = result.calibration
    assert found is not None
    assert (found.samples, len(found.coverage[0].frames)) == (20, HORIZON)
    for each in found.coverage:
        difference = (each.share.mean or 0) - each.level
        assert abs(difference) < 0.03 if sign == 0 else sign * difference > 0.03
    values = result.rows[0].values
    if sign == 0:  # two samples are as far apart as a sample is from the truth
        standard = evaluate(Toy(ToyConfig(width=width)), replace(protocol, metrics="standard"))
        assert standard.rows[0].values["mse"].mean == pytest.approx(
            values["diversity"].mean, rel=0.05
        )
    note = next(note for note in table(result).notes if note.startswith("calibration"))
    assert "in the middle 90 %, " in note
    assert note.count("%*") == 1  # of 20 samples, only the middle 95 % is not resolved


class Stubborn(Toy):
    """Its samples are all equal, each with memory of its own."""

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        for _ in range(horizon):
            yield Step(context.frames[:, -1].repeat(samples or 1, 1, 1, 1, 1) * 0.9)


def test_equal_samples_have_no_reductions_and_no_calibration(toy: Toy, tmp_path: Path) -> None:
    result = evaluate(Stubborn(ToyConfig()), MEAN, out=tmp_path / "r")
    assert [each.name for each in result.rows] == ["toy", "copy-last", "context-mean"]
    values = result.rows[0].values
    assert (values["spread"].mean, values["diversity"].mean) == (0, 0)
    assert result.calibration is None
    assert any("all samples are equal" in note for note in table(result).notes)
    names = {path.name for path in (tmp_path / "r").iterdir()}
    assert not names & {"samples.png", "calibration.png"}


def test_pictures_and_lines_of_samples(toy: Toy, tmp_path: Path, monkeypatch) -> None:
    drawn: dict[str, list[Plot]] = {}

    def watched(plots, title, xlabel):
        drawn[f"{xlabel} {len(drawn)}"] = list(plots)
        return curves(plots, title, xlabel)

    monkeypatch.setattr(drawing, "curves", watched)
    result = evaluate(toy, BEST, out=tmp_path / "r")
    names = {path.name for path in (tmp_path / "r").iterdir()}
    assert {"samples.png", "calibration.png"} < names
    over_time, by_number, calibration = drawn.values()
    shown = {plot.title: list(plot.series) for plot in over_time}["PSNR (mean over channels)"]
    assert shown == ["toy", "toy, mean score of 7", "toy, mean frame of 7", "copy-last",
                     "context-mean"]  # fmt: skip
    assert "spread" in {plot.title for plot in over_time}
    assert [plot.title for plot in by_number] == [
        "PSNR (mean over channels)",
        "SSIM (7×7, range 2)",
    ]
    shown = list(by_number[0].series)
    assert {"toy", "toy, best of 5", "toy, mean frame of 5", "toy, mean frame of 7"} < set(shown)
    covered, falls = calibration
    assert result.calibration is not None
    shares = [100 * (each.share.mean or 0) for each in result.calibration.coverage]
    np.testing.assert_allclose(covered.series["toy"].mean, [0, *shares, 100])
    np.testing.assert_allclose(
        falls.series["toy"].mean, np.array(result.calibration.histogram) * (SAMPLES + 1)
    )
    with (tmp_path / "r" / "curves.csv").open() as file:
        lines = [line for line in csv.DictReader(file) if line["metric"] == "coverage-0.5"]
    frames = result.calibration.coverage[0].frames
    assert [float(line["mean"]) for line in lines] == pytest.approx(frames)


def test_results_of_format_2_are_still_read(toy: Toy, tmp_path: Path) -> None:
    result = evaluate(toy, MEAN, out=tmp_path / "r")
    path = tmp_path / "r" / "results.json"
    document = json.loads(path.read_text())
    document["format_version"] = 2
    del document["calibration"]
    for each in document["rows"]:
        del each["samples"]
    path.write_text(json.dumps(document))
    found = results_folder.read(path)
    assert found.calibration is None
    assert [each.values for each in found.rows] == [each.values for each in result.rows]
    assert table(found).rows == table(result).rows


def test_perceptual_distance_of_samples_in_pairs(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every portion compares its samples 0 and 1, 2 and 3 …, whatever compares them."""
    context, truth = (Clip(torch.rand(2, n, 1, 16, 16)) for n in (CONTEXT, HORIZON))
    columns = Columns.of(MEAN, None)
    found = score_model(
        toy,
        context,
        truth,
        columns,
        apart=lambda one, two: {"away": (one - two).abs().flatten(2).amax(2)},
        counts=(SAMPLES,),
        samples=SAMPLES,
        rows=8,
        seed=0,
        sequences=(4, 9),
        options=None,
        keep=Keep((), ()),
    )
    drawn = toy.predict(context, HORIZON, samples=SAMPLES, sequences=[4, 9]).unclipped
    pairs = [(drawn[n] - drawn[n + 1]).abs().flatten(2).amax(2) for n in (0, 2, 4)]
    torch.testing.assert_close(found.together["away"].float(), torch.stack(pairs).mean(0))


def test_lpips_between_samples_where_its_weights_are_given(toy: Toy, tmp_path: Path) -> None:
    torch.manual_seed(0)
    save_file(Features("squeeze").state_dict(), tmp_path / FILES["squeeze"])
    heads = {
        f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1) for n, c in enumerate(CHANNELS["squeeze"])
    }
    save_file(heads, tmp_path / "lpips-v0.1-squeeze.safetensors")
    protocol = replace(
        MEAN, data=Handmade(count=1, size=32), samples=2, metrics="standard-squeeze", horizon=1
    )
    result = evaluate(toy, protocol, weights=tmp_path)
    frames = protocol.data.source("test", CONTEXT + 1, 0)[(0, 0)].frames
    one, two = toy.predict(frames[None, :CONTEXT], 1, samples=2).frames[:, 0]
    expected = lpips.lpips(one, two, lpips.load("squeeze", "0.1", tmp_path, one.device))
    key = "diversity-lpips-squeeze"
    assert result.rows[0].values[key].mean == pytest.approx(expected.item(), rel=1e-4)
    assert result.metrics[key].label == "diversity (LPIPS (squeeze))"
    assert result.metrics[key].higher_is_better is None
