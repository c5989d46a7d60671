"""Progress on stderr: a bar on a terminal, a line now and then elsewhere."""

import sys
import time
from collections.abc import Iterable

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LINE_EVERY = 30.0  # seconds


def say(what: str, lines: Iterable[str]) -> None:
    """Lines on something, each with its name."""
    for line in lines:
        sys.stderr.write(f"{what}: {line}\n")


class Steps:
    """Shows how far a stage is, at which rate, and the time left."""

    def __init__(self, stage: str, total: int, done: int, shown: bool) -> None:
        """Begin.

        Args:
            stage: Name of the stage.
            total: Steps of the stage.
            done: Steps that are done already.
            shown: Whether to show anything.
        """
        self._stage, self._total, self._first, self._done = stage, total, done, done
        self._began = self._line = time.monotonic()
        self._shown, self._text, self._bar = shown, "", None
        if shown and sys.stderr.isatty():
            self._bar = Progress(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeRemainingColumn(),
                TextColumn("{task.fields[text]}"),
                console=Console(stderr=True),
            )
            self._task = self._bar.add_task(stage, total=total, completed=done, rate="", text="")

    def __enter__(self) -> "Steps":
        """Show."""
        if self._bar:
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        """End with a last line."""
        if self._bar:
            self._bar.stop()
        elif self._shown and self._done > self._first:
            self._print()

    def advance(self, done: int, text: str = "") -> None:
        """Say how many steps are done, and what to show beside."""
        self._done, self._text = done, text or self._text
        if self._bar:
            rate = f"{self.rate:.3g} steps/s"
            self._bar.update(self._task, completed=done, rate=rate, text=self._text)
        elif self._shown and time.monotonic() - self._line > LINE_EVERY:
            self._line = time.monotonic()
            self._print()

    @property
    def rate(self) -> float:
        """Steps per second since the beginning."""
        return (self._done - self._first) / max(time.monotonic() - self._began, 1e-9)

    def _print(self) -> None:
        left = (self._total - self._done) / self.rate if self.rate else 0.0
        line = f"{self._stage}: step {self._done}/{self._total}, {self.rate:.3g} steps/s"
        line += f", {left / 60:.0f} min left" if left else ""
        sys.stderr.write(f"{line}{', ' + self._text if self._text else ''}\n")
