"""The quantiser's forward pass and losses against loops and formulas written apart."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from trees import tree_of, vectors_of

from framecast.errors import ConfigError, FramecastError
from framecast.layers.quantise import Quantised, ResidualTree, nearest, tree_loss, vector_loss


def greedy(tree: ResidualTree, vector: list[float]):
    """The path of one vector, its codebooks and its residuals, a number at a time."""
    path, parents, residuals, parent = [], [], [], 0
    for codebook in tree.codebooks:
        residuals.append(vector)
        parents.append(parent)
        book = codebook[parent].tolist()
        distances = [sum((x - y) ** 2 for x, y in zip(vector, e, strict=True)) for e in book]
        best = min(range(len(book)), key=distances.__getitem__)
        vector = [x - y for x, y in zip(vector, book[best], strict=True)]
        path.append(best)
        parent = parent * tree.size + best
    return path, parents, residuals


@settings(max_examples=40, deadline=None)
@given(
    layers=st.integers(1, 4),
    size=st.integers(1, 4),
    width=st.integers(1, 5),
    count=st.integers(0, 9),
    seed=st.integers(0, 1000),
)
def test_every_layer_takes_the_nearest_codeword_of_its_parent(
    layers: int, size: int, width: int, count: int, seed: int
) -> None:
    tree, vectors = tree_of(layers, size, width, seed), vectors_of(count, width, seed + 1)
    out = tree(vectors)
    for row, vector in enumerate(vectors.tolist()):
        path, parents, residuals = greedy(tree, vector)
        assert out.indices[row].tolist() == path
        torch.testing.assert_close(out.residuals[row], torch.tensor(residuals))
        chosen = zip(tree.codebooks, parents, path, strict=True)
        assert torch.equal(out.codewords[row], torch.stack([book[p, k] for book, p, k in chosen]))
    torch.testing.assert_close(out.total, out.codewords.sum(1))
    assert torch.equal(tree.lookup(out.indices), out.codewords)


def test_a_wide_codebook_is_searched_alike() -> None:
    vectors, codebook = vectors_of(300, 64), vectors_of(80, 64, seed=2)
    found = nearest(vectors, codebook[None], torch.zeros(300, dtype=torch.int64))
    exact = (vectors.double()[:, None] - codebook.double()).square().sum(-1)
    assert torch.equal(found, exact.argmin(1))


@pytest.mark.parametrize(("size", "width"), [(6, 3), (100, 64)])
def test_of_equal_codewords_the_first_is_taken(size: int, width: int) -> None:
    tree = tree_of(1, size, width)
    with torch.no_grad():
        tree.codebooks[0][0, 2:] = tree.codebooks[0][0, 2]
    out = tree(tree.codebooks[0][0, 2:].detach())
    assert out.indices.unique().tolist() == [2]


def test_the_search_is_split_without_a_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = vectors_of(50, 64)
    trees = tree_of(3, 4, 64), tree_of(1, 80, 64)
    whole = [tree(vectors).indices for tree in trees]
    monkeypatch.setattr("framecast.layers.quantise._BLOCK", 1024)
    for tree, indices in zip(trees, whole, strict=True):
        assert torch.equal(tree(vectors).indices, indices)


def test_the_search_never_holds_all_distances(monkeypatch: pytest.MonkeyPatch) -> None:
    largest = 0
    real = torch.Tensor.argmin

    def argmin(self: torch.Tensor, dim: int) -> torch.Tensor:
        nonlocal largest
        largest = max(largest, self.numel())
        return real(self, dim)

    monkeypatch.setattr(torch.Tensor, "argmin", argmin)
    tree_of(5, 4, 3)(vectors_of(7, 3))
    assert largest == 7 * 4


def test_sizes() -> None:
    assert sum(p.numel() for p in ResidualTree(3, 4, 4).parameters()) == 336
    assert sum(p.numel() for p in ResidualTree(3, 8, 8).parameters()) == 4672
    tree = ResidualTree(3, 4, 2)
    assert [tuple(p.shape) for p in tree.parameters()] == [(1, 4, 2), (4, 4, 2), (16, 4, 2)]
    assert tree.sizes == (4, 16, 64)
    assert tree.values == (4, 4, 4)


@pytest.mark.parametrize("sizes", [(0, 4, 4), (3, 0, 4), (3, 4, 0)])
def test_an_empty_tree_is_an_error(sizes: tuple[int, int, int]) -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        ResidualTree(*sizes)


def test_wrong_shapes_are_errors() -> None:
    tree = ResidualTree(2, 4, 3)
    with pytest.raises(FramecastError, match="vectors of 3 numbers, got 4"):
        tree(torch.zeros(2, 4))
    for layers in (0, 3):
        with pytest.raises(FramecastError, match=f"from 1 to 2 indices, got {layers}"):
            tree.lookup(torch.zeros(5, layers, dtype=torch.int64))


@settings(max_examples=40, deadline=None)
@given(layers=st.integers(1, 4), size=st.integers(1, 5))
def test_paths_and_leaves_are_each_others_inverse(layers: int, size: int) -> None:
    tree = ResidualTree(layers, size, 1)
    every = torch.arange(size**layers)
    paths = tree.paths(every)
    assert paths.min() >= 0
    assert paths.max() < size
    assert len(paths.unique(dim=0)) == size**layers
    assert torch.equal(tree.leaves(paths), every)
    # any leading shape, and beginnings of paths
    assert torch.equal(tree.leaves(paths.reshape(1, -1, 1, layers)).flatten(), every)
    for k in range(1, layers + 1):
        assert torch.equal(tree.leaves(paths[:, :k]), every // size ** (layers - k))


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_the_best_index_below_others(layers: int) -> None:
    """By trying every child of every shown parent."""
    tree = tree_of(layers, 3, 2, seed=1)
    vectors = vectors_of(40, 2, seed=2)
    shown = torch.randint(3, (40, layers), generator=torch.Generator().manual_seed(3))
    found = tree.below(shown.view(4, 10, layers), vectors.view(4, 10, 2)).view(40, layers)
    for row, path in enumerate(shown.tolist()):
        left, parent = vectors[row], 0
        for layer, index in enumerate(path):
            children = tree.codebooks[layer][parent].detach()
            distances = [float((child - left).square().sum()) for child in children]
            assert int(found[row, layer]) == distances.index(min(distances))
            left, parent = left - children[index], 3 * parent + index


def test_beginnings_of_paths_are_looked_up() -> None:
    tree = tree_of(3, 4, 2)
    out = tree(vectors_of(12, 2))
    for k in (1, 2, 3):
        grid = out.indices[:, :k].reshape(3, 4, k)
        assert torch.equal(tree.lookup(grid).reshape(12, k, 2), out.codewords[:, :k])


def test_straight_through_has_the_values_of_the_codewords_and_the_gradient_of_the_input() -> None:
    tree, vectors = tree_of(3, 4, 4), vectors_of(20, 4).requires_grad_()
    out, weights = tree(vectors), vectors_of(20, 4, seed=5)
    assert torch.equal(out.straight_through, out.total)
    (out.straight_through * weights).sum().backward()
    assert torch.equal(vectors.grad, weights)
    assert all(codebook.grad is None for codebook in tree.codebooks)


def gradients(tree: ResidualTree, vectors: torch.Tensor, loss: torch.Tensor) -> list[bool]:
    """Whether the vectors and the codebook of each layer get any gradient."""
    inputs = [vectors, *tree.codebooks]
    found = torch.autograd.grad(loss, inputs, retain_graph=True, allow_unused=True)
    return [g is not None and bool(g.abs().sum() > 0) for g in found]


@pytest.mark.parametrize("layer", [0, 1, 2])
def test_a_layers_terms_move_that_layer_or_the_vectors_alone(layer: int) -> None:
    tree, vectors = tree_of(3, 4, 4), vectors_of(30, 4).requires_grad_()
    out = tree(vectors)
    loss = vector_loss(out.residuals[:, layer], out.codewords[:, layer], 0.25)
    assert gradients(tree, vectors, loss.codebook) == [False, *(i == layer for i in range(3))]
    # the encoder learns from every layer: a residual of the straight-through value would not
    assert gradients(tree, vectors, loss.commitment) == [True, False, False, False]


def test_the_combined_terms_move_all_layers_or_the_vectors_alone() -> None:
    tree, vectors = tree_of(3, 4, 4), vectors_of(30, 4).requires_grad_()
    out = tree(vectors)
    loss = vector_loss(out.vectors, out.total, 0.25)
    assert gradients(tree, vectors, loss.codebook) == [False, True, True, True]
    assert gradients(tree, vectors, loss.commitment) == [True, False, False, False]


@pytest.mark.parametrize("layers", [2, 3])
def test_values_and_gradients_of_the_loss_are_those_of_the_equations(layers: int) -> None:
    """Eqs 4 and 5 with their derivatives worked out by hand, a vector and a layer at a time."""
    tree, vectors = tree_of(layers, 3, 4), vectors_of(11, 4).requires_grad_()
    tree_loss(tree(vectors), beta=0.3, layer_beta=0.7).total.backward()
    books = [torch.zeros_like(codebook) for codebook in tree.codebooks]
    into, value, scale = torch.zeros(11, 4), 0.0, 2 / (11 * 4)
    for row, vector in enumerate(vectors.tolist()):
        path, parents, residuals = greedy(tree, vector)
        chosen = zip(tree.codebooks, parents, path, strict=True)
        codewords = [book[p, k].detach() for book, p, k in chosen]
        off = sum(codewords) - torch.tensor(vector)
        value += 1.3 * float(off.square().sum())
        into[row] -= 0.3 * scale * off
        for i, (k, residual) in enumerate(zip(path, residuals, strict=True)):
            alone = codewords[i] - torch.tensor(residual)
            value += 1.7 * float(alone.square().sum())
            books[i][parents[i], k] += scale * (off + alone)
            into[row] -= 0.7 * scale * alone
    loss = tree_loss(tree(vectors), beta=0.3, layer_beta=0.7)
    assert loss.total.item() == pytest.approx(value / 44, rel=1e-5)
    assert loss.total.item() == pytest.approx((loss.codebook + loss.commitment).item())
    torch.testing.assert_close(vectors.grad, into)
    for codebook, expected in zip(tree.codebooks, books, strict=True):
        torch.testing.assert_close(codebook.grad, expected)


def test_the_weights_of_commitment_are_a_quarter() -> None:
    out = tree_of(3, 4, 4)(vectors_of(30, 4))
    loss = tree_loss(out)
    assert loss.commitment.item() == pytest.approx(0.25 * loss.codebook.item())


class PlainVQ(nn.Module):
    """Van den Oord et al.: one codebook, Eq 2."""

    def __init__(self, codewords: torch.Tensor) -> None:
        super().__init__()
        self.codewords = nn.Parameter(codewords.clone())

    def forward(self, z: torch.Tensor, beta: float):
        tokens = torch.cdist(z, self.codewords).argmin(-1)
        e = self.codewords[tokens]
        loss = ((z.detach() - e) ** 2).mean() + beta * ((e.detach() - z) ** 2).mean()
        return tokens, z + (e - z).detach(), loss


def test_one_layer_is_a_plain_vector_quantiser() -> None:
    tree = tree_of(1, 16, 4)
    plain = PlainVQ(tree.codebooks[0][0].detach())
    ours, theirs = (vectors_of(50, 4).requires_grad_() for _ in range(2))
    out = tree(ours)
    tokens, decoded, loss = plain(theirs, 0.25)
    assert torch.equal(tree.leaves(out.indices), tokens)
    assert torch.equal(out.indices[:, 0], tokens)
    torch.testing.assert_close(out.straight_through, decoded)
    quantiser = tree_loss(out)
    torch.testing.assert_close(quantiser.total, loss)
    (quantiser.total + out.straight_through.sin().sum()).backward()
    (loss + decoded.sin().sum()).backward()
    torch.testing.assert_close(ours.grad, theirs.grad)
    torch.testing.assert_close(tree.codebooks[0].grad[0], plain.codewords.grad)


@pytest.mark.parametrize("training", [False, True])
def test_quantising_changes_nothing(training: bool) -> None:
    tree = tree_of(3, 4, 4).train(training)
    before = {name: tensor.clone() for name, tensor in tree.state_dict().items()}
    generator = torch.get_rng_state()
    first, again = tree(vectors_of(40, 4)), tree(vectors_of(40, 4))
    tree_loss(first).total.backward()
    assert torch.equal(first.indices, again.indices)
    assert torch.equal(torch.get_rng_state(), generator)
    assert before.keys() == tree.state_dict().keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in tree.state_dict().items())


def test_distances_are_exact_under_autocast() -> None:
    tree, vectors = tree_of(3, 8, 4), vectors_of(400, 4)
    wide = tree_of(1, 128, 64), vectors_of(400, 64)
    for each, rows in ((tree, vectors), wide):
        expected = each(rows)
        with torch.autocast("cpu", torch.bfloat16):
            out = each(rows)
        assert torch.equal(out.indices, expected.indices)
        assert torch.equal(out.total, expected.total)
        assert tree_loss(out).total.dtype == torch.float32
    low = tree(vectors.bfloat16())
    assert low.total.dtype == torch.float32
    assert torch.equal(low.indices, tree(vectors.bfloat16().float()).indices)


def test_the_gradient_of_codewords_is_the_same_every_time() -> None:
    tree, vectors = tree_of(3, 4, 4), vectors_of(500, 4)
    torch.use_deterministic_algorithms(True)
    try:
        found = []
        for _ in range(2):
            tree.zero_grad()
            tree_loss(tree(vectors)).total.backward()
            found.append([codebook.grad.clone() for codebook in tree.codebooks])
    finally:
        torch.use_deterministic_algorithms(False)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def test_vectors_are_quantised_alike_alone_and_in_a_batch() -> None:
    tree, vectors = tree_of(3, 4, 4), vectors_of(60, 4)
    together = tree(vectors)
    for row in range(0, 60, 7):
        alone = tree(vectors[row : row + 1])
        assert isinstance(alone, Quantised)
        assert torch.equal(alone.indices[0], together.indices[row])
        assert torch.equal(alone.codewords[0], together.codewords[row])
