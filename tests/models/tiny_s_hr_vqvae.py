"""A small S-HR-VQVAE."""

from framecast.models.s_hr_vqvae.autoencoder import AutoencoderConfig
from framecast.models.s_hr_vqvae.model import SHRVQVAEConfig
from framecast.models.s_hr_vqvae.prior import PriorConfig

SMALL = SHRVQVAEConfig(
    layers=2,
    codewords=3,
    width=2,
    autoencoder=AutoencoderConfig(hidden=8, blocks=1, bottleneck=4),
    prior=PriorConfig(hidden=8, convolutions=2, heads=2),
)
