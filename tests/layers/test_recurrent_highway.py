"""The gradient highway unit beside its equation, gate by gate."""

import pytest
import torch
from zigzag import OPTIONS, clip, one_by_one, stack

from framecast.layers.recurrent.highway import HighwayState, HighwayUnit


@pytest.mark.parametrize(
    "options", [{k: v for k, v in each.items() if k != "forget_bias"} for each in OPTIONS]
)
def test_two_frames_equal_the_equation(options):
    """P, S and Z' of features of other channels; the memory goes past."""
    (unit, _), frames = stack(lambda: HighwayUnit(2, 3, 3, **options)), clip(2, 3, 4, frames=2)
    state, memory = unit.initial(frames[0]), clip(5, 3, 4)[0]
    z = torch.zeros(2, 3, 3, 4, dtype=torch.float64)
    with torch.no_grad():
        for frame in frames:
            turn = unit(frame, state, memory)
            new, switch = (
                a + b
                for a, b in zip(
                    one_by_one(unit.from_features, frame, 3),
                    one_by_one(unit.from_state, z, 3),
                    strict=True,
                )
            )
            z = switch.sigmoid() * new.tanh() + (1 - switch.sigmoid()) * z
            torch.testing.assert_close(turn.output, z, rtol=1e-10, atol=1e-10)
            assert turn.state.hidden is turn.output
            assert turn.memory is memory
            state = turn.state


def test_an_open_highway_keeps_its_state():
    """Nothing but the state comes out where the switch is shut, whatever is fed."""
    unit = HighwayUnit(2, 2, 1, bias=True)
    with torch.no_grad():
        unit.from_features[0].bias[2:] = -1e4
        state = HighwayState(torch.rand(1, 2, 3, 3))
        assert torch.equal(unit(torch.rand(1, 2, 3, 3), state).output, state.hidden)
