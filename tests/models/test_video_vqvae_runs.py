"""Whole trainings of a small Video VQ-VAE, and what they keep in memory."""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from tiny_video_vqvae import BOTTOM, TOP, clips, tiny
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

import framecast
from contract.dummy import Dots
from framecast.experiment import Experiment
from framecast.models.video_vqvae.autoencoder import AutoencoderConfig
from framecast.models.video_vqvae.model import VideoVQVAE, VideoVQVAEConfig
from framecast.models.video_vqvae.stages import (
    AutoencoderStage,
    AutoencoderTraining,
    BlockCoder,
    BottomStage,
    BottomTraining,
    TopStage,
    TopTraining,
)
from framecast.stage import Stage
from framecast.training import train
from framecast.training.trainer import Trainer
from training.dummy_runs import OFTEN, OPTIONS, traces

# sizes that no other test's tensors have
ENCODER = AutoencoderConfig(hidden=13, residual=3, blocks=1, stride=2)
MODEL = VideoVQVAEConfig(
    channels=1,
    codewords=11,
    width=3,
    future=4,
    autoencoder=ENCODER,
    top=replace(TOP, hidden=14, residual=6),
    bottom=replace(BOTTOM, hidden=22, residual=10),
)
PARTS: dict[str, Callable[[VideoVQVAE], nn.Parameter]] = {
    "autoencoder": lambda model: model.autoencoder.second[0].weight,
    "top": lambda model: model.top.conditioning.down.weight,
    "bottom": lambda model: model.bottom.conditioning.join.weight,
}
"""A weight of each part, of a shape that no other has."""


def experiment(data: Dots | None = None, steps: int = 5) -> Experiment:
    """Three stages, validated and kept after every second step."""
    fields: dict[str, Any] = {"steps": steps, "batch": 4, **OFTEN}
    stages = {
        "autoencoder": AutoencoderTraining(**fields),
        "top": TopTraining(**fields),
        "bottom": BottomTraining(**{**fields, "sample_every": 3}),
    }
    return Experiment(MODEL, data or Dots(clips=6), context=4, horizon=4, stages=stages)


def copies(model: VideoVQVAE) -> dict[str, int]:
    """Of each part, how many tensors of its weight's shape have memory of their own."""
    gc.collect()
    kinds = (Tensor, nn.Parameter)
    alive = [x for x in gc.get_objects() if type(x) in kinds]
    found = {}
    for name, of in PARTS.items():
        alike = [x for x in alive if x.shape == of(model).shape]
        found[name] = len({x.untyped_storage().data_ptr() for x in alike})
    return found


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch, after: int) -> Iterator[dict[str, dict[str, int]]]:
    """Copies of each part after a step of each stage."""
    found: dict[str, dict[str, int]] = {}
    real = Trainer.step

    def step(self: Trainer, micros: list) -> dict[str, float]:
        values = real(self, micros)
        if self.done == after:
            found[self.name] = copies(self.stage.model)
        return values

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", step)
        yield found


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRAMECAST_CACHE", str(tmp_path / "cache"))


def test_what_a_stage_does_not_train_is_there_once(tmp_path: Path, monkeypatch) -> None:
    """Neither the stage before nor the weights that are kept hold it a second time."""
    with counted(monkeypatch, after=5) as found:
        train(experiment(), tmp_path / "run", options=OPTIONS)
    # of what learns: the weights, two moments of Adam, and a copy of the best weights
    once = dict.fromkeys(PARTS, 1)
    assert found == {name: {**once, name: 4} for name in PARTS}
    model = framecast.load(tmp_path / "run")
    assert isinstance(model, VideoVQVAE)
    assert model.predict(torch.rand(1, 4, 1, 4, 4), 4).frames.isfinite().all()


def test_going_on_holds_no_more_and_ends_alike(tmp_path: Path, monkeypatch) -> None:
    """From a checkpoint amid the last stage, bit for bit."""
    whole, run = tmp_path / "whole", tmp_path / "run"
    train(experiment(), whole, options=OPTIONS)
    real = Trainer.step

    def step(self: Trainer, micros: list) -> dict[str, float]:
        values = real(self, micros)
        if self.name == "bottom" and self.done == 3:
            raise KeyboardInterrupt
        return values

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "step", step)
        with pytest.raises(KeyboardInterrupt):
            train(experiment(), run, options=OPTIONS)
    with counted(monkeypatch, after=3) as found:
        train(experiment(), run, resume=True, options=OPTIONS)
    assert found == {"bottom": {"autoencoder": 1, "top": 1, "bottom": 4}}
    expected, got = traces(whole), traces(run)
    assert any(name.startswith("stages/bottom/") for name in expected)
    assert {name: got.get(name) for name in expected} == expected


def test_stages_hand_on_what_they_leave_alone(tmp_path: Path) -> None:
    """Bit for bit from the first stage to the trained model."""
    train(experiment(steps=3), tmp_path, options=OPTIONS)
    first, second = (framecast.load(tmp_path / "stages" / name) for name in ("autoencoder", "top"))
    last = framecast.load(tmp_path)
    for name, tensor in last.state_dict().items():
        before = second if name.startswith("top.") else first
        same = torch.equal(before.state_dict()[name], tensor)
        assert same or name.startswith("bottom."), name
    assert not torch.equal(*(PARTS["bottom"](m) for m in (first, last)))  # pyright: ignore


# ---- the device


def idle_of(stage: Stage) -> set[str]:
    """Parts that rest."""
    model = stage.model
    return {name for name in PARTS if getattr(model, name) in stage.idle()}


def stages_of(model: VideoVQVAE) -> dict[str, Stage]:
    return {
        "autoencoder": AutoencoderStage(AutoencoderTraining(), model, 4),
        "top": TopStage(TopTraining(), model, 4),
        "bottom": BottomStage(BottomTraining(), model, 4),
    }


def test_what_rests() -> None:
    """All but the part that learns; the autoencoder stays where clips are encoded as they come."""
    for name, stage in stages_of(tiny()).items():
        for fixed in (True, False):
            stage.source(Dots(fixed=fixed, clips=2).source("train", 8, 0))
            needed = {name} if fixed else {name, "autoencoder"}
            assert idle_of(stage) == set(PARTS) - needed, (name, fixed)


@pytest.mark.parametrize("name", PARTS)
def test_nothing_that_rests_is_needed(name: str) -> None:
    """Steps and validation are the same where it is nowhere."""
    model, clip = tiny(), clips()
    batch = clip if name == "autoencoder" else BlockCoder(model).encode(clip)
    stage = stages_of(model)[name].eval()

    def results() -> list[dict[str, Tensor]]:
        torch.manual_seed(0)
        with torch.no_grad():
            return [stage("main", batch, 0), stage.validate(batch)]

    expected = results()
    for part in stage.idle():
        part.to("meta")
    torch.testing.assert_close(results(), expected)


class Moves(TorchFunctionMode):
    """Notes which tensors are sent where."""

    def __init__(self) -> None:
        super().__init__()
        self.sent: dict[str, set[int]] = {}

    def __torch_function__(self, func, types, args=(), kwargs=None):
        if func in (Tensor.cpu, Tensor.to):
            place = "cpu" if func is Tensor.cpu else str(args[1])
            self.sent.setdefault(place, set()).add(args[0].data_ptr())
        return func(*args, **(kwargs or {}))


def test_the_trainer_moves_what_rests_and_nothing_else() -> None:
    """To the CPU, to the device for a while, and back to the same memory."""
    model = tiny()
    trainer = Trainer(Fabric(accelerator="cpu"), stages_of(model)["top"], "top", 0)
    idle = {p.data_ptr() for part in (model.autoencoder, model.bottom) for p in part.parameters()}
    with Moves() as moves:
        trainer.rest()
    assert moves.sent == {"cpu": idle}
    with Moves() as moves, trainer.whole():
        pass
    assert moves.sent == {"cpu": idle}  # the name of the device
    assert {p.data_ptr() for p in model.autoencoder.parameters()} < idle


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_the_device_holds_what_learns_alone() -> None:
    model = tiny()
    stage = stages_of(model)["top"]
    trainer = Trainer(Fabric(accelerator="cuda", devices=1), stage, "top", 0)
    before = torch.cuda.memory_allocated()
    trainer.rest()
    devices = {
        name: {p.device.type for p in part.parameters()} for name, part in model.named_children()
    }
    assert devices == {"autoencoder": {"cpu"}, "top": {"cuda"}, "bottom": {"cpu"}}
    assert before - torch.cuda.memory_allocated() >= 4 * sum(t.numel() for t in trainer.idle())
    places = [tensor.data_ptr() for tensor in trainer.idle()]
    with trainer.whole():
        assert {tensor.device.type for tensor in trainer.idle()} == {"cuda"}
    assert [tensor.data_ptr() for tensor in trainer.idle()] == places
