"""Small V3D-ConvLSTMs in double precision, for the oracle to be held against."""

from dataclasses import replace

import torch
from torch import Tensor, nn

from framecast.layers.batch_norm import BatchNorm
from framecast.models.v3d_convlstm.model import V3DConvLSTM, V3DConvLSTMConfig
from models import naive_v3d

SMALL = V3DConvLSTMConfig(width=4, hidden=3, latent=2, trunk=6)
EXACT = {"rtol": 1e-10, "atol": 1e-10}
GEOMETRIES = [(2, 1), (2, 2), (4, 1), (4, 2), (4, 3), (4, 4), (6, 1), (6, 4), (6, 5), (6, 6)]
"""Window and advance."""
SHAPES = [
    *({"window": window, "advance": advance} for window, advance in GEOMETRIES),
    {"window": 1, "depth": 1},
]


def build(**fields) -> V3DConvLSTM:
    """A small model in double precision; no weight or statistic is what it starts as.

    Statistics are not far from those of the clips below, so that little of a map is cut off.
    """
    model = V3DConvLSTM(replace(SMALL, **fields)).double()
    generator = torch.Generator().manual_seed(0)
    for name, tensor in model.named_parameters():
        if tensor.ndim > 1:
            nn.init.normal_(tensor, std=1.6 * tensor[0].numel() ** -0.5, generator=generator)
        else:
            nn.init.normal_(tensor, std=0.3, generator=generator)
            tensor.data.add_(name.endswith("1.weight"))
    window = clips(model.config.window, batch=8, channels=model.config.channels, seed=9)
    with torch.no_grad():
        for encode in (model.train().encode, model.encode_target):
            encode(window)
    for norm in (module for module in model.modules() if isinstance(module, BatchNorm)):
        seen = norm.seen[0]
        norm.mean.copy_(seen.mean + torch.randn(seen.mean.shape, generator=generator) / 10)
        norm.variance.copy_(
            seen.variance * (0.5 + torch.rand(seen.mean.shape, generator=generator))
        )
        norm.seen.clear()
    return model.eval()


def settings(model: V3DConvLSTM) -> naive_v3d.Settings:
    """The same for the oracle."""
    config = model.config
    return naive_v3d.Settings(
        config.window,
        config.advance,
        config.depth,
        config.layers,
        config.latent,
        config.posterior_encoder == "separate",
    )


def weights(model: V3DConvLSTM) -> naive_v3d.Weights:
    """The model's own tensors under the oracle's names, with gradients."""
    tensors = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return naive_v3d.read(tensors, settings(model))


def clips(
    length: int, *, channels: int = 1, batch: int = 2, seed: int = 1, size: tuple[int, int] = (8, 4)
) -> Tensor:
    """Random frames in double precision."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, length, channels, *size)
    return torch.rand(shape, generator=generator, dtype=torch.float64)
