"""The protocols by name: what `framecast.registry.PROTOCOLS` points at.

`context-horizon@whose`: without a name behind the @ it is the usual way to evaluate; with one, the
way of that paper where it differs. A protocol stands here once its data can be read.

Reference: S-HR-VQVAE, V3D-ConvLSTM and HAF-SVG, each in the section on its evaluation.
"""

from dataclasses import replace

from framecast.data.arrays import Arrays
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.data.moving_digits_file import MovingDigitsFile
from framecast.data.video_folder import VideoFolder
from framecast.evaluation.protocol import Protocol

_OLD_SSIM = "SSIM of the set svg assumes a data range of 2, which inflates it"
_OPEN_COUNT = "the paper does not say how many test sequences there are; here 1,000"
_DECIDED_BEST = "the best sample by SSIM and, separately, the best by PSNR"

MOVING_MNIST_10_10 = Protocol(
    name="moving-mnist/10-10",
    data=MovingDigits(variant="srivastava", test_size=10_000),
    context=10,
    horizon=10,
    size=(64, 64),
    notes=("sequences are generated: equal in kind, not in content, to the published test file",),
)
MOVING_MNIST_5_10 = replace(MOVING_MNIST_10_10, name="moving-mnist/5-10", context=5)
MOVING_MNIST_5_15 = replace(MOVING_MNIST_5_10, name="moving-mnist/5-15", horizon=15)
MOVING_MNIST_10_20 = replace(MOVING_MNIST_10_10, name="moving-mnist/10-20", horizon=20)
MOVING_MNIST_10_10_S_HR = replace(
    MOVING_MNIST_10_10,
    name="moving-mnist/10-10@s-hr",
    data=MovingDigits(variant="srivastava", test_size=5_000),
)

MOVING_MNIST_10_10_V3D = Protocol(
    name="moving-mnist/10-10@v3d",
    data=MovingDigits(variant="v3d", pool="train", test_size=1_000),
    context=10,
    horizon=10,
    size=(64, 64),
    samples=50,
    reduce="mean",
    notes=("the digits of the test sequences are those of the training sequences",),
)
MOVING_MNIST_5_10_V3D = replace(MOVING_MNIST_10_10_V3D, name="moving-mnist/5-10@v3d", context=5)
MOVING_MNIST_5_15_V3D = replace(MOVING_MNIST_5_10_V3D, name="moving-mnist/5-15@v3d", horizon=15)
MOVING_MNIST_10_20_V3D = replace(MOVING_MNIST_10_10_V3D, name="moving-mnist/10-20@v3d", horizon=20)

MOVING_MNIST_2_5_25 = Protocol(
    name="moving-mnist-2/5-25",
    data=MovingDigits(variant="svg-deterministic", count=2, test_size=1_000),
    context=5,
    horizon=25,
    size=(64, 64),
    samples=100,
    reduce="best-of",
    best_by=("ssim", "psnr"),
    metrics="svg",
    notes=(_DECIDED_BEST, _OLD_SSIM, _OPEN_COUNT),
)
MOVING_MNIST_3_5_25 = replace(
    MOVING_MNIST_2_5_25,
    name="moving-mnist-3/5-25",
    data=replace(MOVING_MNIST_2_5_25.data, count=3),
)
STOCHASTIC_2_5_25 = replace(
    MOVING_MNIST_2_5_25,
    name="stochastic-moving-mnist/5-25",
    data=replace(MOVING_MNIST_2_5_25.data, variant="svg-stochastic"),
)
STOCHASTIC_3_5_25 = replace(
    STOCHASTIC_2_5_25,
    name="stochastic-moving-mnist-3/5-25",
    data=replace(STOCHASTIC_2_5_25.data, count=3),
)

MOVING_MNIST_FILE_10_10 = Protocol(
    name="moving-mnist-file/10-10",
    data=MovingDigitsFile(),
    context=10,
    horizon=10,
    size=(64, 64),
)
GLYPHS_10_10 = Protocol(
    name="glyphs/10-10",
    data=MovingDigits(digits="glyphs", test_size=1_000),
    context=10,
    horizon=10,
    size=(64, 64),
    notes=("needs no download; no published figure compares with it",),
)

_WHOLE = "whole clips, for official ranges can be too short; people may leave the view"

KTH_10_20 = Protocol(
    name="kth/10-20",
    data=Kth(size=128, persons="1-16/17-25", span="range"),
    context=10,
    horizon=20,
    size=(128, 128),
    notes=("persons 1-14 train, 15-16 validate, 17-25 test",),
)
KTH_10_40 = replace(
    KTH_10_20,
    name="kth/10-40",
    data=replace(KTH_10_20.data, span="clip"),
    horizon=40,
    notes=(*KTH_10_20.notes, _WHOLE),
)
KTH_10_60 = replace(KTH_10_40, name="kth/10-60", horizon=60)
KTH_10_20_V3D = replace(KTH_10_20, name="kth/10-20@v3d", samples=50, reduce="mean")
KTH_10_40_V3D = replace(KTH_10_40, name="kth/10-40@v3d", samples=50, reduce="mean")
KTH_10_60_V3D = replace(KTH_10_60, name="kth/10-60@v3d", samples=50, reduce="mean")
KTH_10_20_SVG = Protocol(
    name="kth/10-20@svg",
    data=Kth(size=64, persons="1-20/21-25", span="range"),
    context=10,
    horizon=20,
    size=(64, 64),
    samples=100,
    reduce="best-of",
    best_by=("ssim", "psnr"),
    metrics="svg",
    notes=(
        "persons 1-14 and 17-20 train, 15-16 validate, 21-25 test",
        _DECIDED_BEST,
        _OLD_SSIM,
        "every test window is predicted; the published code draws some at random",
    ),
)

VIDEO_FOLDER = Protocol(
    name="video-folder",
    data=VideoFolder(),
    context=None,
    horizon=None,
    channels=None,
    own=True,
)
ARRAYS = Protocol(
    name="arrays",
    data=Arrays(),
    context=None,
    horizon=None,
    channels=None,
    own=True,
)
