"""Top and bottom prior: what they are conditioned by, and nothing else."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from framecast.errors import ConfigError
from framecast.models.video_vqvae.bottom import (
    BottomConditioningConfig,
    BottomConfig,
    BottomPrior,
)
from framecast.models.video_vqvae.top import TopConditioningConfig, TopConfig, TopPrior

CODEWORDS = (5, 7)
SIZES = {"layers": 2, "hidden": 8, "residual": 6, "attention_every": 2, "heads": 2, "dropout": 0.0}


def top_prior(context: int = 1, future: int = 3) -> TopPrior:
    torch.manual_seed(1)
    conditioning = TopConditioningConfig(embedding=3, squeezed=4, blocks=2, residual=5)
    config = TopConfig(**SIZES, conditioning=conditioning)
    return TopPrior(config, CODEWORDS, context, future).double().eval()


def bottom_prior(window: int = 4) -> BottomPrior:
    torch.manual_seed(2)
    conditioning = BottomConditioningConfig(3, 8, 2, 5, window)
    return BottomPrior(BottomConfig(**SIZES, conditioning=conditioning), CODEWORDS).double().eval()


def codes(top: int, height: int = 2, width: int = 3, batch: int = 1) -> tuple[Tensor, Tensor]:
    """Top slices, and twice as many bottom slices of twice the size."""
    generator = torch.Generator().manual_seed(6)
    shapes = ((batch, top, height, width), (batch, 2 * top, 2 * height, 2 * width))
    return tuple(
        torch.randint(values, shape, generator=generator)
        for values, shape in zip(CODEWORDS, shapes, strict=True)
    )


def changed(tokens: Tensor, values: int, *place: int) -> Tensor:
    other = tokens.clone()
    other[place] = (other[place] + 1) % values
    return other


def blocks(x: Tensor, modules) -> Tensor:
    """Residual blocks of 3×3 and 1×1 convolutions, or of those in three dimensions."""
    convolve = functional.conv2d if x.ndim == 4 else functional.conv3d
    for block in modules:
        inner = convolve(x.relu(), block[1].weight, block[1].bias, padding=1).relu()
        x = x + convolve(inner, block[3].weight, block[3].bias)
    return x


@pytest.mark.parametrize(("context", "future"), [(1, 3), (2, 1)])
def test_the_top_priors_conditioning_step_by_step(context, future):
    conditioning = top_prior(context, future).conditioning
    w = conditioning.state_dict()
    top, bottom = codes(context, batch=2)
    x = w["top.weight"][top].permute(0, 4, 1, 2, 3)
    x = functional.conv_transpose3d(x, w["up.weight"], w["up.bias"], stride=2, padding=1).relu()
    x = torch.cat([x, w["bottom.weight"][bottom].permute(0, 4, 1, 2, 3)], 1)
    x = functional.pad(x, (1, 1, 1, 1))
    x = functional.conv3d(x, w["down.weight"], w["down.bias"], stride=(1, 2, 2)).relu()
    assert x.shape == (2, 4, 1, 2, 3)
    x = torch.cat([x] * future, 2)
    x = functional.conv3d(x, w["enter.weight"], w["enter.bias"], padding=1)
    x = blocks(x, conditioning.blocks).transpose(1, 2)
    torch.testing.assert_close(conditioning(top, bottom), x)


def same(slices: int) -> tuple[int, int]:
    """Zeros before and behind, for 4 taps and stride 2 to leave half of the slices, rounded up."""
    total = max(0, (-(-slices // 2) - 1) * 2 + 4 - slices)
    return total // 2, total - total // 2


@pytest.mark.parametrize(("window", "number"), [(4, 2), (4, 7), (1, 3), (3, 0), (7, 6), (16, 4)])
def test_the_bottom_priors_conditioning_step_by_step(window, number):
    conditioning = bottom_prior(window).conditioning
    w = conditioning.state_dict()
    top, bottom = codes(4, batch=2)
    x = w["top.weight"][top].permute(0, 4, 1, 2, 3)
    for name, stride in (("later", (2, 1, 1)), ("larger", (1, 2, 2))):
        x = functional.conv_transpose3d(
            x, w[f"{name}.weight"], w[f"{name}.bias"], stride=stride, padding=1
        ).relu()
    x = functional.conv3d(x, w["smooth.weight"], w["smooth.bias"], padding=1)
    assert x.shape == (2, 8, 8, 4, 6)
    past = torch.zeros(2, 3, window, 4, 6, dtype=torch.float64)
    for back in range(1, min(window, number) + 1):
        past[:, :, -back] = w["bottom.weight"][bottom[:, number - back]].movedim(-1, 1)
    slices = [window]
    for i in range(4):
        past = functional.pad(past.relu() if i else past, (1, 1, 1, 1, *same(slices[-1])))
        weight, bias = w[f"past.{i}.weight"], w[f"past.{i}.bias"]
        past = functional.conv3d(past, weight, bias, stride=(2, 1, 1))
        slices.append(past.shape[2])
    assert window != 4 or slices == [4, 2, 1, 1, 1]
    x = torch.cat([x[:, :, number], past.squeeze(2)], 1).relu()
    x = functional.conv2d(x, w["join.weight"], w["join.bias"], padding=1)
    expected = blocks(x, conditioning.blocks)
    torch.testing.assert_close(conditioning(top, bottom, number), expected)


def test_the_priors_are_their_networks_with_their_conditionings():
    top, bottom = codes(4, batch=2)
    prior = top_prior()
    context = top[:, :1], bottom[:, :2]
    logits = prior(top[:, 1:], *context)
    assert logits.shape == (2, 3, 2, 3, 5)
    assert torch.equal(logits, prior.net(top[:, 1:], prior.conditioning(*context)))
    prior = bottom_prior()
    logits = prior(top, bottom, 5)
    assert logits.shape == (2, 4, 6, 7)
    given = prior.conditioning(top, bottom, 5).unsqueeze(1)
    assert torch.equal(logits, prior.net(bottom[:, 5:6], given)[:, 0])


@torch.no_grad()
def test_every_context_token_reaches_every_top_logit():
    prior, (top, bottom) = top_prior(), codes(4)
    future, context = top[:, 1:], [top[:, :1], bottom[:, :2]]
    before = prior(future, *context)
    for level, tokens in enumerate(context):
        for place in torch.cartesian_prod(*map(torch.arange, tokens.shape)).tolist():
            other = [*context]
            other[level] = changed(tokens, CODEWORDS[level], *place)
            assert (prior(future, *other) != before).any(-1).all()


@torch.no_grad()
@pytest.mark.parametrize("window", [2, 4])
def test_a_bottom_slice_depends_on_its_window_and_on_the_top(window):
    prior, (top, bottom) = bottom_prior(window), codes(4)
    for number in range(8):
        before = prior.conditioning(top, bottom, number)
        for other in range(8):
            moved = prior.conditioning(top, changed(bottom, 7, 0, other, 1, 1), number) != before
            assert bool(moved.any()) == (number - window <= other < number)
        reached = {
            other
            for other in range(4)
            if (prior.conditioning(changed(top, 5, 0, other, 1, 1), bottom, number) != before).any()
        }
        # two slices of the finer time to either side of its own, each of two top slices
        around = range(number - 2, number + 3)
        near = {(n + d) // 2 for n in around if 0 <= n < 8 for d in (-1, 1)}
        assert reached == near & set(range(4))


@torch.no_grad()
def test_a_bottom_token_changes_no_logit_up_to_itself():
    prior, (top, bottom) = bottom_prior(), codes(4)
    number = 5
    before = prior(top, bottom, number).flatten(1, 2)
    for place in range(24):
        other = changed(bottom, 7, 0, number, place // 6, place % 6)
        moved = (prior(top, other, number).flatten(1, 2) != before).any(-1)[0]
        assert not moved[: place + 1].any()
        assert moved[place + 1 :].all()
    for later in (6, 7):
        other = changed(bottom, 7, 0, later, 0, 0)
        assert torch.equal(prior(top, other, number).flatten(1, 2), before)
    assert torch.equal(prior(top, bottom[:, : number + 1], number).flatten(1, 2), before)


def test_every_parameter_learns():
    top, bottom = codes(4, batch=2)
    priors = top_prior(), bottom_prior()
    logits = priors[0](top[:, 1:], top[:, :1], bottom[:, :2]), priors[1](top, bottom, 6)
    for prior, found in zip(priors, logits, strict=True):
        found.square().sum().backward()
        for name, parameter in prior.named_parameters():
            # a bias of all keys alike changes no softmax
            if "key.bias" not in name:
                assert parameter.grad is not None, name
                assert parameter.grad.abs().sum() > 0, name


def count(*modules: torch.nn.Module) -> int:
    return sum(p.numel() for module in modules for p in module.parameters())


def test_parameters_of_the_papers_priors():
    with torch.device("meta"):
        top = TopPrior(TopConfig(), (512, 512), context=1, future=3)
        bottom = BottomPrior(BottomConfig(), (512, 512))
    expected = 2 * 512 * 128 + (64 * 128**2 + 128) + (32 * 256**2 + 256) + (27 * 256 * 512 + 512)
    expected += 4 * ((27 * 512 * 128 + 128) + (128 * 512 + 512))
    assert count(top.conditioning) == expected == 14_159_232
    h = 1024
    expected = 2 * 512 * 128 + (36 * 128 * h + h) + (48 * h * h + h) + (27 * h * h + h)
    expected += (36 * 128 * h + h) + 3 * (36 * h * h + h) + (9 * 2 * h * h + h)
    expected += 20 * ((9 * h * 128 + 128) + (128 * h + h))
    assert count(bottom.conditioning) == expected == 246_577_664
    d, r = 512, 1024
    expected = 512 * d + (2 * 5 * d * d + d) + (2 * d * d + d)
    vertical = (5 * d * d + d) + (3 * d * r + r) + h * r + (512 * d + d)
    horizontal = (3 * d * r + r) + d * r + h * r + (512 * d + d)
    expected += 20 * (vertical + horizontal) + (d * 512 + 512)
    expected += 4 * (3 * ((d + 3) * d + d) + d * d + d)
    assert count(bottom.net) == expected == 160_007_680
    assert [len(prior.net.layers) for prior in (top, bottom)] == [40, 20]
    found = [[layer.attention is not None for layer in p.net.layers] for p in (top, bottom)]
    assert [sum(some) for some in found] == [8, 4]
    dropouts = [prior.net.layers[0].dropout.p for prior in (top, bottom)]
    assert dropouts == [0.5, 0.0]


@pytest.mark.parametrize(
    "sizes", [{"embedding": 0}, {"squeezed": 0}, {"residual": 0}, {"blocks": -1}]
)
def test_impossible_sizes_of_the_top_conditioning_are_refused(sizes):
    with pytest.raises(ConfigError):
        TopConditioningConfig(**sizes)


@pytest.mark.parametrize(
    "sizes",
    [
        {"embedding": 0},
        {"hidden": 0},
        {"residual": 0},
        {"blocks": -1},
        {"window": 0},
        {"window": 17},
    ],
)
def test_impossible_sizes_of_the_bottom_conditioning_are_refused(sizes):
    with pytest.raises(ConfigError):
        BottomConditioningConfig(**sizes)
