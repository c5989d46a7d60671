"""ConvLSTM, PredRNN, PredRNN++ and E3D-LSTM once more, from the papers' equations, in loops.

Every gate has products of its own, convolutions are sums of shifted maps, the attention asks for
one place after the other, and nothing is taken from the package but names of weights.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

Weights = dict[str, Tensor]


@dataclass(frozen=True)
class Settings:
    """What the equations leave open."""

    kind: str
    layers: int
    hidden: int
    patch: int
    forget_bias: float = 1.0
    window: int = 1
    history: int | None = None
    reference: bool = False
    residual: bool = False


def cut(frame: Tensor, patch: int) -> Tensor:
    """Pixels of each patch to channels, c first, then row, then column."""
    columns = [
        frame[:, c, i::patch, j::patch]
        for c in range(frame.shape[1])
        for i in range(patch)
        for j in range(patch)
    ]
    return torch.stack(columns, 1)


def join(patches: Tensor, patch: int) -> Tensor:
    """The inverse of ``cut``."""
    b, c, h, w = patches.shape
    frame = patches.new_zeros(b, c // patch**2, h * patch, w * patch)
    for index in range(c):
        channel, inside = divmod(index, patch**2)
        row, column = divmod(inside, patch)
        frame[:, channel, row::patch, column::patch] = patches[:, index]
    return frame


def convolve(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Of maps b c d h w; an even depth reaches one farther on than back; zeros all around."""
    b, channels, d, h, w = x.shape
    k, _, kd, kh, kw = weight.shape
    padded = x.new_zeros(b, channels, d + kd, h + kh, w + kw)
    padded[:, :, (kd - 1) // 2 :, kh // 2 :, kw // 2 :][:, :, :d, :h, :w] = x
    out = x.new_zeros(b, k, d, h, w)
    for t in range(kd):
        for i in range(kh):
            for j in range(kw):
                shifted = padded[:, :, t : t + d, i : i + h, j : j + w]
                out += torch.einsum("oi,bidhw->bodhw", weight[:, :, t, i, j], shifted)
    return out if bias is None else out + bias[:, None, None, None]


class Layer:
    """The weights of one layer; `gate(name, index, x)` is one gate's product."""

    def __init__(self, weights: Weights, prefix: str, hidden: int) -> None:
        self.weights, self.prefix, self.hidden = weights, prefix, hidden

    def tensor(self, name: str) -> Tensor | None:
        """Of a name after the prefix."""
        return self.weights.get(f"{self.prefix}.{name}")

    def gate(self, name: str, index: int, x: Tensor) -> Tensor:
        """The product of x with the gate of this number."""
        inner = f"{name}.0" if f"{self.prefix}.{name}.0.weight" in self.weights else name
        weight, bias = self.tensor(f"{inner}.weight"), self.tensor(f"{inner}.bias")
        assert weight is not None
        rows = slice(index * self.hidden, (index + 1) * self.hidden)
        weight = weight if weight.ndim == 5 else weight.unsqueeze(2)
        return convolve(x, weight[rows], None if bias is None else bias[rows])


def conv_lstm(p: Layer, x: Tensor, state: Any, memory: Tensor, s: Settings) -> tuple:
    """Shi et al. (2015), Eq 3, without peepholes."""
    h, c = state
    i, f, g, o = (p.gate("from_input", n, x) + p.gate("from_hidden", n, h) for n in range(4))
    c = torch.sigmoid(f + s.forget_bias) * c + torch.sigmoid(i) * torch.tanh(g)
    h = torch.sigmoid(o) * torch.tanh(c)
    return h, (h, c), memory


def st_lstm(p: Layer, x: Tensor, state: Any, m: Tensor, s: Settings) -> tuple:
    """Wang et al. (2017), the equations of ST-LSTM."""
    h, c = state
    g = torch.tanh(p.gate("from_features", 2, x) + p.gate("from_hidden", 2, h))
    i = torch.sigmoid(p.gate("from_features", 0, x) + p.gate("from_hidden", 0, h))
    f = torch.sigmoid(p.gate("from_features", 1, x) + p.gate("from_hidden", 1, h) + s.forget_bias)
    c = f * c + i * g
    g = torch.tanh(p.gate("from_features", 5, x) + p.gate("from_memory", 2, m))
    i = torch.sigmoid(p.gate("from_features", 3, x) + p.gate("from_memory", 0, m))
    f = torch.sigmoid(p.gate("from_features", 4, x) + p.gate("from_memory", 1, m) + s.forget_bias)
    m = f * m + i * g
    both = torch.cat([c, m], 1)
    o = p.gate("from_features", 6, x) + p.gate("from_hidden", 3, h) + p.gate("from_new", 0, both)
    h = torch.sigmoid(o) * torch.tanh(p.gate("merge", 0, both))
    return h, (h, c), m


def causal_lstm(p: Layer, x: Tensor, state: Any, m: Tensor, s: Settings) -> tuple:
    """Wang et al. (2018), Eq 1, as the authors' program has it."""
    h, c = state

    def first(n: int) -> Tensor:
        return (
            p.gate("from_features", n, x) + p.gate("from_hidden", n, h) + p.gate("from_cell", n, c)
        )

    i, f, g = torch.sigmoid(first(0)), torch.sigmoid(first(1) + s.forget_bias), torch.tanh(first(2))
    c = f * c + i * g

    def second(n: int) -> Tensor:
        return p.gate("from_features", 3 + n, x) + p.gate("from_new_cell", n, c)

    i = torch.sigmoid(second(0) + p.gate("from_memory", 0, m))
    f = torch.sigmoid(second(1) + p.gate("from_memory", 1, m) + s.forget_bias)
    m = f * torch.tanh(p.gate("from_memory", 2, m)) + i * torch.tanh(second(2))
    o = p.gate("from_features", 6, x) + p.gate("from_hidden", 3, h)
    o = torch.tanh(o + p.gate("from_new_cell", 3, c) + p.gate("from_new_memory", 0, m))
    h = o * torch.tanh(p.gate("merge", 0, torch.cat([c, m], 1)))
    return h, (h, c), m


def highway(p: Layer, x: Tensor, z: Tensor) -> Tensor:
    """Wang et al. (2018), Eq 2."""
    new = torch.tanh(p.gate("from_features", 0, x) + p.gate("from_state", 0, z))
    switch = torch.sigmoid(p.gate("from_features", 1, x) + p.gate("from_state", 1, z))
    return switch * new + (1 - switch) * z


def recall(query: Tensor, past: list[Tensor]) -> Tensor:
    """softmax(R Pᵀ) P, one place after the other."""
    found = torch.zeros_like(query)
    b, _, d, h, w = query.shape
    for n in range(b):
        known = torch.stack([c[n, :, f, y, x] for c in past
                             for f in range(d) for y in range(h) for x in range(w)])  # fmt: skip
        for f in range(d):
            for y in range(h):
                for x in range(w):
                    likely = torch.exp(known @ query[n, :, f, y, x])
                    found[n, :, f, y, x] = (likely / likely.sum()) @ known
    return found


def e3d_lstm(p: Layer, x: Tensor, state: Any, m: Tensor, s: Settings) -> tuple:
    """Wang et al. (2019), the equations of the Eidetic 3D LSTM; M' goes on to the next unit."""
    h, c, past = state
    i = torch.sigmoid(p.gate("from_features", 0, x) + p.gate("from_hidden", 0, h))
    r = torch.sigmoid(p.gate("from_features", 1, x) + p.gate("from_hidden", 1, h))
    g = torch.tanh(p.gate("from_features", 2, x) + p.gate("from_hidden", 2, h))
    kept = c + recall(r, past)
    kept = kept - kept.mean((1, 2, 3, 4), keepdim=True)
    kept = kept / (kept.square().mean((1, 2, 3, 4), keepdim=True) + 1e-5).sqrt()
    scale, shift = p.tensor("recalled.weight"), p.tensor("recalled.bias")
    if scale is not None:
        kept = kept * scale + shift
    c = i * g + kept
    i = torch.sigmoid(p.gate("from_features", 3, x) + p.gate("from_memory", 0, m))
    f = torch.sigmoid(p.gate("from_features", 4, x) + p.gate("from_memory", 1, m) + s.forget_bias)
    g = torch.tanh(p.gate("from_features", 5, x) + p.gate("from_memory", 2, m))
    m = i * g + f * (torch.tanh(p.gate("from_memory", 3, m)) if s.reference else m)
    both = torch.cat([c, m], 1)
    o = p.gate("from_features", 6, x) + p.gate("from_hidden", 3, h) + p.gate("from_new", 0, both)
    o = torch.sigmoid(torch.tanh(o) if s.reference else o)
    h = o * torch.tanh(p.gate("merge", 0, both))
    past = [*past, c]
    return h, (h, c, past if s.history is None else past[-s.history :]), m


CELLS = {
    "convlstm": conv_lstm,
    "predrnn": st_lstm,
    "predrnn-pp": causal_lstm,
    "e3d-lstm": e3d_lstm,
}


def unroll(frames: Tensor, fed: list[list[bool]], weights: Weights, s: Settings) -> Tensor:
    """Predictions of frames 1, 2, …

    Args:
        frames: The true clip; its sides are multiples of a patch.
        fed: For each clip and frame, whether the true frame is fed rather than the prediction.
        weights: By the model's own names.
        s: Settings.
    """
    above = s.kind == "predrnn-pp"
    prefix = "network.units" if s.kind == "convlstm" else "stack.units"
    places = [n + (above and n > 0) for n in range(s.layers)]
    layers = [Layer(weights, f"{prefix}.{n}", s.hidden) for n in places]
    b, _, _, h, w = frames.shape
    zeros = frames.new_zeros(b, s.hidden, s.window, h // s.patch, w // s.patch)
    states: list[Any] = [
        (zeros, zeros, [zeros]) if s.kind == "e3d-lstm" else (zeros, zeros) for _ in layers
    ]
    memory, z = zeros, zeros
    seen: list[Tensor] = [torch.zeros_like(cut(frames[:, 0], s.patch))] * (s.window - 1)
    predictions: list[Tensor] = []
    for t in range(frames.shape[1] - 1):
        inputs = [frames[n, t] if fed[n][t] else predictions[-1][n] for n in range(b)]
        frame = torch.stack(inputs)
        seen.append(cut(frame, s.patch))
        x = torch.stack(seen[-s.window :], 2)
        for number, layer in enumerate(layers):
            x, states[number], memory = CELLS[s.kind](layer, x, states[number], memory, s)
            if above and number == 0:
                z = highway(Layer(weights, f"{prefix}.1", s.hidden), x, z)
                x = z
        predicted = join(read(x, weights), s.patch)
        predictions.append(predicted + frame if s.residual else predicted)
    return torch.stack(predictions, 1)


def read(top: Tensor, weights: Weights) -> Tensor:
    """Patches from the top layer's maps: a 1×1 product of every frame of the window, added up."""
    name = next(n for n in weights if "output" in n and n.endswith("weight"))
    weight, bias = weights[name], weights.get(name.removesuffix("weight") + "bias")
    weight = weight if weight.ndim == 5 else weight.unsqueeze(2)
    frames = range(top.shape[2])
    total = sum(torch.einsum("oi,bihw->bohw", weight[:, :, f, 0, 0], top[:, :, f]) for f in frames)
    assert isinstance(total, Tensor)
    return total if bias is None else total + bias[:, None, None]
