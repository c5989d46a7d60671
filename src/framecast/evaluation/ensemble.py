"""What samples say together: how far apart they are, their mean, and whether they are calibrated.

Samples come portion by portion, each frame by frame, while CRPS and ranks of a frame need all of
its samples. So the samples of a batch's sequences are put aside, and then read frame by frame in
portions of pixels: in memory up to `IN_MEMORY`, beyond it in a file that the system's temporary
folder (`TMPDIR`) hides and deletes. Memory grows neither with the number of samples nor with that
of sequences.

Predictions are clipped to [0, 1]. All means are over the pixels and channels of a frame.
"""

import math
import os
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from framecast.errors import FramecastError
from framecast.evaluation import calibration
from framecast.evaluation.calibration import Ranks
from framecast.evaluation.metrics.crps import distances

IN_MEMORY = 2**28
"""Bytes of samples that are kept in memory."""
PORTION = 2**20
"""Values of all samples that are compared at a time."""

CRPS, CRPS_PLAIN, SPREAD, DIVERSITY = "crps", "crps-plain", "spread", "diversity"
DIAGNOSTICS = (CRPS, CRPS_PLAIN, SPREAD, DIVERSITY)


@dataclass(frozen=True)
class Together:
    """What all samples of one frame say together."""

    values: Mapping[str, Float[Tensor, "b"]]
    """`crps`, `crps-plain`, `spread` (mean distance of two samples, per pixel) and `diversity`
    (mean squared distance of two samples, summed over the frame)."""
    means: Mapping[int, Float[Tensor, "b c h w"]]
    """Mean of the first so many samples, by their number."""
    ranks: Ranks


class Ensemble:
    """The samples of some sequences, put aside until all are there."""

    def __init__(self, samples: int, shape: Sequence[int], in_memory: int = IN_MEMORY) -> None:
        """Make room.

        Args:
            samples: Of each sequence.
            shape: Of the true frames: `b t c h w`.
            in_memory: Bytes beyond which a file is used.
        """
        batch, time, *frame = shape
        size = (time, samples, batch, *frame)
        self.in_file = int(np.prod(size)) * 4 > in_memory
        self._frames = _in_file(size) if self.in_file else torch.empty(size)

    def put(self, number: int, first: int, frames: Float[Tensor, "s b c h w"]) -> None:
        """Keep a frame of some samples.

        Args:
            number: Of the frame, from 0.
            first: Number of the first of the samples.
            frames: In [0, 1].
        """
        self._frames[number, first : first + len(frames)] = frames.cpu()

    def frame(
        self,
        number: int,
        truth: Float[Tensor, "b c h w"],
        missing: Bool[Tensor, "b c h w"] | None,
        counts: Sequence[int],
    ) -> Together:
        """Compare all samples of a frame.

        Args:
            number: Of the frame, from 0.
            truth: The true frame.
            missing: Values of it that are not known, which have no rank.
            counts: Numbers of samples whose means are wanted.
        """
        samples, flat = self._frames[number].flatten(2), truth.flatten(1).cpu()
        total = len(samples)
        if (samples == samples[:1]).all():  # two of them say all that there is to say
            samples = samples[:2]
        unknown = None if missing is None else missing.flatten(1).cpu()
        wide = max(1, PORTION // (samples.shape[0] * samples.shape[1]))
        parts = [
            _compared(
                samples[..., start : start + wide],
                flat[:, start : start + wide],
                None if unknown is None else unknown[:, start : start + wide],
                counts,
            )
            for start in range(0, flat.shape[1], wide)
        ]
        sums = {key: torch.stack([part.sums[key] for part in parts]).sum(0) for key in DIAGNOSTICS}
        means = {n: torch.cat([part.means[n] for part in parts], 1) for n in counts}
        return Together(
            {k: value / (1 if k == DIVERSITY else flat.shape[1]) for k, value in sums.items()},
            {n: mean.view(truth.shape) for n, mean in means.items()},
            Ranks(
                _widened(torch.stack([part.ranks.histogram for part in parts]).sum(0), total),
                torch.stack([part.ranks.certain for part in parts]).sum(0),
            ),
        )

    def nearest(
        self, row: int, truth: Float[Tensor, "t c h w"], missing: Bool[Tensor, "t c h w"] | None
    ) -> int | None:
        """The sample with the smallest squared error over all frames; None if none is better.

        Args:
            row: Of the sequence in the batch.
            truth: Its true frames.
            missing: Values of them that are not known, and not counted.
        """
        errors = torch.zeros(self._frames.shape[1], dtype=torch.float64)
        some = max(1, PORTION // truth[0].numel())
        for number, frame in enumerate(truth.cpu()):
            for start in range(0, len(errors), some):
                away = self._frames[number, start : start + some, row] - frame
                if missing is not None:
                    away = away.masked_fill(missing[number].cpu(), 0)
                errors[start : start + some] += away.square().double().flatten(1).sum(1)
        return (
            None
            if bool((errors == errors[0]).all())
            else int(errors.nan_to_num(nan=math.inf).argmin())
        )

    def sample(self, number: int, row: int, frames: Sequence[int]) -> Float[Tensor, "t c h w"]:
        """Some frames of a sample of one sequence of the batch."""
        return self._frames[list(frames), number, row]


@dataclass(frozen=True)
class _Part:
    sums: Mapping[str, Float[Tensor, "b"]]
    means: Mapping[int, Float[Tensor, "b p"]]
    ranks: Ranks


def _compared(
    samples: Float[Tensor, "s b p"],
    truth: Float[Tensor, "b p"],
    missing: Bool[Tensor, "b p"] | None,
    counts: Sequence[int],
) -> _Part:
    """What samples of some pixels say together: sums over the pixels."""
    apart = distances(samples, truth)
    factor = 2 / (len(samples) - 1)
    away = samples - samples.mean(0)
    sums = {
        CRPS: apart.crps("fair"),
        CRPS_PLAIN: apart.crps("plain"),
        SPREAD: apart.apart,
        # E (X − X′)² over pairs of different samples; 0, not nearly 0, where all are equal
        DIVERSITY: torch.where(apart.apart == 0, 0.0, away.square().sum(0).double() * factor),
    }
    return _Part(
        {key: value.sum(1) for key, value in sums.items()},
        {n: samples[:n].mean(0, dtype=torch.float64).float() for n in counts},
        calibration.ranks(samples, truth, step=calibration.STEP, missing=missing),
    )


def _widened(histogram: Float[Tensor, "b r"], samples: int) -> Float[Tensor, "b r2"]:
    """Ranks among so many equal samples, from those among two: below all, or above all."""
    if histogram.shape[1] == samples + 1:
        return histogram
    wide = histogram.new_zeros(len(histogram), samples + 1)
    wide[:, 0], wide[:, -1] = histogram[:, 0], histogram[:, -1]
    return wide


def _in_file(size: Sequence[int]) -> Tensor:
    """Room in a file without a name, which is gone with the tensor.

    Raises:
        FramecastError: if there is too little room.
    """
    needed = int(np.prod(size)) * 4
    try:
        with tempfile.TemporaryFile() as file:
            if hasattr(os, "posix_fallocate"):  # else a full disk would end the process
                os.posix_fallocate(file.fileno(), 0, needed)
            file.truncate(needed)
            return torch.from_numpy(np.memmap(file, np.float32, "r+", shape=tuple(size)))
    except OSError as error:
        raise FramecastError(
            f"{needed / 2**30:.1f} GiB of samples do not fit into {tempfile.gettempdir()} "
            f"({error.strerror or error}); set TMPDIR to a larger folder, or draw fewer samples"
        ) from None
