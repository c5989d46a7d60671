"""Experiments with STIP."""

from dataclasses import dataclass, replace

from framecast.clip import DataConfig
from framecast.data.human36m import Human36m
from framecast.data.moving_digits import MovingDigits
from framecast.data.sjtu4k import Sjtu4k
from framecast.data.ucf_sports import UcfSports
from framecast.experiment import Experiment
from framecast.models.stip.adversary import DiscriminatorConfig
from framecast.models.stip.network import STIPConfig
from framecast.models.stip.stages import Loss, TrainingConfig
from framecast.presets.own_videos import PARTS
from framecast.schedules import Schedule, decay
from framecast.stage import OptimizerConfig


@dataclass(frozen=True)
class Published:
    """What Table I says of a dataset."""

    data: DataConfig
    size: tuple[int, int]  # pixels
    patch: int
    lp_weight: float
    adversarial_weight: float


UCF_SPORTS = Published(UcfSports(), (512, 512), 2, 0.010, 0.0010)
HUMAN36M = Published(Human36m(), (1024, 1024), 4, 0.010, 0.0010)
SJTU4K = Published(Sjtu4k(), (2160, 3840), 8, 0.005, 0.0005)


def ucf_sports() -> Experiment:
    """UCF Sports at 512×512, the whole of Eq 9."""
    return _published(UCF_SPORTS, "mse+gan+lp")


def ucf_sports_mse() -> Experiment:
    """UCF Sports, squared error alone (Tables VI and VIII)."""
    return _published(UCF_SPORTS, "mse")


def ucf_sports_gan() -> Experiment:
    """UCF Sports, squared error and the adversarial loss (Table VIII)."""
    return _published(UCF_SPORTS, "mse+gan")


def ucf_sports_plain() -> Experiment:
    """UCF Sports, one stream, nothing recalled (Table VI, row 1)."""
    return _published(UCF_SPORTS, "mse", two_streams=False, recall=0.0)


def ucf_sports_sted() -> Experiment:
    """UCF Sports, two streams, nothing recalled (Table VI, row 2)."""
    return _published(UCF_SPORTS, "mse", recall=0.0)


def ucf_sports_mgir() -> Experiment:
    """UCF Sports, one stream, features recalled (Table VI, row 3)."""
    return _published(UCF_SPORTS, "mse", two_streams=False)


def human36m() -> Experiment:
    """Human3.6M at 1024×1024, the whole of Eq 9."""
    return _published(HUMAN36M, "mse+gan+lp")


def human36m_mse() -> Experiment:
    """Human3.6M, squared error alone (Tables VI and VIII)."""
    return _published(HUMAN36M, "mse")


def human36m_gan() -> Experiment:
    """Human3.6M, squared error and the adversarial loss (Table VIII)."""
    return _published(HUMAN36M, "mse+gan")


def human36m_plain() -> Experiment:
    """Human3.6M, one stream, nothing recalled (Table VI, row 1)."""
    return _published(HUMAN36M, "mse", two_streams=False, recall=0.0)


def human36m_sted() -> Experiment:
    """Human3.6M, two streams, nothing recalled (Table VI, row 2)."""
    return _published(HUMAN36M, "mse", recall=0.0)


def human36m_mgir() -> Experiment:
    """Human3.6M, one stream, features recalled (Table VI, row 3)."""
    return _published(HUMAN36M, "mse", two_streams=False)


def sjtu4k() -> Experiment:
    """SJTU4K at 2160×3840, the whole of Eq 9."""
    return _published(SJTU4K, "mse+gan+lp")


def sjtu4k_mse() -> Experiment:
    """SJTU4K, squared error alone (Tables VI and VIII)."""
    return _published(SJTU4K, "mse")


def sjtu4k_gan() -> Experiment:
    """SJTU4K, squared error and the adversarial loss (Table VIII)."""
    return _published(SJTU4K, "mse+gan")


def sjtu4k_plain() -> Experiment:
    """SJTU4K, one stream, nothing recalled (Table VI, row 1)."""
    return _published(SJTU4K, "mse", two_streams=False, recall=0.0)


def sjtu4k_sted() -> Experiment:
    """SJTU4K, two streams, nothing recalled (Table VI, row 2)."""
    return _published(SJTU4K, "mse", recall=0.0)


def sjtu4k_mgir() -> Experiment:
    """SJTU4K, one stream, features recalled (Table VI, row 3)."""
    return _published(SJTU4K, "mse", two_streams=False)


def moving_mnist() -> Experiment:
    """Moving-MNIST 10→10 at a size for CPUs; STIP's paper has no digits."""
    return Experiment(
        _small(channels=1),
        MovingDigits(fixed_train=False),
        context=10,
        horizon=10,
        stages={"main": _quick(4_000, validate_every=500)},
    )


def video_folder() -> Experiment:
    """Videos of your own, 4→4 at 64×64 in colour, on a CPU; all can be changed."""
    return _folder("mse")


def video_folder_gan() -> Experiment:
    """`video-folder` with the adversarial loss (Table VIII)."""
    return _folder("mse+gan")


def video_folder_lp() -> Experiment:
    """`video-folder` with the whole of Eq 9."""
    return _folder("mse+gan+lp")


def tiny() -> Experiment:
    """Drawn digits 5→5 with a very small network: no download, a few minutes on a CPU."""
    return Experiment(
        STIPConfig(channels=1, levels=1, hidden=24, units=3, kernel=3),
        MovingDigits(digits="glyphs", train_size=2_000, validation_size=64),
        context=5,
        horizon=5,
        stages={"main": _quick(400, validate_every=100)},
    )


def _published(
    table: Published, loss: Loss, *, two_streams: bool = True, recall: float = 0.1
) -> Experiment:
    """4→1 with Tables I and II; batch and number of steps are not published."""
    training = TrainingConfig(
        steps=100_000,
        batch=4,
        loss=loss,
        lp_weight=table.lp_weight,
        adversarial_weight=table.adversarial_weight,
        discriminator=DiscriminatorConfig(size=table.size),
        validate_every=1_000,
        validation_clips=64,
        checkpoint_every=1_000,
    )
    model = STIPConfig(
        patch=table.patch, norm="layer", size=table.size, two_streams=two_streams, recall=recall
    )
    return Experiment(model, table.data, context=4, horizon=1, stages={"main": training})


def _folder(loss: Loss) -> Experiment:
    """Parts of frames, mirrored or not, drawn anew in every epoch: few videos go further."""
    training = replace(
        _quick(3_000, validate_every=250),
        loss=loss,
        ema=0.998,
        keep="last",
        discriminator=DiscriminatorConfig(layers=5),
        discriminator_optimizer=OptimizerConfig(learning_rate=1e-4),
    )
    return Experiment(
        _small(channels=3, residual=True), PARTS, context=4, horizon=4, stages={"main": training}
    )


def _small(channels: int, residual: bool = False) -> STIPConfig:
    return STIPConfig(channels=channels, levels=2, hidden=64, units=8, kernel=3, residual=residual)


def _quick(steps: int, validate_every: int) -> TrainingConfig:
    return TrainingConfig(
        steps=steps,
        batch=8,
        optimizer=OptimizerConfig(
            learning_rate=1e-3,
            clip_norm=1.0,
            warmup=100,
            schedule=decay(),
        ),
        teacher_forcing=Schedule(1.0, 0.0, steps=steps // 2),
        validate_every=validate_every,
        validation_clips=64,
        checkpoint_every=100,
        sample_every=200,
    )
