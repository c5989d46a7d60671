"""Activation checkpointing: time for memory."""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch.utils.checkpoint import checkpoint

Result = TypeVar("Result")


def recompute(function: Callable[..., Result], *arguments: Any, when: bool) -> Result:
    """Call a function, if `when` keeping only its arguments for the backward pass.

    Its activations are then computed a second time when its gradients are. Arguments and result may
    hold tensors in any structure. In a recurrent model one time step is a good function: what is
    kept are the states.
    """
    if not (when and torch.is_grad_enabled()):
        return function(*arguments)
    return checkpoint(function, *arguments, use_reentrant=False)
