"""Convolutions at points against PyTorch's in double precision, and when they are taken."""

import copy
import gc
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from framecast.layers import winograd
from framecast.layers.winograd import Planes, Volumes, pays

MANY = 64, 256
"""Channels in and out with which this pays."""
AROUND = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 2)}
"""Frames of zeros before and behind, by the depth of the kernel."""


@pytest.fixture(autouse=True)
def one_seed() -> Iterator[None]:
    """The same weights and maps in every run."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def expected(layer: nn.Conv2d | nn.Conv3d, maps: Tensor) -> Tensor:
    """The convolution in double precision, with zeros around."""
    bias = None if layer.bias is None else layer.bias.double()
    edge = [width // 2 for width in layer.kernel_size[-2:]]
    around = (edge[1], edge[1], edge[0], edge[0])
    if isinstance(layer, nn.Conv2d):
        return functional.conv2d(functional.pad(maps, around), layer.weight.double(), bias)
    padded = functional.pad(maps, (*around, *AROUND[layer.kernel_size[0]]))
    return functional.conv3d(padded, layer.weight.double(), bias)


def error(found: Tensor, truth: Tensor) -> float:
    """Root mean square of the difference, over that of the truth."""
    with torch.no_grad():
        return float((found - truth).square().mean().sqrt() / truth.square().mean().sqrt())


def everything(layer: nn.Conv2d | nn.Conv3d, maps: Tensor) -> list[tuple[Tensor, Tensor]]:
    """Results and all gradients, ours and those in double precision."""
    both = []
    for convolve, type_ in ((layer, torch.float32), (lambda x: expected(layer, x), torch.float64)):
        own = maps.detach().to(type_).requires_grad_()
        layer.zero_grad()
        made = convolve(own)
        weighed = torch.linspace(-1, 1, made.numel()).sin().view(made.shape).to(type_)
        (made * weighed).sum().backward()
        gradients = [p.grad.clone() for p in layer.parameters() if p.grad is not None]
        assert own.grad is not None
        both.append([made.detach(), own.grad, *gradients])
    return list(zip(*both, strict=True))


@pytest.mark.parametrize("size", [(12, 12), (16, 16), (13, 18)])
@pytest.mark.parametrize("bias", [False, True])
def test_planes(size: tuple[int, int], bias: bool) -> None:
    """Results and gradients, of sizes that tiles fit into and do not."""
    layer, maps = Planes(*MANY, 5, bias=bias), torch.randn(3, 64, *size)
    assert pays(maps, layer.weight)
    found = everything(layer, maps)
    assert len(found) == (4 if bias else 3)
    assert all(1e-9 < error(ours, truth) < 1e-5 for ours, truth in found[:3])
    assert all(error(ours, truth) < 1e-5 for ours, truth in found)


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", list(AROUND))
def test_volumes(depth: int, frames: int) -> None:
    """Frames of the kernel meet the frames that are there, and no others."""
    layer, maps = Volumes(*MANY, (depth, 5, 5), bias=True), torch.randn(2, 64, frames, 12, 14)
    assert pays(maps, layer.weight)
    assert all(error(ours, truth) < 1e-5 for ours, truth in everything(layer, maps))


@pytest.mark.parametrize("frames", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", list(AROUND))
def test_volumes_by_frames(depth: int, frames: int) -> None:
    """Where a convolution is taken, products with frames that are not there are left out alone."""
    layer = Volumes(2, 3, (depth, 5, 3), bias=True).double()
    maps = torch.randn(2, 2, frames, 4, 5, dtype=torch.float64)
    torch.testing.assert_close(layer(maps), expected(layer, maps), rtol=1e-9, atol=1e-9)


def test_portions_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch that is computed in parts, the last one smaller."""
    layer, maps = Volumes(*MANY, (2, 5, 5), bias=False), torch.randn(5, 64, 2, 12, 12)
    whole = [ours for ours, _ in everything(layer, maps)]
    monkeypatch.setattr(winograd, "PORTION", 2 * 64 * 9 * 2 * 256)
    for part, alike in zip([ours for ours, _ in everything(layer, maps)], whole, strict=True):
        assert error(part, alike) < 1e-5


def test_what_needs_no_gradient_gets_none() -> None:
    """Frozen weights, or maps that are given."""
    layer, maps = Planes(*MANY, 5, bias=False), torch.randn(1, 64, 12, 12)
    layer(maps).sum().backward()
    assert layer.weight.grad is not None
    assert maps.grad is None
    frozen = Planes(*MANY, 5, bias=False).requires_grad_(False)
    maps.requires_grad_()
    frozen(maps).sum().backward()
    assert frozen.weight.grad is None
    assert maps.grad is not None


def changed_in_place(layer: Planes) -> None:
    with torch.no_grad():
        layer.weight.mul_(2)


def changed_unseen(layer: Planes) -> None:
    layer.weight.data.mul_(2)


def stepped(layer: Planes) -> None:
    layer.weight.grad = torch.ones_like(layer.weight)
    torch.optim.Adam(layer.parameters(), lr=0.1).step()


def loaded(layer: Planes) -> None:
    layer.load_state_dict(Planes(*MANY, 5, bias=True).state_dict())


def replaced(layer: Planes) -> None:
    layer.weight.data = torch.randn_like(layer.weight)


def swapped(layer: Planes) -> None:
    layer.weight = nn.Parameter(torch.randn_like(layer.weight))


@pytest.mark.parametrize(
    "change", [changed_in_place, changed_unseen, stepped, loaded, replaced, swapped]
)
def test_new_weights_count(change) -> None:
    """Kernels at points are kept as long as the weights are, and no longer."""
    layer, maps = Planes(*MANY, 5, bias=True), torch.randn(1, 64, 12, 12)
    before = layer(maps)
    points = winograd._at_points(layer, layer.weight)
    assert winograd._at_points(layer, layer.weight) is points
    change(layer)
    after = layer(maps)
    assert error(after, expected(layer, maps.double())) < 1e-5
    assert error(before, after) > 0.1


def test_copies_have_kernels_of_their_own() -> None:
    """A copy whose weights change leaves the first as it is; both go with their layers."""
    layer, maps = Planes(*MANY, 5, bias=True), torch.randn(1, 64, 12, 12)
    before = layer(maps)
    other = copy.deepcopy(layer)
    changed_in_place(other)
    assert error(other(maps), expected(other, maps.double())) < 1e-5
    assert torch.equal(layer(maps), before)
    held = len(winograd._KEPT)
    del layer, other
    gc.collect()
    assert len(winograd._KEPT) == held - 2


def test_inference_mode() -> None:
    """Weights that were made in it, whose changes nobody counts."""
    with torch.inference_mode():
        layer, maps = Planes(*MANY, 5, bias=True), torch.randn(1, 64, 12, 12)
        layer(maps)
        layer.weight.mul_(2)
        assert error(layer(maps), expected(layer, maps.double())) < 1e-5


def test_weights_that_change_before_the_backward_pass_are_noticed() -> None:
    """As those of any convolution."""
    layer, maps = Planes(*MANY, 5, bias=False), torch.randn(1, 64, 12, 12)
    made = layer(maps)
    changed_in_place(layer)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        made.sum().backward()


@pytest.mark.parametrize(
    ("channels", "kernel", "size", "type_"),
    [
        ((63, 512), 5, (16, 16), torch.float32),
        ((512, 63), 5, (16, 16), torch.float32),
        ((64, 255), 5, (16, 16), torch.float32),
        (MANY, 3, (16, 16), torch.float32),
        (MANY, 5, (16, 11), torch.float32),
        (MANY, 5, (16, 16), torch.float64),
        (MANY, 5, (16, 16), torch.bfloat16),
    ],
)
def test_elsewhere_it_is_the_convolution(channels, kernel, size, type_) -> None:
    """To the last bit."""
    layer, maps = Planes(*channels, kernel, bias=True).to(type_), torch.randn(2, channels[0], *size)
    maps = maps.to(type_)
    assert not pays(maps, layer.weight)
    usual = functional.conv2d(maps, layer.weight, layer.bias, padding=kernel // 2)
    assert torch.equal(layer(maps), usual)


def test_neither_mixed_precision_nor_huge_maps_nor_other_devices() -> None:
    """What is rounded on purpose, what takes more memory than it is worth, what is not here."""
    layer = Planes(*MANY, 5, bias=True)
    maps = torch.randn(1, 64, 16, 16)
    assert pays(maps, layer.weight)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert layer(maps).dtype == torch.bfloat16
    assert not pays(torch.empty(1, 64, 400, 400), layer.weight)
    assert not pays(maps.to("meta"), layer.weight)
    assert layer(maps[:0]).shape == (0, 256, 16, 16)
