"""What an evaluation finds, as plain data that JSON holds and later versions read."""

import math
import shlex
from dataclasses import dataclass, field
from typing import Any, Literal

from framecast.config import Config
from framecast.evaluation.statistics import Comparison, Summary

FORMAT_VERSION = 7
"""Since 2: `Row.samples`, `Result.calibration`; since 3: `Row.folds`; since 5: `Result.films`;
since 6: `Result.likelihood`; since 7: `FilmInfo.best`. Older results are read, without them."""


@dataclass(frozen=True)
class Interval(Config):
    """A mean over sequences with a 95 % confidence interval, in the metric's unit."""

    mean: float | None
    """None where it is not finite: see `infinite`."""
    low: float | None
    """None where it is unknown: a single sequence, or values that are not finite."""
    high: float | None
    """As `low`."""
    infinite: bool = False
    """Whether the mean is infinite, as PSNR is once a frame is matched exactly."""

    @classmethod
    def of(cls, mean: float, low: float, high: float) -> "Interval":
        """An interval of numbers that may be infinite or NaN."""
        return cls(_finite(mean), _finite(low), _finite(high), math.isinf(mean))

    @classmethod
    def each(cls, summary: Summary) -> "list[Interval]":
        """One interval per time step."""
        bounds = zip(summary.mean, summary.low, summary.high, strict=True)
        return [cls.of(*map(float, step)) for step in bounds]


@dataclass(frozen=True)
class MetricInfo(Config):
    """What a column is."""

    label: str
    """Name in tables."""
    unit: str
    """Unit of the values; empty for a pure number."""
    higher_is_better: bool | None
    """Direction; None for a diagnostic that has none."""
    definition: dict[str, Any]
    """All that determines the values."""


@dataclass(frozen=True)
class Row(Config):
    """One line of a table: a predictor, or the same predictions reduced otherwise."""

    name: str
    """What predicts, and how samples were reduced where that is not as the protocol says."""
    role: Literal["model", "reduction", "baseline"]
    """The evaluated model; its samples reduced in other ways; or a baseline."""
    values: dict[str, Interval]
    """Mean over frames and sequences, by metric."""
    curves: dict[str, list[Interval]]
    """Mean over sequences for each scored frame, by metric."""
    samples: int | None = None
    """Of a reduction, how many samples it is made of: the first so many."""
    folds: dict[str, list[float]] = field(default_factory=dict)
    """Of a distance between sets of clips that is a mean over folds, the distance of each fold, by
    metric."""


@dataclass(frozen=True)
class Difference(Config):
    """Model minus copy-last on the same sequences, by a paired bootstrap."""

    difference: float
    """Mean, in the metric's unit."""
    low: float
    """Lower end of its 95 % interval."""
    high: float
    """Upper end."""
    share: float
    """Share of the resamples in which the difference is above zero."""
    resamples: int
    """How many."""

    @classmethod
    def of(cls, found: Comparison) -> "Difference":
        """The part of a comparison that a result keeps."""
        return cls(found.difference, found.low, found.high, found.share, found.resamples)


@dataclass(frozen=True)
class ModelInfo(Config):
    """What was evaluated."""

    kind: str
    """Registered name of its type."""
    fingerprint: str
    """SHA-256 of its configuration and weights."""
    parameters: int
    """Number of parameters."""
    config: dict[str, Any]
    """Its configuration."""
    about: dict[str, Any]
    """What its folder says about its training."""
    options: dict[str, Any]
    """How it was told to predict."""


@dataclass(frozen=True)
class DataInfo(Config):
    """What it was evaluated on."""

    fingerprint: str
    """Digest of all that determines the clips."""
    available: int
    """Sequences that the protocol has."""
    sequences: int
    """Sequences that were used, from the first."""
    notes: list[str]
    """What the source says about itself."""


@dataclass(frozen=True)
class LevelInfo(Config):
    """How one level of a codec's tokens was used, over all frames that were encoded."""

    values: int
    """How many values a token can take."""
    used: int
    """How many of them occurred."""
    perplexity: float
    """exp of the entropy of their frequencies: as many values would be used, were all equal."""
    bits_per_frame: float
    """Bits of the level's tokens, each in the fewest whole bits that hold its range."""


@dataclass(frozen=True)
class CodecInfo(Config):
    """What frames became when they were encoded."""

    bits_per_frame: float
    """Of all levels that were decoded."""
    raw_bits_per_frame: float
    """Eight bits for every pixel and channel of the data."""
    compression: float
    """The latter divided by the former."""
    levels: list[LevelInfo]
    """The levels that were decoded, from coarse to fine."""
    available: int
    """Levels that the codec has."""


@dataclass(frozen=True)
class LevelLikelihood(Config):
    """How likely one level of the true futures' codes is."""

    codes: int
    """Codes of a sequence's future."""
    bits_per_code: Interval
    """Minus the binary logarithm of a code's probability, given all before it: mean over codes,
    with an interval over sequences."""


@dataclass(frozen=True)
class LikelihoodInfo(Config):
    """How likely the model finds the codes of the true futures."""

    bits_per_code: Interval
    """As of a level, over the codes of all of them."""
    bits_per_frame: float
    """Of all levels: what a frame would cost, coded arithmetically by the model."""
    levels: list[LevelLikelihood]
    """From coarse to fine."""


@dataclass(frozen=True)
class Coverage(Config):
    """How often the truth lies inside a central interval of the predicted distribution."""

    level: float
    """How much of the distribution the interval holds, in (0, 1)."""
    share: Interval
    """Of the counted values, those inside, in [0, 1]; equal to `level` where calibrated. Its
    interval is from a bootstrap over sequences."""
    frames: list[float | None]
    """The share of each predicted frame; None where no value of it is counted."""
    resolved: bool
    """Whether the interval ends among the samples; else it reaches beyond the outermost ones, and
    the share says little."""


@dataclass(frozen=True)
class CalibrationInfo(Config):
    """Whether the truth falls among the samples as one more sample would."""

    samples: int
    """How many samples there are of each sequence."""
    histogram: list[float]
    """Shares of the counted values by rank among the samples, `samples` + 1 of them; all equal
    where calibrated. High ends: samples scatter too little; a high middle: too much."""
    coverage: list[Coverage]
    """Central intervals."""
    certain: float
    """Share of values left out because all samples and the truth are equal."""
    step: float
    """Values that round to the same multiple of it are equal."""


@dataclass(frozen=True)
class FilmInfo(Config):
    """A sequence whose frames are kept as pictures."""

    sequence: int
    """Its number in the dataset."""
    name: str
    """Its name there."""
    context: int
    """Observed frames at the beginning of the true ones; 0 for reconstructions."""
    frames: int
    """Scored frames, from the first."""
    size: list[int]
    """[height, width] in pixels of the frames as they are kept."""
    best: int | None = None
    """The sample that is nearest to the truth by squared error, which is kept too; None where there
    are not several that differ."""


@dataclass(frozen=True)
class RunInfo(Config):
    """How it was computed."""

    seed: int
    """Seed of the samples."""
    limit: int | None
    """Most sequences that were asked for, if any; `Result.complete` says whether some are left."""
    device: str
    """Where the model ran."""
    seconds: float
    """From first to last sequence, all in all."""
    frames_per_second: float
    """Frames that the model predicted, over all samples, per second of predicting; or that it
    encoded and decoded."""
    versions: dict[str, str]
    """Of framecast and of the libraries that matter."""
    command: str | None = None
    """The command line, where there was one."""

    @property
    def words(self) -> list[str]:
        """The words of the command line; none where it is no line of a shell."""
        try:
            return shlex.split(self.command or "")
        except ValueError:
            return []


@dataclass(frozen=True)
class Result(Config):
    """An evaluation: what, how, and the figures. `results.json` holds it."""

    format_version: int
    """Version of this layout."""
    protocol: dict[str, Any]
    """All fields of the protocol."""
    protocol_hash: str
    """SHA-256 of those fields and of the metrics' definitions: equal hashes compare."""
    notes: list[str]
    """The protocol's known faults."""
    model: ModelInfo
    """What was evaluated."""
    data: DataInfo
    """On what."""
    run: RunInfo
    """How."""
    metrics: dict[str, MetricInfo]
    """What each column is."""
    omitted: dict[str, str]
    """Metrics of the set that were not computed, with the reason."""
    rows: list[Row]
    """The model first, then its samples reduced otherwise, then the baselines."""
    against_copy_last: dict[str, Difference] = field(default_factory=dict)
    """Model minus copy-last, by metric; left out where a score is not finite, and empty for
    reconstructions, which are not compared with it."""
    codec: CodecInfo | None = None
    """What the frames were coded into, where they were encoded and decoded."""
    calibration: CalibrationInfo | None = None
    """Of the samples, where there are several that differ."""
    likelihood: LikelihoodInfo | None = None
    """Of the true futures' codes, where it was asked for."""
    films: list[FilmInfo] = field(default_factory=list)
    """Sequences whose frames are kept as pictures, in the folder `films`; none without a folder."""

    @property
    def name(self) -> str:
        """The protocol's name."""
        return self.protocol["name"]

    @property
    def complete(self) -> bool:
        """Whether all sequences of the protocol were used."""
        return self.data.sequences == self.data.available

    @property
    def predicted(self) -> bool:
        """Whether frames were predicted, rather than encoded and decoded."""
        return self.protocol.get("task", "predict") == "predict"


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None
