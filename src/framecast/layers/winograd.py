"""Convolutions by Winograd's minimal filtering: the same sums of fewer products.

Eight values in a row meet a kernel of 5 in four results, which are 20 products. Taken for
polynomials, values and kernel are known by what they are at eight points; a product at each is all
that the four results need. Of a tile of 8×8 that makes 64 products for every pair of channels where
there were 400, and each point's are one product of matrices. Values, kernels and results change
between the two forms by constant matrices, at a cost that many channels make small.

Rounding is coarser: 5e-6 of the results' standard deviation in single precision, where a
convolution has 4e-7 (`benchmarks/convolutions.py`). Only that precision is computed so, on a CPU,
and only where it is faster; `Planes` and `Volumes` are else what they are derived from. Kernels are
transformed once and kept, 2.56 times their size, until the weights change.

Reference:
    Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (2016), with the points 0, ±1,
    ±2, ±1/2 and ∞, whose rounding is the smallest of those tried (fractions from 1/4 to 3).
"""

from functools import lru_cache
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

KERNEL, RESULTS = 5, 4
TILE = KERNEL + RESULTS - 1
AREA = TILE * TILE
POINTS = (0.0, 1.0, -1.0, 2.0, -2.0, 0.5, -0.5)
FEWEST, PAIRS, SMALLEST = 64, 1 << 14, 12
"""Channels in and out, pairs of them, and height and width, from which on this is faster."""
SAMPLE = 256
"""Weights that are looked at to see whether they have changed."""
PORTION, LARGEST = 1 << 23, 1 << 26
"""Sums at points that are made at a time, as numbers (32 MiB), and those of one map at most."""


class Planes(nn.Conv2d):
    """A convolution of maps that keeps their size."""

    def __init__(self, inputs: int, outputs: int, kernel: int, *, bias: bool) -> None:
        """With PyTorch's weights.

        Args:
            inputs: Channels in.
            outputs: Channels out.
            kernel: Height and width, odd.
            bias: Whether it has a bias.
        """
        super().__init__(inputs, outputs, kernel, padding=kernel // 2, bias=bias)

    def forward(self, input: Float[Tensor, "b c h w"]) -> Float[Tensor, "b k h w"]:  # noqa: A002
        """Convolve; around the maps there would be zeros."""
        if not pays(input, self.weight):
            return super().forward(input)
        found = _convolve(self, input.unsqueeze(2), self.weight.unsqueeze(2)).squeeze(2)
        return found if self.bias is None else found + self.bias[:, None, None]


class Volumes(nn.Conv3d):
    """A convolution that keeps depth and size, without products with frames that are not there.

    It is one of two dimensions for every frame of the kernel, of all frames that this one meets.
    """

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int], bias: bool) -> None:
        """With PyTorch's weights.

        Args:
            inputs: Channels in.
            outputs: Channels out.
            kernel: Depth, height and width; the last two odd. An even depth reaches one frame
                farther on than back.
            bias: Whether it has a bias.
        """
        super().__init__(inputs, outputs, kernel, bias=bias)

    def forward(self, input: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b k d h w"]:  # noqa: A002
        """Convolve; before the first frame and behind the last one there would be zeros."""
        if pays(input, self.weight):
            total = _convolve(self, input, self.weight)
        else:
            total = self.by_frames(input)
        return total if self.bias is None else total + self.bias[:, None, None, None]

    def by_frames(self, maps: Float[Tensor, "b c d h w"]) -> Float[Tensor, "b k d h w"]:
        """The convolution by PyTorch's, without bias."""
        depth, total = maps.shape[2], None
        for kernel, own, other in sorted(_meetings(self.weight, depth)):
            made = self._frames(maps[:, :, other.start : other.stop], self.weight[:, :, kernel])
            made = functional.pad(made, (0, 0) * 2 + (own.start, depth - own.stop))
            total = made if total is None else total + made
        assert total is not None
        return total

    def _frames(self, maps: Tensor, weight: Tensor) -> Tensor:
        """Each frame by itself."""
        pad = (self.kernel_size[1] // 2, self.kernel_size[2] // 2)
        if maps.shape[2] == 1:
            return functional.conv2d(maps.squeeze(2), weight, padding=pad).unsqueeze(2)
        flat = maps.transpose(1, 2).flatten(0, 1)
        made = functional.conv2d(flat, weight, padding=pad)
        return made.unflatten(0, (len(maps), -1)).transpose(1, 2)


def pays(maps: Tensor, weight: Tensor) -> bool:
    """Whether maps are convolved faster, and no less exactly than they have to be, at points.

    It does not depend on how many maps there are, so that a batch rounds as its parts do.
    """
    outputs, inputs = weight.shape[:2]
    return (
        weight.shape[-2:] == (KERNEL, KERNEL)
        and min(inputs, outputs) >= FEWEST
        and inputs * outputs >= PAIRS
        and min(maps.shape[-2:]) >= SMALLEST
        and len(maps) > 0
        and _sums(maps, outputs) <= LARGEST
        and maps.device.type == "cpu"
        and maps.dtype == weight.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


# ---- kernels at points


class _Kept(NamedTuple):
    """Kernels at points, and what the weights were that they are of."""

    points: Tensor
    version: tuple[int, int]
    sample: Tensor


_KEPT: WeakKeyDictionary[nn.Module, _Kept] = WeakKeyDictionary()


def _convolve(module: nn.Module, maps: Tensor, weight: Tensor) -> Tensor:
    found: Tensor = _Convolution.apply(maps, weight, _at_points(module, weight))
    return found


@torch.no_grad()
def _at_points(module: nn.Module, weight: Tensor) -> Float[Tensor, "depth points k c"]:
    """The kernels at the points, which are made anew when the weights have changed.

    PyTorch counts changes, but for those through `weight.data`: hence some of the values, too.
    """
    if weight.is_inference():  # whose changes are not counted at all
        return _transformed(weight)
    version = weight.data_ptr(), weight._version
    sample = weight.detach().view(-1)[:: weight.numel() // SAMPLE]
    kept = _KEPT.get(module)
    if kept is None or kept.version != version or not torch.equal(kept.sample, sample):
        kept = _KEPT[module] = _Kept(_transformed(weight), version, sample.clone())
    return kept.points


def _transformed(weight: Float[Tensor, "k c d h w"]) -> Float[Tensor, "depth points k c"]:
    outputs, inputs, depth = weight.shape[:3]
    kernels = weight.flatten(3).permute(2, 0, 1, 3).reshape(depth, outputs * inputs, -1)
    return (_matrices().kernels @ kernels.mT).view(depth, AREA, outputs, inputs)


class _Matrices(NamedTuple):
    """From places of a tile to points, and back; `results` are from points to places."""

    values: Float[Tensor, "points tile"]
    kernels: Float[Tensor, "points kernel"]
    results: Float[Tensor, "four_by_four points"]


@lru_cache(maxsize=1)
def _matrices() -> _Matrices:
    """For tiles: those for rows, once along each axis.

    A row of values is the transpose of a polynomial's product: with V a polynomial's values at the
    points, and ∞ its last coefficient, the results are V₄ᵀ (V₅ kernel · V₈⁻ᵀ values).
    """
    results, kernels, whole = (_at(size) for size in (RESULTS, KERNEL, TILE))
    values = torch.linalg.inv(whole).T
    balance = (values.abs().sum(1, True) / kernels.abs().sum(1, True)).sqrt()
    axes = (values / balance, kernels * balance, results.T)
    return _Matrices(*(torch.kron(each, each).float() for each in axes))


def _at(coefficients: int) -> Float[Tensor, "points coefficients"]:
    """A polynomial of so many coefficients at all points."""
    points = torch.tensor(POINTS, dtype=torch.float64, device="cpu")
    finite = points[:, None] ** torch.arange(coefficients, device="cpu")
    last = torch.zeros(1, coefficients, dtype=torch.float64, device="cpu")
    last[0, -1] = 1
    return torch.cat([finite, last])


# ---- the convolution


class _Convolution(torch.autograd.Function):
    """Of maps `b c d h w`, with kernels `k c depth 5 5` and the same at points."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, points: Tensor) -> Tensor:
        ctx.save_for_backward(maps, weight, points)
        batch, _, depth, height, width = maps.shape
        down, across = _tiles_along(height), _tiles_along(width)
        outputs, meetings = len(weight), _meetings(weight, depth)
        found = maps.new_empty(batch, depth, down, RESULTS, across, RESULTS, outputs)
        for part in _portions(maps, outputs):
            values = _values(maps[part])
            sums = values.new_empty(AREA, values.shape[1], outputs)
            for turn, (kernel, own, other) in enumerate(meetings):
                ours, theirs = _of(sums, own, depth), _of(values, other, depth)
                ours.baddbmm_(theirs, points[kernel].mT, beta=min(turn, 1))
            placed = _matrices().results @ sums.view(AREA, -1)
            placed = placed.view(RESULTS, RESULTS, depth, -1, down, across, outputs)
            found[part] = placed.permute(3, 2, 4, 0, 5, 1, 6)
        found = found.view(batch, depth, down * RESULTS, across * RESULTS, outputs)
        return found[:, :, :height, :width].permute(0, 4, 1, 2, 3)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, None]:  # pyright: ignore[reportIncompatibleMethodOverride]
        maps, weight, points = ctx.saved_tensors
        of_maps, of_weight, _ = ctx.needs_input_grad
        depth, outputs = maps.shape[2], len(weight)
        meetings = _meetings(weight, depth)
        parts: list[Tensor] = []
        kernels = torch.empty_like(points) if of_weight else None
        for part in _portions(maps, outputs):
            sums = _spread(gradient[part])
            if of_maps:
                values = sums.new_empty(AREA, sums.shape[1], weight.shape[1])
                for turn, (kernel, own, other) in enumerate(meetings):
                    ours, theirs = _of(sums, own, depth), _of(values, other, depth)
                    theirs.baddbmm_(ours, points[kernel], beta=min(turn, 1))
                parts.append(_gathered(values, maps[part]))
            if kernels is not None:
                values, old = _values(maps[part]), min(part.start, 1)
                for kernel, own, other in meetings:
                    ours, theirs = _of(sums, own, depth), _of(values, other, depth)
                    kernels[kernel].baddbmm_(ours.mT, theirs, beta=old)
        found = None
        if kernels is not None:
            for kernel in set(range(len(points))) - {kernel for kernel, *_ in meetings}:
                kernels[kernel].zero_()
            found = kernels.view(len(points), AREA, -1).mT @ _matrices().kernels
            found = found.view(len(points), *weight.shape[:2], KERNEL, KERNEL)
            found = found.permute(1, 2, 0, 3, 4).contiguous()
        return torch.cat(parts) if parts else None, found, None


def _meetings(weight: Tensor, depth: int) -> list[tuple[int, range, range]]:
    """Frames of the kernel, the frames that have sums of each, and whose; that of all frames first.

    A frame of the kernel that looks beyond all frames is left out.
    """
    centre = (weight.shape[2] - 1) // 2
    found = []
    for kernel in sorted(range(weight.shape[2]), key=lambda kernel: kernel != centre):
        ahead = kernel - centre
        if abs(ahead) < depth:
            own = range(max(0, -ahead), depth - max(0, ahead))
            found.append((kernel, own, range(own.start + ahead, own.stop + ahead)))
    return found


def _of(points: Tensor, frames: range, depth: int) -> Tensor:
    """The tiles of some frames."""
    tiles = points.shape[1] // depth
    return points[:, frames.start * tiles : frames.stop * tiles]


def _tiles_along(length: int) -> int:
    return -(-length // RESULTS)


def _sums(maps: Tensor, outputs: int) -> int:
    """How many sums at points one map has."""
    tiles = _tiles_along(maps.shape[-2]) * _tiles_along(maps.shape[-1])
    return AREA * tiles * outputs * maps.shape[2:-2].numel()


def _portions(maps: Tensor, outputs: int) -> list[slice]:
    """Parts of the batch that are computed one after another."""
    size = max(1, PORTION // _sums(maps, outputs))
    return [slice(first, first + size) for first in range(0, len(maps), size)]


def _values(maps: Float[Tensor, "b c d h w"]) -> Float[Tensor, "points tiles c"]:
    """Maps at the points, the tiles of each frame one behind the other."""
    batch, channels, depth, height, width = maps.shape
    down, across, edge = _tiles_along(height), _tiles_along(width), KERNEL // 2
    padded = maps.new_zeros(
        depth, batch, down * RESULTS + 2 * edge, across * RESULTS + 2 * edge, channels
    )
    padded[:, :, edge : edge + height, edge : edge + width] = maps.permute(2, 0, 3, 4, 1)
    tiles = padded.unfold(2, TILE, RESULTS).unfold(3, TILE, RESULTS).permute(5, 6, 0, 1, 2, 3, 4)
    return (_matrices().values @ tiles.reshape(AREA, -1)).view(AREA, -1, channels)


def _gathered(values: Float[Tensor, "points tiles c"], like: Tensor) -> Float[Tensor, "b c d h w"]:
    """The transpose of `_values`: what maps have of all tiles that they are in, added up."""
    batch, channels, depth, height, width = like.shape
    down, across, edge = _tiles_along(height), _tiles_along(width), KERNEL // 2
    tiles = (_matrices().values.T @ values.view(AREA, -1)).view(
        2, RESULTS, 2, RESULTS, depth, batch, down, across, channels
    )
    found = like.new_zeros(batch, depth, down + 1, RESULTS, across + 1, RESULTS, channels)
    for i in range(2):
        for j in range(2):
            own = tiles[i, :, j].permute(3, 2, 4, 0, 5, 1, 6)
            found[:, :, i : i + down, :, j : j + across] += own
    found = found.flatten(4, 5).flatten(2, 3)
    return found[:, :, edge : edge + height, edge : edge + width].permute(0, 4, 1, 2, 3)


def _spread(gradient: Float[Tensor, "b k d h w"]) -> Float[Tensor, "points tiles k"]:
    """The transpose of results from points: what each product of a tile adds to them."""
    batch, channels, depth, height, width = gradient.shape
    down, across = _tiles_along(height), _tiles_along(width)
    padded = gradient.new_zeros(depth, batch, down * RESULTS, across * RESULTS, channels)
    padded[:, :, :height, :width] = gradient.permute(2, 0, 3, 4, 1)
    tiles = padded.unflatten(3, (across, RESULTS)).unflatten(2, (down, RESULTS))
    tiles = tiles.permute(3, 5, 0, 1, 2, 4, 6).reshape(RESULTS * RESULTS, -1)
    return (_matrices().results.T @ tiles).view(AREA, -1, channels)
