"""The STGRU unit against loops written from the paper's equations."""

import math

import pytest
import torch
from costs import MAP, G, M, multiply_accumulates, parameters
from scalars import convolve, sigmoid

from framecast.errors import ConfigError
from framecast.layers.recurrent.stgru import STGRUState, STGRUUnit

KINDS = ["none", "group", "layer"]
SIZE = (3, 4)
R, U, T, S = range(4)  # the order of the products


def products(branch, maps):
    """What a state adds to each of the four sums: 4h h w, convolved and normalised by loops."""
    convolution, norm = branch
    weight = convolution.weight
    out = maps.new_empty(len(weight), *maps.shape[1:])
    for k in range(len(weight)):
        for y in range(maps.shape[1]):
            for x in range(maps.shape[2]):
                out[k, y, x] = convolve(weight, maps, k, y, x)
                if convolution.bias is not None:
                    out[k, y, x] += float(convolution.bias[k])
    if isinstance(norm, torch.nn.Identity):
        return out
    mean = out.sum() / out.numel()
    variance = ((out - mean) ** 2).sum() / out.numel()
    scale, shift = norm.weight, norm.bias
    if isinstance(norm, torch.nn.GroupNorm):
        scale, shift = scale[:, None, None], shift[:, None, None]
    return (out - mean) / math.sqrt(float(variance) + 1e-5) * scale + shift


def by_hand(unit: STGRUUnit, spatial, temporal):
    """Eqs 5 to 7 for one sequence: the new S and T, and the gates R and U."""
    n = unit.hidden
    from_s, from_t = products(unit.from_spatial, spatial), products(unit.from_temporal, temporal)
    new_s, new_t, trend, update = (torch.empty_like(spatial) for _ in range(4))
    for k in range(n):
        for y in range(spatial.shape[1]):
            for x in range(spatial.shape[2]):
                at = (k, y, x)
                s = [float(from_s[product * n + k, y, x]) for product in range(4)]
                t = [float(from_t[product * n + k, y, x]) for product in range(4)]
                trend[at] = sigmoid(s[R] + t[R])
                update[at] = sigmoid(s[U] + t[U] + unit.update_bias)
                trend_t = math.tanh(t[T] + float(trend[at]) * s[T])
                trend_s = math.tanh(s[S] + float(trend[at]) * t[S])
                new_t[at] = (1 - update[at]) * trend_t + update[at] * temporal[at]
                new_s[at] = (1 - update[at]) * trend_s + update[at] * spatial[at]
    return new_s, new_t, trend, update


def make(**options):
    """A unit with every number drawn, and a pair of states for it."""
    torch.manual_seed(0)
    unit = STGRUUnit(3, 3, 3, size=SIZE, **options).double()
    with torch.no_grad():
        for parameter in unit.parameters():
            torch.nn.init.normal_(parameter, std=0.5)
    spatial, temporal = torch.randn(2, 1, 3, *SIZE).double()
    return unit, spatial, temporal


@pytest.mark.parametrize("norm", KINDS)
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("update_bias", [0.0, 1.0])
def test_one_step_equals_the_equations(norm, bias, update_bias):
    """Both states and both gates, with every normalisation and bias."""
    unit, spatial, temporal = make(norm=norm, bias=bias, update_bias=update_bias)
    with torch.no_grad():
        turn = unit(spatial, STGRUState(temporal))
        gates = unit.gates(spatial, STGRUState(temporal))
        new_s, new_t, trend, update = by_hand(unit, spatial[0], temporal[0])
    torch.testing.assert_close(turn.output[0], new_s)
    torch.testing.assert_close(turn.state.temporal[0], new_t)
    torch.testing.assert_close(gates.trend[0], trend)
    torch.testing.assert_close(gates.update[0], update)


def saturate(unit, product, value):
    """Hold one of the four sums at a value, by a bias, with no weight."""
    n = unit.hidden
    with torch.no_grad():
        for branch in (unit.from_spatial, unit.from_temporal):
            branch[0].weight[product * n : (product + 1) * n] = 0
            branch[0].bias[product * n : (product + 1) * n] = value / 2


def test_a_full_update_gate_keeps_both_states():
    """U = 1 is the identity, whatever the trend: U is not R, and it weighs the old states."""
    unit, spatial, temporal = make(bias=True)
    saturate(unit, U, 200.0)
    with torch.no_grad():
        turn = unit(spatial, STGRUState(temporal))
    torch.testing.assert_close(turn.output, spatial)
    torch.testing.assert_close(turn.state.temporal, temporal)


def test_an_empty_trend_gate_cuts_the_states_from_one_another():
    """With U = R = 0 the new T is tanh of T's product alone, and S of S's alone."""
    unit, spatial, temporal = make(bias=True)
    saturate(unit, U, -200.0)
    saturate(unit, R, -200.0)
    with torch.no_grad():
        turn = unit(spatial, STGRUState(temporal))
        t_t = unit.from_temporal(temporal).chunk(4, 1)[T]
        s_s = unit.from_spatial(spatial).chunk(4, 1)[S]
    torch.testing.assert_close(turn.state.temporal, t_t.tanh())
    torch.testing.assert_close(turn.output, s_s.tanh())


def test_a_full_trend_gate_adds_the_other_state_whole():
    """With U = 0 and R = 1 both trends see both states."""
    unit, spatial, temporal = make(bias=True)
    saturate(unit, U, -200.0)
    saturate(unit, R, 200.0)
    with torch.no_grad():
        turn = unit(spatial, STGRUState(temporal))
        t = unit.from_temporal(temporal).chunk(4, 1)
        s = unit.from_spatial(spatial).chunk(4, 1)
    torch.testing.assert_close(turn.state.temporal, (t[T] + s[T]).tanh())
    torch.testing.assert_close(turn.output, (s[S] + t[S]).tanh())


@pytest.mark.parametrize("norm", ["none", "group"])
def test_maps_of_any_size(norm):
    """One unit takes two sizes; a layer norm takes the one that it was made for."""
    unit = STGRUUnit(2, 2, 3, norm=norm)
    for size in [(3, 5), (6, 4)]:
        features = torch.randn(1, 2, *size)
        assert unit(features, unit.initial(features)).output.shape == features.shape


def test_a_layer_norm_is_for_one_size():
    """It needs the size, and refuses another."""
    with pytest.raises(ConfigError, match="needs a fixed size"):
        STGRUUnit(2, 2, 3, norm="layer")
    unit, features = STGRUUnit(2, 2, 3, norm="layer", size=(3, 5)), torch.randn(1, 2, 6, 4)
    with pytest.raises(RuntimeError, match="normalized_shape"):
        unit(features, unit.initial(features))


def test_inputs_are_the_spatial_state():
    """So there are as many as hidden channels."""
    with pytest.raises(ValueError, match="2 inputs, 3 hidden"):
        STGRUUnit(2, 3, 3)


def test_size_is_that_of_the_reference():
    """64 channels at 16×16: eight convolutions with their biases, and two layer norms."""
    with torch.device("meta"):
        unit = STGRUUnit(64, 64, norm="layer", size=(16, 16), bias=True)
        bare = STGRUUnit(64, 64)
    assert parameters(unit) == 1_081_856
    assert parameters(bare) == 8 * 25 * 64 * 64


def test_size_and_work_are_near_those_of_the_published_table():
    """3.14M and 0.79G in the paper; eight convolutions are 3.125M and 0.781G."""
    with torch.device("meta"):
        unit = STGRUUnit(128, 128)
        state = unit.initial(torch.zeros(MAP))
    assert parameters(unit) == 8 * 409_600
    assert parameters(unit) / M == pytest.approx(3.14, abs=0.02)
    work = multiply_accumulates(lambda features: unit(features, state))
    assert work / G == pytest.approx(0.79, abs=0.02)
