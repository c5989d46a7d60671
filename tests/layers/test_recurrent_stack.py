"""Where a stack takes every stream from, on units of plain sums."""

from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from framecast.layers.recurrent.stack import Stack
from framecast.layers.recurrent.unit import Turn, Unit


class Number(NamedTuple):
    """A state."""

    value: Tensor


class Summing(Unit[Number]):
    """Output = features + 2 state + memory, memory = output + 10 × own number."""

    zigzags: ClassVar[bool] = True

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number, self.hidden = number, 1

    def initial(self, features: Tensor) -> Number:
        return Number(torch.full_like(features, self.number))

    def forward(self, features: Tensor, state: Number, memory: Tensor | None = None):
        output = features + 2 * state.value + (0 if memory is None else memory)
        return Turn(output, Number(output + 1), output + 10 * self.number)


class Folding(Summing):
    """Up: features + 2 state. Down: 3 above + below + own number."""

    zigzags: ClassVar[bool] = False
    descends: ClassVar[bool] = True

    def forward(self, features: Tensor, state: Number, memory: Tensor | None = None):
        assert memory is None
        output = features + 2 * state.value
        return Turn(output, Number(output))

    def descend(self, above: Tensor, below: Tensor) -> Tensor:
        return 3 * above + below + self.number


def run(stack: Stack, numbers: list[float]) -> list[float]:
    """Outputs for frames of one value each."""
    frames = [torch.full((1, 1, 1, 1), value) for value in numbers]
    state, outputs = stack.initial(frames[0]), []
    for frame in frames:
        output, state = stack(frame, state)
        outputs.append(output.item())
    return outputs


def test_a_memory_zigzags():
    """From unit to unit, and from the top one to the bottom one of the next frame."""
    states, memory, expected = [1.0, 2.0, 3.0], 0.0, []
    for frame in (1.0, -2.0, 0.5):
        output = frame
        for index in range(3):
            output = output + 2 * states[index] + memory
            states[index], memory = output + 1, output + 10 * (index + 1)
        expected.append(output)
    assert run(Stack(Summing(number) for number in (1, 2, 3)), [1.0, -2.0, 0.5]) == expected


def test_units_that_descend_update_what_is_below():
    """The way down starts at the top and leaves states for the next frame."""
    one, two, expected = 1.0, 2.0, []
    for x in (1.0, -2.0, 0.5):
        one = x + 2 * one
        two = one + 2 * two
        one = 3 * two + one + 2
        expected.append(3 * one + x + 1)
    assert run(Stack([Folding(1), Folding(2)]), [1.0, -2.0, 0.5]) == expected


def test_initial_states_hold_nothing_from_elsewhere():
    """A stack keeps nothing between clips."""
    stack = Stack([Summing(1), Summing(2)])
    assert run(stack, [1.0, 2.0]) == run(stack, [1.0, 2.0])
    state = stack.initial(torch.zeros(1, 1, 1, 1))
    assert state.memory is None
    assert [unit.value.item() for unit in state.units] == [1, 2]


def test_what_each_unit_takes_is_normalised():
    """The lowest included; what comes out at the top is not, and neither are states."""
    taken = []
    stack = Stack([Summing(1), Summing(2)], between="group")
    for unit in stack.units:
        unit.register_forward_pre_hook(lambda unit, given: taken.append(given[0]))
    output, _ = stack(features := 3 + 5 * torch.rand(2, 1, 4, 4), stack.initial(features))
    for maps in taken:
        torch.testing.assert_close(maps.mean((1, 2, 3)), torch.zeros(2), atol=1e-5, rtol=0)
        torch.testing.assert_close(maps.square().mean((1, 2, 3)), torch.ones(2))
    assert (output.mean((1, 2, 3)) > 1).all()
