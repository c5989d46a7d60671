"""How options are read: the parser's settings, and the kinds of values that verbs share."""

import argparse
import re
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout, suppress
from io import StringIO
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import tyro
from tyro.constructors import PrimitiveConstructorSpec

from framecast.cli.complaints import complaint
from framecast.errors import FramecastError
from framecast.registry import suggest

T = TypeVar("T")

DEFAULT_MODEL = "convlstm/moving-mnist-small"

MODEL = tyro.conf.arg(metavar="NAME|FOLDER")
"""How help shows where a model's name goes."""

SETTINGS = (
    tyro.conf.FlagCreatePairsOff,
    tyro.conf.DisallowNone,
    tyro.conf.HelptextFromCommentsOff,
)
NESTED = (tyro.conf.HelptextFromCommentsOff,)
"""Settings where options are fields of configurations, which may be None or switched off."""


def parse(
    cls: type[T],
    verb: str,
    argv: Sequence[str],
    *,
    settings: tuple[Any, ...] = SETTINGS,
    default: Any = None,
) -> T:
    """Read the options of a verb into a dataclass, whose docstrings are the help.

    Args:
        cls: The dataclass.
        verb: The verb, and what stands between it and the options.
        argv: The options.
        settings: Of the parser.
        default: An instance with the values of options that are not given.

    Raises:
        FramecastError: says what is wrong with an option.
        SystemExit: after `--help`.
    """
    prog = f"framecast {verb}"

    def read() -> T:
        return tyro.cli(cls, prog=prog, args=list(argv), default=default, config=settings)

    try:
        with redirect_stderr(_Plain()):
            return read()
    except SystemExit as end:
        if not end.code:
            raise
    with redirect_stderr(_Plain()) as said, redirect_stdout(_Plain()), suppress(SystemExit):
        read()  # once more, as for no terminal
    raise FramecastError(complaint(said.getvalue(), prog))


class _Plain(StringIO):
    """What the parser draws boxes for in one way, whatever the terminal is."""

    encoding = "utf-8"


def picture_path(out: str, video: Path) -> Path:
    """Where the picture of a video goes; {stem} in its name is the video's.

    Raises:
        FramecastError: if it is no PNG or would overwrite the video.
    """
    video = video.resolve()
    path = Path(out.replace("{stem}", video.name if video.is_dir() else video.stem))
    if path.suffix.lower() != ".png":
        raise FramecastError(f"the picture is a .png file, got {path}; give --out NAME.png")
    if video in (path.resolve(), path.resolve().parent):
        raise FramecastError(f"{path} would overwrite an input; give another --out")
    return path


def dispatch(
    verb: str, argv: Sequence[str], actions: dict[str, tuple[Callable[[Sequence[str]], int], str]]
) -> int:
    """Run the action that the first word names: `framecast VERB ACTION …`.

    Raises:
        FramecastError: if there is no such action.
    """
    if not argv or argv[0] in {"-h", "--help"}:
        width = max(map(len, actions))
        lines = [f"  {name:<{width}}  {about}" for name, (_, about) in actions.items()]
        heading = f"usage: framecast {verb} {'|'.join(actions)} …"
        print("\n".join([heading, "", *lines, "", f"`framecast {verb} ACTION --help` says more."]))
        return 0
    if argv[0] not in actions:
        raise FramecastError(f"{verb} has no {argv[0]!r}; {suggest(argv[0], actions)}")
    return actions[argv[0]][0](argv[1:])


def taken(argv: Sequence[str], *names: str) -> tuple[str | None, list[str]]:
    """The value of an option that decides which others there are, and the other arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument(*names, dest="value")
    try:
        found, rest = parser.parse_known_args(list(argv))
    except argparse.ArgumentError:
        raise FramecastError(f"{names[-1]} lacks its value") from None
    return found.value, rest


def _text(read: Callable[[str], Any], write: Callable[[Any], str], metavar: str, kind: Any) -> Any:
    """A kind of value that is written as one word."""
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: read(words[0]),
        is_instance=lambda value: isinstance(value, kind),
        str_from_instance=lambda value: [write(value)],
    )


def read_start(text: str) -> int | float:
    """`120` is a frame number, `12.5s` a time in seconds.

    Raises:
        ValueError: if it is neither.
    """
    if re.fullmatch(r"\d+", text):
        return int(text)
    if re.fullmatch(r"\d+(\.\d*)?s|\.\d+s", text):
        return float(text[:-1])
    raise ValueError(f"{text!r} is neither a frame number like 120 nor a time like 12.5s")


def read_size(text: str) -> tuple[int, int] | str:
    """`native`, `model`, or `HxW` in pixels.

    Raises:
        ValueError: if it is none of them.
    """
    if text in ("native", "model"):
        return text
    match = re.fullmatch(r"(\d+)[x×](\d+)", text)
    if match and min(map(int, match.groups())) > 0:
        return int(match[1]), int(match[2])
    raise ValueError(f"{text!r} is neither native, nor model, nor height x width like 240x320")


def _write_size(size: tuple[int, int] | str) -> str:
    return size if isinstance(size, str) else f"{size[0]}x{size[1]}"


def _write_start(start: int | float) -> str:
    return str(start) if isinstance(start, int) else f"{start:g}s"


Start = Annotated[int | float, _text(read_start, _write_start, "FRAME|SECONDSs", (int, float))]
Size = Annotated[
    tuple[int, int] | Literal["native", "model"],
    _text(read_size, _write_size, "native|model|HxW", (tuple, str)),
]
FILMS = (".mp4", ".gif")
"""Suffixes of videos that can be written; a name without a suffix is a folder of images."""

OUT = tyro.conf.arg(aliases=["-o"], metavar="PATH")
OPTION = tyro.conf.arg(name="option", metavar="KEY=VALUE")
