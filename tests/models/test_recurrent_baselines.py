"""ConvLSTM, PredRNN, PredRNN++ and E3D-LSTM: beside their equations, and what they share."""

import dataclasses
import weakref

import naive_recurrent as naive
import pytest
import torch
from torch.utils._pytree import tree_leaves

from framecast import registry
from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.recurrent.convlstm import ConvLSTMUnit
from framecast.models.convlstm import PORTION, ConvLSTMConfig
from framecast.models.convlstm import TrainingConfig as ConvLSTMTraining
from framecast.models.e3d_lstm import E3DLSTMConfig
from framecast.models.e3d_lstm import TrainingConfig as E3DTraining
from framecast.models.predrnn import PredRNNConfig
from framecast.models.predrnn import TrainingConfig as PredRNNTraining
from framecast.models.predrnn_pp import PredRNNPPConfig
from framecast.models.predrnn_pp import TrainingConfig as PredRNNPPTraining
from framecast.models.recurrent import Recurrent
from framecast.schedules import constant
from framecast.stage import Stage
from models.fitting import fit

CONTEXT, LENGTH = 3, 6
TINY = {"patch": 2, "layers": 3, "hidden": 2, "kernel": 3}
PLAIN = {
    "convlstm": ConvLSTMConfig(patch=2, hidden=(2, 2, 2), kernel=3),
    "predrnn": PredRNNConfig(**TINY),
    "predrnn-pp": PredRNNPPConfig(**TINY),
    "e3d-lstm": E3DLSTMConfig(**TINY),
}
TRAININGS = {
    "convlstm": ConvLSTMTraining(),
    "predrnn": PredRNNTraining(),
    "predrnn-pp": PredRNNPPTraining(),
    "e3d-lstm": E3DTraining(),
}
OTHER = {
    "bias": True,
    "forget_bias": 0.3,
    "channels": 3,
    "residual": True,
}
PUBLISHED = {"reference": True, "recall_norm": "layer", "size": (4, 6)}
CASES = {
    **PLAIN,
    **{f"{n}, residual": dataclasses.replace(c, **OTHER) for n, c in PLAIN.items()},
    "e3d-lstm, published": E3DLSTMConfig(**TINY, **PUBLISHED),
    "e3d-lstm, three frames, two recalled": E3DLSTMConfig(**TINY, window=3, depth=3, history=2),
    "e3d-lstm, one frame, all recalled": E3DLSTMConfig(**TINY, window=1, depth=1, history=None),
}
every_model = pytest.mark.parametrize("name", PLAIN)


def build(config, seed: int = 0) -> Recurrent:
    """In double, with weights loud enough for everything to be heard."""
    torch.manual_seed(seed)
    model = config.build().double().eval()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4)
    return model


def clips(channels: int = 1, length: int = LENGTH, batch: int = 2) -> torch.Tensor:
    """Random frames of 4×6 pixels."""
    random = torch.Generator().manual_seed(0)
    return torch.rand(batch, length, channels, 4, 6, generator=random, dtype=torch.float64)


def settings(config) -> naive.Settings:
    """For the naive implementation."""
    wide = isinstance(config, E3DLSTMConfig)
    conv = isinstance(config, ConvLSTMConfig)
    return naive.Settings(
        kind=config.type,
        layers=len(config.hidden) if conv else config.layers,
        hidden=config.hidden[0] if conv else config.hidden,
        patch=config.patch,
        forget_bias=config.forget_bias,
        residual=config.residual,
        **({n: getattr(config, n) for n in ("window", "history", "reference")} if wide else {}),
    )


def played(model: Recurrent, frames: torch.Tensor, fed: list[list[bool]]) -> torch.Tensor:
    """The naive predictions."""
    with torch.no_grad():
        return naive.unroll(frames, fed, dict(model.named_parameters()), settings(model.config))


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    """To the rounding of doubles."""
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", CASES)
def test_a_network_equals_the_equations(name):
    """Some frames true and some predicted, another choice for each clip; and rolled out."""
    model = build(CASES[name])
    frames = clips(model.config.channels)
    forced = torch.tensor([[False, True, False, True], [True, False, True, False]])
    with torch.no_grad():
        found = model.unroll(frames, 1, forced)
        rolled = model.predict(frames[:, :CONTEXT], LENGTH - CONTEXT).unclipped[0]
    close(found, played(model, frames, [[True, *row] for row in forced.tolist()]))
    fed = [[True] * CONTEXT + [False] * (LENGTH - CONTEXT)] * 2
    close(rolled, played(model, frames, fed)[:, CONTEXT - 1 :])


@every_model
def test_scheduled_sampling_feeds_back_what_it_is_told(name):
    """True frames where forced, own predictions elsewhere, for each clip by itself."""
    model, frames = build(PLAIN[name]), clips()
    forced = torch.tensor([[True, True, True], [False, False, True]])
    with torch.no_grad():
        mixed = model.unroll(frames, CONTEXT, forced)
        close(mixed[:1], model.teacher_forced(Clip(frames[:1])))
        rolled = model.predict(frames[1:, :CONTEXT], LENGTH - CONTEXT).unclipped[0]
    close(mixed[1:, CONTEXT - 1 :], rolled)


class Watched:
    """Predictions of a stage as its loss sees them."""

    def __init__(self, name: str, **fields) -> None:
        self.stage: Stage = dataclasses.replace(TRAININGS[name], **fields).build(
            build(PLAIN[name]), CONTEXT
        )

    def __call__(self, frames: torch.Tensor, seed: int = 0) -> torch.Tensor:
        seen, plain = [], self.stage.loss
        self.stage.loss = lambda predicted, truth: seen.append(predicted) or plain(predicted, truth)
        torch.manual_seed(seed)
        self.stage("main", Clip(frames), 0)
        self.stage.loss = plain
        return seen[0]


@every_model
@pytest.mark.parametrize("chance", [0.0, 0.5, 1.0])
def test_reverse_scheduled_sampling_feeds_the_context_back(name, chance):
    """The first frame alone is always true; the others are for some clips, or for all, or none."""
    predict = Watched(name, context_forcing=constant(chance))
    frames = clips(batch=16)
    moved = frames.clone()
    moved[:, 1:CONTEXT] = 1 - moved[:, 1:CONTEXT]
    heard = (predict(frames) - predict(moved)).abs().flatten(1).amax(1) > 1e-9
    assert heard.any() == (chance > 0)
    assert heard.all() == (chance == 1)
    never = frames.clone()
    never[:, CONTEXT:] = 0
    assert torch.equal(predict(frames), predict(never))


@every_model
def test_recomputed_steps_have_equal_gradients(name):
    """Whether frames are observed, fed back, or both."""
    results = []
    for recompute in (False, True):
        stage = dataclasses.replace(
            TRAININGS[name], recompute=recompute, teacher_forcing=constant(0.5)
        ).build(build(PLAIN[name]), CONTEXT)
        torch.manual_seed(1)
        kept: dict[int, int] = {}

        def keep(tensor, kept=kept):
            kept[tensor.data_ptr()] = tensor.numel()
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
            total = stage("main", Clip(clips()), 0)["total"]
        results.append((total, torch.autograd.grad(total, list(stage.parameters())), kept))
    (plain, gradients, much), (again, same, little) = results
    assert torch.equal(plain, again)
    for first, second in zip(gradients, same, strict=True):
        torch.testing.assert_close(first, second)
    assert sum(little.values()) < 0.6 * sum(much.values())


@every_model
def test_a_rollout_holds_states_alone(name):
    """What goes from frame to frame stops growing, and earlier frames are gone."""
    model, frames, sizes = build(PLAIN[name]), [], []
    plain = model.advance

    def look(frame, state):
        predicted, new = plain(frame, state)
        frames.append(weakref.ref(predicted))
        sizes.append(sum(x.numel() for x in _tensors(new)))
        return predicted, new

    model.advance = look
    stream = model.stream(clips(length=3), 20)
    for _ in range(18):
        next(stream)
    assert sizes[-8] == sizes[-1]
    assert sum(frame() is not None for frame in frames) <= 2


@pytest.mark.parametrize("layout", ["stack", "forecaster"])
def test_a_long_context_is_observed_in_portions(layout, monkeypatch):
    """As at once, but with the features of a few frames between the layers."""
    model = build(ConvLSTMConfig(patch=2, hidden=(2, 2), kernel=3, layout=layout))
    frames, seen = clips(length=40), []
    plain = ConvLSTMUnit.project
    monkeypatch.setattr(
        ConvLSTMUnit, "project", lambda unit, maps: seen.append(len(maps)) or plain(unit, maps)
    )
    with torch.no_grad():
        found = model.observe(frames)
    assert max(seen) == len(frames) * PORTION < 40
    seen.clear()
    expected = model.observe(frames)
    assert max(seen) == len(frames) * 40
    for ours, theirs in zip(_tensors(found), _tensors(expected), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-12)


def _tensors(state) -> list[torch.Tensor]:
    if dataclasses.is_dataclass(state):
        state = [getattr(state, field.name) for field in dataclasses.fields(state)]
    if isinstance(state, (list, tuple)):
        return [tensor for item in state for tensor in _tensors(item)]
    return [leaf for leaf in tree_leaves(state) if isinstance(leaf, torch.Tensor)]


@pytest.mark.parametrize("name", ["predrnn", "predrnn-pp", "e3d-lstm"])
def test_the_memory_goes_up_and_then_to_the_bottom_of_the_next_frame(name):
    """What disturbs the memory of one unit is next met by the one above it, or by the lowest."""
    model, frames = build(PLAIN[name]), clips()
    units = list(model.stack.units)
    for number, unit in enumerate(units):
        if not unit.zigzags:
            continue
        taken: list[list[torch.Tensor]] = []
        for disturbance in (0.0, 1e-3):
            taken.append(_memories(model, frames, unit, disturbance))
        changed = [not torch.equal(a, b) for a, b in zip(*taken, strict=True)]
        assert changed.index(True) == len(units) + number + 1


def _memories(model, frames, unit, disturbance: float) -> list[torch.Tensor]:
    """The memory that every unit took, from the second frame on; in the third, one's is disturbed
    on its way."""
    taken, calls = [], []

    def look(module, given):
        taken.append(given[2])

    def disturb(module, given, turn):
        calls.append(None)
        if len(calls) == 3:
            return dataclasses.replace(turn, memory=turn.memory + disturbance)
        return turn

    hooks = [each.register_forward_pre_hook(look) for each in model.stack.units]
    hooks.append(unit.register_forward_hook(disturb))
    with torch.no_grad():
        model.teacher_forced(Clip(frames))
    for hook in hooks:
        hook.remove()
    return taken[len(model.stack.units) :]


def test_the_highway_stands_above_the_first_unit():
    """Of a state of its own; a single unit has it, too."""
    kinds = [type(unit).__name__ for unit in build(PLAIN["predrnn-pp"]).stack.units]
    assert kinds == ["CausalLSTMUnit", "HighwayUnit", "CausalLSTMUnit", "CausalLSTMUnit"]
    lone = build(dataclasses.replace(PLAIN["predrnn-pp"], layers=1))
    assert [type(unit).__name__ for unit in lone.stack.units] == kinds[:2]


@every_model
def test_a_residual_stack_starts_as_copy_last(name):
    """Before training the change is zero."""
    model = dataclasses.replace(PLAIN[name], residual=True, bias=True).build()
    context = clips().float()
    frames = model.predict(context, 4).unclipped[0]
    assert torch.equal(frames, context[:, -1:].expand_as(frames))


@pytest.mark.parametrize(
    ("preset", "parameters", "unused"),
    [
        ("convlstm/moving-mnist", 11_675_648, 3_407_872),
        ("predrnn/moving-mnist", 23_838_720, 0),
        ("predrnn-pp/moving-mnist", 35_307_520, 3_276_800),
        ("e3d-lstm/moving-mnist", 51_347_456, 0),
    ],
)
def test_sizes_of_the_published_layouts(preset, parameters, unused):
    """With the convolutions that the published program makes and never uses, its very number."""
    program = {
        "convlstm": 15_083_520,
        "predrnn": 23_838_720,
        "predrnn-pp": 38_584_320,
        "e3d-lstm": 51_347_456,
    }
    with torch.device("meta"):
        model = registry.find("presets", preset)().model.build()
    assert model.parameter_count() == parameters
    assert parameters + unused == program[model.config.type]


@pytest.mark.parametrize("name", ["predrnn", "predrnn-pp", "e3d-lstm"])
def test_presets_for_a_processor_are_small(name):
    """And the tiny ones smaller."""
    counts = {}
    for scale in ("moving-mnist-small", "video-folder", "tiny"):
        with torch.device("meta"):
            model = registry.find("presets", f"{name}/{scale}")().model.build()
        counts[scale] = model.parameter_count()
        assert model.expects.size is None
    assert counts["tiny"] < counts["moving-mnist-small"] < counts["video-folder"] < 3_000_000


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: PredRNNConfig(kernel=4), "kernel is odd"),
        (lambda: PredRNNPPConfig(layers=0), "layers is at least 1"),
        (lambda: PredRNNConfig(norm="layer"), "norm 'layer' needs the frames' size"),
        (lambda: PredRNNConfig(size=(64, 64)), "the others take none"),
        (lambda: E3DLSTMConfig(recall_norm="layer"), "norm 'layer' needs the frames' size"),
        (lambda: PredRNNConfig(norm="layer", size=(64, 66)), "cannot be cut into patches of 4"),
        (lambda: E3DLSTMConfig(window=0), "window is at least 1"),
        (lambda: E3DLSTMConfig(depth=0), "depth is at least 1"),
        (lambda: E3DLSTMConfig(window=2, depth=4), "depth is at most 3"),
        (lambda: E3DLSTMConfig(window=1), "depth is at most 1"),
        (lambda: E3DLSTMConfig(history=0).build(), "one memory at least is recalled"),
        (
            lambda: ConvLSTMTraining(context_forcing=constant(0.5)).build(
                ConvLSTMConfig(layout="forecaster").build(), 3
            ),
            "a forecaster predicts no context",
        ),
    ],
)
def test_wrong_sizes_are_named(make, message):
    """In one line."""
    with torch.device("meta"), pytest.raises(ConfigError, match=message):
        make()


@pytest.mark.parametrize("name", ["predrnn", "predrnn-pp", "e3d-lstm"])
@pytest.mark.parametrize("loss", ["mse", "l1+mse"])
def test_training_lowers_the_loss(name, loss):
    """And it is the configured one."""
    torch.manual_seed(0)
    model = dataclasses.replace(PLAIN[name], hidden=6).build()
    stage = dataclasses.replace(TRAININGS[name], loss=loss).build(model, CONTEXT)
    batch = Clip(clips().float().round())
    predicted = model.unroll(batch.frames, CONTEXT, torch.zeros(2, 3, dtype=torch.bool))
    error = predicted - batch.frames[:, 1:]
    expected = error.square().mean() + (error.abs().mean() if loss == "l1+mse" else 0)
    torch.testing.assert_close(stage("main", batch, 0)["total"], expected)
    losses = fit(stage, batch, steps=15, rate=1e-2)
    assert losses[-1] < 0.9 * losses[0]
