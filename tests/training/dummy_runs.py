"""Small trainings of the dummy, and how to read what they leave."""

import csv
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch import Tensor

from contract.dummy import CodesConfig, Dots, DummyConfig, PlainConfig, PriorConfig
from framecast.experiment import Experiment
from framecast.stage import StageConfig
from framecast.training import Interrupted, RunOptions, train
from framecast.training.trainer import Trainer

OPTIONS = RunOptions(accelerator="cpu", workers=0, progress=False)
OFTEN = {"log_every": 1, "validate_every": 2, "checkpoint_every": 2, "sample_every": 0}
At = Callable[[int, Callable[[Any], None]], None]
"""Of the fixture `after_step`: a number of steps, and what to do then."""
Row = tuple[str, int, str, str]  # stage, step, split, name


def experiment(**stages: StageConfig) -> Experiment:
    """An experiment of given stages."""
    return Experiment(DummyConfig(), Dots(), context=3, horizon=2, stages=stages)


def plain(**fields: Any) -> Experiment:
    """One stage without noise."""
    return experiment(plain=PlainConfig(**{"steps": 4, "batch": 8, **OFTEN, **fields}))


def chain() -> Experiment:
    """Two stages: phases, noise, a codebook and an average; then a prior on cached codes."""
    return experiment(
        codes=CodesConfig(steps=5, batch=8, accumulate=2, ema=0.9, **OFTEN),
        prior=PriorConfig(steps=5, batch=8, **{**OFTEN, "validate_every": 3}),
    )


def metrics(run: Path) -> dict[Row, float]:
    """All values of a run's table."""
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    found = {(r["stage"], int(r["step"]), r["split"], r["name"]): float(r["value"]) for r in rows}
    assert len(found) == len(rows), "a value is in the table twice"
    return found


def weights(folder: Path) -> dict[str, Tensor]:
    """Tensors of a model folder."""
    return load_file(folder / "model.safetensors")


def traces(run: Path) -> dict[str, bytes]:
    """What two equal trainings leave, byte for byte."""
    patterns = ("metrics.csv", "model/*", "stages/*/*", "checkpoints/*/*")
    files = [path for pattern in patterns for path in run.glob(pattern)]
    return {str(path.relative_to(run)): path.read_bytes() for path in files}


def train_in_halves(experiment: Experiment, run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Train, stop by a signal after the third step, and go on."""
    real = Trainer.step

    def step(self: Trainer, micros: list) -> dict[str, float]:
        values = real(self, micros)
        if self.done == 3:
            signal.raise_signal(signal.SIGTERM)
        return values

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", step)
        with pytest.raises(Interrupted, match="step 3 of stage 'main'"):
            train(experiment, run, options=OPTIONS)
    train(experiment, run, resume=True, options=OPTIONS)


def quiet() -> Experiment:
    """All stages, without what differs between processes: noise."""
    return experiment(
        plain=PlainConfig(steps=4, batch=8, accumulate=2, ema=0.9, **OFTEN),
        codes=CodesConfig(steps=5, batch=8, noise=0.0, **OFTEN),
        prior=PriorConfig(steps=3, batch=4, **OFTEN),
    )


def uneven() -> Experiment:
    """A batch that two processes cannot share."""
    return plain(batch=6, accumulate=2)


def send(number: int) -> Callable[[Any], None]:
    """Raise a signal, for `after_step`."""
    return lambda _: signal.raise_signal(number)
