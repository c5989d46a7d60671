"""Whole trainings of a small V3D-ConvLSTM."""

from dataclasses import replace
from pathlib import Path

import pytest

import framecast
from contract.dummy import Dots
from framecast.data.moving_digits import MovingDigits
from framecast.experiment import Experiment
from framecast.layers.batch_norm import BatchNorm
from framecast.models.v3d_convlstm.model import V3DConvLSTM
from framecast.models.v3d_convlstm.stages import TrainingConfig
from framecast.training import train
from models.tiny_v3d import SMALL
from training.dummy_runs import OFTEN, OPTIONS, metrics, traces, train_in_halves


def test_a_short_training(tmp_path: Path):
    """Losses are logged by their names; what is kept predicts, with statistics of the norms."""
    config = TrainingConfig(**{"steps": 4, "batch": 4, **OFTEN})
    data = MovingDigits(digits="glyphs", train_size=8, validation_size=4)
    experiment = Experiment(SMALL, data, context=4, horizon=3, stages={"main": config})
    train(experiment, tmp_path, options=OPTIONS)
    logged = {name for _, _, split, name in metrics(tmp_path) if split == "train"}
    assert {"total", "reconstruction", "latent", "kl"} <= logged
    model = framecast.load(tmp_path)
    assert isinstance(model, V3DConvLSTM)
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    assert all((norm.mean != 0).any() for norm in norms)


def test_going_on_is_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stopped after the third of five steps: weights, statistics, optimizer and log, with the noise
    and the frames fed back that every step would have had."""
    config = TrainingConfig(**{"steps": 5, "batch": 4, **OFTEN})
    model = replace(SMALL, window=2, width=2)
    experiment = Experiment(model, Dots(), context=3, horizon=3, stages={"main": config})
    train(experiment, tmp_path / "whole", options=OPTIONS)
    train_in_halves(experiment, tmp_path / "run", monkeypatch)
    whole, run = traces(tmp_path / "whole"), traces(tmp_path / "run")
    assert any(name.endswith("optimizers.safetensors") for name in whole)
    assert {name: run.get(name) for name in whole} == whole
