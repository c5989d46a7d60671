"""Experiments with ConvLSTM."""

from dataclasses import replace

from framecast.data.arrays import Arrays
from framecast.data.bridge import Bridge
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.experiment import Experiment
from framecast.models.convlstm import ConvLSTMConfig, TrainingConfig
from framecast.presets.own_videos import PARTS
from framecast.schedules import Schedule, decay
from framecast.stage import OptimizerConfig

EPOCH = 625
"""Steps of 16 clips in an epoch of Moving-MNIST."""


def moving_mnist() -> Experiment:
    """Moving-MNIST 10→10 with the stack of four layers that later benchmarks quote at 15.08M."""
    return Experiment(
        ConvLSTMConfig(),
        MovingDigits(fixed_train=False),
        context=10,
        horizon=10,
        stages={
            "main": TrainingConfig(
                steps=200 * EPOCH,
                batch=16,
                optimizer=OptimizerConfig(
                    learning_rate=5e-4, warmup=1_000, schedule=decay(begin=1_000)
                ),
                teacher_forcing=Schedule(1.0, 0.0, steps=50_000),
                validate_every=EPOCH,
                checkpoint_every=EPOCH,
            )
        },
    )


def moving_mnist_forecaster() -> Experiment:
    """Moving-MNIST 10→10 with the paper's encoder–forecaster, 5×5-128-64-64, 7,585,296 weights."""
    return Experiment(
        ConvLSTMConfig(
            layout="forecaster",
            hidden=(128, 64, 64),
            bias=True,
            peephole=True,
            output="sigmoid",
        ),
        MovingDigits(),
        context=10,
        horizon=10,
        stages={
            "main": TrainingConfig(
                steps=100 * EPOCH,
                batch=16,
                optimizer=OptimizerConfig(kind="rmsprop", learning_rate=1e-3, betas=(0.0, 0.9)),
                loss="bce",
                validate_every=EPOCH,
                checkpoint_every=EPOCH,
            )
        },
    )


def moving_mnist_small() -> Experiment:
    """Moving-MNIST 10→10 at a size for CPUs, digits of MNIST and drawn ones: the shipped model."""
    return Experiment(
        _small(channels=1),
        MovingDigits(digits="mnist+glyphs", fixed_train=False),
        context=10,
        horizon=10,
        stages={
            "main": TrainingConfig(
                steps=4_000,
                batch=8,
                optimizer=OptimizerConfig(
                    learning_rate=2e-3, clip_norm=1.0, warmup=100, schedule=decay()
                ),
                teacher_forcing=Schedule(1.0, 0.0, steps=1_600),
                validate_every=250,
                validation_clips=128,
                checkpoint_every=100,
            )
        },
    )


def kth() -> Experiment:
    """KTH 10→20 at 128×128, persons 1–14 for training, four layers on patches of 2."""
    return Experiment(
        ConvLSTMConfig(patch=2),
        Kth(size=128),
        context=10,
        horizon=20,
        stages={
            "main": TrainingConfig(
                steps=100_000,
                batch=16,
                optimizer=OptimizerConfig(
                    learning_rate=1e-3, warmup=1_000, schedule=decay(begin=1_000)
                ),
                teacher_forcing=Schedule(1.0, 0.0, steps=50_000),
                validate_every=1_000,
                checkpoint_every=1_000,
            )
        },
    )


def video_folder() -> Experiment:
    """Videos of your own, 5→5 at 64×64 in colour, on a CPU; all can be changed.

    Parts of frames, mirrored or not, are drawn anew in every epoch: few videos go further.
    """
    return Experiment(
        _small(channels=3, residual=True),
        PARTS,
        context=5,
        horizon=5,
        stages={"main": replace(_quick(3_000), validate_every=250, ema=0.998, keep="last")},
    )


def arrays() -> Experiment:
    """Arrays of your own (radar, microscopy), 6→6 at 64×64; give their key and range."""
    return Experiment(
        _small(channels=1, residual=True),
        Arrays(size=(64, 64)),
        context=6,
        horizon=6,
        stages={"main": _quick(600)},
    )


def bridge() -> Experiment:
    """Robot videos in the RLDS layout, 2→8 at 64×64 in colour, in minutes on a CPU."""
    return Experiment(
        _small(channels=3, residual=True),
        Bridge(size=(64, 64)),
        context=2,
        horizon=8,
        stages={"main": _quick(600)},
    )


def tiny() -> Experiment:
    """Drawn digits 5→5 with a very small network: no download, a few minutes on a CPU."""
    return Experiment(
        _small(channels=1, hidden=(24, 24)),
        MovingDigits(digits="glyphs", train_size=2_000, validation_size=64),
        context=5,
        horizon=5,
        stages={"main": _quick(400)},
    )


def _small(
    channels: int, hidden: tuple[int, ...] = (64, 64, 64, 64), residual: bool = False
) -> ConvLSTMConfig:
    return ConvLSTMConfig(
        channels=channels,
        hidden=hidden,
        kernel=3,
        bias=True,
        forget_bias=1.0,
        residual=residual,
    )


def _quick(steps: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps,
        batch=8,
        optimizer=OptimizerConfig(learning_rate=2e-3, clip_norm=1.0, warmup=50, schedule=decay()),
        teacher_forcing=Schedule(1.0, 0.0, steps=steps // 2),
        validate_every=100,
        validation_clips=64,
        checkpoint_every=100,
        sample_every=200,
    )
