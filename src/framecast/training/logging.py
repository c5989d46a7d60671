"""The log of a run: a CSV table and TensorBoard's events, side by side."""

import csv
import os
from pathlib import Path

import numpy as np
from PIL import Image
from torch.utils.tensorboard import SummaryWriter

COLUMNS = ("stage", "step", "split", "name", "value")


class Log:
    """Rows of `stage, step, split, name, value`, one value each; steps count from 1.

    Values alone are written, no times, so that two equal trainings leave equal tables.
    """

    def __init__(self, table: Path, events: Path, stage: str, done: int, length: int) -> None:
        """Open the log of a stage.

        Args:
            table: The CSV file.
            events: TensorBoard's folder.
            stage: Name of the stage.
            done: Steps of the stage that are done; later events are void.
            length: Bytes of the table that are valid; later rows are cut.
        """
        self.stage = stage
        table.touch()
        if table.stat().st_size > length:
            os.truncate(table, length)
        self._file = table.open("a", newline="")
        self._rows = csv.writer(self._file, lineterminator="\n")
        if self._file.tell() == 0:
            self._rows.writerow(COLUMNS)
        self._events = SummaryWriter(str(events / stage), purge_step=done + 1)

    def write(self, step: int, split: str, values: dict[str, float]) -> None:
        """Add the values of one step."""
        for name, value in values.items():
            self._rows.writerow((self.stage, step, split, name, repr(value)))
            self._events.add_scalar(f"{split}/{name}", value, step)
        self._file.flush()

    def picture(self, step: int, name: str, image: Image.Image) -> None:
        """Show a picture in TensorBoard."""
        pixels = np.asarray(image.convert("RGB"))
        self._events.add_image(name, pixels, step, dataformats="HWC")

    def sync(self) -> int:
        """Bring all rows to the disk.

        Returns:
            Length of the table in bytes.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        self._events.flush()
        return self._file.tell()

    def close(self) -> None:
        """Close both."""
        self._file.close()
        self._events.close()
