"""`framecast VERB …`: find the verb, run it, and answer for what goes wrong.

Nothing heavy is imported here: a verb's module is imported when it is chosen, and what it needs
when it runs.
"""

import contextlib
import errno
import importlib
import os
import sys
import traceback
import warnings
from collections.abc import Sequence
from typing import TextIO

import framecast
from framecast.cli.ending import Ended, told
from framecast.errors import FramecastError
from framecast.registry import suggest

VERBS: dict[str, str] = {
    "predict": "predict the next frames of videos",
    "demo": "predict a made-up video of moving digits; needs no data",
    "train": "train the model of a preset",
    "evaluate": "measure a model under a protocol",
    "compare": "put results of several models beside each other, as a page",
    "reproduce": "make a table or figure of the papers again",
    "detect": "count the objects a detector finds in predicted frames",
    "encode": "turn a video into a file of tokens",
    "decode": "turn a file of tokens back into a video",
    "inspect": "show what a model makes of a video inside, as one picture",
    "data": "show, prepare or verify a dataset",
    "models": "list the models, or describe one",
    "presets": "list the experiments that can be trained",
    "protocols": "list the ways to evaluate",
    "weights": "convert a PyTorch checkpoint to safetensors",
}
"""Each verb is the module of its name in this package, with `run(argv) -> exit code`."""

_NO_MEMORY = ("not enough memory", "can't allocate memory", "DefaultCPUAllocator")
"""How PyTorch's allocators say it, on one system or another."""

INTERRUPTED = 130
BROKEN_PIPE = 141


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line and return its exit code.

    0 is success, 1 partial failure, 2 an error that the input caused, 130 an interruption, 143 and
    129 SIGTERM and SIGHUP.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    with warnings.catch_warnings():
        if not debug:
            warnings.showwarning = _show_warning
        try:
            with told():
                code = _dispatch(arguments)
            sys.stdout.flush()
        except SystemExit as stop:
            return stop.code if isinstance(stop.code, int) else 2
        except (KeyboardInterrupt, Ended) as end:
            code = end.exit_code if isinstance(end, Ended) else INTERRUPTED
            return fail(str(end) or "interrupted", code)
        except BrokenPipeError:
            _silence(sys.stdout)
            return BROKEN_PIPE
        except Exception as error:
            line = explain(error)
            if debug or line is None:
                traceback.print_exc()
                return 2 if line else 1
            return fail(line, 2)
        return code


def explain(error: BaseException) -> str | None:
    """One line on an error that the user can do something about; None for a fault of ours."""
    if isinstance(error, FramecastError):
        return _one_line(str(error))
    if isinstance(error, OSError):
        place = f"{error.filename}: " if error.filename else ""
        cure = "; free some space" if error.errno == errno.ENOSPC else ""
        return _one_line(f"{place}{error.strerror or error}{cure}")
    if isinstance(error, MemoryError) or any(words in str(error) for words in _NO_MEMORY):
        return "not enough memory; use smaller frames (--size), fewer samples or a smaller batch"
    if type(error).__name__ == "OutOfMemoryError":
        return "the device is out of memory; use smaller frames, fewer samples or a smaller batch"
    return None


def fail(line: str, code: int) -> int:
    """Print an error line and give its exit code back."""
    print(f"framecast: error: {line}", file=sys.stderr)
    return code


def _dispatch(arguments: list[str]) -> int:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in {"-h", "--help"}:
        print(_help())
        return 0
    if verb == "--version":
        print(f"framecast {framecast.__version__}")
        return 0
    if verb not in VERBS:
        kind = "option" if verb.startswith("-") else "verb"
        known = ["--help", "--version", "--debug"] if kind == "option" else VERBS
        raise FramecastError(f"there is no {kind} {verb!r}; {suggest(verb, known)}")
    return importlib.import_module(f"framecast.cli.{verb}").run(rest)


def _help() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {verb:<{width}}  {about}" for verb, about in VERBS.items())
    return (
        "usage: framecast VERB …        framecast VERB --help describes a verb\n\n"
        f"Predict the next frames of a video.\n\nverbs:\n{verbs}\n\n"
        "options:\n"
        "  --help     show this\n"
        "  --version  show the version\n"
        "  --debug    with any verb: show where an error comes from"
    )


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    del category, filename, lineno, file, line
    print(f"framecast: warning: {_one_line(str(message))}", file=sys.stderr)


def _silence(stream: TextIO) -> None:
    """Keep the interpreter from complaining about a closed pipe when it ends."""
    with contextlib.suppress(OSError, ValueError):
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, stream.fileno())
        os.close(nothing)


def _one_line(text: str) -> str:
    return " ".join(text.split())
