"""Metrics of frames, batched, and the named sets that published tables use."""

from framecast.evaluation.metrics.evaluate import evaluate_frames, omitted
from framecast.evaluation.metrics.sets import SETS, Metric, MetricSet, SetMetric
from framecast.evaluation.metrics.video_features import VideoFeatures

__all__ = [
    "SETS",
    "Metric",
    "MetricSet",
    "SetMetric",
    "VideoFeatures",
    "evaluate_frames",
    "omitted",
]
