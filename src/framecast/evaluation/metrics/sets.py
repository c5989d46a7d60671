"""Named sets of metrics, as data: what exactly a table's MSE, PSNR, SSIM, LPIPS and FVD are.

Projects differ silently in all of them. A result names its set, and a set is fixed: a change of a
definition is a new set. docs/METRICS.md tells who uses what and how much it matters.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from framecast.errors import ConfigError
from framecast.evaluation.metrics.i3d import NAME as FVD_FEATURES

Variant = Literal[
    "mse-sum",
    "mse-mean",
    "mae-sum",
    "mae-mean",
    "psnr",
    "psnr-per-channel",
    "psnr-uint8",
    "ssim-gaussian",
    "ssim-uniform-range1",
    "ssim-uniform-range2",
    "ssim-uint8",
    "centroid",
    "lpips",
    "lpips-unscaled",
]
Weights = Literal["lpips-alex", "lpips-vgg", "lpips-squeeze"]


@dataclass(frozen=True)
class Metric:
    """One column of a table.

    Attributes:
        key: Name in results, unique within a set; of LPIPS it tells the network.
        label: Name in tables and pictures.
        variant: The definition.
        unit: Unit of the values, empty for a pure number.
        higher_is_better: Direction.
        clip: Whether predictions are clipped to [0, 1] before.
        needs_weights: Which weights are needed besides the package, if any.
        factor: What the definition's value is multiplied by.
    """

    key: str
    label: str
    variant: Variant
    unit: str
    higher_is_better: bool
    clip: bool
    needs_weights: Weights | None = None
    factor: float = 1.0

    def __post_init__(self) -> None:
        """Check that LPIPS and its weights come together, and that the key tells which."""
        if self.variant.startswith("lpips") != (self.needs_weights is not None):
            raise ConfigError(f"metric {self.key}: LPIPS, and nothing else, needs weights")
        if self.needs_weights is not None and not self.key.startswith(self.needs_weights):
            raise ConfigError(f"metric {self.key}: its key has to begin with {self.needs_weights}")


@dataclass(frozen=True)
class SetMetric:
    """A column that compares all predicted clips with all true ones: a squared Fréchet distance.

    Only of I3D's Kinetics-400 logits it is called FVD.

    Attributes:
        key: Name in results; it begins with `fvd`, or names the other features.
        label: Name in tables.
        features: Name of the features that are compared.
        against: True clips, or what a model with codes makes of them (FVD*).
        folds: 1 for all clips at once; 2 for the mean over two halves, each for itself.
    """

    key: str
    label: str
    features: str
    against: Literal["truth", "reconstruction"] = "truth"
    folds: Literal[1, 2] = 1

    def __post_init__(self) -> None:
        """Check that nothing else passes for FVD, and that the key tells the features."""
        begin = "fvd" if self.features == FVD_FEATURES else f"frechet-{self.features}"
        said = "FVD" in self.label
        if not self.key.startswith(begin) or said != (self.features == FVD_FEATURES):
            raise ConfigError(
                f"metric {self.key}: of {self.features} its key begins with {begin}, and it is "
                f"called FVD of {FVD_FEATURES} alone"
            )

    def of(self, features: str) -> "SetMetric":
        """The same column of other features, which is not called FVD."""
        if features == FVD_FEATURES or not features.replace("-", "").isalnum():
            raise ConfigError(
                f"features of your own need a name of their own of letters, digits and -, "
                f"not {features!r}"
            )
        rest = self.label.removeprefix("FVD")
        label = f"Fréchet distance ({features}){rest}"
        key = f"frechet-{features}{self.key.removeprefix('fvd')}"
        return replace(self, key=key, label=label, features=features)


@dataclass(frozen=True)
class MetricSet:
    """Metrics that are reported together.

    Attributes:
        name: What results print.
        metrics: The columns of frames, in order.
        distances: The columns of sets of clips, which follow.
    """

    name: str
    metrics: tuple[Metric, ...]
    distances: tuple[SetMetric, ...] = ()

    def __post_init__(self) -> None:
        """Check that keys are unique."""
        keys = (*self.keys, *(metric.key for metric in self.distances))
        if len(set(keys)) != len(keys):
            raise ConfigError(f"metric set {self.name}: two metrics share a key")

    @property
    def keys(self) -> tuple[str, ...]:
        """Keys of the metrics of frames, in order."""
        return tuple(metric.key for metric in self.metrics)

    def with_network(self, network: Literal["alex", "vgg", "squeeze"]) -> "MetricSet":
        """The set with LPIPS of another network, under another name and other keys."""
        metrics = tuple(_with_network(metric, network) for metric in self.metrics)
        if metrics == self.metrics:
            return self
        return replace(self, name=f"{self.name}-{network}", metrics=metrics)

    def with_features(self, features: str) -> "MetricSet":
        """The set with distances of other features, under another name and other keys.

        Raises:
            ConfigError: if it has no distances, or the name is that of FVD's features.
        """
        if not self.distances:
            raise ConfigError(f"metric set {self.name} compares no sets of clips; use fvd")
        distances = tuple(metric.of(features) for metric in self.distances)
        return replace(self, name=f"{self.name}-{features}", distances=distances)


def _with_network(metric: Metric, network: Literal["alex", "vgg", "squeeze"]) -> Metric:
    old = metric.needs_weights
    if old is None:
        return metric
    new: Weights = f"lpips-{network}"  # pyright: ignore[reportAssignmentType]
    label = f"LPIPS ({network})" + metric.label.partition(")")[2]
    return replace(metric, key=metric.key.replace(old, new), label=label, needs_weights=new)


MSE = Metric("mse", "MSE (sum per frame)", "mse-sum", "", higher_is_better=False, clip=True)
MAE = Metric("mae", "MAE (sum per frame)", "mae-sum", "", higher_is_better=False, clip=True)
PSNR = Metric("psnr", "PSNR", "psnr", "dB", higher_is_better=True, clip=True)
SSIM = Metric(
    "ssim", "SSIM (Gaussian 11×11)", "ssim-gaussian", "", higher_is_better=True, clip=True
)
SSIM_RANGE2 = replace(SSIM, label="SSIM (7×7, range 2)", variant="ssim-uniform-range2")
LPIPS = Metric(
    "lpips-alex",
    "LPIPS (alex)",
    "lpips",
    "",
    higher_is_better=False,
    clip=True,
    needs_weights="lpips-alex",
)

CENTROID = Metric(
    "centroid", "centroid distance", "centroid", "px", higher_is_better=False, clip=True
)

STANDARD = MetricSet("standard", (MSE, MAE, PSNR, SSIM, LPIPS))
STANDARD_LOCATION = MetricSet("standard+location", (*STANDARD.metrics, CENTROID))
OPENSTL = MetricSet(
    "openstl",
    (
        replace(MSE, label="MSE (sum per frame, unclipped)", clip=False),
        replace(MAE, label="MAE (sum per frame, unclipped)", clip=False),
        PSNR,
        SSIM_RANGE2,
    ),
)
PREDRNN = MetricSet(
    "predrnn",
    (
        MSE,
        replace(PSNR, label="PSNR (uint8)", variant="psnr-uint8"),
        replace(SSIM, label="SSIM (7×7, uint8)", variant="ssim-uint8"),
        replace(
            LPIPS, key="lpips-alex-unscaled", label="LPIPS (alex), fed [0, 1]",
            variant="lpips-unscaled",
        ),
    ),
)  # fmt: skip
SVG = MetricSet(
    "svg",
    (
        replace(PSNR, label="PSNR (mean over channels)", variant="psnr-per-channel"),
        SSIM_RANGE2,
    ),
)
STIP = MetricSet(
    "stip",
    (
        PSNR,
        SSIM_RANGE2,
        replace(LPIPS, key="lpips-alex-x100", label="LPIPS (alex) ×100", factor=100.0),
    ),
)
FVD = SetMetric("fvd", "FVD", FVD_FEATURES)
FVD_SET = MetricSet(
    "fvd",
    (PSNR, SSIM),
    (
        FVD,
        replace(FVD, key="fvd-2-fold", label="FVD, 2-fold", folds=2),
        replace(
            FVD,
            key="fvd-star-2-fold",
            label="FVD*, 2-fold",
            against="reconstruction",
            folds=2,
        ),
    ),
)

SETS: Mapping[str, MetricSet] = MappingProxyType(
    {
        metric_set.name: metric_set
        for metric_set in (
            STANDARD,
            STANDARD_LOCATION,
            OPENSTL,
            PREDRNN,
            SVG,
            STIP,
            FVD_SET,
        )
    }
)
"""All sets by name."""
