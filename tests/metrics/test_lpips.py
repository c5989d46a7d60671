"""LPIPS: documented values where the weights are at hand, a second implementation everywhere."""

import hashlib
import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from framecast.errors import FramecastError
from framecast.evaluation.metrics import lpips as module
from framecast.evaluation.metrics.features import CHANNELS, FILES, LAYERS, SMALLEST, Features
from framecast.evaluation.metrics.lpips import Lpips, load, lpips, missing
from framecast.weights import convert

CPU = torch.device("cpu")
NETWORKS = ("alex", "vgg", "squeeze")
DATA = os.environ.get("FRAMECAST_DATA")
needs_data = pytest.mark.skipif(
    DATA is None, reason="FRAMECAST_DATA names no folder with LPIPS weights"
)


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published SqueezeNet and heads, converted."""
    source = Path(DATA or "") / "weights"
    folder = tmp_path_factory.mktemp("weights")
    stack = source / "squeezenet1_1_imagenet1k_fp16w.pth"
    convert(stack, folder / FILES["squeeze"], sha256(stack), precision="float32")
    for version in ("0.0", "0.1"):
        for network in NETWORKS:
            heads = source / "lpips" / f"v{version}" / f"{network}.pth"
            convert(heads, folder / f"lpips-v{version}-{network}.safetensors", sha256(heads))
    return folder


@pytest.fixture(scope="module")
def invented(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Random weights in the published layout for every network."""
    folder = tmp_path_factory.mktemp("invented")
    generator = torch.Generator().manual_seed(0)
    for network in NETWORKS:
        stack = {
            name: torch.randn(value.shape, generator=generator) / value[0].numel() ** 0.5
            for name, value in Features(network).state_dict().items()
        }
        save_file({**stack, "classifier.1.weight": torch.ones(2)}, folder / FILES[network])
        heads = {
            f"lin{n}.model.1.weight": torch.rand(1, c, 1, 1, generator=generator)
            for n, c in enumerate(CHANNELS[network])
        }
        save_file(heads, folder / f"lpips-v0.1-{network}.safetensors")
    return folder


def random_pair(*shape: int) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(42)
    return torch.rand(shape, generator=generator), torch.rand(shape, generator=generator)


@needs_data
def test_documented_values(real: Path) -> None:
    one, two = random_pair(2, 3, 100, 100)
    model = load("squeeze", "0.1", real, CPU)
    documented = torch.tensor([0.102358, 0.093772])
    torch.testing.assert_close(model(one * 2 - 1, two * 2 - 1), documented, rtol=0, atol=1e-5)
    # frames in [0, 1] are mapped to the same range
    torch.testing.assert_close(lpips(one, two, model), documented, rtol=0, atol=1e-5)


@needs_data
def test_range_and_colour_order_matter(real: Path) -> None:
    one, two = random_pair(2, 3, 100, 100)
    model = load("squeeze", "0.1", real, CPU)
    right = lpips(one, two, model)
    unscaled = lpips(one, two, model, published_range=False)
    torch.testing.assert_close(unscaled, model(one, two))
    assert ((right - unscaled).abs() > 1e-3).all()
    swapped = lpips(one.flip(1), two.flip(1), model)
    assert ((right - swapped).abs() > 1e-4).all()


@needs_data
def test_the_first_release_is_fed_without_colour_scaling(real: Path) -> None:
    one, two = random_pair(1, 3, 64, 64)
    first, second = (load("squeeze", version, real, CPU) for version in ("0.0", "0.1"))
    assert abs(lpips(one, two, first) - lpips(one, two, second)).item() > 1e-4
    shift, scale = first.shift, first.scale
    scaled = (one * 2 - 1 - shift) / scale, (two * 2 - 1 - shift) / scale
    for model, inputs in ((first, (one * 2 - 1, two * 2 - 1)), (second, scaled)):
        torch.testing.assert_close(model(one * 2 - 1, two * 2 - 1), again(model, *inputs))


@needs_data
@pytest.mark.parametrize("version", ["0.0", "0.1"])
@pytest.mark.parametrize("network", NETWORKS)
def test_published_heads_fit_and_are_not_negative(real: Path, network, version) -> None:
    model = Lpips(network, version)
    path = real / f"lpips-v{version}-{network}.safetensors"
    heads = dict(enumerate(model.heads.parameters()))
    module._fill(
        {f"lin{n}.model.1.weight": head for n, head in heads.items()}, module.files.read(path), path
    )
    assert all((head >= 0).all() and head.any() for head in heads.values())


def run(network: str, state: dict[str, Tensor], images: Tensor) -> list[Tensor]:
    """The feature stacks again, with functional calls in the order of the papers."""

    def conv(name: str, x: Tensor, stride: int = 1, padding: int = 0) -> Tensor:
        weight, bias = state[f"features.{name}.weight"], state[f"features.{name}.bias"]
        return functional.conv2d(x, weight, bias, stride, padding)

    def fire(number: int, x: Tensor) -> Tensor:
        narrow = functional.relu(conv(f"{number}.squeeze", x))
        wide = [conv(f"{number}.expand1x1", narrow), conv(f"{number}.expand3x3", narrow, padding=1)]
        return functional.relu(torch.cat(wide, 1))

    outputs = []
    if network == "alex":
        for number, stride, padding in ((0, 4, 2), (3, 1, 2), (6, 1, 1), (8, 1, 1), (10, 1, 1)):
            if number in (3, 6):
                images = functional.max_pool2d(images, 3, 2)
            images = functional.relu(conv(str(number), images, stride, padding))
            outputs.append(images)
    elif network == "vgg":
        for block in ((0, 2), (5, 7), (10, 12, 14), (17, 19, 21), (24, 26, 28)):
            if block[0]:
                images = functional.max_pool2d(images, 2)
            for number in block:
                images = functional.relu(conv(str(number), images, padding=1))
            outputs.append(images)
    else:
        images = functional.relu(conv("0", images, 2))
        outputs.append(images)
        for block in ((3, 4), (6, 7), (9, 10, 11, 12)):
            images = functional.max_pool2d(images, 3, 2, ceil_mode=True)
            for number in block:
                images = fire(number, images)
                if number not in (3, 6):
                    outputs.append(images)
    return outputs


def again(model: Lpips, one: Tensor, two: Tensor) -> Tensor:
    """LPIPS of what is fed to the stack, written with loops over images and layers."""
    state = model.features.state_dict()
    result = []
    for a, b in zip(one, two, strict=True):
        total = torch.zeros(())
        layers = zip(
            run(model.network, state, a[None]), run(model.network, state, b[None]), model.heads,
            strict=True,
        )  # fmt: skip
        for x, y, head in layers:
            u, v = (z[0] / (z[0].pow(2).sum(0).sqrt() + 1e-10) for z in (x, y))
            total = total + torch.einsum("chw,c->hw", (u - v) ** 2, head[0, :, 0, 0]).mean()
        result.append(total)
    return torch.stack(result)


@pytest.mark.parametrize("network", NETWORKS)
def test_a_second_implementation_agrees(invented: Path, network) -> None:
    one, two = random_pair(2, 3, 40, 48)
    model = load(network, "0.1", invented, CPU)
    inputs = [((x * 2 - 1) - model.shift) / model.scale for x in (one, two)]
    expected = again(model, *inputs)
    assert (expected > 0).all()
    torch.testing.assert_close(lpips(one, two, model), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("network", NETWORKS)
def test_layers_and_smallest_frames(network) -> None:
    stack = Features(network)
    assert len(stack.features) == LAYERS[network][-1] + 1
    side = SMALLEST[network]
    outputs = stack(torch.zeros(1, 3, side, side))
    assert tuple(x.shape[1] for x in outputs) == CHANNELS[network]
    assert all(x.numel() for x in outputs)
    with pytest.raises(RuntimeError, match="too small"):
        stack(torch.zeros(1, 3, side - 1, side - 1))


def test_gray_is_colour_with_equal_channels(invented: Path) -> None:
    one, two = random_pair(2, 2, 1, 40, 40)
    model = load("squeeze", "0.1", invented, CPU)
    gray = lpips(one, two, model)
    assert gray.shape == (2, 2)
    colour = lpips(one.expand(-1, -1, 3, -1, -1), two.expand(-1, -1, 3, -1, -1), model)
    torch.testing.assert_close(gray, colour)


def test_equal_frames_have_no_distance_even_black_ones(invented: Path) -> None:
    model = load("squeeze", "0.1", invented, CPU)
    one, _ = random_pair(1, 3, 32, 32)
    frames = torch.cat((one, torch.zeros(1, 3, 32, 32)))
    assert lpips(frames, frames, model).tolist() == [0, 0]


def test_portions_change_nothing(invented: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, two = random_pair(5, 3, 32, 32)
    model = load("squeeze", "0.1", invented, CPU)
    whole = lpips(one, two, model)
    monkeypatch.setattr(module, "PORTION", 2 * one[0].numel())
    torch.testing.assert_close(lpips(one, two, model), whole)


@pytest.mark.parametrize("portion", [1, 4, 100])
def test_a_frame_is_looked_at_once_for_all_samples(
    invented: Path, monkeypatch: pytest.MonkeyPatch, portion: int
) -> None:
    frames, target = random_pair(15, 3, 32, 32)
    samples, truth = frames.view(5, 3, 1, 3, 32, 32), target[:3].view(3, 1, 3, 32, 32)
    model = load("squeeze", "0.1", invented, CPU)
    monkeypatch.setattr(module, "PORTION", portion * frames[0].numel())
    seen, plain = [], Lpips.looked_at
    monkeypatch.setattr(
        Lpips, "looked_at", lambda self, images: seen.append(len(images)) or plain(self, images)
    )
    together = lpips(samples, truth.expand(5, *truth.shape), model)
    assert together.shape == (5, 3, 1)
    assert sum(seen) == 15 + {1: 15, 4: 6, 100: 3}[portion]
    torch.testing.assert_close(together, lpips(samples, truth.repeat(5, 1, 1, 1, 1, 1), model))


def test_a_model_is_loaded_once(invented: Path) -> None:
    assert load("alex", "0.1", invented, CPU) is load("alex", "0.1", invented, CPU)
    assert not load("alex", "0.1", invented, CPU).training


def test_missing_files_are_named(
    invented: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)
    assert "FRAMECAST_WEIGHTS" in (missing("alex", "0.1", None) or "")
    reason = missing("alex", "0.1", tmp_path) or ""
    assert "alexnet.safetensors and lpips-v0.1-alex.safetensors" in reason
    with pytest.raises(FramecastError, match=r"alexnet\.safetensors"):
        load("alex", "0.1", tmp_path, CPU)
    assert missing("alex", "0.1", invented) is None
    assert missing("alex", "0.0", invented) is not None
    monkeypatch.setenv("FRAMECAST_WEIGHTS", str(invented))
    assert missing("alex", "0.1", None) is None
    assert load("alex", "0.1", None, CPU) is load("alex", "0.1", invented, CPU)


def test_a_file_of_another_network_is_refused(invented: Path, tmp_path: Path) -> None:
    for name in ("lpips-v0.1-squeeze.safetensors",):
        (tmp_path / name).write_bytes((invented / name).read_bytes())
    (tmp_path / FILES["squeeze"]).write_bytes((invented / FILES["alex"]).read_bytes())
    with pytest.raises(FramecastError, match="another network") as error:
        load("squeeze", "0.1", tmp_path, CPU)
    assert "\n" not in str(error.value)


def test_frames_that_do_not_fit_are_one_line(invented: Path) -> None:
    model = load("alex", "0.1", invented, CPU)
    small, odd = torch.rand(1, 3, 30, 64), torch.rand(1, 2, 64, 64)
    with pytest.raises(FramecastError, match="31×31 at least"):
        lpips(small, small, model)
    with pytest.raises(FramecastError, match="1 or 3 channels, not 2"):
        lpips(odd, odd, model)
