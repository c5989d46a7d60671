"""Experiments with STIP."""

from framecast.data.moving_digits import MovingDigits
from framecast.data.video_folder import VideoFolder
from framecast.experiment import Experiment
from framecast.models.stip.network import STIPConfig
from framecast.models.stip.stages import TrainingConfig
from framecast.schedules import Schedule
from framecast.stage import OptimizerConfig


def moving_mnist() -> Experiment:
    """Moving-MNIST 10→10 at a size for CPUs; STIP's paper has no digits."""
    return Experiment(
        _small(channels=1),
        MovingDigits(fixed_train=False),
        context=10,
        horizon=10,
        stages={"main": _quick(4_000, validate_every=500)},
    )


def video_folder() -> Experiment:
    """Videos of your own, 4→4 at 64×64 in colour, on a CPU; all can be changed."""
    return Experiment(
        _small(channels=3, residual=True),
        VideoFolder(size=(64, 64), channels=3, stride=2, most_windows=50, random_windows=False),
        context=4,
        horizon=4,
        stages={"main": _quick(1_000, validate_every=100)},
    )


def tiny() -> Experiment:
    """Drawn digits 5→5 with a very small network: no download, a few minutes on a CPU."""
    return Experiment(
        STIPConfig(channels=1, levels=1, hidden=24, units=3, kernel=3),
        MovingDigits(digits="glyphs", train_size=2_000, validation_size=64),
        context=5,
        horizon=5,
        stages={"main": _quick(400, validate_every=100)},
    )


def _small(channels: int, residual: bool = False) -> STIPConfig:
    return STIPConfig(channels=channels, levels=2, hidden=64, units=8, kernel=3, residual=residual)


def _quick(steps: int, validate_every: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps,
        batch=8,
        optimizer=OptimizerConfig(
            learning_rate=1e-3,
            clip_norm=1.0,
            warmup=100,
            schedule=Schedule(1.0, 0.01, steps=None, shape="cosine"),
        ),
        teacher_forcing=Schedule(1.0, 0.0, steps=steps // 2),
        validate_every=validate_every,
        validation_clips=64,
        checkpoint_every=100,
        sample_every=200,
    )
