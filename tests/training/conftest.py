"""Makes the dummy model of the contract tests importable, and acts in the middle of runs."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture
def after_step(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, Callable[[Any], None]], None]:
    """Do something in the middle of a run, when so many steps of a stage are done."""
    # not at the top: what is imported before the tests are collected is not type-checked in them
    from framecast.training.trainer import Trainer

    real = Trainer.step

    def arrange(number: int, act: Callable[[Any], None]) -> None:
        def step(self: Trainer, micros: list[Any]) -> dict[str, float]:
            values = real(self, micros)
            if self.done == number:
                monkeypatch.setattr(Trainer, "step", real)
                act(self)
            return values

        monkeypatch.setattr(Trainer, "step", step)

    return arrange
