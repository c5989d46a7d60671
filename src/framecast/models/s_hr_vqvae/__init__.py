"""S-HR-VQVAE: hierarchical residual codes of frames, and a causal prior over them."""

from framecast.models.s_hr_vqvae.model import SHRVQVAE
from framecast.models.s_hr_vqvae.stages import AutoencoderStage, JointStage, PriorStage

__all__ = ["SHRVQVAE", "AutoencoderStage", "JointStage", "PriorStage"]
