"""The training step against what its parts say it does."""

import copy
import math
from dataclasses import replace

import pytest
import torch
from dummy_runs import OPTIONS
from torch import Tensor

from contract.dummy import CodesConfig, CodesStage, Dots, Dummy, DummyConfig, Plain, PlainConfig
from framecast.clip import Clip, collate
from framecast.errors import TrainingError
from framecast.schedules import Schedule
from framecast.stage import OptimizerConfig, Reducer, StageConfig
from framecast.training.options import launch
from framecast.training.trainer import Trainer

SGD = OptimizerConfig(kind="sgd", betas=(0.0, 0.0), learning_rate=0.5)


def trainer(config: StageConfig) -> Trainer:
    torch.manual_seed(0)
    stage = config.build(Dummy(DummyConfig()), context=3)
    return Trainer(launch(OPTIONS), stage, "it", seed=3)


def clips(first: int, count: int) -> Clip:
    source = Dots().source("train", 5, 0)
    return collate([source[0, index] for index in range(first, first + count)])


def parameters(each: Trainer) -> dict[str, Tensor]:
    return {name: p.detach().clone() for name, p in each.stage.named_parameters()}


def test_accumulated_micro_batches_are_the_whole_batch() -> None:
    whole, parts = trainer(PlainConfig(optimizer=SGD)), trainer(PlainConfig(optimizer=SGD))
    together = whole.step([clips(0, 8)])
    split = parts.step([clips(first, 2) for first in range(0, 8, 2)])
    assert split["total"] == pytest.approx(together["total"], rel=1e-6)
    assert split["gradient_norm"] == pytest.approx(together["gradient_norm"], rel=1e-5)
    for name, parameter in parameters(whole).items():
        torch.testing.assert_close(parameters(parts)[name], parameter)


def test_steps_are_gradient_descent() -> None:
    it = trainer(PlainConfig(optimizer=SGD))
    for step in range(3):
        oracle, batch = copy.deepcopy(it.stage.model), clips(step, 4)
        error = (oracle.teacher_forced(batch) - batch.frames[:, 1:]).square().mean()
        weight = oracle.encoder.weight
        (gradient,) = torch.autograd.grad(error, weight)
        it.step([batch])
        torch.testing.assert_close(it.stage.model.encoder.weight, weight - 0.5 * gradient)


def test_gradients_are_clipped_together_and_their_full_norm_is_reported() -> None:
    free = trainer(PlainConfig(optimizer=SGD))
    norm = free.step([clips(0, 4)])["gradient_norm"]
    it = trainer(PlainConfig(optimizer=replace(SGD, clip_norm=norm / 10)))
    before = parameters(it)
    values = it.step([clips(0, 4)])
    moved = math.sqrt(sum((parameters(it)[k] - p).square().sum().item() for k, p in before.items()))
    assert values["gradient_norm"] == pytest.approx(norm)
    assert moved == pytest.approx(0.5 * norm / 10, rel=1e-4)


def test_the_learning_rate_follows_its_schedule() -> None:
    config = replace(SGD, warmup=2, schedule=Schedule(1.0, 0.1, begin=3, steps=2))
    it = trainer(PlainConfig(optimizer=config))
    for rate in (0.5 / 3, 1.0 / 3, 0.5, 0.5, 0.275, 0.05):
        before = parameters(it)
        values = it.step([clips(0, 4)])
        moved = {k: (parameters(it)[k] - p).square().sum().item() for k, p in before.items()}
        assert values["learning_rate"] == pytest.approx(rate)
        expected = rate * values["gradient_norm"]
        assert math.sqrt(sum(moved.values())) == pytest.approx(expected, rel=1e-3)


def test_the_average_of_the_weights() -> None:
    it = trainer(PlainConfig(optimizer=SGD, ema=0.3))
    expected = parameters(it)
    for step in range(6):
        it.step([clips(step, 4)])
        decay = min(0.3, (1 + step) / (10 + step))
        now = parameters(it)
        expected = {k: decay * v + (1 - decay) * now[k] for k, v in expected.items()}
    live = parameters(it)
    with it.average.in_place():
        for name, parameter in parameters(it).items():
            torch.testing.assert_close(parameter, expected[name])
        assert not torch.equal(it.stage.model.encoder.weight, live["model.encoder.weight"])
    for name, parameter in parameters(it).items():
        assert torch.equal(parameter, live[name])


def test_a_phase_trains_its_own_parameters_alone() -> None:
    it = trainer(CodesConfig())
    seen: dict[str, set[int]] = {}

    def note(stage: CodesStage, given: tuple[str, Clip, int], losses: dict[str, Tensor]) -> None:
        seen[given[0]] = {id(p) for p in stage.parameters() if p.requires_grad}

    it.stage.register_forward_hook(note)
    before = parameters(it)
    it.step([clips(0, 4)])
    assert seen == {
        phase: {id(p) for p in it.stage.parameters_of(phase)} for phase in ("predictor", "critic")
    }
    changed = {k for k, p in parameters(it).items() if not torch.equal(p, before[k])}
    assert changed == {
        *(f"model.{part}.{kind}" for part in ("encoder", "decoder") for kind in ("weight", "bias")),
        *("critic.0.weight", "critic.0.bias", "critic.2.weight"),
    }


def test_frozen_modules_stay_as_they_are() -> None:
    it = trainer(CodesConfig())
    before = parameters(it)
    it.step([clips(0, 4)])
    assert it.stage.training
    for module in it.stage.frozen():
        assert not module.training
        assert not any(p.requires_grad for p in module.parameters())
    for name in ("model.fixed.weight", "model.prior.weight"):
        assert torch.equal(parameters(it)[name], before[name])


def test_noise_depends_on_names_alone() -> None:
    one, other = trainer(CodesConfig()), trainer(CodesConfig())
    for step in range(3):
        one.step([clips(step, 4)])
    torch.rand(17)
    for step in range(3):
        other.step([clips(step, 4)])
        torch.rand(5)
    for name, tensor in one.stage.state_dict().items():
        assert torch.equal(tensor, other.stage.state_dict()[name])


def test_processes_draw_alike_after_a_step_and_unlike_in_it() -> None:
    class Draws(Plain):
        def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
            return {**super().forward(phase, batch, step), "draw": torch.rand(())}

        def after_step(self, step: int, reducer: Reducer) -> None:
            self.drawn = torch.rand(())

    def after(rank: int) -> tuple[float, float]:
        stage = Draws(PlainConfig(), Dummy(DummyConfig()), 3)
        it = Trainer(launch(OPTIONS), stage, "it", 0)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(it.fabric), "global_rank", rank)
            draw = it.step([clips(0, 4)])["draw"]
        return draw, stage.drawn.item()

    assert after(0)[0] != after(1)[0]
    assert after(0)[1] == after(1)[1]


def test_the_total_alone_keeps_its_graph() -> None:
    losses = trainer(PlainConfig()).module("main", clips(0, 4), 0)
    assert {name: loss.requires_grad for name, loss in losses.items()} == {
        "total": True,
        "root": False,
    }


@pytest.mark.parametrize("steps", [0, 2])
def test_a_loss_that_is_no_number_changes_nothing(steps: int) -> None:
    it = trainer(PlainConfig(break_at=steps))
    for step in range(steps):
        it.step([clips(step, 4)])
    before = parameters(it)
    with pytest.raises(TrainingError, match=rf"^stage 'it', step {steps + 1}: total, root, grad"):
        it.step([clips(0, 4)])
    assert all(torch.equal(p, before[name]) for name, p in parameters(it).items())
    assert it.done == steps


def test_an_infinite_gradient_of_a_finite_loss_stops_training() -> None:
    class Steep(Plain):
        def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
            zero = (self.model.encoder.weight - self.model.encoder.weight.detach()).sum()
            return {"total": super().forward(phase, batch, step)["total"] + zero.abs().sqrt()}

    it = Trainer(launch(OPTIONS), Steep(PlainConfig(), Dummy(DummyConfig()), 3), "it", 0)
    with pytest.raises(TrainingError, match="step 1: gradient_norm is not finite"):
        it.step([clips(0, 4)])


def test_mixed_precision_trains_single_precision_weights() -> None:
    config = PlainConfig(optimizer=SGD)
    torch.manual_seed(0)
    stage = config.build(Dummy(DummyConfig()), context=3)
    it = Trainer(launch(replace(OPTIONS, precision="bf16-mixed")), stage, "it", seed=3)
    single = trainer(config).step([clips(0, 4)])["total"]
    mixed = it.step([clips(0, 4)])["total"]
    assert mixed != single
    assert mixed == pytest.approx(single, rel=0.02)
    assert stage.model.encoder.weight.dtype == torch.float32


def test_a_phase_without_parameters_is_refused() -> None:
    class Nothing(Plain):
        def parameters_of(self, phase: str) -> list[torch.nn.Parameter]:
            return []

    with pytest.raises(TrainingError, match="no parameters to train"):
        Trainer(launch(OPTIONS), Nothing(PlainConfig(), Dummy(DummyConfig()), 3), "it", 0)


def test_weights_that_are_not_finite_are_not_saved() -> None:
    it = trainer(PlainConfig())
    it.check_weights()
    with torch.no_grad():
        it.stage.model.decoder.bias[1] = float("inf")
    with pytest.raises(TrainingError, match=r"step 0: model\.decoder\.bias is not finite"):
        it.check_weights()
