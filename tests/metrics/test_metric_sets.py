"""The named sets hold exactly what they promise, and clip where they say."""

import dataclasses
from pathlib import Path
from typing import get_args

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor

from framecast.errors import ConfigError
from framecast.evaluation.metrics import (
    SETS,
    Metric,
    MetricSet,
    evaluate_frames,
    location,
    lpips,
    omitted,
    pixel,
    sets,
    ssim,
)
from framecast.evaluation.metrics import evaluate as module
from framecast.evaluation.metrics.features import CHANNELS, FILES, Features

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_weights_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights of AlexNet and SqueezeNet."""
    folder = tmp_path_factory.mktemp("weights")
    torch.manual_seed(0)
    for network in ("alex", "squeeze"):
        save_file(Features(network).state_dict(), folder / FILES[network])
        heads = {
            f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1)
            for n, c in enumerate(CHANNELS[network])
        }
        save_file(heads, folder / f"lpips-v0.1-{network}.safetensors")
    return folder


def frames() -> tuple[Tensor, Tensor]:
    """Predictions that leave [0, 1], and targets."""
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 3, 32, 32, generator=generator)
    return target + 0.3 * torch.randn(target.shape, generator=generator), target


def test_each_set_computes_its_definitions(weights: Path) -> None:
    p, t = frames()
    c = p.clamp(0, 1)
    alex = lpips.load("alex", "0.1", weights, CPU)
    distance = lpips.lpips(c, t, alex)
    unscaled = lpips.lpips(c, t, alex, published_range=False)
    expected = {
        "standard": {
            "mse": pixel.mse_sum(c, t),
            "mae": pixel.mae_sum(c, t),
            "psnr": pixel.psnr(c, t),
            "ssim": ssim.ssim_gaussian(c, t),
            "lpips-alex": distance,
        },
        "standard+location": {
            "mse": pixel.mse_sum(c, t),
            "mae": pixel.mae_sum(c, t),
            "psnr": pixel.psnr(c, t),
            "ssim": ssim.ssim_gaussian(c, t),
            "lpips-alex": distance,
            "centroid": location.centroid_distance(c, t),
        },
        "openstl": {
            "mse": pixel.mse_sum(p, t),
            "mae": pixel.mae_sum(p, t),
            "psnr": pixel.psnr(c, t),
            "ssim": ssim.ssim_uniform_range2(c, t),
        },
        "predrnn": {
            "mse": pixel.mse_sum(c, t),
            "psnr": pixel.psnr_uint8(c, t),
            "ssim": ssim.ssim_uint8(c, t),
            "lpips-alex-unscaled": unscaled,
        },
        "svg": {
            "psnr": pixel.psnr_per_channel(c, t),
            "ssim": ssim.ssim_uniform_range2(c, t),
        },
        "stip": {
            "psnr": pixel.psnr(c, t),
            "ssim": ssim.ssim_uniform_range2(c, t),
            "lpips-alex-x100": distance * 100,
        },
        "fvd": {"psnr": pixel.psnr(c, t), "ssim": ssim.ssim_gaussian(c, t)},
    }
    assert set(SETS) == set(expected)
    for name, values in expected.items():
        found = evaluate_frames(SETS[name], p, t, weights=weights)
        assert tuple(found) == tuple(values) == SETS[name].keys
        for key, value in values.items():
            assert found[key].shape == (2, 3)
            assert torch.equal(found[key], value), (name, key)


def test_the_given_frames_are_left_alone(weights: Path) -> None:
    p, t = frames()
    copies = p.clone(), t.clone()
    for metric_set in SETS.values():
        evaluate_frames(metric_set, p, t, weights=weights)
    assert torch.equal(p, copies[0])
    assert torch.equal(t, copies[1])


def test_clipping_is_seen_in_the_values() -> None:
    _, t = frames()
    p = torch.where(t > 0.5, t + 2, t - 2)  # right after clipping only at the extremes
    clipped = evaluate_frames(SETS["standard"], p, t)["mse"]
    unclipped = evaluate_frames(SETS["openstl"], p, t)["mse"]
    assert torch.allclose(unclipped, torch.tensor(4.0 * 3 * 32 * 32))
    assert (clipped < unclipped / 10).all()


def test_missing_weights_omit_lpips_with_a_reason(tmp_path: Path) -> None:
    p, t = frames()
    for name, key in (
        ("standard", "lpips-alex"),
        ("standard+location", "lpips-alex"),
        ("predrnn", "lpips-alex-unscaled"),
        ("stip", "lpips-alex-x100"),
    ):
        reasons = omitted(SETS[name], tmp_path)
        assert set(reasons) == {key}
        assert "alexnet.safetensors" in reasons[key]
        found = evaluate_frames(SETS[name], p, t, weights=tmp_path)
        assert set(found) == set(SETS[name].keys) - {key}
    assert omitted(SETS["openstl"]) == {}
    assert "FRAMECAST_WEIGHTS" in omitted(SETS["standard"])["lpips-alex"]


def test_weights_are_found_through_the_environment(
    weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    p, t = frames()
    monkeypatch.setenv("FRAMECAST_WEIGHTS", str(weights))
    assert omitted(SETS["standard"]) == {}
    assert "lpips-alex" in evaluate_frames(SETS["standard"], p, t)


def test_another_network_has_another_name_and_key(weights: Path) -> None:
    p, t = frames()
    changed = SETS["stip"].with_network("squeeze")
    assert changed.name == "stip-squeeze"
    assert changed.keys == ("psnr", "ssim", "lpips-squeeze-x100")
    assert changed.metrics[-1].label == "LPIPS (squeeze) ×100"
    model = lpips.load("squeeze", "0.1", weights, CPU)
    found = evaluate_frames(changed, p, t, weights=weights)["lpips-squeeze-x100"]
    assert torch.equal(found, lpips.lpips(p.clamp(0, 1), t, model) * 100)
    assert SETS["stip"].with_network("alex") is SETS["stip"]
    assert SETS["svg"].with_network("vgg") is SETS["svg"]


def test_sets_are_frozen_and_state_directions_and_units() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        SETS["svg"].metrics[0].clip = False  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(TypeError):
        SETS["mine"] = SETS["svg"]  # pyright: ignore[reportIndexIssue]
    for metric_set in SETS.values():
        for metric in metric_set.metrics:
            better = metric.variant.startswith(("psnr", "ssim"))
            assert metric.higher_is_better == better
            units = {"psnr": "dB", "centroid": "px"}
            assert metric.unit == units.get(metric.variant.partition("-")[0], "")


def test_direction_agrees_with_what_the_function_does(weights: Path) -> None:
    _, t = frames()
    noise = torch.randn(t.shape, generator=torch.Generator().manual_seed(1))
    near, far = (t + 0.05 * noise).clamp(0, 1), (t + 0.5 * noise).clamp(0, 1)
    for metric_set in SETS.values():
        good = evaluate_frames(metric_set, near, t, weights=weights)
        bad = evaluate_frames(metric_set, far, t, weights=weights)
        for metric in metric_set.metrics:
            better = good[metric.key] > bad[metric.key]
            assert (better == metric.higher_is_better).all()


def test_every_variant_has_a_definition() -> None:
    variants = set(get_args(sets.Variant))
    assert set(module.FUNCTIONS) | {"lpips", "lpips-unscaled"} == variants
    assert len(set(module.FUNCTIONS.values())) == len(module.FUNCTIONS)


def test_contradictions_are_refused() -> None:
    metric = SETS["standard"].metrics[-1]
    with pytest.raises(ConfigError, match="begin with lpips-alex"):
        dataclasses.replace(metric, key="lpips")
    with pytest.raises(ConfigError, match="needs weights"):
        dataclasses.replace(metric, needs_weights=None)
    with pytest.raises(ConfigError, match="share a key"):
        MetricSet("twice", (metric, metric))


def test_own_sets_are_possible() -> None:
    own = MetricSet("own", (Metric("rmse²", "MSE (mean)", "mse-mean", "", False, True),))
    p, t = frames()
    found = evaluate_frames(own, p, t)["rmse²"]
    assert torch.equal(found, pixel.mse_mean(p.clamp(0, 1), t))
