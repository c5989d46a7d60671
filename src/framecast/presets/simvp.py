"""Experiments with SimVP.

Sizes and training are those of the comparison of predictive models that its authors keep (Tan et
al., OpenSTL, 2023), which has both translators on the same grounds.
"""

from dataclasses import replace

from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.experiment import Experiment
from framecast.models.simvp import SimVPConfig, TrainingConfig
from framecast.presets.own_videos import PARTS
from framecast.schedules import one_cycle
from framecast.stage import OptimizerConfig

EPOCH = 625
"""Steps of 16 clips in an epoch of Moving-MNIST."""
DROP_FROM = 0.01
"""Drop path of a first block, which the authors' program always has."""
KTH = SimVPConfig(halvings=1, wide=256, blocks=6)
SMALL = SimVPConfig(hidden=16, wide=192, blocks=4, expansion=4)
"""For CPUs."""


def moving_mnist() -> Experiment:
    """Moving-MNIST 10→10 with gated attention, 46.77M weights, 200 epochs."""
    return _moving_mnist(SimVPConfig(drop_path=(DROP_FROM, 0.0)))


def moving_mnist_inception() -> Experiment:
    """Moving-MNIST 10→10 with inception blocks, 57.95M weights, 200 epochs."""
    return _moving_mnist(SimVPConfig(translator="inception"))


def kth() -> Experiment:
    """KTH 10→20 at 128×128 with gated attention, 15.6M weights, two blocks of 10 frames."""
    return _kth(replace(KTH, drop_path=(DROP_FROM, 0.2)))


def kth_inception() -> Experiment:
    """KTH 10→20 at 128×128 with inception blocks, 12.2M weights, two blocks of 10 frames."""
    return _kth(replace(KTH, translator="inception"))


def moving_mnist_small() -> Experiment:
    """Moving-MNIST 10→10 at a size for CPUs, digits of MNIST and drawn ones."""
    return Experiment(
        SMALL,
        MovingDigits(digits="mnist+glyphs", fixed_train=False),
        context=10,
        horizon=10,
        stages={
            "main": TrainingConfig(
                steps=4_000,
                batch=8,
                optimizer=_adam(2e-3),
                validate_every=250,
                validation_clips=128,
                checkpoint_every=100,
            )
        },
    )


def video_folder() -> Experiment:
    """Videos of your own, 5→5 at 64×64 in colour, on a CPU; all can be changed.

    Parts of frames, mirrored or not, are drawn anew in every epoch: few videos go further.
    """
    training = replace(_quick(3_000, validate_every=250), ema=0.998, keep="last")
    return Experiment(
        replace(SMALL, channels=3, context=5, future=5),
        PARTS,
        context=5,
        horizon=5,
        stages={"main": training},
    )


def tiny() -> Experiment:
    """Drawn digits 5→5 with a very small network: no download, a few minutes on a CPU."""
    return Experiment(
        SimVPConfig(context=5, future=5, hidden=16, wide=64, blocks=3, expansion=2),
        MovingDigits(digits="glyphs", train_size=2_000, validation_size=64),
        context=5,
        horizon=5,
        stages={"main": _quick(600, validate_every=100)},
    )


def _moving_mnist(model: SimVPConfig) -> Experiment:
    return Experiment(
        model,
        MovingDigits(fixed_train=False),
        context=10,
        horizon=10,
        stages={"main": _published(200 * EPOCH, EPOCH)},
    )


def _kth(model: SimVPConfig) -> Experiment:
    return Experiment(
        model, Kth(size=128), context=10, horizon=20, stages={"main": _published(100_000, 1_000)}
    )


def _published(steps: int, every: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps,
        batch=16,
        optimizer=OptimizerConfig(learning_rate=1e-3, schedule=one_cycle()),
        validate_every=every,
        checkpoint_every=every,
    )


def _adam(rate: float) -> OptimizerConfig:
    return OptimizerConfig(learning_rate=rate, clip_norm=1.0, schedule=one_cycle())


def _quick(steps: int, validate_every: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps,
        batch=8,
        optimizer=_adam(2e-3),
        validate_every=validate_every,
        validation_clips=64,
        checkpoint_every=100,
        sample_every=200,
    )
