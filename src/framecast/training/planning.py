"""What a training will take, from a few real steps, before it begins."""

import math
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from lightning_fabric import Fabric

from framecast.clip import Key, Source
from framecast.data.coded import kept_for_now
from framecast.data.order import Order
from framecast.errors import ConfigError
from framecast.experiment import Experiment
from framecast.stage import Stage
from framecast.training import batches
from framecast.training.checks import check_clips
from framecast.training.options import RunOptions, launch, numerics
from framecast.training.place import Sources, initial_model
from framecast.training.trainer import Trainer

WARM_UP = 1  # steps that are not timed
TIMED = 4  # steps, spread over the stage


@dataclass(frozen=True)
class StagePlan:
    """What one stage takes."""

    name: str
    steps: int
    parameters: dict[str, int]  # values by part of the stage, trained or not
    trained: int  # parameters that some phase trains
    seconds: float  # per 1,000 steps, without validation and checkpoints, see `plan`
    peak_bytes: int  # of one process; on the CPU all that it holds, on a GPU its tensors


@dataclass(frozen=True)
class Plan:
    """What a training takes on this machine."""

    device: str  # cpu or cuda
    stages: tuple[StagePlan, ...]
    notes: tuple[str, ...] = ()  # on the data

    @property
    def seconds(self) -> float:
        """Of all steps of all stages."""
        return sum(stage.seconds * stage.steps / 1000 for stage in self.stages)


class First(Source):
    """The first items of a source, so that what a stage computes from them is computed soon."""

    def __init__(self, source: Source, items: int) -> None:
        """Cut.

        Args:
            source: Where from.
            items: How many at most.
        """
        self.source, self.items, self.fixed = source, min(items, len(source)), source.fixed

    def __len__(self) -> int:
        """Number of items."""
        return self.items

    def __getitem__(self, key: Key) -> object:
        """As the source has it."""
        return self.source[key]

    def fingerprint(self) -> str:
        """Differs from the whole source's."""
        return f"{self.source.fingerprint()}-first-{self.items}"


def plan(experiment: Experiment, options: RunOptions | None = None) -> Plan:
    """Take a few steps of every stage with one process's share of the batch; write nothing.

    Steps are taken from all over a stage, since own predictions that are fed back take longer than
    true frames. With one CPU thread processor time is measured, so that what else runs does not
    count. Several processes are not started: what they exchange comes on top. Stages start from new
    weights here, which changes neither memory nor time.

    Raises:
        FramecastError: what training would raise in its first steps.
    """
    options = options or RunOptions()
    world = options.processes
    fabric = launch(replace(options, devices=1, nodes=1))
    sources = Sources(experiment)
    with numerics(options, fabric.device), kept_for_now():
        stages = tuple(
            _stage(fabric, experiment, name, sources, world) for name in experiment.stages
        )
    return Plan(fabric.device.type, stages, sources.notes())


def within(
    experiment: Experiment, minutes: float, options: RunOptions | None = None
) -> tuple[Experiment, Plan]:
    """The experiment with all its stages longer or shorter by one factor, to last a given time.

    Args:
        experiment: What to train.
        minutes: Of all steps together on this machine, as `plan` measures them: validation,
            pictures and what stages compute before their first step come on top.
        options: The machine's side; the defaults if None.

    Returns:
        The experiment, and what it takes by the measurement that its steps come from.

    Raises:
        ConfigError: if the time is not above 0, or several processes are asked for, which would
            each measure another one.
    """
    options = options or RunOptions()
    if not (minutes > 0 and math.isfinite(minutes)):
        raise ConfigError(f"the minutes of a training are above 0, got {minutes:g}")
    if options.processes > 1:
        raise ConfigError(
            "minutes are measured with one process; for several, take the steps from "
            "--dry-run and set --stages.NAME.steps"
        )
    measured = plan(experiment, options)
    factor = minutes * 60 / measured.seconds
    steps = {stage.name: max(1, round(stage.steps * factor)) for stage in measured.stages}
    stages = tuple(replace(stage, steps=steps[stage.name]) for stage in measured.stages)
    return experiment.lasting(steps), replace(measured, stages=stages)


def _clock(device: torch.device) -> Callable[[], float]:
    """Processor time where it is the time of the steps alone."""
    alone = device.type == "cpu" and torch.get_num_threads() == 1
    return time.process_time if alone else time.perf_counter


def _stage(
    fabric: Fabric, experiment: Experiment, name: str, sources: Sources, world: int
) -> StagePlan:
    config = experiment.stages[name]
    batches.check_shares(config.batch, config.accumulate, world)
    model = initial_model(experiment)
    check_clips(model, sources, experiment)
    stage = config.build(model, experiment.context)
    stage.begin()
    trainer = Trainer(fabric, stage, name, experiment.seed)
    source = stage.source(First(sources.train, config.batch))
    order = Order(len(source), config.batch, experiment.seed, world=world)
    steps = batches.training_steps(source, order, config.accumulate, workers=0)
    if fabric.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(WARM_UP):
        trainer.step(next(steps))
    clock = _clock(fabric.device)
    began = clock()
    for number in range(TIMED):
        trainer.done = int((number + 0.5) / TIMED * config.steps)
        trainer.step(next(steps))
    return StagePlan(
        name=name,
        steps=config.steps,
        parameters=parts(stage),
        trained=sum(p.numel() for p in {p for each in trainer.parameters.values() for p in each}),
        seconds=(clock() - began) / TIMED * 1000,
        peak_bytes=_peak(fabric.device),
    )


def parts(stage: Stage) -> dict[str, int]:
    """Parameters by part: the model's parts by their names, then the stage's own."""
    owners = {id(p): "model" for p in stage.model.parameters(recurse=False)}
    for prefix, module in (("", stage.model), ("stage.", stage)):
        for name, child in module.named_children():
            for parameter in child.parameters():
                owners.setdefault(id(parameter), prefix + name)
    counts: dict[str, int] = {}
    for parameter in stage.parameters():
        part = owners.get(id(parameter), "stage")
        counts[part] = counts.get(part, 0) + parameter.numel()
    return counts


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated()
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
