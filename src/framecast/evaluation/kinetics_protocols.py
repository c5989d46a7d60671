"""The protocols of Kinetics-600, by name.

Reference: Video VQ-VAE, section 5.2 and table 2.
"""

from dataclasses import replace

from framecast.data.kinetics import Kinetics
from framecast.evaluation.protocol import Protocol

SAMPLES = 39_000
"""Futures that the paper's FVD is of."""

_WHICH = (
    "the paper does not say of which videos its 39,000 samples are; here of the first 39,000 test "
    "videos in an order that mixes the classes, one of each, from the first frame"
)
_FOLDS = "2-fold: the distance of each half of the sequences and their mean; ± in the paper is open"
_WHOLE = "FVD is of 16 frames, the 4 observed ones included"
_STAR = "FVD* is against encoded and decoded true clips, observed frames decoded on both sides"
_SCALED = (
    "frames of 256 pixels are predicted, then both sides are scaled down; a model of 64 pixels is "
    "measured on data.size 64"
)


def kinetics_600_4_12() -> Protocol:
    """Kinetics-600 at 256 pixels, 4 frames to 12, FVD of 39,000 samples."""
    return Protocol(
        "kinetics-600/4-12",
        Kinetics(size=256),
        4,
        12,
        channels=3,
        size=(256, 256),
        sequences=SAMPLES,
        samples=1,
        metrics="fvd",
        notes=(_WHICH, _WHOLE, _FOLDS, _STAR),
    )


def kinetics_600_fvd_64() -> Protocol:
    """Kinetics-600 predicted at 256 pixels and scored at 64, 4 frames to 12, FVD."""
    plain = kinetics_600_4_12()
    return replace(
        plain, name="kinetics-600/fvd-64", resize=(64, 64), notes=(_SCALED, *plain.notes)
    )
