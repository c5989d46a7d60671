"""Being told to end by another program: what was begun is put away first."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGHUP)


class Ended(BaseException):
    """A signal asked the program to end; `exit_code` is what shells expect then."""

    def __init__(self, number: int) -> None:
        """Keep which one."""
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


@contextmanager
def told() -> Iterator[None]:
    """Within the block such a signal is raised as `Ended`, so that drafts of files are removed.

    Signals that are ignored (nohup) or have a handler stay as they are, as does all outside the
    main thread.
    """
    process = os.getpid()

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        if os.getpid() == process:
            raise Ended(number)
        signal.signal(number, signal.SIG_DFL)  # a process that was forked off ends as ever
        os.kill(os.getpid(), number)

    main = threading.current_thread() is threading.main_thread()
    free = [n for n in SIGNALS if main and signal.getsignal(n) is signal.SIG_DFL]
    for number in free:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in free:
            signal.signal(number, signal.SIG_DFL)
