"""Three samplers, one result: against drawing by hand from a network of explicit tables."""

import pytest
import torch
from torch import Tensor

from framecast.errors import ConfigError
from framecast.layers.autoregressive import (
    Draw,
    Rule,
    cached,
    default_sampler,
    fixed_point,
    naive,
)
from framecast.noise import Noise


class Tables:
    """Logits of position k: a sum of one table row for each earlier token, and a squared sum."""

    def __init__(self, positions: int, values: int, strength: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(11)
        shape = (positions, positions, values, values)
        self.tables = strength * torch.randn(shape, generator=generator, dtype=torch.float64)
        self.calls = 0

    def one(self, position: int, tokens: Tensor) -> Tensor:
        total = self.tables[position, position, 0].expand(len(tokens), -1)
        for earlier in range(position):
            total = total + self.tables[position, earlier, tokens[:, earlier]]
        return total + 0.1 * total.square()

    def step(self, position: int, tokens: Tensor) -> Tensor:
        self.calls += 1
        return self.one(position, tokens)

    def logits(self, tokens: Tensor) -> Tensor:
        self.calls += 1
        return torch.stack([self.one(k, tokens) for k in range(tokens.shape[1])], 1)


def by_hand(network: Tables, rows: int, noise: Tensor | None, rule: Rule) -> Tensor:
    """Ancestral sampling, token by token and row by row."""
    positions, values = network.tables.shape[0], network.tables.shape[-1]
    tokens = torch.zeros(rows, positions, dtype=torch.int64)
    for position in range(positions):
        logits = network.one(position, tokens)
        for row in range(rows):
            order = sorted(range(values), key=lambda m: -float(logits[row, m]))
            allowed = order if rule.top_k is None or noise is None else order[: rule.top_k]
            score = {
                m: float(logits[row, m])
                if noise is None
                else float(logits[row, m]) / rule.temperature + float(noise[row, position, m])
                for m in allowed
            }
            tokens[row, position] = max(score, key=lambda m: score[m])
    return tokens


RULES = [Rule(), Rule(temperature=0.5), Rule(top_k=2), Rule(temperature=2.0, top_k=3), Rule(1.0, 9)]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("draws", [True, False])
@pytest.mark.parametrize(("rows", "positions", "values"), [(1, 1, 2), (3, 7, 4), (2, 12, 5)])
def test_all_samplers_draw_what_drawing_by_hand_gives(rule, draws, rows, positions, values):
    network = Tables(positions, values)
    noise = Noise.of(0, range(rows), 1).gumbel(positions, values)[0].double() if draws else None
    expected = by_hand(network, rows, noise, rule)
    generator = torch.Generator().manual_seed(1)
    guess = torch.randint(values, (rows, positions), generator=generator)
    logits = network.logits(expected)
    for sampler in (naive, cached, fixed_point):
        before = guess.clone()
        drawn = sampler(network, guess, noise, rule)
        assert torch.equal(drawn.tokens, expected), sampler.__name__
        torch.testing.assert_close(drawn.logits, logits)
        assert torch.equal(guess, before)
        assert drawn.passes <= positions


def test_passes_are_the_calls_that_were_made():
    noise = Noise.of(0, range(2), 1).gumbel(9, 4)[0].double()
    guess = torch.zeros(2, 9, dtype=torch.int64)
    for sampler in (naive, cached, fixed_point):
        network = Tables(9, 4)
        assert sampler(network, guess, noise, Rule()).passes == network.calls


def test_a_right_guess_needs_one_pass_and_independent_positions_two():
    noise = Noise.of(0, range(2), 1).gumbel(9, 4)[0].double()
    network = Tables(9, 4)
    tokens = naive(network, torch.zeros(2, 9, dtype=torch.int64), noise, Rule()).tokens
    assert fixed_point(network, tokens, noise, Rule()).passes == 1
    independent = Tables(9, 4, strength=0.0)
    assert fixed_point(independent, (tokens + 1) % 4, noise, Rule()).passes == 2


def test_log_prob_is_that_of_the_untempered_network():
    network = Tables(6, 4)
    noise = Noise.of(3, range(2), 1).gumbel(6, 4)[0].double()
    drawn = cached(network, torch.zeros(2, 6, dtype=torch.int64), noise, Rule(0.3, 2))
    expected = torch.zeros(2, dtype=torch.float64)
    for row in range(2):
        for k in range(6):
            chances = network.one(k, drawn.tokens)[row].exp()
            expected[row] += (chances[drawn.tokens[row, k]] / chances.sum()).log()
    torch.testing.assert_close(drawn.log_prob, expected)


def test_log_prob_of_half_precision_logits_is_single():
    logits = torch.randn(1, 3, 4).bfloat16()
    assert Draw(torch.zeros(1, 3, dtype=torch.int64), logits, 1).log_prob.dtype == torch.float32


@pytest.mark.parametrize(("rule", "power", "kept"), [(Rule(), 1, 4), (Rule(0.5, 3), 2, 3)])
def test_draws_have_the_chances_of_the_softmax(rule, power, kept):
    chances = torch.tensor([0.4, 0.3, 0.2, 0.1])
    noise = Noise.of(0, [0], 1).gumbel(40_000, 4)[0, 0]
    tokens = rule.choose(chances.log().expand(40_000, 4), noise)
    expected = chances.pow(power)
    expected[kept:] = 0
    frequencies = tokens.bincount(minlength=4) / 40_000
    torch.testing.assert_close(frequencies, expected / expected.sum(), atol=0.01, rtol=0)
    assert (frequencies[kept:] == 0).all()


@pytest.mark.parametrize("values", [{"temperature": 0.0}, {"temperature": -1.0}, {"top_k": 0}])
def test_impossible_rules_are_refused(values):
    with pytest.raises(ConfigError):
        Rule(**values)


@pytest.mark.parametrize(
    ("device", "rows", "sampler"),
    [("cpu", 1, "fixed-point"), ("cpu", 2, "cached"), ("cuda", 8, "fixed-point")],
)
def test_what_auto_stands_for(device, rows, sampler):
    assert default_sampler(torch.device(device), rows) == sampler
