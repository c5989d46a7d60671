"""Experiments with Video VQ-VAE.

`paper` is that of Walker et al., Predicting Video with VQVAE (2021), Tables 3 and 4, with its
batches and numbers of steps, as far as it gives them; `paper_64` is a smaller network for frames of
64×64, of which the paper trains none: its figures at 64×64 are of frames of `paper` made smaller.
"""

from dataclasses import replace

from framecast.clip import DataConfig
from framecast.data.bridge import Bridge
from framecast.data.kinetics import Kinetics
from framecast.data.moving_digits import MovingDigits
from framecast.experiment import Experiment
from framecast.models.video_vqvae.autoencoder import AutoencoderConfig
from framecast.models.video_vqvae.bottom import BottomConditioningConfig, BottomConfig
from framecast.models.video_vqvae.model import VideoVQVAEConfig
from framecast.models.video_vqvae.stages import AutoencoderTraining, BottomTraining, TopTraining
from framecast.models.video_vqvae.top import TopConditioningConfig, TopConfig
from framecast.presets.own_videos import PARTS
from framecast.schedules import decay
from framecast.stage import OptimizerConfig, StageConfig

EPOCH = 5_000
"""Steps between validations of long trainings."""


def paper() -> Experiment:
    """Kinetics-600 4→12 at 256×256 as published: 973M parameters, three stages."""
    return _long(VideoVQVAEConfig(), Kinetics(), batch=512)


def paper_64() -> Experiment:
    """Kinetics-600 4→12 at 64×64 with smaller priors: 125M parameters."""
    return _long(_medium(channels=3), Kinetics(size=64), batch=64)


def moving_mnist() -> Experiment:
    """Moving-MNIST 4→12 with the same smaller priors, for a GPU."""
    return _long(_medium(channels=1), MovingDigits(fixed_train=False), batch=64)


def bridge() -> Experiment:
    """Robot arms 4→12 at 64×64, from the real robot's records, for a GPU."""
    return _long(_medium(channels=3), Bridge(), batch=64)


def moving_mnist_small() -> Experiment:
    """Moving-MNIST 4→12 in hours on a CPU: the shipped model."""
    data = MovingDigits(digits="mnist+glyphs", fixed_train=False)
    stages = _quick(autoencoder=4_000, priors=6_000, batch=16, every=500)
    return Experiment(_small(channels=1), data, context=4, horizon=12, stages=stages)


def video_folder() -> Experiment:
    """Videos of your own, 4→12: parts of 64×64 in colour, on a CPU; all can be changed."""
    stages = _quick(autoencoder=4_000, priors=4_000, batch=8, every=500)
    return Experiment(_small(channels=3), PARTS, context=4, horizon=12, stages=stages)


def tiny() -> Experiment:
    """Drawn digits 4→4 with very small networks: no download, some minutes on a CPU."""
    model = VideoVQVAEConfig(
        channels=1,
        codewords=64,
        width=8,
        future=4,
        autoencoder=AutoencoderConfig(hidden=24, residual=12, blocks=1),
        top=_top(layers=4, hidden=32, embedding=16),
        bottom=_bottom(layers=4, hidden=32, embedding=16),
    )
    data = MovingDigits(digits="glyphs", train_size=2_000, validation_size=64)
    stages = _quick(autoencoder=1_500, priors=1_500, batch=8, every=250)
    return Experiment(model, data, context=4, horizon=4, stages=stages)


def _medium(channels: int) -> VideoVQVAEConfig:
    """For frames of 64×64: 16×16 places of the bottom grid, 8×8 of the top one."""
    return VideoVQVAEConfig(
        channels=channels,
        top=TopConfig(
            layers=20,
            hidden=256,
            residual=512,
            conditioning=TopConditioningConfig(squeezed=128),
        ),
        bottom=BottomConfig(
            layers=15,
            hidden=256,
            residual=512,
            conditioning=BottomConditioningConfig(hidden=256, blocks=10),
        ),
    )


def _small(channels: int) -> VideoVQVAEConfig:
    return VideoVQVAEConfig(
        channels=channels,
        codewords=256,
        width=16,
        autoencoder=AutoencoderConfig(hidden=48, residual=24),
        top=_top(layers=7, hidden=60, embedding=32),
        bottom=_bottom(layers=10, hidden=64, embedding=32),
    )


def _top(layers: int, hidden: int, embedding: int) -> TopConfig:
    """Without dropout: sequences of digits are made without end."""
    conditioning = TopConditioningConfig(embedding, squeezed=hidden, blocks=2, residual=embedding)
    return TopConfig(
        layers=layers,
        hidden=hidden,
        residual=hidden,
        dropout=0.0,
        attention_every=4,
        heads=2,
        conditioning=conditioning,
    )


def _bottom(layers: int, hidden: int, embedding: int) -> BottomConfig:
    width = hidden - hidden // 4  # most weights of a small bottom prior are of this stack
    conditioning = BottomConditioningConfig(embedding, width, blocks=2, residual=embedding)
    return BottomConfig(
        layers=layers,
        hidden=hidden,
        residual=hidden,
        kernel=3,
        attention_every=4,
        heads=2,
        conditioning=conditioning,
    )


def _long(model: VideoVQVAEConfig, data: DataConfig, batch: int) -> Experiment:
    """The paper's steps; `batch` is of the top prior, where the paper has 512 beside 16 and 32."""
    stages: dict[str, StageConfig] = {
        "autoencoder": AutoencoderTraining(
            steps=1_000_000, batch=16, validate_every=EPOCH, checkpoint_every=EPOCH
        ),
        "top": TopTraining(
            steps=1_016_000,
            batch=batch,
            recompute=True,
            validate_every=EPOCH,
            checkpoint_every=EPOCH,
        ),
        "bottom": BottomTraining(
            steps=950_000,
            batch=32,
            recompute=True,
            validate_every=EPOCH,
            checkpoint_every=EPOCH,
            sample_every=10 * EPOCH,
        ),
    }
    return Experiment(model, data, context=4, horizon=12, stages=stages)


def _quick(autoencoder: int, priors: int, batch: int, every: int) -> dict[str, StageConfig]:
    """Adam with a warm-up and half a cosine down, for budgets far below the paper's."""
    adam = OptimizerConfig(learning_rate=2e-3, clip_norm=1.0, warmup=50, schedule=decay())
    stages: dict[str, StageConfig] = {
        "autoencoder": AutoencoderTraining(steps=autoencoder, batch=8),
        "top": TopTraining(steps=priors, batch=batch),
        "bottom": BottomTraining(steps=priors, batch=batch, sample_every=4 * every),
    }
    return {
        name: replace(
            stage,
            optimizer=adam,
            validate_every=every,
            validation_clips=64,
            checkpoint_every=every,
        )
        for name, stage in stages.items()
    }
