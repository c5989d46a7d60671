"""Boxes: their overlap, the suppression of near doubles, and the way into a detector and back."""

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812
from jaxtyping import Bool, Float, Int64
from torch import Tensor

PADDING = 114 / 255
"""Gray of what is added around a frame. Reference: the value that YOLOv5 and later train with."""


@dataclass(frozen=True)
class Boxes:
    """Objects in one frame."""

    corners: Float[np.ndarray, "n 4"]
    """Left, top, right and bottom in pixels; (0, 0) is the corner of the first pixel."""
    confidence: Float[np.ndarray, " n"]
    """From 0 to 1."""
    label: Int64[np.ndarray, " n"]
    """Number of the class."""

    def __len__(self) -> int:
        """How many."""
        return len(self.label)

    def pick(self, index: Int64[np.ndarray, " k"] | Bool[np.ndarray, " n"]) -> "Boxes":
        """Some of them, by their numbers or by a mask."""
        return Boxes(self.corners[index], self.confidence[index], self.label[index])


@dataclass(frozen=True)
class Letterbox:
    """A frame shrunk or enlarged to fit inside another size, aspect kept, centred on gray."""

    frame: tuple[int, int]
    """(height, width) of the frame in pixels."""
    inside: tuple[int, int]
    """(height, width) of the frame after resizing."""
    target: tuple[int, int]
    """(height, width) of the whole."""

    @classmethod
    def of(cls, frame: tuple[int, int], target: tuple[int, int]) -> "Letterbox":
        """The largest that fits."""
        scale = min(target[0] / frame[0], target[1] / frame[1])
        height, width = (max(1, round(side * scale)) for side in frame)
        return cls(frame, (height, width), target)

    @property
    def offset(self) -> tuple[int, int]:
        """(top, left) of the frame inside, in pixels."""
        return (self.target[0] - self.inside[0]) // 2, (self.target[1] - self.inside[1]) // 2

    def apply(self, frame: Float[Tensor, "c h w"]) -> Float[Tensor, "c oh ow"]:
        """The frame in its box: bilinear, without antialiasing, as detectors are used."""
        if self.inside != self.frame:
            frame = F.interpolate(frame[None], size=self.inside, mode="bilinear")[0]
        (top, left), (height, width) = self.offset, self.inside
        whole = torch.full((len(frame), *self.target), PADDING, dtype=frame.dtype)
        whole[:, top : top + height, left : left + width] = frame
        return whole

    def restore(self, corners: Float[np.ndarray, "n 4"]) -> Float[np.ndarray, "n 4"]:
        """Boxes of the whole in pixels of the frame, cut off at its borders."""
        top, left = self.offset
        scale = np.array([self.frame[1] / self.inside[1], self.frame[0] / self.inside[0]] * 2)
        found = (corners - np.array([left, top] * 2)) * scale
        return found.clip(0, np.array([self.frame[1], self.frame[0]] * 2))


def areas(corners: Float[np.ndarray, "*n 4"]) -> Float[np.ndarray, "*n"]:
    """Areas of boxes; zero for those that are inside out."""
    width, height = (corners[..., 2 + side] - corners[..., side] for side in (0, 1))
    return width.clip(0) * height.clip(0)


def overlaps(
    ours: Float[np.ndarray, "n 4"], theirs: Float[np.ndarray, "m 4"]
) -> Float[np.ndarray, "n m"]:
    """Intersection over union of every pair; zero where both boxes are empty."""
    low = np.maximum(ours[:, None, :2], theirs[None, :, :2])
    high = np.minimum(ours[:, None, 2:], theirs[None, :, 2:])
    common = areas(np.concatenate([low, high], -1))
    union = areas(ours)[:, None] + areas(theirs) - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def ranked(boxes: Boxes) -> Boxes:
    """Boxes by falling confidence; of equally confident ones the earlier comes first."""
    return boxes.pick(np.argsort(-boxes.confidence, kind="stable"))


def suppressed(boxes: Boxes, overlap: float) -> Boxes:
    """Boxes without near doubles, by falling confidence.

    A box goes if a more confident one of its class, which stays, overlaps it by more than
    `overlap` (intersection over union). Of equally confident boxes the earlier comes first.
    """
    left = ranked(boxes)
    kept: list[Boxes] = []
    while len(left):
        first, rest = left.pick(np.array([0])), left.pick(np.arange(1, len(left)))
        kept.append(first)
        double = overlaps(first.corners, rest.corners)[0] > overlap
        left = rest.pick(~(double & (rest.label == first.label)))
    return joined(kept) if kept else left


def joined(parts: list[Boxes]) -> Boxes:
    """The boxes of several, in their order; at least one."""
    return Boxes(
        np.concatenate([part.corners for part in parts]),
        np.concatenate([part.confidence for part in parts]),
        np.concatenate([part.label for part in parts]),
    )
