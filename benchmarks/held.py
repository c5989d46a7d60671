"""What a training step of Video VQ-VAE's priors holds for its backward pass.

Bytes of single precision for one clip of 16 frames of 256×256 (the bottom prior: one slice),
without and with `recompute`, beside weights, gradients and the moments of Adam, and what rests on
the CPU. Tensors have shapes and no memory, so that any width can be asked for.

    python benchmarks/held.py [--hidden 512] [--batch 1]
"""

import argparse
import gc
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode

from framecast.models.video_vqvae.model import VideoVQVAE, VideoVQVAEConfig

KINDS = (Tensor, nn.Parameter, FakeTensor)
GIB = 2**30


def main() -> None:
    """Print one table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hidden", type=int, default=512, help="channels; twice as many inside")
    parser.add_argument("--batch", type=int, default=1)
    options = parser.parse_args()
    full = VideoVQVAEConfig()
    widths = {"hidden": options.hidden, "residual": 2 * options.hidden}
    config = replace(full, top=replace(full.top, **widths), bottom=replace(full.bottom, **widths))
    with FakeTensorMode():
        model = VideoVQVAE(config).train()
        top = torch.zeros(options.batch, 4, 32, 32, dtype=torch.int64)
        bottom = torch.zeros(options.batch, 8, 64, 64, dtype=torch.int64)
        runs = {
            "top": lambda again: model.top_log_probs(top, bottom, recomputed=again),
            "bottom": lambda again: model.bottom_log_probs(top, bottom, 4, recomputed=again),
        }
        print(f"{'GiB':8}{'held':>10}{'recomputed':>12}{'weights ×4':>12}{'resting':>10}")
        for name, run in runs.items():
            own = size_of(getattr(model, name))
            figures = [held(run, again) for again in (False, True)]
            figures += [4 * own, size_of(model) - own]
            plain, less, learnt, rest = (figure / GIB for figure in figures)
            print(f"{name:8}{plain:10.2f}{less:12.2f}{learnt:12.2f}{rest:10.2f}")


def size_of(module: nn.Module) -> int:
    """Bytes of its parameters."""
    return sum(p.numel() * p.element_size() for p in module.parameters())


def held(run: Callable[[bool], Tensor], again: bool) -> int:
    """Bytes that exist after a forward pass and did not before it."""
    before, found = visible(), {}

    def keep(tensor: Tensor) -> Tensor:
        found[tensor.untyped_storage()._cdata] = tensor
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        result = run(again)
    found.update(visible())  # what is computed again from is held by functions
    del result
    return sum(t.untyped_storage().nbytes() for place, t in found.items() if place not in before)


def visible() -> dict[int, Tensor]:
    """All tensors that a Python object holds, by place."""
    gc.collect()
    return {x.untyped_storage()._cdata: x for x in gc.get_objects() if type(x) in KINDS}


if __name__ == "__main__":
    main()
