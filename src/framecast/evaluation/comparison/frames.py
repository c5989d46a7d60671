"""Films of the same sequences from several results."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from framecast.errors import FolderError
from framecast.evaluation import films
from framecast.evaluation.comparison.loading import Entry
from framecast.evaluation.result import FilmInfo
from framecast.evaluation.results_folder import FILMS
from framecast.pictures import spread

SEQUENCES, FRAMES = 4, 10
"""Most sequences and frames of strips."""
ACROSS = 128
"""Most pixels across a frame of a strip."""


@dataclass(frozen=True)
class Shown:
    """A row of predicted frames."""

    model: str  # its label
    sample: str  # which of the samples; empty for the only one, or the first
    picture: Image.Image


@dataclass(frozen=True)
class Strip:
    """Some frames of a sequence below each other, each row as one picture."""

    name: str  # of the sequence
    observed: bool  # whether the first column is the last observed frame, in the truth alone
    numbers: tuple[int, ...]  # predicted frames of the columns, from 1
    truth: Image.Image
    rows: tuple[Shown, ...]


def shared(entries: Sequence[Entry]) -> list[FilmInfo]:
    """Sequences of which all of the results have films."""
    if not entries:
        return []
    others = [{info.sequence for info in entry.result.films} for entry in entries[1:]]
    return [
        info for info in entries[0].result.films if all(info.sequence in each for each in others)
    ]


def film(entry: Entry, info: FilmInfo, row: str) -> UInt8[np.ndarray, "t h w c"]:
    """The frames of a film of a result.

    Raises:
        FolderError: if they are damaged, or not those of the sequence that `info` is of.
    """
    own = _own(entry, info)
    if (own.context, own.frames, own.size) != (info.context, info.frames, info.size):
        raise FolderError(f"{entry.folder} has films of another form; evaluate again")
    return films.read(entry.folder / FILMS, own, row)


def _own(entry: Entry, info: FilmInfo) -> FilmInfo:
    return next(each for each in entry.result.films if each.sequence == info.sequence)


def strips(entries: Sequence[Entry]) -> list[Strip]:
    """A few sequences, spread over those that all results with films share.

    Raises:
        FolderError: if a film is damaged.
    """
    filmed = [entry for entry in entries if entry.result.films]
    infos = shared(filmed)
    return [_strip(filmed, infos[place]) for place in spread(len(infos), SEQUENCES) if infos]


def _strip(entries: Sequence[Entry], info: FilmInfo) -> Strip:
    shown = spread(info.frames, FRAMES)
    truth = film(entries[0], info, films.TRUTH)
    future = [info.context + number for number in shown]
    before = [info.context - 1] if info.context else []
    rows = tuple(row for entry in entries for row in _rows(entry, info, shown))
    numbers = tuple(number + 1 for number in shown)
    return Strip(info.name, bool(before), numbers, _picture(truth[before + future]), rows)


def _rows(entry: Entry, info: FilmInfo, shown: Sequence[int]) -> Iterator[Shown]:
    """Sample 0, and the best of several."""
    yield Shown(entry.label, "", _picture(film(entry, info, films.MODEL)[shown]))
    if _own(entry, info).best is not None:
        best = f"best of {entry.result.protocol['samples']}"
        yield Shown(entry.label, best, _picture(film(entry, info, films.BEST)[shown]))


def _picture(frames: UInt8[np.ndarray, "t h w c"]) -> Image.Image:
    height, width = frames.shape[1:3]
    image = films.joined(frames)
    if width <= ACROSS:
        return image
    size = (ACROSS * len(frames), max(1, round(height * ACROSS / width)))
    return image.resize(size, Image.Resampling.LANCZOS)
