"""Evaluations, against figures computed one sequence and one frame at a time with numpy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from handmade import Handmade, Toy, ToyConfig, ToyOptions
from scipy import stats

from framecast.errors import ConfigError, DataError
from framecast.evaluation.protocol import Protocol, find
from framecast.evaluation.result import Interval, Result, Row
from framecast.evaluation.runner import evaluate
from framecast.models.convlstm import ConvLSTM, ConvLSTMConfig
from framecast.models.copy_last import CopyLast, CopyLastConfig

CONTEXT, HORIZON = 3, 4
SINGLE = Protocol("single", Handmade(), CONTEXT, HORIZON)
MEAN = replace(SINGLE, name="mean", samples=5, reduce="mean")
BEST = replace(SINGLE, name="best", samples=5, reduce="best-of", best_by=("ssim", "psnr"))
PLAIN = ("mse", "mae", "psnr")


@pytest.fixture
def convlstm() -> ConvLSTM:
    torch.manual_seed(0)
    return ConvLSTM(ConvLSTMConfig(hidden=(4,), kernel=3, patch=4))


def clips(protocol: Protocol) -> list[np.ndarray]:
    source = protocol.data.source("test", CONTEXT + HORIZON, 0)
    return [source[(0, index)].frames.numpy().astype(np.float64) for index in range(len(source))]


def scores(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Of one frame, from the definitions."""
    difference = prediction.clip(0, 1) - truth
    squared = (difference**2).sum()
    psnr = 10 * np.log10(truth.size / squared)
    return {"mse": squared, "mae": np.abs(difference).sum(), "psnr": psnr}


def samples_of(model: Toy, protocol: Protocol) -> list[np.ndarray]:
    """All futures of every sequence, each sequence on its own: s t c h w."""
    found = []
    for index, clip in enumerate(clips(protocol)):
        context = torch.from_numpy(clip[None, :CONTEXT]).float()
        out = model.predict(
            context, HORIZON, samples=protocol.samples, seed=3, sequences=[index]
        ).unclipped
        found.append(out[:, 0].numpy().astype(np.float64))
    return found


def table(futures: list[np.ndarray], protocol: Protocol, metric: str) -> np.ndarray:
    """Scores by sequence, sample and frame."""
    return np.array(
        [
            [
                [scores(f, t)[metric] for f, t in zip(future, clip[CONTEXT:], strict=True)]
                for future in sequence
            ]
            for sequence, clip in zip(futures, clips(protocol), strict=True)
        ]
    )


def row(result: Result, name: str) -> Row:
    return next(row for row in result.rows if row.name == name)


def assert_interval(found: Interval, values: np.ndarray) -> None:
    """`values`: one per sequence."""
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values))
    expected = (values.mean(), values.mean() - half, values.mean() + half)
    assert (found.mean, found.low, found.high) == pytest.approx(expected, rel=1e-4)


def assert_row(found: Row, metric: str, values: np.ndarray) -> None:
    """`values`: by sequence and frame."""
    assert_interval(found.values[metric], values.mean(1))
    assert len(found.curves[metric]) == HORIZON
    for frame, point in enumerate(found.curves[metric]):
        assert_interval(point, values[:, frame])


def assert_same(one: Result, two: Result) -> None:
    for first, second in zip(one.rows, two.rows, strict=True):
        assert first.name == second.name
        assert list(first.values) == list(second.values)
        for key, value in first.values.items():
            assert value.mean == pytest.approx(second.values[key].mean, rel=1e-5)
            assert value.low == pytest.approx(second.values[key].low, rel=1e-4)
        for key, curve in first.curves.items():
            means = [point.mean for point in second.curves[key]]
            assert [point.mean for point in curve] == pytest.approx(means, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("metric", PLAIN)
def test_a_point_prediction_is_scored_frame_by_frame(convlstm: ConvLSTM, metric: str) -> None:
    result = evaluate(convlstm, SINGLE)
    futures = []
    for clip in clips(SINGLE):
        context = torch.from_numpy(clip[None, :CONTEXT]).float()
        futures.append(convlstm.predict(context, HORIZON).unclipped[:, 0].numpy())
    assert_row(row(result, "convlstm"), metric, table(futures, SINGLE, metric)[:, 0])


@pytest.mark.parametrize("metric", PLAIN)
def test_the_baselines_are_the_last_frame_and_the_mean_of_the_context(metric: str) -> None:
    result = evaluate(CopyLast(CopyLastConfig()), SINGLE)
    seen = [clip[:CONTEXT] for clip in clips(SINGLE)]
    last = [np.repeat(frames[None, -1:], HORIZON, 1) for frames in seen]
    mean = [np.repeat(frames.mean(0)[None, None], HORIZON, 1) for frames in seen]
    assert [r.role for r in result.rows] == ["model", "baseline", "baseline"]
    assert_row(result.rows[0], metric, table(last, SINGLE, metric)[:, 0])
    assert_row(result.rows[1], metric, table(last, SINGLE, metric)[:, 0])
    assert_row(row(result, "context-mean"), metric, table(mean, SINGLE, metric)[:, 0])


@pytest.mark.parametrize("metric", PLAIN)
def test_the_mean_over_samples(toy: Toy, metric: str) -> None:
    result = evaluate(toy, MEAN, seed=3)
    assert_row(row(result, "toy"), metric, table(samples_of(toy, MEAN), MEAN, metric).mean(1))


def test_the_best_sample_of_each_sequence_by_its_mean_over_time(toy: Toy) -> None:
    result = evaluate(toy, BEST, seed=3)
    values = {metric: table(samples_of(toy, BEST), BEST, metric) for metric in PLAIN}
    best = np.array([s[s.mean(1).argmax()] for s in values["psnr"]])
    assert_row(row(result, "toy"), "psnr", best)
    assert_row(row(result, "toy"), "mse", values["mse"].mean(1))
    other = row(result, "toy, mean score of 5")
    assert_row(other, "psnr", values["psnr"].mean(1))
    assert result.rows[0].values["ssim"].mean > other.values["ssim"].mean


def test_a_protocol_of_means_reports_the_best_as_well(toy: Toy) -> None:
    result = evaluate(toy, MEAN, seed=3)
    values = table(samples_of(toy, MEAN), MEAN, "mse")
    best = np.array([s[s.mean(1).argmin()] for s in values])
    assert_row(row(result, "toy, best of 5"), "mse", best)
    assert row(result, "toy, best of 5").role == "reduction"


def test_crps_and_spread_from_all_pairs_of_samples(toy: Toy) -> None:
    result = evaluate(toy, MEAN, seed=3, batch=4)
    crps, plain, spread, diversity = [], [], [], []
    for future, clip in zip(samples_of(toy, MEAN), clips(MEAN), strict=True):
        drawn = future.clip(0, 1)
        pairs = [drawn[a] - drawn[b] for a in range(5) for b in range(a)]
        apart = np.mean([np.abs(each) for each in pairs], 0)
        away = np.abs(drawn - clip[CONTEXT:]).mean(0)
        spread.append(apart.mean((1, 2, 3)))
        crps.append((away - apart / 2).mean((1, 2, 3)))
        plain.append((away - apart * 4 / 5 / 2).mean((1, 2, 3)))
        diversity.append(np.mean([np.square(each) for each in pairs], 0).sum((1, 2, 3)))
    assert_row(result.rows[0], "crps", np.array(crps))
    assert_row(result.rows[0], "crps-plain", np.array(plain))
    assert_row(result.rows[0], "spread", np.array(spread))
    assert_row(result.rows[0], "diversity", np.array(diversity))
    assert "crps" not in row(result, "copy-last").values


def test_crps_is_smaller_for_samples_around_the_truth_than_for_their_mean_alone(toy: Toy) -> None:
    """CRPS of a point prediction is its absolute error, and scattering where the truth scatters
    pays."""
    narrow, wide = (
        evaluate(Toy(ToyConfig(width=width)), replace(MEAN, samples=20)).rows[0]
        for width in (1e-4, 0.3)
    )
    assert narrow.values["crps"].mean == pytest.approx(narrow.values["mae"].mean / 256, rel=1e-3)
    assert wide.values["crps"].mean < narrow.values["crps"].mean


@pytest.mark.parametrize("protocol", [SINGLE, MEAN, BEST], ids=lambda p: p.name)
def test_the_batch_changes_nothing(toy: Toy, protocol: Protocol) -> None:
    expected = evaluate(toy, protocol, batch=1000)
    for batch in (1, 7):
        assert_same(evaluate(toy, protocol, batch=batch), expected)


@pytest.mark.parametrize(("batch", "most"), [(1, 2), (3, 2), (4, 4), (12, 12)])
def test_no_more_futures_at_once_than_asked_for(toy: Toy, batch: int, most: int) -> None:
    evaluate(toy, MEAN, batch=batch)
    rows = [samples * sequences for samples, sequences in toy.calls]
    assert max(rows) <= most
    assert sum(rows) == 5 * 9


def test_equal_samples_are_scored_as_one(convlstm: ConvLSTM) -> None:
    single, mean = evaluate(convlstm, SINGLE).rows[0], evaluate(convlstm, MEAN).rows[0]
    for key, value in single.values.items():
        assert mean.values[key].mean == pytest.approx(value.mean, rel=1e-6)
    assert mean.values["spread"].mean == 0


def test_a_limit_takes_the_first_sequences_and_says_so(toy: Toy) -> None:
    limited = evaluate(toy, MEAN, limit=4, batch=3)
    whole = evaluate(toy, replace(MEAN, data=Handmade(count=4)))
    assert_same(limited, whole)
    assert (limited.data.sequences, limited.data.available, limited.complete) == (4, 9, False)
    assert whole.complete
    assert evaluate(toy, MEAN, limit=100).complete


def test_a_protocol_may_take_the_first_sequences(toy: Toy) -> None:
    some = evaluate(toy, replace(MEAN, sequences=4))
    assert_same(some, evaluate(toy, MEAN, limit=4))
    assert some.complete


def test_seed_and_options_reach_the_model(toy: Toy) -> None:
    first, second = (evaluate(toy, MEAN, seed=seed).rows[0].values["mse"].mean for seed in (0, 1))
    assert first != second
    shifted = evaluate(toy, SINGLE, options=ToyOptions(shift=0.1))
    assert shifted.model.options == {"shift": 0.1}
    assert shifted.rows[0].values["mse"] != shifted.rows[1].values["mse"]


def test_against_copy_last_pairs_the_sequences(convlstm: ConvLSTM) -> None:
    result = evaluate(convlstm, SINGLE)
    ours, theirs = result.rows[0].values["mse"].mean, result.rows[1].values["mse"].mean
    found = result.against_copy_last["mse"]
    assert found.difference == pytest.approx(ours - theirs)
    assert found.low < found.difference < found.high
    same = evaluate(CopyLast(CopyLastConfig()), SINGLE).against_copy_last["mse"]
    assert (same.low, same.difference, same.high) == (0, 0, 0)


def test_videos_of_several_sizes(toy: Toy) -> None:
    mixed = replace(SINGLE, data=Handmade(wide=(1, 2, 6)))
    assert_same(evaluate(toy, mixed, batch=9), evaluate(toy, mixed, batch=1))


def test_a_perfect_prediction_has_infinite_psnr() -> None:
    still = replace(SINGLE, data=Handmade(still=True))
    found = evaluate(CopyLast(CopyLastConfig()), still)
    assert found.rows[0].values["psnr"] == Interval(None, None, None, infinite=True)
    assert found.rows[0].values["mse"].mean == 0
    assert "psnr" not in found.against_copy_last
    assert "mse" in found.against_copy_last


def test_what_a_result_says(convlstm: ConvLSTM) -> None:
    seen = []
    result = evaluate(
        convlstm, SINGLE, batch=4, command="framecast evaluate", progress=lambda *n: seen.append(n)
    )
    assert seen == [(4, 9), (8, 9), (9, 9)]
    assert result.name == "single"
    assert result.model.kind == "convlstm"
    assert result.model.parameters == convlstm.parameter_count()
    assert result.data.notes == ["made by hand"]
    assert result.run.command == "framecast evaluate"
    assert result.run.versions["torch"] == torch.__version__
    assert result.run.frames_per_second > 0
    assert result.metrics["mse"].definition["variant"] == "mse-sum"


def test_fingerprint_and_hash_follow_what_they_name(convlstm: ConvLSTM) -> None:
    before = evaluate(convlstm, SINGLE, limit=1)
    again = evaluate(convlstm, SINGLE, limit=2, seed=5)
    assert again.model.fingerprint == before.model.fingerprint
    assert again.protocol_hash == before.protocol_hash
    with torch.no_grad():
        next(convlstm.parameters()).add_(1e-3)
    assert evaluate(convlstm, SINGLE, limit=1).model.fingerprint != before.model.fingerprint
    other = evaluate(convlstm, replace(SINGLE, metrics="openstl"), limit=1)
    assert other.protocol_hash != before.protocol_hash


def test_a_changed_protocol_is_reported_as_modified(convlstm: ConvLSTM) -> None:
    published = find("glyphs/10-10")
    assert evaluate(convlstm, published, limit=1).name == "glyphs/10-10"
    changed = evaluate(convlstm, replace(published, horizon=2), limit=1)
    assert changed.name == "glyphs/10-10 (modified)"


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"data": Handmade(channels=3)}, DataError, "channels"),
        ({"data": Handmade(channels=2), "channels": None}, ConfigError, "expects 1 channel"),
        ({"size": (64, 64)}, DataError, "height"),
        ({"data": Handmade(scale=2.0)}, DataError, "values"),
        ({"metrics": "standart"}, ConfigError, "standard"),
        ({"samples": 2, "reduce": "best-of", "best_by": ("msx",)}, ConfigError, "msx"),
        ({"samples": 2, "reduce": "best-of", "best_by": ("lpips-alex",)}, ConfigError, "weights"),
    ],
)
def test_what_does_not_fit_is_said_before_anything_is_predicted(
    change: dict, error: type, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)
    model = Toy(ToyConfig(channels=1))
    with pytest.raises(error, match=words) as caught:
        evaluate(model, replace(SINGLE, **change))
    assert "\n" not in str(caught.value)
    assert model.calls == []


@pytest.mark.parametrize("change", [{"limit": 0}, {"batch": 0}])
def test_numbers_that_make_no_evaluation(toy: Toy, change: dict) -> None:
    with pytest.raises(ConfigError):
        evaluate(toy, SINGLE, **change)


def test_a_model_of_another_size_is_told_what_the_protocol_gives() -> None:
    model = Toy(ToyConfig(size=(64, 64)))
    with pytest.raises(ConfigError, match=r"single gives 3 frames of 16x16.*expects.*64x64"):
        evaluate(model, SINGLE)
