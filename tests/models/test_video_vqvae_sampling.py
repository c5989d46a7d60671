"""Drawing from top and bottom prior: caches, samplers, likelihood."""

import pytest
import torch
from torch import Tensor

from framecast.layers.autoregressive import Rule
from framecast.models.video_vqvae.bottom import (
    BottomConditioningConfig,
    BottomConfig,
    BottomPrior,
)
from framecast.models.video_vqvae.cache import (
    Drawing,
    DrawnSlice,
    VolumeCache,
    VolumeReplay,
    default_sampler,
)
from framecast.models.video_vqvae.gated import GatedPixelCNN, PriorConfig
from framecast.models.video_vqvae.top import TopConditioningConfig, TopConfig, TopPrior
from framecast.noise import Noise

TOP, BOTTOM = 5, 4
CODEWORDS = (TOP, BOTTOM)
SAMPLERS = ("naive", "cached", "fixed-point")
SIZES = {"layers": 3, "hidden": 8, "residual": 6, "heads": 2, "attention_every": 2}


def sharpened(prior: TopPrior | BottomPrior) -> TopPrior | BottomPrior:
    """With logits and attention strong enough that tokens depend on one another."""
    with torch.no_grad():
        prior.net.output.weight.mul_(8)
        for layer in prior.net.layers:
            for name, parameter in layer.named_parameters():
                parameter.mul_(3 if "output" in name else 1)
    return prior.double().eval()


def top_prior(future: int = 3, **sizes) -> TopPrior:
    torch.manual_seed(1)
    conditioning = TopConditioningConfig(embedding=3, squeezed=4, blocks=1, residual=5)
    config = TopConfig(**{**SIZES, **sizes}, conditioning=conditioning)
    return sharpened(TopPrior(config, CODEWORDS, 1, future))


def bottom_prior(**sizes) -> BottomPrior:
    torch.manual_seed(2)
    conditioning = BottomConditioningConfig(3, 6, 1, 5, 3)
    config = BottomConfig(**{**SIZES, **sizes}, conditioning=conditioning)
    return sharpened(BottomPrior(config, CODEWORDS))


def codes(slices: int, height: int, width: int, batch: int) -> tuple[Tensor, Tensor]:
    """Top slices, and twice as many bottom slices of twice the size."""
    generator = torch.Generator().manual_seed(6)
    shapes = ((batch, slices, height, width), (batch, 2 * slices, 2 * height, 2 * width))
    return tuple(
        torch.randint(values, shape, generator=generator)
        for values, shape in zip(CODEWORDS, shapes, strict=True)
    )


def drawing(sampler: str, batch: int, samples: int | None, rule: Rule, seed: int = 0) -> Drawing:
    noise = None if samples is None else Noise.of(seed, range(batch), samples)
    return Drawing(noise, rule, sampler)


def draw_top(
    prior: TopPrior,
    context: tuple[Tensor, Tensor],
    sampler: str,
    samples: int | None,
    rule: Rule | None = None,
) -> list[DrawnSlice]:
    how = drawing(sampler, len(context[0]), samples, rule or Rule())
    return list(prior.generate(*context, samples or 1, how))


def draw_bottom(
    prior: BottomPrior,
    given: tuple[Tensor, Tensor],
    sampler: str,
    samples: int | None,
    rule: Rule | None = None,
) -> list[DrawnSlice]:
    """The slices after the first two, of `samples` rows of each sequence with the same top."""
    how = drawing(sampler, len(given[0]), samples, rule or Rule())
    top, bottom = (x.repeat(samples or 1, 1, 1, 1) for x in given)
    return list(prior.generate(top, bottom[:, :2], how))


def agree(draws: dict[str, list[DrawnSlice]], positions: int) -> None:
    """All samplers have drawn the same, and none needed more passes than there are positions."""
    for sampler, slices in draws.items():
        for one, two in zip(draws["naive"], slices, strict=True):
            assert torch.equal(one.tokens, two.tokens), sampler
            torch.testing.assert_close(one.log_prob, two.log_prob)
            assert two.passes == positions or (sampler == "fixed-point" and two.passes < positions)


@pytest.mark.parametrize("samples", [None, 1, 3])
@pytest.mark.parametrize(
    ("batch", "future", "height", "width", "sizes", "rule"),
    [
        (2, 3, 3, 4, {}, Rule(0.6, 3)),
        (1, 3, 4, 3, {"attention_every": 0}, Rule()),
        (2, 2, 2, 5, {"kernel": 5, "attention_every": 1}, Rule(1.7)),
        (1, 5, 2, 2, {"heads": 1, "layers": 2}, Rule()),
        (3, 1, 1, 1, {}, Rule(top_k=1)),
    ],
)
def test_all_samplers_draw_the_same_top(samples, batch, future, height, width, sizes, rule):
    prior, context = top_prior(future, **sizes), codes(1, height, width, batch)
    draws = {s: draw_top(prior, context, s, samples, rule) for s in SAMPLERS}
    assert len(draws["naive"]) == future
    agree(draws, height * width)
    tokens = torch.stack([one.tokens for one in draws["naive"]])
    assert tokens.shape == (future, (samples or 1) * batch, height, width)
    assert samples is None or tokens.numel() < 20 or len(tokens.unique()) > 2


@pytest.mark.parametrize("samples", [None, 2])
@pytest.mark.parametrize(
    ("batch", "height", "width", "sizes", "rule"),
    [
        (2, 2, 3, {}, Rule(0.6, 3)),
        (1, 3, 2, {"kernel": 3, "attention_every": 0}, Rule()),
        (1, 1, 1, {"attention_every": 1}, Rule(1.7)),
    ],
)
def test_all_samplers_draw_the_same_bottom(samples, batch, height, width, sizes, rule):
    prior, given = bottom_prior(**sizes), codes(3, height, width, batch)
    draws = {s: draw_bottom(prior, given, s, samples, rule) for s in SAMPLERS}
    assert len(draws["naive"]) == 4
    agree(draws, 4 * height * width)


@torch.no_grad()
def test_log_prob_is_that_of_the_teacher_forced_priors():
    prior, context = top_prior(), codes(1, 3, 4, 2)
    drawn = draw_top(prior, context, "cached", 3, Rule(0.8))
    tokens = torch.stack([one.tokens for one in drawn], 1)
    logits = prior(tokens, *(x.repeat(3, 1, 1, 1) for x in context)).log_softmax(-1)
    nats = logits.gather(4, tokens.unsqueeze(4)).sum((2, 3, 4))
    torch.testing.assert_close(torch.stack([one.log_prob for one in drawn], 1), nats)
    prior, given = bottom_prior(), codes(3, 2, 2, 2)
    drawn = draw_bottom(prior, given, "cached", 3, Rule(0.8))
    top, bottom = (x.repeat(3, 1, 1, 1) for x in given)
    whole = torch.cat([bottom[:, :2], torch.stack([one.tokens for one in drawn], 1)], 1)
    for number, one in enumerate(drawn, 2):
        logits = prior(top, whole, number).log_softmax(-1)
        nats = logits.gather(3, one.tokens.unsqueeze(3)).sum((1, 2, 3))
        torch.testing.assert_close(one.log_prob, nats)


@torch.no_grad()
def test_without_samples_every_token_is_the_likeliest():
    prior, context = top_prior(), codes(1, 3, 4, 2)
    tokens = torch.stack([one.tokens for one in draw_top(prior, context, "auto", None)], 1)
    assert torch.equal(prior(tokens, *context).argmax(-1), tokens)
    bottoms, given = bottom_prior(), codes(3, 2, 2, 2)
    drawn = [one.tokens for one in draw_bottom(bottoms, given, "auto", None)]
    whole = torch.cat([given[1][:, :2], torch.stack(drawn, 1)], 1)
    for number, tokens in enumerate(drawn, 2):
        assert torch.equal(bottoms(given[0], whole, number).argmax(-1), tokens)


def test_auto_is_one_of_the_samplers():
    """On a CPU the one that goes from place to place; elsewhere the one with few steps."""
    prior, context = top_prior(), codes(1, 3, 3, 1)
    for samples in (None, 1, 3):
        assert [one.passes for one in draw_top(prior, context, "auto", samples)] == [9, 9, 9]
    assert default_sampler(torch.device("cpu")) == "cached"
    assert default_sampler(torch.device("cuda")) == "fixed-point"


def test_rows_are_samples_of_sequences_and_do_not_touch_one_another():
    prior, context = top_prior(), codes(1, 3, 3, 2)
    together = draw_top(prior, context, "cached", 2)
    for sequence in range(2):
        how = Drawing(Noise.of(0, [sequence], 2), Rule(), "cached")
        alone = prior.generate(*(x[sequence : sequence + 1] for x in context), 2, how)
        for one, two in zip(together, alone, strict=True):
            assert torch.equal(one.tokens.unflatten(0, (2, 2))[:, sequence], two.tokens)
    assert not torch.equal(together[-1].tokens[:2], together[-1].tokens[2:])


def test_temperature_and_top_k_act():
    prior, context = top_prior(), codes(1, 3, 4, 1)
    likeliest = draw_top(prior, context, "cached", None)
    cold, few, plain = (
        draw_top(prior, context, "cached", 1, rule) for rule in (Rule(1e-6), Rule(top_k=1), Rule())
    )
    for other in (cold, few):
        for one, two in zip(likeliest, other, strict=True):
            assert torch.equal(one.tokens, two.tokens)
    assert not torch.equal(likeliest[0].tokens, plain[0].tokens)


@pytest.mark.parametrize("sizes", [{}, {"attention_every": 0}, {"kernel": 5}])
@torch.no_grad()
def test_one_position_whole_slice_and_replay_give_the_same_logits(sizes):
    torch.manual_seed(4)
    config = PriorConfig(**{**SIZES, **sizes})
    net = GatedPixelCNN(config, TOP, 3, slices=3).double().eval()
    given = torch.randn(2, 3, 3, 3, 4, dtype=torch.float64)
    tokens = torch.randint(TOP, (3, 2, 12))
    steps, whole, replay = (
        VolumeCache(net, given),
        VolumeCache(net, given),
        VolumeReplay(net, given),
    )
    for number in range(3):
        for volume in (steps, whole, replay):
            volume.begin()
        expected = replay.logits(tokens[number])
        teacher = net(tokens[: number + 1].movedim(0, 1).unflatten(2, (3, 4)), given)
        torch.testing.assert_close(expected, teacher[:, -1].flatten(1, 2))
        by_step = [steps.step(k, tokens[number]) for k in range(12)]
        torch.testing.assert_close(torch.stack(by_step, 1), expected)
        # a guess before it leaves nothing behind, be it near or far
        for guess in (tokens[number - 1], tokens[number] ^ (torch.arange(12) == 7)):
            torch.testing.assert_close(whole.logits(guess % TOP), replay.logits(guess % TOP))
        torch.testing.assert_close(whole.logits(tokens[number]), expected)
        for volume in (steps, whole, replay):
            volume.finish(tokens[number])


def test_what_is_kept_of_past_slices_is_what_the_next_one_needs():
    net = GatedPixelCNN(PriorConfig(**SIZES), TOP, 3, slices=3).eval()
    volume = VolumeCache(net, torch.randn(2, 3, 3, 3, 4))
    with torch.no_grad():
        for number in range(3):
            volume.begin()
            for past in volume.pasts:
                assert past is not None
                assert past.shape == (2, 8, 3, 4)
                assert past.untyped_storage().nbytes() == past.numel() * 4
            keys = [memory.own.shape for memory in volume.memories if memory is not None]
            assert keys == [(2, 2, 2, 4, 12 * (number + 1))]
            volume.logits(torch.zeros(2, 12, dtype=torch.int64))
            volume.finish(torch.zeros(2, 12, dtype=torch.int64))


def test_a_right_guess_saves_passes():
    prior, context = top_prior(1), codes(1, 3, 4, 1)
    how = Drawing(Noise.of(0, [0], 1), Rule(), "fixed-point")
    drawn = next(iter(prior.generate(*context, 1, how)))
    assert drawn.passes > 1
    with torch.no_grad():
        given = prior.conditioning(*context)
    again = Drawing(Noise.of(0, [0], 1), Rule(), "fixed-point")
    assert next(again.volume(prior.net, given, drawn.tokens)).passes == 1


def test_autocast_outside_changes_nothing():
    for prior, draw, slices in ((top_prior(), draw_top, 1), (bottom_prior(), draw_bottom, 2)):
        prior.float()
        given = codes(slices, 2, 3, 1)
        plain = draw(prior, given, "cached", 2)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = draw(prior, given, "cached", 2)
        for one, two in zip(plain, mixed, strict=True):
            assert torch.equal(one.tokens, two.tokens)
            assert torch.equal(one.log_prob, two.log_prob)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_nothing_of_a_draw_carries_gradients(sampler):
    for prior, draw, slices in ((top_prior(), draw_top, 1), (bottom_prior(), draw_bottom, 2)):
        drawn = draw(prior, codes(slices, 2, 2, 1), sampler, 1)
        assert not any(one.log_prob.requires_grad for one in drawn)
        assert torch.is_grad_enabled()
