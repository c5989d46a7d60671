"""`framecast models --units`: counts beside the published table."""

import subprocess
import sys

import pytest
import torch
from torch import nn

from framecast import registry
from framecast.cli.units import verdict
from framecast.layers.recurrent.convlstm import ConvLSTMUnit
from framecast.layers.recurrent.cost import cost

MEGA, GIGA = 2**20, 2**30


@pytest.fixture
def units(cli) -> dict[str, dict]:
    """The listed units by name."""
    return {unit["unit"]: unit for unit in cli("models", "--units", "--json").json["units"]}


def test_all_units_are_listed(units, cli) -> None:
    assert list(units) == registry.names("units")
    text = cli("models", "--units").out
    assert all(name in text for name in units)
    assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize(
    ("name", "parameters", "multiply_adds"),
    [
        ("convgru", 2.3438, 0.5859),
        ("dgru", 4.6875, 1.1719),
        ("rpm", 6.7188, 1.6797),
    ],
)
def test_what_the_table_counts_exactly(units, name, parameters, multiply_adds) -> None:
    unit = units[name]
    assert round(unit["parameters"] / MEGA, 4) == parameters
    assert round(unit["multiply_adds"] / GIGA, 4) == multiply_adds
    assert unit["verdict"] == "exact"


def test_the_stgru_is_near_the_table(units) -> None:
    unit = units["stgru"]
    assert unit["parameters"] / MEGA == pytest.approx(unit["published"]["parameters"], abs=0.02)
    assert unit["multiply_adds"] / GIGA == pytest.approx(
        unit["published"]["multiply_adds"], abs=0.02
    )
    assert unit["verdict"] == "differs"


def test_published_rows_are_of_registered_units(units) -> None:
    published = {name for name, unit in units.items() if unit["published"]}
    assert len(published) == 8
    for name in set(units) - published:
        assert units[name]["verdict"] == "not in table"
    assert units["stgru"]["published"]["psnr"] == 31.21
    assert units["convgru"]["published"]["lpips"] == 19.87


def test_counts_are_those_of_convolutions() -> None:
    """By the definition: a product per weight and position, the bias apart."""
    unit = ConvLSTMUnit(6, 6, 3)
    weights = sum(m.weight.numel() for m in unit.modules() if isinstance(m, nn.Conv2d))
    counted = cost("convlstm", 6, 3, (5, 7))
    assert counted.parameters == weights + 24
    assert counted.multiply_adds == weights * 5 * 7


def test_a_unit_that_descends_is_counted_both_ways() -> None:
    up, both = cost("convgru", 4, 3, (8, 8)), cost("dgru", 4, 3, (8, 8))
    assert both.multiply_adds == 2 * up.multiply_adds
    assert both.parameters == 2 * up.parameters


def test_counting_leaves_random_numbers_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    cost("rpm", 128, 5, (16, 16))
    assert torch.equal(torch.rand(1), expected)


def test_verdicts() -> None:
    row = {"parameters": 2.34, "multiply_adds": 0.59}
    assert verdict((2.3438, 0.5859), row) == "exact"
    assert verdict((2.3438, 0.5949), row) == "exact"
    assert verdict((2.3438, 0.5960), row) == "differs"
    assert verdict((2.3460, 0.59), row) == "differs"
    assert verdict((2.34, 0.59), None) == "not in table"


def test_a_name_is_refused(cli) -> None:
    ran = cli("models", "convlstm", "--units")
    assert (ran.code, "leave the model's name out" in ran.err) == (2, True)


def test_help_does_without_torch() -> None:
    script = (
        "import sys, framecast.cli.main as main; main.main(['models', '--help']);"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
    assert b"--units" in done.stdout
