"""The protocols by name: what `framecast.registry.PROTOCOLS` points at.

`context-horizon@whose`: without a name behind the @ it is the usual way to evaluate; with one, the
way of that paper where it differs. A protocol stands here once its data can be read. The first line
of a docstring is what lists of protocols show.

Reference: S-HR-VQVAE, V3D-ConvLSTM and HAF-SVG, each in the section on its evaluation.
"""

from dataclasses import replace

from framecast.data.arrays import Arrays
from framecast.data.bair import Bair
from framecast.data.bridge import Bridge
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.data.moving_digits_file import MovingDigitsFile
from framecast.data.video_folder import VideoFolder
from framecast.evaluation.protocol import Protocol

_GENERATED = "sequences are generated: equal in kind, not in content, to the published test file"
_SAME_DIGITS = "the digits of the test sequences are those of the training sequences"
_BEST = "the best sample by SSIM and, separately, the best by PSNR"
_OLD_SSIM = "SSIM of the set svg assumes a data range of 2, which inflates it"
_UNPUBLISHED = "no published figure compares with it"
_OPEN_COUNT = "the paper does not say how many test sequences there are; here 1,000"
_EVERY = "every test window is predicted; the published code draws some at random"
_WHOLE = "whole clips, for official ranges can be too short; people may leave the view"


def _digits(name: str, context: int, horizon: int, test_size: int = 10_000) -> Protocol:
    data = MovingDigits(variant="srivastava", test_size=test_size)
    return Protocol(name, data, context, horizon, size=(64, 64), notes=(_GENERATED,))


def _glyphs(context: int, horizon: int, test_size: int) -> Protocol:
    return Protocol(
        f"glyphs/{context}-{horizon}",
        MovingDigits(digits="glyphs", test_size=test_size),
        context,
        horizon,
        size=(64, 64),
        notes=(_UNPUBLISHED,),
    )


def _digits_v3d(context: int, horizon: int) -> Protocol:
    return Protocol(
        f"moving-mnist/{context}-{horizon}@v3d",
        MovingDigits(variant="v3d", pool="train", test_size=1_000),
        context,
        horizon,
        size=(64, 64),
        samples=50,
        reduce="mean",
        notes=(_SAME_DIGITS,),
    )


def _digits_svg(name: str, data: MovingDigits) -> Protocol:
    return Protocol(
        name,
        replace(data, test_size=1_000),
        5,
        25,
        size=(64, 64),
        samples=100,
        reduce="best-of",
        best_by=("ssim", "psnr"),
        metrics="svg",
        notes=(_BEST, _OLD_SSIM, _OPEN_COUNT),
    )


def _kth(horizon: int) -> Protocol:
    whole = horizon > 20
    return Protocol(
        f"kth/10-{horizon}",
        Kth(size=128, persons="1-16/17-25", span="clip" if whole else "range"),
        10,
        horizon,
        size=(128, 128),
        notes=("persons 1-14 train, 15-16 validate, 17-25 test", *((_WHOLE,) if whole else ())),
    )


def _kth_v3d(horizon: int) -> Protocol:
    protocol = _kth(horizon)
    return replace(protocol, name=f"{protocol.name}@v3d", samples=50, reduce="mean")


def moving_mnist_10_10() -> Protocol:
    """Two MNIST digits, 10 frames to 10, 10,000 test sequences."""
    return _digits("moving-mnist/10-10", 10, 10)


def moving_mnist_5_10() -> Protocol:
    """Two MNIST digits, 5 frames to 10, 10,000 test sequences."""
    return _digits("moving-mnist/5-10", 5, 10)


def moving_mnist_5_15() -> Protocol:
    """Two MNIST digits, 5 frames to 15, 10,000 test sequences."""
    return _digits("moving-mnist/5-15", 5, 15)


def moving_mnist_10_20() -> Protocol:
    """Two MNIST digits, 10 frames to 20, 10,000 test sequences."""
    return _digits("moving-mnist/10-20", 10, 20)


def moving_mnist_4_12() -> Protocol:
    """Two MNIST digits, 4 frames to 12 as Video VQ-VAE has them, 10,000 test sequences."""
    return _digits("moving-mnist/4-12", 4, 12)


def moving_mnist_10_10_s_hr() -> Protocol:
    """Two MNIST digits, 10 frames to 10, the 5,000 sequences of S-HR-VQVAE."""
    return _digits("moving-mnist/10-10@s-hr", 10, 10, test_size=5_000)


def moving_mnist_10_10_v3d() -> Protocol:
    """Two MNIST digits as in V3D-ConvLSTM, 10 frames to 10, mean of 50 samples."""
    return _digits_v3d(10, 10)


def moving_mnist_5_10_v3d() -> Protocol:
    """Two MNIST digits as in V3D-ConvLSTM, 5 frames to 10, mean of 50 samples."""
    return _digits_v3d(5, 10)


def moving_mnist_5_15_v3d() -> Protocol:
    """Two MNIST digits as in V3D-ConvLSTM, 5 frames to 15, mean of 50 samples."""
    return _digits_v3d(5, 15)


def moving_mnist_10_20_v3d() -> Protocol:
    """Two MNIST digits as in V3D-ConvLSTM, 10 frames to 20, mean of 50 samples."""
    return _digits_v3d(10, 20)


def moving_mnist_2_5_25() -> Protocol:
    """Two digits as in SVG, 5 frames to 25, best of 100 samples."""
    return _digits_svg("moving-mnist-2/5-25", MovingDigits(variant="svg-deterministic", count=2))


def moving_mnist_3_5_25() -> Protocol:
    """Three digits as in SVG, 5 frames to 25, best of 100 samples."""
    return _digits_svg("moving-mnist-3/5-25", MovingDigits(variant="svg-deterministic", count=3))


def stochastic_2_5_25() -> Protocol:
    """Two digits that bounce at random, 5 frames to 25, best of 100 samples."""
    data = MovingDigits(variant="svg-stochastic", count=2)
    return _digits_svg("stochastic-moving-mnist/5-25", data)


def stochastic_3_5_25() -> Protocol:
    """Three digits that bounce at random, 5 frames to 25, best of 100 samples."""
    data = MovingDigits(variant="svg-stochastic", count=3)
    return _digits_svg("stochastic-moving-mnist-3/5-25", data)


def moving_mnist_file_10_10() -> Protocol:
    """The published file of Moving-MNIST, 10 frames to 10."""
    return Protocol("moving-mnist-file/10-10", MovingDigitsFile(), 10, 10, size=(64, 64))


def glyphs_10_10() -> Protocol:
    """Two digits drawn with a font, 10 frames to 10; needs no download."""
    return _glyphs(10, 10, test_size=1_000)


def glyphs_5_5() -> Protocol:
    """Two digits drawn with a font, 5 frames to 5, 200 test sequences; needs no download."""
    return _glyphs(5, 5, test_size=200)


def glyphs_5_5_samples() -> Protocol:
    """Two digits drawn with a font, 5 frames to 5, mean of 10 samples; needs no download."""
    return replace(glyphs_5_5(), name="glyphs/5-5@10-samples", samples=10, reduce="mean")


def stochastic_glyphs_5_10() -> Protocol:
    """Two drawn digits that bounce at random, 5 frames to 10, best of 20; needs no download."""
    return Protocol(
        "stochastic-glyphs/5-10",
        MovingDigits(digits="glyphs", variant="svg-stochastic", test_size=100),
        5,
        10,
        size=(64, 64),
        samples=20,
        reduce="best-of",
        best_by=("ssim", "psnr"),
        metrics="svg",
        notes=(_UNPUBLISHED, _BEST, _OLD_SSIM),
    )


def kth_10_20() -> Protocol:
    """KTH at 128 pixels, 10 frames to 20, persons 17-25."""
    return _kth(20)


def kth_10_40() -> Protocol:
    """KTH at 128 pixels, 10 frames to 40, persons 17-25."""
    return _kth(40)


def kth_10_60() -> Protocol:
    """KTH at 128 pixels, 10 frames to 60, persons 17-25."""
    return _kth(60)


def kth_10_20_v3d() -> Protocol:
    """KTH at 128 pixels, 10 frames to 20, persons 17-25, mean of 50 samples."""
    return _kth_v3d(20)


def kth_10_40_v3d() -> Protocol:
    """KTH at 128 pixels, 10 frames to 40, persons 17-25, mean of 50 samples."""
    return _kth_v3d(40)


def kth_10_60_v3d() -> Protocol:
    """KTH at 128 pixels, 10 frames to 60, persons 17-25, mean of 50 samples."""
    return _kth_v3d(60)


def kth_10_20_svg() -> Protocol:
    """KTH at 64 pixels as in SVG, 10 frames to 20, persons 21-25, best of 100 samples."""
    return Protocol(
        "kth/10-20@svg",
        Kth(size=64, persons="1-20/21-25", span="range"),
        10,
        20,
        size=(64, 64),
        samples=100,
        reduce="best-of",
        best_by=("ssim", "psnr"),
        metrics="svg",
        notes=(
            "persons 1-14 and 17-20 train, 15-16 validate, 21-25 test",
            _BEST,
            _OLD_SSIM,
            _EVERY,
        ),
    )


def bair_2_28() -> Protocol:
    """BAIR robot pushing as in SVG, 2 frames to 28, best of 100 samples."""
    return Protocol(
        "bair/2-28",
        Bair(),
        2,
        28,
        channels=3,
        size=(64, 64),
        samples=100,
        reduce="best-of",
        best_by=("ssim", "psnr"),
        metrics="svg",
        notes=("each of the 256 test episodes from its first frame", _BEST, _OLD_SSIM),
    )


def video_folder() -> Protocol:
    """A folder of your own videos: you say context, horizon and size."""
    return Protocol("video-folder", VideoFolder(), None, None, channels=None, own=True)


def arrays() -> Protocol:
    """Your own arrays in units: you say context, horizon, range and thresholds."""
    return Protocol("arrays", Arrays(), None, None, channels=None, own=True)


def bridge() -> Protocol:
    """Your own robot videos in the RLDS layout: you say context, horizon and size."""
    return Protocol("bridge", Bridge(), None, None, channels=3, own=True)
