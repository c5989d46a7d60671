"""The architecture of a model as a graph that is watched rather than written down.

One forward pass of each of its stages is followed from tensor to tensor: an arrow from one part to
another stands for numbers that really went there, also where no gradient does.
"""

import re
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from framecast.clip import Clip
from framecast.experiment import Experiment
from framecast.layers.recurrent.stack import Stack
from framecast.model import Model

FRAMES = "frames"
"""Name of the node that everything begins with."""
FEW = 4
"""With fewer parts than that they are opened."""
BLANK = re.compile(r"new_\w+|\w+_like")
"""Operations that take a size and a kind of numbers from a tensor, and no number."""
LAYERS = "framecast.layers"
"""Where the layers are that models share."""
SIDE = 64
"""Height and width of the frames, in pixels, of models that take any."""


@dataclass
class Part:
    """A part of a model, as it was met."""

    name: str
    parameters: int
    shape: tuple[int, ...] = ()  # of what the last call gave, first tensor


@dataclass(frozen=True)
class Graph:
    """Parts of a model in the order of their first use, and what goes from one to another.

    Sources and targets are names: of parts, `FRAMES`, and of each stage's loss.
    """

    parts: tuple[Part, ...]
    losses: tuple[str, ...]
    arrows: frozenset[tuple[str, str]]


def trace(experiment: Experiment) -> Graph:
    """Follow a clip of noise through every stage of an experiment, at its last step.

    The model is a new one; a stage that ends with its own predictions fed back shows them.

    Args:
        experiment: The model, its stages, and the numbers of frames.
    """
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(experiment.seed)
        model = experiment.model.build()
        followed = Followed({name: Part(name, size) for name, size in parts(model).items()})
        followed.watch(model)
        clip = _noise(model, experiment.context + experiment.horizon)
        for name, config in experiment.stages.items():
            stage = config.build(model, experiment.context)
            for phase in stage.phases:
                with followed:
                    followed.mark(clip.frames, FRAMES)
                    total = stage.forward(phase, clip, config.steps - 1)["total"]
                followed.arrive(total, _loss(name, phase, len(stage.phases)))
    met = [followed.parts[name] for name in followed.order]
    return Graph(tuple(met), tuple(followed.losses), frozenset(followed.arrows))


def parts(model: nn.Module) -> dict[str, int]:
    """Parts with their numbers of parameters: children, and theirs where there are few.

    Layers that models share are not opened, nor are sequences.
    """
    found: dict[str, nn.Module] = {"": model}
    while len(found) < FEW:
        below = {k: v for name, part in found.items() for k, v in _opened(name, part).items()}
        if not below.keys() - found.keys():
            break
        found = below
    return {name: _size(part) for name, part in found.items()}


@dataclass
class Followed(TorchDispatchMode):
    """Knows of each tensor which parts it was made by, from operation to operation.

    Within a part, and with its weights, everything is the part's; what is made outside is of all
    that it was made from.
    """

    parts: dict[str, Part]
    arrows: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    losses: list[str] = field(default_factory=list[str])
    order: list[str] = field(default_factory=list[str])
    _inside: list[str] = field(default_factory=list[str])
    _origins: dict[int, frozenset[str]] = field(default_factory=dict[int, frozenset[str]])
    _owners: dict[int, str] = field(default_factory=dict[int, str])
    _alive: list[Any] = field(default_factory=list[Any])  # so that no address is used twice

    def __post_init__(self) -> None:
        """Begin as a mode of torch."""
        super().__init__()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        """Run an operation, and note what its results come from."""
        del types
        found, given = func(*args, **(kwargs or {})), _tensors((args, kwargs))
        origins = frozenset[str]().union(*(self.origins(tensor) for tensor in given))
        if BLANK.fullmatch(func.overloadpacket.__name__):
            origins = frozenset[str]()
        owners = [self._owners[_address(each)] for each in given if _address(each) in self._owners]
        if part := next(iter(self._inside[-1:] or owners), None):
            self._meet(part)
            self.arrows |= {(origin, part) for origin in origins if origin != part}
            origins = frozenset({part})
        looked_at = set[int]() if func._schema.is_mutable else {_address(each) for each in given}
        for tensor in _tensors(found):
            if _address(tensor) not in looked_at:  # a view is what it was
                self._note(tensor, self.origins(tensor) | origins)
        return found

    def watch(self, model: nn.Module) -> None:
        """Be told of every call of a module that is in a part, and know the parts' weights."""
        for path, module in model.named_modules():
            name = next((n for n in self.parts if f"{path}.".startswith(f"{n}.")), None)
            if name is not None:
                module.register_forward_pre_hook(self._entering(name))
                module.register_forward_hook(self._leaving(name))
                weights = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
                self._owners |= {_address(tensor): name for tensor in weights}

    def mark(self, tensor: Tensor, origin: str) -> None:
        """Say where a tensor comes from."""
        self._note(tensor, frozenset({origin}))

    def arrive(self, tensor: Tensor, target: str) -> None:
        """Note what a tensor comes from as arrows to a target."""
        self.losses.append(target)
        self.arrows |= {(origin, target) for origin in self.origins(tensor)}

    def origins(self, tensor: Tensor) -> frozenset[str]:
        """The parts that a tensor was made by."""
        return self._origins.get(_address(tensor), frozenset())

    def _note(self, tensor: Tensor, origins: frozenset[str]) -> None:
        self._alive.append(tensor.untyped_storage())
        self._origins[_address(tensor)] = origins

    def _meet(self, name: str) -> None:
        if name not in self.order:
            self.order.append(name)

    def _entering(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any) -> None:
            del module, args
            self._inside.append(name)

        return hook

    def _leaving(self, name: str) -> Any:
        def hook(module: nn.Module, args: Any, output: Any) -> None:
            del module, args
            self._inside.pop()
            tensors = _tensors(output)
            if name not in self._inside and tensors:
                self.parts[name].shape = tuple(tensors[0].shape)

        return hook


def _noise(model: Model, length: int) -> Clip:
    spec = model.expects
    side = -(-SIDE // spec.multiple_of) * spec.multiple_of
    return Clip(torch.rand(1, length, spec.channels or 1, *(spec.size or (side, side))))


def _loss(stage: str, phase: str, phases: int) -> str:
    return f"loss: {stage}" if phases == 1 else f"loss: {stage}, {phase}"


def _size(part: nn.Module) -> int:
    return sum(parameter.numel() for parameter in part.parameters())


def _opened(name: str, part: nn.Module) -> dict[str, nn.Module]:
    """The children that have parameters, by their paths; the part itself where it is not opened."""
    inner = {key: child for key, child in part.named_children() if _size(child)}
    shared = type(part).__module__.startswith(LAYERS) and not isinstance(
        part, nn.ModuleList | Stack
    )
    if not inner or shared or isinstance(part, nn.Sequential):
        return {name: part}
    return {f"{name}.{key}".lstrip("."): child for key, child in inner.items()}


def _tensors(nested: Any) -> list[Tensor]:
    """All tensors in nested containers, also in dataclasses."""
    found = list[Tensor]()
    for leaf in tree_leaves(nested):
        if isinstance(leaf, Tensor):
            found.append(leaf)
        elif hasattr(leaf, "__dataclass_fields__"):
            found += _tensors([getattr(leaf, name) for name in leaf.__dataclass_fields__])
    return found


def _address(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata
