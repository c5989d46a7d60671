"""What the presets of PredRNN, PredRNN++ and E3D-LSTM have in common."""

from dataclasses import replace

from framecast.clip import DataConfig
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.experiment import Experiment
from framecast.models.patch_stack import PatchStackConfig, PatchStackTraining
from framecast.presets.own_videos import PARTS
from framecast.schedules import Schedule, decay
from framecast.stage import OptimizerConfig

EPOCH = 625
"""Steps of 16 clips in an epoch of Moving-MNIST."""


def moving_mnist(model: PatchStackConfig, training: PatchStackTraining, rate: float) -> Experiment:
    """Moving-MNIST 10→10, 200 epochs; own predictions are fed back alone after a quarter of them.

    Args:
        model: Sizes.
        training: The stage, with the loss.
        rate: The learning rate at its highest.
    """
    return _published(model, training, MovingDigits(fixed_train=False), 10, 200 * EPOCH, rate)


def kth(model: PatchStackConfig, training: PatchStackTraining, rate: float) -> Experiment:
    """KTH 10→20 at 128×128, persons 1–14 for training; as `moving_mnist`."""
    return _published(model, training, Kth(size=128), 20, 100_000, rate)


def moving_mnist_small(
    model: PatchStackConfig, training: PatchStackTraining, steps: int
) -> Experiment:
    """Moving-MNIST 10→10 with digits of MNIST and drawn ones, at a size for CPUs."""
    digits = MovingDigits(digits="mnist+glyphs", fixed_train=False)
    short = _short(training, steps, clips=128)
    return _experiment(small(model), replace(short, validate_every=250), digits, 10, 10)


def video_folder(model: PatchStackConfig, training: PatchStackTraining) -> Experiment:
    """Videos of one's own, 5→5 at 64×64 in colour."""
    colour = replace(small(model), channels=3, residual=True)
    short = replace(_short(training, 3_000), validate_every=250, ema=0.998, keep="last")
    return _experiment(colour, short, PARTS, 5, 5)


def tiny(model: PatchStackConfig, training: PatchStackTraining) -> Experiment:
    """Drawn digits 5→5 with a very small network."""
    digits = MovingDigits(digits="glyphs", train_size=2_000, validation_size=64)
    shallow = replace(small(model), layers=2, hidden=16)
    return _experiment(shallow, replace(_short(training, 400), sample_every=200), digits, 5, 5)


def small(model: PatchStackConfig) -> PatchStackConfig:
    """Kernels of 3 and biases; frames of any size."""
    return replace(model, kernel=3, bias=True, norm="none", size=None)


def _published(
    model: PatchStackConfig,
    training: PatchStackTraining,
    data: DataConfig,
    horizon: int,
    steps: int,
    rate: float,
) -> Experiment:
    stage = replace(
        training,
        steps=steps,
        batch=16,
        optimizer=OptimizerConfig(learning_rate=rate, warmup=1_000, schedule=decay(begin=1_000)),
        teacher_forcing=Schedule(1.0, 0.0, steps=50_000),
        validate_every=EPOCH,
        checkpoint_every=EPOCH,
    )
    return _experiment(model, stage, data, 10, horizon)


def _short(training: PatchStackTraining, steps: int, clips: int = 64) -> PatchStackTraining:
    return replace(
        training,
        steps=steps,
        batch=8,
        optimizer=OptimizerConfig(learning_rate=2e-3, clip_norm=1.0, warmup=50, schedule=decay()),
        teacher_forcing=Schedule(1.0, 0.0, steps=steps // 2),
        validate_every=100,
        validation_clips=clips,
        checkpoint_every=100,
    )


def _experiment(
    model: PatchStackConfig,
    stage: PatchStackTraining,
    data: DataConfig,
    context: int,
    horizon: int,
) -> Experiment:
    return Experiment(model, data, context=context, horizon=horizon, stages={"main": stage})
