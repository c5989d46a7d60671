"""Experiments: which clips they train on."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from framecast import registry
from framecast.data.moving_digits import MovingDigits
from framecast.data.video_folder import VideoFolder
from framecast.errors import ConfigError, TrainingError
from framecast.experiment import Experiment
from framecast.models.convlstm import ConvLSTMConfig
from framecast.training.place import Sources


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


def test_without_a_validation_split_there_is_nothing_to_add(tmp_path):
    """One video cannot be split; it is trained on whole where no validation is asked for."""
    (tmp_path / "a").mkdir()
    for number in range(6):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "a" / f"{number}.png")
    data = VideoFolder(root=tmp_path, size=(8, 8))
    whole = Experiment(ConvLSTMConfig(), data, 2, 3, validation=False)
    assert whole.source("train").fingerprint() == data.source("train", 5, 0).fingerprint()
    with pytest.raises(TrainingError, match=r"validation split .* empty.*--no-validation"):
        Sources(Experiment(ConvLSTMConfig(), data, 2, 3))


@pytest.mark.parametrize(
    ("preset", "lengths", "said"),
    [
        ("video-vqvae/tiny", (4, 8), r"horizon of 4 frames, not 8; set --model.future 8"),
        ("video-vqvae/tiny", (8, 4), r"context of 4 frames, not 8; set --model.context 8"),
        ("simvp/tiny", (5, 2), r"leaves the others untrained; set --model.future 2"),
        ("simvp/tiny", (3, 5), r"predicts from 5 frames"),
    ],
)
def test_lengths_that_a_later_stage_cannot_train_on_are_refused_at_once(preset, lengths, said):
    experiment = registry.find("presets", preset)()
    context, horizon = lengths
    with pytest.raises(ConfigError, match=said):
        replace(experiment, context=context, horizon=horizon)
