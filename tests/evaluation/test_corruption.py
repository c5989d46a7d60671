"""Corrupted observations: each kind against loops over pixels, and what evaluations do with it."""

import itertools
import json
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from handmade import Handmade, Toy, ToyConfig
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from framecast.clip import Clip
from framecast.config import from_json, to_json
from framecast.errors import ConfigError
from framecast.evaluation import corruption
from framecast.evaluation.corruption import LEVELS, Corruption, find, find_all
from framecast.evaluation.protocol import Protocol, reconstructing, settled
from framecast.evaluation.protocol import find as find_protocol
from framecast.evaluation.report import table
from framecast.evaluation.runner import evaluate
from framecast.models.copy_last import CopyLast, CopyLastConfig

SINGLE = Protocol("single", Handmade(count=5), 3, 2)
BLURRED = replace(SINGLE, corruption=find("gaussian-blur:2"))


def clips(*shape: int, seed: int = 0) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed))


def nearest(plane: np.ndarray, y: int, x: int) -> float:
    height, width = plane.shape
    return plane[min(max(y, 0), height - 1), min(max(x, 0), width - 1)]


def blurred(plane: np.ndarray, sigma: float | int) -> np.ndarray:
    """Every pixel as a weighted mean over a square around it, both axes at once."""
    reach = math.ceil(4 * sigma)
    steps = range(-reach, reach + 1)
    weights = {
        (a, b): math.exp(-(a * a + b * b) / (2 * sigma * sigma))
        for a, b in itertools.product(steps, steps)
    }
    total = sum(weights.values())
    return np.array(
        [
            [
                sum(w * nearest(plane, y + a, x + b) for (a, b), w in weights.items()) / total
                for x in range(plane.shape[1])
            ]
            for y in range(plane.shape[0])
        ]
    )


def fragmented(plane: np.ndarray, shift: int) -> np.ndarray:
    corners = list(itertools.product((-shift, shift), repeat=2))
    return np.array(
        [
            [
                sum(nearest(plane, y + a, x + b) for a, b in corners) / 4
                for x in range(plane.shape[1])
            ]
            for y in range(plane.shape[0])
        ]
    )


@pytest.mark.parametrize("sigma", [0.6, 1, 2])
def test_gaussian_blur_pixel_by_pixel(sigma: float | int) -> None:
    frames = clips(1, 2, 3, 5, 9)
    found = corruption.gaussian_blur(frames, sigma)
    for t, c in itertools.product(range(2), range(3)):
        expected = blurred(frames[0, t, c].double().numpy(), sigma)
        np.testing.assert_allclose(found[0, t, c].numpy(), expected, atol=1e-5)


@pytest.mark.parametrize("shift", [1, 2, 4])
def test_fragment_blur_pixel_by_pixel(shift: int) -> None:
    frames = clips(2, 1, 2, 7, 6)
    found = corruption.fragment_blur(frames, shift)
    for b, c in itertools.product(range(2), range(2)):
        expected = fragmented(frames[b, 0, c].double().numpy(), shift)
        np.testing.assert_allclose(found[b, 0, c].numpy(), expected, atol=1e-6)


def test_a_dot_becomes_four() -> None:
    frames = torch.zeros(1, 1, 1, 16, 16)
    frames[..., 8, 8] = 1
    found = find("fragment-blur:2")(Clip(frames), [0]).frames[0, 0, 0]
    expected = torch.zeros(16, 16)
    for y, x in itertools.product((6, 10), (6, 10)):
        expected[y, x] = 0.25
    torch.testing.assert_close(found, expected)


@settings(max_examples=20, deadline=None)
@given(st.sampled_from(["gaussian-blur:1", "gaussian-blur:4", "fragment-blur:4"]), st.floats(0, 1))
def test_a_blur_leaves_flat_frames_alone(name: str, value: float) -> None:
    clip = Clip(torch.full((1, 2, 1, 6, 7), value))
    torch.testing.assert_close(find(name)(clip, [0]).frames, clip.frames)


@pytest.mark.parametrize("snr", [20, 10, 5, 0, -3])
def test_noise_has_the_ratio_that_it_is_called_by(snr: float) -> None:
    frames = clips(2, 10, 1, 64, 64) * torch.tensor([1.0, 0.2]).view(2, 1, 1, 1, 1)
    noise = corruption.white_noise(frames, snr, [0, 1])
    for clip, added in zip(frames.double().numpy(), noise.double().numpy(), strict=True):
        power = (clip**2).mean()
        assert 10 * math.log10(power / (added**2).mean()) == pytest.approx(snr, abs=0.1)
        assert abs(added.mean()) < 0.02 * math.sqrt(power) * 10 ** (-snr / 20) * 2
        # white: neighbours in space and time know nothing of each other
        for one, two in (
            (added[:-1], added[1:]),
            (added[..., :-1, :], added[..., 1:, :]),
            (added[..., :-1], added[..., 1:]),
        ):
            assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.03


def test_noise_is_a_function_of_the_sequence_alone() -> None:
    frames = clips(3, 4, 1, 8, 8)
    together = find("noise:5")(Clip(frames), [7, 8, 9]).frames
    alone = find("noise:5")(Clip(frames[1:2]), [8]).frames
    assert torch.equal(together[1:2], alone)
    same = find("noise:5")(Clip(frames[:1].expand(2, -1, -1, -1, -1)), [1, 2]).frames
    assert not torch.equal(same[0], same[1])
    mild, strong = (corruption.white_noise(frames, snr, [7, 8, 9]) for snr in (20, 0))
    torch.testing.assert_close(mild * 10, strong)


def test_a_black_clip_stays_black() -> None:
    black = Clip(torch.zeros(1, 2, 1, 4, 4))
    assert torch.equal(find("noise:0")(black, [0]).frames, black.frames)


@pytest.mark.parametrize("name", corruption.usual())
def test_frames_stay_in_range_and_the_clean_ones_as_they_are(name: str) -> None:
    clip = Clip(clips(2, 3, 3, 12, 10), seconds=torch.zeros(2, 3))
    before = clip.frames.clone()
    found = find(name)(clip, [0, 1])
    assert found.frames.shape == clip.frames.shape
    assert found.frames.min() >= 0
    assert found.frames.max() <= 1
    assert not torch.equal(found.frames, before)
    assert torch.equal(clip.frames, before)
    assert found.seconds is clip.seconds


def test_noise_is_clipped_to_what_frames_can_be() -> None:
    clip = Clip(clips(1, 2, 1, 16, 16))
    noise = corruption.white_noise(clip.frames, 0, [0])
    expected = (clip.frames + noise).numpy().clip(0, 1)
    np.testing.assert_array_equal(find("noise:0")(clip, [0]).frames.numpy(), expected)


def test_names_and_json_come_back() -> None:
    assert {kind: len(levels) for kind, levels in LEVELS.items()} == {
        "gaussian-blur": 3,
        "fragment-blur": 2,
        "noise": 4,
    }
    for kind, levels in LEVELS.items():
        for level in levels:
            one = Corruption(kind, float(level))
            assert find(one.name) == one
            assert from_json(Corruption, json.loads(json.dumps(to_json(one)))) == one
    assert find("gaussian-blur:1.5").name == "gaussian-blur:1.5"
    assert find("noise:-3").name == "noise:-3"


def test_several_names_and_all() -> None:
    assert [each.name for each in find_all(["noise:3", "noise:3.0"])] == ["noise:3"]
    found = find_all(["all", "gaussian-blur:1", "gaussian-blur:3"])
    assert len(found) == 10
    assert len({each.name for each in found}) == 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("noise:4000", "from -200 to 200 dB"),
        ("gaussian-blur:1e-200", "from 0.01 to 1,000 pixels"),
        ("fragment-blur:100000", "whole number of pixels"),
        ("gausian-blur:2", "did you mean 'gaussian-blur:2'"),
        ("noise", "'noise:"),
        ("noise:loud", "there is no corruption 'noise:loud'"),
        ("gaussian-blur:0", "from 0.01"),
        ("gaussian-blur:inf", "to 1,000 pixels"),
        ("fragment-blur:1.5", "whole number"),
        ("fragment-blur:-2", "whole number"),
        ("noise:nan", "to 200 dB"),
        ("xyz", "known: fragment-blur:2"),
    ],
)
def test_a_wrong_name_is_one_line(name: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        find(name)
    assert "\n" not in str(caught.value)


# ---- protocols


def test_no_corrupted_protocol_passes_for_the_clean_one() -> None:
    clean = find_protocol("moving-mnist/10-10")
    blurred = settled(replace(clean, corruption=find("gaussian-blur:2")))
    assert blurred.name == "moving-mnist/10-10+gaussian-blur:2"
    assert settled(blurred) == blurred
    assert settled(replace(blurred, corruption=None)) == clean
    changed = settled(replace(blurred, horizon=9))
    assert changed.name == "moving-mnist/10-10 (modified)+gaussian-blur:2"
    assert settled(replace(changed, horizon=10)) == blurred
    assert settled(replace(SINGLE, corruption=find("noise:5"))).name == "single+noise:5"
    both = settled(replace(reconstructing(clean, 2), corruption=find("noise:-5")))
    assert both.name == "moving-mnist/10-10:reconstruct-levels-2+noise:-5"
    assert settled(replace(both, corruption=None)).name.endswith(":reconstruct-levels-2")
    assert from_json(Protocol, to_json(both)) == both


def test_fields_that_are_not_set_change_no_definition() -> None:
    """Results older than the fields still compare."""
    plain = SINGLE.definition()
    assert not {"task", "levels", "corruption"} & set(plain)
    assert BLURRED.definition() == {**plain, "corruption": {"kind": "gaussian-blur", "level": 2.0}}


# ---- evaluations


class Witness(Toy):
    """Remembers what it was given."""

    def stream(self, context, horizon, **more):
        if isinstance(context, Clip):
            self.given = [*getattr(self, "given", []), context.frames.clone()]
        return super().stream(context, horizon, **more)


def test_the_model_and_the_baselines_get_what_is_corrupted_and_the_truth_is_clean() -> None:
    model = Witness(ToyConfig())
    result = evaluate(model, BLURRED, batch=1)
    source = SINGLE.data.source("test", 5, 0)
    whole = [source[(0, index)].frames for index in range(5)]
    seen = [corruption.gaussian_blur(clip[:3], 2) for clip in whole]
    # the first call looks whether the model takes the frames at all
    for given_frames, expected in zip(model.given[1:], seen, strict=True):
        torch.testing.assert_close(given_frames[0], expected)

    def error(frames: list[Tensor]) -> float:
        pairs = zip(frames, whole, strict=True)
        each = [(one - clip[3:]).double().square().sum((1, 2, 3)).mean() for one, clip in pairs]
        return float(torch.stack(each).mean())

    rows = {row.name: row.values["mse"].mean for row in result.rows}
    last, mean = error([s[-1:] for s in seen]), error([s.mean(0, keepdim=True) for s in seen])
    assert rows == pytest.approx({"toy": last, "copy-last": last, "context-mean": mean}, rel=1e-5)
    clean = {row.name: row.values["mse"].mean for row in evaluate(model, SINGLE).rows}
    assert clean["copy-last"] != pytest.approx(last, rel=0.01)


def test_batch_limit_and_seed_change_no_noise() -> None:
    noisy = replace(SINGLE, corruption=find("noise:5"))
    model = CopyLast(CopyLastConfig())
    runs = [evaluate(model, noisy, **how) for how in ({}, {"batch": 2}, {"seed": 9})]
    one, *others = [run.rows[0].values["mse"].mean for run in runs]
    assert others == pytest.approx([one, one], rel=1e-6)
    first = evaluate(model, noisy, limit=1).rows[0].values["mse"].mean
    assert first == pytest.approx(
        evaluate(model, noisy, limit=1, batch=5).rows[0].values["mse"].mean
    )


def test_the_result_says_what_was_done() -> None:
    result = evaluate(CopyLast(CopyLastConfig()), BLURRED)
    assert result.name == "single+gaussian-blur:2"
    assert result.protocol["corruption"] == {"kind": "gaussian-blur", "level": 2.0}
    assert result.protocol_hash != evaluate(CopyLast(CopyLastConfig()), SINGLE).protocol_hash
    notes = "\n".join(table(result).notes)
    assert "observed frames are corrupted (Gaussian blur, σ 2 px)" in notes
