"""Plans of trainings."""

from dataclasses import replace
from pathlib import Path

import pytest
from dummy_runs import OPTIONS, chain

from contract.dummy import SIZE, WIDTH
from framecast.errors import ConfigError
from framecast.training import plan


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


def test_a_plan_takes_one_process_s_share() -> None:
    two, three = replace(OPTIONS, devices=2), replace(OPTIONS, devices=3)
    assert plan(chain(), two).stages[0].steps == 5
    with pytest.raises(ConfigError, match="a batch of 8 cannot be shared by 3 processes"):
        plan(chain(), three)
