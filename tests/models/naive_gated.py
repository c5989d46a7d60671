"""A gated PixelCNN extended in time, place by place: dense filters, looped over what they see."""

import itertools
from collections.abc import Iterator

import numpy as np

from framecast.models.video_vqvae.gated import GatedPixelCNN, PriorConfig

Filter = dict[tuple[int, int, int], np.ndarray]
"""A matrix for each offset in time, rows and columns."""


def windowed(weight: np.ndarray, up: int, left: int) -> Filter:
    """A filter inside a slice, whose first row and column are so far from the place."""
    rows, columns = weight.shape[2:]
    places = itertools.product(range(rows), range(columns))
    return {(0, y - up, x - left): weight[:, :, y, x] for y, x in places}


def timed(weight: np.ndarray, outputs: int, first: int) -> Filter:
    """A filter over whole slices, the nearest one `first` slices back."""
    rows, columns = weight.shape[2:]
    backs = range(len(weight) // outputs)
    return {
        (-back - first, y - rows // 2, x - columns // 2): weight[
            back * outputs : (back + 1) * outputs, :, y, x
        ]
        for back, y, x in itertools.product(backs, range(rows), range(columns))
    }


def convolve(maps: np.ndarray, filters: Filter, bias: np.ndarray) -> np.ndarray:
    """Maps `t h w c`, zeros outside."""
    found = np.zeros((*maps.shape[:3], len(bias)))
    for place in np.ndindex(*maps.shape[:3]):
        total = bias.copy()
        for offset, matrix in filters.items():
            seen = tuple(a + b for a, b in zip(place, offset, strict=True))
            if all(0 <= a < n for a, n in zip(seen, maps.shape[:3], strict=True)):
                total = total + matrix @ maps[seen]
        found[place] = total
    return found


def gate(x: np.ndarray) -> np.ndarray:
    value, share = np.split(x, 2, -1)
    return np.tanh(value) / (1 + np.exp(-share))


class NaiveGated:
    """The network by its weights alone."""

    def __init__(self, net: GatedPixelCNN, config: PriorConfig) -> None:
        self.weights = {name: x.numpy() for name, x in net.state_dict().items()}
        self.config = config

    def logits(self, tokens: np.ndarray, given: np.ndarray) -> np.ndarray:
        """Logits `t h w m` of tokens `t h w`, conditioned by maps `t h w c`."""
        half, hidden = self.config.kernel // 2, self.config.hidden
        x = self.weights["embedding.weight"][tokens]
        v = convolve(x, windowed(self["above.weight"], half, half), self["above.bias"])
        h = convolve(x, windowed(self["left.weight"], 0, half), self["left.bias"])
        p = None
        if "past.bias" in self.weights:
            p = convolve(x, timed(self["past.slices.weight"], hidden, 1), self["past.bias"])
        for number in range(self.config.layers):
            name = f"layers.{number}."
            if p is not None:
                p = self.past(name + "past.", p, given)
            v, h = self.layer(name, v, h, p, given)
        return np.maximum(h, 0) @ self["output.weight"].T + self["output.bias"]

    def past(self, name: str, p: np.ndarray, given: np.ndarray) -> np.ndarray:
        hidden, residual = self.config.hidden, self.config.residual
        u = timed(self[name + "across.slices.weight"], hidden, 0)
        u = convolve(p, u, self[name + "across.bias"])
        a = timed(self[name + "along.slices.weight"], residual, 0)
        a = convolve(u, a, self[name + "along.bias"])
        a = a + given @ self.matrix(name + "conditioning").T
        return p + self.added(name + "output", a)

    def layer(
        self, name: str, v: np.ndarray, h: np.ndarray, p: np.ndarray | None, given: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        half = self.config.kernel // 2
        for_v, for_h = np.split(given @ self.matrix(name + "conditioning").T, 2, -1)
        u = windowed(self[name + "across.weight"], 0, half)
        u = convolve(v, u, self[name + "across.bias"])
        a = windowed(self[name + "along.weight"], half, 0)
        a = convolve(u, a, self[name + "along.bias"]) + for_v
        if p is not None:
            a = a + p @ self.matrix(name + "past.link").T
        v = v + self.added(name + "vertical_output", a)
        b = windowed(self[name + "beside.weight"], 0, half)
        b = convolve(h, b, self[name + "beside.bias"]) + v @ self.matrix(name + "link").T + for_h
        h = h + self.added(name + "horizontal_output", b)
        if name + "attention.query.weight" in self.weights:
            h = h + self.attention(name + "attention.", h)
        return v, h

    def attention(self, name: str, h: np.ndarray) -> np.ndarray:
        size = self.config.hidden // self.config.heads
        read = np.stack(list(self.read(h)))
        query, key, value = (
            read @ self[f"{name}{part}.weight"].T + self[f"{name}{part}.bias"]
            for part in ("query", "key", "value")
        )
        found = np.zeros((len(read), self.config.hidden))
        for place, head in itertools.product(range(len(read)), range(self.config.heads)):
            some = slice(head * size, (head + 1) * size)
            scores = np.array([query[place, some] @ key[k, some] for k in range(place + 1)])
            shares = np.exp(scores / size**0.5)
            found[place, some] = shares / shares.sum() @ value[: place + 1, some]
        joined = found @ self[name + "output.weight"].T + self[name + "output.bias"]
        return joined.reshape(h.shape)

    def read(self, h: np.ndarray) -> Iterator[np.ndarray]:
        """Each place with mean 0 and variance 1, and where it is from −1 to 1."""
        for place in np.ndindex(*h.shape[:3]):
            x = h[place]
            x = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
            where = [(2 * k + 1) / n - 1 for k, n in zip(place, h.shape[:3], strict=True)]
            yield np.concatenate([x, np.array(where, np.float32)])

    def added(self, name: str, inside: np.ndarray) -> np.ndarray:
        return gate(inside) @ self.matrix(name).T + self[name + ".bias"]

    def matrix(self, name: str) -> np.ndarray:
        """A 1×1 convolution."""
        return self[name + ".weight"][:, :, 0, 0]

    def __getitem__(self, name: str) -> np.ndarray:
        return self.weights[name]
