"""Experiments with HAF-SVG and its baseline SVG-LP.

Digits that bounce without chance, KTH and BAIR are those of Lin et al., HAF-SVG (IJCAI 2020),
Section 5; batch and length of training are those of SVG's program, and so are the digits that
bounce at random. H-SVG is given as many groups as the best published HAF-SVG. The small ones,
`tiny` and `video_folder` are ours.
"""

from dataclasses import dataclass, replace

from framecast.clip import DataConfig
from framecast.data.bair import Bair
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.data.video_folder import VideoFolder
from framecast.experiment import Experiment
from framecast.models.haf_svg.coders import CoderConfig
from framecast.models.haf_svg.latents import LatentConfig
from framecast.models.haf_svg.model import HAFSVGConfig
from framecast.models.haf_svg.stages import TrainingConfig
from framecast.schedules import Schedule, constant, decay
from framecast.stage import OptimizerConfig

EPOCH = 600
"""Steps that SVG's program calls an epoch; it takes 300 of them."""


@dataclass(frozen=True)
class Published:
    """What Section 5 says of a dataset."""

    data: DataConfig
    coder: CoderConfig
    aligned: tuple[int, ...]  # heights of the maps that HAF-SVG aligns
    latent: int  # numbers in z_t
    beta: float
    context: int  # frames; 10 more are predicted
    learning_rate: float = 2e-3


def _digits(data: MovingDigits) -> Published:
    return Published(data, CoderConfig(), (32, 16, 8, 4), latent=16, beta=1e-4, context=5)


TWO_DIGITS = _digits(MovingDigits(variant="svg-deterministic", count=2, fixed_train=False))
THREE_DIGITS = _digits(MovingDigits(variant="svg-deterministic", count=3, fixed_train=False))
TWO_BOUNCING = _digits(MovingDigits(variant="svg-stochastic", count=2, fixed_train=False))
THREE_BOUNCING = _digits(MovingDigits(variant="svg-stochastic", count=3, fixed_train=False))
KTH = Published(
    Kth(size=64, persons="1-20/21-25"),
    CoderConfig(kind="vgg"),
    (32, 16, 8),
    latent=24,
    beta=1e-6,
    context=10,
    learning_rate=8e-4,
)
BAIR = Published(
    Bair(), CoderConfig(kind="vgg", channels=3), (32, 16, 8), latent=64, beta=1e-4, context=2
)


def moving_mnist_2_svg_lp() -> Experiment:
    """Two digits, 5→10, SVG-LP: one group, no aligner."""
    return _published(TWO_DIGITS, groups=1, aligned=False)


def moving_mnist_2_h_svg() -> Experiment:
    """Two digits, 5→10, H-SVG: four groups, no aligner."""
    return _published(TWO_DIGITS, groups=4, aligned=False)


def moving_mnist_2_haf_svg_1() -> Experiment:
    """Two digits, 5→10, HAF-SVG-1: one group."""
    return _published(TWO_DIGITS, groups=1)


def moving_mnist_2_haf_svg_2() -> Experiment:
    """Two digits, 5→10, HAF-SVG-2: two groups."""
    return _published(TWO_DIGITS, groups=2)


def moving_mnist_2_haf_svg_4() -> Experiment:
    """Two digits, 5→10, HAF-SVG-4: four groups."""
    return _published(TWO_DIGITS, groups=4)


def moving_mnist_3_svg_lp() -> Experiment:
    """Three digits, 5→10, SVG-LP: one group, no aligner."""
    return _published(THREE_DIGITS, groups=1, aligned=False)


def moving_mnist_3_h_svg() -> Experiment:
    """Three digits, 5→10, H-SVG: four groups, no aligner."""
    return _published(THREE_DIGITS, groups=4, aligned=False)


def moving_mnist_3_haf_svg_1() -> Experiment:
    """Three digits, 5→10, HAF-SVG-1: one group."""
    return _published(THREE_DIGITS, groups=1)


def moving_mnist_3_haf_svg_2() -> Experiment:
    """Three digits, 5→10, HAF-SVG-2: two groups."""
    return _published(THREE_DIGITS, groups=2)


def moving_mnist_3_haf_svg_4() -> Experiment:
    """Three digits, 5→10, HAF-SVG-4: four groups."""
    return _published(THREE_DIGITS, groups=4)


def random_2_svg_lp() -> Experiment:
    """Two digits that bounce at random, 5→10, SVG-LP: one group, no aligner."""
    return _published(TWO_BOUNCING, groups=1, aligned=False)


def random_2_h_svg() -> Experiment:
    """Two digits that bounce at random, 5→10, H-SVG: four groups, no aligner."""
    return _published(TWO_BOUNCING, groups=4, aligned=False)


def random_2_haf_svg_1() -> Experiment:
    """Two digits that bounce at random, 5→10, HAF-SVG-1: one group."""
    return _published(TWO_BOUNCING, groups=1)


def random_2_haf_svg_2() -> Experiment:
    """Two digits that bounce at random, 5→10, HAF-SVG-2: two groups."""
    return _published(TWO_BOUNCING, groups=2)


def random_2_haf_svg_4() -> Experiment:
    """Two digits that bounce at random, 5→10, HAF-SVG-4: four groups."""
    return _published(TWO_BOUNCING, groups=4)


def random_3_svg_lp() -> Experiment:
    """Three digits that bounce at random, 5→10, SVG-LP: one group, no aligner."""
    return _published(THREE_BOUNCING, groups=1, aligned=False)


def random_3_h_svg() -> Experiment:
    """Three digits that bounce at random, 5→10, H-SVG: four groups, no aligner."""
    return _published(THREE_BOUNCING, groups=4, aligned=False)


def random_3_haf_svg_1() -> Experiment:
    """Three digits that bounce at random, 5→10, HAF-SVG-1: one group."""
    return _published(THREE_BOUNCING, groups=1)


def random_3_haf_svg_2() -> Experiment:
    """Three digits that bounce at random, 5→10, HAF-SVG-2: two groups."""
    return _published(THREE_BOUNCING, groups=2)


def random_3_haf_svg_4() -> Experiment:
    """Three digits that bounce at random, 5→10, HAF-SVG-4: four groups."""
    return _published(THREE_BOUNCING, groups=4)


def kth_svg_lp() -> Experiment:
    """KTH at 64×64, 10→10, SVG-LP: one group, no aligner."""
    return _published(KTH, groups=1, aligned=False)


def kth_h_svg() -> Experiment:
    """KTH at 64×64, 10→10, H-SVG: four groups, no aligner."""
    return _published(KTH, groups=4, aligned=False)


def kth_haf_svg_1() -> Experiment:
    """KTH at 64×64, 10→10, HAF-SVG-1: one group."""
    return _published(KTH, groups=1)


def kth_haf_svg_2() -> Experiment:
    """KTH at 64×64, 10→10, HAF-SVG-2: two groups."""
    return _published(KTH, groups=2)


def kth_haf_svg_4() -> Experiment:
    """KTH at 64×64, 10→10, HAF-SVG-4: four groups."""
    return _published(KTH, groups=4)


def bair_svg_lp() -> Experiment:
    """BAIR robot pushing, 2→10, SVG-LP: one group, no aligner."""
    return _published(BAIR, groups=1, aligned=False)


def bair_h_svg() -> Experiment:
    """BAIR robot pushing, 2→10, H-SVG: four groups, no aligner."""
    return _published(BAIR, groups=4, aligned=False)


def bair_haf_svg_1() -> Experiment:
    """BAIR robot pushing, 2→10, HAF-SVG-1: one group."""
    return _published(BAIR, groups=1)


def bair_haf_svg_2() -> Experiment:
    """BAIR robot pushing, 2→10, HAF-SVG-2: two groups."""
    return _published(BAIR, groups=2)


def bair_haf_svg_4() -> Experiment:
    """BAIR robot pushing, 2→10, HAF-SVG-4: four groups."""
    return _published(BAIR, groups=4)


def moving_mnist_small() -> Experiment:
    """Digits that bounce at random, 5→10, HAF-SVG-2 at a size for CPUs."""
    return _bouncing(_narrow(groups=2, aligned=(16, 8, 4)))


def small_svg_lp() -> Experiment:
    """`moving-mnist-small` with SVG-LP: one group, no aligner."""
    return _bouncing(_narrow(groups=1, aligned=()))


def small_h_svg() -> Experiment:
    """`moving-mnist-small` with H-SVG: two groups, no aligner."""
    return _bouncing(_narrow(groups=2, aligned=()))


def small_haf_svg_1() -> Experiment:
    """`moving-mnist-small` with HAF-SVG-1: one group."""
    return _bouncing(_narrow(groups=1, aligned=(16, 8, 4)))


def small_haf_svg_4() -> Experiment:
    """`moving-mnist-small` with HAF-SVG-4: four groups."""
    return _bouncing(_narrow(groups=4, aligned=(16, 8, 4)))


def video_folder() -> Experiment:
    """Videos of your own, 4→4 at 64×64 in colour, two groups, on a CPU; all can be changed."""
    data = VideoFolder(
        size=(64, 64), flip=True, channels=3, stride=2, most_windows=50, random_windows=False
    )
    return Experiment(
        _small(channels=3, width=16, latent=8),
        data,
        context=4,
        horizon=4,
        stages={"main": _quick(2_000, validate_every=200)},
    )


def tiny() -> Experiment:
    """Drawn digits 5→5 with a very small network: no download, a few minutes on a CPU."""
    return Experiment(
        _small(channels=1, width=8, latent=4),
        MovingDigits(
            digits="glyphs", variant="svg-stochastic", train_size=2_000, validation_size=64
        ),
        context=5,
        horizon=5,
        stages={"main": _quick(1_000, validate_every=200)},
    )


def _published(table: Published, groups: int, *, aligned: bool = True) -> Experiment:
    coder = replace(table.coder, aligned=table.aligned if aligned else ())
    training = TrainingConfig(
        steps=300 * EPOCH,
        batch=100,
        optimizer=OptimizerConfig(learning_rate=table.learning_rate, betas=(0.9, 0.999)),
        beta=constant(table.beta),
        validate_every=EPOCH,
        checkpoint_every=EPOCH,
    )
    return Experiment(
        HAFSVGConfig(coder, LatentConfig(size=table.latent, groups=groups)),
        table.data,
        context=table.context,
        horizon=10,
        stages={"main": training},
    )


def _bouncing(model: HAFSVGConfig) -> Experiment:
    """Unlike the published ones fed its own predictions, and from then on with a larger β: else a
    posterior, which knows the next frame, mends what is wrong in them, and no prior can. With the
    larger β from the beginning, z_t is never used.
    """
    data = MovingDigits(digits="mnist+glyphs", variant="svg-stochastic", fixed_train=False)
    training = replace(
        _quick(16_000, validate_every=1_000),
        batch=16,
        beta=Schedule(1e-4, 1e-3, begin=2_000, steps=6_000, shape="exponential"),
        teacher_forcing=Schedule(1.0, 0.0, begin=2_000, steps=6_000),
        sample_every=1_000,
    )
    return Experiment(model, data, context=5, horizon=10, stages={"main": training})


def _narrow(groups: int, aligned: tuple[int, ...]) -> HAFSVGConfig:
    coder = CoderConfig(width=16, aligned=aligned, scaled=True)
    return HAFSVGConfig(coder, LatentConfig(groups=groups, hidden=128), hidden=224)


def _small(channels: int, width: int, latent: int) -> HAFSVGConfig:
    """Without an aligner on the finest map, which would take most of a step's time."""
    coder = CoderConfig(
        channels=channels, width=width, features=64, aligned=(16, 8, 4), scaled=True
    )
    return HAFSVGConfig(coder, LatentConfig(size=latent, groups=2, hidden=64), hidden=128)


def _quick(steps: int, validate_every: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps,
        batch=8,
        optimizer=OptimizerConfig(
            learning_rate=2e-3,
            clip_norm=1.0,
            warmup=50,
            schedule=decay(),
        ),
        validate_every=validate_every,
        validation_clips=64,
        checkpoint_every=100,
        sample_every=200,
    )
