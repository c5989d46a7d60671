"""What the benchmarks measure time with: processor time, which other work disturbs less."""

import time
from collections.abc import Callable

import torch


def timed(work: Callable[[], object]) -> float:
    """Seconds of processor time of one run, summed over threads."""
    start = time.process_time()
    work()
    return time.process_time() - start


def product_rate(size: int = 1536) -> float:
    """Multiply-adds per second of a large matrix product; the best of some."""
    a, b = torch.randn(size, size), torch.randn(size, size)
    return size**3 / min(timed(lambda: a @ b) for _ in range(10))
