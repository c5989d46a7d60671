"""What the benchmarks measure with: processor time, which other work disturbs less, and memory."""

import time
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


def timed(work: Callable[[], object], device: str = "cpu") -> float:
    """Seconds of one run: of processor time, summed over threads; on a GPU, that pass."""
    if device == "cpu":
        start = time.process_time()
        work()
        return time.process_time() - start
    torch.cuda.synchronize()
    start = time.perf_counter()
    work()
    torch.cuda.synchronize()
    return time.perf_counter() - start


def product_rate(
    size: int = 1536, device: str = "cpu", dtype: torch.dtype = torch.float32
) -> float:
    """Multiply-adds per second of a large matrix product; the best of some."""
    a, b = torch.randn(2, size, size, device=device, dtype=dtype)
    return size**3 / min(timed(lambda: a @ b, device) for _ in range(10))


def most_held(work: Callable[[], object]) -> int:
    """Bytes that the tensors made in a run hold at most at a time."""
    with _Memory() as memory:
        work()
    return memory.peak


class _Memory(TorchDispatchMode):
    """Follows the memory of all tensors that operations give."""

    def __init__(self) -> None:
        super().__init__()
        self.now = self.peak = 0
        self.known: set[int] = set()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        given = {id(t.untyped_storage()) for t in tree_leaves((args, kwargs)) if _has_memory(t)}
        found = func(*args, **(kwargs or {}))
        for tensor in filter(_has_memory, tree_leaves(found)):
            memory = tensor.untyped_storage()
            if id(memory) not in self.known | given:
                self.known.add(id(memory))
                self.now += memory.nbytes()
                weakref.finalize(memory, self._gone, id(memory), memory.nbytes())
        self.peak = max(self.peak, self.now)
        return found

    def _gone(self, name: int, size: int) -> None:
        self.known.discard(name)
        self.now -= size


def _has_memory(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided
