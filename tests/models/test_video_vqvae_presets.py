"""Presets of Video VQ-VAE: what is published of them, and that small ones can be shipped."""

from typing import Any

import pytest
import torch

from framecast import registry
from framecast.experiment import Experiment
from framecast.models.video_vqvae.model import VideoVQVAE, VideoVQVAEConfig

NAMES = [name for name in registry.names("presets") if name.startswith("video-vqvae/")]
SHIPPABLE = 6_000_000
"""Bytes."""


def preset(name: str) -> Experiment:
    return registry.find("presets", f"video-vqvae/{name.removeprefix('video-vqvae/')}")()


def fields(experiment: Experiment, stage: str) -> Any:
    return experiment.stages[stage]


def parameters(experiment: Experiment) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in experiment.model.build().parameters())


def test_the_papers_is_as_published() -> None:
    """Tables 3 and 4."""
    experiment = preset("paper")
    autoencoder, top, bottom = (
        fields(experiment, stage) for stage in ("autoencoder", "top", "bottom")
    )
    assert [stage.batch for stage in (autoencoder, top, bottom)] == [16, 512, 32]
    steps = [stage.steps for stage in (autoencoder, top, bottom)]
    assert steps == [1_000_000, 1_016_000, 950_000]
    assert autoencoder.beta == 0.25
    assert experiment.model == VideoVQVAEConfig()
    assert (experiment.context, experiment.horizon) == (4, 12)


@pytest.mark.parametrize("name", NAMES)
def test_model_and_training_are_of_the_same_frames(name: str) -> None:
    experiment = preset(name)
    assert isinstance(experiment.model, VideoVQVAEConfig)
    assert experiment.context == experiment.model.context
    assert experiment.horizon == experiment.model.future
    assert list(experiment.stages) == list(VideoVQVAE.stages)


@pytest.mark.parametrize("name", ["moving-mnist-small", "video-folder", "tiny"])
def test_small_ones_can_be_shipped(name: str) -> None:
    """In half precision."""
    assert 2 * parameters(preset(name)) < SHIPPABLE


@pytest.mark.parametrize(("name", "millions"), [("paper", 973), ("64", 125)])
def test_headings_say_how_large_they_are(name: str, millions: int) -> None:
    assert round(parameters(preset(name)) / 1e6) == millions
    assert f"{millions}M" in (registry.find("presets", f"video-vqvae/{name}").__doc__ or "")
