"""Trains on two processes; run by torchrun.

Usage: several.py FOLDER. Leaves a run that nobody disturbed, and one whose second process was asked
to stop in the middle before it went on.
"""

import os
import signal
import sys
import warnings
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from dummy_runs import OPTIONS, quiet, uneven

from contract.dummy import Dummy, DummyConfig, Plain, PlainConfig
from framecast.errors import FramecastError
from framecast.training import Interrupted, train
from framecast.training.options import launch
from framecast.training.trainer import Trainer

RANK = int(os.environ["RANK"])


def stop_second_process() -> Any:
    real = Trainer.step

    def step(self: Trainer, micros: list[Any]) -> dict[str, float]:
        values = real(self, micros)
        if self.done == 3 and self.name == "codes" and RANK == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return values

    Trainer.step = step
    return real


def main(folder: Path) -> None:
    warnings.simplefilter("error")
    train(quiet(), folder / "whole", options=OPTIONS)
    real = stop_second_process()
    try:
        train(quiet(), folder / "stopped", options=OPTIONS)
    except Interrupted as stopped:
        (folder / f"interrupted{RANK}").write_text(str(stopped.exit_code))
    Trainer.step = real
    train(quiet(), folder / "stopped", resume=True, options=OPTIONS)
    for name, each in {"used": quiet(), "uneven": uneven()}.items():
        try:
            run = folder / ("whole" if name == "used" else name)
            train(each, run, options=OPTIONS)
        except FramecastError as error:
            (folder / f"{name}{RANK}").write_text(str(error))
    (folder / f"buffer{RANK}").write_text(str(shared_buffer()))


def shared_buffer() -> float:
    """A value that differs between processes, after the first one's was given to all."""
    trainer = Trainer(launch(OPTIONS), Plain(PlainConfig(), Dummy(DummyConfig()), 3), "it", 0)
    trainer.stage.model.codebook.fill_(RANK + 7)
    trainer.share_buffers()
    return trainer.stage.model.codebook.max().item()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
