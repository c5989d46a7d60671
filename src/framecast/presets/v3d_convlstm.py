"""Experiments with V3D-ConvLSTM.

Those of Razali & Fernando's Section 4 come first. The paper gives Adam's rate and the batch, but
neither the number of steps nor how long the latent loss warms up and own predictions take over:
100,000 steps, that is 60 epochs of Moving-MNIST, the first fifth and the first half. Figure 6's
configurations cannot be read from its text, so there are several, M2-H1 to M8-H8; the M4-H1 among
them is the one without a suffix. Where steps of H frames do not make 10, training goes on to the
end of a step: with 10, M8-H8 would have one step in all, and nothing to learn by what to remember.
"""

import math
from dataclasses import replace

from framecast.clip import DataConfig
from framecast.data.kth import Kth
from framecast.data.moving_digits import MovingDigits
from framecast.experiment import Experiment
from framecast.models.v3d_convlstm.latent import LatentLoss
from framecast.models.v3d_convlstm.model import V3DConvLSTMConfig
from framecast.models.v3d_convlstm.stages import TrainingConfig
from framecast.presets.own_videos import PARTS
from framecast.schedules import Schedule, decay
from framecast.stage import OptimizerConfig

STEPS = 100_000
DIGITS = MovingDigits(variant="v3d", pool="train", test_size=1_000)
"""As in the paper, all splits have the digits of MNIST's training set."""
KTH = Kth(size=128)

PAPER = V3DConvLSTMConfig()
VARIATIONAL_2D = replace(PAPER, window=1, depth=1)
PLAIN_2D = replace(VARIATIONAL_2D, latent=0)

SMALL = V3DConvLSTMConfig(window=4, advance=4, width=16, hidden=48, trunk=32, latent=8)


def moving_mnist() -> Experiment:
    """Moving-MNIST 10→10 as published: 3-D, Eq 13's loss."""
    return _published(PAPER, DIGITS)


def moving_mnist_5() -> Experiment:
    """Moving-MNIST 5→10 as published: 3-D, Eq 13's loss."""
    return replace(_published(PAPER, DIGITS), context=5)


def moving_mnist_kl() -> Experiment:
    """Moving-MNIST 10→10, 3-D, KL divergence alone (Table 3, row 3)."""
    return _published(PAPER, DIGITS, loss="kl")


def moving_mnist_vrnn_2d() -> Experiment:
    """Moving-MNIST 10→10, variational and 2-D, KL divergence alone (Table 3, row 2)."""
    return _published(VARIATIONAL_2D, DIGITS, loss="kl")


def moving_mnist_plain_2d() -> Experiment:
    """Moving-MNIST 10→10, deterministic and 2-D (Table 3, row 1)."""
    return _published(PLAIN_2D, DIGITS)


def moving_mnist_m2_h1() -> Experiment:
    """Moving-MNIST 10→10, windows of 2 frames, 1 new frame per step (Fig 6)."""
    return _published(_windows(2, 1), DIGITS)


def moving_mnist_m4_h2() -> Experiment:
    """Moving-MNIST 10→10, windows of 4 frames, 2 new frames per step (Fig 6)."""
    return _published(_windows(4, 2), DIGITS)


def moving_mnist_m4_h4() -> Experiment:
    """Moving-MNIST 10→12, windows of 4 frames, 4 new frames per step (Fig 6)."""
    return _published(_windows(4, 4), DIGITS)


def moving_mnist_m8_h1() -> Experiment:
    """Moving-MNIST 10→10, windows of 8 frames, 1 new frame per step (Fig 6)."""
    return _published(_windows(8, 1), DIGITS)


def moving_mnist_m8_h4() -> Experiment:
    """Moving-MNIST 10→12, windows of 8 frames, 4 new frames per step (Fig 6)."""
    return _published(_windows(8, 4), DIGITS)


def moving_mnist_m8_h8() -> Experiment:
    """Moving-MNIST 10→16, windows of 8 frames, 8 new frames per step (Fig 6)."""
    return _published(_windows(8, 8), DIGITS)


def kth() -> Experiment:
    """KTH 10→10 at 128×128, persons 1–14 for training, as published: 3-D, Eq 13's loss."""
    return _published(PAPER, KTH)


def kth_vrnn_2d() -> Experiment:
    """KTH 10→10, variational and 2-D, KL divergence alone (Table 2)."""
    return _published(VARIATIONAL_2D, KTH, loss="kl")


def kth_m2_h1() -> Experiment:
    """KTH 10→10, windows of 2 frames, 1 new frame per step (Fig 6)."""
    return _published(_windows(2, 1), KTH)


def kth_m4_h2() -> Experiment:
    """KTH 10→10, windows of 4 frames, 2 new frames per step (Fig 6)."""
    return _published(_windows(4, 2), KTH)


def kth_m4_h4() -> Experiment:
    """KTH 10→12, windows of 4 frames, 4 new frames per step (Fig 6)."""
    return _published(_windows(4, 4), KTH)


def kth_m8_h1() -> Experiment:
    """KTH 10→10, windows of 8 frames, 1 new frame per step (Fig 6)."""
    return _published(_windows(8, 1), KTH)


def kth_m8_h4() -> Experiment:
    """KTH 10→12, windows of 8 frames, 4 new frames per step (Fig 6)."""
    return _published(_windows(8, 4), KTH)


def kth_m8_h8() -> Experiment:
    """KTH 10→16, windows of 8 frames, 8 new frames per step (Fig 6)."""
    return _published(_windows(8, 8), KTH)


def small() -> Experiment:
    """Moving-MNIST 8→12 at a size for CPUs: 3-D, Eq 13's loss."""
    return _cheap(SMALL)


def small_kl() -> Experiment:
    """Moving-MNIST 8→12 at a size for CPUs: 3-D, KL divergence alone."""
    return _cheap(SMALL, loss="kl")


def small_vrnn_2d() -> Experiment:
    """Moving-MNIST 8→12 at a size for CPUs: variational and 2-D, KL divergence alone."""
    return _cheap(replace(SMALL, window=1, advance=1, depth=1), loss="kl")


def small_plain_2d() -> Experiment:
    """Moving-MNIST 8→12 at a size for CPUs: deterministic and 2-D."""
    return _cheap(replace(SMALL, window=1, advance=1, depth=1, latent=0))


def video_folder() -> Experiment:
    """Videos of your own, 4→4 at 64×64 in colour, on a CPU; all can be changed.

    Parts of frames, mirrored or not, are drawn anew in every epoch: few videos go further.
    """
    training = replace(_quick(3_000, validate_every=250), batch=8, ema=0.998, keep="last")
    return Experiment(
        replace(SMALL, channels=3), PARTS, context=4, horizon=4, stages={"main": training}
    )


def tiny() -> Experiment:
    """Drawn digits 4→4 with a very small network: no download, a few minutes on a CPU."""
    return Experiment(
        V3DConvLSTMConfig(window=4, advance=2, width=8, hidden=16, trunk=16, latent=4),
        MovingDigits(digits="glyphs", train_size=2_000, validation_size=64),
        context=4,
        horizon=4,
        stages={"main": replace(_quick(600, validate_every=100), batch=8)},
    )


def _windows(window: int, advance: int) -> V3DConvLSTMConfig:
    return replace(PAPER, window=window, advance=advance)


def _published(
    model: V3DConvLSTMConfig, data: DataConfig, loss: LatentLoss = "paper"
) -> Experiment:
    training = TrainingConfig(
        steps=STEPS,
        batch=6,
        optimizer=OptimizerConfig(learning_rate=1e-3),
        latent_loss=loss,
        latent_weight=Schedule(0.0, 1e-3, steps=STEPS // 5),
        teacher_forcing=Schedule(1.0, 0.0, steps=STEPS // 2),
        validate_every=1_000,
        checkpoint_every=1_000,
    )
    horizon = math.ceil(10 / model.advance) * model.advance
    return Experiment(model, data, context=10, horizon=horizon, stages={"main": training})


def _cheap(model: V3DConvLSTMConfig, loss: LatentLoss = "paper") -> Experiment:
    """Of 20 frames, 8 observed and 12 predicted make five windows of four with none left over."""
    data = MovingDigits(digits="mnist+glyphs", fixed_train=False)
    training = replace(_quick(6_000, validate_every=500), latent_loss=loss, validation_clips=128)
    return Experiment(model, data, context=8, horizon=12, stages={"main": training})


def _quick(steps: int, validate_every: int) -> TrainingConfig:
    """By the squared error alone: most pixels are black, the absolute error would have all of them
    so, and a small network stays there. With latent maps of the prior, as Eqs 5 and 6 are printed:
    a posterior's, which know the frame to come, are all that a small network looks at, and without
    them its predictions fade to black.
    """
    return TrainingConfig(
        steps=steps,
        batch=4,
        loss="mse",
        z_from="prior",
        optimizer=OptimizerConfig(
            learning_rate=1e-3,
            clip_norm=1.0,
            warmup=100,
            schedule=decay(),
        ),
        latent_weight=Schedule(0.0, 1e-3, steps=steps // 5),
        teacher_forcing=Schedule(1.0, 0.0, steps=steps // 2),
        validate_every=validate_every,
        validation_clips=64,
        checkpoint_every=100,
        sample_every=200,
    )
