"""Structural similarity in the variants that published tables use.

Reference: Wang et al., "Image quality assessment: from error visibility to structural similarity",
IEEE Transactions on Image Processing 13 (2004), equation 13, with K1 = 0.01 and K2 = 0.03. The map
is computed for every channel where the window lies inside the frame, and averaged over pixels and
channels. A colour frame's value is therefore the same whether channels are compared one by one or
together.
"""

import math
from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from framecast.errors import FramecastError
from framecast.evaluation.metrics.chunks import per_frame
from framecast.evaluation.metrics.pixel import truncated

K1, K2 = 0.01, 0.03
PORTION = 1 << 18  # values compared at a time: four maps of them stay in a processor's cache
LEAST_ROWS = 32  # of a strip: what the window reaches over is filtered twice
LANES = 16  # planes that lie side by side in memory, as many as a vector register holds


def ssim_gaussian(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """SSIM with an 11×11 Gaussian window of σ 1.5, population covariance and data range 1.

    Args:
        prediction: Frames in [0, 1].
        target: Frames in [0, 1].

    Returns:
        Mean over the map of each frame, the border of 5 pixels left out, and over channels.

    Raises:
        FramecastError: A frame is smaller than the window.
    """
    return _ssim(prediction, target, window=_gaussian(11, 1.5), unbiased=1.0, data_range=1.0)


def ssim_uniform_range1(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """SSIM with a uniform 7×7 window, sample covariance and data range 1, for frames in [0, 1].

    Raises:
        FramecastError: A frame is smaller than the window.
    """
    return _uniform(prediction, target, data_range=1.0)


def ssim_uniform_range2(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """SSIM with a uniform 7×7 window, sample covariance and data range 2, for frames in [0, 1].

    Range 2 is what old scikit-image took for floating-point images when none was named. The
    constants become four times as large, which inflates the values.

    Raises:
        FramecastError: A frame is smaller than the window.
    """
    return _uniform(prediction, target, data_range=2.0)


def ssim_uint8(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """SSIM with a uniform 7×7 window and sample covariance after truncation to 0, 1, …, 255.

    Both frames become ⌊255·x⌋ first, and the data range is 255. Frames have to be in [0, 1].

    Raises:
        FramecastError: A frame is smaller than the window.
    """
    return _uniform(prediction, target, data_range=1.0, prepare=truncated)


def _uniform(
    prediction: Tensor,
    target: Tensor,
    *,
    data_range: float,
    prepare: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    window = torch.full((7,), 1 / 7, dtype=torch.float64)
    return _ssim(
        prediction,
        target,
        window=window,
        unbiased=49 / 48,
        data_range=data_range,
        prepare=prepare,
    )


def _gaussian(size: int, sigma: float) -> Tensor:
    offset = torch.arange(size, dtype=torch.float64) - size // 2
    weight = torch.exp(-offset.square() / (2 * sigma**2))
    return weight / weight.sum()


def _ssim(
    prediction: Tensor,
    target: Tensor,
    *,
    window: Tensor,
    unbiased: float,
    data_range: float,
    prepare: Callable[[Tensor], Tensor] | None = None,
) -> Tensor:
    height, width = target.shape[-2:]
    if min(height, width) < len(window):
        raise FramecastError(
            f"frames of {height}×{width} are smaller than SSIM's window of "
            f"{len(window)}×{len(window)}; use larger frames"
        )
    c1, c2 = (K1 * data_range) ** 2, (K2 * data_range) ** 2

    def frames(one: Tensor, two: Tensor) -> Tensor:
        if prepare is not None:
            one, two = prepare(one), prepare(two)
        values = _planes(one.flatten(0, 1), two.flatten(0, 1), window, c1, c2 / unbiased)
        return values.view(one.shape[:2]).mean(1)

    return per_frame(frames, prediction, target, pixels=PORTION)


def _planes(one: Tensor, two: Tensor, window: Tensor, c1: float, c2: float) -> Tensor:
    """Mean SSIM of each plane: `m h w` twice to `m`.

    Planes are cut into strips of as many rows as let all lanes of one group fit a portion, so that
    a few large frames need no more memory than many small ones, and fill the lanes as well.
    """
    reach = len(window) - 1
    rows = one.shape[1] - reach
    fitting = max(LEAST_ROWS, PORTION // (LANES * one.shape[2]))
    count = -(-rows // fitting)
    height = -(-rows // count)
    step = height * (LANES // math.gcd(len(one), LANES))  # whole groups of lanes
    total = one.new_zeros(len(one))
    for first in range(0, rows, step):
        for start, stop, used in _strips(first, min(rows, first + step), height):
            cut = [x[:, start : stop + reach].unfold(1, used + reach, used) for x in (one, two)]
            strips = [x.transpose(2, 3).flatten(0, 1) for x in cut]
            values = _groups(strips[0], strips[1], window, c1, c2)
            total += values.view(len(one), -1).sum(1) * (used / rows)
    return total


def _strips(first: int, last: int, height: int) -> Iterator[tuple[int, int, int]]:
    """Rows from `first` to `last` as whole strips, and the rest as a lower one."""
    whole = last - (last - first) % height
    if whole > first:
        yield first, whole, height
    if last > whole:
        yield whole, last, last - whole


def _groups(one: Tensor, two: Tensor, window: Tensor, c1: float, c2: float) -> Tensor:
    """Mean SSIM of each plane or strip, as many at a time as there are lanes."""
    whole = len(one) - len(one) % LANES
    parts = [
        _lanes(a.unflatten(0, (-1, lanes)), b.unflatten(0, (-1, lanes)), window, c1, c2)
        for a, b, lanes in (
            (one[:whole], two[:whole], LANES),
            (one[whole:], two[whole:], len(one) - whole),
        )
        if len(a)
    ]
    return torch.cat(parts)


def _lanes(one: Tensor, two: Tensor, window: Tensor, c1: float, c2: float) -> Tensor:
    """Mean SSIM of each plane: `k l h w` twice to `k·l`, worked on as `k h w l`.

    With the difference d of the frames, local means a and b, and V the sum of both variances,

        SSIM = (2ab + c1) / (2ab + c1 + (a − b)²) · (V + c2 − var d) / (V + c2).

    Written so, four filtered maps suffice, and where frames agree or are flat, float32's errors
    vanish with d instead of being divided by c2. A constant passes the filter unchanged, so
    c1 + c2 is added to a map before it. The factor from population to sample (co)variances is in
    c2, which the caller has divided by it.
    """
    groups, lanes, height, width = one.shape
    maps = one.new_empty(4, groups, height, width, lanes)
    maps[0].copy_(one.permute(0, 2, 3, 1))
    maps[1].copy_(two.permute(0, 2, 3, 1))
    torch.sub(maps[0], maps[1], out=maps[2]).square_()
    torch.addcmul(one.new_tensor(c1 + c2), maps[0], maps[0], out=maps[3])
    maps[3].addcmul_(maps[1], maps[1])
    mean1, mean2, spread, squares = _filtered(maps.flatten(0, 1), window).unflatten(0, (4, -1))
    luminance = torch.addcmul(one.new_tensor(c1), mean1, mean2, value=2)
    shift = mean1.sub_(mean2).square_()
    variances = squares.sub_(luminance).sub_(shift)
    structure = torch.sub(variances, spread.sub_(shift), out=spread)
    shift.add_(luminance)
    return structure.mul_(luminance).div_(variances.mul_(shift)).mean((1, 2)).flatten()


def _filtered(maps: Tensor, window: Tensor) -> Tensor:
    """Separable filter of `k h w l` where the window lies inside.

    On the CPU a convolution with one group per lane is fastest. Elsewhere shifted copies are
    added, which no setting for reduced precision of convolutions can touch.
    """
    if maps.device.type != "cpu":
        return _shifted(_shifted(maps, window, 2), window, 1)
    lanes = maps.shape[-1]
    row = window.to(maps.dtype).view(1, 1, 1, -1).expand(lanes, 1, 1, -1)
    image = maps.permute(0, 3, 1, 2)
    for weight in (row, row.transpose(2, 3)):
        layout = weight.contiguous(memory_format=torch.channels_last)
        image = functional.conv2d(image, layout, groups=lanes)
    return image.permute(0, 2, 3, 1)


def _shifted(maps: Tensor, window: Tensor, dim: int) -> Tensor:
    length = maps.shape[dim] - len(window) + 1
    weights = window.tolist()
    result = maps.narrow(dim, 0, length) * weights[0]
    for start, weight in enumerate(weights[1:], start=1):
        result.add_(maps.narrow(dim, start, length), alpha=weight)
    return result
