"""Which results stand in one table: those of one protocol on the same sequences, scored alike."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from framecast.evaluation.comparison.loading import Entry, comparable
from framecast.evaluation.result import Result

UNSAID = {"task": "predict"}
"""Fields that protocols leave out where they have this value."""


@dataclass(frozen=True)
class Group:
    """Results that compare."""

    entries: tuple[Entry, ...]
    apart: str  # why they are not in an earlier table of the same data; empty for the first

    @property
    def first(self) -> Result:
        """Says what all of them share: protocol, data and what their metrics are."""
        return self.entries[0].result


def groups(entries: Sequence[Entry]) -> list[Group]:
    """Results by protocol, data, sequences and definitions of metrics, in the order given."""
    sets: list[list[Entry]] = []
    for entry in entries:
        fitting = (known for known in sets if all(_alike(entry, each) for each in known))
        home = next(fitting, None)
        if home is None:
            sets.append([entry])
        else:
            home.append(entry)
    firsts = [known[0].result for known in sets]
    return [
        Group(tuple(known), _apart(firsts[:number], firsts[number]))
        for number, known in enumerate(sets)
    ]


def _alike(one: Entry, other: Entry) -> bool:
    return comparable(one.result) == comparable(other.result) and not list(
        _redefined(one.result, other.result)
    )


def _redefined(one: Result, other: Result) -> Iterator[str]:
    """Labels of metrics that both have and that mean different things."""
    for key in one.metrics.keys() & other.metrics.keys():
        if one.metrics[key].definition != other.metrics[key].definition:
            yield one.metrics[key].label


def _apart(earlier: Sequence[Result], result: Result) -> str:
    """How a table differs from the nearest earlier one of the same dataset."""
    same = [each for each in earlier if each.protocol["data"] == result.protocol["data"]]
    if not same:
        return (
            "Another protocol: its figures do not compare with the other tables'."
            if earlier
            else ""
        )
    reasons = min((list(_reasons(each, result)) for each in same), key=len)
    return f"Apart from an earlier table, and not to be compared with it: {'; '.join(reasons)}."


def _reasons(one: Result, other: Result) -> Iterator[str]:
    if one.protocol_hash != other.protocol_hash:
        changed = list(_changed(one.protocol, other.protocol))
        yield from changed or ["its metrics are defined otherwise"]
    if one.data.fingerprint != other.data.fingerprint:
        yield (
            f"other data: fingerprint {other.data.fingerprint[:12]} instead of "
            f"{one.data.fingerprint[:12]}"
        )
    if one.data.sequences != other.data.sequences:
        yield f"{other.data.sequences:,} sequences instead of {one.data.sequences:,}"
    if redefined := sorted(_redefined(one, other)):
        yield f"other definitions of {', '.join(redefined)}"


def _changed(one: dict[str, Any], other: dict[str, Any]) -> Iterator[str]:
    """Fields of a protocol that differ, besides its name."""
    for key in {**one, **other}:
        before, after = (each.get(key, UNSAID.get(key)) for each in (one, other))
        if key not in ("name", "own") and before != after:
            yield f"{key.replace('_', ' ')} {_short(after)} instead of {_short(before)}"


def _short(value: Any) -> str:
    if isinstance(value, dict):
        return " ".join(str(part) for part in value.values())
    if isinstance(value, list):
        return "×".join(map(str, value)) or "none"
    return "none" if value is None else str(value)
