"""Plans of trainings."""

import math
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from dummy_runs import OPTIONS, chain, plain

from contract.dummy import SIZE, WIDTH
from framecast.errors import ConfigError
from framecast.training import plan, planning, within
from framecast.training.trainer import Trainer


def test_a_plan_counts_and_measures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = plan(chain(), OPTIONS)
    assert not list(tmp_path.iterdir())
    codes, prior = found.stages
    pixels = SIZE * SIZE
    encoder, decoder = pixels * WIDTH + WIDTH, WIDTH * pixels + pixels
    critic = pixels * 4 + 4 + 4 + 1
    assert codes.parameters == {
        "fixed": pixels * pixels + pixels,
        "encoder": encoder,
        "decoder": decoder,
        "prior": 64,
        "stage.critic": critic,
    }
    assert codes.trained == encoder + decoder + critic
    assert (prior.name, prior.steps, prior.trained) == ("prior", 5, 64)
    assert 0 < codes.seconds < 1000
    assert found.seconds == pytest.approx((codes.seconds + prior.seconds) * 5 / 1000)
    assert 50e6 < codes.peak_bytes < 50e9
    assert found.device == "cpu"


def test_steps_are_taken_from_all_over_a_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    step, taken = Trainer.step, []

    def noted(trainer: Trainer, micros: Any) -> dict[str, float]:
        taken.append(trainer.done)
        return step(trainer, micros)

    monkeypatch.setattr(Trainer, "step", noted)
    plan(plain(steps=800), OPTIONS)
    assert taken == [0, 100, 300, 500, 700]


@pytest.mark.parametrize("threads", [1, 2])
def test_one_thread_is_measured_by_its_own_time(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With several threads processor time says nothing about how long it takes."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    clock = planning._clock(torch.device("cpu"))
    began = clock()
    time.sleep(0.2)
    assert (clock() - began < 0.1) == (threads == 1)
    assert planning._clock(torch.device("cuda")) is time.perf_counter


def test_an_experiment_is_made_to_last_some_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """All stages get longer by one factor, by the time that a step of each takes."""
    times = iter([0, 4, 10, 18])  # 1 s a step, then 2 s
    monkeypatch.setattr(planning, "_clock", lambda device: lambda: float(next(times)))
    given = chain()
    found, planned = within(given, 3.0, OPTIONS)
    assert planned.seconds == pytest.approx(180)
    assert [stage.steps for stage in planned.stages] == [60, 60]
    assert {name: stage.steps for name, stage in found.stages.items()} == {"codes": 60, "prior": 60}
    assert found.stages["prior"].validate_every == 3 * 12
    assert found.stages["codes"].checkpoint_every == given.stages["codes"].checkpoint_every
    assert found.lasting({"codes": 5, "prior": 5}) == given


@pytest.mark.parametrize("minutes", [0.0, -1.0, math.inf, math.nan])
def test_minutes_are_above_zero(minutes: float) -> None:
    with pytest.raises(ConfigError, match="above 0"):
        within(chain(), minutes, OPTIONS)


def test_minutes_are_those_of_one_process() -> None:
    with pytest.raises(ConfigError, match=r"one process.*--stages\.NAME\.steps"):
        within(chain(), 1.0, replace(OPTIONS, devices=2))


def test_a_plan_takes_one_process_s_share() -> None:
    two, three = replace(OPTIONS, devices=2), replace(OPTIONS, devices=3)
    assert plan(chain(), two).stages[0].steps == 5
    with pytest.raises(ConfigError, match="a batch of 8 cannot be shared by 3 processes"):
        plan(chain(), three)
