"""The few predictions that a result shows as a picture."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from framecast.clip import Source
from framecast.evaluation.scoring import Keep, Kept
from framecast.evaluation.task import Batch
from framecast.pictures import spread

SEQUENCES = 4
FRAMES = 10
PIXELS = 512
"""Most rows or columns of a frame that is kept."""


@dataclass(frozen=True)
class Strip:
    """Frames of one sequence that go below each other."""

    name: str  # of the sequence
    frames: tuple[int, ...]  # scored frames that are shown, from 0
    truth: Float[Tensor, "t c h w"]  # here and below shrunk to at most `PIXELS` a side
    model: Float[Tensor, "t c h w"]  # sample 0, clipped to [0, 1]
    best: Float[Tensor, "t c h w"] | None  # the sample nearest to the truth, where they differ
    beside: Mapping[str, Float[Tensor, "t c h w"]]  # what the model is compared with, by name

    @staticmethod
    def of(
        batch: Batch,
        keep: Keep,
        kept: Kept | None,
        source: Source,
        beside: Mapping[str, Float[Tensor, "b t2 c h w"]],
    ) -> "list[Strip]":
        """The strips of a batch.

        Args:
            batch: What was predicted or reconstructed.
            keep: Which of it is shown.
            kept: The model's frames of `keep`; None for no strips.
            source: Names the sequences.
            beside: Frames for all scored ones, by name.
        """
        if kept is None:
            return []
        shown_frames = list(keep.frames)

        def picked(frames: Tensor, place: int) -> Tensor:
            return small(frames[place, shown_frames].cpu())

        return [
            Strip(
                source.name(batch.sequences[place]),
                keep.frames,
                picked(batch.truth.frames, place),
                small(model),
                None if best is None else small(best.frames),
                {name: picked(frames, place) for name, frames in beside.items()},
            )
            for place, model, best in zip(keep.sequences, kept.frames, kept.best, strict=True)
        ]


def small(frames: Float[Tensor, "t c h w"]) -> Float[Tensor, "t c oh ow"]:
    """Frames shrunk as a whole to at most `PIXELS` a side, smaller ones as they are."""
    height, width = frames.shape[-2:]
    scale = PIXELS / max(height, width)
    if scale >= 1:
        return frames
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return functional.interpolate(frames, size=size, mode="bilinear", antialias=True)


def shown(sequences: Sequence[int], used: int, horizon: int) -> Keep:
    """Which of a batch's sequences and frames are shown: spread evenly over all of them."""
    wanted = spread(used, SEQUENCES)
    places = tuple(place for place, number in enumerate(sequences) if number in wanted)
    return Keep(places, tuple(spread(horizon, FRAMES)))
