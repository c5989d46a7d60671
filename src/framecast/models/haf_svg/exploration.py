"""Pictures of what z_t does: predictions without single groups, and its numbers one by one.

Reference:
    Lin, Yuan, Li, HAF-SVG (IJCAI 2020), Fig 8.
"""

from collections.abc import Callable, Sequence

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
    title = f"predicted frames {', '.join(map(str, SHOWN))}"
    zero = [f"{_name(number, groups)} zero" for number in numbers]
    image = pictures.stacked([future[shown] for future in futures])
    return Panel(title, image, (0, 1), ("mean of z_t", "z_t drawn", *zero))


def traversed(traverse: Traverse, latent: LatentConfig) -> list[Panel]:
    """For each group a frame as its numbers go, one by one, from one end to the other.

    A row per number, the one with the largest effect first: the mean over pixels and channels of
    the absolute difference between its two ends.
    """
    low, high = VALUES[0], VALUES[-1]
    panels = []
    for group in range(1, latent.groups + 1):
        first = 1 + (group - 1) * latent.group
        ends = traverse(range(first, first + latent.group), (low, high))
        effects = (ends[:, 1] - ends[:, 0]).abs().mean((1, 2, 3))
        order = effects.argsort(descending=True, stable=True)[:MOST].tolist()
        image = pictures.stacked(traverse([first + place for place in order], VALUES).unbind())
        rows = tuple(f"{first + place} ({float(effects[place]):.2g})" for place in order)
        title = f"predicted frame {AHEAD}, {_name(group, latent.groups)}: {len(order)} of "
        title += f"{latent.group} numbers (effect) from {low:+.0f} to {high:+.0f} sd"
        panels.append(Panel(title, image, (0, 1), rows))
    return panels


def _name(group: int, groups: int) -> str:
    return f"group {group}" if groups > 1 else "z_t"
