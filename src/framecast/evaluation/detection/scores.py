"""How many objects predicted frames show, how surely, and whether they are the true ones."""

from collections.abc import Sequence
from dataclasses import dataclass

from framecast.evaluation.detection.boxes import Boxes, overlaps, ranked

MATCH = 0.5
"""Least intersection over union of a box and the true one that it stands for."""


@dataclass(frozen=True)
class Summary:
    """Objects in the frames of one video."""

    objects: float
    """Mean number per frame."""
    confidence: float | None
    """Mean over all objects; None without any."""
    recall: float | None
    """Share of the true frames' objects that are found; None without any."""
    precision: float | None
    """Share of the objects found that are in the true frames; None without any."""


def summary(found: Sequence[Boxes], truth: Sequence[Boxes]) -> Summary:
    """Count the objects in frames, and compare them with those in the true frames.

    Recall and precision are of all frames together: an object of a frame counts once.

    Args:
        found: Boxes of each frame, at least one frame.
        truth: Boxes of each true frame, as many.
    """
    objects, expected = (sum(map(len, each)) for each in (found, truth))
    matched = sum(matches(ours, true) for ours, true in zip(found, truth, strict=True))
    total = sum(float(boxes.confidence.sum()) for boxes in found)
    return Summary(
        objects=objects / len(found),
        confidence=total / objects if objects else None,
        recall=matched / expected if expected else None,
        precision=matched / objects if objects else None,
    )


def matches(found: Boxes, truth: Boxes) -> int:
    """How many boxes of a frame stand for one of the true boxes.

    The surest box chooses first: of the true boxes of its class that are left, the one with the
    largest intersection over union, if that is `MATCH` or more.
    """
    found = ranked(found)
    fitting = overlaps(found.corners, truth.corners)
    fitting[found.label[:, None] != truth.label[None]] = 0
    matched = 0
    for number in range(len(found) if len(truth) else 0):
        best = fitting[number].argmax()
        if fitting[number, best] >= MATCH:
            fitting[:, best] = 0
            matched += 1
    return matched
