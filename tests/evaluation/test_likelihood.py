"""Likelihoods of true futures, against figures computed by hand."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from handmade import Handmade, Toy, ToyConfig
from scipy import stats
from torch import Tensor

from contract.tiny_codec import TinyCodec, TinyCodecConfig
from framecast.clip import Clip
from framecast.config import from_json, to_json
from framecast.errors import ConfigError, FramecastError
from framecast.evaluation.corruption import find
from framecast.evaluation.protocol import Protocol, reconstructing
from framecast.evaluation.report import table
from framecast.evaluation.result import Result
from framecast.evaluation.runner import evaluate

SINGLE = Protocol("single", Handmade(count=5), 3, 4)


class Guessing(TinyCodec):
    """Finds a future the less likely the brighter it is, after what it observed last."""

    def code_log_probs(self, context: Clip, future: Clip) -> tuple[Tensor, ...]:
        if future.length != 4:
            raise FramecastError("this model takes 4 frames of a future")
        assert not self.training
        seen = context.frames[:, -1:].mean((2, 3, 4))
        coarse = future.frames.mean((3, 4)).flatten(1)
        return -coarse[:, ::2] - seen, -2 * future.frames[:, :, 0, 0].flatten(1)


@pytest.fixture
def guessing() -> Guessing:
    return Guessing(TinyCodecConfig())


def test_bits_of_every_level_and_of_all(guessing: Guessing) -> None:
    """Means over sequences, which may have several batches, and their intervals."""
    source = SINGLE.data.source("test", 7, 0)
    clips = np.stack([source[(0, index)].frames[:, 0].double().numpy() for index in range(5)])
    seen = clips[:, 2].mean((1, 2))[:, None]
    coarse = (clips[:, 3:].mean((2, 3))[:, ::2] + seen) / math.log(2)
    fine = 2 * clips[:, 3:, 0].reshape(5, -1) / math.log(2)
    result = evaluate(guessing.train(), SINGLE, batch=2, likelihood=True)
    assert guessing.training
    found = result.likelihood
    assert found is not None
    every = np.concatenate([coarse, fine], 1)
    pairs = zip((found, *found.levels), (every, coarse, fine), strict=True)
    for got, bits in pairs:
        means = bits.mean(1)
        half = stats.t.ppf(0.975, 4) * means.std(ddof=1) / math.sqrt(5)
        assert got.bits_per_code.mean == pytest.approx(means.mean(), rel=1e-5)
        assert got.bits_per_code.high == pytest.approx(means.mean() + half, rel=1e-4)
    assert [level.codes for level in found.levels] == [coarse.shape[1], fine.shape[1]]
    assert found.bits_per_frame == pytest.approx(every.sum(1).mean() / 4, rel=1e-5)
    (note,) = (note for note in table(result).notes if note.startswith("likelihood"))
    assert f"{found.bits_per_code.mean:.3f} ±" in note
    assert from_json(Result, to_json(result), "") == result


def test_it_is_of_what_the_model_is_given(guessing: Guessing) -> None:
    """Corrupted frames are observed; the future is the clean one."""
    corrupted = replace(SINGLE, corruption=find("noise:0"))
    plain, noisy = (
        evaluate(guessing, protocol, likelihood=True).likelihood for protocol in (SINGLE, corrupted)
    )
    assert plain is not None
    assert noisy is not None
    assert plain.levels[0] != noisy.levels[0]
    assert plain.levels[1] == noisy.levels[1]


def test_none_is_computed_unless_asked_for(guessing: Guessing) -> None:
    assert evaluate(guessing, SINGLE).likelihood is None


def test_models_and_tasks_without_a_likelihood_are_refused_at_once(guessing: Guessing) -> None:
    with pytest.raises(ConfigError, match=r"--likelihood: .* has no codes"):
        evaluate(Toy(ToyConfig()), SINGLE, likelihood=True)
    with pytest.raises(ConfigError, match=r"--likelihood: .*takes 4 frames"):
        evaluate(guessing, Protocol("longer", Handmade(count=5), 3, 5), likelihood=True)
    with pytest.raises(ConfigError, match="a reconstruction has none"):
        evaluate(guessing, reconstructing(SINGLE), likelihood=True)


def test_frames_do_not_need_gradients(guessing: Guessing) -> None:
    weight = torch.nn.Parameter(torch.ones(()))
    guessing.code_log_probs = lambda context, future: (weight * -future.frames.flatten(1),)
    found = evaluate(guessing, SINGLE, likelihood=True).likelihood
    assert found is not None
    assert len(found.levels) == 1
