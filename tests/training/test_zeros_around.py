"""Gradients of 3-D convolutions in bfloat16, whose kernels may be larger than their maps."""

import pytest
import torch
from torch import nn
from torch.nn import functional

from framecast import registry
from framecast.clip import collate
from framecast.training.options import RunOptions, ZerosAround, numerics
from framecast.training.place import initial_model


def dirty() -> None:
    """Leave memory full of numbers that nothing should ever be made of."""
    for size in (1000, 10_000, 50_000, 100_000, 300_000, 1_000_000):
        torch.full((size,), 1e30)


def gradients(shape: tuple[int, ...], kernel: tuple[int, ...], padding, dtype) -> list:
    draw = torch.Generator().manual_seed(0)
    x = torch.randn(4, 32, *shape, generator=draw)
    weight = torch.randn(32, 32, *kernel, generator=draw)
    bias = torch.randn(32, generator=draw)
    parts = [each.to(dtype).requires_grad_() for each in (x, weight, bias)]
    dirty()
    out = functional.conv3d(parts[0], parts[1], parts[2], padding=padding)
    (out * torch.randn(out.shape, generator=draw).to(dtype)).sum().backward()
    return [out.detach(), *(each.grad for each in parts)]


@pytest.mark.parametrize(
    ("shape", "kernel", "padding"),
    [
        *[((2, 8, 8), (3, 3, 3), 1), ((1, 8, 8), (2, 5, 5), (1, 2, 2))],
        *[((3, 8, 8), (5, 3, 3), (2, 1, 1)), ((4, 2, 2), (1, 7, 7), (0, 3, 3))],
        *[((4, 8, 8), (3, 3, 3), 1), ((2, 8, 8), (3, 3, 3), "same")],
    ],
)
def test_bfloat16_is_single_precision_but_for_rounding(shape, kernel, padding) -> None:
    """It fails without zeros around, or is right by luck: it depends on what memory holds."""
    wanted = gradients(shape, kernel, padding, torch.float32)
    with ZerosAround():
        again = gradients(shape, kernel, padding, torch.float32)
        found = gradients(shape, kernel, padding, torch.bfloat16)
    for one, two, three in zip(wanted, again, found, strict=True):
        assert torch.allclose(one, two, rtol=1e-4, atol=1e-3), "what is computed is the same"
        if padding != "same":
            assert float((three.float() - one).norm() / one.norm()) < 0.02


def test_one_clip_without_a_batch_and_a_stride() -> None:
    layer = nn.Conv3d(3, 4, (5, 3, 3), stride=(2, 1, 1), padding=(2, 1, 1))
    clip = torch.rand(3, 2, 6, 6)
    with ZerosAround():
        one, batch = layer(clip), layer(clip[None])
    assert torch.allclose(one, layer(clip), atol=1e-6)
    assert torch.allclose(batch[0], one, atol=1e-6)


@pytest.mark.parametrize("name", ["v3d-convlstm/tiny", "video-vqvae/tiny"])
def test_a_training_step_in_bfloat16(name: str) -> None:
    """Gradients have the size that they have in single precision."""
    found = registry.find("presets", name)()
    config = next(iter(found.stages.values()))
    clips = found.source("train")
    norms = []
    for precision in ("32-true", "bf16-mixed"):
        options = RunOptions(accelerator="cpu", precision=precision)
        stage = config.build(initial_model(found), found.context)
        stage.begin()
        torch.manual_seed(1)
        with numerics(options, torch.device("cpu")):
            mixed = torch.autocast("cpu", torch.bfloat16, enabled=precision != "32-true")
            dirty()
            source = stage.source(clips)
            batch = collate([source[(0, index)] for index in range(4)])
            with mixed:
                total = stage(stage.phases[0], batch, 0)["total"]
            total.backward()
        grads = [p.grad for p in stage.parameters() if p.grad is not None]
        norms.append(float(torch.stack([g.norm() for g in grads]).norm()))
    assert norms[1] == pytest.approx(norms[0], rel=0.1)
