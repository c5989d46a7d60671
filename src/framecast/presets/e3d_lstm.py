"""Experiments with E3D-LSTM."""

from framecast.experiment import Experiment
from framecast.models.e3d_lstm import E3DLSTMConfig, TrainingConfig
from framecast.presets import recurrent

SMALL = E3DLSTMConfig(layers=3, hidden=24, history=2)
LOSS = TrainingConfig(loss="l1+mse")


def moving_mnist() -> Experiment:
    """Moving-MNIST 10→10, the layout of 51.35M: four layers of 128, absolute and squared error."""
    sizes = E3DLSTMConfig(reference=True, recall_norm="layer", size=(64, 64))
    return recurrent.moving_mnist(sizes, LOSS, 1e-4)


def kth() -> Experiment:
    """KTH 10→20 at 128×128, persons 1–14 for training, four layers of 128 on patches of 8."""
    sizes = E3DLSTMConfig(patch=8, reference=True, recall_norm="layer", size=(128, 128))
    return recurrent.kth(sizes, LOSS, 5e-4)


def moving_mnist_small() -> Experiment:
    """Moving-MNIST 10→10 at a size for CPUs, digits of MNIST and drawn ones."""
    return recurrent.moving_mnist_small(SMALL, LOSS, 1_500)


def video_folder() -> Experiment:
    """Videos of your own, 5→5 at 64×64 in colour, on a CPU; all can be changed."""
    return recurrent.video_folder(SMALL, LOSS)


def tiny() -> Experiment:
    """Drawn digits 5→5 with a very small network: no download, a few minutes on a CPU."""
    return recurrent.tiny(SMALL, LOSS)
