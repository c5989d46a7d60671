"""I3D and what FVD feeds it with, against loops and against a forward pass written by name."""

import hashlib
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional

from framecast import weights as files
from framecast.errors import FramecastError
from framecast.evaluation.metrics import i3d
from framecast.evaluation.metrics.i3d import I3d, I3dLogits, Unit, prepared, resized, same

CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _no_weights_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)


@pytest.fixture(scope="module")
def network() -> I3d:
    """With random weights and statistics under which activations keep their size."""
    torch.manual_seed(0)
    made = I3d()
    for name, tensor in made.state_dict().items():
        if name.endswith("conv3d.weight"):
            torch.nn.init.kaiming_normal_(tensor)
        elif name.endswith(("running_var", "bn.weight")):
            tensor.uniform_(0.5, 1.5)
        elif name.endswith(("running_mean", "bias")):
            tensor.normal_(0, 0.1)
    return made


def state(network: I3d) -> dict[str, Tensor]:
    return {k: v.clone() for k, v in network.state_dict().items() if "num_batches" not in k}


class TestSizes:
    """The network has the published layout."""

    def test_parameters_are_those_of_the_table_of_layers(self, network: I3d):
        # figure 3 of the paper with the channels of Inception v1, every norm with gain and offset
        modules = {
            192: (64, 96, 128, 16, 32, 32),
            256: (128, 128, 192, 32, 96, 64),
            480: (192, 96, 208, 16, 48, 64),
            512: (160, 112, 224, 24, 64, 64),
            -512: (128, 128, 256, 24, 64, 64),
            513: (112, 144, 288, 32, 64, 64),
            528: (256, 160, 320, 32, 128, 128),
            832: (256, 160, 320, 32, 128, 128),
            -832: (384, 192, 384, 48, 128, 128),
        }
        total = 3 * 64 * 343 + 64 * 64 + 64 * 192 * 27 + 2 * (64 + 64 + 192)
        for key, (a, b, c, d, e, f) in modules.items():
            n = 512 if key == 513 else abs(key)
            total += n * (a + b + d + f) + 27 * (b * c + d * e) + 2 * (a + b + c + d + e + f)
        total += 1024 * 400 + 400
        assert total == 12_697_264
        assert sum(p.numel() for p in network.parameters()) == total
        # the paper counts 25 million for two such networks, one of them with 2 channels of flow
        assert round((2 * total - 64 * 343) / 1e6) == 25

    def test_names_and_shapes_are_those_of_the_usual_conversion(self, network: I3d):
        names = state(network)
        assert len(names) == 57 * 5 + 2
        expected = {
            "Conv3d_1a_7x7.conv3d.weight": (64, 3, 7, 7, 7),
            "Conv3d_2c_3x3.bn.running_var": (192,),
            "Mixed_3b.b1a.conv3d.weight": (96, 192, 1, 1, 1),
            "Mixed_4f.b2b.conv3d.weight": (128, 32, 3, 3, 3),
            "Mixed_5b.b3b.bn.bias": (128,),
            "Mixed_5c.b0.conv3d.weight": (384, 832, 1, 1, 1),
            "logits.conv3d.weight": (400, 1024, 1, 1, 1),
            "logits.conv3d.bias": (400,),
        }
        assert {name: tuple(names[name].shape) for name in expected} == expected

    def test_no_weight_learns(self, network: I3d):
        assert not network.training
        assert not any(p.requires_grad for p in network.parameters())


def triple(numbers: list[int]) -> tuple[int, int, int]:
    time, height, width = numbers
    return time, height, width


class TestSame:
    """Padding as in TensorFlow."""

    @pytest.mark.parametrize(
        ("size", "kernel", "stride", "sides"),
        [
            (224, 7, 2, (2, 3)),
            (16, 7, 2, (2, 3)),
            (15, 7, 2, (3, 3)),
            (112, 3, 2, (0, 1)),
            (7, 2, 2, (0, 1)),
            (8, 2, 2, (0, 0)),
            (9, 3, 1, (1, 1)),
            (3, 1, 1, (0, 0)),
        ],
    )
    def test_the_odd_one_is_behind(self, size: int, kernel: int, stride: int, sides):
        for axis in range(3):
            shape, kernels, strides = [4, 4, 4], [1, 1, 1], [1, 1, 1]
            shape[axis], kernels[axis], strides[axis] = size, kernel, stride
            found = same(torch.ones(1, 1, *shape), triple(kernels), triple(strides))
            line = found.movedim(2 + axis, 0).flatten(1)[:, 0].tolist()
            assert line == [0.0] * sides[0] + [1.0] * size + [0.0] * sides[1]

    def test_a_unit_is_a_sum_over_neighbours(self):
        torch.manual_seed(1)
        unit = Unit(2, 3, (3, 3, 3), (2, 2, 2)).eval().double()
        unit.bn.running_mean.normal_()  # pyright: ignore[reportOptionalMemberAccess]
        unit.bn.running_var.uniform_(1e-3, 1e-2)  # pyright: ignore[reportOptionalMemberAccess]
        unit.bn.bias.data.normal_()
        maps = torch.randn(1, 2, 4, 5, 6, dtype=torch.float64)
        with torch.no_grad():
            found = unit(maps)
        assert found.shape == (1, 3, 2, 3, 3)
        before = (0, 1, 0)  # 4 → 2 and 6 → 3 lack one place, 5 → 3 lacks two
        weight, norm = unit.conv3d.weight.detach().numpy(), unit.bn
        x = maps.numpy()[0]
        for o, t, i, j in product(range(3), range(2), range(3), range(3)):
            total = 0.0
            for c, a, b, d in product(range(2), range(3), range(3), range(3)):
                at = (2 * t + a - before[0], 2 * i + b - before[1], 2 * j + d - before[2])
                if all(0 <= p < n for p, n in zip(at, x.shape[1:], strict=True)):
                    total += weight[o, c, a, b, d] * x[c][at]
            mean, var = norm.running_mean[o].item(), norm.running_var[o].item()  # pyright: ignore
            gain, offset = norm.weight[o].item(), norm.bias[o].item()
            expected = max(0.0, (total - mean) / (var + 1e-3) ** 0.5 * gain + offset)
            assert found[0, o, t, i, j].item() == pytest.approx(expected, rel=1e-9, abs=1e-12)


def written_out(weights: dict[str, Tensor], clips: Tensor) -> Tensor:
    """The forward pass, layer by layer, with padding of its own; infinite around maxima."""

    def pads(x: Tensor, kernel, stride) -> list[int]:
        sides: list[int] = []
        for n, k, s in reversed(list(zip(x.shape[2:], kernel, stride, strict=True))):
            rest = n % s
            lack = max(k - s, 0) if rest == 0 else max(k - rest, 0)
            sides += [lack // 2, lack - lack // 2]
        return sides

    def unit(x: Tensor, name: str, stride=(1, 1, 1)) -> Tensor:
        kernel = weights[f"{name}.conv3d.weight"]
        y = functional.conv3d(
            functional.pad(x, pads(x, kernel.shape[2:], stride)), kernel, None, stride
        )
        mean, var, gain, offset = (
            weights[f"{name}.bn.{part}"][:, None, None, None]
            for part in ("running_mean", "running_var", "weight", "bias")
        )
        return ((y - mean) / torch.sqrt(var + 0.001) * gain + offset).clamp(min=0)

    def pool(x: Tensor, kernel, stride) -> Tensor:
        around = functional.pad(x, pads(x, kernel, stride), value=-torch.inf)
        return functional.max_pool3d(around, kernel, stride)

    def mixed(x: Tensor, name: str) -> Tensor:
        third = unit(unit(x, f"{name}.b2a"), f"{name}.b2b")
        second = unit(unit(x, f"{name}.b1a"), f"{name}.b1b")
        fourth = unit(pool(x, (3, 3, 3), (1, 1, 1)), f"{name}.b3b")
        return torch.cat([unit(x, f"{name}.b0"), second, third, fourth], 1)

    x = unit(clips, "Conv3d_1a_7x7", (2, 2, 2))
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = unit(unit(x, "Conv3d_2b_1x1"), "Conv3d_2c_3x3")
    x = pool(x, (1, 3, 3), (1, 2, 2))
    x = mixed(mixed(x, "Mixed_3b"), "Mixed_3c")
    x = pool(x, (3, 3, 3), (2, 2, 2))
    for letter in "bcdef":
        x = mixed(x, f"Mixed_4{letter}")
    x = pool(x, (2, 2, 2), (2, 2, 2))
    x = mixed(mixed(x, "Mixed_5b"), "Mixed_5c").mean((3, 4))
    pairs = (x[..., :-1] + x[..., 1:]) / 2
    matrix = weights["logits.conv3d.weight"][..., 0, 0, 0]
    return (
        torch.einsum("kc,bct->bkt", matrix, pairs) + weights["logits.conv3d.bias"][:, None]
    ).mean(2)


class TestForward:
    """What comes out."""

    @pytest.mark.parametrize("shape", [(2, 3, 16, 32, 24), (1, 3, 9, 17, 15), (1, 3, 21, 16, 16)])
    def test_equals_the_layers_written_out(self, network: I3d, shape):
        torch.manual_seed(2)
        clips = torch.rand(shape) * 2 - 1
        found, expected = network(clips), written_out(state(network), clips)
        assert found.shape == (shape[0], 400)
        assert expected.std() > 0.05
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)

    def test_clips_do_not_see_each_other(self, network: I3d):
        torch.manual_seed(3)
        clips = torch.rand(3, 3, 10, 32, 32) * 2 - 1
        both = network(clips)
        torch.testing.assert_close(network(clips[1:2]), both[1:2], rtol=1e-4, atol=1e-4)
        assert (both[0] - both[1]).abs().max() > 1e-2

    def test_order_in_time_matters(self, network: I3d):
        clips = torch.rand(1, 3, 12, 32, 32, generator=torch.Generator().manual_seed(4))
        assert (network(clips) - network(clips.flip(2))).abs().max() > 1e-3


class TestPrepared:
    """What FVD feeds the network with."""

    @pytest.mark.parametrize(("size", "side"), [((5, 7), 11), ((9, 6), 4), ((6, 6), 6)])
    def test_pixels_lie_at_multiples_of_the_ratio(self, size, side: int):
        image = np.random.default_rng(0).random(size)
        found = resized(torch.from_numpy(image)[None, None].float(), side)[0, 0].numpy()
        for i, j in product(range(side), range(side)):
            y, x = i * size[0] / side, j * size[1] / side
            top, left = int(y), int(x)
            down, right = min(top + 1, size[0] - 1), min(left + 1, size[1] - 1)
            v, u = y - top, x - left
            above = image[top, left] * (1 - u) + image[top, right] * u
            below = image[down, left] * (1 - u) + image[down, right] * u
            assert found[i, j] == pytest.approx(above * (1 - v) + below * v, abs=1e-6)

    def test_range_axes_and_size(self):
        clips = torch.rand(2, 10, 3, 6, 8, generator=torch.Generator().manual_seed(0))
        clips[0, 3, 1] = 0.75
        found = prepared(clips)
        assert found.shape == (2, 3, 10, 224, 224)
        assert (found[0, 1, 3] == 0.5).all()
        assert prepared(torch.zeros(1, 10, 3, 4, 4)).unique().tolist() == [-1]
        assert prepared(torch.ones(1, 10, 3, 4, 4)).unique().tolist() == [1]
        large = torch.rand(1, 10, 3, 224, 224)
        assert torch.equal(prepared(large), 2 * large.transpose(1, 2) - 1)

    def test_gray_is_repeated(self):
        gray = torch.rand(1, 10, 1, 5, 5)
        assert torch.equal(prepared(gray), prepared(gray.expand(-1, -1, 3, -1, -1)))

    def test_what_does_not_fit_is_refused(self):
        with pytest.raises(FramecastError, match="1 or 3 channels, not 2"):
            prepared(torch.zeros(1, 10, 2, 4, 4))
        with pytest.raises(FramecastError, match="9 frames is too short for FVD: 10 at least"):
            prepared(torch.zeros(1, 9, 3, 4, 4))


class TestWeights:
    """A folder of weights."""

    @pytest.mark.slow
    def test_a_checkpoint_is_converted_and_used(self, network: I3d, tmp_path: Path):
        source = tmp_path / "rgb_imagenet.pt"
        torch.save(network.state_dict(), source)
        digest = hashlib.sha256(source.read_bytes()).hexdigest()
        done = files.convert(source, tmp_path / i3d.FILE, digest)
        assert done.parameters >= 12_697_264
        assert i3d.missing(tmp_path) is None
        loaded = i3d.load(tmp_path, CPU)
        assert loaded is i3d.load(tmp_path, CPU)
        for name, tensor in state(network).items():
            assert torch.equal(loaded.state_dict()[name], tensor), name
        clips = torch.rand(1, 10, 1, 16, 16, generator=torch.Generator().manual_seed(0))
        found = I3dLogits(tmp_path)(clips)
        torch.testing.assert_close(found, network(prepared(clips)))

    def test_a_file_without_counters_and_in_half_precision_is_enough(self, network, tmp_path: Path):
        half = {name: tensor.half() for name, tensor in state(network).items()}
        save_file(half, tmp_path / "half.safetensors")
        other = I3d()
        other.fill(tmp_path / "half.safetensors")
        for name, tensor in half.items():
            assert torch.equal(other.state_dict()[name], tensor.float())

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"Mixed_4c.b1b.bn.running_mean": None}, "has no Mixed_4c.b1b.bn.running_mean"),
            ({"logits.conv3d.bias": torch.zeros(157)}, "bias is of 157, .* I3D of 400 classes"),
            ({"fc.weight": torch.zeros(1)}, "fc.weight is no tensor of I3D"),
            ({"logits.conv3d.bias": torch.full((400,), torch.nan)}, "bias is not finite"),
        ],
    )
    def test_another_network_is_refused_in_one_line(self, network, tmp_path, change, message):
        path = tmp_path / i3d.FILE
        mixed = {**state(network), **change}
        save_file({name: tensor for name, tensor in mixed.items() if tensor is not None}, path)
        other = I3d()
        before = other.state_dict()["Conv3d_1a_7x7.conv3d.weight"].clone()
        with pytest.raises(FramecastError, match=message) as caught:
            other.fill(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
        assert torch.equal(other.state_dict()["Conv3d_1a_7x7.conv3d.weight"], before)

    def test_what_is_missing_is_said(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
        assert "FRAMECAST_WEIGHTS" in (i3d.missing(None) or "")
        assert i3d.missing(tmp_path) == f"{tmp_path} lacks i3d-kinetics-400.safetensors"
        with pytest.raises(FramecastError, match="FVD needs the weights of I3D: no folder"):
            i3d.load(None, CPU)
        monkeypatch.setenv("FRAMECAST_WEIGHTS", str(tmp_path))
        (tmp_path / i3d.FILE).write_bytes(b"no tensors")
        assert i3d.missing(None) is None
        with pytest.raises(FramecastError, match="not a safetensors file"):
            i3d.load(None, CPU)
