"""Presets of V3D-ConvLSTM: what is published of them, and what follows from it."""

import dataclasses
import math

import pytest
import torch

from framecast import registry
from framecast.evaluation.protocol import find
from framecast.experiment import Experiment
from framecast.models.v3d_convlstm.model import V3DConvLSTMConfig
from framecast.models.v3d_convlstm.stages import TrainingConfig
from framecast.models.v3d_convlstm.unroll import Course
from framecast.stage import OptimizerConfig

NAMES = [name for name in registry.names("presets") if name.startswith("v3d-convlstm/")]
ON_A_CPU = [name for name in NAMES if "small" in name or name.endswith(("tiny", "video-folder"))]
PUBLISHED = [name for name in NAMES if name not in ON_A_CPU]
WHOLE = {1: 10, 2: 10, 4: 12, 8: 16}
"""Frames that are predicted in training, by H: ten, or more so that steps are whole."""
SWEEP = {"m2-h1": (2, 1), "m4-h2": (4, 2), "m4-h4": (4, 4)}
SWEEP |= {"m8-h1": (8, 1), "m8-h4": (8, 4), "m8-h8": (8, 8)}


def preset(name: str) -> Experiment:
    return registry.find("presets", f"v3d-convlstm/{name.removeprefix('v3d-convlstm/')}")()


def training(experiment: Experiment) -> TrainingConfig:
    (stage,) = experiment.stages.values()
    assert isinstance(stage, TrainingConfig)
    return stage


@pytest.mark.parametrize("name", PUBLISHED)
def test_training_is_as_published(name: str) -> None:
    """Section 4.1: Adam with default settings, rate 1e-3 and no decay, batch 6, own predictions."""
    experiment = preset(name)
    stage = training(experiment)
    assert stage.batch == 6
    assert stage.optimizer == OptimizerConfig(learning_rate=1e-3, betas=(0.9, 0.999))
    assert stage.latent_weight(0, stage.steps) == 0
    assert stage.latent_weight(stage.steps - 1, stage.steps) == 1e-3
    assert stage.teacher_forcing(0, stage.steps) == 1
    assert stage.teacher_forcing(stage.steps - 1, stage.steps) == 0
    assert experiment.context == (5 if name.endswith("mnist-5") else 10)
    assert experiment.horizon == WHOLE[experiment.model.advance]


@pytest.mark.parametrize("name", PUBLISHED)
def test_data_is_that_of_the_papers_protocol(name: str) -> None:
    protocol = "kth/10-20@v3d" if "/kth" in name else "moving-mnist/10-10@v3d"
    assert preset(name).data == find(protocol).data


def test_table_3_adds_one_thing_after_another() -> None:
    """Plain 2-D, variational 2-D, variational 3-D, Eq 13: all else stays."""
    rows = [preset(f"moving-mnist{end}") for end in ("-convlstm-2d", "-vrnn-2d", "-kl", "")]
    two, three = V3DConvLSTMConfig(window=1, depth=1), V3DConvLSTMConfig()
    models = [dataclasses.replace(two, latent=0), two, three, three]
    assert [row.model for row in rows] == models
    assert [training(row).latent_loss for row in rows[1:]] == ["kl", "kl", "paper"]
    same = {(row.data, row.context, row.horizon, training(row).steps) for row in rows}
    assert len(same) == 1


@pytest.mark.parametrize("data", ["moving-mnist", "kth"])
@pytest.mark.parametrize("end", SWEEP)
def test_figure_6_changes_window_and_advance_alone(data: str, end: str) -> None:
    base, other = preset(data), preset(f"{data}-{end}")
    window, advance = SWEEP[end]
    model = dataclasses.replace(base.model, window=window, advance=advance)
    assert other == dataclasses.replace(base, model=model, horizon=WHOLE[advance])
    assert (base.model.window, base.model.advance) == (4, 1)


@pytest.mark.parametrize("name", NAMES)
def test_every_clip_has_windows_to_learn_from(name: str) -> None:
    """Every frame of the horizon is used, and as many steps as predict ten frames are learnt."""
    experiment = preset(name)
    with torch.device("meta"):
        model = experiment.model.build()
    frames = experiment.context + experiment.horizon
    course = Course.of(model, experiment.context, frames)
    assert course.steps >= max(2, math.ceil(10 / course.advance)) or name in ON_A_CPU
    last = course.begins(course.steps - 1) + course.advance + course.window
    assert last == frames


@pytest.mark.parametrize("name", ON_A_CPU)
def test_models_for_cpus_are_small(name: str) -> None:
    with torch.device("meta"):
        assert preset(name).model.build().parameter_count() < 3_000_000


def test_the_small_family_differs_as_table_3_does() -> None:
    plain, variational, kl, full = (
        preset(f"moving-mnist-small{end}") for end in ("-convlstm-2d", "-vrnn-2d", "-kl", "")
    )
    assert kl.model == full.model
    assert variational.model == dataclasses.replace(full.model, window=1, advance=1, depth=1)
    assert plain.model == dataclasses.replace(variational.model, latent=0)
    assert {each.data for each in (plain, variational, kl, full)} == {full.data}
    losses = [training(each).latent_loss for each in (variational, kl, full)]
    assert losses == ["kl", "kl", "paper"]
