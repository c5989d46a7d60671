"""Contact sheets of predictions, from frames that pass by: only what is shown is kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from framecast.folder import replace_file
from framecast.video import fit

COLUMNS = 10
"""Frames shown of the context, and of the horizon."""
ROWS = 8
"""Samples shown."""
SIDE = 256
"""Larger frames are made smaller for the sheet: pixels of their longer side."""

Cell = Float[Tensor, "c h w"] | None


class Sheet:
    """Truth above, predictions below, time in columns."""

    def __init__(self, context: int, horizon: int, samples: int) -> None:
        """Choose which frames to keep: evenly spread, with the first and the last."""
        self.observed, self.predicted = _spread(context), _spread(horizon)
        self._samples = min(samples, ROWS)
        self._context: list[Cell] = []
        self._truth: list[Cell] = []
        self._samples_rows: list[list[Cell]] = [[] for _ in range(self._samples)]
        self._seen = [0, 0]

    def observe(self, frame: Float[Tensor, "c h w"]) -> None:
        """Take the next frame of the context."""
        if self._seen[0] in self.observed:
            self._context.append(_small(frame))
        self._seen[0] += 1

    def predict(
        self, samples: Float[Tensor, "s c h w"], truth: Float[Tensor, "c h w"] | None
    ) -> None:
        """Take the next predicted frame of every sample, and the true one where there is one."""
        if self._seen[1] in self.predicted:
            self._truth.append(None if truth is None else _small(truth))
            for row, frame in zip(self._samples_rows, samples, strict=False):
                row.append(_small(frame))
        self._seen[1] += 1

    def save(self, path: Path) -> None:
        """Write the sheet as a PNG.

        Raises:
            VideoError: if it cannot be written.
        """
        blank: list[Cell] = [None] * len(self._context)
        names = ["prediction"] if self._samples == 1 else [f"sample {n}" for n in range(ROWS)]
        rows = {name: [*blank, *row] for name, row in zip(names, self._samples_rows, strict=False)}
        columns = [*sorted(self.observed), *(len(blank) + n for n in sorted(self.predicted))]
        save_rows({"video": [*self._context, *self._truth], **rows}, path, columns)


def save_rows(rows: Mapping[str, Sequence[Cell]], path: Path, columns: Sequence[int] = ()) -> None:
    shape = next(cell.shape for row in rows.values() for cell in row if cell is not None)
    blank = torch.ones(shape)
    cells = [torch.cat([blank if c is None else c for c in row], -1) for row in rows.values()]
    sheet = torch.cat(cells, -2).expand(3, -1, -1)
    array = sheet.mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    replace_file(path, lambda draft: Image.fromarray(array).save(draft))


def _spread(count: int) -> set[int]:
    shown = min(count, COLUMNS)
    return {round(i * (count - 1) / max(shown - 1, 1)) for i in range(shown)}


def _small(frame: Float[Tensor, "c h w"]) -> Float[Tensor, "c h2 w2"]:
    height, width = frame.shape[-2:]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return frame.clone()
    return fit(frame, (max(1, round(height * scale)), max(1, round(width * scale))))
