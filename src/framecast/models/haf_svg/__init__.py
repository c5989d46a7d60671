"""HAF-SVG: a recurrent VAE with a learned prior in groups and aligned features; SVG-LP with it."""

from framecast.models.haf_svg.model import HAFSVG
from framecast.models.haf_svg.stages import Training

__all__ = ["HAFSVG", "Training"]
