"""Contact sheets of predictions, from frames that pass by: only what is shown is kept."""

from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from framecast import pictures
from framecast.video import fit

COLUMNS = 12
"""Most frames that are kept of the context, and of the horizon."""
SIDE = 256
"""Larger frames are made smaller: pixels of their longer side."""


class Sheet:
    """A contact sheet in the making, whose memory does not grow with the horizon."""

    def __init__(self, context: int, horizon: int) -> None:
        """Choose which frames to keep: evenly spread, with the first and the last."""
        self._observed, self._predicted = (
            pictures.spread(frames, COLUMNS) for frames in (context, horizon)
        )
        self._seen = [0, 0]
        self._context: list[Tensor] = []
        self._samples: list[Tensor] = []
        self._deviation: list[Tensor] = []
        self._truth: list[Tensor] = []

    def observe(self, frame: Float[Tensor, "c h w"]) -> None:
        """Take the next frame of the context."""
        if self._seen[0] in self._observed:
            self._context.append(_small(frame))
        self._seen[0] += 1

    def predict(
        self, samples: Float[Tensor, "s c h w"], truth: Float[Tensor, "c h w"] | None
    ) -> None:
        """Take the next predicted frame of every sample, and the true one where there is one."""
        if self._seen[1] in self._predicted:
            self._samples.append(_small(samples))
            self._deviation.append(_small(deviation(samples)[None])[0])
            if truth is not None:
                self._truth.append(_small(truth))
        self._seen[1] += 1

    def save(self, path: Path, title: str, first: int, fps: float) -> None:
        """Write the sheet as a PNG.

        Args:
            path: The file.
            title: A line above all.
            first: Number of the first context frame in its video.
            fps: Frames per second, for the times above the columns.

        Raises:
            VideoError: if it cannot be written.
        """
        behind = self._observed[-1] + 1
        sheet = pictures.contact_sheet(
            torch.stack(self._context),
            torch.stack(self._samples, 1),
            torch.stack(self._truth) if self._truth else None,
            deviation=torch.stack(self._deviation),
            title=title,
            first=first,
            kept=(self._observed, [behind + number for number in self._predicted]),
            fps=fps,
        )
        pictures.save(sheet, path)


def deviation(samples: Float[Tensor, "s c h w"]) -> Float[Tensor, "h w"]:
    """Standard deviation of the samples (n − 1) in each pixel, a mean over channels.

    0, not nearly 0, where samples are equal, and for a single one.
    """
    if len(samples) < 2 or bool((samples == samples[:1]).all()):
        return samples.new_zeros(samples.shape[-2:])
    return samples.std(0).mean(0)


def _small(frames: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n c h2 w2"]:
    height, width = frames.shape[-2:]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return frames.clone()
    return fit(frames, (max(1, round(height * scale)), max(1, round(width * scale))))
