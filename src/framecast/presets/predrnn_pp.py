"""Experiments with PredRNN++."""

from framecast.experiment import Experiment
from framecast.models.predrnn_pp import PredRNNPPConfig, TrainingConfig
from framecast.presets import recurrent

SMALL = PredRNNPPConfig(hidden=32)


def moving_mnist() -> Experiment:
    """Moving-MNIST 10→10 as published: four layers of 128 and a highway, squared error."""
    return recurrent.moving_mnist(PredRNNPPConfig(), TrainingConfig(), 1e-4)


def kth() -> Experiment:
    """KTH 10→20 at 128×128, persons 1–14 for training, as on digits, on patches of 2."""
    return recurrent.kth(PredRNNPPConfig(patch=2), TrainingConfig(), 1e-3)


def moving_mnist_small() -> Experiment:
    """Moving-MNIST 10→10 at a size for CPUs, digits of MNIST and drawn ones."""
    return recurrent.moving_mnist_small(SMALL, TrainingConfig(), 2_000)


def video_folder() -> Experiment:
    """Videos of your own, 5→5 at 64×64 in colour, on a CPU; all can be changed."""
    return recurrent.video_folder(SMALL, TrainingConfig())


def tiny() -> Experiment:
    """Drawn digits 5→5 with a very small network: no download, a few minutes on a CPU."""
    return recurrent.tiny(SMALL, TrainingConfig())
