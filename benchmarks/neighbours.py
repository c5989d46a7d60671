"""The baselines at their published size: a training step's time, work, rate and memory.

Every preset predicts, and takes the forward and backward passes of its stage, on clips of noise of
its own lengths and size, in turns; the best round counts. Work is what is counted on the network
that runs; a backward pass is as much again for the weights and once more for the inputs. The rate
stands beside that of a large matrix product of the same precision. Times are processor time, summed
over threads; on a GPU, time. Memory is the most that the tensors of a training step hold at a time,
parameters aside, gradients and all.

    python benchmarks/neighbours.py [PRESET …] [--batch 4] [--rounds 2] [--threads 1]
        [--context 10] [--horizon 10] [--recompute]
        [--device cuda] [--precision bf16] [--compile]
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from framecast import registry
from framecast.clip import Clip
from framecast.evaluation.cost import multiply_adds
from framecast.experiment import Experiment
from framecast.model import Model
from framecast.models.recurrent import Recurrent
from timing import most_held, product_rate, timed

PRESETS = (
    "convlstm/moving-mnist",
    "predrnn/moving-mnist",
    "predrnn-pp/moving-mnist",
    "e3d-lstm/moving-mnist",
    "simvp/moving-mnist",
    "simvp/moving-mnist-inception",
)
SIZE = (64, 64)
PASSES = 3
"""Forward, and backward for weights and for inputs."""
TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(frozen=True)
class Row:
    """One preset."""

    name: str
    parameters: int
    work: int  # multiply–adds of a prediction, one sequence
    predict: Callable[[], object]
    train: Callable[[], object]
    peak: int  # bytes that a training step holds at most


def row(name: str, options: argparse.Namespace) -> Row:
    """The preset's model with new weights, and its first stage."""
    experiment: Experiment = registry.find("presets", name)()
    model = experiment.model.build().to(options.device)
    ((_, config),) = experiment.stages.items()
    if options.recompute:
        config = replace(config, recompute=True)
    stage = config.build(model, options.context)
    shape = (options.batch, options.context + options.horizon, model.expects.channels or 1)
    clip = Clip(torch.rand(*shape, *SIZE, device=options.device))
    context = clip.frames[:, : options.context]
    mixed = options.precision == "bf16"

    def train() -> None:
        with torch.autocast(options.device, torch.bfloat16, enabled=mixed):
            loss: Tensor = stage("main", clip, 0)["total"]
        loss.backward()
        for parameter in stage.parameters():
            parameter.grad = None

    def predict() -> None:
        with torch.autocast(options.device, torch.bfloat16, enabled=mixed):
            model.predict(context, options.horizon)

    peak = most_held(train)
    if options.compile:
        compiled(model)
        train()
        predict()
    return Row(
        name,
        model.parameter_count(),
        multiply_adds(experiment.model, options.context, options.horizon, SIZE),
        predict,
        train,
        peak,
    )


def compiled(model: Model) -> None:
    """Compile what is called for every frame, or, where nothing is, the parts of the model."""
    if isinstance(model, Recurrent):
        model.advance = torch.compile(model.advance)
        if type(model).observe is not Recurrent.observe:  # a context not frame by frame
            model.observe = torch.compile(model.observe)
    else:
        for part in model.children():
            part.compile()


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("presets", nargs="*", default=PRESETS)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--context", type=int, default=10)
    parser.add_argument("--horizon", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=2, help="the best counts")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--recompute", action="store_true", help="where a stage can")
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--precision", choices=tuple(TYPES), default="fp32")
    parser.add_argument("--compile", action="store_true", help="by torch.compile, beforehand")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    rows = [row(name, options) for name in options.presets]
    times: dict[str, list[float]] = {}
    rate = 0.0
    for _ in range(options.rounds):
        for each in rows:
            found = [timed(work, options.device) for work in (each.predict, each.train)]
            times[each.name] = list(map(min, times.get(each.name, found), found))
        rate = max(rate, product_rate(1536, options.device, TYPES[options.precision]))
    print(
        f"{options.context}→{options.horizon}, {options.batch} clips, {options.precision}; "
        "G are 10^9 multiply–adds"
    )
    print(
        f"{'':28}{'parameters':>12}{'G':>8}{'predict s':>11}{'G/s':>9}{'train s':>9}{'G/s':>9}"
        f"{'peak GiB':>10}"
    )
    for each in rows:
        predicted, trained = times[each.name]
        work = options.batch * each.work / 1e9
        print(
            f"{each.name:28}{each.parameters:12,}{each.work / 1e9:8.2f}{predicted:11.3f}"
            f"{work / predicted:9.1f}{trained:9.3f}{PASSES * work / trained:9.1f}"
            f"{each.peak / 2**30:10.2f}"
        )
    print(f"a large matrix product: {rate / 1e9:.1f} G/s")


if __name__ == "__main__":
    main()
