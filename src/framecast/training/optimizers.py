"""Optimizers from their configuration, and their state as plain tensors."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, Adam, AdamW, Optimizer, RMSprop

from framecast.errors import TrainingError
from framecast.stage import OptimizerConfig


def build(config: OptimizerConfig, parameters: list[nn.Parameter]) -> Optimizer:
    """The optimizer of a configuration; the trainer sets its learning rate in every step.

    Raises:
        TrainingError: if there is nothing to train.
    """
    if not parameters:
        raise TrainingError("a phase has no parameters to train; the stage freezes all of them")
    rate, decay = config.learning_rate, config.weight_decay
    if config.kind == "sgd":
        return SGD(parameters, lr=rate, momentum=config.betas[0], weight_decay=decay)
    if config.kind == "rmsprop":
        momentum, alpha = config.betas
        return RMSprop(parameters, rate, alpha, config.eps, decay, momentum)
    kind = AdamW if config.kind == "adamw" else Adam
    return kind(parameters, lr=rate, betas=config.betas, eps=config.eps, weight_decay=decay)


def state_of(optimizers: Mapping[str, Optimizer]) -> dict[str, Tensor]:
    """All that the optimizers of the phases remember: `phase/parameter's number/name`."""
    tensors: dict[str, Tensor] = {}
    for phase, optimizer in optimizers.items():
        for number, entries in optimizer.state_dict()["state"].items():
            for name, value in entries.items():
                if isinstance(value, Tensor):
                    tensors[f"{phase}/{number}/{name}"] = value
                elif value is not None:
                    raise TrainingError(f"the optimizer's {name} is no tensor and cannot be saved")
    return tensors


def load_state(optimizers: Mapping[str, Optimizer], tensors: Mapping[str, Tensor]) -> None:
    """Put back what `state_of` gave."""
    states: dict[str, dict[int, dict[str, Any]]] = {phase: {} for phase in optimizers}
    for key, tensor in tensors.items():
        phase, number, name = key.rsplit("/", 2)
        states[phase].setdefault(int(number), {})[name] = tensor
    for phase, optimizer in optimizers.items():
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": states[phase], "param_groups": groups})


def gradient_norm(parameters: list[nn.Parameter]) -> Tensor:
    """Euclidean norm of the gradients of all parameters together."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    return torch.nn.utils.get_total_norm(gradients)
