"""Experiments with PredRNN."""

from dataclasses import replace

from framecast.experiment import Experiment
from framecast.models.predrnn import PredRNNConfig, TrainingConfig
from framecast.presets import recurrent
from framecast.schedules import Schedule

SMALL = PredRNNConfig(hidden=40)


def moving_mnist() -> Experiment:
    """Moving-MNIST 10→10 as published: four layers of 128, squared error."""
    return recurrent.moving_mnist(PredRNNConfig(), TrainingConfig(), 5e-4)


def moving_mnist_reverse() -> Experiment:
    """Moving-MNIST 10→10 with reverse scheduled sampling, as PredRNN-V2 is trained.

    Half of the observed frames are what the model predicted of them; from step 25,000 to 50,000
    they become the true ones, and those of the horizon predicted. The rise is straight here, and
    exponential in the authors' program.
    """
    forced = {
        "teacher_forcing": Schedule(0.5, 0.0, begin=25_000, steps=25_000),
        "context_forcing": Schedule(0.5, 1.0, begin=25_000, steps=25_000),
    }
    experiment = moving_mnist()
    return replace(experiment, stages={"main": replace(experiment.stages["main"], **forced)})


def kth() -> Experiment:
    """KTH 10→20 at 128×128, persons 1–14 for training, four layers of 128 on patches of 2."""
    return recurrent.kth(PredRNNConfig(patch=2), TrainingConfig(), 1e-3)


def moving_mnist_small() -> Experiment:
    """Moving-MNIST 10→10 at a size for CPUs, digits of MNIST and drawn ones."""
    return recurrent.moving_mnist_small(SMALL, TrainingConfig(), 2_000)


def video_folder() -> Experiment:
    """Videos of your own, 5→5 at 64×64 in colour, on a CPU; all can be changed."""
    return recurrent.video_folder(SMALL, TrainingConfig())


def tiny() -> Experiment:
    """Drawn digits 5→5 with a very small network: no download, a few minutes on a CPU."""
    return recurrent.tiny(SMALL, TrainingConfig())
