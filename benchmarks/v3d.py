"""V3D-ConvLSTM beside the naive implementation: a training step and predictions at a paper's size.

The naive one has the same weights in other modules: a convolution for every gate and every head,
frames made three, decoded maps really enlarged. It takes one window at a time, encodes what is
input and target twice, and the context once for every sample. Before they are timed in turns both
are checked to give the same, gradients included: a narrow network in double precision, and while
they are timed the predictions. Floating-point operations are those of the convolutions.

    OMP_NUM_THREADS=1 python benchmarks/v3d.py [--only true] [--side 64] [--batch 1]
"""

import argparse
import time
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from framecast import registry
from framecast.clip import Clip
from framecast.layers.recurrent.convlstm import ConvLSTMState, ConvLSTMUnit
from framecast.layers.resnet3d import Decoder3d, LargerConv3d
from framecast.models.v3d_convlstm.latent import (
    LARGEST,
    SMALLEST,
    Gaussian,
    GaussianMaps,
    LatentWeights,
    joined,
    latent_loss,
)
from framecast.models.v3d_convlstm.model import V3DConvLSTM, V3DConvLSTMConfig
from framecast.models.v3d_convlstm.stages import Training, TrainingConfig
from framecast.models.v3d_convlstm.unroll import noise_shape
from framecast.noise import Noise
from framecast.schedules import constant
from timing import product_rate

CONTEXT, HORIZON = 10, 10
LAYOUT = torch.channels_last_3d
WEIGHT = 1e-3
"""λ_latent."""
CHECKED = 16
"""Height and width where results are compared in double precision."""


# ---- the naive implementation


def convolution(weight: Tensor, bias: Tensor | None) -> nn.Conv3d:
    """One of these weights that keeps the size."""
    outputs, inputs, *size = weight.shape
    made = nn.Conv3d(inputs, outputs, size, padding=[n // 2 for n in size], bias=bias is not None)
    made.weight = nn.Parameter(weight.detach().clone())
    if bias is not None:
        made.bias = nn.Parameter(bias.detach().clone())
    return made


def parts(weight: Tensor, bias: Tensor, count: int) -> nn.ModuleList:
    """What was one convolution, in so many."""
    pairs = zip(weight.chunk(count), bias.chunk(count), strict=True)
    return nn.ModuleList(convolution(*pair) for pair in pairs)


class Gates(nn.Module):
    """A ConvLSTM, each gate of which is a convolution of all that it sees."""

    def __init__(self, unit: ConvLSTMUnit) -> None:
        super().__init__()
        kernels = [unit.get_parameter(f"from_{part}.weight") for part in ("input", "hidden")]
        self.gates = parts(torch.cat(kernels, 1), unit.get_parameter("from_hidden.bias"), 4)

    def forward(self, x: Tensor, state: ConvLSTMState) -> ConvLSTMState:
        seen = torch.cat([x, state.hidden], 1)
        enter, forget, new, leave = (gate(seen) for gate in self.gates)
        cell = forget.sigmoid() * state.cell + enter.sigmoid() * new.tanh()
        return ConvLSTMState(leave.sigmoid() * cell.tanh(), cell)


class Heads(nn.Module):
    """Prior or posterior: a convolution for μ, and one for σ."""

    def __init__(self, part: GaussianMaps) -> None:
        super().__init__()
        self.trunk = convolution(part.trunk.weight, part.trunk.bias)
        self.heads = parts(part.heads.weight, part.get_parameter("heads.bias"), 2)

    def forward(self, *seen: Tensor) -> Gaussian:
        trunk = self.trunk(torch.cat(seen, 1)).relu()
        mean, spread = (head(trunk) for head in self.heads)
        return Gaussian(mean, functional.softplus(spread).clamp(SMALLEST, LARGEST))


def enlarging(decoder: Decoder3d) -> Decoder3d:
    """The same decoder, whose maps are made larger before anything is multiplied."""
    decoder, block = deepcopy(decoder), deepcopy(decoder.wide[0])
    times, block.times = block.times, (1, 1, 1)
    larger, output = block.conv1, decoder.output
    assert isinstance(larger, LargerConv3d)
    block.conv1 = convolution(larger.weight, None)
    decoder.wide[0] = nn.Sequential(nn.Upsample(scale_factor=times), block)
    decoder.output = nn.Sequential(
        nn.Upsample(scale_factor=output.times), convolution(output.weight, output.bias)
    )
    return decoder


@dataclass
class Memory:
    """What goes from step to step."""

    states: list[ConvLSTMState]
    z: Tensor


class Naive(nn.Module):
    """A V3D-ConvLSTM of H = 1 with the weights of another, one window at a time."""

    def __init__(self, model: V3DConvLSTM) -> None:
        super().__init__()
        self.config = model.config
        self.encoder = deepcopy(model.encoder)
        self.layers = nn.ModuleList(Gates(unit) for unit in model.convlstm)
        self.prior, self.posterior = Heads(model.prior), Heads(model.posterior)
        self.decoder = enlarging(model.decoder)

    def encode(self, window: list[Tensor]) -> Tensor:
        """Of M frames `b 1 h w`, made three."""
        return self.encoder(torch.stack(window, 2).repeat(1, 3, 1, 1, 1))

    def listen(self, window: list[Tensor], memory: Memory | None) -> list[ConvLSTMState]:
        """h_t and c_t of all layers."""
        features = self.encode(window)
        rows, _, *size = features.shape
        if memory is None:
            nothing = features.new_zeros(rows, self.config.hidden, *size)
            z = features.new_zeros(rows, self.config.latent, *size)
            memory = Memory([ConvLSTMState(nothing, nothing)] * len(self.layers), z)
        x, states = torch.cat([features, memory.z], 1), list[ConvLSTMState]()
        for layer, state in zip(self.layers, memory.states, strict=True):
            states.append(layer(x, state))
            x = states[-1].hidden
        return states

    def decode(self, memory: Memory) -> Tensor:
        """The window one frame later, b c m h w."""
        return self.decoder(torch.cat([memory.states[-1].hidden, memory.z], 1))

    def predict(self, context: Tensor, noises: list[Tensor] | None) -> Tensor:
        """Frames b t c h w after those of the context; each sample is a row of its own."""
        film, memory, size = [*context.unbind(1)], None, self.config.window
        for step in range(CONTEXT - size + HORIZON):
            states = self.listen(film[step : step + size], memory)
            noise = None if noises is None else noises[step]
            memory = Memory(states, self.prior(states[-1].hidden).drawn(noise))
            if step + size == len(film):
                film.append(self.decode(memory)[:, :, -1])
        return torch.stack(film[CONTEXT:], 1)

    def loss(self, frames: Tensor, noises: Tensor, forced: bool) -> Tensor:
        """Eq 7 of a clip, with every frame of the horizon fed back as it was, or as predicted."""
        size, memory, errors = self.config.window, None, list[Tensor]()
        film, true = [*frames[:, :CONTEXT].unbind(1)], frames.unbind(1)
        priors, posteriors = list[Gaussian](), list[Gaussian]()
        for step, noise in enumerate(noises):
            end = step + size
            states = self.listen(film[step:end], memory)
            target = true[step + 1 : end + 1]
            priors.append(self.prior(states[-1].hidden))
            posteriors.append(self.posterior(states[-1].hidden, self.encode([*target])))
            memory = Memory(states, posteriors[-1].drawn(noise))
            window = self.decode(memory)
            gap = window - torch.stack(target, 2)
            errors.append((gap.square() + gap.abs()).mean())
            if end == len(film):
                film.append(true[end] if forced else window[:, :, -1])
        latent = latent_loss(joined(posteriors), joined(priors), "paper", LatentWeights())
        return torch.stack(errors).mean() + WEIGHT * latent


# ---- what is timed


PUBLISHED = registry.find("presets", "v3d-convlstm/moving-mnist")().model
NARROW = replace(PUBLISHED, width=4, hidden=6, latent=3, trunk=5)


class Pair:
    """Both implementations, and the same work for each."""

    def __init__(
        self,
        options: argparse.Namespace,
        side: int,
        config: V3DConvLSTMConfig = PUBLISHED,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """Make both with new weights, and clips of random frames."""
        torch.manual_seed(0)
        self.model = V3DConvLSTM(config).to(dtype).eval()
        self.naive = Naive(self.model).to(dtype).eval()
        shape = options.batch, CONTEXT + HORIZON, 1, side, side
        self.frames, self.samples = torch.rand(shape).to(dtype), options.samples

    def stage(self, forced: bool) -> Training:
        """The stage, with a probability of 1 or 0 to feed true frames back."""
        schedule = constant(float(forced))
        config = TrainingConfig(teacher_forcing=schedule, latent_weight=constant(WEIGHT))
        stage = config.build(self.model, CONTEXT)
        assert isinstance(stage, Training)
        return stage

    def train(self, forced: bool) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
        """A step forward and backward of each; they give the loss."""
        stage = self.stage(forced)
        torch.manual_seed(2)
        torch.rand(len(self.frames), HORIZON)
        noises = torch.randn(noise_shape(self.model, self.frames, CONTEXT)).to(self.frames)

        def ours() -> Tensor:
            torch.manual_seed(2)
            self.model.zero_grad()
            loss = stage("main", Clip(self.frames), 0)["total"]
            loss.backward()
            return loss.detach()

        def naive() -> Tensor:
            self.naive.zero_grad()
            loss = self.naive.loss(self.frames, noises, forced)
            loss.backward()
            return loss.detach()

        return ours, naive

    def predict(self, samples: int | None) -> tuple[Callable[[], Tensor], Callable[[], Tensor]]:
        """Predictions of each, s b t c h w."""
        context, count = self.frames[:, :CONTEXT], samples or 1
        noise = Noise.of(0, range(len(context)), count)
        shape = self.model.config.latent, *self.model.cells(*context.shape[-2:])
        steps = range(CONTEXT - self.model.config.window + HORIZON)
        drawn = [noise.normal(*shape).flatten(0, 1).to(context) for _ in steps]

        def ours() -> Tensor:
            return self.model.predict(context, HORIZON, samples=samples).unclipped

        def naive() -> Tensor:
            with torch.no_grad():
                rows = context.repeat(count, 1, 1, 1, 1)
                found = self.naive.predict(rows, drawn if samples else None)
            return found.unflatten(0, (count, -1))

        return ours, naive

    def rows(self, only: str) -> dict[str, tuple[Callable[[], Tensor], ...]]:
        """What there is to do, by names that have a word in them."""
        batch, count = len(self.frames), self.samples
        makers = {
            f"training, batch {batch}, true frames": lambda: self.train(True),
            f"training, batch {batch}, predictions": lambda: self.train(False),
            f"prediction, batch {batch}": lambda: self.predict(None),
            f"prediction, batch {batch} × {count} samples": lambda: self.predict(count),
        }
        return {name: make() for name, make in makers.items() if only in name}


def check(options: argparse.Namespace) -> None:
    """See that both give the same."""
    near: dict[str, Any] = {"rtol": 1e-9, "atol": 1e-10}
    pair = Pair(options, CHECKED, NARROW, torch.float64)
    for name, (ours, naive) in pair.rows(options.only).items():
        torch.testing.assert_close(ours(), naive(), **near)
        if name.startswith("training"):
            alike(pair, near)


def alike(pair: Pair, near: dict[str, Any]) -> None:
    """The gradients that reach the encoder, and those of the decoder's first half, are the same."""
    for part in ("encoder", "decoder.deep"):
        ours, naive = (each.get_submodule(part) for each in (pair.model, pair.naive))
        for one, other in zip(ours.parameters(), naive.parameters(), strict=True):
            assert one.grad is not None
            assert one.grad.any()
            torch.testing.assert_close(one.grad, other.grad, **near)


@dataclass(frozen=True)
class Run:
    """What something took."""

    cpu: float  # seconds of the processor, summed over threads
    wall: float  # seconds
    work: float  # floating-point operations
    result: Tensor

    @classmethod
    def of(cls, work: Callable[[], Tensor]) -> "Run":
        """One run."""
        wall, cpu = time.perf_counter(), time.process_time()
        with FlopCounterMode(display=False) as counter:
            result = work()
        spent = time.process_time() - cpu, time.perf_counter() - wall
        return cls(*spent, counter.get_total_flops(), result)


def in_turns(works: tuple[Callable[[], Tensor], ...], rounds: int) -> list[Run]:
    """The best of some rounds, in which every one has its turn."""
    turns = [[Run.of(work) for work in works] for _ in range(rounds)]
    return [min(runs, key=lambda run: run.cpu) for runs in zip(*turns, strict=True)]


def table(options: argparse.Namespace) -> None:
    """Check, time and print."""
    check(options)
    rate = 2 * product_rate()
    print(f"matrix product: {rate / 1e9:.1f} GFLOP/s; frames of {options.side}×{options.side}")
    print(f"{'':34}{'GFLOP':>9}{'cpu s':>9}{'wall s':>9}{'GFLOP/s':>9}{'of product':>12}")
    pair = Pair(options, options.side)
    for name, both in pair.rows(options.only).items():
        training = name.startswith("training")
        for network in (pair.model, pair.naive):
            network.train(training)
        ours, naive = runs = in_turns(both, options.rounds)
        if not training:
            torch.testing.assert_close(ours.result, naive.result, rtol=1e-3, atol=1e-4)
        print(name)
        for title, run in zip(("Framecast", "naive"), runs, strict=True):
            achieved = run.work / run.cpu
            print(
                f"  {title:32}{run.work / 1e9:9.0f}{run.cpu:9.2f}{run.wall:9.2f}"
                f"{achieved / 1e9:9.1f}{achieved / rate:12.0%}"
            )
        print(
            f"  {'naive / Framecast':32}{naive.work / ours.work:9.2f}"
            f"{naive.cpu / ours.cpu:9.2f}{naive.wall / ours.wall:9.2f}",
            flush=True,
        )


def layouts(options: argparse.Namespace) -> None:
    """Whether channels last gain anything in a training step."""
    plain, last = (Pair(options, options.side) for _ in range(2))
    for pair in (plain, last):
        pair.model.train()
    last.model.to(memory_format=LAYOUT)
    both = tuple(pair.train(True)[0] for pair in (plain, last))
    without, channels_last = in_turns(both, options.rounds)
    print(
        f"channels last, training step: {channels_last.cpu / without.cpu:.2f} of the processor "
        f"time ({channels_last.cpu:.2f} s, {without.cpu:.2f} s without)"
    )


def main() -> None:
    """Read the arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="", metavar="WORD", help="rows with this in their name")
    parser.add_argument("--layouts", action="store_true", help="channels last alone")
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--samples", type=int, default=4)
    parser.add_argument("--side", type=int, default=64, help="height and width of frames")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    (layouts if options.layouts else table)(options)


if __name__ == "__main__":
    main()
