"""A protocol: a frozen way to evaluate. Two results compare where their protocols are equal."""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from framecast import registry
from framecast.clip import DataConfig, Split
from framecast.config import Config, Json, from_json, to_json
from framecast.errors import ConfigError
from framecast.evaluation.corruption import LEVELS, Corruption

MODIFIED = " (modified)"
"""What the name of a published protocol ends in when one of its fields is not as published."""

NOT_OF_FRAMES = ("root", "stride", "random_windows", "flip")
"""Fields of data that say where clips lie, and how they are varied for training, rather than what
frames that are measured are."""

Reduction = Literal["single", "mean", "best-of"]
Assignment = Literal["predict", "reconstruct"]

ADDED = ("task", "levels", "corruption", "report_frames", "resize")
"""Fields that a definition names only where they are set: without them, hashes of results that are
older than the fields stay equal."""

_MARK = re.compile(rf"(:reconstruct(-levels-\d+)?)?(\+({'|'.join(LEVELS)}):[^+:]+)?$")
"""What the name of a protocol ends in when it is not a prediction from clean frames."""


@dataclass(frozen=True)
class Protocol(Config):
    """Data, what is observed and predicted, and how predictions are scored."""

    name: str
    """Registered name, or a name of your own."""
    data: DataConfig
    """The dataset; where it lies (`root`) is no part of the protocol."""
    context: int | None
    """Observed frames; None where the caller says it, with data of their own."""
    horizon: int | None
    """Predicted frames; None where the caller says it, with data of their own."""
    split: Split = "test"
    """The split whose sequences are predicted."""
    validation: Split | None = "validation"
    """The split that weights and settings may be chosen by; None: trained without choosing."""
    channels: int | None = 1
    """1 for gray, 3 for colour, and that is what is scored; None for whatever the data has."""
    size: tuple[int, int] | None = None
    """(height, width) of the data's frames in pixels; None for whatever the data has."""
    resize: tuple[int, int] | None = None
    """(height, width) that predicted and true frames are resized to, clipped to [0, 1] before they
    are scored; None to score them as they are."""
    value_range: tuple[float, float] = (0.0, 1.0)
    """Values that frames of the data lie in; anything beyond is an error."""
    sequences: int | None = None
    """How many sequences, from the first; None for all."""
    samples: int | None = None
    """Futures per sequence; None for the model's point prediction."""
    reduce: Reduction = "single"
    """One future; the mean of every score over the samples; or the best sample of each sequence,
    by its mean over time, separately for each metric of `best_by`."""
    best_by: tuple[str, ...] = ()
    """Metrics whose best sample counts; the others are means over the samples."""
    metrics: str = "standard"
    """Name of the metric set, which says for each metric what is clipped and how it is averaged."""
    report_frames: tuple[int, ...] = ()
    """Frames that tables show by themselves besides the mean. They count from the first observed
    frame, which is 1: after 4 observed frames, the first predicted one is t = 5."""
    thresholds: tuple[float, ...] = ()
    """Values, in the units of `arrays`, at which events are scored (CSI, POD, FAR)."""
    task: Assignment = "predict"
    """What is scored: the predicted frames, or the context and the horizon, encoded and decoded."""
    levels: int | None = None
    """Decode the first so many levels of the codes; None for all of them."""
    corruption: Corruption | None = None
    """What happens to the frames that the model is given; scored are the clean ones."""
    own: bool = False
    """Whether the data is the caller's, so that no field is published and all may be set."""
    notes: tuple[str, ...] = ()
    """Known faults, and what was decided where the publication is silent."""

    def __post_init__(self) -> None:
        """Refuse contradictions.

        Raises:
            ConfigError: one line that names the field.
        """
        for problem, found in self._problems().items():
            if found:
                raise ConfigError(f"protocol {self.name}: {problem}")

    def _problems(self) -> dict[str, bool]:
        counts = (self.context, self.horizon, self.sequences, self.samples)
        low, high = self.value_range
        single = self.samples in (None, 1)
        return {
            f"its validation set is its {self.split} set; choose by another split, or by none": (
                self.validation == self.split
            ),
            "context, horizon, sequences and samples are at least 1": (
                any(count is not None and count < 1 for count in counts)
            ),
            "context and horizon may be left open only for data of your own": (
                not self.own and None in (self.context, self.horizon)
            ),
            "one future needs reduce='single', several need 'mean' or 'best-of'": (
                single != (self.reduce == "single")
            ),
            "best_by names metrics exactly where reduce is 'best-of'": (
                bool(self.best_by) != (self.reduce == "best-of")
            ),
            "thresholds need data of type 'arrays', which has units": (
                bool(self.thresholds) and self.data.type != "arrays"
            ),
            "value_range is (low, high)": not low < high,
            "resize is (height, width), at least 1 pixel each": (
                self.resize is not None and min(self.resize) < 1
            ),
            "report_frames count from 1": any(frame < 1 for frame in self.report_frames),
            "a reconstruction has no samples; leave them out": (
                self.task == "reconstruct" and self.samples is not None
            ),
            "levels of codes are decoded in a reconstruction: use task 'reconstruct' "
            "(--task reconstruct), or leave them out": self.levels is not None
            and self.task != "reconstruct",
            "levels is at least 1": self.levels is not None and self.levels < 1,
        }

    @property
    def mark(self) -> str:
        """What the name ends in, so that no other task and no corruption passes for the usual."""
        levels = "" if self.levels is None else f"-levels-{self.levels}"
        task = f":reconstruct{levels}" if self.task == "reconstruct" else ""
        return task + ("" if self.corruption is None else f"+{self.corruption.name}")

    def lengths(self) -> tuple[int, int]:
        """(context, horizon) in frames.

        Raises:
            ConfigError: if they are still open.
        """
        if self.context is None or self.horizon is None:
            raise ConfigError(
                f"{self.name} leaves context and horizon to you: give how many frames are observed "
                "and how many predicted (--context N --horizon N)"
            )
        return self.context, self.horizon

    def definition(self) -> Json:
        """All fields but the notes, as plain JSON and without places on this machine."""
        fields = to_json(dataclasses.replace(self, data=_without_places(self.data)))
        usual = {field.name: field.default for field in dataclasses.fields(self)}
        left_out = {"notes", *(name for name in ADDED if getattr(self, name) == usual[name])}
        return {name: value for name, value in fields.items() if name not in left_out}


def find(name: str) -> Protocol:
    """The protocol of a registered name.

    Raises:
        ConfigError: if there is none, with the nearest names.
    """
    return registry.find("protocols", name)()


def settled(protocol: Protocol) -> Protocol:
    """The protocol under the name that it deserves.

    A registered protocol whose fields were changed is called `NAME (modified)`. Only where the
    data lies may differ, and for data of the caller's own anything. Reconstructions and corrupted
    frames are marked behind: `NAME:reconstruct`, `NAME:reconstruct-levels-2`,
    `NAME+gaussian-blur:2`.
    """
    name = _MARK.sub("", protocol.name, count=1)
    base = name.removesuffix(MODIFIED)
    if base in registry.names("protocols"):
        published = find(base)
        if protocol.task == "reconstruct":
            published = reconstructing(published, protocol.levels)
        published = dataclasses.replace(published, corruption=protocol.corruption)
        plain = dataclasses.replace(protocol, name=base)
        same = published.own or plain.definition() == published.definition()
        name = base if same else base + MODIFIED
    return dataclasses.replace(protocol, name=name + protocol.mark)


def trained_data(about: Json) -> Json:
    """The configuration of the data that a model was trained on; empty where it is not known."""
    data = about.get("data")
    return data if isinstance(data, dict) else {}


def as_trained(protocol: Protocol, about: Json) -> Protocol:
    """A protocol of the caller's own data, with the lengths and the data of a model's training.

    Where clips lie in the data, and how training varies them, stays as the protocol has it: `root`
    is the caller's, and a `stride` of training would let test clips overlap. Other protocols, and
    data of another type, are left as they are.

    Args:
        protocol: Is changed only where it is `own`.
        about: Of the model.

    Raises:
        ConfigError: if the data has a field that this version does not know.
    """
    trained = trained_data(about)
    if not protocol.own or trained.get("type") != protocol.data.type:
        return protocol
    kept = {key: value for key, value in to_json(protocol.data).items() if key in NOT_OF_FRAMES}
    data = from_json(DataConfig, {**trained, **kept}, "data of the model")
    lengths = {key: about.get(key, getattr(protocol, key)) for key in ("context", "horizon")}
    return dataclasses.replace(protocol, data=data, **lengths)


def taken_from_model(protocol: Protocol, plain: Protocol, trained: Protocol) -> tuple[str, ...]:
    """A note on the fields of a protocol that neither it nor the caller chose.

    Args:
        protocol: As it is used.
        plain: As it is registered.
        trained: What `as_trained` made of that.
    """
    used, first, own = (_choices(each) for each in (protocol, plain, trained))
    same = [f"{k} {v}" for k, v in own.items() if v != first[k] and used.get(k) == v]
    return (f"as the model was trained: {', '.join(same)}",) if same else ()


def _choices(protocol: Protocol) -> Json:
    data = {f"data.{key}": value for key, value in to_json(protocol.data).items()}
    return {"context": protocol.context, "horizon": protocol.horizon, **data}


def with_samples(protocol: Protocol, samples: int | None) -> Protocol:
    """The protocol with another number of samples, reduced as before where there are several.

    A protocol of a single future becomes one of means.
    """
    if samples in (None, 1):
        return dataclasses.replace(protocol, samples=samples, reduce="single", best_by=())
    reduce = "mean" if protocol.reduce == "single" else protocol.reduce
    return dataclasses.replace(protocol, samples=samples, reduce=reduce)


def reconstructing(protocol: Protocol, levels: int | None = None) -> Protocol:
    """The protocol with its clips encoded and decoded instead of predicted; samples fall away.

    Args:
        protocol: Whose clips, frames and metrics are used.
        levels: Decode the first so many levels of the codes; None for all of them.
    """
    single = with_samples(protocol, None)
    return dataclasses.replace(single, task="reconstruct", levels=levels)


def _without_places(data: DataConfig) -> DataConfig:
    places = {
        field.name: None
        for field in dataclasses.fields(data)
        if isinstance(getattr(data, field.name), Path)
    }
    return dataclasses.replace(data, **places)
