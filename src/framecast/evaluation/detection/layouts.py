"""What detectors put out: three layouts of candidates, and which of them a file has."""

import ast
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from framecast.errors import FramecastError
from framecast.evaluation.detection.boxes import Boxes

Layout = Literal["yolov5", "yolov8", "end-to-end"]
"""`yolov5`: (1, candidates, 5 + classes), each with centre, size, objectness and classes.
`yolov8`: (1, 4 + classes, candidates), each with centre, size and classes.
`end-to-end`: (1, boxes, 6), each with corners, confidence and class, and without doubles."""

LAYOUTS: tuple[Layout, ...] = get_args(Layout)

Output = Float[np.ndarray, "rows columns"]


def layout_of(shape: tuple[int, ...], classes: int | None) -> Layout:
    """The layout of an output.

    Args:
        shape: With the batch in front.
        classes: How many names the file has; None if it has none.

    Raises:
        FramecastError: if the shape fits none of the layouts, or several.
    """
    found: list[Layout] = [layout for layout in LAYOUTS if _likely(layout, shape, classes)]
    if len(found) == 1:
        return found[0]
    if not found:
        named = f" with {classes} classes" if classes else ""
        raise FramecastError(
            f"the detector's output has the shape {shape}, which is no layout{named} that is "
            "known: (1, N, 5 + classes), (1, 4 + classes, N) or (1, N, 6); export it with "
            "decoded boxes"
        )
    raise FramecastError(
        f"the detector's output of the shape {shape} may be {' or '.join(found)}; say which with "
        f"--layout {found[0]}"
    )


def fits(layout: Layout, shape: tuple[int, ...]) -> bool:
    """Whether an output can be read in a layout."""
    if len(shape) != 3:
        return False
    rows, columns = shape[1:]
    if layout == "end-to-end":
        return columns == 6
    return columns >= 6 if layout == "yolov5" else rows >= 5


def _likely(layout: Layout, shape: tuple[int, ...], classes: int | None) -> bool:
    """Whether an output fits a layout and the classes; without names it has many candidates."""
    if not fits(layout, shape):
        return False
    rows, columns = shape[1:]
    if layout == "end-to-end":
        return True
    if layout == "yolov5":
        return columns - 5 == classes if classes else rows > columns
    return rows - 4 == classes if classes else columns > rows


def read(output: Output, layout: Layout, confidence: float) -> Boxes:
    """The boxes of an output at some confidence or above, in pixels of the detector's input.

    The confidence of a yolov5 box is its objectness times the score of its best class; each box
    has one class, the best.
    """
    if layout == "end-to-end":
        rows = output[output[:, 4] >= confidence]
        return Boxes(rows[:, :4], rows[:, 4], np.rint(rows[:, 5]).astype(np.int64))
    rows, classes = (output, 5) if layout == "yolov5" else (output.T, 4)
    scores = rows[:, classes:]
    best = scores.max(1) * (rows[:, 4] if layout == "yolov5" else 1)
    sure = best >= confidence
    return Boxes(_corners(rows[sure, :4]), best[sure], scores[sure].argmax(1))


def read_names(metadata: Mapping[str, str]) -> dict[int, str]:
    """Names of classes by their numbers, as exports keep them; none if there are none."""
    try:
        names = ast.literal_eval(metadata.get("names", ""))
        pairs = names.items() if isinstance(names, dict) else enumerate(names)
        return {int(number): str(name) for number, name in pairs}
    except (ValueError, SyntaxError, TypeError):
        return {}


def _corners(boxes: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
    """Left, top, right, bottom from centre and size."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], 1)
