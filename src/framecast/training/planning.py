"""What a training will take, from a few real steps, before it begins."""

import resource
import sys
import time
from dataclasses import dataclass, replace

import torch
from lightning_fabric import Fabric

from framecast.clip import Key, Source
from framecast.data.order import Order
from framecast.experiment import Experiment
from framecast.stage import Stage
from framecast.training import batches
from framecast.training.options import RunOptions, launch, numerics
from framecast.training.place import initial_model
from framecast.training.trainer import Trainer

WARM_UP = 1  # steps that are not timed
TIMED = 3  # steps


@dataclass(frozen=True)
class StagePlan:
    """What one stage takes."""

    name: str
    steps: int
    parameters: dict[str, int]  # values by part of the stage, trained or not
    trained: int  # parameters that some phase trains
    seconds: float  # per 1,000 steps, without validation and checkpoints
    peak_bytes: int  # of one process; on the CPU all that it holds, on a GPU its tensors


@dataclass(frozen=True)
class Plan:
    """What a training takes on this machine."""

    device: str  # cpu or cuda
    stages: tuple[StagePlan, ...]

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

    Several processes are not started: what they exchange comes on top. Stages start from new
    weights here, which changes neither memory nor time.

    Raises:
        FramecastError: what training would raise in its first steps.
    """
    options = options or RunOptions()
    world = options.devices * options.nodes
    fabric = launch(replace(options, devices=1, nodes=1))
    clips = experiment.source("train")
    with numerics(options, fabric.device):
        stages = tuple(_stage(fabric, experiment, name, clips, world) for name in experiment.stages)
    return Plan(fabric.device.type, stages)


def _stage(
    fabric: Fabric, experiment: Experiment, name: str, clips: Source, world: int
) -> StagePlan:
    config = experiment.stages[name]
    batches.check_shares(config.batch, config.accumulate, world)
    model = initial_model(experiment)
    stage = config.build(model, experiment.context)
    stage.begin()
    trainer = Trainer(fabric, stage, name, experiment.seed)
    source = stage.source(First(clips, config.batch))
    order = Order(len(source), config.batch, experiment.seed, world=world)
    steps = batches.training_steps(source, order, config.accumulate, workers=0)
    if fabric.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
    for _ in range(WARM_UP):
        trainer.step(next(steps))
    began = time.perf_counter()
    for _ in range(TIMED):
        trainer.step(next(steps))
    return StagePlan(
        name=name,
        steps=config.steps,
        parameters=parts(stage),
        trained=sum(p.numel() for p in {p for each in trainer.parameters.values() for p in each}),
        seconds=(time.perf_counter() - began) / TIMED * 1000,
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
