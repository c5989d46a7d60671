"""Frozen dataclasses as strict JSON, both ways.

Unknown fields, missing fields, wrong types and numbers that JSON cannot hold (NaN, infinity) are
errors that name the place. A field whose class
has subclasses by name (models, datasets, stages) carries `type` in JSON, and its base class's
`resolve(name)` finds the class.
"""

import builtins
import dataclasses
import json
import math
import types
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, Union

from framecast.errors import ConfigError
from framecast.registry import suggest

T = TypeVar("T")
Json = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Config:
    """Base of every configuration: a frozen dataclass that JSON can hold."""

    type: ClassVar[str] = ""
    """Registered name of a concrete class; empty where JSON needs no name."""

    @classmethod
    def resolve(cls, name: str) -> "builtins.type[Config]":
        """The class that a `type` in JSON stands for."""
        raise ConfigError(f"{cls.__name__} has no kinds, so {name!r} cannot be one")


def to_json(value: Any, where: str = "") -> Any:
    """A configuration as plain dictionaries, lists, strings and finite numbers.

    Args:
        value: A dataclass, or what one may hold.
        where: Path of `value` in the document, for messages.

    Raises:
        ConfigError: one line that names the place of a number that is not finite.
    """
    inside = f"{where}." if where else ""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        fields = {name: to_json(getattr(value, name), inside + name) for name in names}
        kind = getattr(value, "type", "")
        return {"type": kind, **fields} if kind else fields
    if isinstance(value, dict):
        return {str(key): to_json(item, f"{inside}{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_json(item, f"{where}[{index}]") for index, item in enumerate(value)]
    if isinstance(value, float) and not math.isfinite(value):
        raise ConfigError(f"{where or 'the value'}: expected a finite number, got {value}")
    return str(value) if isinstance(value, Path) else value


def dump(value: Any) -> str:
    """The JSON text of a configuration, or of a document that holds some.

    Raises:
        ConfigError: one line that names the place of a number that is not finite, or what JSON
            cannot hold.
    """
    try:
        return json.dumps(to_json(value), indent=1, allow_nan=False) + "\n"
    except TypeError as error:
        raise ConfigError(f"{error}; give plain numbers, texts, lists and dicts") from None


def parse(text: str, number: Callable[[str], float] = float) -> Any:
    """What a JSON text holds.

    Args:
        text: The document.
        number: What a number with a point or an exponent becomes.

    Raises:
        ValueError: if it is no JSON; ConfigError, if a number in it is not finite.
    """

    def finite(text: str) -> float:
        value = number(text)
        if not math.isfinite(value):
            raise ConfigError(f"expected finite numbers, got {text}")
        return value

    return json.loads(text, parse_constant=finite, parse_float=finite)


def from_json(cls: type[T], data: Any, where: str = "") -> T:
    """Build a configuration of class `cls` from what `to_json` gave.

    Args:
        cls: A dataclass, or a base class with `resolve`.
        data: Parsed JSON.
        where: Path of `data` in the document, for messages.

    Raises:
        ConfigError: one line that names the field and what was expected.
    """
    at = where or cls.__name__
    if not isinstance(data, dict):
        raise ConfigError(f"{at}: expected an object, got {_show(data)}")
    data = dict(data)
    name = data.pop("type", "")
    if name != getattr(cls, "type", ""):
        if not (isinstance(name, str) and hasattr(cls, "resolve")):
            raise ConfigError(f"{at}: unexpected type {_show(name)}")
        found = cls.resolve(name)  # pyright: ignore[reportAttributeAccessIssue]
        if not issubclass(found, cls):
            raise ConfigError(f"{at}: {name!r} is a {found.__name__}, expected a {cls.__name__}")
        cls = found
    fields = {f.name: f for f in dataclasses.fields(cls)}  # pyright: ignore[reportArgumentType]
    for key in data:
        if key not in fields:
            raise ConfigError(f"{at}: unknown field {key!r}; {suggest(key, fields)}")
    hints = typing.get_type_hints(cls)
    values = {key: _value(hints[key], item, f"{at}.{key}") for key, item in data.items()}
    for key, field in fields.items():
        required = field.default is dataclasses.MISSING
        if required and field.default_factory is dataclasses.MISSING and key not in values:
            raise ConfigError(f"{at}: the field {key!r} is missing")
    try:
        return cls(**values)
    except ConfigError as error:
        raise ConfigError(f"{at}: {error}") from None


def _value(hint: Any, data: Any, where: str) -> Any:
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (Union, types.UnionType):
        return _union(arguments, data, where)
    if origin is Literal:
        if not any(data == known and type(data) is type(known) for known in arguments):
            raise ConfigError(f"{where}: expected one of {list(arguments)}, got {_show(data)}")
        return data
    if origin in (tuple, list):
        return _sequence(origin, arguments, data, where)
    if origin is dict:
        if not isinstance(data, dict):
            raise ConfigError(f"{where}: expected an object, got {_show(data)}")
        return {key: _value(arguments[1], item, f"{where}.{key}") for key, item in data.items()}
    if dataclasses.is_dataclass(hint):
        return from_json(hint, data, where)  # pyright: ignore[reportArgumentType]
    return _scalar(hint, data, where)


def _union(choices: tuple[Any, ...], data: Any, where: str) -> Any:
    if data is None and type(None) in choices:
        return None
    problems = []
    for choice in choices:
        if choice is not type(None):
            try:
                return _value(choice, data, where)
            except ConfigError as error:
                problems.append(str(error))
    raise ConfigError(min(problems, key=len))


def _sequence(origin: type, arguments: tuple[Any, ...], data: Any, where: str) -> Any:
    if not isinstance(data, list):
        raise ConfigError(f"{where}: expected a list, got {_show(data)}")
    if origin is list or arguments[-1:] == (...,):
        hints = [arguments[0]] * len(data)
    else:
        hints = list(arguments)
    if len(hints) != len(data):
        raise ConfigError(f"{where}: expected {len(hints)} items, got {len(data)}")
    items = (
        _value(h, d, f"{where}[{i}]") for i, (h, d) in enumerate(zip(hints, data, strict=True))
    )
    return origin(items)


def _scalar(hint: Any, data: Any, where: str) -> Any:
    if hint is Any:
        return data
    if hint is Path and isinstance(data, str):
        return Path(data)
    if hint is float and isinstance(data, int) and not isinstance(data, bool):
        return float(data)
    if hint is float and isinstance(data, float):
        if not math.isfinite(data):
            raise ConfigError(f"{where}: expected a finite number, got {data}")
        return data
    if hint in (int, str, bool) and type(data) is hint:
        return data
    expected = getattr(hint, "__name__", str(hint))
    raise ConfigError(f"{where}: expected {expected}, got {_show(data)}")


def _show(data: Any) -> str:
    text = repr(data)
    return text if len(text) <= 60 else text[:57] + "..."
