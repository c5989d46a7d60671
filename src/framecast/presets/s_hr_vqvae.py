"""Experiments with S-HR-VQVAE: Table 1's configurations and Table 3's ablation.

The paper gives the optimizer and its rate; it is silent about batches and budgets.
"""

from dataclasses import replace

from framecast.clip import DataConfig
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.data.video_folder import VideoFolder
from framecast.experiment import Experiment
from framecast.models.s_hr_vqvae.autoencoder import AutoencoderConfig
from framecast.models.s_hr_vqvae.model import SHRVQVAEConfig
from framecast.models.s_hr_vqvae.prior import PriorConfig
from framecast.models.s_hr_vqvae.stages import AutoencoderTraining, JointTraining, PriorTraining
from framecast.schedules import constant, decay
from framecast.stage import OptimizerConfig, StageConfig

MOVING_MNIST = {1: 64, 3: 4, 6: 2}
"""Codewords of a codebook by number of layers: 64 leaves each (Table 1)."""
KTH = {1: 512, 3: 8, 9: 2}
"""The same for KTH: 512 leaves each."""
SMALL = AutoencoderConfig(hidden=32, blocks=1, bottleneck=16)
NARROW = PriorConfig(hidden=16, convolutions=3)
EPOCH = 625
"""Steps of 16 clips in an epoch of Moving-MNIST."""


def moving_mnist() -> Experiment:
    """Moving-MNIST 10→10, 3 layers of 4 codewords, disjoint training: Table 3's second row."""
    return _moving_mnist(3, _disjoint(EPOCH))


def moving_mnist_1() -> Experiment:
    """Moving-MNIST 10→10, 1 layer of 64 codewords, a plain VQ-VAE: Table 3's first row."""
    return _moving_mnist(1, _disjoint(EPOCH))


def moving_mnist_6() -> Experiment:
    """Moving-MNIST 10→10, 6 layers of 2 codewords: Table 3's third row."""
    return _moving_mnist(6, _disjoint(EPOCH))


def moving_mnist_joint() -> Experiment:
    """Moving-MNIST 10→10, 3 layers, then prior and decoder jointly: Table 3's last row."""
    return _moving_mnist(3, _joint(EPOCH))


def moving_mnist_pixels() -> Experiment:
    """Moving-MNIST 10→10 in pixels, no autoencoder: Fig 7's ST-PixelCNN alone; its convolutions."""
    model = SHRVQVAEConfig(pixels=True, width=1)
    prior = PriorTraining(
        steps=100 * EPOCH,
        batch=16,
        window=(4, 6),
        attention=False,
        validate_every=EPOCH,
        checkpoint_every=EPOCH,
        sample_every=0,
    )
    codebooks = AutoencoderTraining(steps=2 * EPOCH, batch=16, validate_every=EPOCH)
    return _experiment(model, MovingDigits(), 10, {"autoencoder": codebooks, "prior": prior})


def kth() -> Experiment:
    """KTH 10→20 at 128×128, 3 layers of 8 codewords, disjoint training: Table 3's second row."""
    return _kth(3, _disjoint(1_000))


def kth_1() -> Experiment:
    """KTH 10→20 at 128×128, 1 layer of 512 codewords, a plain VQ-VAE: Table 3's first row."""
    return _kth(1, _disjoint(1_000))


def kth_9() -> Experiment:
    """KTH 10→20 at 128×128, 9 layers of 2 codewords: Table 3's third row."""
    return _kth(9, _disjoint(1_000))


def kth_joint() -> Experiment:
    """KTH 10→20 at 128×128, 3 layers, then prior and decoder jointly: Table 3's last row."""
    return _kth(3, _joint(1_000))


def moving_mnist_cpu() -> Experiment:
    """The paper's 3-layer network for Moving-MNIST in hours on a CPU: the shipped model's."""
    return Experiment(
        SHRVQVAEConfig(),
        MovingDigits(digits="mnist+glyphs", fixed_train=False),
        context=10,
        horizon=10,
        stages={
            "autoencoder": _autoencoder(4_000, every=500),
            "prior-local": _prior(
                5_000, batch=8, every=250, rate=5e-3, window=(4, 16), attention=False
            ),
            "prior-own": _prior(
                1_000, batch=8, every=250, window=(4, 16), attention=False, own=0.5
            ),
            "prior": _prior(250, batch=4, every=50, rate=1e-3, own=0.5),
            "joint": JointTraining(
                steps=150,
                batch=4,
                optimizer=_quick(3e-4),
                validate_every=50,
                validation_clips=32,
                checkpoint_every=50,
                sample_every=150,
            ),
        },
    )


def video_folder() -> Experiment:
    """Videos of your own, 5→5 at 64×64 in colour, on a CPU; all can be changed."""
    return Experiment(
        SHRVQVAEConfig(channels=3, width=8, codewords=8),
        VideoFolder(size=(64, 64), channels=3, stride=2, most_windows=50, random_windows=False),
        context=5,
        horizon=5,
        stages={
            "autoencoder": _autoencoder(1_500, every=250),
            "prior": _prior(1_000, batch=8, every=250),
        },
    )


def tiny() -> Experiment:
    """Drawn digits 5→5 with a small network of 3 layers: no download, some minutes on a CPU."""
    return _tiny(3)


def tiny_1() -> Experiment:
    """`tiny` with 1 layer of 64 codewords, a plain VQ-VAE: Table 3's comparison, small."""
    return _tiny(1)


def tiny_6() -> Experiment:
    """`tiny` with 6 layers of 2 codewords: Table 3's comparison, small."""
    return _tiny(6)


def tiny_pixels() -> Experiment:
    """Drawn digits 5→5 in pixels with as small a prior as `tiny` has, to be compared with it."""
    prior = _prior(3_000, batch=2, every=1_000, rate=5e-3, window=(3, 3), attention=False)
    stages = {
        "autoencoder": _autoencoder(200, every=100),
        "prior-local": replace(prior, validation_clips=16, sample_every=0),
    }
    model = SHRVQVAEConfig(pixels=True, width=1, prior=NARROW)
    return Experiment(model, _few_digits(), context=5, horizon=5, stages=stages)


def _tiny(layers: int) -> Experiment:
    model = SHRVQVAEConfig(
        layers=layers, codewords=MOVING_MNIST[layers], autoencoder=SMALL, prior=NARROW
    )
    stages: dict[str, StageConfig] = {
        "autoencoder": _autoencoder(2_000, every=500),
        "prior-local": _prior(4_000, batch=8, every=500, rate=5e-3, attention=False),
        "prior": _prior(100, batch=8, every=50, rate=1e-3),
        "joint": JointTraining(
            steps=50,
            batch=8,
            validate_every=25,
            validation_clips=32,
            checkpoint_every=25,
            sample_every=50,
        ),
    }
    return Experiment(model, _few_digits(), context=5, horizon=5, stages=stages)


def _few_digits() -> MovingDigits:
    return MovingDigits(digits="glyphs", train_size=5_000, validation_size=64)


def _moving_mnist(layers: int, stages: dict[str, StageConfig]) -> Experiment:
    model = SHRVQVAEConfig(layers=layers, codewords=MOVING_MNIST[layers])
    return _experiment(model, MovingDigits(), 10, stages)


def _kth(layers: int, stages: dict[str, StageConfig]) -> Experiment:
    model = SHRVQVAEConfig(channels=3, width=8, layers=layers, codewords=KTH[layers])
    return _experiment(model, Kth(size=128), 20, stages)


def _experiment(
    model: SHRVQVAEConfig, data: DataConfig, horizon: int, stages: dict[str, StageConfig]
) -> Experiment:
    return Experiment(model, data, context=10, horizon=horizon, stages=stages)


def _disjoint(epoch: int) -> dict[str, StageConfig]:
    """Autoencoder and prior, one after the other, at the paper's constant rate."""
    return {
        "autoencoder": AutoencoderTraining(
            steps=50 * epoch, batch=16, validate_every=epoch, checkpoint_every=epoch
        ),
        "prior": PriorTraining(
            steps=100 * epoch,
            batch=16,
            validate_every=epoch,
            checkpoint_every=epoch,
            sample_every=10 * epoch,
        ),
    }


def _joint(epoch: int) -> dict[str, StageConfig]:
    """Disjoint training, and joint training after it."""
    joint = JointTraining(
        steps=20 * epoch,
        batch=16,
        validate_every=epoch,
        checkpoint_every=epoch,
        sample_every=10 * epoch,
    )
    return {**_disjoint(epoch), "joint": joint}


def _autoencoder(steps: int, every: int) -> AutoencoderTraining:
    return AutoencoderTraining(
        steps=steps,
        batch=16,
        frames_per_clip=2,
        optimizer=_quick(1e-3),
        validate_every=every,
        validation_clips=64,
        checkpoint_every=every,
    )


def _prior(
    steps: int,
    batch: int,
    every: int,
    rate: float = 2e-3,
    *,
    window: tuple[int, int] | None = None,
    attention: bool = True,
    own: float = 0.0,
) -> PriorTraining:
    return PriorTraining(
        steps=steps,
        batch=batch,
        optimizer=_quick(rate),
        window=window,
        attention=attention,
        own_codes=constant(own),
        keep="last" if own else "best",
        validate_every=every,
        validation_clips=64,
        checkpoint_every=every,
        sample_every=4 * every,
    )


def _quick(rate: float) -> OptimizerConfig:
    """Adam with a warm-up and half a cosine down, for budgets far below the paper's."""
    return OptimizerConfig(
        learning_rate=rate,
        clip_norm=1.0,
        warmup=50,
        schedule=decay(),
    )
