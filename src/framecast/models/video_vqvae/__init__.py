"""Video VQ-VAE: tokens of clips on two grids in space and time, and two priors of them."""

from framecast.models.video_vqvae.model import VideoVQVAE
from framecast.models.video_vqvae.stages import AutoencoderStage, BottomStage, TopStage

__all__ = ["AutoencoderStage", "BottomStage", "TopStage", "VideoVQVAE"]
