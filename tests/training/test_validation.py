"""Validation: the same every time, in evaluation mode, and able to tell no score from a bad one."""

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import pytest
import torch
from dummy_runs import OFTEN, OPTIONS, experiment
from torch import Tensor

import framecast
from contract.dummy import Dots, Dummy, DummyConfig, Plain, PlainConfig
from framecast.clip import Clip
from framecast.errors import TrainingError
from framecast.stage import Stage
from framecast.training import train
from framecast.training.batches import validation_batches
from framecast.training.options import launch
from framecast.training.validation import validate


@dataclass(frozen=True)
class UnsureConfig(PlainConfig):
    """Of a stage whose first scores are no numbers."""

    type: ClassVar[str] = "dummy/unsure"
    numbers_from: int = 0
    """Validation from which on scores are numbers."""


class Unsure(Plain, of=Dummy, name="unsure"):
    """Reports the mode, a draw, and scores that rise."""

    config_type = UnsureConfig
    count = 0

    def validate(self, batch: Clip) -> dict[str, Tensor]:
        self.count += 1
        number = self.count >= self.config.numbers_from
        score = torch.tensor(float(self.count) if number else float("nan"))
        draw = torch.rand(())
        return {"score": score, "draw": draw, "training": torch.tensor(float(self.training))}


def values(stage: Stage, seed: int, rank: int = 0, world: int = 1) -> dict[str, float]:
    source = Dots().source("validation", 5, 0)
    batches = validation_batches(source, 10, 4, 0, rank, world)
    return validate(launch(OPTIONS), stage, batches, seed)


def test_the_noise_is_the_same_every_time() -> None:
    stage = Unsure(UnsureConfig(), Dummy(DummyConfig()), 3)
    first = values(stage, 1)
    torch.manual_seed(77)
    assert values(stage, 1)["draw"] == first["draw"]
    assert values(stage, 2)["draw"] != first["draw"]


def test_processes_have_their_batches_and_noise() -> None:
    """10 clips in batches of 4, 4 and 2: process 0 has the first and the last."""
    stage = Unsure(UnsureConfig(), Dummy(DummyConfig()), 3)
    whole, one, other = values(stage, 1), values(stage, 1, 0, 2), values(stage, 1, 1, 2)
    assert 10 * whole["draw"] == pytest.approx(6 * one["draw"] + 4 * other["draw"])


def test_stages_are_in_evaluation_mode() -> None:
    stage = Unsure(UnsureConfig(), Dummy(DummyConfig()), 3).train()
    assert values(stage, 1)["training"] == 0


def test_a_validation_without_a_score_is_an_error() -> None:
    class Silent(Plain):
        def validate(self, batch: Clip) -> dict[str, Tensor]:
            return {"loss": torch.zeros(())}

    with pytest.raises(TrainingError, match="and no 'score'"):
        values(Silent(PlainConfig(), Dummy(DummyConfig()), 3), 1)


@pytest.mark.parametrize(
    ("numbers_from", "step", "score"), [(0, 2, 1.0), (2, 4, 2.0), (9, 2, None)]
)
def test_a_score_that_is_no_number_is_the_worst(
    tmp_path: Path, numbers_from: int, step: int, score: float | None
) -> None:
    config = UnsureConfig(numbers_from=numbers_from, **{**OFTEN, "steps": 6, "batch": 24})
    train(experiment(unsure=config), tmp_path, options=OPTIONS)
    about = framecast.load(tmp_path).about
    assert (about["stages"][0]["step"], about["score"]) == (step, score)
