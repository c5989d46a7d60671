"""What V3D-ConvLSTM is trained on: the latent losses, all windows, feeding back, the schedules."""

import math
import re

import pytest
import torch
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from framecast.clip import Clip
from framecast.errors import ConfigError, FramecastError
from framecast.layers.batch_norm import BatchNorm
from framecast.models.v3d_convlstm.latent import (
    Bounded,
    Gaussian,
    GaussianMaps,
    LatentWeights,
    divergence,
    latent_loss,
    regularised_divergence,
    weighted_divergence,
)
from framecast.models.v3d_convlstm.model import V3DConvLSTM
from framecast.models.v3d_convlstm.stages import Training, TrainingConfig
from framecast.models.v3d_convlstm.unroll import noise_shape, unroll
from framecast.noise import mix
from framecast.schedules import Schedule, constant
from layers.processes import Alone
from models import naive_v3d
from models.tiny_v3d import EXACT, SHAPES, build, clips, settings, weights

# ---- the latent losses, Eqs 8 to 13


def gaussians(seed: int = 0, count: int = 50) -> tuple[naive_v3d.Normal, naive_v3d.Normal]:
    """q and p: means and deviations inside of the bounds."""
    generator = torch.Generator().manual_seed(seed)

    def one() -> tuple[Tensor, Tensor]:
        mean = torch.randn(count, generator=generator, dtype=torch.float64)
        spread = torch.rand(count, generator=generator, dtype=torch.float64)
        return mean, 0.05 + 2 * spread

    return one(), one()


def test_the_oracle_is_what_the_equations_say():
    """Torch's divergence and densities; Eq 9 is the divergence the other way; Eq 13 = 9 + 11."""
    q, p = gaussians()
    of_q, of_p = Normal(*q), Normal(*p)
    same = {"rtol": 1e-12, "atol": 1e-12}
    torch.testing.assert_close(naive_v3d.divergence(q, p), kl_divergence(of_q, of_p), **same)
    torch.testing.assert_close(naive_v3d.eq_9(q, p), kl_divergence(of_p, of_q), **same)
    torch.testing.assert_close(naive_v3d.likelihood(q, p), of_q.log_prob(p[0]), **same)
    summed = naive_v3d.eq_9(q, p) + naive_v3d.eq_11(q, p)
    torch.testing.assert_close(naive_v3d.eq_13(q, p), summed, **same)
    proper = -of_q.log_prob(p[0]) - 0.5 * math.log(2 * math.pi)
    missing = 0.5 * ((p[0] - q[0]) / q[1]) ** 2
    torch.testing.assert_close(naive_v3d.eq_11(q, p), proper + missing, **same)


def test_the_oracles_divergence_is_the_mean_of_the_ratio():
    """KL(q‖p) from a million draws of q."""
    q, p = gaussians(seed=3, count=4)
    torch.manual_seed(0)
    draws = q[0] + q[1] * torch.randn(1_000_000, 4, dtype=torch.float64)
    ratios = Normal(*q).log_prob(draws) - Normal(*p).log_prob(draws)
    error = ratios.std(0) / 1000
    assert ((ratios.mean(0) - naive_v3d.divergence(q, p)).abs() < 5 * error).all()
    assert (error < 0.1).all()


def maps(normal: naive_v3d.Normal) -> Gaussian:
    """As the maps that they are in the model."""
    mean, deviation = (part.reshape(1, -1, 1, 1, 1) for part in normal)
    return Gaussian(mean, deviation)


@pytest.mark.parametrize("seed", range(3))
def test_latent_losses_are_those_of_the_equations(seed):
    """Of each number by torch's own divergence and density, and their mean by the oracle."""
    q, p = gaussians(seed)
    of_q, of_p = Normal(*q), Normal(*p)
    own = maps(q), maps(p)
    kl = kl_divergence(of_q, of_p)
    printed = kl_divergence(of_p, of_q) + q[1].log() + ((p[0] - q[0]) / q[1]).square()
    likelihood = of_q.log_prob(p[0]) + math.log(2 * math.pi) / 2
    plain = LatentWeights()
    pairs = [
        (divergence(*own), kl),
        (weighted_divergence(*own, plain), printed),
        (weighted_divergence(*own, LatentWeights(1.0, 1.0, 1.0, 1.0)), kl_divergence(of_p, of_q)),
        (regularised_divergence(*own), kl - likelihood),
    ]
    for found, expected in pairs:
        torch.testing.assert_close(found.flatten(), expected, **EXACT)
    for kind in ("paper", "kl", "kl+ll"):
        expected = naive_v3d.latent_loss(kind, q, p).mean()
        torch.testing.assert_close(latent_loss(*own, kind, plain), expected, **EXACT)
    other = (1.5, 0.5, 0.25, 4.0)
    expected = naive_v3d.eq_13(q, p, other).mean()
    found = latent_loss(*own, "paper", LatentWeights(*other))
    torch.testing.assert_close(found, expected, **EXACT)


def test_eq_13_needs_the_floor():
    """With equal means and σ_p = σ_q it is log σ, as low as one likes; log 0.01 with the floor."""
    for spread in (1e-2, 1e-10, 1e-100):
        same = maps((torch.zeros(1).double(), torch.full((1,), spread, dtype=torch.float64)))
        found = latent_loss(same, same, "paper", LatentWeights())
        assert float(found) == pytest.approx(math.log(spread))


def test_a_spread_at_its_floor_can_rise_again():
    """Gradients that would take σ further out of its range are stopped, others pass."""
    raw = torch.tensor([1e-3, 1e-3, 1.0, 1.0, 20.0, 20.0]).double().requires_grad_()
    bounded = Bounded.apply(raw)
    assert bounded.tolist() == [1e-2, 1e-2, 1.0, 1.0, 10.0, 10.0]
    (bounded * torch.tensor([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])).sum().backward()
    assert raw.grad.tolist() == [0.0, -1.0, 1.0, -1.0, 1.0, 0.0]


@pytest.mark.parametrize("seed", range(3))
def test_no_latent_loss_is_below_the_floor(seed):
    """Whatever the heads say."""
    torch.manual_seed(seed)
    part = GaussianMaps(3, 0, 4, 2, 3).double()
    nn.init.normal_(part.heads.weight, std=30.0)
    nn.init.normal_(part.heads.bias, std=30.0)
    with torch.no_grad():
        q, p = (part(torch.randn(4, 3, 2, 4, 4).double()) for _ in range(2))
    deviations = torch.cat([q.deviation, p.deviation])
    assert (float(deviations.min()), float(deviations.max())) == (1e-2, 10.0)
    assert ((deviations > 1e-2) & (deviations < 10)).any()
    for terms in (weighted_divergence(q, p, LatentWeights()), regularised_divergence(q, p)):
        assert float(terms.min()) >= math.log(1e-2) - 1e-9
    assert float(divergence(q, p).min()) >= -1e-9


@pytest.mark.parametrize(("bias", "deviation"), [(-100.0, 1e-2), (0.0, math.log(2)), (100.0, 10.0)])
def test_the_deviation_is_kept_in_its_range(bias, deviation):
    """Softplus between the bounds; a training that pulls both below ends at log 0.01."""
    model = build()
    for part in (model.prior, model.posterior):
        nn.init.zeros_(part.heads.weight)
        part.heads.bias.data = torch.tensor([0.0, 0.0, bias, bias]).double()
    stage = staged(model, latent_weight=constant(1.0))
    found = unroll(model, clips(7), 4, torch.ones(2, 3) > 0, noise_of(stage, clips(7)))
    for part in (found.prior, found.posterior):
        assert part is not None
        torch.testing.assert_close(
            part.deviation, torch.full_like(part.deviation, deviation), **EXACT
        )
    latent = stage("main", Clip(clips(7)), 0)["latent"]
    assert float(latent.detach()) == pytest.approx(math.log(deviation))


# ---- all windows of a clip


KINDS = [
    {},
    {"posterior_encoder": "separate"},
    {"latent": 0},
    {"layers": 3, "latent": 1, "hidden": 4},
]


def choices(batch: int, horizon: int) -> dict[str, Tensor]:
    """Which frames are fed back as they were: all, none, some of each clip, the first clip's."""
    generator = torch.Generator().manual_seed(2)
    some = torch.rand(batch, horizon, generator=generator) < 0.6
    one = torch.zeros(batch, horizon, dtype=torch.bool)
    one[0] = True
    late = torch.ones(batch, horizon, dtype=torch.bool)
    late[:, 0] = False
    return {"true": late | True, "own": one & False, "some": some, "one": one, "late": late}


def staged(model: V3DConvLSTM, context: int = 4, **fields) -> Training:
    """A stage of ten steps on a small model."""
    stage = TrainingConfig(steps=10, **fields).build(model, context)
    assert isinstance(stage, Training)
    return stage


def noise_of(stage: Training, frames: Tensor) -> Tensor:
    """As much noise as a clip takes."""
    shape = noise_shape(stage.model, frames, stage.context)
    return torch.randn(shape, generator=torch.Generator().manual_seed(7)).double()


def compare(model: V3DConvLSTM, frames: Tensor, context: int, forced: Tensor, z_from: str) -> None:
    """Every step of the model beside the oracle's."""
    noise = noise_of(staged(model, context), frames)
    found = unroll(model, frames, context, forced, noise, z_from)
    chosen = settings(model)
    steps = naive_v3d.unroll(
        frames,
        context,
        weights(model),
        chosen,
        forced,
        [*noise],
        z_from=z_from,
        by_batch=model.training,
    )
    assert len(found.predicted) == len(found.true) == len(noise) == len(steps) > 0
    decoded = torch.stack([step.decoded for step in steps])
    torch.testing.assert_close(found.predicted, decoded, **EXACT)
    begins = [step.start + chosen.advance for step in steps]
    true = torch.stack([frames[:, begin : begin + chosen.window] for begin in begins])
    assert torch.equal(found.true, true)
    for part, name in ((found.prior, "prior"), (found.posterior, "posterior")):
        if not chosen.latent:
            assert part is None
            continue
        assert part is not None
        means, deviations = zip(*[getattr(step, name) for step in steps], strict=True)
        torch.testing.assert_close(part.mean, torch.cat(means), **EXACT)
        torch.testing.assert_close(part.deviation, torch.cat(deviations), **EXACT)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_windows_are_those_of_the_equations(shape, kind):
    """True frames, own predictions and mixtures fed back, by running statistics and the batch's."""
    model = build(**shape, **kind)
    context, horizon = model.config.window + 1, 2 * model.config.advance + 1
    frames = clips(context + horizon)
    for name, forced in choices(2, horizon).items():
        model.train(name in ("own", "some"))
        for z_from in ("posterior", "prior") if model.config.latent else ("posterior",):
            with torch.no_grad():
                compare(model, frames, context, forced, z_from)


@pytest.mark.parametrize("length", [4, 5, 6, 9])
def test_contexts_of_any_length(length):
    """The last window of each ends where it does."""
    model = build(advance=3).train()
    frames = clips(length + 7, channels=1, batch=3)
    forced = choices(3, 7)["some"]
    with torch.no_grad():
        compare(model, frames, length, forced, "posterior")


def test_colour_in_training():
    """Three channels, a wide frame."""
    model = build(channels=3).train()
    frames = clips(8, channels=3, size=(4, 12))
    with torch.no_grad():
        compare(model, frames, 5, choices(2, 3)["some"], "posterior")


def test_odd_sizes_in_training():
    """Frames are mirrored for the network, and only what was there counts."""
    model, frames = build(), clips(7, size=(7, 10))
    mirrored = torch.cat([frames, frames[..., 5:6, :]], -2)
    mirrored = torch.cat([mirrored, mirrored[..., 8:9], mirrored[..., 7:8]], -1)
    stage = staged(model, latent_weight=constant(0.5), teacher_forcing=constant(0.0))
    noise = noise_of(stage, frames)
    assert noise.shape == noise_of(stage, mirrored).shape == (3, 2, 2, 2, 2, 3)
    with torch.no_grad():
        forced = choices(2, 3)["own"]
        found = unroll(model, frames, 4, forced, noise)
        chosen = settings(model)
        steps = naive_v3d.unroll(mirrored, 4, weights(model), chosen, forced, [*noise])
        decoded = torch.stack([step.decoded for step in steps])[..., :7, :10]
        torch.testing.assert_close(found.predicted, decoded, **EXACT)
        assert torch.equal(found.true[1], frames[:, 2:6])
        torch.manual_seed(3)
        terms = stage("main", Clip(frames), 0)
        torch.manual_seed(3)
        torch.rand(2, 3)
        noises = torch.randn(noise.shape).double()
        steps = naive_v3d.unroll(mirrored, 4, weights(model), chosen, forced, [*noises])
        expected = naive_v3d.losses(frames, steps, chosen)[0]
    torch.testing.assert_close(terms["reconstruction"], expected, **EXACT)


@pytest.mark.parametrize("kind", KINDS, ids=str)
@pytest.mark.parametrize("z_from", ["posterior", "prior"])
def test_gradients_are_those_of_the_equations(z_from, kind):
    """Of every weight; through the frames that are fed back, and the statistics of the batch."""
    model = build(advance=2, **kind).train()
    frames, forced = clips(5 + 6), choices(2, 6)["some"]
    noise = noise_of(staged(model, 5), frames)
    chosen = settings(model)

    def loss(reconstruction: Tensor, latent: Tensor) -> Tensor:
        return naive_v3d.total(reconstruction, latent, 0.3)

    steps = naive_v3d.unroll(
        frames, 5, weights(model), chosen, forced, [*noise], z_from=z_from, by_batch=True
    )
    names, parameters = zip(*model.named_parameters(), strict=True)
    expected = torch.autograd.grad(
        loss(*naive_v3d.losses(frames, steps, chosen)), parameters, allow_unused=True
    )
    found = unroll(model, frames, 5, forced, noise, z_from)
    gap = found.predicted - found.true
    latent = gap.new_zeros(())
    if found.posterior is not None and found.prior is not None:
        latent = latent_loss(found.posterior, found.prior, "paper", LatentWeights())
    total = loss((gap.abs() + gap.square()).mean(), latent)
    gradients = torch.autograd.grad(total, parameters, allow_unused=True)
    for name, one, other in zip(names, gradients, expected, strict=True):
        assert one is not None, name
        assert other is not None, name
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-9, msg=name)
        assert one.abs().sum() > 0, name


def calls(
    model: V3DConvLSTM, frames: Tensor, forced: Tensor, context: int = 4
) -> dict[str, list[int]]:
    """Rows of each call of encoders and decoder in a clip."""
    counts: dict[str, list[int]] = {}
    handles = []
    for name, module in model.named_children():
        if "coder" not in name:
            continue
        own = counts.setdefault(name, [])
        hook = lambda module, args, out, own=own: own.append(len(out))  # noqa: E731
        handles.append(module.register_forward_hook(hook))
    with torch.no_grad():
        unroll(model, frames, context, forced, noise_of(staged(model, context), frames))
    for handle in handles:
        handle.remove()
    return counts


def test_true_windows_are_encoded_once():
    """At once, as input and target alike; so is what no later step waits for decoded."""
    frames, forced = clips(4 + 5), choices(2, 5)
    shared, separate = build(), build(posterior_encoder="separate")
    assert calls(shared, frames, forced["true"]) == {"encoder": [12], "decoder": [10]}
    assert calls(shared, frames, forced["own"]) == {
        "encoder": [12, 2, 2, 2, 2],
        "decoder": [2, 2, 2, 2, 2],
    }
    assert calls(separate, frames, forced["true"]) == {
        "encoder": [10],
        "posterior_encoder": [10],
        "decoder": [10],
    }
    assert calls(build(latent=0), frames, forced["true"]) == {"encoder": [10], "decoder": [10]}
    assert calls(build(latent=0), frames, forced["late"])["encoder"] == [2, 2, 2, 2, 2]
    assert calls(shared, frames, forced["late"])["decoder"] == [2, 8]
    assert calls(shared, frames, choices(2, 3)["own"], context=6)["decoder"] == [2, 2, 6]


def test_clips_without_a_window_are_refused():
    """In the context, or in the horizon."""
    stage = staged(build(advance=3))
    assert stage("main", Clip(clips(7)), 0)["total"].isfinite()
    with pytest.raises(FramecastError, match="a horizon of 2 frames is shorter than the 3"):
        stage("main", Clip(clips(6)), 0)
    short = staged(build(), context=3)
    with pytest.raises(FramecastError, match="at least 4 context frames, got 3"):
        short("main", Clip(clips(8)), 0)


# ---- the stage


LOSSES = [
    {},
    {"latent_loss": "kl"},
    {"latent_loss": "kl+ll"},
    {"latent_weights": LatentWeights(1.0, 2.0, 0.5, 4.0)},
    {"z_from": "prior"},
    {"loss": "mse"},
]


@pytest.mark.parametrize("fields", LOSSES, ids=str)
@pytest.mark.parametrize("step", [0, 4, 9, 10])
def test_the_loss_is_that_of_eq_7(fields, step):
    """L1 + L2 and the latent loss, weighted and fed back as the step has it."""
    context, frames = 5, clips(5 + 4)
    stage = staged(build(advance=2), context, **fields).train()
    torch.manual_seed(5)
    found = {name: value.detach() for name, value in stage("main", Clip(frames), step).items()}
    torch.manual_seed(5)
    forced = torch.rand(2, 4) < 1 - step / 10
    noise = torch.randn(noise_shape(stage.model, frames, context)).double()
    chosen, config = settings(stage.model), stage.config
    given = config.latent_weights
    coefficients = given.log_posterior, given.log_prior, given.variance, given.means
    with torch.no_grad():
        steps = naive_v3d.unroll(
            frames,
            context,
            weights(stage.model),
            chosen,
            forced,
            [*noise],
            z_from=config.z_from,
            by_batch=True,
        )
        l1 = 1.0 if config.loss == "l1+mse" else 0.0
        parts = naive_v3d.losses(frames, steps, chosen, config.latent_loss, coefficients, l1)
        kl = naive_v3d.losses(frames, steps, chosen, "kl")[1]
    total = naive_v3d.total(*parts, weight=1e-3 * step / 10)
    expected = {"total": total, "reconstruction": parts[0], "latent": parts[1], "kl": kl}
    torch.testing.assert_close(found, expected, **EXACT)


def test_the_latent_loss_warms_up():
    """Nothing at first, 1e-3 in the end, and half of it half way there."""
    stage = staged(build(), teacher_forcing=constant(1.0))
    shares = []
    for step in (0, 5, 10, 15):
        torch.manual_seed(1)
        with torch.no_grad():
            found = stage("main", Clip(clips(7)), step)
        shares.append(float((found["total"] - found["reconstruction"]) / found["latent"]))
    assert shares == pytest.approx([0, 5e-4, 1e-3, 1e-3], rel=1e-4, abs=1e-9)


def test_true_frames_give_way_to_predicted_ones():
    """All are true at first, some half way there, none in the end."""
    stage = staged(build(), latent_weight=constant(0.0))
    frames, forced = clips(9), choices(2, 5)

    def loss(step: int) -> float:
        torch.manual_seed(1)
        return float(stage("main", Clip(frames), step)["total"].detach())

    torch.manual_seed(1)
    torch.rand(2, 5)
    noise = torch.randn(noise_shape(stage.model, frames, 4)).double()
    expected = {}
    for name in ("true", "own"):
        with torch.no_grad():
            found = unroll(stage.model, frames, 4, forced[name], noise)
        gap = found.predicted - found.true
        expected[name] = float((gap.abs() + gap.square()).mean())
    assert loss(0) == pytest.approx(expected["true"], rel=1e-6)
    assert loss(10) == pytest.approx(expected["own"], rel=1e-6)
    assert expected["true"] != pytest.approx(expected["own"], rel=1e-4)
    assert all(loss(5) != pytest.approx(each, rel=1e-5) for each in expected.values())


@pytest.mark.parametrize("loss", ["l1+mse", "mse"])
def test_the_absolute_error_counts_or_not(loss):
    """L_rec is that of the predicted windows; it has the squared error in any case."""
    stage = staged(build(), loss=loss, teacher_forcing=constant(1.0))
    frames = clips(9)
    torch.manual_seed(1)
    found = float(stage("main", Clip(frames), 0)["reconstruction"].detach())
    torch.manual_seed(1)
    torch.rand(2, 5)
    noise = torch.randn(noise_shape(stage.model, frames, 4)).double()
    with torch.no_grad():
        unrolled = unroll(stage.model, frames, 4, choices(2, 5)["true"], noise)
    gap = unrolled.predicted - unrolled.true
    expected = gap.square().mean() + (gap.abs().mean() if loss == "l1+mse" else 0)
    assert found == pytest.approx(float(expected), rel=1e-6)


def test_without_latent_maps_there_is_only_the_reconstruction():
    """Nothing to weigh, nothing to log."""
    found = staged(build(latent=0))("main", Clip(clips(7)), 10)
    assert found.keys() == {"total", "reconstruction"}
    assert found["total"] == found["reconstruction"]


@pytest.mark.parametrize(("z_from", "other"), [("posterior", "prior"), ("prior", "posterior")])
def test_whose_z_learns_from_the_frames(z_from, other):
    """The one that z_t is drawn from; the other learns from the latent loss alone."""
    model = build()
    stage = staged(model, z_from=z_from, latent_weight=constant(0.0)).train()
    stage("main", Clip(clips(8)), 0)["total"].backward()

    def sums(part: str) -> list[float]:
        parameters = getattr(model, part).parameters()
        return [0.0 if p.grad is None else float(p.grad.abs().sum()) for p in parameters]

    assert all(sums(z_from))
    assert not any(sums(other))


def test_the_noise_is_drawn_anew():
    """Another draw, another loss; a validation has always the same."""
    stage = staged(build())
    torch.manual_seed(0)
    one, other = (stage("main", Clip(clips(7)), 0)["total"] for _ in range(2))
    assert one != other


@pytest.mark.parametrize("fields", [{}, {"latent": 0}], ids=str)
def test_a_validation(fields):
    """The squared error of the rollout, and the terms of Eq 7 with true inputs."""
    model, frames = build(advance=2, **fields), clips(5 + 4)
    stage = staged(model, 5, latent_loss="kl+ll").eval()
    torch.manual_seed(9)
    found = stage.validate(Clip(frames))
    source = torch.Generator().manual_seed(mix("v3d-convlstm", "validation"))
    noise = torch.randn(noise_shape(model, frames, 5), generator=source).double()
    chosen = settings(model)
    with torch.no_grad():
        predicted = naive_v3d.predict(frames[:, :5], 4, weights(model), chosen)[0]
        forced = choices(2, 4)["true"]
        steps = naive_v3d.unroll(frames, 5, weights(model), chosen, forced, [*noise])
        reconstruction, latent = naive_v3d.losses(frames, steps, chosen, "kl+ll")
        kl = naive_v3d.losses(frames, steps, chosen, "kl")[1]
    error = (predicted.clamp(0, 1) - frames[:, 5:]).square().sum((2, 3, 4)).mean()
    expected = {"score": error, "mse": error, "bound_reconstruction": reconstruction}
    if model.config.latent:
        expected |= {"bound_latent": latent, "bound_kl": kl}
    torch.testing.assert_close(found, expected, **EXACT)
    assert not any(value.requires_grad for value in found.values())


@pytest.mark.parametrize("fields", [{}, {"posterior_encoder": "separate"}], ids=str)
def test_statistics_move_after_a_step(fields):
    """Of every norm of the model, by a tenth, towards the mean of all that were seen."""
    model = build(**fields).train()
    stage = staged(model, teacher_forcing=constant(0.0))
    norms = [module for module in model.modules() if isinstance(module, BatchNorm)]
    before = [(norm.mean.clone(), norm.variance.clone()) for norm in norms]
    stage("main", Clip(clips(4 + 3)), 0)
    for norm, (mean, variance) in zip(norms, before, strict=True):
        assert torch.equal(norm.mean, mean)
        assert torch.equal(norm.variance, variance)
    assert len(model.encoder.stem[1].seen) == 1 + 2
    seen = [torch.stack([each.mean for each in norm.seen]).mean(0) for norm in norms]
    stage.after_step(0, Alone())
    for norm, (mean, _), new in zip(norms, before, seen, strict=True):
        torch.testing.assert_close(norm.mean, 0.9 * mean + 0.1 * new)
        assert not norm.seen
    assert len(norms) == 10 * (2 if fields else 1)


def test_half_precision_keeps_the_latent_maps_precise():
    """Under autocast μ, σ, what adds up in cells, and all losses are in single precision."""
    model = build().float().train()
    frames = clips(8).float()
    stage = staged(model)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = unroll(model, frames, 4, choices(2, 4)["own"], noise_of(stage, frames).float())
        terms = stage("main", Clip(frames), 5)
        states = model.listen(model.drive(model.encode(frames[:, :4])), None)
    assert all(state.cell.dtype == torch.float32 for state in states)
    assert found.predicted.dtype == torch.bfloat16
    for part in (found.prior, found.posterior):
        assert part is not None
        assert part.mean.dtype == part.deviation.dtype == torch.float32
    assert all(value.dtype == torch.float32 and value.isfinite() for value in terms.values())


def test_the_papers_training():
    """Adam at 1e-3 without weight decay, six clips, Eq 13 with its own weights, z of the posterior;
    λ from 0 to 1e-3 and from teacher forcing to own predictions over the whole stage."""
    config = TrainingConfig()
    optimizer = config.optimizer
    assert (optimizer.kind, optimizer.learning_rate, optimizer.weight_decay) == ("adam", 1e-3, 0)
    assert optimizer.betas == (0.9, 0.999)
    assert (config.batch, config.latent_loss, config.z_from) == (6, "paper", "posterior")
    assert config.loss == "l1+mse"
    assert config.latent_weights == LatentWeights(2.0, 1.0, 1.0, 3.0)
    assert config.latent_weight == Schedule(0.0, 1e-3, steps=None)
    assert config.teacher_forcing == Schedule(1.0, 0.0, steps=None)


@pytest.mark.parametrize("kind", ["kl", "kl+ll"])
def test_weights_that_nothing_reads_are_refused(kind):
    """The coefficients are Eq 13's."""
    message = f"latent_weights .* 'paper', which is '{re.escape(kind)}'"
    with pytest.raises(ConfigError, match=message) as error:
        TrainingConfig(latent_loss=kind, latent_weights=LatentWeights(means=1.0))
    assert "\n" not in str(error.value)
