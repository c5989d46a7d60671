"""Being asked to stop: the first signal ends the step, the second one ends at once."""

import signal
import sys
import threading
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupted(Exception):  # noqa: N818 - nothing went wrong
    """Training was asked to stop, and has saved a checkpoint. The message says how to go on."""

    def __init__(self, message: str, number: int) -> None:
        """Keep the message and the signal's number."""
        super().__init__(message)
        self.number = number

    @property
    def exit_code(self) -> int:
        """What a program should exit with: 130 after Ctrl-C, 143 after SIGTERM."""
        return 128 + self.number


class StopSignals:
    """While entered, notes the first SIGINT or SIGTERM in `number` and puts the handlers back.

    Outside the main thread, where no handler can be set, it notes nothing.
    """

    def __init__(self, told: bool = False) -> None:
        """Nothing has been received; `told` says on stderr when something is."""
        self.number = 0
        self._told = told
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "StopSignals":
        """Listen."""
        if threading.current_thread() is threading.main_thread():
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        """Stop listening."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before = {}

    def _note(self, number: int, frame: FrameType | None) -> None:
        del frame
        self.number = number
        self.__exit__()
        if self._told:
            sys.stderr.write("\nstopping after this step; again to stop at once\n")
