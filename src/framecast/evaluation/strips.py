"""The few predictions that a result shows as a picture."""

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from framecast.clip import Source
from framecast.evaluation.scoring import Keep
from framecast.evaluation.task import Batch
from framecast.pictures import spread

SEQUENCES = 4
FRAMES = 10


@dataclass(frozen=True)
class Strip:
    """Frames of one sequence that go below each other."""

    name: str  # of the sequence
    last: Float[Tensor, "c h w"]  # the last observed frame, which copy-last predicts
    frames: tuple[int, ...]  # frames of the horizon that are shown, from 0
    truth: Float[Tensor, "t c h w"]
    model: Float[Tensor, "t c h w"]  # sample 0, clipped to [0, 1]

    @staticmethod
    def of(
        batch: Batch, keep: Keep, kept: Float[Tensor, "k t c h w"] | None, source: Source
    ) -> "list[Strip]":
        """The strips of a batch: `kept` holds the predictions of `keep`."""
        if kept is None:
            return []
        context, truth = batch.context.frames.cpu(), batch.truth.frames.cpu()
        return [
            Strip(
                source.name(batch.sequences[place]),
                context[place, -1].clone(),
                keep.frames,
                truth[place, list(keep.frames)],
                model,
            )
            for place, model in zip(keep.sequences, kept, strict=True)
        ]


def shown(sequences: Sequence[int], used: int, horizon: int) -> Keep:
    """Which of a batch's sequences and frames are shown: spread evenly over all of them."""
    wanted = spread(used, SEQUENCES)
    places = tuple(place for place, number in enumerate(sequences) if number in wanted)
    return Keep(places, tuple(spread(horizon, FRAMES)))
