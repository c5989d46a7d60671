"""Recurrent units on top of one another, with every stream that they have."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn

from framecast.layers.norm import Norm, norm
from framecast.layers.recurrent.unit import Unit
from framecast.layers.typed import Layers


@dataclass(frozen=True)
class StackState:
    """What a stack hands to the next frame."""

    units: tuple[Any, ...]  # a state per unit, from the bottom up
    memory: Tensor | None  # of the top unit, for the bottom one


class Stack(nn.Module):
    """Units on top of one another, from features to the top one's maps of the same size.

    Every unit takes the output of the one below. A memory goes from unit to unit, and from the top
    one to the bottom one at the next frame. Units that descend then map down again, each updating
    what it took; what comes out at the bottom is the output.

    Most units give less than they take, and many on top of one another give nothing: `between`
    normalises what each takes.
    """

    def __init__(
        self,
        units: Iterable[Unit[Any]],
        *,
        between: Norm = "none",
        size: tuple[int, int] | None = None,
    ) -> None:
        """Keep the units.

        Args:
            units: From the bottom up, each of as many channels as the one above takes.
            between: Normalisation of what each unit takes from below, which then has as many
                channels as the unit.
            size: (h, w) of the maps, for `between="layer"`.
        """
        super().__init__()
        self.units = Layers[Unit[Any]](units)
        self.norms = Layers[nn.Module](norm(between, unit.hidden, size) for unit in self.units)

    def initial(self, features: Float[Tensor, "b c *d h w"]) -> StackState:
        """The state before the first frame."""
        return StackState(tuple(unit.initial(features) for unit in self.units), None)

    def forward(
        self, features: Float[Tensor, "b c *d h w"], state: StackState
    ) -> tuple[Float[Tensor, "b k *d h w"], StackState]:
        """One frame: its output, and the new state."""
        levels, states, memory = [features], [], state.memory
        for unit, normed, old in zip(self.units, self.norms, state.units, strict=True):
            turn = unit(normed(levels[-1]), old, memory)
            levels.append(turn.output)
            states.append(turn.state)
            memory = turn.memory
        if any(unit.descends for unit in self.units):
            levels, states = self._down(levels, states)
            return levels[0], StackState(tuple(states), memory)
        return levels[-1], StackState(tuple(states), memory)

    def _down(self, levels: list[Tensor], states: list[Any]) -> tuple[list[Tensor], list[Any]]:
        """Map back from the top; the state of a unit that descends is its output, and no more."""
        levels, states = list(levels), list(states)
        for number, unit in reversed(list(enumerate(self.units))):
            levels[number] = unit.descend(levels[number + 1], levels[number])
            if number:
                states[number - 1] = type(states[number - 1])(levels[number])
        return levels, states
