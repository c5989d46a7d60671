"""A small Video VQ-VAE whose codewords are all in use, and clips for it."""

import torch

from framecast.clip import Clip
from framecast.layers.codebooks import initialise
from framecast.models.video_vqvae.autoencoder import AutoencoderConfig, Level
from framecast.models.video_vqvae.bottom import BottomConditioningConfig, BottomConfig
from framecast.models.video_vqvae.model import VideoVQVAE, VideoVQVAEConfig
from framecast.models.video_vqvae.top import TopConditioningConfig, TopConfig
from layers.processes import Alone

TOP = TopConfig(
    layers=2,
    hidden=8,
    residual=8,
    dropout=0.1,
    attention_every=2,
    heads=2,
    conditioning=TopConditioningConfig(embedding=4, squeezed=6, blocks=1, residual=4),
)
BOTTOM = BottomConfig(
    layers=2,
    hidden=8,
    residual=8,
    kernel=3,
    attention_every=2,
    heads=2,
    conditioning=BottomConditioningConfig(embedding=4, hidden=6, blocks=1, residual=4, window=3),
)


def tiny(channels: int = 1, stride: int = 2, seed: int = 0, **sizes: int) -> VideoVQVAE:
    """In evaluation mode."""
    torch.manual_seed(seed)
    networks = AutoencoderConfig(hidden=6, residual=3, blocks=2, stride=stride)
    fields = {"codewords": 5, "width": 3, "future": 4, **sizes}
    config = VideoVQVAEConfig(
        channels=channels, autoencoder=networks, top=TOP, bottom=BOTTOM, **fields
    )
    model = config.build()
    spread_tokens(model)
    return model.eval()


def spread_tokens(model: VideoVQVAE) -> None:
    """Weights with which frames reach latent vectors, which are spread over all codewords, and
    tokens reach other tokens."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.kaiming_normal_(parameter)
    channels = model.config.channels
    with torch.no_grad():
        volumes = model.autoencoder(clips(8, 8, 16, channels, seed=99).frames)
    for level, volume in zip(levels(model).values(), volumes, strict=True):
        initialise(level.codebook, volume.quantised.vectors, 1, Alone())


def levels(model: VideoVQVAE) -> dict[str, Level]:
    return {"top": model.autoencoder.top, "bottom": model.autoencoder.bottom}


def clips(
    batch: int = 2, length: int = 8, size: int = 16, channels: int = 1, seed: int = 3
) -> Clip:
    """Random frames."""
    generator = torch.Generator().manual_seed(seed)
    return Clip(torch.rand((batch, length, channels, size, size), generator=generator))
