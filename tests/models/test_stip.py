"""STIP beside the paper's equations, its published sizes, and what it promises of memory."""

import dataclasses
import gc
import inspect
import weakref

import naive_stip as naive
import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from framecast.clip import Clip
from framecast.errors import ConfigError, FramecastError
from framecast.models.stip.model import STIP
from framecast.models.stip.network import STIPConfig

SMALL = STIPConfig(patch=2, levels=2, hidden=4, units=3, kernel=3)
PUBLISHED = STIPConfig(norm="layer", size=(512, 512))
CASES = {
    "default": {},
    "authors' routing": {"reference_routing": True},
    "recall at the bottleneck": {"bottleneck_skip": True},
    "one stream": {"two_streams": False},
    "one stream, recall at the bottleneck": {"two_streams": False, "bottleneck_skip": True},
    "no recall": {"recall": 0.0},
    "much recall": {"recall": 0.7},
    "neither (Table VI, 1)": {"two_streams": False, "recall": 0.0},
    "layer norm": {"norm": "layer", "size": (8, 16)},
    "layer norm, padded": {"norm": "layer", "size": (11, 13)},
    "no norm": {"norm": "none"},
    "no bias of the update": {"update_bias": 0.0},
    "residual": {"residual": True},
    "one level": {"levels": 1},
    "three levels": {"levels": 3},
    "patch 1": {"patch": 1},
    "patch 4": {"patch": 4, "levels": 1},
    "one unit": {"units": 1},
    "gray, kernel 5": {"channels": 1, "kernel": 5},
}
ODD = {"default", "residual", "no recall", "three levels", "patch 4", "patch 1"}
"""Cases that are tried at a size that needs padding."""
SIZED = [*((name, (8, 16)) for name in CASES), *((name, (7, 13)) for name in sorted(ODD))]


def build(**fields) -> STIP:
    """A small model in double precision; no weight or gain is what it starts as."""
    torch.manual_seed(0)
    model = STIP(dataclasses.replace(SMALL, **fields)).double()
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3 if parameter.ndim > 1 else 0.5)
    return model.eval()


def frames(model: STIP, size=(8, 16), length: int = 5, batch: int = 2) -> torch.Tensor:
    """Random clips in double precision."""
    generator = torch.Generator().manual_seed(1)
    shape = (batch, length, model.config.channels, *(model.config.size or size))
    return torch.rand(shape, generator=generator, dtype=torch.float64)


def oracle(model: STIP) -> tuple[naive.Weights, naive.Settings]:
    """Weights and settings of the oracle; sizes are those of the weights."""
    names = {field.name for field in dataclasses.fields(naive.Settings)}
    settings = naive.Settings(**{name: getattr(model.config, name) for name in names})
    return naive.read(model.state_dict(), settings), settings


def close(ours, theirs):
    """Equal to rounding in double precision."""
    assert ours.dtype == torch.float64
    torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("name", "size"), SIZED)
def test_the_rollout_is_that_of_the_equations(name, size):
    """A window of two frames slides over the context and then over the predictions."""
    model = build(**CASES[name])
    context = frames(model, size, length=3)
    trace = naive.play(context, 3 + 5 - 1, *oracle(model))
    expected = naive.cropped(trace, context)[:, 2:]
    assert expected.std() > 0.05
    for horizon in (1, 5):
        close(model.predict(context, horizon).unclipped[0], expected[:, :horizon])


@pytest.mark.parametrize("length", [1, 2])
def test_a_short_context_begins_with_a_black_frame(length):
    """One observed frame is enough."""
    model = build()
    context = frames(model, length=length)
    trace = naive.play(context, length + 1, *oracle(model))
    expected = naive.cropped(trace, context)[:, length - 1 :]
    close(model.predict(context, 2).unclipped[0], expected)


@pytest.mark.parametrize(("name", "size"), SIZED)
@torch.no_grad()
def test_training_sees_what_it_is_told_to(name, size):
    """True frames, or for each clip its own mixture of true and predicted ones."""
    model = build(**CASES[name])
    clips = frames(model, size, length=7)
    trace = naive.play(clips, 6, *oracle(model))
    close(model.teacher_forced(Clip(clips)), naive.cropped(trace, clips))
    forced = torch.tensor([[True, False, False, True], [False, True, False, False]])
    feed = torch.cat([torch.ones(2, 3, dtype=torch.bool), forced[:, :3]], 1)
    trace = naive.play(clips, 6, *oracle(model), feed)
    close(model.unroll(clips, 3, forced), naive.cropped(trace, clips))


@torch.no_grad()
def test_features_and_gates_are_those_of_the_equations():
    """What is shown is the last frame's: means over channels of the encoders and of unit 2."""
    for name, unit, size in (("default", 1, (7, 13)), ("one unit", 0, (8, 16))):
        model = build(**CASES[name])
        clip = frames(model, size, length=4, batch=1)
        trace = naive.play(clip, 4, *oracle(model))
        expected = {
            "spatial features S_E": trace.encoded[-1][1],
            "temporal features T_E": trace.encoded[-1][0],
            "trend gate R": trace.gates[-1][unit][0],
            "update gate U": trace.gates[-1][unit][1],
        }
        frame, *panels = model.inspect(Clip(clip))
        assert torch.equal(frame.image, clip[0, -1])
        assert [panel.title for panel in panels] == list(expected)
        for panel, values in zip(panels, expected.values(), strict=True):
            assert isinstance(panel.image, torch.Tensor)
            close(panel.image, values.mean(1))
            assert panel.image.isfinite().all()
            assert panel.range == (float(panel.image.min()), float(panel.image.max()))
        assert all(panel.image.min() > 0 and panel.image.max() < 1 for panel in panels[2:])


def test_what_is_shown_of_other_networks():
    """One stream has no temporal features; gray clips and a flat map can be shown; one clip can."""
    model = build(two_streams=False)
    titles = [panel.title for panel in model.inspect(Clip(frames(model, batch=1)))]
    assert titles == ["last frame", "spatial features S_E", "trend gate R", "update gate U"]
    model = build()
    assert len(model.inspect(Clip(frames(model, batch=1)[:, :, :1]))) == 5
    nn.init.zeros_(model.network.encoders[1].down[-1].weight)
    nn.init.ones_(model.network.encoders[1].down[-1].bias)
    low, high = model.inspect(Clip(frames(model, batch=1)))[1].range
    assert low == 1 < high
    with pytest.raises(FramecastError, match="inspect takes one clip"):
        model.inspect(Clip(frames(model)))
    with pytest.raises(FramecastError, match="channels, got 2"):
        model.inspect(Clip(torch.rand(1, 3, 2, 8, 16).double()))


def test_the_size_is_the_published_one_by_part():
    """Counted by hand for 512×512 in patches of 2, with layer norms at 16×16."""
    with torch.device("meta"):
        model = STIP(PUBLISHED)
    h, pixels, k, cells = 64, 3 * 2**2, 5, 16 * 16
    halving = 3 * 3 * h * h + h
    unit = 2 * (k * k * h * 4 * h + 4 * h) + 2 * 2 * (4 * h * cells)
    counts = {
        "encoders": 2 * (2 * pixels * h + h + 4 * halving),
        "merge": 2 * h * h + h,
        "units": 16 * unit,
        "decoders": 2 * 4 * halving,
        "output": 2 * h * pixels + pixels,
    }
    assert unit == 1_081_856
    assert {
        name: sum(p.numel() for p in part.parameters())
        for name, part in model.network.named_children()
    } == counts
    assert model.parameter_count() == sum(counts.values()) == 17_913_548
    unused = 2 * h * h + h  # a 1×1 in every unit, and one more
    outputs = 2 * (h * pixels + pixels) + 2 * pixels * pixels + pixels  # three 1×1 for our one
    authors = model.parameter_count() + 17 * unused + outputs - counts["output"]
    assert authors == 18_054_212  # 18.05M


def alive() -> int:
    """How many tensors exist."""
    gc.collect()
    return sum(type(thing) in (torch.Tensor, nn.Parameter) for thing in gc.get_objects())


def test_a_rollout_keeps_nothing_but_states():
    """However long it is and whoever looks at its frames: they are gone when he has seen them."""
    model = build()
    counts, seen = [], []
    for number, step in enumerate(model.stream(frames(model, batch=1), 60)):
        seen.append(weakref.ref(step.frame))
        assert sum(frame() is not None for frame in seen) <= 2
        if number in (9, 59):
            counts.append(alive())
    assert len(seen) == 60
    assert counts[0] == counts[1]


def test_frames_come_as_they_are_asked_for():
    """A rollout computes no frame before its turn."""
    model, calls = build(), []
    model.network.decoders[0].register_forward_hook(lambda *_: calls.append(1))
    stream = model.stream(frames(model), 1_000_000)
    assert inspect.isgenerator(stream)
    for number in range(1, 4):
        next(stream)
        assert len(calls) == number


@pytest.mark.parametrize("length", [1, 4, 9])
def test_observed_frames_are_not_decoded(length):
    """Each decoder works once per predicted frame, each encoder once per frame that is seen."""
    model, decoded, encoded = build(), [], []
    for decoder in model.network.decoders:
        decoder.register_forward_hook(lambda *_: decoded.append(1))
    for encoder in model.network.encoders:
        encoder.register_forward_hook(lambda *_: encoded.append(1))
    model.predict(frames(model, length=length), 3)
    assert (len(decoded), len(encoded)) == (2 * 3, 2 * (length + 2))


def kept(model: STIP, recomputed: bool) -> tuple[torch.Tensor, list[torch.Tensor], int]:
    """A loss, its gradients, and the bytes of maps that autograd holds for them."""
    clips, sizes, held = frames(model, length=6), {}, []
    forced = torch.tensor([[True, False, False], [False, False, True]])

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if not isinstance(tensor, nn.Parameter):
            sizes[tensor.data_ptr()] = tensor.numel() * tensor.element_size()
        held.append(tensor)  # so that no address is used twice
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        predicted = model.unroll(clips, 3, forced, recomputed=recomputed)
    loss = (predicted - clips[:, 1:]).square().mean()
    gradients = torch.autograd.grad(loss, list(model.parameters()))
    return loss.detach(), list(gradients), sum(sizes.values())


@pytest.mark.parametrize("name", ["default", "authors' routing", "one stream", "residual"])
def test_recomputed_steps_have_equal_gradients(name):
    """Loss and gradients are the same, and less is kept for them."""
    plain, saving = (kept(build(**CASES[name]), recomputed) for recomputed in (False, True))
    assert torch.equal(plain[0], saving[0])
    for ours, theirs in zip(saving[1], plain[1], strict=True):
        close(ours, theirs)
    assert saving[2] < plain[2] / 3


def test_a_residual_model_starts_as_copy_last():
    """Before training the change is zero, whatever the size and the number of frames."""
    model = STIP(dataclasses.replace(SMALL, residual=True))
    context = torch.rand(2, 3, 3, 7, 13)
    expected = context[:, -1:].expand(-1, 4, -1, -1, -1)
    assert torch.equal(model.predict(context, 4).unclipped[0], expected)


def test_futures_are_all_the_same():
    """It is a point predictor: asking for samples repeats its one future."""
    model = build()
    context = frames(model)
    many = model.predict(context, 2, samples=3).unclipped
    assert torch.equal(many, model.predict(context, 2).unclipped.expand_as(many))


def test_padding_is_cut_off_again():
    """A 4K frame has 2160 rows, which the published network sees as 2176."""
    config = STIPConfig(patch=8, norm="layer", size=(2160, 3840))
    assert config.multiple_of == 128
    assert config.cells == (2176 // 128, 30)
    with torch.device("meta"):
        expects = STIP(dataclasses.replace(config, units=1)).expects
    assert (expects.size, expects.multiple_of) == ((2160, 3840), 128)
    model = build(norm="layer", size=(11, 13))
    with pytest.raises(FramecastError, match=r"expects frames of 11x13, got 8x16$"):
        model.predict(torch.rand(1, 2, 3, 8, 16).double(), 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kernel": 4}, "kernel is odd"),
        ({"patch": 0}, "patch is at least 1"),
        ({"levels": 0}, "levels is at least 1"),
        ({"units": 0}, "units is at least 1"),
        ({"recall": -0.1}, "recall is 0 or more"),
        ({"recall": 0.0, "bottleneck_skip": True}, "needs a recall above 0"),
        ({"two_streams": False, "reference_routing": True}, "it needs two_streams"),
        ({"norm": "layer"}, "needs the frames' size"),
        ({"size": (8, 8)}, "the others take none"),
    ],
)
def test_contradictions_are_named(fields, message):
    """Before anything is built, in one line."""
    with pytest.raises(ConfigError, match=message) as caught:
        STIPConfig(**fields)
    assert "\n" not in str(caught.value)
