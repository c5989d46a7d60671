"""Films: what was observed, what followed and what a model predicted, for a few sequences.

A film is one picture, its frames side by side. Results of several models under one protocol hold
films of the same sequences, so that they can be shown below and beside each other.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor
from torch.nn import functional

from framecast.clip import Source
from framecast.errors import FolderError
from framecast.evaluation.result import FilmInfo
from framecast.evaluation.scoring import Keep, Kept
from framecast.evaluation.task import Batch
from framecast.pictures import spread

SEQUENCES, FEWEST = 30, 4
"""Most sequences with films, and how many there are however large they get."""
FRAMES = 64
"""Most frames before and after the end of the context."""
PIXELS = 2**18
"""Most pixels of a film: larger frames are shrunk."""
ALL_PIXELS = 2**22
"""Most pixels of the films of a row; beyond, there are fewer sequences."""
TRUTH, MODEL, BEST = "truth", "model", "best"


@dataclass(frozen=True)
class Film:
    """The frames of one sequence, gray or colour, as bytes."""

    info: FilmInfo
    truth: UInt8[np.ndarray, "t h w c"]  # observed frames, then the true ones
    model: UInt8[np.ndarray, "t2 h w c"]  # sample 0
    best: UInt8[np.ndarray, "t2 h w c"] | None = None  # of the sample `info.best`

    @staticmethod
    def of(
        batch: Batch,
        keep: Keep,
        kept: Kept | None,
        source: Source,
        observed: int,
    ) -> "list[Film]":
        """The films of a batch.

        Args:
            batch: What was predicted or reconstructed, at the size of the scores.
            keep: Which of it is shown.
            kept: The model's frames of `keep`; None for no films.
            source: Names the sequences.
            observed: Frames of the context that the true ones follow; 0 for reconstructions.
        """
        if kept is None:
            return []
        films = []
        for place, model, best in zip(keep.sequences, kept.frames, kept.best, strict=True):
            number = batch.sequences[place]
            before = batch.context.frames[place][:observed][-FRAMES:]
            after = batch.truth.frames[place, list(keep.frames)]
            truth = torch.cat([before, after]).cpu()
            size = _size(truth.shape)
            info = FilmInfo(
                number,
                source.name(number),
                len(before),
                len(after),
                list(size),
                None if best is None else best.number,
            )
            nearest = None if best is None else _bytes(best.frames, size)
            films.append(Film(info, _bytes(truth, size), _bytes(model, size), nearest))
        return films


def shown(batch: Batch, used: int, observed: int) -> Keep:
    """Which of a batch's sequences and frames have films: spread evenly over all of them.

    Args:
        batch: At the size of the scores.
        used: Sequences of the whole evaluation.
        observed: As in `Film.of`.
    """
    frames = min(batch.truth.length, FRAMES)
    length = min(observed, FRAMES) + frames
    height, width = _size((length, *batch.truth.frames.shape[2:]))
    count = min(SEQUENCES, max(FEWEST, ALL_PIXELS // (length * height * width)))
    wanted = set(spread(used, count))
    places = tuple(place for place, number in enumerate(batch.sequences) if number in wanted)
    return Keep(places, tuple(range(frames)))


def write(folder: Path, films: Sequence[Film]) -> None:
    """Write films as PNG files; no folder is made for none."""
    for film in films:
        folder.mkdir(exist_ok=True)
        for row, frames in ((TRUTH, film.truth), (MODEL, film.model), (BEST, film.best)):
            if frames is not None:
                joined(frames).save(folder / _name(film.info, row))


def read(folder: Path, info: FilmInfo, row: str) -> UInt8[np.ndarray, "t h w c"]:
    """The frames of a film: of the row `truth`, which begins with the context, `model` or `best`.

    Raises:
        FolderError: if its picture is missing, damaged or not of the size that `info` says.
    """
    path = folder / _name(info, row)
    frames = info.frames + (info.context if row == TRUTH else 0)
    try:
        with Image.open(path) as image:
            pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError) as error:  # the last for damaged PNG files
        reason = str(error).splitlines()[0]
        raise FolderError(f"{path} cannot be read ({reason}); evaluate again") from None
    height, width = info.size
    if pixels.shape[:2] != (height, frames * width):
        raise FolderError(f"{path} has not {frames} frames of {height}x{width}; evaluate again")
    return pixels.reshape(height, frames, width, -1).transpose(1, 0, 2, 3)


def joined(frames: UInt8[np.ndarray, "t h w c"]) -> Image.Image:
    """Frames side by side, as one picture."""
    side_by_side = np.concatenate(list(frames), axis=1)
    return Image.fromarray(side_by_side.squeeze(2) if frames.shape[3] == 1 else side_by_side)


def _name(info: FilmInfo, row: str) -> str:
    return f"{info.sequence:05d}-{row}.png"


def _size(shape: Sequence[int]) -> tuple[int, int]:
    """(height, width) of the frames of a film, given its `t c h w`."""
    length, _, height, width = shape
    scale = min(1.0, math.sqrt(PIXELS / (length * height * width)))
    return max(1, int(height * scale)), max(1, int(width * scale))


def _bytes(
    frames: Float[Tensor, "t c h w"], size: tuple[int, int]
) -> UInt8[np.ndarray, "t oh ow oc"]:
    visible = frames if frames.shape[1] in (1, 3) else frames[:, :1]
    if tuple(visible.shape[-2:]) != size:
        visible = functional.interpolate(visible, size=size, mode="bilinear", antialias=True)
    return (visible.clamp(0, 1) * 255).round().byte().permute(0, 2, 3, 1).numpy()
