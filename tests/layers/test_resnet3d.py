"""Half of r3d_18 against sums of shifted slices, its published weights, and its mirror image."""

from itertools import product
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from framecast import digest, weights
from framecast.errors import ConfigError, FramecastError
from framecast.layers.resnet3d import Decoder3d, LargerConv3d, ResNet3d, copy_transposed

STAGES = ((1, 1, 1), (2, 1, 2), (3, 2, 4), (4, 4, 8))
"""Number of each layer of r3d_18, and its channels in and out, in widths."""


def shapes(width: int = 64, depth: int = 3, classes: int = 400) -> dict[str, tuple[int, ...]]:
    """Every tensor of torchvision's r3d_18 by its name."""
    found: dict[str, tuple[int, ...]] = {}

    def convolution(name: str, outputs: int, inputs: int, *kernel: int) -> None:
        layer, number = name.rsplit(".", 1)
        found[f"{name}.weight"] = (outputs, inputs, *kernel)
        norm = f"{layer}.{int(number) + 1}"
        for last in ("weight", "bias", "running_mean", "running_var"):
            found[f"{norm}.{last}"] = (outputs,)
        found[f"{norm}.num_batches_tracked"] = ()

    convolution("stem.0", width, 3, depth, 7, 7)
    for number, before, after in STAGES:
        inputs, outputs = before * width, after * width
        convolution(f"layer{number}.0.conv1.0", outputs, inputs, depth, 3, 3)
        convolution(f"layer{number}.0.conv2.0", outputs, outputs, depth, 3, 3)
        if inputs != outputs:
            convolution(f"layer{number}.0.downsample.0", outputs, inputs, 1, 1, 1)
        convolution(f"layer{number}.1.conv1.0", outputs, outputs, depth, 3, 3)
        convolution(f"layer{number}.1.conv2.0", outputs, outputs, depth, 3, 3)
    found["fc.weight"], found["fc.bias"] = (classes, 8 * width), (classes,)
    return found


def published(width: int, depth: int = 3) -> dict[str, Tensor]:
    """Random weights by torchvision's names; the half that is not read has one number each."""
    random = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for name, shape in shapes(width, depth).items():
        if name.endswith("num_batches_tracked"):
            state[name] = torch.tensor(7)
        elif name.startswith(("layer3", "layer4", "fc")):
            state[name] = torch.zeros(1)
        elif len(shape) == 1:
            state[name] = torch.rand(shape, generator=random) + 0.5
        else:
            spread = torch.Size(shape[1:]).numel() ** -0.5
            state[name] = torch.randn(shape, generator=random) * spread
    return state


def saved(state: dict[str, Tensor], folder: Path, **options) -> Path:
    """As `framecast weights convert` leaves a published file."""
    source, target = folder / "r3d_18.pth", folder / "r3d_18.safetensors"
    torch.save(state, source)
    with source.open("rb") as file:
        sha256 = digest.of_file(file)
    weights.convert(source, target, sha256, **options)
    return target


def loaded(folder: Path, width: int = 2, depth: int = 3) -> tuple[ResNet3d, dict[str, Tensor]]:
    """A small network of made-up published weights, and these in double."""
    encoder, state = ResNet3d(width=width, depth=depth), published(width, depth)
    encoder.load_kinetics(saved(state, folder))
    return encoder.double(), {name: tensor.double() for name, tensor in state.items()}


def slices(x: Tensor, weight: Tensor, stride=(1, 1, 1)) -> Tensor:
    """A convolution with zeros around, a place of the kernel at a time."""
    kernel = weight.shape[2:]
    pads = [width // 2 for width in reversed(kernel) for _ in range(2)]
    padded = functional.pad(x, pads)
    sizes = [(n - 1) // step + 1 for n, step in zip(x.shape[2:], stride, strict=True)]
    total = x.new_zeros(len(x), len(weight), *sizes)
    for t, i, j in product(*map(range, kernel)):
        ends = [a + (n - 1) * s + 1 for a, n, s in zip((t, i, j), sizes, stride, strict=True)]
        part = padded[
            :, :, t : ends[0] : stride[0], i : ends[1] : stride[1], j : ends[2] : stride[2]
        ]
        total += torch.einsum("ncthw,kc->nkthw", part, weight[:, :, t, i, j])
    return total


def flat(x: Tensor, weight: Tensor, stride=(1, 1, 1)) -> Tensor:
    """A convolution of every frame by itself."""
    frames = x.transpose(1, 2).flatten(0, 1)
    pad = weight.shape[-1] // 2
    maps = functional.conv2d(frames, weight.squeeze(2), stride=stride[1:], padding=pad)
    return maps.unflatten(0, (len(x), -1)).transpose(1, 2)


def normal(x: Tensor, state: dict[str, Tensor], name: str, training: bool) -> Tensor:
    """Batch normalisation by its formula."""
    values = [state[f"{name}.{last}"] for last in ("running_mean", "running_var", "weight", "bias")]
    mean, variance, gain, offset = (value[:, None, None, None] for value in values)
    if training:
        mean = x.mean((0, 2, 3, 4), keepdim=True)
        variance = (x - mean).square().mean((0, 2, 3, 4), keepdim=True)
    return (x - mean) / (variance + 1e-5).sqrt() * gain + offset


def encoded(x: Tensor, state: dict[str, Tensor], *, training: bool, convolve=slices) -> Tensor:
    """Stem, layer 1 and layer 2 as torchvision describes them."""

    def conv(x: Tensor, name: str, stride=(1, 1, 1)) -> Tensor:
        layer, _, number = name.rpartition(".")
        maps = convolve(x, state[f"{name}.weight"], stride)
        return normal(maps, state, f"{layer}.{int(number) + 1}", training)

    x = conv(x, "stem.0", (1, 2, 2)).clamp(min=0)
    step = 2 if state["stem.0.weight"].shape[2] > 1 else 1
    for block in ("layer1.0", "layer1.1", "layer2.0", "layer2.1"):
        halves = block == "layer2.0"
        stride = (step, 2, 2) if halves else (1, 1, 1)
        inner = conv(conv(x, f"{block}.conv1.0", stride).clamp(min=0), f"{block}.conv2.0")
        past = conv(x, f"{block}.downsample.0", stride) if halves else x
        x = (inner + past).clamp(min=0)
    return x


def decoded(x: Tensor, decoder: Decoder3d, convolve=slices) -> Tensor:
    """The mirror image, from its description."""
    state = decoder.state_dict()
    step = 2 if decoder.output.weight.shape[2] > 1 else 1
    for block in ("deep.0", "deep.1", "larger", "wide.0", "wide.1"):
        if block == "larger":
            x = x.repeat_interleave(step, 2).repeat_interleave(2, 3).repeat_interleave(2, 4)
            continue
        inner = convolve(x, state[f"{block}.conv1.weight"]).clamp(min=0)
        inner = convolve(inner, state[f"{block}.conv2.weight"])
        skip = state.get(f"{block}.project.weight")
        past = x if skip is None else torch.einsum("ncthw,kc->nkthw", x, skip[:, :, 0, 0, 0])
        x = (inner + past).clamp(min=0)
    x = x.repeat_interleave(2, 3).repeat_interleave(2, 4)
    return convolve(x, state["output.weight"]) + state["output.bias"][:, None, None, None]


def windows(channels: int = 3, frames: int = 4, height: int = 12, width: int = 8) -> Tensor:
    """Two random windows in double."""
    random = torch.Generator().manual_seed(1)
    size = (2, channels, frames, height, width)
    return torch.rand(size, generator=random, dtype=torch.float64)


def count(module: nn.Module) -> int:
    """Learnt numbers."""
    return sum(parameter.numel() for parameter in module.parameters())


def test_parameters_of_the_papers_sizes():
    """Also those of all r3d_18 by the names in this file: 33,371,472 as torchvision publishes."""
    with torch.device("meta"):
        encoder, decoder = ResNet3d(), Decoder3d(144, channels=1)
    assert count(encoder) == 2_028_992
    assert count(decoder) == 2_413_761
    tracked = ("running_mean", "running_var", "num_batches_tracked")
    learnt = [shape for name, shape in shapes().items() if not name.endswith(tracked)]
    assert sum(torch.Size(shape).numel() for shape in learnt) == 33_371_472
    assert encoder.features == 128


@pytest.mark.parametrize("training", [False, True])
def test_the_encoder_is_half_of_r3d_18(tmp_path, training):
    """Of published weights, with the statistics of the batch and with those in the file."""
    encoder, state = loaded(tmp_path)
    x = windows()
    maps = encoder.train(training)(x)
    assert maps.shape == (2, 4, 2, 3, 2)
    torch.testing.assert_close(maps, encoded(x, state, training=training))


@pytest.mark.parametrize("frames", [1, 3])
def test_a_depth_of_one_is_of_two_dimensions(tmp_path, frames):
    """Encoder and decoder, whatever the number of frames, which stays."""
    torch.manual_seed(0)
    encoder, state = loaded(tmp_path, depth=1)
    x = windows(frames=frames)
    maps = encoder.eval()(x)
    torch.testing.assert_close(maps, encoded(x, state, training=False, convolve=flat))
    decoder = Decoder3d(4, channels=3, width=2, depth=1).double()
    again = decoder(maps)
    assert again.shape == x.shape
    torch.testing.assert_close(again, decoded(maps, decoder, flat))


@pytest.mark.parametrize(("inputs", "channels"), [(5, 1), (6, 3)])
def test_the_decoder_is_its_mirror_image(inputs, channels):
    """With a projection of the first maps, or none where there are as many channels."""
    torch.manual_seed(0)
    decoder = Decoder3d(inputs, channels=channels, width=3).double()
    maps = torch.randn(2, inputs, 2, 3, 2, dtype=torch.float64)
    frames = decoder(maps)
    assert frames.shape == (2, channels, 4, 12, 8)
    torch.testing.assert_close(frames, decoded(maps, decoder))
    assert ("deep.0.project.weight" in decoder.state_dict()) == (inputs != 6)
    assert [name for name in decoder.state_dict() if "bias" in name] == ["output.bias"]


@pytest.mark.parametrize("depth", [1, 3])
def test_gray_frames_are_as_if_replicated(depth):
    """In maps and in the gradient of the stem."""
    torch.manual_seed(0)
    encoder = ResNet3d(width=2, depth=depth).double()
    gray = windows(channels=1)
    torch.testing.assert_close(encoder(gray), encoder(gray.expand(-1, 3, -1, -1, -1)))
    found = [
        torch.autograd.grad(encoder(x).square().sum(), encoder.stem[0].weight)[0]
        for x in (gray, gray.expand(-1, 3, -1, -1, -1))
    ]
    torch.testing.assert_close(*found)


@pytest.mark.parametrize("channels", [1, 2])
def test_every_parameter_learns(channels):
    """Through the decoder and the encoder, from frames of any number of channels."""
    torch.manual_seed(0)
    encoder = ResNet3d(channels=channels, width=2)
    decoder = Decoder3d(4, channels=channels, width=2)
    decoder(encoder(windows(channels).float())).square().sum().backward()
    for network in (encoder, decoder):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("depth", "size", "message"),
    [
        (3, (4, 10, 8), "of 4 frames of 10×8 .* multiples of 4 and frames are even"),
        (3, (4, 8, 6), "of 4 frames of 8×6"),
        (3, (3, 8, 8), "of 3 frames of 8×8"),
        (1, (3, 8, 6), "of 3 frames of 8×6 .* multiples of 4$"),
    ],
)
def test_windows_without_whole_maps_are_refused(depth, size, message):
    """Their decoded windows would be larger."""
    with pytest.raises(FramecastError, match=message):
        ResNet3d(width=1, depth=depth)(torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("options", "message"),
    [({"depth": 2}, "depth is odd"), ({"depth": -1}, "depth is odd"), ({"width": 0}, "at least 1")],
)
def test_sizes_are_checked(options, message):
    """Of both networks."""
    with pytest.raises(ConfigError, match=message):
        ResNet3d(**options)
    with pytest.raises(ConfigError, match=message):
        Decoder3d(3, channels=1, **options)


def test_the_published_size_loads(tmp_path):
    """At the width of r3d_18 every tensor is the file's, and no counter is needed."""
    encoder, state = ResNet3d(), published(64)
    state = {name: x for name, x in state.items() if not name.endswith("num_batches_tracked")}
    encoder.load_kinetics(saved(state, tmp_path))
    own = encoder.state_dict()
    for name, tensor in own.items():
        layer, _, last = name.rpartition(".")
        theirs = {"mean": "running_mean", "variance": "running_var"}.get(last, last)
        assert torch.equal(tensor, state[f"{layer}.{theirs}"]), name
    assert len(own) == 10 * 5


def test_half_precision_is_widened(tmp_path):
    """A file may have been converted to float16."""
    state, encoder = published(2), ResNet3d(width=2)
    encoder.load_kinetics(saved(state, tmp_path, precision="float16"))
    assert encoder.stem[0].weight.dtype == torch.float32
    assert torch.equal(encoder.stem[0].weight, state["stem.0.weight"].half().float())


@pytest.mark.parametrize(
    ("name", "tensor", "message"),
    [
        ("layer2.0.downsample.1.running_var", None, "has no layer2.0.downsample.1.running_var; "),
        ("stem.1.bias", None, "has no stem.1.bias; the weights of r3d_18 "),
        ("layer1.1.conv2.0.weight", torch.zeros(2, 2, 1, 3, 3), "is of 2×2×1×3×3, where .* 2×2×3×"),
        ("layer1.1.conv2.0.weight", torch.zeros(2, 6, 1, 3, 3), "is of 2×6×1×3×3, where .* 2×2×3"),
        ("stem.1.running_mean", torch.tensor(0.0), "stem.1.running_mean is of one number, where"),
        ("layer1.2.conv1.0.weight", torch.zeros(2), "layer1.2.conv1.0.weight is no tensor of r3d"),
        ("layer1.0.num_batches_tracked", torch.tensor(1), "layer1.0.num_batches_tracked is no"),
        ("stem.0.num_batches_tracked", torch.tensor(1), "stem.0.num_batches_tracked is no"),
        ("stem.3.weight", torch.zeros(2), "stem.3.weight is no tensor of r3d_18"),
        ("layer31", torch.zeros(2), "layer31 is no tensor of r3d_18"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, name, tensor, message):
    """Missing tensors, those of other shapes and those of other networks; nothing has changed."""
    state, encoder = published(2), ResNet3d(width=2)
    if tensor is None:
        del state[name]
    else:
        state[name] = tensor
    before = {key: value.clone() for key, value in encoder.state_dict().items()}
    path = saved(state, tmp_path)
    with pytest.raises(FramecastError, match=message) as error:
        encoder.load_kinetics(path)
    assert str(error.value).startswith(f"{path}: ")
    assert "\n" not in str(error.value)
    assert all(torch.equal(value, before[key]) for key, value in encoder.state_dict().items())


def test_a_file_for_another_width_says_what_r3d_18_is(tmp_path):
    """As when a small network is to begin with the published weights."""
    with pytest.raises(FramecastError, match=r"r3d_18 \(3 channels, width 64, depth 3\)"):
        ResNet3d(width=3).load_kinetics(saved(published(2), tmp_path))
    with pytest.raises(FramecastError, match="no such file"):
        ResNet3d(width=3).load_kinetics(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("kernel", [(3, 3, 3), (1, 3, 3), (3, 7, 7), (1, 1, 1)])
@pytest.mark.parametrize("times", [(2, 2, 2), (1, 2, 2), (3, 1, 2)])
def test_convolutions_of_larger_maps_need_none(kernel, times):
    """What is made of small maps, and its gradients, are those of repeated values."""
    torch.manual_seed(0)
    larger = LargerConv3d(2, 3, kernel, times, bias=True).double()
    maps = torch.randn(2, 2, 2, 3, 4, dtype=torch.float64, requires_grad=True)
    repeated = maps
    for axis, number in enumerate(times, 2):
        repeated = repeated.repeat_interleave(number, axis)
    expected = slices(repeated, larger.weight) + larger.bias[:, None, None, None]
    found = larger(maps)
    torch.testing.assert_close(found, expected)
    weighed, inputs = torch.randn_like(found), (maps, larger.weight, larger.bias)
    gradients = [torch.autograd.grad((weighed * y).sum(), inputs) for y in (found, expected)]
    torch.testing.assert_close(*gradients)


def test_a_decoder_begins_as_the_transpose_of_an_encoder():
    """⟨conv(x), y⟩ = ⟨x, mirrored(y)⟩; what has no mirror image is listed and is as it was."""
    torch.manual_seed(0)
    encoder, decoder = ResNet3d(width=2).double(), Decoder3d(6, channels=3, width=2).double()
    before = {name: value.clone() for name, value in decoder.named_parameters()}
    done = copy_transposed(encoder, decoder)
    assert set(done.left) == {"deep.0.conv1.weight", "deep.0.project.weight", "output.bias"}
    after = dict(decoder.named_parameters())
    assert sorted(done.copied + done.left) == sorted(after)
    assert all(torch.equal(before[name], after[name]) for name in done.left)
    sources = dict(encoder.named_parameters())
    used = set[str]()
    for name in done.copied:
        mirrored = after[name]
        y = torch.randn(1, mirrored.shape[1], 2, 4, 5, dtype=torch.float64)
        x = torch.randn(1, mirrored.shape[0], 2, 4, 5, dtype=torch.float64)
        matches = [
            key
            for key, weight in sources.items()
            if weight.shape[:2] == mirrored.shape[1::-1]
            and weight.shape[2:] == mirrored.shape[2:]
            and torch.allclose((slices(x, weight) * y).sum(), (x * slices(y, mirrored)).sum())
        ]
        assert len(matches) == 1, name
        used.update(matches)
    convolutions = {name for name, weight in sources.items() if weight.ndim == 5}
    assert convolutions - used == {"layer1.1.conv2.0.weight"}


def test_a_transpose_of_another_size_is_left():
    """Gray frames have an output of their own; another width has nothing in common."""
    gray = copy_transposed(ResNet3d(width=2), Decoder3d(4, channels=1, width=2))
    assert set(gray.left) == {"deep.0.conv1.weight", "output.weight", "output.bias"}
    assert not copy_transposed(ResNet3d(width=2), Decoder3d(4, channels=3, width=3)).copied
    flattened = copy_transposed(ResNet3d(width=2), Decoder3d(4, channels=3, width=2, depth=1))
    assert flattened.copied == ("wide.0.project.weight",)
