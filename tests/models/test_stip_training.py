"""What STIP is trained on: the discriminator, the terms of Eq 9, and their phases."""

import dataclasses
from pathlib import Path

import naive_stip as naive
import pytest
import torch
from lightning_fabric import Fabric
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

import framecast
from contract.dummy import Dots
from framecast import registry
from framecast.clip import Clip
from framecast.errors import ConfigError, FramecastError
from framecast.experiment import Experiment
from framecast.models.stip.adversary import (
    Discriminator,
    DiscriminatorConfig,
    adversarial_loss,
    learned_perceptual_loss,
)
from framecast.models.stip.model import STIP
from framecast.models.stip.network import STIPConfig
from framecast.models.stip.stages import Training, TrainingConfig
from framecast.schedules import constant
from framecast.stage import OptimizerConfig
from framecast.training import train
from framecast.training.trainer import Trainer
from training.dummy_runs import OFTEN, OPTIONS, metrics, traces, train_in_halves, weights

SMALL = STIPConfig(patch=2, levels=1, hidden=4, units=2, kernel=3)
JUDGE = DiscriminatorConfig(layers=2, hidden=6, groups=3)
LOSSES = ("mse", "mse+gan", "mse+gan+lp")


def stir(module: nn.Module) -> None:
    """Weights and gains that are not what they start as."""
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.ndim > 1 else 0.5)


def build(**fields) -> Training:
    """A small stage, the same weights every time, on 3 observed frames."""
    torch.manual_seed(0)
    options = {"loss": "mse+gan+lp", "discriminator": JUDGE, **fields}
    stage = TrainingConfig(**options).build(STIP(SMALL), 3)
    assert isinstance(stage, Training)
    stir(stage)
    return stage.train()


def clips(length: int = 5, size=(8, 12), batch: int = 2) -> torch.Tensor:
    """Random clips."""
    generator = torch.Generator().manual_seed(1)
    return torch.rand((batch, length, 3, *size), generator=generator)


def judge_weights(discriminator: Discriminator) -> naive.Weights:
    """The discriminator's tensors under the oracle's names."""
    state, found = discriminator.state_dict(), {}
    for layer in range(len(discriminator.down)):
        for part, names in (("0", ("w", "b")), ("1", ("gain", "offset"))):
            for name, kind in zip(names, ("weight", "bias"), strict=True):
                found[f"down{layer}.{name}"] = state[f"down.{layer}.{part}.{kind}"]
    return {**found, "judge.w": state["judge.weight"], "judge.b": state["judge.bias"]}


def judged(discriminator: Discriminator, frames: torch.Tensor, config: DiscriminatorConfig):
    """Probabilities b t and features b t n by the oracle, frame by frame."""
    arguments = (discriminator.patch, config.layers, config.groups, config.size is not None)
    found = [
        naive.judge(frame, judge_weights(discriminator), *arguments) for frame in frames.unbind(1)
    ]
    return tuple(torch.stack(each, 1) for each in zip(*found, strict=True))


@pytest.mark.parametrize("size", [(8, 12), (17, 30)])
@pytest.mark.parametrize("everywhere", [True, False])
@torch.no_grad()
def test_the_discriminator_is_that_of_the_table(size, everywhere):
    """Frames one at a time, for each a probability and a flattened map."""
    torch.manual_seed(0)
    config = dataclasses.replace(JUDGE, size=size if everywhere else None)
    discriminator = Discriminator(config, 3, 2).double()
    stir(discriminator)
    frames = clips(size=size).double()
    verdict = discriminator(frames)
    probability, features = judged(discriminator, frames, config)
    torch.testing.assert_close(verdict.logits.sigmoid(), probability, rtol=0, atol=1e-10)
    torch.testing.assert_close(verdict.features, features, rtol=0, atol=1e-10)
    places = -(-size[0] // 8) * -(-size[1] // 8)
    assert features.shape == (2, 5, 6 * places)
    assert discriminator.judge.in_features == (6 * places if everywhere else 6)


@pytest.mark.parametrize(
    ("size", "patch", "inputs"),
    [((512, 512), 2, 64), ((1024, 1024), 4, 64), ((2160, 3840), 8, 256)],
)
def test_the_published_discriminators(size, patch, inputs):
    """Eight layers of 64 channels in 4 groups; the last map is one place but for 4K."""
    with torch.device("meta"):
        sized = Discriminator(DiscriminatorConfig(size=size), 3, patch)
        free = Discriminator(DiscriminatorConfig(), 3, patch)
    assert sized.judge.in_features == inputs
    assert free.judge.in_features == 64
    norms = [module for module in sized.modules() if isinstance(module, nn.GroupNorm)]
    assert [(norm.num_groups, norm.num_channels) for norm in norms] == [(4, 64)] * 8


@torch.no_grad()
def test_one_place_is_its_own_mean():
    """So that weights for one size serve any size, where the last map is one place."""
    torch.manual_seed(0)
    sized = Discriminator(dataclasses.replace(JUDGE, size=(8, 8)), 3, 2)
    free = Discriminator(JUDGE, 3, 2)
    free.load_state_dict(sized.state_dict())
    for verdict in zip(sized(clips(size=(8, 8))), free(clips(size=(8, 8))), strict=True):
        assert torch.equal(*verdict)
    assert free(clips(size=(20, 9))).logits.shape == (2, 5)
    with pytest.raises(FramecastError, match="for frames of 8x8 and was given 8x9") as caught:
        sized(clips(size=(8, 9)))
    assert "\n" not in str(caught.value)


@torch.no_grad()
def test_frames_are_judged_alone():
    """Neither the other frames of a clip nor the other clips matter."""
    discriminator, frames = build().discriminator, clips()
    assert discriminator is not None
    alone = discriminator(frames[1:, 2:3]).logits[0, 0]
    torch.testing.assert_close(alone, discriminator(frames).logits[1, 2])


@pytest.mark.parametrize("true", [True, False])
def test_the_adversarial_loss_is_that_of_the_formulas(true):
    """Cross-entropies of a clip's mean probability, or the mean of those of frames (Eq 10)."""
    logits = torch.linspace(-6, 5, 12, dtype=torch.float64).view(3, 4)
    logits = logits[:, torch.tensor([2, 0, 3, 1])]
    chance = torch.sigmoid(logits) if true else 1 - torch.sigmoid(logits)
    expected = {
        "time-mean": -torch.log(chance.mean(1)).mean(),
        "per-frame": -torch.log(chance).mean(),
    }
    assert abs(expected["time-mean"] - expected["per-frame"]) > 0.1
    for reduction, value in expected.items():
        found = adversarial_loss(logits, true, reduction).double()
        torch.testing.assert_close(found, value, rtol=1e-6, atol=0)


@pytest.mark.parametrize("reduction", ["time-mean", "per-frame"])
@pytest.mark.parametrize("true", [True, False])
@pytest.mark.parametrize("sure", [-200.0, 200.0])
def test_a_sure_discriminator_still_teaches(reduction, true, sure):
    """Where probabilities are 0 or 1 to machine precision, losses and gradients are finite."""
    logits = torch.full((2, 3), sure, requires_grad=True)
    loss = adversarial_loss(logits, true, reduction)
    (gradient,) = torch.autograd.grad(loss, logits)
    wrong = (sure > 0) != true
    assert loss.item() == pytest.approx(200.0 if wrong else 0.0, abs=1e-4)
    expected = (-1 if true else 1) / 6 if wrong else 0.0
    torch.testing.assert_close(gradient, torch.full((2, 3), expected), rtol=1e-5, atol=1e-7)


def test_the_learned_distance_is_a_mean():
    """Mean squared error over clips, frames and features (Eq 8)."""
    one, other = torch.rand(2, 3, 7), torch.rand(2, 3, 7)
    by_hand = sum(
        (float(a) - float(b)) ** 2 for a, b in zip(one.flatten(), other.flatten(), strict=True)
    )
    assert float(learned_perceptual_loss(one, other)) == pytest.approx(by_hand / 42, rel=1e-5)


@pytest.mark.parametrize("reduction", ["time-mean", "per-frame"])
@pytest.mark.parametrize("loss", LOSSES)
@torch.no_grad()
def test_the_losses_are_those_of_the_equations(loss, reduction):
    """Eqs 8 to 10 of frames that are fed back, those of the context included."""
    stage, frames = build(loss=loss, adversarial_reduction=reduction), clips(length=6)
    names = {field.name for field in dataclasses.fields(naive.Settings)}
    settings = naive.Settings(**{name: getattr(SMALL, name) for name in names})
    feed = torch.tensor([[True, True, True, False, False]] * 2)
    trace = naive.play(frames, 5, naive.read(stage.model.state_dict(), settings), settings, feed)
    predicted, true = naive.cropped(trace, frames), frames[:, 1:]
    mse = (predicted - true).square().mean()
    if loss == "mse":
        assert stage.phases == ("main",)
        assert stage.discriminator is None
        torch.testing.assert_close(stage("main", Clip(frames), 0), {"total": mse})
        return
    assert stage.phases == ("discriminator", "main")
    assert stage.discriminator is not None
    on_true, map_true = judged(stage.discriminator, true, JUDGE)
    on_predicted, map_predicted = judged(stage.discriminator, predicted, JUDGE)

    def entropy(chance):
        return -torch.log(chance.mean(1) if reduction == "time-mean" else chance).mean()

    true_loss, predicted_loss = entropy(on_true), entropy(1 - on_predicted)
    torch.testing.assert_close(
        stage("discriminator", Clip(frames), 0),
        {"total": true_loss + predicted_loss, "true": true_loss, "predicted": predicted_loss},
    )
    fooled, lp = entropy(on_predicted), functional.mse_loss(map_predicted, map_true)
    expected = {"total": mse + 0.001 * fooled, "mse": mse, "adversarial": fooled}
    if loss == "mse+gan+lp":
        expected |= {"total": mse + 0.001 * fooled + 0.01 * lp, "lp": lp}
    torch.testing.assert_close(stage("main", Clip(frames), 0), expected)


def test_weights_of_the_terms_are_what_they_are_set_to():
    """Each term by itself, far above the squared error."""
    frames = Clip(clips())
    losses = {}
    for lp, adversarial in ((0.0, 0.0), (100.0, 0.0), (0.0, 100.0)):
        found = build(lp_weight=lp, adversarial_weight=adversarial)("main", frames, 0)
        losses[lp, adversarial] = found["total"]
        expected = found["mse"] + lp * found["lp"] + adversarial * found["adversarial"]
        torch.testing.assert_close(found["total"], expected)
    assert losses[100.0, 0.0] > 2 * losses[0.0, 0.0]
    assert losses[0.0, 100.0] > 2 * losses[0.0, 0.0]
    with pytest.raises(ConfigError, match="are 0 or more"):
        TrainingConfig(lp_weight=-1.0)


def test_true_frames_are_fed_back_as_scheduled():
    """Always, never, or by chance for each clip and frame."""
    frames = clips(length=8)
    always, never = (build(loss="mse", teacher_forcing=constant(p)) for p in (1.0, 0.0))
    error = functional.mse_loss(always.model.teacher_forced(Clip(frames)), frames[:, 1:])
    torch.testing.assert_close(always("main", Clip(frames), 0)["total"], error)
    assert never("main", Clip(frames), 0)["total"] != error
    sometimes = build(loss="mse", teacher_forcing=constant(0.5))
    found = set()
    for seed in range(8):
        torch.manual_seed(seed)
        found.add(float(sometimes("main", Clip(frames), 0)["total"].detach()))
    assert len(found) > 4


def test_the_discriminator_does_not_lead_into_the_model():
    """In its phase there is no way back to the model, even where the model asks for gradients."""
    stage = build()
    stage("discriminator", Clip(clips()), 0)["total"].backward()
    assert stage.discriminator is not None
    assert all(parameter.grad is None for parameter in stage.model.parameters())
    assert all(parameter.grad is not None for parameter in stage.discriminator.parameters())


@pytest.mark.parametrize("moving", ["discriminator", "main"])
def test_a_phase_changes_what_is_its_own(moving):
    """With a learning rate of zero in the other phase, the other's weights stay bit for bit."""
    rates = {phase: 0.1 * (phase == moving) for phase in ("discriminator", "main")}
    stage = build(
        optimizer=OptimizerConfig(learning_rate=rates["main"]),
        discriminator_optimizer=OptimizerConfig(learning_rate=rates["discriminator"]),
    )
    before = {name: value.clone() for name, value in stage.state_dict().items()}
    Trainer(Fabric(accelerator="cpu", devices=1), stage, "main", 0).step([Clip(clips())])
    own = "discriminator." if moving == "discriminator" else "model."
    for name, value in stage.state_dict().items():
        assert torch.equal(value, before[name]) == (not name.startswith(own)), name


def small(**fields) -> Experiment:
    """A short training on dots that fade."""
    options = {"loss": "mse+gan+lp", "discriminator": JUDGE, "steps": 4, "batch": 4}
    config = TrainingConfig(**{**options, **OFTEN, **fields})
    model = dataclasses.replace(SMALL, channels=1, patch=1)
    return Experiment(model, Dots(), context=3, horizon=2, stages={"main": config})


def test_the_discriminator_is_in_checkpoints_alone(tmp_path: Path):
    """It is needed to go on; whoever predicts gets the model."""
    train(small(), tmp_path, options=OPTIONS)
    model = weights(tmp_path / "model")
    assert all(name.startswith("network.") for name in model)
    assert set(model) == set(framecast.load(tmp_path).state_dict())
    newest = max((tmp_path / "checkpoints").iterdir())
    saved = load_file(newest / "stage.safetensors")
    parts = {name.split(".")[0] for name in saved}
    assert parts == {"model", "discriminator"}
    logged = {name for _, _, split, name in metrics(tmp_path) if split == "train"}
    assert {"discriminator/true", "discriminator/predicted", "main/mse", "main/lp"} <= logged


def test_going_on_is_bit_for_bit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Stopped after the third of five steps: weights of both, optimizers and the log."""
    experiment = small(steps=5, teacher_forcing=constant(0.5), checkpoint_every=0)
    train(experiment, tmp_path / "whole", options=OPTIONS)
    train_in_halves(experiment, tmp_path / "halves", monkeypatch)
    whole, halves = (traces(tmp_path / name) for name in ("whole", "halves"))
    same = {name for name in whole if "checkpoints" not in name or "000000005" in name}
    assert any(name.endswith("stage.safetensors") for name in same)
    assert any(name.endswith("optimizers.safetensors") for name in same)
    assert {name: halves[name] for name in same} == {name: whole[name] for name in same}


TABLE_1 = {
    "ucf-sports": ((512, 512), 2, 0.010, 0.0010),
    "human36m": ((1024, 1024), 4, 0.010, 0.0010),
    "sjtu4k": ((2160, 3840), 8, 0.005, 0.0005),
}
"""Resolution, patch, γ1 and γ2."""
ROWS = {
    "": ("mse+gan+lp", True, 0.1),
    "-gan": ("mse+gan", True, 0.1),
    "-mse": ("mse", True, 0.1),
    "-plain": ("mse", False, 0.0),
    "-sted": ("mse", True, 0.0),
    "-mgir": ("mse", False, 0.1),
}
"""Tables VI and VIII: loss, two streams, λ."""


@pytest.mark.parametrize("row", ROWS)
@pytest.mark.parametrize("dataset", TABLE_1)
def test_presets_are_what_the_tables_say(dataset, row):
    """Tables I and II, four frames to one, and what each ablation leaves out."""
    size, patch, lp, adversarial = TABLE_1[dataset]
    loss, two_streams, recall = ROWS[row]
    experiment = registry.find("presets", f"stip/{dataset}{row}")()
    assert (experiment.context, experiment.horizon) == (4, 1)
    assert (experiment.data.type, experiment.data.size) == (dataset, size)
    assert experiment.model == STIPConfig(
        channels=3,
        patch=patch,
        levels=4,
        hidden=64,
        units=16,
        kernel=5,
        norm="layer",
        size=size,
        two_streams=two_streams,
        recall=recall,
        bottleneck_skip=False,
        update_bias=1.0,
        reference_routing=False,
        residual=False,
    )
    assert list(experiment.stages) == ["main"]
    training = experiment.stages["main"]
    assert training.loss == loss
    assert (training.lp_weight, training.adversarial_weight) == (lp, adversarial)
    assert training.adversarial_reduction == "time-mean"
    assert training.discriminator == DiscriminatorConfig(size=size, layers=8, hidden=64, groups=4)
    rates = (training.optimizer, training.discriminator_optimizer)
    assert [(rate.kind, rate.learning_rate) for rate in rates] == [("adam", 5e-4), ("adam", 5e-5)]
