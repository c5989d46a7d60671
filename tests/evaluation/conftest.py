"""The toy model, registered while a test runs."""

from collections.abc import Iterator

import pytest
from handmade import Toy, ToyConfig

from framecast import registry


@pytest.fixture
def toy() -> Iterator[Toy]:
    registry.register("models", "toy", "handmade:Toy")
    yield Toy(ToyConfig())
    del registry.MODELS["toy"]
