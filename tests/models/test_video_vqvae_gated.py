"""The gated PixelCNN in time: against loops, causal, without blind spots."""

import pytest
import torch
from torch import Tensor

from framecast.errors import ConfigError
from framecast.models.video_vqvae.gated import GatedPixelCNN, PriorConfig
from models.naive_gated import NaiveGated

CODEWORDS, CONDITIONS = 5, 3


def config(**sizes) -> PriorConfig:
    tiny = {"layers": 3, "hidden": 8, "residual": 6, "attention_every": 2, "heads": 2}
    return PriorConfig(**{**tiny, **sizes})


def network(slices: int, **sizes) -> GatedPixelCNN:
    torch.manual_seed(3)
    return GatedPixelCNN(config(**sizes), CODEWORDS, CONDITIONS, slices).double().eval()


def volume(slices: int, height: int, width: int, batch: int = 1) -> tuple[Tensor, Tensor]:
    """Tokens and a conditioning."""
    generator = torch.Generator().manual_seed(8)
    tokens = torch.randint(CODEWORDS, (batch, slices, height, width), generator=generator)
    shape = (batch, slices, CONDITIONS, height, width)
    return tokens, torch.randn(shape, generator=generator, dtype=torch.float64)


@pytest.mark.parametrize(
    ("slices", "height", "width", "sizes"),
    [
        (3, 3, 4, {}),
        (3, 4, 2, {"attention_every": 0, "layers": 2}),
        (2, 3, 3, {"kernel": 5, "attention_every": 1}),
        (1, 4, 3, {"kernel": 5}),
        (5, 2, 3, {"layers": 1}),
    ],
)
def test_the_network_is_what_loops_over_dense_filters_give(slices, height, width, sizes):
    net, (tokens, given) = network(slices, **sizes), volume(slices, height, width, 2)
    with torch.no_grad():
        logits = net(tokens, given)
    naive = NaiveGated(net, config(**sizes))
    for row in range(2):
        maps = given[row].permute(0, 2, 3, 1).numpy()
        expected = torch.from_numpy(naive.logits(tokens[row].numpy(), maps))
        torch.testing.assert_close(logits[row], expected)


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("every", [0, 2])
def test_a_token_changes_no_logit_up_to_itself(slices, every):
    height, width = 3, 4
    net = network(slices, attention_every=every)
    tokens, given = volume(slices, height, width)
    with torch.no_grad():
        before = net(tokens, given).flatten(1, 3)
        for place in range(slices * height * width):
            changed = tokens.flatten().clone()
            changed[place] = (changed[place] + 1) % CODEWORDS
            after = net(changed.view_as(tokens), given).flatten(1, 3)
            moved = (after != before).any(-1)[0]
            assert not moved[: place + 1].any()
            assert moved[place + 1 :].all()


@pytest.mark.parametrize("slices", [1, 4])
@pytest.mark.parametrize("kernel", [3, 5])
def test_without_attention_every_logit_learns_of_every_token_before_it(slices, kernel):
    height, width = 4, 3
    net = network(slices, kernel=kernel, attention_every=0)
    tokens, given = volume(slices, height, width)
    embedded: list[Tensor] = []
    net.embedding.register_forward_hook(lambda *call: embedded.append(call[-1]))
    logits = net(tokens, given).flatten(1, 3)[0]
    mixed = logits @ torch.randn(CODEWORDS, dtype=torch.float64)
    for place, one in enumerate(mixed):
        (gradient,) = torch.autograd.grad(one, embedded, retain_graph=True)
        seen = (gradient != 0).flatten(0, 3).view(-1, 8).all(1)
        assert seen[:place].all()
        assert not (gradient.view(-1, 8)[place:] != 0).any()


def test_too_few_layers_do_leave_blind_spots():
    net = network(2, layers=1, attention_every=0)
    tokens, given = volume(2, 6, 6)
    embedded: list[Tensor] = []
    net.embedding.register_forward_hook(lambda *call: embedded.append(call[-1]))
    (gradient,) = torch.autograd.grad(net(tokens, given)[0, 1, 0, 0].sum(), embedded)
    assert not (gradient[0, 0, 5] != 0).any()


def test_a_conditioning_acts_everywhere_from_its_slice_on():
    net, (tokens, given) = network(3), volume(3, 3, 3)
    with torch.no_grad():
        before = net(tokens, given)
        for number in range(3):
            changed = given.clone()
            changed[:, number, :, 1, 1] += 1
            moved = (net(tokens, changed) != before).any(-1)[0]
            assert not moved[:number].any()
            assert moved[number, 1, 1]
            assert moved[number + 1 :].all()


def test_first_slices_of_a_volume_are_what_they_are_alone():
    net, (tokens, given) = network(3), volume(3, 3, 4)
    whole = net(tokens, given)
    for slices in (1, 2):
        torch.testing.assert_close(net(tokens[:, :slices], given), whole[:, :slices])


def test_a_volume_alone_gives_what_it_gives_in_a_batch():
    net, (tokens, given) = network(3), volume(3, 3, 4, 2)
    together = net(tokens, given)
    for row in range(2):
        one = slice(row, row + 1)
        torch.testing.assert_close(net(tokens[one], given[one]), together[one])


def test_attention_comes_after_every_so_many_layers():
    for every, expected in ((0, []), (1, [0, 1, 2, 3, 4]), (2, [1, 3]), (5, [4]), (6, [])):
        net = network(1, layers=5, attention_every=every)
        found = [i for i, layer in enumerate(net.layers) if layer.attention is not None]
        assert found == expected


def test_dropout_acts_in_training_alone():
    tokens, given = volume(2, 3, 3)
    net = network(2, dropout=0.5)
    expected = net(tokens, given)
    assert torch.equal(net(tokens, given), expected)
    net.train()
    assert not torch.equal(net(tokens, given), net(tokens, given))
    without = network(2, dropout=0.0)
    assert torch.equal(without(tokens, given), expected)
    assert torch.equal(without.train()(tokens, given), expected)


def test_dropout_acts_in_every_stack():
    layer = network(2, dropout=0.5).train().layers[0]
    maps, given = (torch.randn(2, n, 3, 3, dtype=torch.float64) for n in (8, 6))
    conditions = torch.randn(2, CONDITIONS, 3, 3, dtype=torch.float64)
    stacks = {
        "past": lambda: layer.past(maps, 2, conditions),
        "vertical": lambda: layer.vertical(maps, given),
        "horizontal": lambda: layer.horizontal(maps, maps, given),
    }
    for name, stack in stacks.items():
        assert not torch.equal(stack(), stack()), name
    layer.eval()
    for name, stack in stacks.items():
        assert torch.equal(stack(), stack()), name


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_every_parameter_learns_also_in_bf16(slices):
    net, (tokens, given) = network(slices).float(), volume(slices, 4, 4)
    with torch.autocast("cpu", torch.bfloat16):
        logits = net(tokens, given.float())
    assert logits.dtype == torch.float32
    logits.square().sum().backward()
    for name, parameter in net.named_parameters():
        # a bias of all keys alike changes no softmax
        if "key.bias" not in name:
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    torch.testing.assert_close(logits, net(tokens, given.float()), rtol=0.1, atol=0.05)


@pytest.mark.parametrize(
    "sizes",
    [
        {"layers": 0},
        {"hidden": 0},
        {"heads": 0},
        {"attention_every": -1},
        {"hidden": 6, "heads": 4},
        {"residual": 5},
        {"residual": 0},
        {"kernel": 4},
        {"kernel": 1},
        {"dropout": 1.0},
        {"dropout": -0.1},
    ],
)
def test_impossible_sizes_are_refused(sizes):
    with pytest.raises(ConfigError):
        config(**sizes)


def test_parameters_of_the_papers_top_network():
    d, r = 512, 1024
    with torch.device("meta"):
        net = GatedPixelCNN(PriorConfig(), codewords=512, conditions=d, slices=3)
    first = 512 * d + (2 * 9 * d * d + d) + (3 * d * d + d) + (d * d + d)
    past = (9 * d * d + d) + (9 * d * r + r) + d * r + (512 * d + d) + d * r
    vertical = (3 * d * d + d) + (2 * d * r + r) + d * r + (512 * d + d)
    horizontal = (2 * d * r + r) + d * r + d * r + (512 * d + d)
    attention = 3 * ((d + 3) * d + d) + d * d + d
    expected = first + 40 * (past + vertical + horizontal) + 8 * attention + (d * 512 + 512)
    assert expected == 549_734_400
    assert sum(parameter.numel() for parameter in net.parameters()) == expected


def test_offsets_cover_what_the_stacks_may_see():
    net = network(3, kernel=5)
    assert net.past is not None
    shapes = {name: tuple(p.shape[2:]) for name, p in net.named_parameters() if p.ndim == 4}
    assert shapes["past.slices.weight"] == (5, 5)
    assert shapes["above.weight"] == (2, 5)
    assert shapes["left.weight"] == (1, 2)
    for number in range(3):
        name = f"layers.{number}."
        assert shapes[name + "past.across.slices.weight"] == (1, 5)
        assert shapes[name + "past.along.slices.weight"] == (5, 1)
        assert shapes[name + "across.weight"] == (1, 5)
        assert shapes[name + "along.weight"] == (3, 1)
        assert shapes[name + "beside.weight"] == (1, 3)
    # no slice is looked for that cannot be there
    assert [net.past.taps, net.layers[0].past.across.taps] == [2, 3]


def test_a_network_of_one_slice_has_no_past():
    net, (tokens, given) = network(1), volume(1, 3, 3)
    assert not any("past" in name for name in net.state_dict())
    assert list(net.pasts(net.embedded(tokens), 1, given[:, 0])) == [None] * 3
