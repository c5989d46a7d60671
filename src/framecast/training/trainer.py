"""The training step: phases outside, micro-batches inside."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from framecast.errors import TrainingError
from framecast.noise import mix
from framecast.stage import Reducer, Stage
from framecast.training import optimizers
from framecast.training.average import WeightAverage

TOTAL = "total"


class Trainer:
    """Trains one stage, step by step. It knows no model and no file."""

    def __init__(self, fabric: Fabric, stage: Stage, name: str, seed: int) -> None:
        """Put the stage on its device, and make one optimizer per phase.

        Args:
            fabric: Launched.
            stage: With the weights that training starts from.
            name: Of the stage; it names the random streams.
            seed: Of the experiment.
        """
        self.fabric, self.stage, self.name, self.seed = fabric, stage, name, seed
        self.done = 0  # steps
        self.parameters = {phase: stage.parameters_of(phase) for phase in stage.phases}
        stage.requires_grad_(False)
        for phase in stage.phases:
            self._enable(phase)
        stage.register_forward_hook(_detach_logged)
        self.module = fabric.setup_module(stage)
        self.optimizers = {
            phase: optimizers.build(stage.optimizer(phase), parameters)
            for phase, parameters in self.parameters.items()
        }
        self._stepped: dict[str, Any] = {
            phase: fabric.setup_optimizers(optimizer)
            for phase, optimizer in self.optimizers.items()
        }
        self.average = WeightAverage(stage, stage.config.ema)
        stage.train()

    def step(self, micros: list[Any]) -> dict[str, float]:
        """Take one step of every phase.

        Args:
            micros: This process's micro-batches.

        Returns:
            Means over all micro-batches and processes of what the phases report, with the norms of
            their gradients and their learning rates.

        Raises:
            TrainingError: if a loss or gradient is not finite; nothing was changed by that phase.
        """
        micros = [self.fabric.to_device(batch) for batch in micros]
        values: dict[str, float] = {}
        for phase in self.stage.phases:
            prefix = f"{phase}/" if len(self.stage.phases) > 1 else ""
            values |= {prefix + key: v for key, v in self._phase(phase, micros).items()}
        # the same in all processes, so that they choose alike what to restart
        torch.manual_seed(mix(self.seed, "after step", self.name, self.done))
        self.stage.after_step(self.done, cast("Reducer", self.fabric))
        self.average.update(self.done)
        self.done += 1
        return values

    def _phase(self, phase: str, micros: list[Any]) -> dict[str, float]:
        parameters = self.parameters[phase]
        config = self.stage.optimizer(phase)
        self.stage.requires_grad_(False)
        self._enable(phase)
        losses = [self._micro(phase, number, micros) for number in range(len(micros))]
        norm = optimizers.gradient_norm(parameters)
        values = self._means(losses, norm)
        self._check_finite(phase, values)
        if config.clip_norm is not None:
            nn.utils.clip_grads_with_norm_(parameters, config.clip_norm, norm)
        rate = config.rate(self.done, self.stage.config.steps)
        for group in self.optimizers[phase].param_groups:
            group["lr"] = rate
        self._stepped[phase].step()
        self.optimizers[phase].zero_grad()
        return {**values, "learning_rate": rate}

    def _micro(self, phase: str, number: int, micros: list[Any]) -> dict[str, Tensor]:
        """Forward and backward of one micro-batch; processes exchange gradients at the last one."""
        names = (self.seed, "train", self.name, self.done, phase, number, self.fabric.global_rank)
        torch.manual_seed(mix(*names))
        more = number < len(micros) - 1
        with self.fabric.no_backward_sync(self.module, enabled=more):
            losses = self.module(phase, micros[number], self.done)
            self.fabric.backward(losses[TOTAL] / len(micros))
        return {name: loss.detach() for name, loss in losses.items()}

    def _means(self, losses: list[dict[str, Tensor]], norm: Tensor) -> dict[str, float]:
        """Means over micro-batches and processes, so that all processes decide alike."""
        names = list(losses[0])
        means = [torch.stack([each[name] for each in losses]).mean().float() for name in names]
        reduced = self.fabric.all_reduce(torch.stack([*means, norm.float()]), reduce_op="mean")
        assert isinstance(reduced, Tensor)
        return dict(zip([*names, "gradient_norm"], reduced.tolist(), strict=True))

    def _check_finite(self, phase: str, values: dict[str, float]) -> None:
        if math.isfinite(values[TOTAL]) and math.isfinite(values["gradient_norm"]):
            return
        culprits = [name for name, value in values.items() if not math.isfinite(value)]
        of = f" of the phase {phase!r}" if len(self.stage.phases) > 1 else ""
        raise TrainingError(
            f"stage {self.name!r}, step {self.done + 1}: {', '.join(culprits)}{of} is not finite"
        )

    def check_weights(self) -> None:
        """Refuse to go on from weights that no checkpoint should hold.

        Raises:
            TrainingError: names the first parameter that is not finite.
        """
        for name, parameter in self.stage.named_parameters():
            if not bool(parameter.isfinite().all()):
                raise TrainingError(
                    f"stage {self.name!r}, step {self.done}: {name} is not finite any more"
                )

    def _enable(self, phase: str) -> None:
        for parameter in self.parameters[phase]:
            parameter.requires_grad_(True)

    def share_buffers(self) -> None:
        """Give all processes the buffers of the first one (batch statistics differ)."""
        if self.fabric.world_size > 1:
            idle = {id(tensor) for tensor in self.idle()}
            for buffer in self.stage.buffers():
                if id(buffer) not in idle:
                    torch.distributed.broadcast(buffer, 0)

    def idle(self) -> list[Tensor]:
        """Parameters and buffers that neither steps nor validation need or change."""
        modules = self.stage.idle()
        return [t for module in modules for t in (*module.parameters(), *module.buffers())]

    def rest(self) -> None:
        """Take what is idle from the device to the CPU."""
        for tensor in self.idle():
            tensor.data = tensor.data.cpu()

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Have all of the stage on the device for a while."""
        resting = [(tensor, tensor.data) for tensor in self.idle()]
        try:
            for tensor, data in resting:
                tensor.data = data.to(self.fabric.device)
            yield
        finally:
            for tensor, data in resting:
                tensor.data = data


def _detach_logged(stage: nn.Module, given: Any, losses: dict[str, Tensor]) -> dict[str, Tensor]:
    """Keep the graph of the total alone: the data-parallel wrapper waits for all of it."""
    del stage, given
    return {name: loss if name == TOTAL else loss.detach() for name, loss in losses.items()}
