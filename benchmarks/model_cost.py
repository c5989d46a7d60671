"""What models cost beside one another: seconds per training step and per predicted frame.

Every stage of every preset takes steps on the same clips, with as many clips in a step, in turns,
so that other work on the machine disturbs all alike; then the models predict these clips, in turns.
A preset whose name a shipped model has predicts with that one's weights, because a sampler's time
depends on what is predicted; others with random ones. The best round counts. Times are processor
time, summed over threads.

    python benchmarks/model_cost.py [PRESET …] [--batch 8] [--precision bf16-mixed] [--threads 1]
"""

import argparse
from collections.abc import Callable

import torch
from lightning_fabric import Fabric

import framecast
from framecast import registry
from framecast.clip import Clip, collate
from framecast.data.moving_digits import MovingDigits
from framecast.experiment import Experiment
from framecast.model import Model
from framecast.training.trainer import Trainer
from timing import timed

PRESETS = ("s-hr-vqvae/moving-mnist", "convlstm/moving-mnist", "convlstm/moving-mnist-small")


def clips(batch: int, frames: int) -> Clip:
    """Drawn digits."""
    source = MovingDigits(digits="glyphs").source("test", frames, 0)
    return collate([source[(0, index)] for index in range(batch)])


def trainers(
    name: str, experiment: Experiment, fabric: Fabric, batch: Clip
) -> dict[str, Callable[[], object]]:
    """A training step of every stage, after a first one that counts for nothing."""
    steps: dict[str, Callable[[], object]] = {}
    for stage_name, config in experiment.stages.items():
        stage = config.build(experiment.model.build(), experiment.context)
        trainer = Trainer(fabric, stage, stage_name, 0)
        trainer.step([batch])
        steps[f"{name}: {stage_name}"] = lambda trainer=trainer: trainer.step([batch])
    return steps


def predictor(name: str, experiment: Experiment) -> Model:
    """The shipped model of that name, or one of random weights."""
    if name in registry.shipped():
        return framecast.load(name)
    return experiment.model.build().eval()


def best(works: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """The shortest time of each piece of work, all of them in turns."""
    found = [{name: timed(work) for name, work in works.items()} for _ in range(rounds)]
    return {name: min(times[name] for times in found) for name in works}


def show(title: str, seconds: dict[str, float], per: int) -> None:
    """A table with ratios to the first line."""
    print(f"\n{title:48}{'seconds':>10}{'ratio':>8}")
    first = next(iter(seconds.values()))
    for name, value in seconds.items():
        print(f"{name:48}{value / per:10.4f}{value / first:8.2f}")


def main() -> None:
    """Print a table of training steps and one of predictions."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="*", default=PRESETS)
    parser.add_argument("--batch", type=int, default=8, help="clips in a step or prediction")
    parser.add_argument("--rounds", type=int, default=3, help="the best counts")
    parser.add_argument("--precision", default="32-true", help="of training; or bf16-mixed")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    fabric = Fabric(accelerator="cpu", precision=options.precision)
    experiments = {name: registry.find("presets", name)() for name in options.presets}
    lengths = {(each.context, each.horizon) for each in experiments.values()}
    if len(lengths) > 1:
        parser.error("the presets have different contexts or horizons")
    ((context, horizon),) = lengths
    batch = clips(options.batch, context + horizon)
    steps: dict[str, Callable[[], object]] = {}
    for name, experiment in experiments.items():
        steps |= trainers(name, experiment, fabric, batch)
    show(f"training, step of {options.batch} clips", best(steps, options.rounds), 1)
    seen = batch.pick(slice(None, context))
    models = {name: predictor(name, each) for name, each in experiments.items()}
    predictions: dict[str, Callable[[], object]] = {}
    for name, model in models.items():
        title = f"{name} ({sum(p.numel() for p in model.parameters()):,})"
        predictions[title] = lambda model=model: model.predict(seen, horizon)
    show("prediction, per frame", best(predictions, options.rounds), options.batch * horizon)


if __name__ == "__main__":
    main()
