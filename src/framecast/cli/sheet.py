"""Contact sheets of predictions, from frames that pass by: only what is shown is kept."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from jaxtyping import Float
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from framecast.folder import replace_file
from framecast.video import fit

COLUMNS = 10
"""Frames shown of the context, and of the horizon."""
ROWS = 8
"""Samples shown."""
SIDE = 256
"""Larger frames are made smaller for the sheet: pixels of their longer side."""
LEAST = 64
"""Smaller frames are enlarged by a whole number."""
LETTER, GAP = 12, 4
"""Height of letters, and space between things, in pixels."""

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
        """Write the sheet as a PNG."""
        blank: list[Cell] = [None] * len(self._context)
        names = ["prediction"] if self._samples == 1 else [f"sample {n}" for n in range(ROWS)]
        rows = {name: [*blank, *row] for name, row in zip(names, self._samples_rows, strict=False)}
        video = {"video": [*self._context, *self._truth]}
        columns = [str(n) for n in sorted(self.observed)]
        columns += [f"+{n + 1}" for n in sorted(self.predicted)]
        save_rows(video | rows, path, columns, divider=len(blank))


def save_rows(
    rows: Mapping[str, Sequence[Cell]],
    path: Path,
    columns: Sequence[str] | None = None,
    divider: int = 0,
) -> None:
    """Write rows of frames as a PNG, with their names and the columns' on white.

    Args:
        rows: Name to cells of one size; None leaves a cell empty.
        path: The PNG.
        columns: What stands above each column; frame numbers from 0 if None.
        divider: Before which column to leave a wider gap; 0 for none.
    """
    cells = {
        (row, column): _image(cell)
        for row, frames in enumerate(rows.values())
        for column, cell in enumerate(frames)
        if cell is not None
    }
    width, height = next(iter(cells.values())).size
    names = columns or [str(number) for number in range(max(map(len, rows.values())))]
    font = ImageFont.load_default(LETTER)
    left = max(int(font.getlength(name)) for name in rows) + 2 * GAP
    wide = max(width, *(int(font.getlength(name)) for name in names)) + GAP
    top, tall = LETTER + 2 * GAP, height + GAP

    def x(column: int) -> int:
        return left + column * wide + (2 * GAP if 0 < divider <= column else 0)

    sheet = Image.new("RGB", (x(len(names)), top + len(rows) * tall), "white")
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(names):
        pen.text((x(column), GAP), name, "black", font)
    for row, name in enumerate(rows):
        pen.text((GAP, top + row * tall), name, "black", font)
    for (row, column), image in cells.items():
        sheet.paste(image, (x(column), top + row * tall))
    replace_file(path, sheet.save)


def _image(cell: Float[Tensor, "c h w"]) -> Image.Image:
    scale = max(1, LEAST // max(cell.shape[-2:]))
    image = cell.expand(3, -1, -1).mul(255).round().byte().permute(1, 2, 0).contiguous().numpy()
    height, width = image.shape[:2]
    return Image.fromarray(image).resize((width * scale, height * scale), Image.Resampling.NEAREST)


def _spread(count: int) -> set[int]:
    shown = min(count, COLUMNS)
    return {round(i * (count - 1) / max(shown - 1, 1)) for i in range(shown)}


def _small(frame: Float[Tensor, "c h w"]) -> Float[Tensor, "c h2 w2"]:
    height, width = frame.shape[-2:]
    scale = SIDE / max(height, width)
    if scale >= 1:
        return frame.clone()
    return fit(frame, (max(1, round(height * scale)), max(1, round(width * scale))))
