"""What an entry says: the lines of a table or figure, and how they are trained and measured."""

from dataclasses import dataclass
from typing import ClassVar, Literal

from framecast.errors import ConfigError

Scale = Literal["tiny", "cpu", "paper"]
SCALES: dict[Scale, str] = {
    "tiny": "drawn digits and very small networks: no download, minutes to an hour on a CPU",
    "cpu": "small networks on MNIST's digits or own videos: hours on a CPU",
    "paper": "the paper's networks, data and protocols: days on GPUs",
}
"""The scales, with a line on each."""


@dataclass(frozen=True)
class Training:
    """A model to be trained, or the one that a stage of a training hands on."""

    preset: str
    """Registered name."""
    changes: tuple[str, ...] = ()
    """Options of `framecast train` for what differs from the preset."""
    name: str = ""
    """Tells the run from that of the plain preset; given exactly where there are changes."""
    stage: str | None = None
    """The stage whose model is meant; None for the model at the end."""
    differs: str = ""
    """What it is where the paper's name of the method says something else, such as "6 layers"."""

    @property
    def run(self) -> str:
        """Name of the run's folder."""
        return "-".join(part for part in (self.preset.replace("/", "-"), self.name) if part)

    @property
    def called(self) -> str:
        """Name of the model: the run's, and the stage's if it is not the last."""
        return self.run if self.stage is None else f"{self.run}-{self.stage}"


@dataclass(frozen=True)
class Line:
    """A row of a table or a curve of a figure."""

    method: str
    """As the paper has it, where it has one; without =, which ends names on the command line."""
    tiny: Training | None = None
    """Its model on drawn digits, if there is one."""
    cpu: Training | None = None
    """Its model for CPUs, if there is one."""
    paper: Training | None = None
    """Its model as published, if there is one."""
    options: tuple[str, ...] = ()
    """Options of `framecast evaluate` of this line alone."""
    name: str = ""
    """Tells its results from others of the same model; given exactly where there are options."""

    def at(self, scale: Scale) -> Training | None:
        """Its model at a scale."""
        return {"tiny": self.tiny, "cpu": self.cpu, "paper": self.paper}[scale]


@dataclass(frozen=True)
class Measure:
    """One evaluation of each line."""

    protocol: str
    """Registered name."""
    data: str | None = None
    """Dataset whose folder the user gives, for training as well; None where none is needed."""
    options: tuple[str, ...] = ()
    """Options of `framecast evaluate` beside protocol, data and folder."""
    name: str = ""
    """Tells its results from others under the protocol; given exactly where there are options."""
    prepared: tuple[str, ...] = ()
    """Options of `framecast data prepare`, where training and evaluation read what that makes;
    empty where they read the user's folder."""

    def __post_init__(self) -> None:
        """Refuse to prepare nothing."""
        if self.prepared and self.data is None:
            raise ConfigError(f"{self.protocol}: only the data of a folder is prepared")


@dataclass(frozen=True)
class View:
    """One picture of what each line does, in place of figures."""

    words: tuple[str, ...]
    """After `framecast`; {model}, {video} and {out} stand for a model's folder, a video, and the
    path of what is made, without its suffix."""
    suffix: str
    """Of what is made."""
    data: str | None = None
    """Dataset that models are trained on, whose folder the user gives."""
    drawn: bool = True
    """Whether a video of drawn digits does where the user gives none."""
    prepared: ClassVar[tuple[str, ...]] = ()
    """As of a measure; pictures are of originals."""


@dataclass(frozen=True)
class Part:
    """What of an entry belongs to one dataset and task."""

    title: str
    """Dataset and task; empty where an entry has one part."""
    lines: tuple[Line, ...] = ()
    """In the paper's order."""
    tiny: tuple[Measure | View, ...] = ()
    """How lines are measured at this scale; empty where the part does not exist there."""
    cpu: tuple[Measure | View, ...] = ()
    """The same at the scale of CPUs."""
    paper: tuple[Measure | View, ...] = ()
    """The same as published."""
    key: str | None = None
    """The part of the published table; None where nothing is published as numbers."""
    commands: tuple[tuple[str, ...], ...] = ()
    """What else is run, whatever the scale: words after `framecast`."""

    def at(self, scale: Scale) -> tuple[Measure | View, ...]:
        """How lines are measured at a scale."""
        return {"tiny": self.tiny, "cpu": self.cpu, "paper": self.paper}[scale]


@dataclass(frozen=True)
class Entry:
    """A numbered table or figure of a paper."""

    name: str
    """`table2`, `figure7`."""
    title: str
    """What it shows."""
    parts: tuple[Part, ...] = ()
    """What it is made of; empty where it cannot be had."""
    missing: str = ""
    """Why it cannot be had; empty where it can."""
    note: str = ""
    """What a reader has to know of what is made here; empty if nothing."""

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scales at which something of it is made."""
        return tuple(
            scale
            for scale in SCALES
            if any(part.at(scale) if part.lines else part.commands for part in self.parts)
        )


def baseline(method: str, model: str, paper: str | None = None) -> Line:
    """A line of a model that has the usual presets.

    Args:
        method: As the paper has it.
        model: Type, which the names of its presets begin with.
        paper: What the name of the preset at the paper's scale ends in; None if there is none.
    """
    return Line(
        method,
        tiny=Training(f"{model}/tiny"),
        cpu=Training(f"{model}/moving-mnist-small"),
        paper=None if paper is None else Training(f"{model}/{paper}"),
    )
