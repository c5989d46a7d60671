"""Pictures of what z_t does: predictions without single groups, and its numbers one by one.

Reference:
    Lin, Yuan, Li, HAF-SVG (IJCAI 2020), Fig 8.
"""

from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from framecast import pictures
from framecast.models.haf_svg.latents import LatentConfig
from framecast.pictures import Panel

SHOWN = (1, 3, 5, 7, 9, 11, 13)
"""Numbers, from 1, of the predicted frames that are shown without groups."""
HORIZON = SHOWN[-1]
AHEAD = 3
"""Number, from 1, of the predicted frame that traversals show; motion can be seen by then."""
VALUES = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0)
"""Where traversals go, in standard deviations of the prior around its mean."""
MOST = 7
"""Numbers of a group that are shown, those with the largest effect."""

Predict = Callable[[int | None, tuple[int, ...]], Float[Tensor, "t c h w"]]
"""`HORIZON` frames by means or as the first sample, some groups being zero."""
Traverse = Callable[[Sequence[int], Sequence[float]], Float[Tensor, "p s c h w"]]
"""The frame `AHEAD` for each number of z_t and each of its values."""


def held(predict: Predict, groups: int) -> Panel:
    """A prediction by means, one with all groups drawn, and the same draws without each group.

    Reference:
        HAF-SVG, Fig 8.
    """
    numbers = range(1, groups + 1)
    futures = [predict(None, ()), predict(1, ()), *(predict(1, (number,)) for number in numbers)]
    shown = [number - 1 for number in SHOWN]
    zero = "z_t" if groups == 1 else f"group {', '.join(map(str, numbers))}"
    title = f"frames {SHOWN[0]} to {SHOWN[-1]}, rows: means; all drawn; {zero} at zero"
    return Panel(title, _rows(future[shown] for future in futures), (0, 1))


def traversed(traverse: Traverse, latent: LatentConfig) -> list[Panel]:
    """For each group a frame as its numbers go, one by one, from one end to the other.

    A row per number, the one with the largest effect first: the mean over pixels and channels of
    the absolute difference between its two ends.
    """
    panels = []
    for group in range(latent.groups):
        numbers = range(1 + group * latent.group, 1 + (group + 1) * latent.group)
        ends = traverse(numbers, (VALUES[0], VALUES[-1]))
        effects = (ends[:, 1] - ends[:, 0]).abs().mean((1, 2, 3))
        order = effects.argsort(descending=True, stable=True)[:MOST].tolist()
        rows = [numbers[place] for place in order]
        of = f"group {group + 1}" if latent.groups > 1 else "z_t"
        span = f"{effects[order[0]]:.2g}"
        if len(order) > 1:
            span += f" to {effects[order[-1]]:.2g}"
        title = f"frame {AHEAD}, {of}, rows: number {', '.join(map(str, rows))}"
        title += f" at {VALUES[0]:+.0f} to {VALUES[-1]:+.0f} sd, effect {span}"
        panels.append(Panel(title, _rows(traverse(rows, VALUES)), (0, 1)))
    return panels


def _rows(strips: Iterable[Float[Tensor, "t c h w"]]) -> Float[Tensor, "c h2 w2"]:
    """Strips of frames under each other, divided as the frames of one are."""
    images = torch.stack([pictures.row(strip) for strip in strips])
    return pictures.row(images.mT).mT
