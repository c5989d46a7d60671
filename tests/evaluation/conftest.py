"""The toy model, registered while a test runs; the models of the contract tests, importable."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from handmade import Toy, ToyConfig

from framecast import registry

sys.path.insert(0, str(Path(__file__).parents[1]))


@pytest.fixture
def toy() -> Iterator[Toy]:
    registry.register("models", "toy", "handmade:Toy")
    yield Toy(ToyConfig())
    del registry.MODELS["toy"]
