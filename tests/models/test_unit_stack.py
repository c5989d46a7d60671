"""Stacks of units: shapes, what is fed back, memory, and recomputed steps."""

import dataclasses
import weakref

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_leaves

from framecast import registry
from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.models.unit_stack import TrainingConfig, UnitStack, UnitStackConfig
from framecast.schedules import constant
from models.fitting import fit

SMALL = UnitStackConfig(channels=1, patch=2, levels=2, layers=3, hidden=4, kernel=3)


def build(**fields) -> UnitStack:
    """A small stack, the same weights every time."""
    torch.manual_seed(0)
    return UnitStack(dataclasses.replace(SMALL, **fields))


def frames(length: int = 6, size: int = 8) -> torch.Tensor:
    """Two random clips."""
    return torch.rand(2, length, 1, size, size, generator=torch.Generator().manual_seed(0))


def test_only_the_unit_differs():
    """Encoder and decoder are the same for all units; sixteen units of the table's size."""
    with torch.device("meta"):
        models = {name: UnitStack(UnitStackConfig(unit=name)) for name in registry.names("units")}
    shapes = {
        tuple((k, v.shape) for k, v in m.state_dict().items() if not k.startswith("stack."))
        for m in models.values()
    }
    assert len(shapes) == 1
    for model in models.values():
        assert len(model.stack.units) == 16
        assert {type(unit) for unit in model.stack.units} == {type(model.stack.units[0])}
        assert model.expects.multiple_of == 64


def test_the_encoder_is_plain():
    """Its convolutions halve, the decoder's double, and no path goes around the units."""
    model = build()
    features = model.encoder(frames()[:, 0])
    assert features.shape == (2, 4, 1, 1)
    assert model.decoder(features).shape == (2, 1, 8, 8)
    model.stack.register_forward_hook(lambda stack, given, got: (0 * got[0], got[1]))
    one, other = (model.predict(clip, 2).unclipped for clip in (frames(), 1 - frames()))
    assert torch.equal(one, other)


@pytest.mark.parametrize("norm", ["group", "none"])
def test_a_norm_keeps_sixteen_units_from_going_silent(norm):
    """Which most units do without one: each gives a fraction of what it takes."""
    model = build(unit="convgru", layers=16, hidden=8, norm=norm).eval()
    taken = []
    model.stack.units[-1].register_forward_pre_hook(lambda unit, given: taken.append(given[0]))
    model.predict(frames(2, 16), 1)
    assert (taken[-1].std() > 0.1) == (norm == "group")


@pytest.mark.parametrize("unit", ["stgru", "dgru"])
def test_predictions_are_fed_back(unit):
    """A rollout is what next-frame predictions of its own frames are."""
    model, context = build(unit=unit).eval(), frames(3)
    rolled = model.predict(context, 4).unclipped[0]
    known = context
    for step in range(4):
        following = model.teacher_forced(Clip(torch.cat([known, known[:, :1]], 1)))[:, -1]
        torch.testing.assert_close(following, rolled[:, step])
        known = torch.cat([known, following[:, None]], 1)


def test_scheduled_sampling_feeds_back_what_it_is_told():
    """True frames where forced, own predictions elsewhere, for each clip by itself."""
    model, clips, context = build(), frames(), 3
    forced = torch.tensor([[True, True, True], [False, False, True]])
    mixed = model.unroll(clips, context, forced)
    torch.testing.assert_close(mixed[:1], model.teacher_forced(Clip(clips[:1])))
    rolled = model.predict(clips[1:, :context], 3).unclipped[0]
    torch.testing.assert_close(mixed[1:, context - 1 :], rolled)


@pytest.mark.parametrize("unit", registry.names("units"))
def test_recomputed_steps_have_equal_gradients(unit):
    """Whatever streams a unit has; and what is kept grows by states alone."""
    losses, gradients, kept = [], [], []
    for recompute in (False, True):
        stage = TrainingConfig(recompute=recompute, teacher_forcing=constant(0.5)).build(
            build(unit=unit), 3
        )
        torch.manual_seed(4)
        total, size = _kept(lambda stage=stage: stage("main", Clip(frames(size=16)), 0)["total"])
        losses.append(total)
        kept.append(size)
        gradients.append(torch.autograd.grad(total, list(stage.parameters())))
    assert torch.equal(*losses)
    for first, second in zip(*gradients, strict=True):
        torch.testing.assert_close(first, second)
    assert kept[1] < 0.6 * kept[0]


def _kept(work) -> tuple[torch.Tensor, int]:
    """What work gives, and how many values its backward pass waits for, parameters aside."""
    sizes: dict[int, int] = {}
    held = []

    def keep(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            sizes[tensor.data_ptr()] = tensor.numel()
        held.append(tensor)
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        return work(), sum(sizes.values())


def _values(leaf: torch.Tensor | None) -> int:
    return 0 if leaf is None else leaf.numel()


@pytest.mark.parametrize("unit", registry.names("units"))
def test_a_rollout_holds_states_alone(unit):
    """States stop growing, and features of earlier frames are gone."""
    model, features, sizes = build(unit=unit).eval(), [], []

    def look(stack, given, got):
        features.append(weakref.ref(got[0]))
        sizes.append(sum(map(_values, tree_leaves([*got[1].units, got[1].memory]))))

    model.stack.register_forward_hook(look)
    stream = model.stream(frames(3), 20)
    for _ in range(15):
        next(stream)
    assert sizes[8] == sizes[-1]
    assert sum(reference() is not None for reference in features) <= 2


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"unit": "stgrü"}, "did you mean 'stgru'"),
        ({"kernel": 4}, "kernel is odd"),
        ({"layers": 0}, "layers is at least 1"),
        ({"levels": 0}, "levels is at least 1"),
    ],
)
def test_wrong_sizes_are_named(fields, message):
    """Before anything is built."""
    with pytest.raises(ConfigError, match=message):
        UnitStackConfig(**fields)


def test_a_step_of_training_lowers_the_loss():
    """The gradient arrives through eight units."""
    model = build(layers=8, hidden=8)
    stage, batch = TrainingConfig().build(model, 3), Clip(frames(6, 16).round())
    losses = fit(stage, batch, steps=15, rate=5e-3)
    assert losses[-1] < 0.9 * losses[0]
