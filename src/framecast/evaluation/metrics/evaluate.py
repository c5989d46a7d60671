"""From a set of metrics and frames to values."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

from jaxtyping import Float
from torch import Tensor

from framecast.evaluation.metrics import location, lpips, pixel, ssim
from framecast.evaluation.metrics.features import Network
from framecast.evaluation.metrics.lpips import Version
from framecast.evaluation.metrics.sets import Metric, MetricSet, Variant, Weights

VERSION: Version = "0.1"
"""Release of LPIPS's linear heads that all sets use."""

NETWORKS: Mapping[Weights, Network] = MappingProxyType(
    {"lpips-alex": "alex", "lpips-vgg": "vgg", "lpips-squeeze": "squeeze"}
)

FUNCTIONS: Mapping[Variant, Callable[[Tensor, Tensor], Tensor]] = MappingProxyType(
    {
        "mse-sum": pixel.mse_sum,
        "mse-mean": pixel.mse_mean,
        "mae-sum": pixel.mae_sum,
        "mae-mean": pixel.mae_mean,
        "psnr": pixel.psnr,
        "psnr-per-channel": pixel.psnr_per_channel,
        "psnr-uint8": pixel.psnr_uint8,
        "ssim-gaussian": ssim.ssim_gaussian,
        "ssim-uniform-range1": ssim.ssim_uniform_range1,
        "ssim-uniform-range2": ssim.ssim_uniform_range2,
        "ssim-uint8": ssim.ssim_uint8,
        "centroid": location.centroid_distance,
    }
)
"""The definitions that need no weights."""


def evaluate_frames(
    metric_set: MetricSet,
    prediction: Float[Tensor, "*n c h w"],
    target: Float[Tensor, "*n c h w"],
    *,
    weights: Path | None = None,
) -> dict[str, Float[Tensor, "*n"]]:
    """Compare frames under a set of metrics.

    Args:
        metric_set: Which metrics.
        prediction: Frames as the model gave them, not clipped; each metric clips as it is defined.
        target: Frames in [0, 1] of the same shape.
        weights: Folder of LPIPS weights; `None` for the one that `FRAMECAST_WEIGHTS` names.

    Returns:
        One value per frame by metric key, in the set's order. Metrics that `omitted` names are
        left out.

    Raises:
        FramecastError: The shapes differ, or frames are too small for a metric.
    """
    left_out = omitted(metric_set, weights)
    clipped = prediction.clamp(0, 1)
    return {
        metric.key: _value(metric, clipped if metric.clip else prediction, target, weights)
        for metric in metric_set.metrics
        if metric.key not in left_out
    }


def omitted(metric_set: MetricSet, weights: Path | None = None) -> dict[str, str]:
    """Metrics that cannot be computed here, by key, and why, for the report to print.

    Args:
        metric_set: Which metrics.
        weights: Folder of LPIPS weights; `None` for the one that `FRAMECAST_WEIGHTS` names.
    """
    reasons = {
        metric.key: lpips.missing(NETWORKS[metric.needs_weights], VERSION, weights)
        for metric in metric_set.metrics
        if metric.needs_weights is not None
    }
    return {key: reason for key, reason in reasons.items() if reason is not None}


def _value(metric: Metric, prediction: Tensor, target: Tensor, weights: Path | None) -> Tensor:
    if metric.needs_weights is None:
        return FUNCTIONS[metric.variant](prediction, target) * metric.factor
    model = lpips.load(NETWORKS[metric.needs_weights], VERSION, weights, target.device)
    published = metric.variant == "lpips"
    return lpips.lpips(prediction, target, model, published_range=published) * metric.factor
