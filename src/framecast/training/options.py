"""How a training runs on a machine: nothing here changes what is learnt, but for rounding."""

import atexit
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins import MixedPrecision, Precision
from lightning_fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from framecast.errors import ConfigError

_TENSORS: Any = torch.utils.deterministic  # pyright knows no attribute of it


@dataclass(frozen=True)
class RunOptions:
    """The machine's side of a training."""

    accelerator: Literal["auto", "cpu", "cuda"] = "auto"
    """Where to compute; `auto` takes a GPU where there is one."""
    devices: int = 1
    """Processes on this machine, one device each; under `torchrun`, its own number counts."""
    nodes: int = 1
    """Machines; under `torchrun`, its own number counts."""
    precision: Literal["32-true", "bf16-mixed"] = "32-true"
    """Single precision, or bfloat16 where autocasting finds it safe; weights stay single."""
    workers: int = 2
    """Processes per device that prepare data; 0 prepares it in the training process."""
    threads: int | None = None
    """CPU threads of a training process; None leaves PyTorch's choice."""
    progress: bool = True
    """Show progress on stderr."""
    keep_checkpoints: int = 2
    """Checkpoints that are kept, at least 2."""

    def __post_init__(self) -> None:
        """Check the ranges."""
        if self.devices < 1 or self.nodes < 1:
            raise ConfigError("devices and nodes are at least 1")
        if self.workers < 0 or (self.threads is not None and self.threads < 1):
            raise ConfigError("workers is 0 or more, threads 1 or more")
        if self.keep_checkpoints < 2:
            raise ConfigError("keep_checkpoints is at least 2, so that one may be damaged")

    @property
    def processes(self) -> int:
        """Processes on all machines."""
        local, nodes = _processes(self)
        return local * nodes


class Autocast(MixedPrecision):
    """bfloat16 inside the forward pass; batches stay single, so that targets are not rounded."""

    def convert_input(self, data: Any) -> Any:
        """Leave batches alone: autocasting rounds what operations take."""
        return data


class ZerosAround(TorchFunctionMode):
    """Puts zeros around the maps of a 3-D convolution whose kernel is larger than they are.

    On CPUs in bfloat16, PyTorch 2.13 leaves parts of such a kernel's gradient as memory happened to
    be if the convolution is to pad by itself.
    """

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        """Call what was to be called."""
        del types
        return (_conv3d if func is torch.conv3d else func)(*args, **(kwargs or {}))


def _conv3d(
    input: Tensor,  # noqa: A002
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    *others: Any,
    **named: Any,
) -> Tensor:
    """`torch.conv3d` of maps `b c d h w`, or without the first axis."""
    larger = any(
        width > size for width, size in zip(weight.shape[-3:], input.shape[-3:], strict=True)
    )
    if larger and not isinstance(padding, str):
        depth, height, width = (padding,) * 3 if isinstance(padding, int) else padding
        input = functional.pad(input, (width, width, height, height, depth, depth))  # noqa: A001
        padding = 0
    return torch.conv3d(input, weight, bias, stride, padding, *others, **named)


def launch(options: RunOptions) -> Fabric:
    """Start the processes that the options or the environment ask for."""
    cuda = options.accelerator == "cuda" or (
        options.accelerator == "auto" and torch.cuda.is_available()
    )
    if cuda and not torch.cuda.is_available():
        raise ConfigError("there is no CUDA device here; use the accelerator cpu or auto")
    device = "cuda" if cuda else "cpu"
    devices, nodes = _processes(options)
    mixed = options.precision == "bf16-mixed"
    fabric = Fabric(
        accelerator=device,
        devices=devices,
        num_nodes=nodes,
        # a phase leaves the parameters of the others without gradients
        strategy=DDPStrategy(find_unused_parameters=True) if devices * nodes > 1 else "auto",
        plugins=[Autocast("bf16-mixed", device) if mixed else Precision()],
    )
    fabric.launch()
    if torch.distributed.is_initialized():
        # gloo's threads abort a process now and then that ends without this
        atexit.unregister(_leave)
        atexit.register(_leave)
    return fabric


def _leave() -> None:
    """Give back the process group, where it is still there."""
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()


@contextmanager
def numerics(options: RunOptions, device: torch.device) -> Iterator[None]:
    """Set threads and determinism for a training, and put them back afterwards.

    It is for forward and backward passes alike, as the latter may compute parts of the former anew.
    """
    threads = torch.get_num_threads()
    deterministic = torch.are_deterministic_algorithms_enabled()
    filled = _TENSORS.fill_uninitialized_memory
    try:
        if options.threads is not None:
            torch.set_num_threads(options.threads)
        if device.type == "cpu":
            torch.use_deterministic_algorithms(True)
            # filling every new tensor costs time; results do not depend on it
            _TENSORS.fill_uninitialized_memory = False
        with ExitStack() as stack:
            if device.type == "cpu" and options.precision == "bf16-mixed":
                stack.enter_context(ZerosAround())
            yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(deterministic)
        _TENSORS.fill_uninitialized_memory = filled


def _processes(options: RunOptions) -> tuple[int, int]:
    """Processes per node, and nodes."""
    if not TorchElasticEnvironment.detect():
        return options.devices, options.nodes
    local = int(os.environ["LOCAL_WORLD_SIZE"])
    return local, int(os.environ["WORLD_SIZE"]) // local
