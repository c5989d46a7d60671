"""What changes the codebooks of a tree beside gradients.

A stage calls this in `after_step` with the vectors and indices of its step; all processes end with
the same codebooks. Those of all layers stand in one table, as `framecast.layers.usage` says.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from framecast.errors import ConfigError
from framecast.layers import agreement
from framecast.layers.quantise import ResidualTree, nearest
from framecast.layers.usage import Usage, checked_decay, slots
from framecast.noise import mix
from framecast.stage import Reducer

_ROWS = 2**16
"""Vectors, of all processes together, from which new codewords are chosen."""
_FAR = 1e30
"""Squared distance to a codeword where there is none yet."""
_JITTER = 0.1
"""Size of noise, in parts of the root mean square of what a layer quantises."""
_LEAST = 1e-30
"""Weight below which a quotient of moving averages says nothing."""


@dataclass(frozen=True)
class Restarted:
    """Codewords that were replaced; each mask indexes the codebooks of its layer."""

    masks: tuple[Bool[Tensor, "_ m"], ...]

    @property
    def counts(self) -> tuple[int, ...]:
        """Codewords replaced in each layer."""
        return tuple(int(mask.sum()) for mask in self.masks)


class MovingAverageCodebooks(nn.Module):
    """Codebooks as moving averages of what they quantise, in place of a codebook loss.

    For every codeword the weight N and the sum m of its vectors are buffers. They start at N = 1,
    m = e. With a small ε, the weights of a codebook are smoothed towards each other:
    N' = (N + ε) / (ΣN + M·ε) · ΣN. A codebook that gets no vectors in a step stays as it is.

    Reference: Walker et al., Predicting Video with VQVAE, Eq 3.
    """

    weights: Tensor
    sums: Tensor

    def __init__(self, tree: ResidualTree, decay: float, epsilon: float) -> None:
        """Start from the codewords of a tree.

        Args:
            tree: Whose codebooks will be moved; it is not kept.
            decay: γ, in [0, 1).
            epsilon: ε of the smoothing, vectors; 0 for none.

        Raises:
            ConfigError: if one of them is out of range.
        """
        super().__init__()
        if epsilon < 0:
            raise ConfigError(f"the smoothing of a codebook is 0 or more, got {epsilon}")
        self.decay, self.epsilon = checked_decay(decay), epsilon
        codewords = table(tree)
        self.register_buffer("weights", torch.ones_like(codewords[..., 0]))
        self.register_buffer("sums", codewords)

    @torch.no_grad()
    def update(
        self,
        tree: ResidualTree,
        vectors: Float[Tensor, "p d"],
        indices: Int64[Tensor, "p n"],
        reducer: Reducer,
    ) -> None:
        """Move the codebooks towards what they quantised in a step, in all processes.

        Args:
            tree: Whose codebooks are moved.
            vectors: What the tree quantised in this process.
            indices: What the tree made of them; its codebooks have not changed since.
            reducer: Of the process group.
        """
        codewords = table(tree)
        seen = torch.zeros(self.weights.numel(), tree.width + 1).to(codewords)
        residual = residuals(tree, vectors, indices).flatten(0, 1).to(codewords)
        seen.index_add_(
            0, slots(indices, tree.size).flatten(), functional.pad(residual, (0, 1), value=1.0)
        )
        seen = agreement.total(reducer, seen).view(*self.weights.shape, -1)
        sums, counts = seen[..., :-1], seen[..., -1]
        live = counts.sum(-1, keepdim=True) > 0
        self.weights.lerp_(torch.where(live, counts, self.weights), 1 - self.decay)
        self.sums.lerp_(torch.where(live.unsqueeze(-1), sums, self.sums), 1 - self.decay)
        smoothed = self._smoothed()
        moved = self.sums / smoothed.clamp_min(_LEAST).unsqueeze(-1)
        known = (live & (smoothed > _LEAST)).unsqueeze(-1)
        _write(tree, torch.where(known, moved, codewords))

    def _smoothed(self) -> Tensor:
        total = self.weights.sum(-1, keepdim=True)
        size = self.weights.shape[-1]
        return (self.weights + self.epsilon) / (total + size * self.epsilon) * total

    @torch.no_grad()
    def reset(self, tree: ResidualTree, restarted: Restarted | None) -> None:
        """Forget the past of codewords that were replaced, or of all where `restarted` is None."""
        codewords = table(tree)
        if restarted is None:
            mask = torch.ones_like(self.weights, dtype=torch.bool)
        else:
            mask = torch.cat(restarted.masks).to(self.weights.device)
        self.weights.masked_fill_(mask, 1.0)
        self.sums.copy_(torch.where(mask.unsqueeze(-1), codewords, self.sums))


@torch.no_grad()
def initialise(
    tree: ResidualTree,
    vectors: Float[Tensor, "p d"],
    seed: int,
    reducer: Reducer,
    iterations: int = 5,
) -> None:
    """Codebooks from data: k-means of the vectors, then of what is left over at each codeword.

    A codebook starts from vectors of its own that lie far apart (k-means++). One that has fewer
    distinct vectors than codewords gets copies of them with a little noise; one that has none, a
    little noise around zero, so that it adds next to nothing.

    Args:
        tree: Whose codebooks are replaced, alike in all processes.
        vectors: To be quantised, of this process; of very many a random part is used.
        seed: The same in all processes.
        reducer: Of the process group.
        iterations: Of k-means after the choice of the first codewords.
    """
    residual = agreement.rows(reducer, vectors, _ROWS, seed).float().cpu()
    generator = torch.Generator().manual_seed(mix(seed, "initialise"))
    parents = torch.zeros(len(residual), dtype=torch.int64)
    made: list[Tensor] = []
    for codebook in tree.codebooks:
        noise = _JITTER * float(residual.square().mean().sqrt()) if residual.numel() else 0.0
        books = [
            _cluster(residual[parents == parent], tree.size, noise, iterations, generator)
            for parent in range(len(codebook))
        ]
        layer = torch.stack(books)
        index = nearest(residual, layer, parents)
        residual = residual - layer[parents, index]
        parents = parents * tree.size + index
        made.append(layer)
    _write(tree, agreement.first(reducer, torch.cat(made).to(table(tree))))
    tree.drawn = False


@torch.no_grad()
def restart(
    tree: ResidualTree,
    usage: Usage,
    vectors: Float[Tensor, "p d"],
    indices: Int64[Tensor, "p n"],
    seed: int,
    threshold: float,
    reducer: Reducer,
) -> Restarted:
    """Replace dead codewords by what their own codebook quantised, alike in all processes.

    The new codewords are chosen with a probability that grows with the squared distance to the
    codewords in use and to one another, so that no two are equal. Where there are too few vectors,
    and below a codeword that is replaced itself, codewords stay. A new codeword's usage is an equal
    share of its codebook's.

    Args:
        tree: Whose codewords are replaced.
        usage: With this step's indices counted; the same in all processes.
        vectors: What the tree quantised in this process; of very many a random part is used.
        indices: What the tree made of them.
        seed: The same in all processes.
        threshold: Part of an equal share below which a codeword is dead; see `Usage.dead`.
        reducer: Of the process group.

    Returns:
        Which codewords were replaced, so that an optimizer may forget their moments.
    """
    dead = usage.dead(threshold).cpu()
    replaced = torch.zeros_like(dead)
    if bool(dead.any()):
        new = table(tree)
        left = residuals(tree, vectors, indices).to(new)
        left = agreement.rows(reducer, left, _ROWS, seed).flatten(0, 1).cpu()
        at = slots(agreement.rows(reducer, indices, _ROWS, seed), tree.size).flatten() // tree.size
        chosen = _replace(new.cpu(), dead, left, at.cpu(), mix(seed, "restart"))
        _write(tree, agreement.first(reducer, chosen.codewords.to(new)))
        replaced = agreement.first(reducer, chosen.replaced.to(new)) > 0
        share = usage.counts.mean(-1, keepdim=True).expand_as(usage.counts)
        usage.counts.copy_(torch.where(replaced, share, usage.counts))
    return Restarted(replaced.to(usage.counts.device).split(usage.lengths))


@torch.no_grad()
def residuals(
    tree: ResidualTree, vectors: Float[Tensor, "p d"], indices: Int64[Tensor, "p n"]
) -> Float[Tensor, "p n d"]:
    """What each layer quantised, ξ^0 … ξ^(n-1), from the vectors and their codewords."""
    left = [vectors.to(torch.promote_types(vectors.dtype, torch.float32))]
    for codeword in tree.lookup(indices).unbind(1)[:-1]:
        left.append(left[-1] - codeword)
    return torch.stack(left, 1)


@torch.no_grad()
def table(tree: ResidualTree) -> Float[Tensor, "codebooks m d"]:
    """A copy of the codewords of all layers."""
    return torch.cat(list(tree.codebooks))


@dataclass(frozen=True)
class _Replaced:
    codewords: Float[Tensor, "codebooks m d"]
    replaced: Bool[Tensor, "codebooks m"]


def _replace(
    codewords: Tensor, dead: Tensor, vectors: Tensor, codebooks: Tensor, seed: int
) -> _Replaced:
    """Choose codewords in place of the dead ones, from the vectors that each codebook quantised."""
    generator = torch.Generator().manual_seed(seed)
    codewords, replaced = codewords.clone(), torch.zeros_like(dead)
    count, size = dead.shape
    stale = [False] * count  # something on the path to the codebook was replaced
    for book in range(count):
        parent = book - 1
        stale[book] = book > 0 and (stale[parent // size] or bool(replaced.view(-1)[parent]))
        free = dead[book].nonzero().flatten()
        if stale[book] or not len(free):
            continue
        alive = codewords[book][~dead[book]]
        chosen = _spread(vectors[codebooks == book], alive, len(free), generator)
        codewords[book, free[: len(chosen)]] = chosen
        replaced[book, free[: len(chosen)]] = True
    return _Replaced(codewords, replaced)


def _write(tree: ResidualTree, codewords: Tensor) -> None:
    lengths = [len(codebook) for codebook in tree.codebooks]
    for codebook, new in zip(tree.codebooks, codewords.split(lengths), strict=True):
        codebook.copy_(new)


def _cluster(
    vectors: Tensor, size: int, noise: float, iterations: int, generator: torch.Generator
) -> Tensor:
    """Codewords of vectors by k-means, filled up with noise where the vectors are too few."""
    codewords = _spread(vectors, vectors[:0], size, generator)
    nowhere = torch.zeros(len(vectors), dtype=torch.int64)
    for _ in range(iterations if len(codewords) else 0):
        index = nearest(vectors, codewords.unsqueeze(0), nowhere)
        counts = torch.bincount(index, minlength=len(codewords)).unsqueeze(-1)
        sums = torch.zeros_like(codewords).index_add_(0, index, vectors)
        codewords = torch.where(counts > 0, sums / counts.clamp_min(1), codewords)
    missing = size - len(codewords)
    around = codewords if len(codewords) else vectors.new_zeros(1, vectors.shape[1])
    copies = around[torch.arange(missing) % len(around)]
    return torch.cat([codewords, copies + noise * torch.randn(copies.shape, generator=generator)])


def _spread(vectors: Tensor, codewords: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Up to `count` distinct vectors, far from the codewords and one another (k-means++)."""
    distances = vectors.new_full((len(vectors),), _FAR)
    if len(codewords):
        exact = "donot_use_mm_for_euclid_dist"
        distances = torch.cdist(vectors, codewords, compute_mode=exact).square().amin(-1)
    chosen: list[Tensor] = []
    while len(chosen) < count and bool((distances > 0).any()):
        row = vectors[int(torch.multinomial(distances, 1, generator=generator))]
        distances = distances.minimum((vectors - row).square().sum(-1))
        chosen.append(row)
    return torch.stack(chosen) if chosen else vectors[:0]
