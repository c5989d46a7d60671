"""Video VQ-VAE at the paper's sizes: parameters at full width, a step of every stage at full
geometry, and recomputation, by which the priors fit a machine."""

import gc
from dataclasses import replace
from math import prod

import pytest
import torch
from lightning_fabric import Fabric
from tiny_video_vqvae import clips, tiny
from torch import Tensor, nn

from framecast.clip import Clip
from framecast.layers.autoregressive import Rule
from framecast.models.video_vqvae.autoencoder import AutoencoderConfig
from framecast.models.video_vqvae.bottom import BottomConditioningConfig, BottomConfig
from framecast.models.video_vqvae.cache import Drawing
from framecast.models.video_vqvae.model import VideoVQVAE, VideoVQVAEConfig
from framecast.models.video_vqvae.stages import (
    AutoencoderStage,
    AutoencoderTraining,
    BlockCoder,
    BottomStage,
    BottomTraining,
    TopStage,
    TopTraining,
)
from framecast.models.video_vqvae.top import TopConditioningConfig, TopConfig
from framecast.noise import Noise
from framecast.stage import Stage
from framecast.tokens import Codes
from framecast.training.trainer import Trainer

# ---- full width


def convolutions(*shapes: tuple[int, ...]) -> int:
    """Weights and biases, by channels out, channels in and filter."""
    return sum(prod(shape) + shape[0] for shape in shapes)


def autoencoder_by_hand() -> int:
    """Table 3, tensor by tensor: 128 channels, 32 in residual blocks, 2 × 512 codewords of 64."""
    stack = 2 * convolutions((32, 128, 3, 3, 3), (128, 32, 1))
    encoders = convolutions((128, 3, 4, 8, 8), (128, 128, 4, 4, 4)) + 2 * stack
    levels = 2 * (convolutions((64, 128, 1)) + 512 * 64)
    upsample = 64 * 64 * 4**3 + 64
    decoder = convolutions((128, 128, 3, 3, 3)) + stack + 128 * 3 * 4 * 8 * 8 + 3
    return encoders + levels + upsample + decoder


def test_parameters_at_full_width() -> None:
    """Nothing is allocated."""
    with torch.device("meta"):
        model = VideoVQVAEConfig().build()
    counts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
    }
    assert counts["autoencoder"] == autoencoder_by_hand()
    assert counts == {"autoencoder": 2_721_283, "top": 563_893_632, "bottom": 406_585_344}
    assert isinstance(model, VideoVQVAE)
    assert model.grids(16, 256, 256) == ((4, 32, 32), (8, 64, 64))


# ---- full geometry

NARROW = VideoVQVAEConfig(
    width=8,
    autoencoder=AutoencoderConfig(hidden=8, residual=4),
    top=TopConfig(
        hidden=8,
        residual=16,
        conditioning=TopConditioningConfig(embedding=4, squeezed=8, residual=4),
    ),
    bottom=BottomConfig(
        hidden=8, residual=16, conditioning=BottomConditioningConfig(4, 8, residual=4)
    ),
)
"""All layers, heads and filters of the paper; of its widths a fraction."""


def stages_of(model: VideoVQVAE, recompute: bool = False) -> dict[str, Stage]:
    return {
        "autoencoder": AutoencoderStage(AutoencoderTraining(), model, 4),
        "top": TopStage(TopTraining(recompute=recompute), model, 4),
        "bottom": BottomStage(BottomTraining(recompute=recompute), model, 4),
    }


def film() -> Clip:
    """Sixteen frames of 256×256 in which colours move."""
    generator = torch.Generator().manual_seed(5)
    coarse = torch.rand(1, 3, 20, 16, 16, generator=generator)
    smooth = nn.functional.interpolate(coarse, (16, 256, 256), mode="trilinear")
    return Clip(smooth.transpose(1, 2).contiguous())


@pytest.fixture(scope="module")
def narrow() -> VideoVQVAE:
    torch.manual_seed(0)
    model = NARROW.build()
    assert isinstance(model, VideoVQVAE)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("name", ["autoencoder", "top", "bottom"])
def test_a_step_of_every_stage(narrow: VideoVQVAE, name: str) -> None:
    """4 + 12 frames of 256×256: finite losses, and every parameter that learns moves."""
    stage = stages_of(narrow)[name]
    trainer = Trainer(Fabric(accelerator="cpu"), stage, name, 0)
    own = {id(p) for p in stage.parameters_of("main")}
    before = {key: p.detach().clone() for key, p in narrow.named_parameters()}
    batch = film() if name == "autoencoder" else BlockCoder(narrow).encode(film())
    values = trainer.step([batch])
    assert torch.tensor(list(values.values())).isfinite().all()
    books = {f"autoencoder.{level}.codebook.codebooks.0" for level in ("top", "bottom")}
    for key, parameter in narrow.named_parameters():
        moved = not torch.equal(before[key], parameter)
        learns = id(parameter) in own or (name == "autoencoder" and key in books)
        assert moved == learns, key
        assert parameter.isfinite().all()
    if isinstance(batch, Codes):
        assert batch.grids == ((4, 32, 32), (8, 64, 64))


@pytest.mark.slow
def test_a_slice_of_either_level_is_drawn(narrow: VideoVQVAE) -> None:
    """1,024 places in the top grid and 4,096 in the bottom one."""
    model = narrow.eval()
    drawing = Drawing(Noise.of(0, range(1), 1), Rule(), "fixed-point")
    with torch.no_grad():
        top, bottom = model.tokenize_context(film().frames)
        first = next(iter(model.top.generate(top, bottom, 1, drawing)))
        whole = torch.cat([top, first.tokens.unsqueeze(1).expand(-1, 3, -1, -1)], 1)
        second = next(iter(model.bottom.generate(whole, bottom, drawing)))
    for drawn, size in ((first, 32), (second, 64)):
        assert drawn.tokens.shape == (1, size, size)
        assert drawn.log_prob.isfinite().all()
        assert len(drawn.tokens.unique()) > 100
        assert 0 <= drawn.tokens.min() <= drawn.tokens.max() < 512


# ---- recomputation


def visible() -> dict[int, Tensor]:
    """All tensors that a Python object holds, by place."""
    gc.collect()
    alive = [x for x in gc.get_objects() if type(x) in (Tensor, nn.Parameter)]
    return {x.untyped_storage().data_ptr(): x for x in alive}


def held(stage: Stage, batch: object) -> tuple[int, list[Tensor]]:
    """Bytes that the forward pass keeps for the backward pass, and the gradients."""
    before, found = visible(), {}

    def keep(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage().data_ptr()] = tensor  # alive, so that no place comes twice
        return tensor

    torch.manual_seed(7)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total = stage("main", batch, 0)["total"]
    found.update(visible())  # what is computed again from is held by functions
    kept = sum(t.untyped_storage().nbytes() for place, t in found.items() if place not in before)
    return kept, list(torch.autograd.grad(total, stage.parameters_of("main")))


@pytest.mark.parametrize("name", ["top", "bottom"])
def test_recomputed_gradients_are_equal_and_hold_less(name: str) -> None:
    """With dropout, which is drawn alike the second time."""
    model = tiny(future=8)
    for prior in (model.top, model.bottom):
        for layer in prior.net.layers:
            layer.dropout.p = 0.3
    batch = BlockCoder(model).encode(clips(2, 12))
    plain, expected = held(stages_of(model)[name].train(), batch)
    less, found = held(stages_of(model, recompute=True)[name].train(), batch)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert any(gradient.any() for gradient in expected)
    assert less < 0.6 * plain, (less, plain)


def test_sizes_of_narrow_and_full_models_differ_in_width_alone() -> None:
    """The slow tests above take all layers."""
    full = VideoVQVAEConfig()
    for name in ("top", "bottom"):
        one, other = getattr(NARROW, name), getattr(full, name)
        widths = {"hidden": other.hidden, "residual": other.residual}
        assert replace(one, **widths, conditioning=other.conditioning) == other
        assert one.conditioning.blocks == other.conditioning.blocks
