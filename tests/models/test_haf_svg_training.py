"""What HAF-SVG and SVG-LP are trained on, the norms' statistics, and the published experiments."""

import dataclasses
from pathlib import Path

import pytest
import torch
from torch import nn

import framecast
from framecast import registry
from framecast.clip import Clip
from framecast.data.moving_digits import MovingDigits
from framecast.errors import ConfigError
from framecast.evaluation.protocol import find
from framecast.experiment import Experiment
from framecast.layers.batch_norm import BatchNorm
from framecast.models.haf_svg.coders import CoderConfig
from framecast.models.haf_svg.latents import Hierarchy, LatentConfig, Predictor
from framecast.models.haf_svg.model import HAFSVG, HAFSVGConfig
from framecast.models.haf_svg.stages import Training, TrainingConfig
from framecast.schedules import Schedule, constant
from framecast.training import train
from layers.processes import Alone
from training.dummy_runs import OFTEN, OPTIONS, metrics

CODER = CoderConfig(size=16, width=3, features=6, aligned=(8,))
SMALL = HAFSVGConfig(CODER, LatentConfig(size=4, groups=2, hidden=5), hidden=5)


def build(**fields) -> Training:
    """A small stage on 3 observed frames, the same weights every time."""
    torch.manual_seed(0)
    stage = TrainingConfig(**fields).build(HAFSVG(SMALL), 3)
    assert isinstance(stage, Training)
    for parameter in stage.parameters():
        nn.init.normal_(parameter, std=0.4)
    return stage.train()


def clips(length: int = 6, channels: int = 1) -> Clip:
    """Random clips."""
    generator = torch.Generator().manual_seed(1)
    return Clip(torch.rand((2, length, channels, 16, 16), generator=generator))


@pytest.mark.parametrize("loss_from", ["second", "future"])
def test_the_bound_is_that_of_eq_1(loss_from):
    """Σ_t MSE + β Σ_t Σ_j KL with torch's own divergence, all frames or those of the future."""
    stage, frames = build(beta=constant(0.3), loss_from=loss_from).eval(), clips().frames
    model = stage.model
    torch.manual_seed(5)
    found = stage("main", Clip(frames), 0)
    torch.manual_seed(5)
    noise = torch.randn(2, 5, 4)
    vectors = [model.encoder(frame).features for frame in frames.unbind(1)]
    states = model.initial(vectors[0])
    first, kl = 1 if loss_from == "second" else 3, torch.zeros(2)
    for time in range(1, 6):
        q = model.posterior.drawn(vectors[time], states.posterior, noise[:, time - 1])
        p = model.prior.given(vectors[time - 1], q.z, states.prior)
        states = dataclasses.replace(states, posterior=q.states, prior=p.states)
        for number, (one, other) in enumerate(zip(q.groups, p.groups, strict=True)):
            normals = [
                torch.distributions.Normal(g.mean, g.log_variance.exp().sqrt())
                for g in (one, other)
            ]
            nats = torch.distributions.kl_divergence(*normals).sum(1).mean()
            kl[number] += nats if time >= first else 0
    predicted = model.unroll(frames, 3, noise).frames
    pairs = zip(predicted.unbind(1), frames[:, 1:].unbind(1), strict=True)
    errors = [(one - other).square().mean() for one, other in pairs]
    mse = torch.stack(errors[first - 1 :]).sum()
    expected = {"total": mse + 0.3 * kl.sum(), "mse": mse, "kl": kl.sum()}
    torch.testing.assert_close(found, {**expected, "kl_1": kl[0], "kl_2": kl[1]})


def test_the_noise_is_the_posteriors():
    """Another draw, another loss; a validation has always the same."""
    stage = build()
    torch.manual_seed(0)
    one, other = (stage("main", clips(), 0)["total"] for _ in range(2))
    assert one != other
    stage.eval()
    first = stage.validate(clips())
    torch.manual_seed(7)
    assert torch.equal(first["bound_total"], stage.validate(clips())["bound_total"])
    future = stage.model.predict(clips().frames[:, :3], 3).frames[0]
    error = (future - clips().frames[:, 3:]).square().sum((2, 3, 4)).mean()
    torch.testing.assert_close(first["score"], error)
    assert {"mse", "bound_mse", "bound_kl", "bound_kl_1", "bound_kl_2"} < set(first)


@pytest.mark.parametrize("reference_skip", [False, True])
def test_predictions_are_fed_back_as_scheduled(reference_skip):
    """Clip by clip and frame by frame, as encoded anew from what the decoder made of the past."""
    model = HAFSVG(dataclasses.replace(SMALL, reference_skip=reference_skip)).eval()
    frames, noise = clips(7).frames, torch.randn(2, 6, 4)
    forced = torch.tensor([[True, False, False, True], [False, True, False, False]])
    found = model.unroll(frames, 3, noise, forced)
    recalled = model.decoder.recall(model.encoder(frames[:, 1 if reference_skip else 2]).maps)
    for row in range(2):
        fed, states = frames[row : row + 1, 0], model.initial(torch.zeros(1, 6))
        for time in range(1, 7):
            before, now = (
                model.encoder(frame).features for frame in (fed, frames[row, None, time])
            )
            moment = model.observe(before, now, states, noise[row, None, time - 1])
            states = moment.states
            torch.testing.assert_close(found.divergence[row, time - 1], moment.divergence[0])
            fed = frames[row : row + 1, time]
            if time >= 3 and not forced[row, time - 3]:
                own = [level.pick(torch.tensor([row])) for level in recalled]
                fed = model.decoder(moment.vector, own)
                torch.testing.assert_close(found.frames[row, time - 1], fed[0])


def test_true_frames_are_fed_back_unless_scheduled():
    """Without a schedule nothing changes; with one what follows the first fed frame does."""
    stage, frames = build().eval(), clips().frames
    noise = torch.randn(2, 5, 4)
    plain = stage.model.unroll(frames, 3, noise)
    always = stage.model.unroll(frames, 3, noise, torch.ones(2, 3, dtype=torch.bool))
    never = stage.model.unroll(frames, 3, noise, torch.zeros(2, 3, dtype=torch.bool))
    assert torch.equal(plain.frames, always.frames)
    assert torch.equal(plain.frames[:, :3], never.frames[:, :3])
    assert all((plain.frames[:, t] != never.frames[:, t]).any() for t in (3, 4))
    losses = []
    for schedule in (constant(1.0), constant(0.0)):
        torch.manual_seed(3)
        config = dataclasses.replace(stage.config, teacher_forcing=schedule)
        losses.append(Training(config, stage.model, 3)("main", Clip(frames), 0)["total"])
    assert losses[0] != losses[1]


def test_feeding_back_leaves_the_norms_alone():
    """Fed frames are made and read by running statistics, which only the batch itself moves."""
    stage, frames = build(), clips().frames
    norms = [module for module in stage.modules() if isinstance(module, BatchNorm)]
    forced = torch.zeros(2, 3, dtype=torch.bool)
    for mask, seen in ((None, 1), (forced, 2)):
        stage.model.unroll(frames, 3, torch.randn(2, 5, 4), mask)
        assert {len(norm.seen) for norm in norms} == {seen}
    assert stage.model.training
    assert all(norm.training for norm in norms)


def test_the_weight_follows_its_schedule():
    """By step in training; a validation counts by the last one."""
    stage = build(steps=11, beta=Schedule(0.0, 2.0, steps=10)).eval()
    totals = []
    for step in (0, 5, 10):
        torch.manual_seed(2)
        terms = stage("main", clips(), step)
        totals.append(terms["total"])
        torch.testing.assert_close(terms["total"], terms["mse"] + step / 5 * terms["kl"])
    assert totals[0] < totals[1] < totals[2]
    terms = stage.validate(clips())
    torch.testing.assert_close(terms["bound_total"], terms["bound_mse"] + 2 * terms["bound_kl"])


def test_a_negative_weight_is_refused():
    """Zero is allowed."""
    assert TrainingConfig(beta=constant(0.0)).beta(0, 1) == 0
    with pytest.raises(ConfigError, match="beta is 0 or more"):
        TrainingConfig(beta=Schedule(1e-4, -1.0))


def test_statistics_move_after_a_step():
    """Of every norm of the model, and not before."""
    stage = build()
    norms = [module for module in stage.modules() if isinstance(module, BatchNorm)]
    stage("main", clips(), 0)
    assert all((norm.mean == 0).all() for norm in norms)
    stage.after_step(0, Alone())
    assert all((norm.mean != 0).all() for norm in norms)
    assert len(norms) == 5


def test_new_weights():
    """N(0, 0.02), no offsets, gains around one; LSTM cells are those of torch."""
    torch.manual_seed(0)
    model = HAFSVG(HAFSVGConfig(CoderConfig(width=16, aligned=(4,))))
    weights = [parameter.detach() for parameter in model.decoder.parameters()]
    joined = torch.cat([weight.flatten() for weight in weights if weight.ndim > 1])
    assert abs(float(joined.std()) - 0.02) < 0.0005
    assert abs(float(model.predictor.embed.weight.detach().std()) - 0.02) < 0.001
    assert not model.predictor.embed.bias.any()
    gains = [m.weight.detach() for m in model.modules() if isinstance(m, BatchNorm)]
    assert abs(float(torch.cat(gains).mean()) - 1) < 0.005
    assert 0 < float(torch.cat(gains).std()) < 0.03
    assert model.predictor.cells[0].weight_hh.std() > 0.03


def test_a_short_training(tmp_path: Path):
    """Losses are logged by their names; what is kept predicts, with statistics of the norms."""
    coder = dataclasses.replace(CODER, size=64, width=1)
    config = TrainingConfig(**{"steps": 4, "batch": 4, **OFTEN})
    experiment = Experiment(
        dataclasses.replace(SMALL, coder=coder),
        MovingDigits(digits="glyphs", train_size=8, validation_size=4),
        context=3,
        horizon=2,
        stages={"main": config},
    )
    train(experiment, tmp_path, options=OPTIONS)
    logged = {name for _, _, split, name in metrics(tmp_path) if split == "train"}
    assert {"mse", "kl", "kl_1", "kl_2"} <= logged
    model = framecast.load(tmp_path)
    assert isinstance(model, HAFSVG)
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    assert all((norm.mean != 0).any() for norm in norms)


SETS = {
    "moving-mnist-2": ("moving-digits", "dcgan", 1, 16, 1e-4, 5, 2e-3),
    "moving-mnist-3": ("moving-digits", "dcgan", 1, 16, 1e-4, 5, 2e-3),
    "stochastic-moving-mnist-2": ("moving-digits", "dcgan", 1, 16, 1e-4, 5, 2e-3),
    "stochastic-moving-mnist-3": ("moving-digits", "dcgan", 1, 16, 1e-4, 5, 2e-3),
    "kth": ("kth", "vgg", 1, 24, 1e-6, 10, 8e-4),
    "bair": ("bair", "vgg", 3, 64, 1e-4, 2, 2e-3),
}
"""Data, coder, channels, numbers in z_t, β, context and learning rate (Section 5)."""
KINDS = {
    "svg-lp": (1, False),
    "h-svg": (4, False),
    "haf-svg-1": (1, True),
    "haf-svg-2": (2, True),
    "haf-svg-4": (4, True),
}
"""Groups, and whether features are aligned."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dataset", SETS)
def test_presets_are_what_the_paper_says(dataset, kind):
    """Sections 4 and 5.2, and the settings of SVG's program."""
    data, coder, channels, latent, beta, context, rate = SETS[dataset]
    groups, aligned = KINDS[kind]
    experiment = registry.find("presets", f"haf-svg/{dataset}-{kind}")()
    heights = (32, 16, 8, 4) if coder == "dcgan" else (32, 16, 8)
    assert experiment.model == HAFSVGConfig(
        CoderConfig(
            kind=coder,
            channels=channels,
            size=64,
            width=64,
            features=128,
            aligned=heights if aligned else (),
            value_from="encoder",
            scaled=False,
        ),
        LatentConfig(size=latent, groups=groups, per="frame", hidden=256),
        hidden=256,
        layers=2,
        reference_skip=False,
    )
    assert (experiment.data.type, experiment.context, experiment.horizon) == (data, context, 10)
    if data == "moving-digits":
        kind_of_motion = "stochastic" if "stochastic" in dataset else "deterministic"
        assert experiment.data.variant == f"svg-{kind_of_motion}"
        assert experiment.data.count == int(dataset[-1])
    elif data == "kth":
        assert experiment.data.size == 64
        assert experiment.data.persons == find("kth/10-20@svg").data.persons
    training = experiment.stages["main"]
    assert (training.batch, training.beta, training.loss_from) == (100, constant(beta), "second")
    assert (training.optimizer.kind, training.optimizer.learning_rate) == ("adam", rate)
    assert training.optimizer.betas == (0.9, 0.999)


def test_sizes_of_the_predictor_and_of_both_inferences():
    """At the published sizes, next to the coders."""
    with torch.device("meta"):
        model = registry.find("presets", "haf-svg/moving-mnist-2-svg-lp")().model.build()
    assert isinstance(model, HAFSVG)
    parts = [model.posterior, model.prior, model.predictor]
    counts = [sum(p.numel() for p in part.parameters()) for part in parts]
    assert all(isinstance(part, Hierarchy | Predictor) for part in parts)
    lstm = 4 * 256 * (256 + 256) + 2 * 4 * 256
    assert counts == [567_584, 567_584, (144 * 256 + 256) + 2 * lstm + (256 * 128 + 128)]
