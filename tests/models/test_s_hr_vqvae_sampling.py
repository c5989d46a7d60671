"""Drawing from ST-PixelCNN: caches, samplers, likelihood."""

import pytest
import torch
from torch import Tensor

from framecast.models.s_hr_vqvae.prior import Drawn, Lookup, PriorConfig, STPixelCNN, volumes
from framecast.models.s_hr_vqvae.prior_cache import LayerCache, LayerReplay
from framecast.noise import Noise

VALUES, WIDTH = 3, 2
SAMPLERS = ("naive", "cached", "fixed-point")


def tree(layers: int, dtype: torch.dtype = torch.float64) -> Lookup:
    """Codewords by path: each layer's codebook depends on the indices above it."""
    generator = torch.Generator().manual_seed(2)
    shapes = [(VALUES**i, VALUES, WIDTH) for i in range(layers)]
    books = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]

    def lookup(indices: Tensor) -> Tensor:
        parent, found = torch.zeros_like(indices[..., 0, :, :]), []
        for layer in range(indices.shape[-3]):
            local = indices[..., layer, :, :]
            found.append(books[layer][parent, local].movedim(-1, -3).to(dtype))
            parent = parent * VALUES + local
        return torch.stack(found, -4)

    return lookup


def prior(layers: int = 2, **sizes) -> STPixelCNN:
    torch.manual_seed(9)
    config = PriorConfig(**{"hidden": 8, "convolutions": 3, "heads": 2, **sizes})
    net = STPixelCNN(config, layers, VALUES, WIDTH).double()
    with torch.no_grad():  # strong enough that tokens depend on one another
        for layer in net.nets:
            layer.output.weight.mul_(6)
            layer.attention.output.weight.mul_(3)
    return net


def indices(batch: int, frames: int, layers: int, height: int, width: int) -> Tensor:
    generator = torch.Generator().manual_seed(4)
    return torch.randint(VALUES, (batch, frames, layers, height, width), generator=generator)


def draw(
    net: STPixelCNN,
    context: Tensor,
    sampler: str,
    samples: int | None = None,
    horizon: int = 2,
    seed: int = 0,
    **rule,
) -> list[Drawn]:
    lookup = tree(context.shape[2], next(net.parameters()).dtype)
    noise = Noise.of(seed, range(len(context)), samples or 1)
    codewords = lookup(context)
    return list(
        net.generate(codewords, horizon, lookup, noise, samples=samples, sampler=sampler, **rule)
    )


@pytest.mark.parametrize("samples", [None, 1, 3])
@pytest.mark.parametrize(
    ("batch", "frames", "layers", "height", "width", "sizes", "rule"),
    [
        (2, 2, 2, 3, 4, {}, {"temperature": 0.7, "top_k": 2}),
        (1, 1, 3, 4, 3, {"convolutions": 1}, {}),
        (2, 3, 1, 2, 5, {"hidden": 6, "heads": 1}, {"temperature": 1.5}),
        (1, 2, 2, 1, 1, {"cross_layer": False}, {"top_k": 1}),
    ],
)
def test_all_samplers_draw_the_same(samples, batch, frames, layers, height, width, sizes, rule):
    net, context = prior(layers, **sizes), indices(batch, frames, layers, height, width)
    naive, *others = (draw(net, context, s, samples, 3, **rule) for s in SAMPLERS)
    positions = layers * height * width
    for other in others:
        for one, two in zip(naive, other, strict=True):
            assert torch.equal(one.indices, two.indices)
            torch.testing.assert_close(one.log_prob, two.log_prob)
    assert [one.passes for one in naive] == [one.passes for one in others[0]] == [positions] * 3
    assert all(one.passes <= positions for one in others[1])


def test_log_prob_is_that_of_the_teacher_forced_network():
    net, context = prior(), indices(2, 2, 2, 3, 4)
    drawn = draw(net, context, "cached", 3, 3, temperature=0.8)
    future = torch.stack([one.indices for one in drawn], 1)
    whole = torch.cat([context.repeat(3, 1, 1, 1, 1), future], 1)
    logits = net(tree(2)(whole), 2).log_softmax(3)
    nats = logits.gather(3, future.unsqueeze(3)).sum((2, 3, 4, 5))
    torch.testing.assert_close(torch.stack([one.log_prob for one in drawn], 1), nats)


def test_without_samples_every_index_is_the_likeliest():
    net, context = prior(), indices(2, 2, 2, 3, 4)
    future = torch.stack([one.indices for one in draw(net, context, "auto", None, 3)], 1)
    logits = net(tree(2)(torch.cat([context, future], 1)), 2)
    assert torch.equal(logits.argmax(3), future)


def test_auto_is_one_of_the_samplers():
    net, context = prior(), indices(1, 1, 2, 3, 3)
    for samples, sampler in ((1, "fixed-point"), (3, "cached")):
        auto, named = (draw(net, context, s, samples) for s in ("auto", sampler))
        assert [one.passes for one in auto] == [one.passes for one in named]


def test_rows_are_samples_of_sequences_and_do_not_touch_one_another():
    net, context = prior(), indices(2, 2, 2, 3, 3)
    together = draw(net, context, "cached", 2, 3)
    for sequence in range(2):
        lookup = tree(2)
        noise = Noise.of(0, [sequence], 2)
        codewords = lookup(context[sequence : sequence + 1])
        alone = net.generate(codewords, 3, lookup, noise, samples=2, sampler="cached")
        for one, two in zip(together, alone, strict=True):
            assert torch.equal(one.indices.unflatten(0, (2, 2))[:, sequence], two.indices)
    assert not torch.equal(together[-1].indices[:2], together[-1].indices[2:])


@pytest.mark.parametrize("sampler", ["cached", "fixed-point"])
def test_in_single_precision_only_ties_differ(sampler):
    net, context = prior().float(), indices(1, 2, 2, 4, 4)
    for seed in range(3):
        drawn = {s: draw(net, context, s, 2, 2, seed) for s in ("naive", sampler)}
        noise = Noise.of(seed, [0], 2)
        past = tree(2, torch.float32)(context).repeat(2, 1, 1, 1, 1, 1)
        for one, two in zip(*drawn.values(), strict=True):
            gumbel = noise.gumbel(2, 4, 4, VALUES).flatten(0, 1)
            now = tree(2, torch.float32)(one.indices).unsqueeze(1)
            scores = net(torch.cat([past, now], 1), past.shape[1])[:, 0].movedim(2, -1) + gumbel
            differ = (one.indices != two.indices).flatten(1)
            assert differ.shape == (2, 32)
            for row in differ.any(1).nonzero().flatten().tolist():
                place = int(differ[row].int().argmax())
                best = scores[row].flatten(0, 2)[place].topk(2).values
                assert best[0] - best[1] < 1e-4
            if differ.any():
                break
            past = torch.cat([past, now], 1)


def opened(kind, samples: int, net: STPixelCNN, context: Tensor):
    """The second layer's cache or replay, with a first future frame begun."""
    (_, _), (own, given) = volumes(tree(2)(context))
    layer = kind(net.nets[1], own, given, samples)
    start(layer, len(context) * samples, context.shape[-2:])
    return layer


def start(layer, rows: int, size: torch.Size) -> None:
    generator = torch.Generator().manual_seed(rows)
    shape = (rows, size[0] * size[1], VALUES, WIDTH)
    candidates = torch.randn(shape, generator=generator, dtype=torch.float64)
    layer.begin(torch.ones(rows, WIDTH, *size, dtype=torch.float64), candidates)


@pytest.mark.parametrize("samples", [1, 3])
def test_one_position_whole_frame_and_replay_give_the_same_logits(samples):
    net, context = prior(), indices(2, 2, 2, 3, 4)
    rows = 2 * samples
    generator = torch.Generator().manual_seed(8)
    tokens = torch.randint(VALUES, (3, rows, 12), generator=generator)
    with torch.no_grad():
        steps, whole, replay = (
            opened(kind, samples, net, context) for kind in (LayerCache, LayerCache, LayerReplay)
        )
        for frame in range(3):
            expected = replay.logits(tokens[frame])
            by_step = [steps.step(k, tokens[frame]) for k in range(12)]
            torch.testing.assert_close(torch.stack(by_step, 1), expected)
            # a guess before it leaves nothing behind, be it near or far
            for guess in (tokens[frame - 1], tokens[frame] ^ (torch.arange(12) == 7)):
                torch.testing.assert_close(
                    whole.logits(guess % VALUES), replay.logits(guess % VALUES)
                )
            torch.testing.assert_close(whole.logits(tokens[frame]), expected)
            codewords = [layer.finish(tokens[frame]) for layer in (steps, whole, replay)]
            assert torch.equal(codewords[0], codewords[2])
            assert torch.equal(codewords[1], codewords[2])
            for layer in (steps, whole, replay):
                start(layer, rows, context.shape[-2:])


def test_samples_share_the_keys_and_values_of_their_context():
    net, context = prior(), indices(2, 5, 2, 3, 4)
    with torch.no_grad():
        layer = opened(LayerCache, 6, net, context)
        assert layer.memory is not None
        assert layer.memory.shared is not None
        assert layer.memory.shared.shape == (2, 2, 2, 4, 5 * 12)
        assert layer.memory.own.shape == (2, 12, 2, 4, 12)
        tokens = torch.zeros(12, 12, dtype=torch.int64)
        layer.logits(tokens)
        layer.finish(tokens)
        start(layer, 12, context.shape[-2:])
        assert layer.memory.own.shape == (2, 12, 2, 4, 24)
        assert all(past.frames.shape[1] == 2 for past in layer.pasts)


def test_a_silent_attention_costs_nothing_and_changes_nothing():
    net, context = prior(), indices(2, 2, 2, 3, 4)
    net.silence()
    with torch.no_grad():
        assert opened(LayerCache, 2, net, context).memory is None
        net.nets[1].attention.output.bias[0] = 1
        assert opened(LayerCache, 2, net, context).memory is not None
    net.silence()
    for samples in (None, 3):
        naive, *others = (draw(net, context, s, samples, 3) for s in SAMPLERS)
        for other in others:
            for one, two in zip(naive, other, strict=True):
                assert torch.equal(one.indices, two.indices)
                torch.testing.assert_close(one.log_prob, two.log_prob)


def test_a_good_guess_saves_passes():
    net, context = prior(), indices(1, 2, 2, 4, 4)
    still = context[:, -1:].expand(-1, 3, -1, -1, -1).contiguous()
    with torch.no_grad():
        for layer in net.nets:  # nothing moves: the same place a frame earlier decides
            for parameter in layer.parameters():
                parameter.zero_()
    assert [one.passes for one in draw(net, still, "fixed-point", 1, 1)] == [4]
    assert sum(one.passes for one in draw(net, still, "fixed-point", None, 1)) <= 4


def test_autocast_outside_changes_nothing():
    net, context = prior().float(), indices(1, 2, 2, 3, 3)
    plain = draw(net, context, "cached", 2)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = draw(net, context, "cached", 2)
    for one, two in zip(plain, mixed, strict=True):
        assert torch.equal(one.indices, two.indices)
        assert torch.equal(one.log_prob, two.log_prob)


def test_nothing_of_a_draw_carries_gradients():
    net, context = prior(), indices(1, 1, 2, 3, 3)
    for sampler in SAMPLERS:
        assert not any(one.log_prob.requires_grad for one in draw(net, context, sampler, 1))
