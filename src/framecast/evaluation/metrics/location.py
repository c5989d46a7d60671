"""Where things are in a frame, whatever their sharpness."""

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.evaluation.metrics.chunks import per_frame

PORTION = 1 << 18  # values at a time, as for errors per pixel


def centroid_distance(
    prediction: Float[Tensor, "*n c h w"], target: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """Distance in pixels between the intensity centroids of each pair of frames.

    Blur by any symmetric kernel leaves a centroid where it is, as long as nothing passes a border,
    and a shift moves it by just that shift: this measures location and nothing of sharpness. It is
    made for bright things on black. Errors of two things in opposite directions cancel, and a
    bright background holds the centroid fast, so that distances between frames of such videos are
    small and compare only with one another.

    Args:
        prediction: Frames in [0, 1].
        target: Frames of the same shape.
    """
    return per_frame(_distance, prediction, target, pixels=PORTION)


def centroid(frames: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n 2"]:
    """(row, column) of each frame's centre of intensity, in pixels from the centre of the first.

    Σ x·I(x) / Σ I(x), where I is the sum over the channels; the middle of the frame where all is
    black. Frames have no negative values.
    """
    intensity = frames.double().sum(-3)
    total = intensity.sum((-2, -1))
    found = []
    for axis, size in ((-1, frames.shape[-2]), (-2, frames.shape[-1])):
        place = torch.arange(size, dtype=torch.float64, device=frames.device)
        mean = (intensity.sum(axis) * place).sum(-1) / total
        found.append(torch.where(total > 0, mean, (size - 1) / 2))
    return torch.stack(found, -1)


def _distance(prediction: Tensor, target: Tensor) -> Tensor:
    return (centroid(prediction) - centroid(target)).square().sum(-1).sqrt().float()
