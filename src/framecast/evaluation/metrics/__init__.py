"""Metrics of frames, batched, and the named sets that published tables use."""

from framecast.evaluation.metrics.evaluate import evaluate_frames, omitted
from framecast.evaluation.metrics.sets import SETS, Metric, MetricSet

__all__ = ["SETS", "Metric", "MetricSet", "evaluate_frames", "omitted"]
