"""STIP at high resolution: prediction at 2160×3840 and training at 512², in time and memory.

The naive implementation is the tests' oracle of the same equations, in single precision with the
same weights: every product of a gate is a convolution of its own, and every observed frame is
decoded. Each row runs in a process of its own, so that its peak of memory is its own. Seconds are
processor time, summed over threads, which other work on the machine disturbs less.

    python benchmarks/stip.py [--horizon 4] [--threads 2] [--size 2160 3840] [--model FOLDER]
"""

import argparse
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

import framecast
from framecast.clip import Clip
from framecast.models.stip.model import STIP
from framecast.models.stip.network import STIPConfig
from framecast.models.stip.stages import TrainingConfig

CONTEXT = 4
PREDICTIONS = {
    "as it is": "float32 plain ours",
    "channels last": "float32 channels-last ours",
    "bfloat16": "bfloat16 plain ours",
    "bfloat16, channels last": "bfloat16 channels-last ours",
    "naive": "float32 plain naive",
}
TRAININGS = {
    "a step": "float32 kept",
    "a step, bfloat16": "bfloat16 kept",
    "a step, recomputed": "float32 recomputed",
    "a step, bfloat16, recomputed": "bfloat16 recomputed",
}


def peak() -> float:
    """GiB of memory that this process has had at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def network(options: argparse.Namespace) -> STIP:
    """The model of a folder, or the published one for 4K with new weights."""
    if options.model is not None:
        model = framecast.load(options.model)
        assert isinstance(model, STIP)
        return model
    torch.manual_seed(0)
    return STIP(STIPConfig(patch=8, norm="layer", size=tuple(options.size))).eval()


def naive(model: STIP, context: torch.Tensor, horizon: int) -> Iterator[None]:
    """The oracle's predictions, all of them at the end."""
    sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "models"))
    from naive_stip import Settings, play, read

    config = model.config
    names = ("units", "levels", "patch", "recall", "kernel", "norm", "update_bias", "residual")
    settings = Settings(**{name: getattr(config, name) for name in names})
    with torch.no_grad():
        play(context, CONTEXT + horizon - 1, read(model.state_dict(), settings), settings)
    yield


def predict(options: argparse.Namespace) -> str:
    """Predict once, and say how long and how large."""
    precision, layout, kind = options.row.split()
    model = network(options)
    if layout == "channels-last":
        model = model.to(memory_format=torch.channels_last)
    context = torch.rand(1, CONTEXT, 3, *options.size)
    start, wall = time.process_time(), time.perf_counter()
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
        if kind == "naive":
            frames = naive(model, context, options.horizon)
        else:
            frames = model.stream(context, options.horizon)
        for _ in frames:
            pass
    return f"{time.process_time() - start:8.1f} {time.perf_counter() - wall:8.1f} {peak():6.2f}"


def train(options: argparse.Namespace) -> str:
    """Two forward and backward passes of the published size at 512², the second timed."""
    precision, kept = options.row.split()
    model = STIP(STIPConfig(norm="layer", size=(512, 512)))
    stage = TrainingConfig(batch=1, recompute=kept == "recomputed").build(model, CONTEXT)
    clip = Clip(torch.rand(1, CONTEXT + 1, 3, 512, 512))
    start = wall = 0.0
    for _ in range(2):
        start, wall = time.process_time(), time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "bfloat16"):
            loss = stage("main", clip, 0)["total"]
        loss.backward()
    return f"{time.process_time() - start:8.1f} {time.perf_counter() - wall:8.1f} {peak():6.2f}"


def table(options: argparse.Namespace) -> None:
    """Run every row by itself and print them."""
    height, width = options.size
    print(f"prediction {CONTEXT}→{options.horizon} at {height}x{width}, {options.threads} threads")
    print(f"{'':32}{'cpu s':>8} {'wall s':>8} {'GiB':>6}")
    for name, row in PREDICTIONS.items():
        print(f"{name:32}{_apart('predict', row)}", flush=True)
    print("training 4→1 at 512x512, batch 1, published size: forward and backward")
    for name, row in TRAININGS.items():
        print(f"{name:32}{_apart('train', row)}", flush=True)


def _apart(kind: str, row: str) -> str:
    command = [sys.executable, *sys.argv, "--kind", kind, "--row", row]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.rstrip()


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--horizon", type=int, default=4)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--size", type=int, nargs=2, default=(2160, 3840))
    parser.add_argument("--model")
    parser.add_argument("--kind", choices=("predict", "train"), help=argparse.SUPPRESS)
    parser.add_argument("--row", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.kind is None:
        table(options)
    else:
        print({"predict": predict, "train": train}[options.kind](options))


if __name__ == "__main__":
    main()
