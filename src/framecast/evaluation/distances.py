"""Distances between the set of predicted clips and the set of true ones.

Of every clip its features are taken, added to moments and let go. The frames of a batch are kept
until its last one has come, for features are of whole clips: observed and predicted frames
together, or all frames of a reconstruction.

Reference: Unterthiner et al., "Towards accurate generative models of video" (2018); FVD* and the
two folds: Video VQ-VAE, section 5.2.
"""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from framecast.clip import Clip
from framecast.codec import Codec
from framecast.config import to_json
from framecast.evaluation.metrics import i3d
from framecast.evaluation.metrics.frechet import FoldedMoments
from framecast.evaluation.metrics.sets import MetricSet, SetMetric
from framecast.evaluation.metrics.video_features import VideoFeatures
from framecast.evaluation.protocol import Protocol
from framecast.evaluation.result import Interval, MetricInfo
from framecast.model import Model, Step
from framecast.video import Size, fit

VARIANT = "|m1 - m2|^2 + tr(S1 + S2 - 2 (S1 S2)^1/2), covariances with n - 1, in float64"
TRUTH, CODED, STAR = "truth", "reconstructed truth", "star"
CLIPS = 16
"""Clips whose features are taken at a time."""


@dataclass(frozen=True)
class Distances:
    """Which distances of a metric set an evaluation computes, and from what features."""

    metrics: tuple[SetMetric, ...]
    omitted: dict[str, str]
    """Distances of the set that cannot be computed here, with the reason."""
    features: VideoFeatures

    @classmethod
    def of(
        cls,
        metric_set: MetricSet,
        protocol: Protocol,
        model: Model,
        sequences: int,
        *,
        weights: Path | None,
        features: VideoFeatures | None,
    ) -> "Distances":
        """The distances of an evaluation.

        Args:
            metric_set: Of the protocol, with the names of `features`.
            protocol: Says what a clip is.
            model: FVD* needs one with codes.
            sequences: How many are predicted.
            weights: Folder of weights; None for the one that `FRAMECAST_WEIGHTS` names.
            features: None for those of FVD.
        """
        absent = i3d.missing(weights) if features is None else None
        used = features or i3d.I3dLogits(weights)
        reasons = {
            metric.key: absent
            or _too_little(metric, protocol, sequences, used)
            or (_no_reconstruction(protocol, model) if metric.against != "truth" else None)
            for metric in metric_set.distances
        }
        omitted = {key: reason for key, reason in reasons.items() if reason is not None}
        kept = tuple(metric for metric in metric_set.distances if metric.key not in omitted)
        return cls(kept, omitted, used)

    def infos(self) -> dict[str, MetricInfo]:
        """What each column is."""
        return {
            metric.key: MetricInfo(
                metric.label,
                "",
                higher_is_better=False,
                definition={"variant": VARIANT, **to_json(metric)},
            )
            for metric in self.metrics
        }


@dataclass(frozen=True)
class Found:
    """The distances of one line of a result."""

    values: dict[str, Interval]  # in features squared; of folds their mean, without an interval
    folds: dict[str, list[float]]  # of each fold, where there are several


class Sets:
    """Moments of the features of all sets of clips of an evaluation: they do not grow."""

    def __init__(self, distances: Distances, model: Model, protocol: Protocol) -> None:
        """Begin with nothing."""
        self.distances = distances
        self.model = model
        self.size = protocol.resize
        self.predicting = protocol.task == "predict"
        self.star = any(metric.against != "truth" for metric in distances.metrics)
        self._moments: dict[str, FoldedMoments] = defaultdict(FoldedMoments)
        self._sequences: tuple[int, ...] = ()
        self._observed: Tensor | None = None
        self._decoded: Tensor | None = None

    def begin(
        self, sequences: tuple[int, ...], context: Clip, truth: Clip, given: tuple[Clip, Clip]
    ) -> None:
        """Take the true clips of a batch; what comes until the next call is of it.

        Args:
            sequences: Numbers in the dataset.
            context: Observed frames, as they are scored; not read for reconstructions.
            truth: Frames to predict, as they are scored, or all frames of a reconstruction.
            given: Both, as the model sees frames.
        """
        self._sequences = sequences
        self._observed = context.frames if self.predicting else None
        self._add(TRUTH, self._whole(self._observed, truth.frames[None]))
        if self.star:
            observed, future = (clip.frames for clip in given)
            self._add(CODED, self._recoded(torch.cat([observed, future], 1))[None])
            self._decoded = self._recoded(observed)

    def watch(self, name: str, steps: Iterator[Step]) -> Iterator[Step]:
        """Hand predicted frames on, and take them when all have come; samples are all taken."""
        frames: list[Tensor] = []
        for step in steps:
            frames.append(distinct(step.frame).clamp(0, 1))
            yield step
        samples = max(map(len, frames))
        future = torch.stack([each.expand(samples, *each.shape[1:]) for each in frames], 2)
        self._add(name, self._whole(self._observed, future))
        if self._decoded is not None:
            self._add(f"{name} {STAR}", self._whole(self._decoded, future))

    def frames(self, name: str, frames: Float[Tensor, "b t c h w"]) -> None:
        """Take frames in the place of the true ones."""
        self._add(name, self._whole(self._observed, frames.clamp(0, 1)[None]))

    def found(self, name: str) -> Found:
        """The distances of the set of a name; those against reconstructions are of `watch` only."""
        values, folds = {}, {}
        for metric in self.distances.metrics:
            against = metric.against != "truth"
            ours = self._moments.get(f"{name} {STAR}" if against else name)
            if ours is None:
                continue
            found = ours.distance(self._moments[CODED if against else TRUTH])
            value = found.whole if metric.folds == 1 else found.mean
            values[metric.key] = Interval.of(value, float("nan"), float("nan"))
            if metric.folds > 1:
                folds[metric.key] = list(found.folds)
        return Found(values, folds)

    def _whole(
        self, observed: Float[Tensor, "b t c h w"] | None, frames: Float[Tensor, "s b t2 c h w"]
    ) -> Float[Tensor, "s b t3 c h w"]:
        if observed is None:
            return frames
        return torch.cat([observed.expand(len(frames), *observed.shape), frames], 2)

    def _recoded(self, frames: Float[Tensor, "b t c h w"]) -> Float[Tensor, "b t c h2 w2"]:
        assert isinstance(self.model, Codec)  # `Distances.of` has seen to it
        return scaled(self.model.decode(self.model.encode(frames)).frames, self.size)

    def _add(self, name: str, clips: Float[Tensor, "s b t c h w"]) -> None:
        flat, numbers = clips.flatten(0, 1), list(self._sequences) * len(clips)
        for first in range(0, len(flat), CLIPS):
            features = self.distances.features(flat[first : first + CLIPS])
            exact = features.double().cpu().numpy()
            self._moments[name].add(exact, numbers[first : first + CLIPS])


def scaled(frames: Float[Tensor, "*n c h w"], size: Size | None) -> Float[Tensor, "*n c h2 w2"]:
    """Frames clipped to [0, 1] and resized as `fit` does; as they are without a size."""
    return frames if size is None else fit(frames.clamp(0, 1), size)


def distinct(frame: Float[Tensor, "s b c h w"]) -> Float[Tensor, "s2 b c h w"]:
    """One sample where a model expands one to many, and else all."""
    return frame[:1] if frame.stride(0) == 0 else frame


def _too_little(
    metric: SetMetric, protocol: Protocol, sequences: int, features: VideoFeatures
) -> str | None:
    length, needed = sum(protocol.lengths()), 2 * metric.folds
    if length < features.shortest:
        return f"clips of {length} frames are too short: {features.shortest} at least"
    if sequences < needed:
        return f"{sequences} sequences are too few: {needed} at least"
    if protocol.task == "predict" and protocol.corruption is not None:
        return "clips begin with the observed frames, which are corrupted"
    return None


def _no_reconstruction(protocol: Protocol, model: Model) -> str | None:
    if protocol.task == "reconstruct":
        return "it is of predictions"
    if not isinstance(model, Codec):
        return f"{model.config.type} has no codes to reconstruct true clips from"
    if any(length % model.block for length in protocol.lengths()):
        return f"{model.config.type} codes {model.block} frames at a time"
    return None
