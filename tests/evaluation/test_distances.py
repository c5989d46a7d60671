"""Distances between sets of clips, against features and moments computed one clip at a time."""

import gc
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import Handmade, Toy
from safetensors.torch import save_file
from scipy import linalg
from torch import Tensor

from contract.tiny_codec import TinyCodec, TinyCodecConfig
from framecast.clip import Clip
from framecast.config import to_json
from framecast.digest import of_json
from framecast.errors import ConfigError
from framecast.evaluation import distances, results_folder
from framecast.evaluation.columns import metric_set
from framecast.evaluation.corruption import find as find_corruption
from framecast.evaluation.metrics import SETS, SetMetric, VideoFeatures, i3d, pixel
from framecast.evaluation.metrics.frechet import FeatureMoments, frechet_distance
from framecast.evaluation.metrics.sets import FVD, FVD_FEATURES
from framecast.evaluation.protocol import Protocol, find, reconstructing, settled
from framecast.evaluation.report import table
from framecast.evaluation.result import Result, Row
from framecast.evaluation.runner import evaluate
from framecast.evaluation.task import Batch
from framecast.model import Step
from framecast.models.copy_last import CopyLast, CopyLastConfig
from framecast.video import fit

GUIDE = Path(__file__).parents[2] / "docs" / "FVD.md"
CONTEXT, HORIZON, COUNT = 4, 6, 9
PLAIN = Protocol("plain", Handmade(count=COUNT), CONTEXT, HORIZON, metrics="fvd")
KEY, TWOFOLD, STAR = "frechet-spots", "frechet-spots-2-fold", "frechet-spots-star-2-fold"


class Spots:
    """Four pixels and how they move: eight numbers of a clip; notes how many clips it is given."""

    name = "spots"
    shortest = 5

    def __init__(self) -> None:
        self.clips: list[int] = []

    def __call__(self, clips: Tensor) -> Tensor:
        self.clips.append(len(clips))
        return numbers(clips)


class Counting(Spots):
    """Notes how many bytes of tensors are in memory when it looks at a model's clips."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes = [in_memory()]

    def __call__(self, clips: Tensor) -> Tensor:
        found = super().__call__(clips)
        if len(self.clips) % 8 == 6:  # truth, model, two baselines: the model's of every other
            self.bytes.append(in_memory())
        return found


def in_memory() -> int:
    """Bytes of all tensors."""
    tensors = [each for each in gc.get_objects() if issubclass(type(each), Tensor)]
    storages = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in tensors}
    return sum(storages.values())


def numbers(clips: Tensor) -> Tensor:
    spots = clips.float()[:, :, 0, ::5, ::5].flatten(2)[..., :4]
    return torch.cat([spots.square().mean(1), (spots[:, 1:] - spots[:, :-1]).abs().mean(1)], 1)


@pytest.fixture(autouse=True)
def _no_weights_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)


def truth(protocol: Protocol = PLAIN) -> Tensor:
    source = protocol.data.source("test", CONTEXT + HORIZON, 0)
    return torch.stack([source[(0, index)].frames for index in range(len(source))])


def predicted(model, protocol: Protocol) -> Tensor:
    """Samples of the future, each sequence alone: s n t c h w."""
    futures = [
        model.predict(
            clip[None, :CONTEXT], HORIZON, samples=protocol.samples, seed=3, sequences=[index]
        ).frames
        for index, clip in enumerate(truth(protocol))
    ]
    return torch.cat(futures, 1)


def by_hand(one: Tensor, two: Tensor) -> float:
    """Of clips, from the printed formula."""
    a, b = (numbers(clips).double().numpy() for clips in (one, two))
    s, t = np.cov(a.T), np.cov(b.T)
    root = linalg.sqrtm(s @ t).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s + t - 2 * root))


def run(model, protocol: Protocol = PLAIN, **options) -> Result:
    return evaluate(model, protocol, seed=3, features=Spots(), **options)


def row(result: Result, name: str) -> Row:
    return next(row for row in result.rows if row.name == name)


def mean(row: Row, key: str) -> float:
    value = row.values[key].mean
    assert value is not None
    return value


class TestPredictions:
    """Observed and predicted frames against true clips."""

    @pytest.mark.parametrize("batch", [2, 32])
    def test_model_and_baselines_are_compared_with_the_true_clips(self, toy: Toy, batch: int):
        result = run(toy, batch=batch)
        clips = truth()
        observed = clips[:, :CONTEXT]
        still = observed[:, -1:].expand(-1, HORIZON, -1, -1, -1)
        middle = observed.mean(1, keepdim=True).expand(-1, HORIZON, -1, -1, -1)
        for name, future in (
            ("toy", predicted(toy, PLAIN)[0]),
            ("copy-last", still),
            ("context-mean", middle),
        ):
            ours = torch.cat([observed, future], 1)
            found = row(result, name)
            assert mean(found, KEY) == pytest.approx(by_hand(ours, clips), rel=1e-4)
            halves = [by_hand(ours[k::2], clips[k::2]) for k in (0, 1)]
            assert found.folds == {TWOFOLD: pytest.approx(halves, rel=1e-3)}
            assert mean(found, TWOFOLD) == pytest.approx(sum(halves) / 2, rel=1e-3)
            assert found.values[KEY].low is None
            assert KEY not in found.curves

    def test_all_samples_of_a_sequence_are_in_the_models_set(self, toy: Toy):
        protocol = replace(PLAIN, samples=5, reduce="mean")
        result = run(toy, protocol, batch=20)
        futures, clips = predicted(toy, protocol), truth()
        observed = clips[:, :CONTEXT].expand(5, -1, -1, -1, -1, -1)
        ours = torch.cat([observed, futures], 2)
        assert mean(result.rows[0], KEY) == pytest.approx(
            by_hand(ours.flatten(0, 1), clips), rel=1e-4
        )
        halves = [by_hand(ours[:, k::2].flatten(0, 1), clips[k::2]) for k in (0, 1)]
        assert result.rows[0].folds[TWOFOLD] == pytest.approx(halves, rel=1e-3)
        assert all(KEY not in each.values for each in result.rows if each.role == "reduction")

    def test_equal_samples_count_once(self):
        model = CopyLast(CopyLastConfig())
        result = run(model, replace(PLAIN, samples=4, reduce="mean"))
        first, second = (each for each in result.rows if each.name == "copy-last")
        assert (first.role, second.role) == ("model", "baseline")
        assert mean(first, KEY) == pytest.approx(mean(second, KEY), rel=1e-9)

    def test_a_step_that_is_the_same_in_all_samples_is_repeated(self):
        class Late(Toy):
            def rollout(self, context, horizon, samples, noise, options) -> Iterator[Step]:
                steps = super().rollout(context, horizon, samples, noise, options)
                first = next(steps).frame
                yield Step(first[:1].expand(len(first), -1, -1, -1, -1))
                yield from steps

        toy = Late(Toy.config_type())
        found = run(toy, replace(PLAIN, samples=3, reduce="mean"))
        assert mean(found.rows[0], KEY) > 0

    def test_perfect_predictions_are_at_no_distance(self):
        still = replace(PLAIN, data=Handmade(count=COUNT, still=True))
        result = run(CopyLast(CopyLastConfig()), still)
        assert 0 <= mean(result.rows[0], KEY) < 1e-12

    def test_frames_are_let_go(self, toy: Toy):
        used = []
        for count in (6, 18):
            features = Counting()
            protocol = replace(PLAIN, data=Handmade(count=count))
            evaluate(toy, protocol, features=features, batch=3)
            used.append(max(features.bytes) - features.bytes[0])
            assert set(features.clips) == {3}
        clip = (CONTEXT + HORIZON) * 16 * 16 * 4
        assert used[0] > 3 * clip
        assert used[1] < used[0] + 3 * clip

    def test_clips_are_looked_at_a_few_at_a_time(self, toy: Toy):
        features = Spots()
        protocol = replace(PLAIN, samples=5, reduce="mean")
        evaluate(toy, protocol, features=features, batch=64)
        assert max(features.clips) == distances.CLIPS


class TestReconstructions:
    """Frames that went through codes."""

    @pytest.fixture
    def codec(self) -> TinyCodec:
        return TinyCodec(TinyCodecConfig())

    def test_decoded_clips_are_compared_with_the_true_ones(self, codec: TinyCodec):
        result = run(codec, reconstructing(PLAIN))
        clips = truth()
        decoded = codec.decode(codec.encode(clips)).frames
        assert mean(result.rows[0], KEY) == pytest.approx(by_hand(decoded, clips), rel=1e-4)
        assert result.omitted[STAR] == "it is of predictions"

    def test_predictions_are_compared_with_decoded_clips(self, codec: TinyCodec):
        result = run(codec, batch=2)
        clips = truth()
        future = predicted(codec, PLAIN)[0]
        observed = codec.decode(codec.encode(clips[:, :CONTEXT])).frames
        ours = torch.cat([observed, future], 1)
        theirs = codec.decode(codec.encode(clips)).frames
        halves = [by_hand(ours[k::2], theirs[k::2]) for k in (0, 1)]
        assert result.rows[0].folds[STAR] == pytest.approx(halves, rel=1e-3)
        plain = torch.cat([clips[:, :CONTEXT], future], 1)
        assert mean(result.rows[0], KEY) == pytest.approx(by_hand(plain, clips), rel=1e-4)
        assert STAR not in row(result, "context-mean").values

    def test_corrupted_frames_stand_beside(self, codec: TinyCodec):
        blurred = replace(reconstructing(PLAIN), corruption=find_corruption("gaussian-blur:2"))
        result = run(codec, blurred)
        assert mean(result.rows[1], KEY) > 0


class TestResized:
    """Frames that are scored smaller than they are predicted."""

    def test_both_sides_are_scaled_down_after_the_prediction(self, toy: Toy):
        small = replace(PLAIN, resize=(12, 12), samples=1)
        result = run(toy, small, batch=4)
        clips = truth()
        future = predicted(toy, small)[0]
        ours, theirs = (
            fit(torch.cat([clips[:, :CONTEXT], future], 1), (12, 12)),
            fit(clips, (12, 12)),
        )
        assert mean(result.rows[0], KEY) == pytest.approx(by_hand(ours, theirs), rel=1e-4)
        expected = pixel.psnr(ours[:, CONTEXT:], theirs[:, CONTEXT:]).mean().item()
        assert mean(result.rows[0], "psnr") == pytest.approx(expected, rel=1e-5)
        still = theirs[:, CONTEXT - 1 : CONTEXT].expand_as(theirs[:, CONTEXT:])
        expected = pixel.psnr(still, theirs[:, CONTEXT:]).mean().item()
        assert mean(row(result, "copy-last"), "psnr") == pytest.approx(expected, rel=1e-5)
        assert result.protocol_hash != run(toy, PLAIN).protocol_hash

    def test_what_is_made_of_missing_pixels_is_missing(self):
        missing = torch.zeros(1, 2, 1, 8, 8, dtype=torch.bool)
        missing[0, 0, 0, :2, :2] = True
        clip = Clip(torch.rand(1, 2, 1, 8, 8), missing=missing)
        found = Batch((0,), clip, clip).scaled((2, 2))
        for part in (found.context, found.truth):
            assert part.missing is not None
            assert part.missing[0, 0, 0].tolist() == [[True, False], [False, False]]
            assert not part.missing[0, 1].any()
        assert Batch((0,), clip, Clip(clip.frames)).scaled((2, 2)).truth.missing is None

    def test_reconstructions_and_equal_samples_too(self, tmp_path: Path):
        small = replace(PLAIN, resize=(12, 12))
        codec, clips = TinyCodec(TinyCodecConfig()), truth()
        result = run(codec, reconstructing(small), out=tmp_path / "r")
        decoded = fit(codec.decode(codec.encode(clips)).frames, (12, 12))
        expected = pixel.mse_sum(decoded, fit(clips, (12, 12))).mean().item()
        assert mean(result.rows[0], KEY) == pytest.approx(
            by_hand(decoded, fit(clips, (12, 12))), rel=1e-4
        )
        assert mean(result.rows[0], "psnr") == pytest.approx(
            pixel.psnr(decoded, fit(clips, (12, 12))).mean().item(), rel=1e-5
        )
        assert expected > 0
        several = run(CopyLast(CopyLastConfig()), replace(small, samples=3, reduce="mean"))
        assert [r.role for r in several.rows] == ["model", "baseline", "baseline"]

    def test_a_size_is_positive(self):
        with pytest.raises(ConfigError, match="resize is"):
            replace(PLAIN, resize=(0, 8))


class TestNames:
    """Only of I3D's logits a distance is FVD."""

    def test_features_of_another_name_make_no_fvd(self, toy: Toy):
        result = run(toy)
        assert isinstance(Spots(), VideoFeatures)
        assert not any("fvd" in key for key in (*result.metrics, *result.omitted))
        assert not any("FVD" in info.label for info in result.metrics.values())
        assert result.protocol["metrics"] == "fvd-spots"
        assert result.metrics[KEY].definition["features"] == "spots"
        assert result.metrics[KEY].higher_is_better is False
        assert result.omitted[STAR] == "toy has no codes to reconstruct true clips from"

    def test_a_published_protocol_with_other_features_is_modified(self, toy: Toy):
        kept = settled(replace(find("kinetics-600/4-12"), metrics="fvd-spots"))
        assert kept.name == "kinetics-600/4-12 (modified)"

    @pytest.mark.parametrize("name", [FVD_FEATURES, "", "two words", "a/b"])
    def test_features_need_a_name_of_their_own(self, name: str):
        with pytest.raises(ConfigError, match="a name of their own"):
            SETS["fvd"].with_features(name)

    def test_sets_without_distances_take_no_features(self, toy: Toy):
        with pytest.raises(ConfigError, match="compares no sets of clips"):
            evaluate(toy, replace(PLAIN, metrics="standard"), features=Spots())

    @pytest.mark.parametrize(
        "change",
        [
            {"features": "spots"},
            {"features": "spots", "key": "fvd-spots", "label": "distance"},
            {"features": "spots", "key": "frechet-spots", "label": "FVD (spots)"},
            {"key": "frechet"},
            {"label": "Fréchet distance"},
        ],
    )
    def test_nothing_else_passes_for_fvd(self, change: dict):
        fields = {"key": "fvd", "label": "FVD", "features": FVD_FEATURES, **change}
        with pytest.raises(ConfigError, match="it is called FVD of i3d-kinetics-400 alone"):
            SetMetric(**fields)

    def test_columns_share_no_key(self):
        with pytest.raises(ConfigError, match="share a key"):
            replace(SETS["fvd"], distances=(FVD, FVD))

    def test_definitions_are_in_the_hash_and_older_hashes_stay(self, toy: Toy):
        standard = replace(PLAIN, metrics="standard")
        found = evaluate(toy, standard, limit=2).protocol_hash
        metrics = [to_json(metric) for metric in SETS["standard"].metrics]
        assert found == of_json({"protocol": standard.definition(), "metrics": metrics})
        assert "resize" not in standard.definition()
        own, usual = run(toy, limit=2).protocol_hash, evaluate(toy, PLAIN, limit=2).protocol_hash
        assert own != usual

    def test_other_networks_of_lpips_leave_distances_alone(self):
        assert metric_set("fvd") is SETS["fvd"]
        assert SETS["fvd"].with_network("squeeze").distances == SETS["fvd"].distances


class TestLeftOut:
    """What cannot be computed is said, and the rest is computed."""

    def test_without_weights(self, toy: Toy, tmp_path: Path):
        result = evaluate(toy, PLAIN, weights=tmp_path)
        assert result.omitted["fvd"] == f"{tmp_path} lacks i3d-kinetics-400.safetensors"
        assert set(result.omitted) == {"fvd", "fvd-2-fold", "fvd-star-2-fold"}
        assert "psnr" in result.rows[0].values
        notes = "\n".join(table(result).notes)
        assert "fvd is left out: " in notes

    def test_short_clips_few_sequences_and_corrupted_frames(self, toy: Toy):
        short = run(toy, replace(PLAIN, context=2, horizon=2))
        assert short.omitted[KEY] == "clips of 4 frames are too short: 5 at least"
        few = run(toy, limit=3)
        assert few.omitted[TWOFOLD] == "3 sequences are too few: 4 at least"
        assert mean(few.rows[0], KEY) > 0
        assert run(toy, limit=1).omitted[KEY] == "1 sequences are too few: 2 at least"
        noisy = replace(PLAIN, corruption=find_corruption("noise:10"))
        assert "observed frames, which are corrupted" in run(toy, noisy).omitted[KEY]

    def test_a_context_that_cannot_be_coded_alone(self):
        codec = TinyCodec(TinyCodecConfig())
        odd = run(codec, replace(PLAIN, context=3, horizon=5))
        assert odd.omitted[STAR] == "tiny-codec codes 2 frames at a time"


class TestShown:
    """Files and tables."""

    def test_results_come_back_and_older_ones_are_read(self, toy: Toy, tmp_path: Path):
        result = run(toy, out=tmp_path / "r")
        assert results_folder.read(tmp_path / "r") == result
        stored = json.loads((tmp_path / "r" / "results.json").read_text())
        assert stored["rows"][0]["folds"][TWOFOLD] == result.rows[0].folds[TWOFOLD]
        stored["format_version"] = 3
        for each in stored["rows"]:
            del each["folds"]
        (tmp_path / "old.json").write_text(json.dumps(stored))
        assert results_folder.read(tmp_path / "old.json").rows[0].folds == {}

    def test_the_table_shows_each_half(self, toy: Toy):
        result = run(toy)
        found = table(result)
        first, second = result.rows[0].folds[TWOFOLD]
        column = found.columns.index("Fréchet distance (spots), 2-fold ↓")
        expected = f"{(first + second) / 2:.4g} ({first:.4g}, {second:.4g})"
        assert found.rows[0][column] == expected
        assert found.rows[0][found.columns.index("Fréchet distance (spots) ↓")] == (
            f"{mean(result.rows[0], KEY):.4g}"
        )
        notes = "\n".join(found.notes)
        assert "observed and predicted frames of 9 sequences" in notes


def test_the_features_of_the_guide(toy: Toy):
    (code,) = re.findall(r"```python\n(.*?)```", GUIDE.read_text("utf-8"), re.DOTALL)
    names: dict = {}
    exec(compile(code, GUIDE.name, "exec"), names)
    features = names["Brightness"]()
    assert callable(names["measured"])
    result = evaluate(toy, PLAIN, features=features)
    assert mean(result.rows[0], "frechet-brightness") >= 0
    assert "frechet-brightness-2-fold" in result.metrics


@pytest.mark.slow
def test_fvd_is_of_i3d_logits(toy: Toy, tmp_path: Path):
    torch.manual_seed(0)
    network = i3d.I3d()
    state = {name: t.clone() for name, t in network.state_dict().items() if "batches" not in name}
    save_file(state, tmp_path / i3d.FILE)
    protocol = replace(PLAIN, data=Handmade(count=3))
    result = evaluate(toy, protocol, seed=3, weights=tmp_path, limit=2)
    clips = truth(protocol)[:2]
    ours = torch.cat([clips[:, :CONTEXT], predicted(toy, protocol)[0, :2]], 1)
    one, two = (
        FeatureMoments.of(network(i3d.prepared(each)).double().numpy()) for each in (ours, clips)
    )
    assert mean(result.rows[0], "fvd") == pytest.approx(frechet_distance(one, two), rel=1e-3)
    assert set(result.omitted) == {"fvd-2-fold", "fvd-star-2-fold"}
    assert result.protocol["metrics"] == "fvd"
