"""Experiments with stacks of recurrent units: Table VII of STIP, and the same at tiny size.

Reference:
    Chang et al., STIP (2022), Section IV-E 2 and Table VII.
"""

from framecast.data.human36m import Human36m
from framecast.data.moving_digits import MovingDigits
from framecast.experiment import Experiment
from framecast.models.unit_stack import TrainingConfig, UnitStackConfig
from framecast.schedules import Schedule, decay
from framecast.stage import OptimizerConfig


def human36m_convgru() -> Experiment:
    """Human3.6M 4→4 at 1024×1024 with 16 units: the row ConvGRU of Table VII."""
    return _human36m("convgru")


def human36m_trajgru() -> Experiment:
    """Human3.6M 4→4 at 1024×1024 with 16 units: the row TrajGRU of Table VII."""
    return _human36m("trajgru")


def human36m_dgru() -> Experiment:
    """Human3.6M 4→4 at 1024×1024 with 16 units: the row dGRU of Table VII."""
    return _human36m("dgru")


def human36m_causal_lstm() -> Experiment:
    """Human3.6M 4→4 at 1024×1024 with 16 units: the row causal LSTM of Table VII."""
    return _human36m("causal-lstm")


def human36m_e3d_lstm() -> Experiment:
    """Human3.6M 4→4 at 1024×1024 with 16 units: the row E3D-LSTM of Table VII."""
    return _human36m("e3d-lstm")


def human36m_reversible_pm() -> Experiment:
    """Human3.6M 4→4 at 1024×1024 with 16 units: the row reversible PM of Table VII."""
    return _human36m("reversible-pm")


def human36m_rpm() -> Experiment:
    """Human3.6M 4→4 at 1024×1024 with 16 units: the row RPM of Table VII."""
    return _human36m("rpm")


def human36m_stgru() -> Experiment:
    """Human3.6M 4→4 at 1024×1024 with 16 units: the row STGRU of Table VII."""
    return _human36m("stgru")


def tiny_convlstm() -> Experiment:
    """Drawn digits 5→5 with three small units, ConvLSTM: no download, minutes on a CPU."""
    return _tiny("convlstm")


def tiny_convgru() -> Experiment:
    """Drawn digits 5→5 with three small units, ConvGRU: no download, minutes on a CPU."""
    return _tiny("convgru")


def tiny_trajgru() -> Experiment:
    """Drawn digits 5→5 with three small units, TrajGRU: no download, minutes on a CPU."""
    return _tiny("trajgru")


def tiny_dgru() -> Experiment:
    """Drawn digits 5→5 with three small units, dGRU: no download, minutes on a CPU."""
    return _tiny("dgru")


def tiny_causal_lstm() -> Experiment:
    """Drawn digits 5→5 with three small units, causal LSTM: no download, minutes on a CPU."""
    return _tiny("causal-lstm")


def tiny_e3d_lstm() -> Experiment:
    """Drawn digits 5→5 with three small units, E3D-LSTM: no download, minutes on a CPU."""
    return _tiny("e3d-lstm")


def tiny_reversible_pm() -> Experiment:
    """Drawn digits 5→5 with three small units, reversible PM: no download, minutes on a CPU."""
    return _tiny("reversible-pm")


def tiny_rpm() -> Experiment:
    """Drawn digits 5→5 with three small units, RPM: no download, minutes on a CPU."""
    return _tiny("rpm")


def tiny_stgru() -> Experiment:
    """Drawn digits 5→5 with three small units, STGRU: no download, minutes on a CPU."""
    return _tiny("stgru")


def _human36m(unit: str) -> Experiment:
    """The paper names sizes and loss; the rest is ours: batches of 16, a warm-up, half a cosine."""
    return Experiment(
        UnitStackConfig(unit=unit),
        Human36m(),
        context=4,
        horizon=4,
        stages={
            "main": TrainingConfig(
                steps=100_000,
                batch=16,
                optimizer=OptimizerConfig(
                    learning_rate=5e-4,
                    clip_norm=1.0,
                    warmup=1_000,
                    schedule=decay(begin=1_000),
                ),
                recompute=True,
                validate_every=1_000,
                checkpoint_every=1_000,
            )
        },
    )


def _tiny(unit: str) -> Experiment:
    return Experiment(
        UnitStackConfig(unit=unit, channels=1, levels=1, layers=3, hidden=24, kernel=3),
        MovingDigits(digits="glyphs", train_size=2_000, validation_size=64),
        context=5,
        horizon=5,
        stages={
            "main": TrainingConfig(
                steps=400,
                batch=8,
                optimizer=OptimizerConfig(
                    learning_rate=2e-3, clip_norm=1.0, warmup=50, schedule=decay()
                ),
                teacher_forcing=Schedule(1.0, 0.0, steps=200),
                validate_every=100,
                validation_clips=64,
                checkpoint_every=100,
                sample_every=200,
            )
        },
    )
