"""What the base class does for every model, seen through a model that shows what it was given."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from framecast.clip import Clip
from framecast.errors import ConfigError, FramecastError
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step, pad_to_multiple
from framecast.noise import Noise
from framecast.stage import Stage, StageConfig


@dataclass(frozen=True)
class EchoConfig(ModelConfig):
    """What the echo says that it expects."""

    type: ClassVar[str] = "echo"
    spec: FrameSpec = FrameSpec(channels=3, multiple_of=4, context_min=2, context_max=3)


@dataclass(frozen=True)
class EchoOptions(Options):
    """Scale of the noise."""

    scale: float = 1.0


class Echo(Model):
    """Hands its context back, frame by frame, with noise when samples are asked for."""

    config_type = EchoConfig
    options_type = EchoOptions

    @property
    def expects(self) -> FrameSpec:
        return self.config.spec

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        self.given = context.frames
        for t in range(horizon):
            frame = context.frames[:, t % context.length]
            draws = noise.normal(*frame.shape[1:]) * options.scale * (samples is not None)
            yield Step(frame + draws, draws.sum((2, 3, 4)))

    def teacher_forced(self, clip: Clip):
        return clip.frames[:, :-1]


def echo(**spec) -> Echo:
    """An echo that expects something."""
    return Echo(EchoConfig(FrameSpec(**{"channels": None, **spec})))


def test_gray_frames_become_colour_and_come_back():
    """One channel is replicated to three, and the three are averaged."""
    model = Echo(EchoConfig())
    context = torch.rand(2, 3, 1, 8, 8)
    out = model.predict(context, 2)
    assert model.given.shape == (2, 3, 3, 8, 8)
    torch.testing.assert_close(out.frames[0], context[:, :2])
    sample = model.predict(context, 1, samples=1, seed=4).unclipped
    noise = Noise.of(4, [0, 1], 1).normal(3, 8, 8).mean(2, keepdim=True)
    torch.testing.assert_close(sample[:, :, 0], context[None, :, 0] + noise)


def test_frames_are_padded_and_cropped():
    """The network sees multiples, the caller its own size."""
    model = echo(multiple_of=8)
    context = torch.rand(1, 2, 1, 9, 13)
    out = model.predict(context, 2)
    assert model.given.shape[-2:] == (16, 16)
    assert torch.equal(out.frames[0], context)


def test_the_last_frames_of_a_long_context_are_kept():
    """No more than `context_max`, no fewer than `context_min`."""
    model = echo(context_min=2, context_max=3)
    context = torch.rand(1, 7, 1, 4, 4)
    model.predict(context, 1)
    assert torch.equal(model.given, context[:, -3:])
    with pytest.raises(FramecastError, match="at least 2 context frames, got 1"):
        model.predict(context[:, :1], 1)


WRONG = {
    "torch.zeros(1, 2, 1, 4, 4, dtype=torch.uint8), 1": "got torch.uint8; divide by 255",
    "torch.zeros(1, 2, 1, 4, 4).double(), 1": "weights of torch.float32, got frames of",
    "torch.zeros(1, 2, 1, 4, 4).numpy(), 1": "expects a torch tensor b t c h w in [0, 1], got nda",
    "torch.zeros(1, 2, 1, 4, 4, device='meta'), 1": "is on cpu, got frames on meta; move one",
    "torch.zeros(0, 2, 1, 4, 4), 1": "got the shape (0, 2, 1, 4, 4)",
    "torch.zeros(1, 2, 1, 0, 4), 1": "got the shape (1, 2, 1, 0, 4)",
    "torch.zeros(2, 1, 4, 4), 1": "expects frames as b t c h w, got the shape (2, 1, 4, 4)",
    "torch.full((1, 2, 1, 4, 4), 255.0), 1": "expects frames in [0, 1], got up to 255; divide",
    "torch.full((1, 2, 1, 4, 4), torch.nan), 1": "got values that are not finite",
    "torch.full((1, 2, 1, 4, 4), -torch.inf), 1": "got values that are not finite",
    "torch.zeros(1, 2, 1, 4, 4), 2.0": "at least 1 frame, as a whole number, got 2.0",
    "torch.zeros(1, 2, 1, 4, 4), 0": "at least 1 frame, as a whole number, got 0",
    "torch.zeros(1, 2, 1, 4, 4), 1, samples=1.5": "samples is at least 1, as a whole number",
}


def test_wrong_frames_and_numbers_are_one_line() -> None:
    """Without the types' own checks, which hold in tests alone."""
    script = (
        "import sys, torch\nfrom framecast.errors import FramecastError\n"
        "from framecast.models.convlstm import ConvLSTM, ConvLSTMConfig\n"
        "model = ConvLSTM(ConvLSTMConfig(hidden=(2,), kernel=3, patch=2))\n"
        f"for words in {list(WRONG)}:\n"
        "    try:\n        eval(f'model.predict({words})')\n"
        "    except FramecastError as error:\n        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    said = done.stdout.splitlines()
    assert len(said) == len(WRONG), done.stderr
    for line, expected in zip(said, WRONG.values(), strict=True):
        assert expected in line


def test_size_and_options_are_checked():
    """A fixed size, and options of the model's own kind."""
    with pytest.raises(FramecastError, match="expects frames of 8x8, got 4x4"):
        echo(size=(8, 8)).predict(torch.rand(1, 1, 1, 4, 4), 1)
    with pytest.raises(FramecastError, match="expects EchoOptions, got Options"):
        echo().predict(torch.rand(1, 1, 1, 4, 4), 1, options=Options())


def test_options_reach_the_rollout():
    """Noise of another scale gives another future."""
    context = torch.zeros(1, 1, 1, 4, 4)
    one = echo().predict(context, 1, samples=2, options=EchoOptions(scale=1.0)).unclipped
    half = echo().predict(context, 1, samples=2, options=EchoOptions(scale=0.5)).unclipped
    torch.testing.assert_close(half, one / 2)


def test_log_probabilities_are_stacked_over_time():
    """`s b t`, as the steps gave them."""
    out = echo().predict(torch.zeros(2, 1, 1, 4, 4), 3, samples=2)
    torch.testing.assert_close(out.log_prob, out.unclipped.sum((3, 4, 5)))


def test_streaming_keeps_nothing():
    """Frames come one by one, before later ones exist."""
    steps = echo().stream(torch.rand(1, 1, 1, 4, 4), 10**12)
    assert next(steps).frame.shape == (1, 1, 1, 4, 4)


def test_predictions_carry_no_gradient():
    """Neither a prediction nor a stream, whatever the caller's mode."""
    model = echo()
    model.weight = torch.nn.Parameter(torch.ones(1))
    context = torch.rand(1, 1, 1, 4, 4, requires_grad=True)
    assert not model.predict(context, 1).unclipped.requires_grad
    next(model.stream(context, 1))
    assert torch.is_grad_enabled()


@given(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9))
def test_padding_reflects(height, width, multiple):
    """Row by row and column by column, the mirror image, also when the padding is longer."""
    frames = torch.rand(2, 3, height, width)
    padded = pad_to_multiple(frames, multiple)
    rows, columns = padded.shape[-2:]
    assert rows % multiple == 0
    assert columns % multiple == 0
    assert rows - height < multiple
    assert columns - width < multiple
    for y in range(rows):
        for x in range(columns):
            expected = frames[..., mirror(y, height), mirror(x, width)]
            assert torch.equal(padded[..., y, x], expected)


def mirror(position: int, length: int) -> int:
    """Where a position lies when a line is folded at both ends."""
    if length == 1:
        return 0
    period = 2 * (length - 1)
    folded = position % period
    return min(folded, period - folded)


class HalfFrozen(Stage):
    """Trains its second half only."""

    def __init__(self) -> None:
        model = echo()
        model.first, model.second = torch.nn.Dropout(0.5), torch.nn.Linear(2, 2)
        model.fixed = torch.nn.BatchNorm1d(2)
        super().__init__(StageConfig(), model, 1)

    def frozen(self):
        return [self.model.fixed]


def test_frozen_modules_stay_in_evaluation_mode():
    """Also when training is switched on; their parameters are not trained."""
    stage = HalfFrozen().train()
    assert stage.model.first.training
    assert not stage.model.fixed.training
    assert {id(p) for p in stage.parameters_of("main")} == {
        id(p) for p in stage.model.second.parameters()
    }


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"steps": 0}, "steps is at least 1"),
        ({"batch": 6, "accumulate": 4}, "cannot be split into 4"),
        ({"ema": 1.0}, "between 0 and 1"),
    ],
)
def test_stage_contradictions(fields, message):
    """Numbers that make no training are refused."""
    with pytest.raises(ConfigError, match=message):
        StageConfig(**fields)
