"""Strict JSON of configurations, both ways."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecast.config import Config, dump, from_json, parse, to_json
from framecast.data.moving_digits import MovingDigits
from framecast.errors import ConfigError
from framecast.experiment import Experiment
from framecast.model import ModelConfig
from framecast.models.convlstm import ConvLSTMConfig, TrainingConfig
from framecast.models.copy_last import CopyLastConfig
from framecast.schedules import Schedule
from framecast.stage import OptimizerConfig

FLOATS = st.floats(allow_nan=False, allow_infinity=False)


def nested(inner):
    """Lists and tables of what JSON holds."""
    return st.lists(inner) | st.dictionaries(st.text(), inner)


@dataclass(frozen=True)
class Inner(Config):
    """A nested one."""

    x: int = 1


@dataclass(frozen=True)
class Outer(Config):
    """One field of each kind that JSON has to carry."""

    number: float
    name: str = "a"
    flag: bool = False
    kind: Literal["one", "two"] = "one"
    root: Path | None = None
    pair: tuple[int, int] = (1, 2)
    many: tuple[float, ...] = ()
    inner: Inner = Inner()
    table: dict[str, Inner] | None = None

    def __post_init__(self) -> None:
        if self.number < 0:
            raise ConfigError("number is at least 0")


@given(
    st.builds(
        Outer,
        number=st.floats(0, 1e300),
        name=st.text(),
        flag=st.booleans(),
        kind=st.sampled_from(["one", "two"]),
        root=st.one_of(st.none(), st.just(Path("a/b"))),
        pair=st.tuples(st.integers(), st.integers()),
        many=st.lists(FLOATS).map(tuple),
        inner=st.builds(Inner, x=st.integers()),
        table=st.one_of(st.none(), st.dictionaries(st.text(), st.builds(Inner, x=st.integers()))),
    )
)
def test_round_trip(config):
    """What goes into JSON comes out of it."""
    assert from_json(Outer, json.loads(json.dumps(to_json(config)))) == config


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"number": 1, "nmae": "b"}, "unknown field 'nmae'; did you mean 'name'"),
        ({}, "the field 'number' is missing"),
        ({"number": "1"}, "Outer.number: expected float, got '1'"),
        ({"number": True}, "expected float, got True"),
        ({"number": float("nan")}, "expected a finite number"),
        ({"number": 1, "flag": 1}, "Outer.flag: expected bool"),
        ({"number": 1, "kind": "three"}, "expected one of"),
        ({"number": 1, "pair": [1, 2, 3]}, "Outer.pair: expected 2 items, got 3"),
        ({"number": 1, "pair": [1, "2"]}, r"Outer.pair\[1\]: expected int"),
        ({"number": 1, "inner": {"x": 1.5}}, "Outer.inner.x: expected int, got 1.5"),
        ({"number": 1, "inner": 3}, "Outer.inner: expected an object"),
        ({"number": 1, "table": {"a": {"y": 1}}}, "Outer.table.a: unknown field 'y'"),
        ({"number": -1}, "Outer: number is at least 0"),
        ({"number": 1, "type": "other"}, "no kinds"),
        ([], "expected an object"),
    ],
)
def test_errors_name_the_place(data, message):
    """One line: which field, what was expected."""
    with pytest.raises(ConfigError, match=message) as caught:
        from_json(Outer, data)
    assert "\n" not in str(caught.value)


def test_polymorphic_fields_carry_their_type():
    """A model's configuration comes back as its own class."""
    data = to_json(ConvLSTMConfig(hidden=(3,)))
    assert data["type"] == "convlstm"
    assert from_json(ModelConfig, data) == ConvLSTMConfig(hidden=(3,))
    assert from_json(ModelConfig, {"type": "copy-last"}) == CopyLastConfig()
    with pytest.raises(ConfigError, match="did you mean 'convlstm'"):
        from_json(ModelConfig, {"type": "convlst"})
    with pytest.raises(ConfigError, match="unexpected type"):
        from_json(ModelConfig, {"type": ["convlstm"]})


def test_experiment_round_trip():
    """A whole experiment, with its stages in order."""
    stage = TrainingConfig(steps=3, teacher_forcing=Schedule(1.0, 0.0, steps=10))
    experiment = Experiment(
        ConvLSTMConfig(), MovingDigits(root=Path("x")), 5, 7, {"b": stage, "a": TrainingConfig()}, 4
    )
    again = from_json(Experiment, json.loads(json.dumps(to_json(experiment))))
    assert again == experiment
    assert list(again.stages) == ["b", "a"]


def test_experiment_checks_its_stages():
    """A stage trains the experiment's own model."""
    with pytest.raises(ConfigError, match="trains convlstm, not copy-last"):
        Experiment(CopyLastConfig(), MovingDigits(), 5, 5, {"main": TrainingConfig()})
    with pytest.raises(ConfigError, match="at least 1 frame"):
        Experiment(CopyLastConfig(), MovingDigits(), 0, 5)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_cannot_hold_are_not_written(number):
    """One line that names the place, before anything is written."""
    optimizer = OptimizerConfig()
    object.__setattr__(optimizer, "learning_rate", number)
    stages = {"main": TrainingConfig(optimizer=optimizer)}
    experiment = Experiment(ConvLSTMConfig(), MovingDigits(), 5, 7, stages)
    for write in (to_json, dump):
        with pytest.raises(ConfigError) as caught:
            write(experiment)
        assert str(caught.value) == (
            f"stages.main.optimizer.learning_rate: expected a finite number, got {number}"
        )
    with pytest.raises(ConfigError, match=r"about.pair\[1\]: expected a finite number"):
        dump({"about": {"pair": (1.0, number)}})


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_json_cannot_hold_are_not_read(text):
    """Neither Python's words for them nor a number beyond all floats, wherever they stand."""
    with pytest.raises(ConfigError, match=f"expected finite numbers, got {text}"):
        parse(f'{{"table": {{"a": [1, {text}]}}}}')
    assert parse('{"a": [1, -2.5e3]}') == {"a": [1, -2500.0]}


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text() | FLOATS, nested))
def test_text_round_trip(document):
    """What is dumped is standard JSON, and is parsed as it was."""
    assert json.loads(dump(document), parse_constant=pytest.fail) == document
    assert parse(dump(document)) == document
