"""Every registered unit keeps the one signature, so that a stack can be made of any of them."""

import inspect
from typing import Any

import jaxtyping
import pytest
import torch
from torch import Tensor

from framecast import registry
from framecast.layers.recurrent.unit import Turn, Unit

CHANNELS, KERNEL = 4, 3
SIZE = (5, 6)
OPTIONS: dict[str, list[dict[str, Any]]] = {
    "convlstm": [{"bias": False, "peephole": True}],
    "convgru": [{"bias": True}],
    "trajgru": [{"bias": True, "links": 2, "flow_kernel": 5}],
    "dgru": [{"bias": True}],
    "causal-lstm": [{"norm": "group", "bias": True}, {"norm": "layer", "size": SIZE}],
    "e3d-lstm": [
        {"norm": "group", "bias": True, "history": None, "residual": True},
        {"norm": "layer", "size": SIZE, "history": 1},
        {"depth": 2, "reference": True, "recall_norm": "group"},
    ],
    "reversible-pm": [
        {"norm": "group", "bias": True, "attention": (1,)},
        {"norm": "layer", "size": SIZE},
    ],
    "rpm": [
        {"norm": "group", "bias": True, "residual": "plain"},
        {"norm": "layer", "size": SIZE, "history": 2},
    ],
    "stgru": [
        {"norm": "group", "bias": True, "update_bias": 1.0},
        {"norm": "layer", "size": SIZE},
    ],
}
"""What each unit is tried with beside its defaults."""

UNITS = registry.names("units")
MADE = [(name, options) for name in UNITS for options in [{}, *OPTIONS.get(name, [])]]
every_unit = pytest.mark.parametrize("name", UNITS)
every_make = pytest.mark.parametrize(
    ("name", "options"), MADE, ids=["-".join([name, *options]) for name, options in MADE]
)


def make(name: str, channels: int = CHANNELS, kernel: int = KERNEL, **options: Any) -> Unit[Any]:
    """A unit of a seed."""
    torch.manual_seed(0)
    return registry.find("units", name)(channels, channels, kernel, **options)


def clip(frames: int, batch: int = 2, size: tuple[int, int] = SIZE) -> Tensor:
    """Features of some frames: t b c h w."""
    random = torch.Generator().manual_seed(1)
    return torch.randn(frames, batch, CHANNELS, *size, generator=random)


def tensors(value: Any) -> list[Tensor]:
    """All tensors of a state, whatever it is made of."""
    if isinstance(value, Tensor):
        return [value]
    if isinstance(value, (tuple, list)):
        return [tensor for item in value for tensor in tensors(item)]
    return []


def run(unit: Unit[Any], frames: Tensor) -> list[Tensor]:
    """Outputs of all frames, then what is left for the next one; down again where it can."""
    state, memory, outputs = unit.initial(frames[0]), None, []
    for features in frames:
        turn = unit(features, state, memory)
        state, memory = turn.state, turn.memory
        outputs.append(turn.output)
        if unit.descends:
            outputs.append(unit.descend(turn.output, features))
    return [*outputs, *tensors(state), *tensors(memory)]


def backward(unit: Unit[Any], frames: Tensor) -> list[Tensor | None]:
    """Gradients of all parameters, of a sum that weighs every number differently."""
    random = torch.Generator().manual_seed(2)
    given = run(unit, frames)
    torch.stack(
        [(torch.randn(x.shape, generator=random).to(x) * x).sum() for x in given]
    ).sum().backward()
    return [parameter.grad for parameter in unit.parameters()]


@every_unit
def test_made_of_inputs_hidden_and_kernel(name):
    """And of keywords with defaults; the kernel is 5 when nobody says."""
    kind = registry.find("units", name)
    assert issubclass(kind, Unit)
    first, *others = inspect.signature(kind).parameters.values()
    hidden, kernel, *options = others
    assert [first.name, hidden.name, kernel.name] == ["inputs", "hidden", "kernel"]
    assert [first.default, hidden.default, kernel.default] == [inspect.Parameter.empty] * 2 + [5]
    for option in options:
        assert option.kind is inspect.Parameter.KEYWORD_ONLY
        assert option.default is not inspect.Parameter.empty
    assert kind(CHANNELS, CHANNELS).hidden == CHANNELS


@every_unit
def test_the_kernel_is_used(name):
    """A wider one has more weights."""
    sizes = [sum(p.numel() for p in make(name, kernel=k).parameters()) for k in (1, 3, 5)]
    assert sizes[0] < sizes[1] < sizes[2]


@every_make
def test_turns_have_the_shapes_of_the_signature(name, options):
    """Output and state keep batch and size; there is a memory exactly where the unit has one."""
    unit, frames = make(name, **options), clip(2)
    state, memory = unit.initial(frames[0]), None
    shapes = [x.shape for x in tensors(state)]
    assert shapes
    for features in frames:
        turn = unit(features, state, memory)
        assert isinstance(turn, Turn)
        assert type(turn.state) is type(state)
        assert hasattr(turn.state, "_fields")
        assert turn.output.shape == (2, CHANNELS, *SIZE)
        assert (turn.memory is not None) == unit.zigzags
        for value in tensors(turn.state):
            assert (value.shape[0], *value.shape[-2:]) == (2, *SIZE)
        if unit.descends:
            assert unit.descend(turn.output, features).shape == features.shape
        state, memory = turn.state, turn.memory


@every_unit
def test_the_state_is_read(name):
    """The same features give something else in the second frame."""
    frames = clip(1).expand(2, -1, -1, -1, -1)
    unit = make(name)
    state = unit.initial(frames[0])
    first = unit(frames[0], state)
    second = unit(frames[1], first.state, first.memory)
    assert not torch.allclose(first.output, second.output)


@every_unit
def test_the_state_follows_device_and_type_of_the_features(name):
    """Made in double, stepped in double; made on the meta device, there too."""
    frames = clip(2).double()
    assert {x.dtype for x in run(make(name).double(), frames)} == {torch.float64}
    meta = make(name).to("meta")
    assert {x.device.type for x in run(meta, frames.float().to("meta"))} == {"meta"}


@every_make
def test_gradients_reach_every_parameter_in_two_frames(name, options):
    """And are finite."""
    unit = make(name, **options)
    gradients = backward(unit, clip(2))
    for (parameter, _), gradient in zip(unit.named_parameters(), gradients, strict=True):
        assert gradient is not None, parameter
        assert gradient.isfinite().all(), parameter
        assert gradient.abs().sum() > 0, parameter


@every_make
def test_a_sequence_in_a_batch_is_as_it_is_alone(name, options):
    """To rounding; and what is beside it changes not a bit."""
    unit, frames = make(name, **options), clip(3)
    other = frames.clone()
    other[:, 1] *= -2
    with torch.no_grad():
        both = run(unit, frames)
        for x, alone, beside in zip(both, run(unit, frames[:, :1]), run(unit, other), strict=True):
            torch.testing.assert_close(x[:1], alone)
            assert torch.equal(x[0], beside[0])


@every_unit
def test_one_unit_takes_any_size(name):
    """As it is made by default."""
    unit = make(name)
    with torch.no_grad():
        for size in [(5, 6), (8, 3)]:
            assert run(unit, clip(2, size=size))[0].shape[-2:] == size


@every_make
def test_the_same_numbers_every_time(name, options):
    """Forwards and backwards, bit for bit, with PyTorch's own checks on."""
    torch.use_deterministic_algorithms(True)
    try:
        runs = []
        for _ in range(2):
            unit = make(name, **options)
            with torch.no_grad():
                values = run(unit, clip(2))
            runs.append([*values, *backward(unit, clip(2))])
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(*runs, strict=True))


@every_make
def test_mixed_precision(name, options):
    """The first state has another type than the ones after it; outputs stay near."""
    unit, frames = make(name, **options), clip(3)
    with torch.no_grad():
        exact = run(unit, frames)
        with torch.autocast("cpu", torch.bfloat16):
            mixed = run(unit, frames)
    for x, y in zip(exact, mixed, strict=True):
        assert (x - y).abs().max() < 0.1 * x.abs().max() + 0.02


@every_unit
def test_gradients_are_those_of_differences(name):
    """Of all outputs, states and memories by the features of two frames."""
    unit = make(name, channels=2).double()
    random = torch.Generator().manual_seed(3)
    frames = torch.randn(2, 1, 2, 2, 3, generator=random, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x: tuple(run(unit, x)), frames)


@every_unit
def test_shapes_are_checked(name):
    """The annotations of the unit's methods hold in tests: features need a batch."""
    unit = make(name)
    features = torch.zeros(CHANNELS, *SIZE)
    with pytest.raises(jaxtyping.TypeCheckError, match="features"):
        unit(features, unit.initial(features[None]))
