"""Video VQ-VAE's codec beside the paper's figures and what can be computed by hand."""

import math

import pytest
import torch
from tiny_video_vqvae import clips, tiny
from torch.nn import functional

from framecast.config import from_json, to_json
from framecast.errors import ConfigError, FramecastError
from framecast.model import ModelConfig, load
from framecast.models.video_vqvae.autoencoder import Autoencoder, AutoencoderConfig
from framecast.models.video_vqvae.model import VideoVQVAEConfig

# ---- the paper's figures


def test_parameters_at_the_papers_size() -> None:
    """Weights and biases of each layer of Table 3, counted by hand."""
    with torch.device("meta"):
        model = VideoVQVAEConfig().build()
    stack = 2 * ((128 * 32 * 27 + 32) + (32 * 128 + 128))
    level = (128 * 64 + 64) + 512 * 64
    expected = {
        "first": (3 * 128 * 4 * 8 * 8 + 128) + stack,
        "second": (128 * 128 * 4 * 4 * 4 + 128) + stack,
        "top": level,
        "bottom": level,
        "upsample": 64 * 64 * 4 * 4 * 4 + 64,
        "decoder": (128 * 128 * 27 + 128) + stack + (128 * 3 * 4 * 8 * 8 + 3),
    }
    parts = model.autoencoder.named_children()
    assert {name: sum(p.numel() for p in part.parameters()) for name, part in parts} == expected
    assert sum(p.numel() for p in model.autoencoder.parameters()) == 2_721_283
    assert sum(expected.values()) == 2_721_283


def test_bits_of_the_papers_clips() -> None:
    """1.318 % of 25,165,824: §3.1's `greater than 98% reduction`."""
    with torch.device("meta"):
        model = VideoVQVAEConfig().build()
    assert model.grids(16, 256, 256) == ((4, 32, 32), (8, 64, 64))
    assert model.values == (512, 512)
    bits = model.bits((16, 3, 256, 256))
    assert bits == (4 * 32 * 32 + 8 * 64 * 64) * 9 == 331_776
    raw = 16 * 256 * 256 * 3 * 8
    assert raw == 25_165_824
    assert round(100 * bits / raw, 3) == 1.318
    assert model.bits((16, 3, 249, 255)) == bits  # padded to 256×256
    assert model.bits((4, 3, 256, 256)) == bits / 4
    with pytest.raises(FramecastError, match="codes 4 frames at a time, got 6"):
        model.bits((6, 3, 256, 256))


@pytest.mark.parametrize("stride", [2, 4, 6])
@pytest.mark.parametrize(("length", "rows", "columns"), [(4, 1, 1), (8, 2, 1), (12, 1, 3)])
def test_shapes(stride: int, length: int, rows: int, columns: int) -> None:
    """Any multiple of 4 frames; any multiple of twice the stride, which is 8 in the paper."""
    model = tiny(channels=3, stride=stride)
    assert model.expects.multiple_of == 2 * stride
    height, width = 2 * stride * rows, 2 * stride * columns
    frames = torch.rand(2, length, 3, height, width)
    codes = model.encode(frames)
    top = (length // 4, rows, columns)
    assert codes.grids == model.grids(length, height, width) == (top, tuple(2 * n for n in top))
    assert codes.bits == model.bits((length, 3, height, width)) == 3 * 9 * math.prod(top)
    for count in (1, 2):
        assert model.decode(codes, count).frames.shape == frames.shape


# ---- against functional convolutions


def stack(weights: dict[str, torch.Tensor], start: str, first: int, x: torch.Tensor):
    """Two residual blocks that begin at a place of a sequence, and a ReLU."""
    for place in (first, first + 1):
        name = f"{start}.{place}"
        inner = functional.relu(x)
        inner = conv(weights, f"{name}.1", inner, padding=1)
        x = x + conv(weights, f"{name}.3", functional.relu(inner))
    return functional.relu(x)


def conv(weights: dict[str, torch.Tensor], name: str, x: torch.Tensor, **how):
    return functional.conv3d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], **how)


def transposed(weights: dict[str, torch.Tensor], name: str, x: torch.Tensor, stride, padding):
    """Every input adds the filter, weighted, at its own place of a canvas that is then cropped."""
    weight, bias = weights[f"{name}.weight"], weights[f"{name}.bias"]
    kernel, (batch, _, *size) = weight.shape[2:], x.shape
    whole = [(n - 1) * s + k for n, s, k in zip(size, stride, kernel, strict=True)]
    canvas = x.new_zeros(batch, weight.shape[1], *whole)
    for t in range(size[0]):
        for i in range(size[1]):
            for j in range(size[2]):
                at = [n * s for n, s in zip((t, i, j), stride, strict=True)]
                place = tuple(slice(a, a + k) for a, k in zip(at, kernel, strict=True))
                added = torch.einsum("bc,cdxyz->bdxyz", x[:, :, t, i, j], weight)
                canvas[(slice(None), slice(None), *place)] += added
    crop = tuple(slice(p, n - p) for p, n in zip(padding, whole, strict=True))
    return canvas[(slice(None), slice(None), *crop)] + bias[:, None, None, None]


def chosen(latent: torch.Tensor, codebook: torch.Tensor):
    """Tokens and codewords by Eq 1, place by place."""
    batch, _, *size = latent.shape
    tokens, words = torch.zeros(batch, *size, dtype=torch.int64), torch.zeros_like(latent)
    for place in torch.cartesian_prod(*(torch.arange(n) for n in (batch, *size))).tolist():
        at = (place[0], slice(None), *place[1:])
        distances = [float((latent[at] - word).square().sum()) for word in codebook]
        tokens[tuple(place)] = best = distances.index(min(distances))
        words[at] = codebook[best]
    return tokens, words


@pytest.mark.parametrize("stride", [2, 4])
def test_the_whole_way_from_frames_to_frames(stride: int) -> None:
    """Tokens and frames, with weights taken from the model by name."""
    model = tiny(channels=2, stride=stride)
    weights = model.autoencoder.state_dict()
    frames = clips(2, 8, 4 * stride, 2).frames
    how = {"stride": (2, stride, stride), "padding": (1, stride // 2, stride // 2)}
    assert weights["first.0.weight"].shape[2:] == (4, 2 * stride, 2 * stride)
    assert weights["second.0.weight"].shape[2:] == (4, 4, 4)
    with torch.no_grad():
        features = stack(
            weights, "first", 1, conv(weights, "first.0", frames.transpose(1, 2), **how)
        )
        above = stack(
            weights, "second", 1, conv(weights, "second.0", features, stride=2, padding=1)
        )
        found = {
            name: chosen(
                conv(weights, f"{name}.project", x), weights[f"{name}.codebook.codebooks.0"][0]
            )
            for name, x in (("top", above), ("bottom", features))
        }
        upsampled = transposed(weights, "upsample", found["top"][1], (2, 2, 2), (1, 1, 1))
        joined = torch.cat([upsampled, found["bottom"][1]], 1)
        inside = stack(weights, "decoder", 1, conv(weights, "decoder.0", joined, padding=1))
        expected = transposed(weights, "decoder.4", inside, **how).transpose(1, 2)
    codes = model.encode(frames)
    for name, level in zip(("top", "bottom"), codes.levels, strict=True):
        assert len(level.unique()) > 2
        assert torch.equal(level, found[name][0])
    torch.testing.assert_close(model.render(codes.levels), expected)
    assert expected.std() > 0.05


def test_the_top_alone_has_zeros_for_the_bottom() -> None:
    model = tiny()
    codes = model.encode(clips())
    with torch.no_grad():
        for parameter in model.autoencoder.bottom.codebook.parameters():
            zeros = torch.zeros_like(parameter)
            kept = parameter.clone()
            alone = model.render(codes.levels[:1])
            parameter.copy_(zeros)
            torch.testing.assert_close(alone, model.render(codes.levels))
            parameter.copy_(kept)
        assert not torch.allclose(alone, model.render(codes.levels))


def test_the_bottom_is_quantised_without_the_top() -> None:
    """Other weights of what makes the top level leave its tokens as they are."""
    model, frames = tiny(), clips().frames
    before = model.encode(frames).levels
    with torch.no_grad():
        for part in (model.autoencoder.second, model.autoencoder.top):
            for parameter in part.parameters():
                parameter.mul_(-1.5)
    top, bottom = model.encode(frames).levels
    assert torch.equal(bottom, before[1])
    assert not torch.equal(top, before[0])


# ---- the codes of the context


def test_context_is_coded_alone() -> None:
    """Frames after it change none of its tokens, though they change those of a longer clip."""
    model = tiny(context=4)
    frames = clips(2, 16).frames
    other = torch.cat([frames[:, :4], clips(2, 12, seed=5).frames], 1)
    first, second = model.tokenize_context(frames), model.tokenize_context(other)
    assert [level.shape[1] for level in first] == [1, 2]
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    whole, changed = model.tokenize(frames), model.tokenize(other)
    assert not torch.equal(whole[1][:, :2], changed[1][:, :2])
    assert not torch.equal(whole[1][:, :2], first[1])


def test_what_it_expects() -> None:
    spec = tiny(context=8, channels=3).expects
    assert (spec.context_min, spec.context_max, spec.channels, spec.size) == (8, 8, 3, None)


# ---- as a codec


def test_odd_sizes_and_gray_frames() -> None:
    """Padded and made three channels on the way in, and back on the way out."""
    model, clip = tiny(channels=3, stride=4), clips(1, 4, 13)
    codes = model.encode(clip)
    assert codes.grids == ((1, 2, 2), (2, 4, 4))
    assert model.decode(codes).frames.shape == clip.frames.shape


def test_saving_and_loading(tmp_path) -> None:
    model, clip = tiny(), clips()
    model.save(tmp_path / "folder")
    again = load(tmp_path / "folder")
    assert torch.equal(
        again.decode(again.encode(clip)).frames, model.decode(model.encode(clip)).frames
    )
    assert from_json(ModelConfig, to_json(model.config)) == model.config


def test_half_precision_features_are_decoded_in_their_own() -> None:
    """Under autocast distances stay exact, and the decoder takes what it gets."""
    model, clip = tiny(), clips()
    with torch.autocast("cpu", torch.bfloat16):
        top, bottom = model.autoencoder(clip.frames)
        decoded = model.autoencoder.decode(top.straight_through, bottom.straight_through)
        alone = model.render(model.tokenize(clip.frames)[:1])
    assert top.quantised.vectors.dtype == torch.float32
    assert decoded.dtype == alone.dtype == torch.bfloat16


def test_what_is_inside() -> None:
    """Fig 2: the clip, the top level alone, top and bottom, what they miss; how tokens are used."""
    model, clip = tiny(3), clips(1, 4, channels=3)
    panels = model.inspect(clip)
    titles = [panel.title for panel in panels]
    assert titles[0] == "original, frames 0, 1, 2, 3"
    assert titles[1].startswith("from level 1, MSE ")
    assert titles[2].startswith("from levels 1 to 2, MSE ")
    assert [title[:7] for title in titles[4:]] == ["level 1", "level 2"]
    codes = model.tokenize(clip.frames)
    missed = (model.render(codes).clamp(0, 1) - clip.frames).abs().mean(2)[0]
    assert titles[3].endswith(f"; white is {missed.max():.3g}")
    image = torch.as_tensor(panels[3].image)
    for number, frame in enumerate(missed):
        at = number * (16 + 2)  # a line of two pixels between frames
        torch.testing.assert_close(image[0, :, at : at + 16], frame / missed.max())


@pytest.mark.parametrize("length", [1, 3, 5, 10])
def test_lengths_that_cannot_be_coded(length: int) -> None:
    model = tiny()
    with pytest.raises(FramecastError, match=f"codes 4 frames at a time, got {length}"):
        model.encode(clips(1, length))
    with pytest.raises(FramecastError, match=f"clips of {length} frames .* multiple of 4"):
        model.tokenize(clips(1, length).frames)


@pytest.mark.parametrize(
    "wrong",
    [
        {"channels": 0},
        {"codewords": 1},
        {"width": 0},
        {"context": 0},
        {"context": 6},
        {"future": 0},
        {"future": 10},
    ],
)
def test_sizes_of_the_model_that_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        VideoVQVAEConfig(**wrong)


@pytest.mark.parametrize(
    "wrong", [{"hidden": 0}, {"residual": 0}, {"blocks": -1}, {"stride": 0}, {"stride": 3}]
)
def test_sizes_of_the_networks_that_are_refused(wrong: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        AutoencoderConfig(**wrong)


def test_networks_without_residual_blocks() -> None:
    network = Autoencoder(AutoencoderConfig(hidden=4, blocks=0, stride=2), 1, 3, 2)
    top, bottom = network(clips().frames)
    shape = network.decode(top.straight_through, bottom.straight_through).shape
    assert shape == clips().frames.shape
