"""V3D-ConvLSTM beside the paper's equations: its sizes, and what it predicts."""

import gc
from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from framecast.clip import Clip
from framecast.errors import ConfigError, FramecastError
from framecast.layers.batch_norm import BatchNorm
from framecast.model import Options
from framecast.models.v3d_convlstm.model import PORTION, V3DConvLSTM, V3DConvLSTMConfig
from framecast.noise import Noise
from models import naive_v3d
from models.tiny_v3d import EXACT, SHAPES, build, clips, settings, weights

LATENTS = [{"latent": 2}, {"latent": 0}, {"latent": 3, "layers": 1}, {"latent": 1, "layers": 3}]


def cells(model: V3DConvLSTM, frames: Tensor) -> tuple[int, int, int, int]:
    """Shape of z: half the window, and a quarter of a frame's sides."""
    config = model.config
    depth = config.window // 2 if config.depth > 1 else config.window
    return config.latent, depth, frames.shape[-2] // 4, frames.shape[-1] // 4


def draws(model: V3DConvLSTM, frames: Tensor, noise: Noise, count: int = 20) -> list[list[Tensor]]:
    """What every sample draws, step after step."""
    each = [noise.normal(*cells(model, frames)).double() for _ in range(count)]
    return [[step[sample] for step in each] for sample in range(noise.samples)]


def oracle(model: V3DConvLSTM, frames: Tensor, horizon: int, noises: list[Tensor] | None) -> Tensor:
    """The oracle's frames, without gradients."""
    with torch.no_grad():
        return naive_v3d.predict(frames, horizon, weights(model), settings(model), noises)[0]


def mirrored(frames: Tensor) -> Tensor:
    """Frames of 7×10 as 8×12."""
    higher = torch.cat([frames, frames[..., 5:6, :]], -2)
    return torch.cat([higher, higher[..., 8:9], higher[..., 7:8]], -1)


# ---- predictions


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_small_models_see_what_they_are_given(shape):
    """Each frame of a window, and z: what is equal below is not equal for want of an effect."""
    model = build(**shape)
    window = model.config.window
    frames = clips(window)
    with torch.no_grad():
        before = model.encode(frames)
        assert 0.3 < (before > 0).double().mean() < 0.95
        for time in range(window):
            other = frames.clone()
            other[:, time] = 1 - other[:, time]
            assert (model.encode(other) - before).abs().max() > 0.1
            difference = model.predict(other, 3).unclipped - model.predict(frames, 3).unclipped
            assert difference.abs().max() > 1e-3
    assert model.predict(frames, 3, samples=5).unclipped.std(0).mean() > 0.05


@pytest.mark.parametrize("latents", LATENTS, ids=str)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_means_are_those_of_the_equations(shape, latents):
    """The point prediction, after contexts of one window and of more, for horizons of any kind."""
    model = build(**shape, **latents)
    window = model.config.window
    for context, horizon in ((window, 5), (window + 1, 2), (window + 3, 7)):
        frames = clips(context)
        found = model.predict(frames, horizon).unclipped[0]
        torch.testing.assert_close(found, oracle(model, frames, horizon, None), **EXACT)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_samples_are_those_of_the_equations(shape):
    """Each of them by its own draws, one for each step from the first context window on."""
    model = build(**shape)
    for context, horizon in ((model.config.window, 4), (model.config.window + 5, 5)):
        frames = clips(context)
        found = model.predict(frames, horizon, samples=3, seed=4, sequences=[5, 9]).unclipped
        each = draws(model, frames, Noise.of(4, [5, 9], 3))
        expected = torch.stack([oracle(model, frames, horizon, noises) for noises in each])
        torch.testing.assert_close(found, expected, **EXACT)


def test_colour():
    """Three channels in and out, sides of other lengths."""
    model = build(channels=3, advance=2)
    frames = clips(7, channels=3, size=(4, 12))
    expected = oracle(model, frames, 5, None)
    assert expected.shape == (2, 5, 3, 4, 12)
    torch.testing.assert_close(model.predict(frames, 5).unclipped[0], expected, **EXACT)


def test_gray_frames_of_a_colour_model():
    """They are made three, and the outcome's mean is given."""
    model = build(channels=3)
    frames = clips(5)
    expected = oracle(model, torch.cat([frames] * 3, 2), 3, None).mean(2, keepdim=True)
    torch.testing.assert_close(model.predict(frames, 3).unclipped[0], expected, **EXACT)


def test_odd_sizes_are_mirrored():
    """Up to multiples of 4, below and to the right, and cut off again."""
    model, frames = build(), clips(5, size=(7, 10))
    expected = oracle(model, mirrored(frames), 3, None)[..., :7, :10]
    torch.testing.assert_close(model.predict(frames, 3).unclipped[0], expected, **EXACT)


def test_a_long_context_goes_through_in_portions():
    """More windows than are encoded at a time."""
    model = build(window=2)
    frames = clips(PORTION * 2 + 4)
    sizes = list[int]()
    model.encoder.register_forward_hook(lambda module, args, out: sizes.append(len(out)))
    found = model.predict(frames, 2, samples=2).unclipped
    assert sizes == [2 * PORTION, 2 * PORTION, 2 * 3, 2 * 2]
    each = draws(model, frames, Noise.of(0, [0, 1], 2), 30)
    expected = torch.stack([oracle(model, frames, 2, noises) for noises in each])
    torch.testing.assert_close(found, expected, **EXACT)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_teacher_forcing_is_as_if_frames_up_to_each_were_the_context(shape):
    """Chains side by side; what lies before the clip is its first frame."""
    model = build(**shape)
    for length in (2, model.config.window, model.config.window + 2, 15):
        if length < 2:
            continue
        frames = clips(length)
        with torch.no_grad():
            expected = naive_v3d.teacher_forced(frames, weights(model), settings(model))
            found = model.teacher_forced(Clip(frames))
        torch.testing.assert_close(found, expected, **EXACT)


def test_teacher_forcing_takes_odd_sizes_and_gray_frames():
    """As predictions do."""
    model, frames = build(channels=3, advance=2), clips(7, size=(7, 10))
    with torch.no_grad():
        found = model.teacher_forced(Clip(frames))
    assert found.shape == (2, 6, 1, 7, 10)
    for end in (4, 5, 6):
        first = model.predict(frames[:, :end], 1).unclipped[0, :, 0]
        torch.testing.assert_close(found[:, end - 1], first, **EXACT)


# ---- samples


class Silence(Noise):
    """Draws nothing but zeros."""

    def normal(self, *shape: int) -> Tensor:
        """Zeros of `shape` for every row."""
        return torch.zeros(self.samples, self.batch, *shape)


def test_without_noise_samples_are_the_means():
    """A draw is the mean and σ times the noise."""
    model, frames = build(advance=2), Clip(clips(7))
    with torch.no_grad():
        steps = list(model.rollout(frames, 5, 2, Silence.of(0, [0, 1], 2), Options()))
    quiet = torch.stack([step.frame for step in steps], 2)
    means = model.predict(frames, 5).unclipped
    torch.testing.assert_close(quiet, means.expand_as(quiet), **EXACT)


def test_samples_differ_and_are_the_same_portion_by_portion():
    """From the first frame on; five at once are two and then three."""
    model, frames = build(), clips(6)
    whole = model.predict(frames, 4, samples=5, seed=3).unclipped
    for one in range(5):
        for other in range(one):
            assert (whole[one] - whole[other]).abs().amax((0, 2, 3, 4)).min() > 1e-3
    for first, count in ((0, 2), (2, 3)):
        steps = model.stream(frames, 4, samples=count, seed=3, first_sample=first)
        part = torch.stack([step.frame for step in steps], 2)
        torch.testing.assert_close(part, whole[first : first + count], **EXACT)


def test_a_clip_does_not_see_its_neighbours():
    """Alone or in a batch, whatever lies beside it."""
    model, frames = build(advance=3), clips(8, batch=3)
    whole = model.predict(frames, 4, samples=3, sequences=[4, 5, 6]).unclipped
    for row in range(3):
        alone = model.predict(frames[row : row + 1], 4, samples=3, sequences=[4 + row]).unclipped
        torch.testing.assert_close(alone[:, 0], whole[:, row], **EXACT)


def test_without_latent_maps_all_samples_are_the_point_prediction():
    """And there is neither prior nor posterior."""
    model, frames = build(latent=0), clips(5)
    samples = model.predict(frames, 3, samples=2).unclipped
    assert torch.equal(samples, model.predict(frames, 3).unclipped.expand(2, -1, -1, -1, -1, -1))
    assert not any("prior" in name or "posterior" in name for name, _ in model.named_modules())


def test_predictions_have_no_use_for_the_posterior():
    """Section 3.1: it is discarded at test time."""
    model, frames = build(posterior_encoder="separate"), clips(6)
    before = [model.predict(frames, 3, samples=samples).unclipped for samples in (None, 2)]
    for part in (model.posterior, model.posterior_encoder):
        for parameter in part.parameters():
            nn.init.constant_(parameter, torch.nan)
    after = [model.predict(frames, 3, samples=samples).unclipped for samples in (None, 2)]
    assert torch.equal(before[0], after[0])
    assert torch.equal(before[1], after[1])


# ---- what it costs


@pytest.mark.parametrize(("context", "advance", "horizon"), [(4, 1, 3), (9, 1, 4), (9, 3, 5)])
def test_the_context_is_encoded_once_for_all_samples(context, advance, horizon, monkeypatch):
    """As is its part of the first ConvLSTM's products; the future is each sample's own."""
    model, frames = build(advance=advance), clips(context)
    encoded, projected = list[int](), list[int]()
    model.encoder.register_forward_hook(lambda module, args, out: encoded.append(len(out)))
    plain, kernel = functional.conv3d, (12, model.features)

    def spy(x: Tensor, weight: Tensor, *rest, **named) -> Tensor:
        if weight.shape[:2] == kernel:
            projected.append(len(x))
        return plain(x, weight, *rest, **named)

    monkeypatch.setattr(functional, "conv3d", spy)
    model.predict(frames, horizon, samples=5)
    observed = 2 * ((context - 4) // advance + 1)
    imagined = [2 * 5] * (-(-horizon // advance) - 1)
    assert encoded == [observed, *imagined]
    assert projected == [observed, *imagined]


def alive() -> Iterator[int]:
    """Bytes of the storage of all tensors that live."""
    gc.collect()
    storages = {}
    for thing in gc.get_objects():
        if type(thing) is Tensor:
            storage = thing.untyped_storage()
            storages[storage.data_ptr()] = storage.nbytes()
    yield from storages.values()


@pytest.mark.parametrize("advance", [1, 4])
def test_memory_does_not_grow_with_the_horizon(advance):
    """What is kept after 6 frames is what is kept after 30."""
    model, frames = build(advance=advance), clips(6)
    sizes = {}
    for number, step in enumerate(model.stream(frames, 40, samples=3), 1):
        del step
        if number in (6, 30):
            sizes[number] = sum(alive())
    assert sizes[6] == sizes[30] > 0


def test_predicting_leaves_the_statistics():
    """Also in a model that is in training."""
    model = build().train()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    model.predict(clips(6), 4, samples=2)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    assert not any(module.seen for module in model.modules() if isinstance(module, BatchNorm))


# ---- pictures


def test_pictures_of_what_the_latent_maps_do():
    """The next frame, without z, the prior's σ and the spread of samples, by the oracle."""
    model, frames = build(advance=2), clips(7, batch=1, size=(7, 10))
    panels = {panel.title: panel for panel in model.inspect(Clip(frames))}
    with torch.no_grad():
        names, chosen = weights(model), settings(model)
        first, steps = naive_v3d.predict(mirrored(frames), 1, names, chosen)
        last = steps[-1]
        assert last.prior is not None
        silent = torch.zeros_like(last.prior[0])
        without = naive_v3d.emit(last.hidden, silent, names, chosen)[0, -2]
    cells = last.prior[1][0].mean((0, 1))
    rows = [[cells[i // 4, j // 4] for j in range(10)] for i in range(7)]
    deviation = torch.stack([torch.stack(row) for row in rows])[None]
    drawn = model.predict(frames, 1, samples=16).frames[:, 0, 0]
    expected = {
        "last frame": frames[0, -1],
        "next frame": first[0, 0, :, :7, :10],
        "next frame without z": without[:, :7, :10],
        "deviation of the prior": deviation,
        "spread of 16 next frames": drawn.std(0),
    }
    assert panels.keys() == expected.keys()
    for title, image in expected.items():
        torch.testing.assert_close(panels[title].image, image, **EXACT, msg=title)
    for title in ("deviation of the prior", "spread of 16 next frames"):
        assert panels[title].range == (0, pytest.approx(float(expected[title].max()), rel=1e-6))


def test_pictures_leave_a_model_in_training_as_it_was():
    """They are those out of training, and no gradient is kept."""
    model, frames = build(), Clip(clips(5, batch=1))
    expected = model.inspect(frames)
    found = model.train().inspect(frames)
    for one, other in zip(found, expected, strict=True):
        assert torch.equal(one.image, other.image)
        assert not one.image.requires_grad
    assert all(module.training for module in model.modules())
    assert not any(module.seen for module in model.modules() if isinstance(module, BatchNorm))


def test_pictures_of_a_point_predictor():
    """The last frame and the next one."""
    model, frames = build(latent=0), clips(5, batch=1)
    panels = model.inspect(Clip(frames))
    assert [panel.title for panel in panels] == ["last frame", "next frame"]
    torch.testing.assert_close(panels[1].image, oracle(model, frames, 1, None)[0, 0], **EXACT)


def test_pictures_are_of_one_clip():
    """Of at least a window."""
    with pytest.raises(FramecastError, match="one clip"):
        build().inspect(Clip(clips(5)))
    with pytest.raises(FramecastError, match="at least 4 context frames"):
        build().inspect(Clip(clips(3, batch=1)))


# ---- sizes


def made(**fields) -> V3DConvLSTM:
    """A model without memory for its weights."""
    with torch.device("meta"):
        return V3DConvLSTM(V3DConvLSTMConfig(**fields))


def count(*parts: nn.Module) -> int:
    """Parameters of modules."""
    return sum(p.numel() for part in parts for p in part.parameters())


def test_parameters_of_the_paper():
    """12.9M in all (Table 1), and in each part by hand."""
    model = made()
    assert count(model.encoder) == 2_028_992
    assert [count(unit) for unit in model.convlstm] == [3_760_640, 3_539_456]
    assert count(model.convlstm) == 7_300_096
    assert count(model.decoder) == 2_413_761
    assert (count(model.prior), count(model.posterior)) == (414_848, 746_624)
    assert count(model.prior, model.posterior) == 1_161_472
    assert model.parameter_count() == 12_904_321
    separate = made(posterior_encoder="separate")
    assert separate.parameter_count() == 14_933_313
    assert count(separate.posterior_encoder) == 2_028_992
    assert not any(isinstance(module, BatchNorm) for module in model.decoder.modules())


def by_hand(*, depth=3, width=64, hidden=128, layers=2, latent=16, trunk=96, channels=1) -> int:
    """Parameters of a model, convolution after convolution."""
    kernel, double = 9 * depth, 2 * width
    encoder = 3 * width * 49 * depth + 4 * width**2 * kernel
    encoder += width * double * kernel + 3 * double**2 * kernel + width * double
    encoder += 2 * (5 * width + 5 * double)
    first = (double + latent + hidden) * 4 * hidden * kernel
    others = (layers - 1) * 2 * hidden * 4 * hidden * kernel
    lstm = first + others + layers * 4 * hidden
    heads = 2 * latent * (trunk * kernel + 1) + trunk
    gaussians = (hidden + hidden + double) * trunk * kernel + 2 * heads
    inputs = hidden + latent
    decoder = (inputs + 3 * double) * double * kernel + (inputs * double) * (inputs != double)
    decoder += double * width * kernel + 3 * width**2 * kernel + double * width
    decoder += channels * (width * 49 * depth + 1)
    return encoder + lstm + decoder + (gaussians if latent else 0)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"channels": 3},
        {"latent": 0},
        {"latent": 5, "trunk": 7, "layers": 3, "hidden": 9, "width": 11},
        {"depth": 1, "window": 1},
        {"depth": 1, "window": 1, "latent": 0},
    ],
    ids=str,
)
def test_parameters_of_other_sizes(fields):
    """Every field counts; the 2-D networks have kernels without a depth."""
    model = made(**fields)
    formula = {name: value for name, value in fields.items() if name != "window"}
    assert model.parameter_count() == by_hand(**formula)
    if model.config.depth == 1:
        assert all(p.shape[2] == 1 for p in model.parameters() if p.ndim == 5)


def test_what_it_expects():
    """Frames of any size, one window at least."""
    spec = made(window=6, channels=3).expects
    assert (spec.channels, spec.size, spec.multiple_of) == (3, None, 4)
    assert (spec.context_min, spec.context_max) == (6, None)
    with pytest.raises(FramecastError, match="at least 4 context frames, got 3"):
        build().predict(clips(3), 1)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"channels": 2}, "channels is 1 or 3"),
        ({"width": 0}, "at least 1"),
        ({"hidden": 0}, "at least 1"),
        ({"layers": 0}, "at least 1"),
        ({"trunk": 0}, "at least 1"),
        ({"latent": -1}, "latent is 0 or more"),
        ({"depth": 2}, "depth is 3, or 1"),
        ({"depth": 5}, "depth is 3, or 1"),
        ({"depth": 1}, "window of 1 frame, got 4"),
        ({"window": 3}, "even number of frames"),
        ({"window": 1}, "even number of frames"),
        ({"window": 0}, "even number of frames"),
        ({"advance": 0}, "advance is from 1 to 4"),
        ({"advance": 5}, "advance is from 1 to 4"),
        ({"window": 1, "depth": 1, "advance": 2}, "advance is from 1 to 1"),
        ({"latent": 0, "posterior_encoder": "separate"}, "no posterior"),
    ],
    ids=str,
)
def test_contradictions_are_refused(fields, message):
    """In one line."""
    with pytest.raises(ConfigError, match=message) as caught:
        V3DConvLSTMConfig(**fields)
    assert "\n" not in str(caught.value)
