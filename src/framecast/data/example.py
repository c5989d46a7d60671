"""What a TFRecord holds as a rule: a `tf.train.Example`, features by name, in protocol-buffer form.

Features are decoded when they are asked for: of a record with sixty images, those that a clip needs
are touched and the others are not.

Reference: https://protobuf.dev/programming-guides/encoding and TensorFlow's example.proto and
feature.proto.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float32

VARINT, FIXED64, DELIMITED, FIXED32 = 0, 1, 2, 5
"""Wire types."""
WIDTHS = {FIXED64: 8, FIXED32: 4}
"""Bytes of a field that has no length."""
KINDS = {"bytes": 1, "floats": 2}
"""Number of the field of a Feature that holds values of a kind."""


@dataclass(frozen=True)
class Example:
    """The features of a record. All errors are ValueErrors that say what is wrong with it."""

    features: dict[str, memoryview]
    """Name to its encoded `Feature`."""

    @classmethod
    def parse(cls, record: bytes) -> "Example":
        """Find the features of a record.

        Raises:
            ValueError: if it is no Example.
        """
        features: dict[str, memoryview] = {}
        for message in _messages(memoryview(record), 1):
            for entry in _messages(message, 1):
                names = [bytes(name) for name in _messages(entry, 1)]
                values = list(_messages(entry, 2))
                if names:
                    name = names[-1].decode("utf-8", errors="replace")
                    features[name] = values[-1] if values else memoryview(b"")
        if not features:
            raise ValueError("holds no features: it is no tf.train.Example")
        return cls(features)

    def blobs(self, name: str) -> list[memoryview]:
        """The byte strings of a feature.

        Raises:
            ValueError: if there is no such feature, or it holds something else.
        """
        return [blob for values in self._lists(name, "bytes") for blob in _messages(values, 1)]

    def floats(self, name: str) -> Float32[np.ndarray, "n"]:
        """The numbers of a feature.

        Raises:
            ValueError: if there is no such feature, or it holds something else.
        """
        parts = [
            value
            for values in self._lists(name, "floats")
            for number, wire, value in _fields(values)
            if number == 1 and wire in {DELIMITED, FIXED32}
        ]
        packed = b"".join(parts)
        if len(packed) % 4:
            raise ValueError(f"is damaged: the numbers of {name!r} end half-way")
        return np.frombuffer(packed, "<f4").astype(np.float32)

    def _lists(self, name: str, kind: Literal["bytes", "floats"]) -> list[memoryview]:
        if name not in self.features:
            raise ValueError(f"has no feature {name!r}")
        lists = list(_messages(self.features[name], KINDS[kind]))
        if not lists:
            raise ValueError(f"holds no {kind} in the feature {name!r}")
        return lists


def _messages(message: memoryview, wanted: int) -> Iterator[memoryview]:
    """The fields of a number that have a length."""
    return (
        value for number, wire, value in _fields(message) if number == wanted and wire == DELIMITED
    )


def _fields(message: memoryview) -> Iterator[tuple[int, int, memoryview]]:
    """Number, wire type and bytes of every field; of a varint the bytes are left out."""
    place = 0
    while place < len(message):
        tag, place = _varint(message, place)
        number, wire = tag >> 3, tag & 7
        if wire == VARINT:
            _, place = _varint(message, place)
            yield number, wire, message[:0]
            continue
        if wire == DELIMITED:
            length, place = _varint(message, place)
        elif wire in WIDTHS:
            length = WIDTHS[wire]
        else:
            raise ValueError("holds no tf.train.Example")
        if place + length > len(message):
            raise ValueError("holds no tf.train.Example: a field is longer than what it is in")
        yield number, wire, message[place : place + length]
        place += length


def _varint(message: memoryview, place: int) -> tuple[int, int]:
    """A number in groups of seven bits, lowest first, and the place behind it."""
    value = shift = 0
    while place < len(message) and shift < 64:
        byte = message[place]
        value |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return value, place
    raise ValueError("holds no tf.train.Example: a number does not end")
