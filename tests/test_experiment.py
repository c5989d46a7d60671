"""Experiments: which clips they train on."""

import torch

from framecast.data.moving_digits import MovingDigits
from framecast.experiment import Experiment
from framecast.models.convlstm import ConvLSTMConfig


def test_without_validation_its_clips_are_trained_on():
    """All of both splits, each under its own name, with another fingerprint."""
    data = MovingDigits(digits="glyphs", train_size=3, validation_size=2)
    held = Experiment(ConvLSTMConfig(), data, 2, 3)
    joined = Experiment(ConvLSTMConfig(), data, 2, 3, validation=False).source("train")
    train, validation = held.source("train"), held.source("validation")
    assert len(held.source("train")) == 3
    assert len(joined) == 5
    for index in range(3):
        assert torch.equal(joined[(0, index)].frames, train[(0, index)].frames)
    for index in range(2):
        assert torch.equal(joined[(0, 3 + index)].frames, validation[(0, index)].frames)
    assert joined.fingerprint() not in {train.fingerprint(), validation.fingerprint()}
    assert joined.fixed
    assert joined.name(3) == validation.name(0)
    assert set(joined.notes()) == {*train.notes(), *validation.notes()}
