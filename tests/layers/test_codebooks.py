"""What moves codebooks beside gradients, against sums over loops; several processes against one."""

import copy
import math

import pytest
import torch
from lightning_fabric import Fabric
from processes import Alone, Rank, together
from trees import assigned, tree_of, vectors_of

from framecast.errors import ConfigError
from framecast.layers import agreement, codebooks
from framecast.layers.codebooks import MovingAverageCodebooks, initialise, residuals, restart, table
from framecast.layers.quantise import ResidualTree
from framecast.layers.usage import Usage
from framecast.stage import Reducer

ALONE = Alone()


@torch.no_grad()
def error_of(tree: ResidualTree, vectors: torch.Tensor) -> float:
    return float((tree(vectors).total - vectors).square().mean())


def test_fabric_is_a_reducer() -> None:
    fabric = Fabric(accelerator="cpu", devices=1)
    assert isinstance(fabric, Reducer)
    tree = tree_of(2, 3, 2)
    usage = Usage(tree, 0.0)
    usage.update(tree(vectors_of(20, 2)).indices, fabric)
    assert usage.counts.sum() == 40


@pytest.mark.parametrize("decay", [-0.1, 1.0])
def test_a_decay_out_of_range_is_an_error(decay: float) -> None:
    tree = tree_of(1, 2, 2)
    with pytest.raises(ConfigError, match="from 0 to below 1"):
        Usage(tree, decay)
    with pytest.raises(ConfigError, match="from 0 to below 1"):
        MovingAverageCodebooks(tree, decay, 0.0)
    with pytest.raises(ConfigError, match="0 or more, got -1"):
        MovingAverageCodebooks(tree, 0.9, -1.0)


# ---- initialisation


def blobs(layers: int, size: int) -> torch.Tensor:
    """Vectors that a tree can code without error, each many times."""
    tree = ResidualTree(layers, size, 2)
    with torch.no_grad():
        for depth, codebook in enumerate(tree.codebooks):
            angles = torch.arange(size) * 2 * math.pi / size + depth
            star = torch.stack([angles.cos(), angles.sin()], -1) * 10.0 / 8**depth
            codebook.copy_(star.expand_as(codebook))
    leaves = torch.arange(size**layers).repeat(5)
    return tree.lookup(tree.paths(leaves)).sum(-2).detach()


@pytest.mark.parametrize("seed", range(5))
def test_codebooks_find_clusters_inside_clusters(seed: int) -> None:
    vectors = blobs(3, 3)
    tree = ResidualTree(3, 3, 2)
    initialise(tree, vectors, seed, ALONE)
    assert error_of(tree, vectors) < 1e-9
    usage = Usage(tree, 0.0)
    usage.update(tree(vectors).indices, ALONE)
    assert usage.used(0.01).tolist() == [1.0, 1.0, 1.0]


def test_initialisation_is_a_function_of_vectors_and_seed() -> None:
    vectors = vectors_of(200, 3)
    made = []
    for seed in (1, 1, 2):
        tree = tree_of(3, 4, 3, seed=len(made))
        state = torch.get_rng_state()
        initialise(tree, vectors, seed, ALONE)
        assert torch.equal(torch.get_rng_state(), state)
        made.append(table(tree))
    assert torch.equal(made[0], made[1])
    assert not torch.equal(made[0], made[2])


def test_more_iterations_fit_better_on_the_whole() -> None:
    errors = []
    for iterations in (0, 8):
        total = 0.0
        for seed in range(5):
            tree, vectors = tree_of(1, 8, 3), vectors_of(400, 3, seed)
            initialise(tree, vectors, seed, ALONE, iterations)
            total += error_of(tree, vectors)
            if iterations == 0:  # what k-means starts from are vectors of the batch, all distinct
                nearest = torch.cdist(tree.codebooks[0][0].detach(), vectors).amin(-1)
                assert float(nearest.max()) < 1e-3
                assert len(tree.codebooks[0][0].unique(dim=0)) == 8
        errors.append(total)
    assert errors[1] < 0.9 * errors[0]


def test_codebooks_with_too_few_vectors_or_none_are_filled_with_little_noise() -> None:
    far = torch.tensor([[100.0, 0.0], [101.0, 0.0]])
    vectors = torch.cat([vectors_of(200, 2), far.repeat(3, 1)])
    tree = ResidualTree(3, 4, 2)
    initialise(tree, vectors, 0, ALONE)
    out = tree(vectors)
    parent = out.indices[-1, 0].item()
    assert (out.indices[:, 0] == parent).sum() == 6  # the two that are far off share a codebook
    book = tree.codebooks[1][parent].detach()
    residual = out.residuals[-2:, 1].detach()
    apart = torch.cdist(book, residual).amin(-1)
    assert sorted(apart.tolist())[:2] == pytest.approx([0.0, 0.0], abs=1e-5)
    assert len(book.unique(dim=0)) == 4
    assert apart.max() < 0.7
    used = set(out.indices[-6:, 1].tolist())
    assert len(used) == 2
    for k in set(range(4)) - used:  # nothing comes here: codewords that add next to nothing
        empty = tree.codebooks[2][parent * 4 + k].detach()
        assert len(empty.unique(dim=0)) == 4
        assert empty.abs().max() < 0.5 * out.residuals[:, 2].square().mean().sqrt()


def test_no_vectors_at_all_give_finite_codebooks() -> None:
    tree = ResidualTree(2, 4, 2)
    initialise(tree, torch.zeros(0, 2), 0, ALONE)
    assert table(tree).isfinite().all()


# ---- restart


def starving(seed: int = 0) -> tuple[ResidualTree, Usage, torch.Tensor, torch.Tensor]:
    """A tree of which some codewords are far from everything, with vectors and indices."""
    tree = tree_of(2, 3, 2, seed)
    with torch.no_grad():
        tree.codebooks[0][0, 2] = 50.0
        tree.codebooks[1][0, 1:] = 60.0
        tree.codebooks[1][1, 0] = 70.0
    vectors = vectors_of(80, 2, seed)
    indices = tree(vectors).indices
    usage = Usage(tree, 0.5)
    usage.update(indices, ALONE)
    return tree, usage, vectors, indices


@pytest.mark.parametrize("seed", range(6))
def test_dead_codewords_come_back_among_the_vectors_of_their_parent(seed: int) -> None:
    tree, usage, vectors, indices = starving(seed)
    before, old = copy.deepcopy(tree), usage.counts.clone()
    members = assigned(tree, vectors)
    dead = usage.dead(0.02)
    replaced = restart(tree, usage, vectors, indices, seed, 0.02, ALONE)
    assert [mask.shape for mask in replaced.masks] == [(1, 3), (3, 3)]
    # in layer 2 all that is dead and has a parent with vectors; nobody came to [0, 2]
    assert torch.equal(torch.cat(replaced.masks), dead)
    assert replaced.masks[0].tolist() == [[False, False, True]]
    assert replaced.masks[1][0].tolist() == [False, True, True]
    assert replaced.masks[1][1, 0]
    assert not replaced.masks[1][2].any()
    assert replaced.counts == (1, int(replaced.masks[1].sum()))
    for layer, mask in enumerate(replaced.masks):
        new, was = tree.codebooks[layer].detach(), before.codebooks[layer].detach()
        assert torch.equal(new[~mask], was[~mask])
        for parent, k in mask.nonzero().tolist():
            pool = [
                vector for index in range(3) for vector in members.get((layer, parent, index), [])
            ]
            assert any(torch.equal(new[parent, k], vector) for vector in pool)
        assert len(new[mask].unique(dim=0)) == int(mask.sum())
    share = old.mean(-1, keepdim=True).expand_as(old)
    assert torch.equal(usage.counts, torch.where(dead, share, old))
    assert not usage.dead(0.02).any()
    again = restart(tree, usage, vectors, indices, seed, 0.02, ALONE)
    assert again.counts == (0, 0)


def test_a_parent_without_vectors_leaves_its_children_alone() -> None:
    tree, usage, vectors, _ = starving()
    usage.counts[1] = torch.tensor([5.0, 0.0, 0.0])  # used before
    indices = torch.full((80, 2), 1)  # now everything goes elsewhere
    before = tree.codebooks[1][0].clone()
    replaced = restart(tree, usage, vectors, indices, 0, 0.02, ALONE)
    assert not replaced.masks[1][0].any()
    assert torch.equal(tree.codebooks[1][0], before)
    assert usage.counts[1].tolist() == [5.0, 0.0, 0.0]


def test_below_a_replaced_codeword_everything_stays() -> None:
    tree, vectors = tree_of(3, 3, 2), vectors_of(80, 2)
    usage = Usage(tree, 0.0)
    indices = torch.zeros(80, 3, dtype=torch.int64)
    indices[:8, 0] = 2  # a tenth, which counts as dead, though its own codebooks are in use
    usage.update(indices, ALONE)
    second, third = (codebook.detach().clone() for codebook in list(tree.codebooks)[1:])
    replaced = restart(tree, usage, vectors, indices, 0, 0.5, ALONE)
    assert replaced.masks[0].tolist() == [[False, True, True]]
    assert replaced.masks[1].tolist() == [[False, True, True], [False] * 3, [False] * 3]
    assert replaced.masks[2].any(-1).nonzero().flatten().tolist() == [0]
    assert torch.equal(tree.codebooks[1][2], second[2])
    assert torch.equal(tree.codebooks[2][6], third[6])


def test_too_few_distinct_vectors_restart_as_many_codewords() -> None:
    tree = tree_of(1, 5, 2)
    usage = Usage(tree, 0.0)
    with torch.no_grad():
        tree.codebooks[0][0, 0] = 0.0
        tree.codebooks[0][0, 1:] = 30.0
    vectors = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]).repeat(9, 1)
    usage.update(tree(vectors).indices, ALONE)
    replaced = restart(tree, usage, vectors, tree(vectors).indices, 0, 0.1, ALONE)
    assert replaced.counts == (2,)
    now = {tuple(row) for row in tree.codebooks[0][0].tolist()}
    assert now == {(0.0, 0.0), (1.0, 0.0), (0.0, 1.0), (30.0, 30.0)}


def test_of_very_many_vectors_a_part_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codebooks, "_ROWS", 40)
    tree, usage, vectors, indices = starving()
    members = assigned(tree, vectors)
    replaced = restart(tree, usage, vectors, indices, 3, 0.02, ALONE)
    assert replaced.masks[1][0, 1]
    for layer, mask in enumerate(replaced.masks):
        for parent, k in mask.nonzero().tolist():
            pool = [v for i in range(3) for v in members.get((layer, parent, i), [])]
            new = tree.codebooks[layer][parent, k].detach()
            assert any(torch.equal(new, vector) for vector in pool)
    initialise(tree, vectors, 0, ALONE, iterations=0)
    assert torch.cdist(tree.codebooks[0][0].detach(), vectors).amin(-1).max() < 1e-3


# ---- moving averages


def smoothed(weights: list[float], epsilon: float) -> list[float]:
    total = sum(weights)
    return [(n + epsilon) / (total + len(weights) * epsilon) * total for n in weights]


@pytest.mark.parametrize("epsilon", [0.0, 1e-5, 0.1])
@pytest.mark.parametrize("layers", [1, 2])
def test_moving_averages_are_those_of_equation_3(layers: int, epsilon: float) -> None:
    decay, tree = 0.8, tree_of(layers, 3, 2)
    moving = MovingAverageCodebooks(tree, decay, epsilon)
    weights = {
        (layer, parent, k): 1.0
        for layer in range(layers)
        for parent in range(3**layer)
        for k in range(3)
    }
    sums = {(i, p, k): tree.codebooks[i][p, k].detach().clone() for i, p, k in weights}
    for seed in range(5):
        vectors = vectors_of(9, 2, seed)
        seen = assigned(tree, vectors)
        expected = {key: tree.codebooks[key[0]][key[1], key[2]].detach().clone() for key in weights}
        for layer, parent in {key[:2] for key in seen}:
            keys = [(layer, parent, k) for k in range(3)]
            for key in keys:
                rows = seen.get(key, [])
                weights[key] = decay * weights[key] + (1 - decay) * len(rows)
                sums[key] = decay * sums[key] + (1 - decay) * sum(rows, torch.zeros(2))
            for key, n in zip(keys, smoothed([weights[k] for k in keys], epsilon), strict=True):
                expected[key] = sums[key] / n
        moving.update(tree, vectors, tree(vectors).indices, ALONE)
        for (layer, parent, k), codeword in expected.items():
            torch.testing.assert_close(tree.codebooks[layer][parent, k].detach(), codeword)
    assert sorted(moving.state_dict()) == ["sums", "weights"]
    assert not list(moving.parameters())


def test_without_smoothing_unused_codewords_stay_for_ever() -> None:
    tree = tree_of(1, 3, 2)
    with torch.no_grad():
        tree.codebooks[0][0, 2] = 40.0
    moving = MovingAverageCodebooks(tree, 0.5, 0.0)
    vectors = vectors_of(20, 2)
    for _ in range(400):
        moving.update(tree, vectors, tree(vectors).indices, ALONE)
    torch.testing.assert_close(tree.codebooks[0][0, 2].detach(), torch.tensor([40.0, 40.0]))
    out = tree(vectors)
    for k in (0, 1):  # the others have settled at the means of what they quantise
        mean = vectors[out.indices[:, 0] == k].mean(0)
        torch.testing.assert_close(tree.codebooks[0][0, k].detach(), mean)


def test_replaced_codewords_start_their_averages_anew() -> None:
    tree, usage, vectors, indices = starving()
    moving = MovingAverageCodebooks(tree, 0.9, 1e-5)
    moving.update(tree, vectors, indices, ALONE)
    weights, sums = moving.weights.clone(), moving.sums.clone()
    replaced = restart(tree, usage, vectors, indices, 0, 0.02, ALONE)
    moving.reset(tree, replaced)
    mask = torch.cat(replaced.masks)
    assert bool((moving.weights[mask] == 1).all())
    assert torch.equal(moving.sums[mask], table(tree)[mask])
    assert torch.equal(moving.weights[~mask], weights[~mask])
    assert torch.equal(moving.sums[~mask], sums[~mask])
    moving.reset(tree, None)
    assert bool((moving.weights == 1).all())
    assert torch.equal(moving.sums, table(tree))


# ---- evaluation, several processes


def test_quantising_moves_no_buffer() -> None:
    tree, usage, vectors, indices = starving()
    moving = MovingAverageCodebooks(tree, 0.9, 1e-5)
    moving.update(tree, vectors, indices, ALONE)
    parts = (tree, usage, moving)
    before = [{k: v.clone() for k, v in part.state_dict().items()} for part in parts]
    for mode in (True, False):
        for part in parts:
            part.train(mode)
        tree(vectors_of(50, 2, 9))
        usage.perplexity(), usage.used(0.1), usage.dead(0.1)
    for part, state in zip(parts, before, strict=True):
        assert all(torch.equal(value, state[name]) for name, value in part.state_dict().items())


def test_residuals_are_those_that_the_tree_quantised() -> None:
    tree, vectors = tree_of(4, 3, 2), vectors_of(30, 2)
    out = tree(vectors)
    assert torch.equal(residuals(tree, vectors, out.indices), out.residuals)
    assert not residuals(tree, vectors, out.indices).requires_grad


def three_steps(reducer: Reducer, batches: list[torch.Tensor]) -> dict[str, torch.Tensor]:
    """Initialise, then move, count and restart for some steps."""
    tree = tree_of(2, 3, 2)
    usage = Usage(tree, 0.5)
    moving = MovingAverageCodebooks(tree, 0.8, 1e-5)
    initialise(tree, batches[0], 5, reducer)
    moving.reset(tree, None)
    with torch.no_grad():
        tree.codebooks[0][0, 0] = 50.0
        tree.codebooks[1][1, 1] = 50.0
    for seed, vectors in enumerate(batches):
        indices = tree(vectors).indices
        usage.update(indices, reducer)
        moving.update(tree, vectors, indices, reducer)
        replaced = restart(tree, usage, vectors, indices, seed, 0.05, reducer)
        assert sum(replaced.counts) > 0 or seed > 0
        moving.reset(tree, replaced)
    parts = {"tree": tree, "usage": usage, "moving": moving}
    return {f"{p}.{k}": v for p, each in parts.items() for k, v in each.state_dict().items()}


def test_processes_agree_on_rows_and_on_what_the_first_one_has() -> None:
    def work(rank: Rank) -> list[list[float]]:
        mine = torch.arange(3 + rank.global_rank) + 10.0 * rank.global_rank
        rows = agreement.rows(rank, mine.clone(), 100, 0)
        few = agreement.rows(rank, mine.clone(), 4, 0)
        return [rows.tolist(), few.tolist(), agreement.first(rank, mine[:2].clone()).tolist()]

    first, second = together(work, 2)
    assert first == second
    rows, few, mine = first
    assert rows == [0, 1, 2, 10, 11, 12, 13]
    assert len(set(few)) == 4
    assert set(few[:2]) < {0, 1, 2}
    assert set(few[2:]) < {10, 11, 12, 13}
    assert mine == [0, 1]


@pytest.mark.parametrize("cut", [20, 7])
def test_two_processes_do_what_one_does(cut: int) -> None:
    batches = [vectors_of(40, 2, seed) for seed in range(3)]
    alone = three_steps(ALONE, batches)

    def work(rank: Rank) -> dict[str, torch.Tensor]:
        part = slice(cut, None) if rank.global_rank else slice(cut)
        return three_steps(rank, [batch[part] for batch in batches])

    first, second = together(work, 2)
    for name, value in alone.items():
        assert torch.equal(first[name], second[name])
        torch.testing.assert_close(first[name], value)


def test_processes_agree_on_part_of_very_many_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codebooks, "_ROWS", 30)
    batches = [vectors_of(80, 2, seed) for seed in range(3)]

    def work(rank: Rank) -> dict[str, torch.Tensor]:
        return three_steps(rank, [batch[rank.global_rank :: 2] for batch in batches])

    first, second = together(work, 2)
    assert all(torch.equal(value, second[name]) for name, value in first.items())
