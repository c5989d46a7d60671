"""The columns of a result: the metrics of the protocol's set, diagnostics, and events."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from framecast.config import to_json
from framecast.data.arrays import Arrays
from framecast.digest import of_json
from framecast.errors import ConfigError
from framecast.evaluation.ensemble import CRPS, CRPS_PLAIN, DIVERSITY, SPREAD
from framecast.evaluation.events import EVENTS, EventScores
from framecast.evaluation.metrics import SETS, Metric, MetricSet, evaluate_frames, omitted
from framecast.evaluation.metrics.evaluate import NETWORKS
from framecast.evaluation.protocol import Protocol
from framecast.evaluation.result import MetricInfo
from framecast.evaluation.scoring import FrameScores
from framecast.registry import suggest

SHARPNESS = "gradient-energy-ratio"

DIAGNOSTICS: Mapping[str, MetricInfo] = {
    SHARPNESS: MetricInfo(
        "gradient energy ratio",
        "",
        None,
        {
            "variant": "mean length of the gradient of the prediction, divided by the truth's",
            "clip": True,
        },
    ),
    CRPS: MetricInfo(
        "CRPS",
        "",
        False,
        {"variant": "fair: E|X - y| - E|X - X'|/2, X' another sample, per pixel", "clip": True},
    ),
    CRPS_PLAIN: MetricInfo(
        "CRPS (plain)",
        "",
        False,
        {"variant": "E|X - y| - E|X - X'|/2, X' any sample, per pixel", "clip": True},
    ),
    SPREAD: MetricInfo(
        "spread", "", None, {"variant": "E|X - X'|, X' another sample, per pixel", "clip": True}
    ),
    DIVERSITY: MetricInfo(
        "diversity (MSE, sum per frame)",
        "",
        None,
        {"variant": "E(X - X')^2, X' another sample, sum per frame", "clip": True},
    ),
}


@dataclass(frozen=True)
class Columns:
    """What is computed for a protocol; calling it scores one frame of every sample."""

    metric_set: MetricSet
    weights: Path | None
    omitted: dict[str, str]
    """Metrics of the set that cannot be computed here, with the reason."""
    events: EventScores | None
    """Scores at thresholds, where the protocol has some."""

    @classmethod
    def of(
        cls, protocol: Protocol, weights: Path | None, metrics: MetricSet | None = None
    ) -> "Columns":
        """The columns of a protocol.

        Args:
            protocol: What is evaluated.
            weights: Folder of weights; None for the one that `FRAMECAST_WEIGHTS` names.
            metrics: The set that the protocol names; None to look it up.

        Raises:
            ConfigError: if its metric set does not exist, or lacks a metric of `best_by`.
        """
        metrics = metrics or metric_set(protocol.metrics)
        left_out = omitted(metrics, weights)
        for key in protocol.best_by:
            if key not in metrics.keys:
                known = suggest(key, metrics.keys)
                raise ConfigError(f"{protocol.name}: best_by names {key!r}; {known}")
            if key in left_out:
                raise ConfigError(f"{protocol.name} ranks samples by {key}: {left_out[key]}")
        events = None
        if isinstance(protocol.data, Arrays) and protocol.thresholds:
            events = EventScores(protocol.data, protocol.thresholds)
        return cls(metrics, weights, left_out, events)

    def __call__(
        self,
        frame: Float[Tensor, "s b c h w"],
        truth: Float[Tensor, "s b c h w"],
        missing: Bool[Tensor, "s b c h w"] | None = None,
    ) -> FrameScores:
        """Scores of unclipped frames, `s b` each; events have two more axes.

        Only events leave out the pixels that are missing from the truth.
        """
        values: FrameScores = dict(
            evaluate_frames(self.metric_set, frame, truth, weights=self.weights)
        )
        values[SHARPNESS] = sharpness(frame.clamp(0, 1), truth)
        if self.events is not None:
            values[EVENTS] = self.events.count(frame.clamp(0, 1), truth, missing)
        return values

    def apart(
        self, frame: Float[Tensor, "s b c h w"], other: Float[Tensor, "s b c h w"]
    ) -> FrameScores:
        """LPIPS between unclipped samples, `s b`, where the set has it and it can be computed."""
        metrics = self._perceptual
        if not metrics.metrics:
            return {}
        values = evaluate_frames(metrics, frame, other.clamp(0, 1), weights=self.weights)
        return {f"{DIVERSITY}-{key}": value for key, value in values.items()}

    @property
    def _perceptual(self) -> MetricSet:
        """The metrics of the set that compare features of a network, as far as it is there."""
        metrics = tuple(metric for metric in self.computed if metric.needs_weights is not None)
        return MetricSet(self.metric_set.name, metrics)

    @property
    def computed(self) -> tuple[Metric, ...]:
        """The metrics of the set that can be computed."""
        return tuple(m for m in self.metric_set.metrics if m.key not in self.omitted)

    @property
    def directions(self) -> dict[str, bool]:
        """Whether higher is better, by metric of the set."""
        return {metric.key: metric.higher_is_better for metric in self.computed}

    def infos(self, several: bool) -> dict[str, MetricInfo]:
        """What each column is; with `several` samples there are more."""
        infos = {metric.key: _info(metric) for metric in self.computed}
        infos |= DIAGNOSTICS if several else {SHARPNESS: DIAGNOSTICS[SHARPNESS]}
        if several:
            infos |= {f"{DIVERSITY}-{m.key}": _diversity_info(m) for m in self._perceptual.metrics}
        return infos | (self.events.infos() if self.events is not None else {})

    def protocol_hash(self, protocol: Protocol) -> str:
        """SHA-256 of a protocol and of its metrics' definitions: equal hashes compare."""
        metrics = (*self.metric_set.metrics, *self.metric_set.distances)
        definitions = [to_json(metric) for metric in metrics]
        return of_json({"protocol": protocol.definition(), "metrics": definitions})


def metric_set(name: str) -> MetricSet:
    """A metric set by name; `standard-squeeze` is `standard` with LPIPS of another network.

    Raises:
        ConfigError: if there is none of that name.
    """
    if name in SETS:
        return SETS[name]
    base, _, network = name.rpartition("-")
    if base in SETS and network in NETWORKS.values():
        return SETS[base].with_network(network)  # pyright: ignore[reportArgumentType]
    raise ConfigError(f"there is no metric set {name!r}; {suggest(name, metric_sets())}")


def metric_sets() -> list[str]:
    """Names of all sets, also of those with LPIPS of another network than their own."""
    others = [
        f"{name}-{network}"
        for name, each in SETS.items()
        for network in NETWORKS.values()
        if each.with_network(network) != each  # pyright: ignore[reportArgumentType]
    ]
    return [*SETS, *others]


def sharpness(
    prediction: Float[Tensor, "*n c h w"], truth: Float[Tensor, "*n c h w"]
) -> Float[Tensor, "*n"]:
    """Gradient energy of each frame in proportion to the truth's: below 1 is blurred, above noisy.

    1 where both are flat, infinite where only the truth is.
    """
    ours, theirs = gradient_energy(prediction), gradient_energy(truth)
    return torch.where((ours == 0) & (theirs == 0), 1.0, ours / theirs)


def gradient_energy(frames: Float[Tensor, "*n c h w"]) -> Float[Tensor, "*n"]:
    """Mean length of the gradient of each frame: differences to the right and below, per pixel.

    The last row and the last column are left out; a mean over pixels and channels.
    """
    corner = frames[..., :-1, :-1]
    right, below = frames[..., :-1, 1:] - corner, frames[..., 1:, :-1] - corner
    return torch.hypot(right, below).flatten(-3).mean(-1)


def _info(metric: Metric) -> MetricInfo:
    definition = {
        "variant": metric.variant,
        "clip": metric.clip,
        "factor": metric.factor,
        "needs_weights": metric.needs_weights,
    }
    return MetricInfo(metric.label, metric.unit, metric.higher_is_better, definition)


def _diversity_info(metric: Metric) -> MetricInfo:
    definition = {
        "variant": f"{metric.variant} of samples 0 and 1, 2 and 3, ...; mean over pairs",
        "factor": metric.factor,
        "needs_weights": metric.needs_weights,
    }
    return MetricInfo(f"diversity ({metric.label})", metric.unit, None, definition)
