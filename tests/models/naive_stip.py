"""STIP once more, written from the paper's equations: one function per equation, loops everywhere.

Every weight of Eqs 5 and 6 has its own convolution, padding and normalisation are written out, and
nothing is taken from the package but names of weights, in ``read``.
"""

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Settings:
    """What the equations leave open."""

    units: int
    levels: int
    patch: int
    recall: float
    kernel: int
    norm: str
    update_bias: float = 1.0
    bottleneck_skip: bool = False
    reference_routing: bool = False
    residual: bool = False
    two_streams: bool = True


@dataclass
class Trace:
    """What happened at each time step, in order."""

    predicted: list[Tensor] = field(default_factory=list)  # next frames, padded
    encoded: list[tuple[Tensor, Tensor]] = field(default_factory=list)  # T_E, S_E
    gates: list[list[tuple[Tensor, Tensor]]] = field(default_factory=list)  # R, U of each unit


def leaky(x: Tensor) -> Tensor:
    """LeakyReLU 0.2 of Table II."""
    return torch.where(x > 0, x, 0.2 * x)


def unshuffle(x: Tensor, patch: int) -> Tensor:
    """Pixels of each patch to channels, c first, then row, then column (Table I)."""
    columns = [x[:, c, i::patch, j::patch] for c in range(x.shape[1])
               for i in range(patch) for j in range(patch)]  # fmt: skip
    return torch.stack(columns, 1)


def shuffle(x: Tensor, patch: int) -> Tensor:
    """The inverse of ``unshuffle``."""
    b, c, h, w = x.shape
    out = x.new_zeros(b, c // patch**2, h * patch, w * patch)
    for index in range(c):
        channel, inside = divmod(index, patch**2)
        row, column = divmod(inside, patch)
        out[:, channel, row::patch, column::patch] = x[:, index]
    return out


def encode(pair: Tensor, weights: Weights, name: str, levels: int) -> list[Tensor]:
    """Eq 1 for one stream: ``pair`` b c 2 h w to the features after each downsampling layer."""
    x = functional.conv3d(pair, weights[f"{name}.first.w"], weights[f"{name}.first.b"])
    assert x.shape[2] == 1
    x = leaky(x[:, :, 0])
    features = []
    for level in range(levels):
        w, b = weights[f"{name}.down{level}.w"], weights[f"{name}.down{level}.b"]
        x = leaky(functional.conv2d(x, w, b, stride=2, padding=1))
        features.append(x)
    return features


def decode(
    x: Tensor, encoded: list[Tensor], weights: Weights, name: str, settings: Settings
) -> Tensor:
    """Eq 3 for a stream: layer l sees the one before, and λ times the l-th feature from the end."""
    for layer in range(1, settings.levels + 1):
        if layer > 1 or settings.bottleneck_skip:
            x = x + settings.recall * encoded[-layer]
        w, b = weights[f"{name}.up{layer - 1}.w"], weights[f"{name}.up{layer - 1}.b"]
        x = functional.conv_transpose2d(x, w, b, stride=2, padding=1, output_padding=1)
        if layer < settings.levels:
            x = leaky(x)
    return x


def normalise(parts: list[Tensor], weights: Weights, name: str, norm: str) -> list[Tensor]:
    """Layer normalisation over all of the stacked ``parts``, b c h w each, of one sample."""
    if norm == "none":
        return parts
    whole = torch.cat(parts, 1)
    out = []
    for sample in whole:
        mean = sample.sum() / sample.numel()
        variance = ((sample - mean) ** 2).sum() / sample.numel()
        scaled = (sample - mean) / torch.sqrt(variance + 1e-5)
        gain, shift = weights[f"{name}.gain"], weights[f"{name}.shift"]
        if norm == "group":
            gain, shift = gain[:, None, None], shift[:, None, None]
        out.append(scaled * gain + shift)
    return list(torch.stack(out).split(parts[0].shape[1], 1))


def stgru(
    temporal: Tensor, spatial: Tensor, weights: Weights, name: str, settings: Settings
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Eqs 5 to 7: the new T and S, and the gates R and U."""

    def convolved(x: Tensor, source: str, target: str) -> Tensor:
        w, b = weights[f"{name}.{source}{target}.w"], weights[f"{name}.{source}{target}.b"]
        return functional.conv2d(x, w, b, padding=settings.kernel // 2)

    from_s = [convolved(spatial, "s", target) for target in "ruts"]
    from_t = [convolved(temporal, "t", target) for target in "ruts"]
    s_r, s_u, s_t, s_s = normalise(from_s, weights, f"{name}.s", settings.norm)
    t_r, t_u, t_t, t_s = normalise(from_t, weights, f"{name}.t", settings.norm)
    trend = torch.sigmoid(s_r + t_r)
    update = torch.sigmoid(s_u + t_u + settings.update_bias)
    trend_t = torch.tanh(t_t + trend * s_t)
    trend_s = torch.tanh(s_s + trend * t_s)
    new_t = (1 - update) * trend_t + update * temporal
    new_s = (1 - update) * trend_s + update * spatial
    return new_t, new_s, trend, update


def advance(
    pair: tuple[Tensor, Tensor],
    states: list[Tensor],
    weights: Weights,
    settings: Settings,
    trace: Trace,
) -> tuple[Tensor, list[Tensor]]:
    """Algorithm 1, lines 5 to 19: the next frame's patches after two, and the temporal states."""
    both = torch.stack(pair, 2)
    t_encoded = encode(both, weights, "enc.t", settings.levels)
    s_encoded = t_encoded
    if settings.two_streams:
        s_encoded = encode(both, weights, "enc.s", settings.levels)
    joined = torch.cat([t_encoded[-1], states[0]], 1)
    states = [functional.conv2d(joined, weights["merge.w"], weights["merge.b"]), *states[1:]]
    spatial, new, gates = s_encoded[-1], [], []
    for k in range(settings.units):
        temporal, spatial, r, u = stgru(states[k], spatial, weights, f"unit{k}", settings)
        new.append(temporal)
        gates.append((r, u))
    trace.encoded.append((t_encoded[-1], s_encoded[-1]))
    trace.gates.append(gates)
    if settings.two_streams:
        to_t, to_s = (spatial, new[-1]) if settings.reference_routing else (new[-1], spatial)
        decoded = [
            decode(to_t, t_encoded, weights, "dec.t", settings),
            decode(to_s, s_encoded, weights, "dec.s", settings),
        ]
    else:
        decoded = [decode(spatial, s_encoded, weights, "dec.t", settings)]
    out = functional.conv2d(torch.cat(decoded, 1), weights["out.w"], weights["out.b"])
    return (out + pair[1] if settings.residual else out), new


def mirrored(frames: Tensor, multiple: int) -> Tensor:
    """Continue rows down and columns to the right by mirrors at the edges."""
    for axis in (-2, -1):
        length = frames.shape[axis]
        period = max(2 * length - 2, 1)
        places = [i % period for i in range(-(-length // multiple) * multiple)]
        index = torch.tensor([min(i, period - i) if period > 1 else 0 for i in places])
        frames = frames.index_select(axis, index)
    return frames


def play(
    frames: Tensor,
    steps: int,
    weights: Weights,
    settings: Settings,
    feed: Tensor | None = None,
) -> Trace:
    """``steps`` predictions along frames ``b t c h w``.

    Where ``feed`` b steps is given and true, the true frame of that time is seen, elsewhere the
    frame predicted for it; without it true frames are seen as long as there are any.
    """
    whole = mirrored(frames, settings.patch * 2**settings.levels)
    b, _, _, h, w = whole.shape
    seen: list[Tensor] = [unshuffle(torch.zeros_like(whole[:, 0]), settings.patch)]
    trace = Trace()
    coarse = settings.patch * 2**settings.levels
    hidden = weights["merge.w"].shape[0]
    states = [whole.new_zeros(b, hidden, h // coarse, w // coarse) for _ in range(settings.units)]
    for time in range(steps):
        rows = []
        for row in range(b):
            true = time < frames.shape[1] if feed is None else bool(feed[row, time])
            rows.append(whole[row, time] if true else trace.predicted[-1][row])
        seen.append(unshuffle(torch.stack(rows), settings.patch))
        patches, states = advance((seen[-2], seen[-1]), states, weights, settings, trace)
        trace.predicted.append(shuffle(patches, settings.patch))
    return trace


def cropped(trace: Trace, like: Tensor) -> Tensor:
    """The predictions of a trace, b t c h w, in the size of the frames it was made from."""
    return torch.stack(trace.predicted, 1)[..., : like.shape[-2], : like.shape[-1]]


def judge(
    frame: Tensor, weights: Weights, patch: int, layers: int, groups: int, everywhere: bool
) -> tuple[Tensor, Tensor]:
    """The probability that one frame b c h w is a true one, and its last map, flattened.

    With ``everywhere`` each place of the last map has its own weight, otherwise their mean has.
    """
    x = unshuffle(mirrored(frame, patch), patch)
    for layer in range(layers):
        w, b = weights[f"down{layer}.w"], weights[f"down{layer}.b"]
        x = functional.conv2d(x, w, b, stride=2, padding=1)
        parts = []
        for part in x.chunk(groups, 1):
            mean = part.mean((1, 2, 3), keepdim=True)
            variance = (part - mean).square().mean((1, 2, 3), keepdim=True)
            parts.append((part - mean) / torch.sqrt(variance + 1e-5))
        gain, shift = (weights[f"down{layer}.{n}"][:, None, None] for n in ("gain", "offset"))
        x = leaky(torch.cat(parts, 1) * gain + shift)
    features = x.reshape(len(x), -1)
    read = features if everywhere else x.mean((2, 3))
    score = (read * weights["judge.w"][0]).sum(1) + weights["judge.b"][0]
    return 1 / (1 + torch.exp(-score)), features


def read(state: Weights, settings: Settings) -> Weights:
    """The tensors of a Framecast STIP's state dict under the names of this file."""
    weights: Weights = {}

    def take(name: str, source: str) -> None:
        weights[f"{name}.w"] = state[f"network.{source}.weight"]
        weights[f"{name}.b"] = state[f"network.{source}.bias"]

    take("merge", "merge")
    take("out", "output")
    for number, stream in enumerate("ts" if settings.two_streams else "t"):
        take(f"enc.{stream}.first", f"encoders.{number}.join")
        flat = weights[f"enc.{stream}.first.w"]  # channels of the first frame, then the second's
        halves = flat.chunk(2, 1)
        weights[f"enc.{stream}.first.w"] = torch.stack(halves, 2)
        for level in range(settings.levels):
            take(f"enc.{stream}.down{level}", f"encoders.{number}.down.{level}")
            take(f"dec.{stream}.up{level}", f"decoders.{number}.up.{level}")
    for k in range(settings.units):
        for short, long in (("t", "from_temporal"), ("s", "from_spatial")):
            prefix = f"network.units.{k}.{long}"
            for kind, suffix in (("w", "weight"), ("b", "bias")):
                quarters = state[f"{prefix}.0.{suffix}"].chunk(4)
                for target, quarter in zip("ruts", quarters, strict=True):
                    weights[f"unit{k}.{short}{target}.{kind}"] = quarter
            if settings.norm != "none":
                weights[f"unit{k}.{short}.gain"] = state[f"{prefix}.1.weight"]
                weights[f"unit{k}.{short}.shift"] = state[f"{prefix}.1.bias"]
    return weights
