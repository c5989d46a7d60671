"""A small Video VQ-VAE whose codewords are all in use, and clips for it."""

import torch

from framecast.clip import Clip
from framecast.layers.codebooks import initialise
from framecast.models.video_vqvae.autoencoder import AutoencoderConfig, Level
from framecast.models.video_vqvae.model import VideoVQVAE, VideoVQVAEConfig
from layers.processes import Alone


def tiny(channels: int = 1, stride: int = 2, seed: int = 0, **sizes: int) -> VideoVQVAE:
    """In evaluation mode."""
    torch.manual_seed(seed)
    networks = AutoencoderConfig(hidden=6, residual=3, blocks=2, stride=stride)
    config = VideoVQVAEConfig(
        channels=channels, autoencoder=networks, **{"codewords": 5, "width": 3, **sizes}
    )
    model = config.build()
    for parameter in model.parameters():
        if parameter.ndim > 1:  # enough for frames to reach latent vectors
            torch.nn.init.kaiming_normal_(parameter)
    with torch.no_grad():
        volumes = model.autoencoder(clips(8, 8, 16, channels, seed=99).frames)
    for level, volume in zip(levels(model).values(), volumes, strict=True):
        initialise(level.codebook, volume.quantised.vectors, 1, Alone())
    return model.eval()


def levels(model: VideoVQVAE) -> dict[str, Level]:
    return {"top": model.autoencoder.top, "bottom": model.autoencoder.bottom}


def clips(
    batch: int = 2, length: int = 8, size: int = 16, channels: int = 1, seed: int = 3
) -> Clip:
    """Random frames."""
    generator = torch.Generator().manual_seed(seed)
    return Clip(torch.rand((batch, length, channels, size, size), generator=generator))
