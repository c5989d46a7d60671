"""What is wrong with an option, in one line: the parser's own answers are boxes of many."""

import re
from collections.abc import Iterator
from difflib import SequenceMatcher

FRAME = re.compile("[│╭╮╰╯]")
OPTION = re.compile(r" {2,}(--[\w.-]+)(?: (.+))?$")
"""An option that is named or explained, with what it takes."""

UNKNOWN = re.compile(r"Unrecognized options: (\S+?)(?:,? .*)?")
CHOICE = re.compile(r"invalid choice '(.*)' for argument '(.*)'\. Expected one of \((.*)\)\.")
VALUE = re.compile(r"Error parsing (\S+): (.*)")
NO_VALUE = re.compile(r"Missing value for argument '(.*)'\. Expected .*")
UNREAD = (
    (r"invalid literal for int\(\) with base 10: (?P<got>.*)", "INT"),
    (r"could not convert string to float: (?P<got>.*)", "FLOAT"),
    (r"no type matching .+? could be instantiated from \[(?P<got>.*?)\]\..*", None),
    (r"Could not find valid parse for arguments: \[(?P<got>.*)\]", None),
)
"""Values that could not be read, and what was wanted, where the message says so."""
KINDS = {"INT": "a whole number", "FLOAT": "a number", "[INT [INT ...]]": "whole numbers"}
SUGGESTED = 3
"""How many other options are named, at most."""


def complaint(box: str, prog: str) -> str:
    """The line for what the parser printed.

    Args:
        box: Its answer to options that it does not take: a message, and below it, divided by rules,
            what it suggests or what the option is.
        prog: The command, whose `--help` lists all options.
    """
    message, *others = _sections(box)
    text = " ".join(" ".join(message).split())
    lines = [line for section in others for line in section]
    options = {match[1]: match[2] for line in lines if (match := OPTION.match(line))}
    said = _missing(message) or _unknown(text, options) or _choice(text)
    said = said or _value(text, options) or _no_value(text)
    return f"{(said or text).rstrip('.')}; {prog} --help says more"


def _sections(box: str) -> Iterator[list[str]]:
    """The lines between the rules, without the frame."""
    section = list[str]()
    for line in box.splitlines():
        inner = FRAME.sub("", line).rstrip()
        if line.startswith("╭"):
            continue
        if line.startswith("╰") or set(inner.strip()) == {"─"}:
            yield section
            section = []
        else:
            section.append(inner)
    yield section


def _missing(message: list[str]) -> str | None:
    """What has to be given, of which the parser says what it is below each."""
    if not message or not message[0].strip().startswith("Missing from "):
        return None
    depth = min(len(line) - len(line.lstrip()) for line in message[1:])
    names = [line[depth:] for line in message[1:] if not line[depth].isspace()]
    wanted = " and ".join(name.rsplit(", ", 1)[-1] for name in names)
    return f"{wanted} {'is' if len(names) == 1 else 'are'} missing"


def _unknown(text: str, options: dict[str, str | None]) -> str | None:
    if (found := UNKNOWN.fullmatch(text)) is None:
        return None
    word = found[1]
    if not word.startswith("-"):
        return f"{word!r} is one word too many"

    def alike(option: str) -> float:
        return SequenceMatcher(None, option, word).ratio()

    near = sorted(options, key=alike, reverse=True)[:SUGGESTED]
    return f"there is no option {word}" + (f"; did you mean {' or '.join(near)}?" if near else "")


def _choice(text: str) -> str | None:
    if (found := CHOICE.fullmatch(text)) is None:
        return None
    choices = sorted(set(re.findall("'(.*?)'", found[3])) - {"None"})
    return f"{found[2]} takes {' or '.join(choices)}, got {found[1]!r}"


def _value(text: str, options: dict[str, str | None]) -> str | None:
    if (found := VALUE.fullmatch(text)) is None:
        return None
    option, reason = found.groups()
    for pattern, kind in UNREAD:
        if match := re.fullmatch(pattern, reason):
            wanted = kind or (options.get(option) or "another value").removeprefix("{None}|")
            return f"{option} takes {KINDS.get(wanted, wanted)}, got {match['got']}"
    return f"{option}: {reason}"


def _no_value(text: str) -> str | None:
    found = NO_VALUE.fullmatch(text)
    return found and f"{found[1]} lacks its value"
