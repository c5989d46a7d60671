"""The TrajGRU unit and its warp against loops written from the paper's equations."""

import pytest
import torch
from costs import MAP, G, M, multiply_accumulates, parameters
from hypothesis import given, settings
from hypothesis import strategies as st
from scalars import convolve, sigmoid

from framecast.layers.recurrent.trajgru import TrajGRUState, TrajGRUUnit, warp


def leaky(x: float) -> float:
    """Leaky ReLU of slope 0.2."""
    return x if x > 0 else 0.2 * x


def warp_by_hand(maps, flow):
    """Eq 3 for maps c h w and one flow 2 h w: a sum over all cells."""
    channels, height, width = maps.shape
    out = torch.zeros_like(maps)
    for i in range(height):
        for j in range(width):
            y, x = i + float(flow[1, i, j]), j + float(flow[0, i, j])
            for m in range(height):
                for n in range(width):
                    weight = max(0.0, 1 - abs(y - m)) * max(0.0, 1 - abs(x - n))
                    for c in range(channels):
                        out[c, i, j] += weight * maps[c, m, n]
    return out


def everywhere(weight, maps, bias):
    """A convolution of maps at every position, a scalar at a time."""
    out = maps.new_empty(len(weight), *maps.shape[1:])
    for k in range(len(weight)):
        for y in range(maps.shape[1]):
            for x in range(maps.shape[2]):
                out[k, y, x] = convolve(weight, maps, k, y, x)
    return out if bias is None else out + bias[:, None, None]


def flows_by_hand(unit: TrajGRUUnit, frame, hidden):
    """γ of Eq 2: l 2 h w."""
    seen = everywhere(unit.flow_from_input.weight, frame, unit.flow_from_input.bias)
    seen = seen + everywhere(unit.flow_from_hidden.weight, hidden, None)
    seen.apply_(leaky)
    flows = everywhere(unit.to_flows.weight, seen, unit.to_flows.bias)
    return flows.reshape(unit.links, 2, *frame.shape[1:])


def by_hand(unit: TrajGRUUnit, frame, hidden):
    """Eq 2 for one sequence: every link has its own 1×1 weights, and their products are added."""
    n = unit.hidden
    warped = [warp_by_hand(hidden, flow) for flow in flows_by_hand(unit, frame, hidden)]
    from_input = everywhere(unit.from_input.weight, frame, unit.from_input.bias)
    new = torch.empty_like(hidden)
    for k in range(n):
        for y in range(hidden.shape[1]):
            for x in range(hidden.shape[2]):

                def linked(product, k=k, y=y, x=x):
                    row = unit.from_warped.weight[product * n + k, :, 0, 0]
                    return sum(
                        float(row[link * n + c] * warped[link][c, y, x])
                        for link in range(unit.links)
                        for c in range(n)
                    )

                given = [float(from_input[product * n + k, y, x]) for product in range(3)]
                update, reset = sigmoid(given[0] + linked(0)), sigmoid(given[1] + linked(1))
                candidate = leaky(given[2] + reset * linked(2))
                new[k, y, x] = (1 - update) * candidate + update * hidden[k, y, x]
    return new


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("links", "flow_kernel"), [(1, 3), (2, 5)])
def test_one_step_equals_the_equations(links, flow_kernel, bias):
    """At every position, for a frame that is not square and flows that matter."""
    torch.manual_seed(0)
    unit = TrajGRUUnit(2, 3, 3, links=links, flow_kernel=flow_kernel, bias=bias).double()
    frame, hidden = torch.randn(1, 2, 3, 4).double(), torch.randn(1, 3, 3, 4).double()
    with torch.no_grad():
        unit.to_flows.weight.mul_(4)
        turn = unit(frame, TrajGRUState(hidden))
        flows = unit.flows(frame, TrajGRUState(hidden))
        torch.testing.assert_close(flows[0], flows_by_hand(unit, frame[0], hidden[0]))
        torch.testing.assert_close(turn.output[0], by_hand(unit, frame[0], hidden[0]))
    assert flows.abs().max() > 1
    torch.testing.assert_close(turn.state.hidden, turn.output)


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(st.integers(1, 4), st.integers(1, 4)),
    reach=st.sampled_from([0.3, 1.0, 3.0]),
    whole=st.booleans(),
    seed=st.integers(0, 99),
)
def test_warp_is_the_sum_of_eq_3(size, reach, whole, seed):
    """Inside, over the edge, far outside, at whole cells, and for maps one cell wide."""
    random = torch.Generator().manual_seed(seed)
    maps = torch.randn(2, 2, *size, generator=random, dtype=torch.float64)
    flows = reach * torch.randn(2, 3, 2, *size, generator=random, dtype=torch.float64)
    flows = flows.round() if whole else flows
    read = warp(maps, flows)
    for row in range(2):
        for link in range(3):
            torch.testing.assert_close(
                read[row, link], warp_by_hand(maps[row], flows[row, link]), atol=1e-9, rtol=0
            )


def test_warp_moves_right_and_down():
    """U is to the right, V is down: cell (0, 0) reads what stands at (1, 2)."""
    maps = torch.arange(12.0).reshape(1, 1, 3, 4)
    flows = torch.tensor([2.0, 1.0])[None, None, :, None, None].expand(1, 1, 2, 3, 4)
    expected = torch.tensor([[6.0, 7, 0, 0], [10, 11, 0, 0], [0, 0, 0, 0]])
    torch.testing.assert_close(warp(maps, flows)[0, 0, 0], expected, atol=1e-5, rtol=0)


def test_warp_keeps_fractions_of_a_cell_in_half_precision():
    """A flow of half a cell at column 200 reads between two: bfloat16 has no 200.5."""
    maps = torch.zeros(1, 1, 1, 256, dtype=torch.bfloat16)
    maps[..., 201] = 1
    flows = torch.zeros(1, 1, 2, 1, 256, dtype=torch.bfloat16)
    flows[:, :, 0] = 0.5
    read = warp(maps, flows)[0, 0, 0, 0]
    torch.testing.assert_close(read[[200, 201]], torch.full((2,), 0.5), atol=1e-3, rtol=0)


def test_warp_gradients_are_those_of_eq_3():
    """Of the maps and of the flows, by differences."""
    torch.manual_seed(0)
    maps = torch.randn(1, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    flows = torch.randn(1, 2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(warp, (maps, flows))


def test_size_and_work_are_those_of_the_published_table():
    """1.68M and 0.42G, and the authors' γ of 5×5."""
    with torch.device("meta"):
        unit, wide = TrajGRUUnit(128, 128), TrajGRUUnit(128, 128, flow_kernel=5)
        state = unit.initial(torch.zeros(MAP))
    layout = 3 * 25 * 128 * 128 + 1152 * 384 + 2 * 9 * 128 * 32 + 25 * 32 * 18
    assert parameters(unit) == layout
    assert round(layout / M, 2) == 1.68
    assert round(multiply_accumulates(lambda features: unit(features, state)) / G, 2) == 0.42
    assert parameters(wide) == layout + 2 * (25 - 9) * 128 * 32


def test_bias_is_in_the_input_s_convolution_and_in_both_layers_of_the_flows():
    """And only convolution weights are there without it."""
    weights = parameters(TrajGRUUnit(2, 4, 3))
    assert parameters(TrajGRUUnit(2, 4, 3, bias=True)) == weights + 3 * 4 + 32 + 2 * 9
