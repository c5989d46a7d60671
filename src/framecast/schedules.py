"""Values that change with the step: warm-ups, decays, scheduled sampling."""

import math
from dataclasses import dataclass, replace
from typing import Literal

from framecast.config import Config
from framecast.errors import ConfigError

RISE = 0.3
"""Part of one cycle in which the value rises."""


@dataclass(frozen=True)
class Schedule(Config):
    """A value that goes from `start` to `end` between two steps, and stays outside of them.

    One cycle goes from `start` to 1 and then to `end`.
    """

    start: float = 1.0
    """Value up to step `begin`."""
    end: float = 1.0
    """Value from step `begin + steps` on."""
    begin: int = 0
    """Step at which the change begins."""
    steps: int | None = 0
    """How many steps the change takes; 0 jumps at `begin`, None takes the rest of the stage."""
    shape: Literal["linear", "cosine", "exponential", "one-cycle"] = "linear"
    """Straight line, half a cosine, a constant ratio per step, or one cycle: half a cosine to 1 in
    the first 30 % of the steps, and another one to `end`."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.begin < 0 or (self.steps or 0) < 0:
            raise ConfigError("a schedule's begin and steps are 0 or more")
        if self.shape == "exponential" and not (self.start > 0 and self.end > 0):
            raise ConfigError("an exponential schedule needs a start and an end above 0")

    def __call__(self, step: int, total: int) -> float:
        """The value at a step, counted from 0, of a stage of `total` steps."""
        steps = total - self.begin if self.steps is None else self.steps
        if step < self.begin:
            return self.start
        if step >= self.begin + steps:
            return self.end
        done = (step - self.begin) / steps
        if self.shape == "one-cycle":
            return self._cycle(done)
        if self.shape == "cosine":
            done = _half_cosine(done)
        if self.shape == "exponential":
            return self.start * (self.end / self.start) ** done
        return self.start + (self.end - self.start) * done

    def stretched(self, factor: float) -> "Schedule":
        """The same course of a stage that takes `factor` times as many steps."""
        steps = max(1, round(self.steps * factor)) if self.steps else self.steps
        return replace(self, begin=round(self.begin * factor), steps=steps)

    def _cycle(self, done: float) -> float:
        if done < RISE:
            return self.start + (1 - self.start) * _half_cosine(done / RISE)
        return 1 + (self.end - 1) * _half_cosine((done - RISE) / (1 - RISE))


def _half_cosine(done: float) -> float:
    """From 0 to 1 as `done` does."""
    return (1 - math.cos(math.pi * done)) / 2


def one_cycle() -> Schedule:
    """From 1/25 to 1 in the first 30 % of the stage, and down to nearly nothing at its end.

    Reference: Smith and Topin, Super-Convergence (2018), with the settings usual since; their
    momentum changes against the rate, which here it does not.
    """
    return Schedule(1 / 25, 1 / 25 * 1e-4, steps=None, shape="one-cycle")


def decay(begin: int = 0) -> Schedule:
    """Half a cosine from 1 at step `begin` down to nearly nothing at the stage's last step."""
    return Schedule(1.0, 0.01, begin=begin, steps=None, shape="cosine")


def constant(value: float) -> Schedule:
    """A schedule that never changes."""
    return Schedule(value, value)
