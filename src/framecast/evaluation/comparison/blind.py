"""Two models side by side without their names: which prediction do people prefer?

Both continue the same observed frames; the order of the sequences and the sides are drawn, and the
names are told with the counts at the end.

Reference: Walker et al., "Predicting Video with VQVAE" (2021), section 5.2: 15 people, 30 pairs of
videos, a preference for either or indifference.
"""

import base64
import hashlib
import itertools
import json
from collections.abc import Sequence
from xml.etree.ElementTree import Element

import numpy as np
from jaxtyping import UInt8

from framecast.errors import FramecastError
from framecast.evaluation import films
from framecast.evaluation.comparison.frames import film, shared
from framecast.evaluation.comparison.loading import Entry, comparable
from framecast.evaluation.comparison.markup import asset, embedded, page, tag
from framecast.evaluation.result import FilmInfo
from framecast.noise import mix

GENERATOR = "framecast compare --blind"
"""What pages to vote on say they were made by."""
SECONDS = 0.16
"""How long a frame is shown."""
REST = 4
"""How many frames long the last one stays."""
ANSWERS = (("left", "Left", "←"), ("even", "Too close to tell", "↓"), ("right", "Right", "→"))


def blind(entries: Sequence[Entry], title: str, seed: int) -> tuple[str, int]:
    """The page, and how many pairs of videos it shows.

    Args:
        entries: Two results of one protocol on the same sequences, with films.
        title: Above all; must not tell the models.
        seed: Draws the order of the sequences and the sides.

    Raises:
        FramecastError: if there are not two results that compare, or they share no films.
    """
    infos = _shared(entries)
    draw = np.random.default_rng(mix(seed, "blind"))
    order = [infos[place] for place in draw.permutation(len(infos))]
    sides = draw.integers(2, size=len(order)).tolist()
    shown = [
        _trial(entries if side == 0 else entries[::-1], info)
        for side, info in zip(sides, order, strict=True)
    ]
    first = entries[0].result
    key = {
        "names": [entry.label for entry in entries],
        "sides": sides,
        "sequences": [info.name for info in order],
        "protocol": first.name,
        "data": first.data.fingerprint,
        "seed": seed,
    }
    body = tag(
        "main",
        tag("header", tag("h1", title), tag("p", _task(first.predicted), class_="lead")),
        tag("noscript", tag("p", "Votes are counted with JavaScript; allow it for this page.")),
        tag("p", id="place", class_="hint"),
        tag("div", shown, id="trials"),
        _buttons(),
        tag("div", id="result", hidden=True),
        data_key=_hidden(json.dumps(key)),
        id="study",
    )
    style = asset("page.css") + asset("blind.css")
    return page(title, style, body, script=asset("blind.js"), generator=GENERATOR), len(shown)


def _shared(entries: Sequence[Entry]) -> list[FilmInfo]:
    if len(entries) != 2:
        raise FramecastError(f"--blind compares two results, got {len(entries)}; give two folders")
    one, other = entries
    if comparable(one.result) != comparable(other.result):
        raise FramecastError(
            f"{one.folder} and {other.folder} are of different protocols, data or sequences; "
            "evaluate both models alike"
        )
    infos = shared(entries)
    if not infos:
        raise FramecastError(
            f"{one.folder} and {other.folder} hold no frames of the same sequences, as older "
            "evaluations kept none; evaluate again"
        )
    return infos


def _task(predicted: bool) -> str:
    if not predicted:
        return "Two reconstructions of the same video. Which one looks better?"
    return (
        "Both videos begin with the same observed frames; what follows is predicted. Which "
        "prediction looks better?"
    )


def _trial(entries: Sequence[Entry], info: FilmInfo) -> Element:
    observed = film(entries[0], info, films.TRUTH)[: info.context]
    sides = [
        _video(np.concatenate([observed, film(entry, info, films.MODEL)]), side)
        for entry, side in zip(entries, ("left", "right"), strict=True)
    ]
    length = info.context + info.frames + REST
    share = 100 * info.context / length
    bar = tag(
        "div",
        tag("i", style=f"animation-duration: {length * SECONDS:.2f}s"),
        class_="bar",
        style=f"--seen: {share:.2f}%",
    )
    words = tag("p", tag("span", "observed"), tag("span", "predicted"), class_="spans")
    words.set("style", f"--seen: {share:.2f}%")
    below = [bar, words] if info.context else [bar]
    trial = tag("div", tag("div", sides, class_="pair"), below, class_="trial", hidden=True)
    trial.set("data-milliseconds", f"{1000 * length * SECONDS:.0f}")
    return trial


def _video(frames: UInt8[np.ndarray, "t h w c"], side: str) -> Element:
    """An animated film: a picture of all frames moves behind a window of one."""
    resting = np.concatenate([frames, np.repeat(frames[-1:], REST, axis=0)])
    count, height, width = resting.shape[:3]
    style = {
        "aspect-ratio": f"{width} / {height}",
        "background-image": f"url({embedded(films.joined(resting))})",
        "background-size": f"{100 * count}% 100%",
        "animation": f"play {count * SECONDS:.2f}s steps({count}, jump-none) infinite",
    }
    look = "; ".join(f"{name}: {value}" for name, value in style.items())
    return tag("div", class_="film", role="img", aria_label=f"video on the {side}", style=look)


def _buttons() -> Element:
    buttons = (
        tag("button", word, tag("kbd", key), type="button", data_vote=vote)
        for vote, word, key in ANSWERS
    )
    stop = tag("button", "Stop and see the result", type="button", id="stop", class_="quiet")
    hint = tag("p", "You can answer once the videos have played to their end.", id="hint")
    hint.set("class", "hint")
    return tag("div", tag("div", buttons, class_="votes"), hint, stop, id="answers", hidden=True)


def _hidden(text: str) -> str:
    """A text that nobody reads by accident: a pad and, behind it, the text changed by it."""
    plain = text.encode()
    pad = hashlib.sha256(plain).digest()
    mixed = bytes(byte ^ mask for byte, mask in zip(plain, itertools.cycle(pad), strict=False))
    return base64.b64encode(pad + mixed).decode()
