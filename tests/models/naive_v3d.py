"""V3D-ConvLSTM once more, written from the paper's equations: every window, step and gate alone.

Windows are cut and encoded one after the other, each gate is one convolution of everything that it
sees, gray frames are made three, and nothing is kept from one window for the next but what the
equations carry. Nothing is taken from the package but names of weights, in ``read``.

Maps are ``n c t h w``, frames ``b t c h w``.
"""

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]
EPS = 1e-5
SMALLEST, LARGEST = 1e-2, 10.0
GATES = ("in", "forget", "new", "out")


@dataclass(frozen=True)
class Settings:
    """What Section 3.3 leaves to choose."""

    window: int = 4  # M
    advance: int = 1  # H of the output
    depth: int = 3  # temporal size of the kernels; 1 is the 2-D network
    layers: int = 2
    latent: int = 16
    separate: bool = False  # the posterior's own encoder


@dataclass
class Step:
    """What happened at one step of the recursion."""

    start: int  # of the input window
    hidden: Tensor  # of the top ConvLSTM
    prior: tuple[Tensor, Tensor] | None  # μ, σ
    posterior: tuple[Tensor, Tensor] | None
    z: Tensor | None
    decoded: Tensor  # b M c h w


@dataclass
class Memory:
    """All that goes from one step to the next: (h, c) of each layer, and z."""

    states: list[tuple[Tensor, Tensor]] = field(default_factory=list)
    z: Tensor | None = None


# --- networks -------------------------------------------------------------------------------------


def convolved(x: Tensor, weights: Weights, name: str, stride: tuple[int, int, int]) -> Tensor:
    """A convolution that keeps the size but for its stride; a bias where there is one."""
    kernel = weights[f"{name}.w"]
    padding = [size // 2 for size in kernel.shape[2:]]
    return functional.conv3d(x, kernel, weights.get(f"{name}.b"), stride=stride, padding=padding)


def normalised(x: Tensor, weights: Weights, name: str, by_batch: bool) -> Tensor:
    """Batch normalisation: by the batch in training, otherwise by running statistics."""
    columns = (None, slice(None), None, None, None)
    mean, variance = weights[f"{name}.mean"], weights[f"{name}.variance"]
    if by_batch:
        count = x.numel() / x.shape[1]
        mean = x.sum((0, 2, 3, 4)) / count
        variance = (x - mean[columns]).square().sum((0, 2, 3, 4)) / count
    scaled = (x - mean[columns]) / torch.sqrt(variance[columns] + EPS)
    return scaled * weights[f"{name}.gain"][columns] + weights[f"{name}.shift"][columns]


def relu(x: Tensor) -> Tensor:
    """What is above zero."""
    return torch.where(x > 0, x, torch.zeros_like(x))


def encode(windows: Tensor, weights: Weights, name: str, depth: int, by_batch: bool) -> Tensor:
    """The 3-D ResNet-18 up to its second layer, of windows ``n M c h w``."""
    if windows.shape[2] == 1:
        windows = torch.cat([windows, windows, windows], 2)
    x = windows.transpose(1, 2)
    x = convolved(x, weights, f"{name}.stem", (1, 2, 2))
    x = relu(normalised(x, weights, f"{name}.stem", by_batch))
    for layer in (1, 2):
        for block in (0, 1):
            part = f"{name}.layer{layer}.{block}"
            halved = layer == 2 and block == 0
            stride = (2 if depth > 1 else 1, 2, 2) if halved else (1, 1, 1)
            y = convolved(x, weights, f"{part}.first", stride)
            y = relu(normalised(y, weights, f"{part}.first", by_batch))
            y = convolved(y, weights, f"{part}.second", (1, 1, 1))
            y = normalised(y, weights, f"{part}.second", by_batch)
            if halved:
                x = convolved(x, weights, f"{part}.skip", stride)
                x = normalised(x, weights, f"{part}.skip", by_batch)
            x = relu(x + y)
    return x


def doubled(x: Tensor, axes: tuple[int, ...]) -> Tensor:
    """Every element of each axis, twice in a row."""
    for axis in axes:
        slices = [part for part in x.split(1, axis) for _ in range(2)]
        x = torch.cat(slices, axis)
    return x


def decode(x: Tensor, weights: Weights, depth: int) -> Tensor:
    """The mirrored network, without normalisation: windows ``n M c h w``."""
    for block in range(4):
        if block == 2:
            x = doubled(x, (2, 3, 4) if depth > 1 else (3, 4))
        name = f"dec.{block}"
        y = relu(convolved(x, weights, f"{name}.first", (1, 1, 1)))
        y = convolved(y, weights, f"{name}.second", (1, 1, 1))
        if f"{name}.skip.w" in weights:  # where the channels are others
            x = convolved(x, weights, f"{name}.skip", (1, 1, 1))
        x = relu(x + y)
    x = doubled(x, (3, 4))
    return convolved(x, weights, "dec.out", (1, 1, 1)).transpose(1, 2)


def lstm(
    x: Tensor, state: tuple[Tensor, Tensor], weights: Weights, name: str
) -> tuple[Tensor, Tensor]:
    """A ConvLSTM without peepholes: the new (h, c)."""
    seen = torch.cat([x, state[0]], 1)
    enter, forget, new, leave = (
        convolved(seen, weights, f"{name}.{gate}", (1, 1, 1)) for gate in GATES
    )
    cell = torch.sigmoid(forget) * state[1] + torch.sigmoid(enter) * torch.tanh(new)
    return torch.sigmoid(leave) * torch.tanh(cell), cell


def gaussian(x: Tensor, weights: Weights, name: str) -> tuple[Tensor, Tensor]:
    """f_p and f_q: a trunk and two heads give μ and σ, which is kept within its bounds."""
    trunk = relu(convolved(x, weights, f"{name}.trunk", (1, 1, 1)))
    mean = convolved(trunk, weights, f"{name}.mean", (1, 1, 1))
    raw = convolved(trunk, weights, f"{name}.deviation", (1, 1, 1))
    deviation = torch.log1p(torch.exp(-raw.abs())) + relu(raw)
    deviation = torch.where(deviation < SMALLEST, torch.full_like(raw, SMALLEST), deviation)
    return mean, torch.where(deviation > LARGEST, torch.full_like(raw, LARGEST), deviation)


# --- one step -------------------------------------------------------------------------------------


def observe(encoded: Tensor, memory: Memory, weights: Weights, settings: Settings) -> Tensor:
    """Eq 6: the ConvLSTMs take [enc(x), z of the step before]; the top's h. Memory is updated."""
    n, _, t, h, w = encoded.shape
    x = encoded
    if settings.latent:
        before = encoded.new_zeros(n, settings.latent, t, h, w) if memory.z is None else memory.z
        x = torch.cat([encoded, before], 1)
    new = []
    for layer in range(settings.layers):
        name = f"lstm{layer}"
        if memory.states:
            state = memory.states[layer]
        else:
            hidden = len(weights[f"{name}.in.w"])
            state = (x.new_zeros(n, hidden, t, h, w), x.new_zeros(n, hidden, t, h, w))
        new.append(lstm(x, state, weights, name))
        x = new[-1][0]
    memory.states = new
    return x


def emit(hidden: Tensor, z: Tensor | None, weights: Weights, settings: Settings) -> Tensor:
    """Eq 5: the window of the step, moved on by ``advance``."""
    return decode(hidden if z is None else torch.cat([hidden, z], 1), weights, settings.depth)


def drawn(normal: tuple[Tensor, Tensor], noise: Tensor | None) -> Tensor:
    """Eqs 3 and 4; the mean without noise."""
    return normal[0] if noise is None else normal[0] + normal[1] * noise


# --- prediction -----------------------------------------------------------------------------------


def predict(
    context: Tensor,
    horizon: int,
    weights: Weights,
    settings: Settings,
    noises: list[Tensor] | None = None,
) -> tuple[Tensor, list[Step]]:
    """``horizon`` frames after the context, b t c h w, and all steps.

    ``noises`` are standard normal draws of z for each step from the first context window on; z is
    the prior's mean without them.
    """
    film = [context[:, time] for time in range(context.shape[1])]
    start = (len(film) - settings.window) % settings.advance
    memory, steps = Memory(), []
    while len(film) < context.shape[1] + horizon:
        window = torch.stack(film[start : start + settings.window], 1)
        assert window.shape[1] == settings.window
        encoded = encode(window, weights, "enc", settings.depth, by_batch=False)
        hidden = observe(encoded, memory, weights, settings)
        prior, z = None, None
        if settings.latent:
            prior = gaussian(hidden, weights, "prior")
            z = drawn(prior, None if noises is None else noises[len(steps)])
            memory.z = z
        decoded = emit(hidden, z, weights, settings)
        steps.append(Step(start, hidden, prior, None, z, decoded))
        if start + settings.window == len(film):
            film += [decoded[:, time] for time in range(-settings.advance, 0)]
        start += settings.advance
    return torch.stack(film[context.shape[1] :][:horizon], 1), steps


def teacher_forced(frames: Tensor, weights: Weights, settings: Settings) -> Tensor:
    """The frame after each one, as if those up to it were the context.

    Fewer than a window of them are filled up with the first one.
    """
    outputs = []
    for end in range(1, frames.shape[1]):
        seen = frames[:, :end]
        while seen.shape[1] < settings.window:
            seen = torch.cat([frames[:, :1], seen], 1)
        outputs.append(predict(seen, 1, weights, settings)[0])
    return torch.cat(outputs, 1)


# --- training -------------------------------------------------------------------------------------


def training_starts(length: int, context: int, settings: Settings) -> list[int]:
    """Where the input windows begin whose target windows lie in the clip."""
    first = (context - settings.window) % settings.advance
    last = length - settings.window - settings.advance
    return list(range(first, last + 1, settings.advance))


def unroll(
    frames: Tensor,
    context: int,
    weights: Weights,
    settings: Settings,
    forced: Tensor,
    noises: list[Tensor] | None,
    *,
    z_from: str = "posterior",
    by_batch: bool = False,
) -> list[Step]:
    """All steps of a clip in training.

    ``forced`` b horizon tells of each frame after the context whether it is seen as it truly was,
    or as it was handed out by the window before. ``noises`` are the draws of z of each step.
    """
    starts = training_starts(frames.shape[1], context, settings)
    size, advance = settings.window, settings.advance

    def cut(start: int) -> Tensor:
        return frames[:, start : start + size]

    def true(start: int) -> bool:
        inside = [time for time in range(start, start + size) if time >= context]
        return all(
            bool(forced[row, time - context]) for time in inside for row in range(len(frames))
        )

    def together(begins: list[int], name: str) -> dict[int, Tensor]:
        """Several windows in one batch, which matters to statistics of the batch alone."""
        if not by_batch:
            return {a: encode(cut(a), weights, name, settings.depth, False) for a in begins}
        batch = torch.cat([cut(a) for a in begins])
        encoded = encode(batch, weights, name, settings.depth, True).split(len(frames))
        return dict(zip(begins, encoded, strict=True))

    targets = [start + advance for start in starts]
    if settings.latent and not settings.separate:
        seen = ahead = together([*starts, targets[-1]], "enc")
    else:
        seen = together([start for start in starts if true(start)], "enc")
        ahead = together(targets, "after") if settings.latent else {}

    fed: dict[int, Tensor] = {time: frames[:, time] for time in range(context)}
    memory, steps = Memory(), []
    for number, start in enumerate(starts):
        if true(start):
            encoded = seen[start]
        else:
            window = torch.stack([fed[time] for time in range(start, start + size)], 1)
            encoded = encode(window, weights, "enc", settings.depth, by_batch)
        hidden = observe(encoded, memory, weights, settings)
        prior = posterior = z = None
        if settings.latent:
            prior = gaussian(hidden, weights, "prior")
            both = torch.cat([hidden, ahead[start + advance]], 1)
            posterior = gaussian(both, weights, "posterior")
            source = posterior if z_from == "posterior" else prior
            z = memory.z = drawn(source, None if noises is None else noises[number])
        decoded = emit(hidden, z, weights, settings)
        steps.append(Step(start, hidden, prior, posterior, z, decoded))
        for place in range(size - advance, size):
            time = start + advance + place
            if time < context:
                continue
            rows = []
            for row in range(len(frames)):
                told = bool(forced[row, time - context])
                rows.append(frames[row, time] if told else decoded[row, place])
            fed[time] = torch.stack(rows)
    return steps


# --- losses ---------------------------------------------------------------------------------------


Normal = tuple[Tensor, Tensor]


def eq_9(q: Normal, p: Normal) -> Tensor:
    """log σ_q − log σ_p + (σ_p² + (μ_p − μ_q)²) / 2σ_q² − 0.5, of each number."""
    gap = (p[0] - q[0]) ** 2
    return torch.log(q[1]) - torch.log(p[1]) + (p[1] ** 2 + gap) / (2 * q[1] ** 2) - 0.5


def eq_11(q: Normal, p: Normal) -> Tensor:
    """log σ_q + ((μ_p − μ_q) / σ_q)², of each number: as printed, without the half."""
    return torch.log(q[1]) + ((p[0] - q[0]) / q[1]) ** 2


def eq_13(
    q: Normal, p: Normal, coefficients: tuple[float, float, float, float] = (2.0, 1.0, 1.0, 3.0)
) -> Tensor:
    """2 log σ_q − log σ_p + (σ_p² + 3 (μ_p − μ_q)²) / 2σ_q² − 0.5, with any coefficients."""
    of_q, of_p, of_variance, of_gap = coefficients
    spread = of_variance * p[1] ** 2 + of_gap * (p[0] - q[0]) ** 2
    return of_q * torch.log(q[1]) - of_p * torch.log(p[1]) + spread / (2 * q[1] ** 2) - 0.5


def divergence(q: Normal, p: Normal) -> Tensor:
    """KL(q‖p) of normals, in nats, of each number: the integral of q (log q − log p)."""
    cross = torch.log(p[1]) + (q[1] ** 2 + (q[0] - p[0]) ** 2) / (2 * p[1] ** 2)
    entropy = torch.log(q[1]) + 0.5
    return cross - entropy


def likelihood(q: Normal, p: Normal) -> Tensor:
    """Eq 10: log N(μ_p; μ_q, σ_q), of each number."""
    squared = ((p[0] - q[0]) / q[1]) ** 2
    return -0.5 * squared - torch.log(q[1]) - 0.5 * math.log(2 * math.pi)


def latent_loss(
    kind: str,
    q: Normal,
    p: Normal,
    coefficients: tuple[float, float, float, float] = (2.0, 1.0, 1.0, 3.0),
) -> Tensor:
    """The latent loss of each number."""
    if kind == "paper":
        if coefficients == (2.0, 1.0, 1.0, 3.0):
            return eq_9(q, p) + eq_11(q, p)
        return eq_13(q, p, coefficients)
    if kind == "kl":
        return divergence(q, p)
    assert kind == "kl+ll"
    return divergence(q, p) - likelihood(q, p) - 0.5 * math.log(2 * math.pi)


def losses(
    frames: Tensor,
    steps: list[Step],
    settings: Settings,
    kind: str = "paper",
    coefficients: tuple[float, float, float, float] = (2.0, 1.0, 1.0, 3.0),
    l1: float = 1.0,
) -> tuple[Tensor, Tensor]:
    """L1 + L2 of all decoded frames, a mean of pixels, and the mean latent loss of a number.

    Decoded frames may be larger below and to the right than the true ones; that part is left out.
    """
    errors, latents = [], []
    for step in steps:
        begin = step.start + settings.advance
        for place in range(settings.window):
            truth = frames[:, begin + place]
            gap = step.decoded[:, place, :, : truth.shape[-2], : truth.shape[-1]] - truth
            errors.append((l1 * gap.abs() + gap**2).reshape(-1))
        if step.posterior is not None and step.prior is not None:
            each = latent_loss(kind, step.posterior, step.prior, coefficients)
            latents.append(each.reshape(-1))
    reconstruction = torch.cat(errors).mean()
    return reconstruction, torch.cat(latents).mean() if latents else frames.new_zeros(())


def total(reconstruction: Tensor, latent: Tensor, weight: float) -> Tensor:
    """Eq 7 with λ_rec = 1."""
    return 1 * reconstruction + weight * latent


# --- names ----------------------------------------------------------------------------------------


def read(state: Weights, settings: Settings) -> Weights:
    """The tensors of a Framecast V3D-ConvLSTM's state dict under the names of this file."""
    weights: Weights = {}

    def take(name: str, source: str, norm: str | None = None) -> None:
        weights[f"{name}.w"] = state[f"{source}.weight"]
        if f"{source}.bias" in state:
            weights[f"{name}.b"] = state[f"{source}.bias"]
        if norm is not None:
            for own, their in (("gain", "weight"), ("shift", "bias")):
                weights[f"{name}.{own}"] = state[f"{norm}.{their}"]
            for statistic in ("mean", "variance"):
                weights[f"{name}.{statistic}"] = state[f"{norm}.{statistic}"]

    encoders = {"enc": "encoder", **({"after": "posterior_encoder"} if settings.separate else {})}
    for name, source in encoders.items():
        take(f"{name}.stem", f"{source}.stem.0", f"{source}.stem.1")
        for layer in (1, 2):
            for block in (0, 1):
                own, their = f"{name}.layer{layer}.{block}", f"{source}.layer{layer}.{block}"
                take(f"{own}.first", f"{their}.conv1.0", f"{their}.conv1.1")
                take(f"{own}.second", f"{their}.conv2.0", f"{their}.conv2.1")
                if layer == 2 and block == 0:
                    take(f"{own}.skip", f"{their}.downsample.0", f"{their}.downsample.1")
    for layer in range(settings.layers):
        source = f"convlstm.{layer}"
        # gates are one behind the other: of the input, which has no bias, and of the state
        kernels = [state[f"{source}.{part}.weight"] for part in ("from_input", "from_hidden")]
        gates = torch.cat(kernels, 1).chunk(4)
        biases = state[f"{source}.from_hidden.bias"].chunk(4)
        order = ("in", "forget", "new", "out")
        for gate, kernel, bias in zip(order, gates, biases, strict=True):
            weights[f"lstm{layer}.{gate}.w"], weights[f"lstm{layer}.{gate}.b"] = kernel, bias
    for name in ("prior", "posterior") if settings.latent else ():
        take(f"{name}.trunk", f"{name}.trunk")
        for kind, short in (("weight", "w"), ("bias", "b")):
            mean, deviation = state[f"{name}.heads.{kind}"].chunk(2)
            weights[f"{name}.mean.{short}"] = mean
            weights[f"{name}.deviation.{short}"] = deviation
    blocks = ("deep.0", "deep.1", "wide.0", "wide.1")
    for number, block in enumerate(blocks):
        take(f"dec.{number}.first", f"decoder.{block}.conv1")
        take(f"dec.{number}.second", f"decoder.{block}.conv2")
        if f"decoder.{block}.project.weight" in state:
            take(f"dec.{number}.skip", f"decoder.{block}.project")
    take("dec.out", "decoder.output")
    return weights
