"""Video VQ-VAE: tokens of clips on two grids in space and time."""

from framecast.models.video_vqvae.model import VideoVQVAE
from framecast.models.video_vqvae.stages import AutoencoderStage

__all__ = ["AutoencoderStage", "VideoVQVAE"]
