"""STIP: two-stream autoencoder, spatiotemporal GRUs, learned perceptual loss."""

from framecast.models.stip.model import STIP
from framecast.models.stip.stages import Training

__all__ = ["STIP", "Training"]
