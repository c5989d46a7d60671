"""TFRecord files and the Examples in them, beside TensorBoard's writer and protocol buffers."""

import os
import struct
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tensorboard.compat.tensorflow_stub.pywrap_tensorflow import masked_crc32c

from framecast.data import tfrecord
from framecast.data.example import Example
from framecast.errors import DataError

sys.path.append(str(Path(__file__).parent))
from records import Message, encode, flip, starts, write

DATA = os.environ.get("FRAMECAST_DATA")
RECORDS = [b"first", b"", bytes(range(256)) * 40, b"last"]
FEATURES = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.one_of(
        st.lists(st.binary(max_size=200), min_size=1, max_size=4),
        st.lists(st.floats(width=32), min_size=1, max_size=5),
        st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=5),
    ),
    min_size=1,
    max_size=6,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "a.tfrecord", RECORDS)


def test_records_come_back(path: Path) -> None:
    offsets = tfrecord.offsets(path).tolist()
    assert offsets == starts(path)
    assert [tfrecord.read(path, n, offset) for n, offset in enumerate(offsets)] == RECORDS
    assert tfrecord.verify(path.parent) == {}


def test_an_empty_file_has_no_records(tmp_path: Path) -> None:
    assert tfrecord.offsets(write(tmp_path / "a.tfrecord", [])).tolist() == []


@given(st.binary(max_size=300))
def test_the_checksum_is_that_of_tensorboard(data: bytes) -> None:
    assert tfrecord.masked(data) == masked_crc32c(data)


def test_a_file_that_changes_is_indexed_again(path: Path) -> None:
    assert len(tfrecord.offsets(path)) == 4
    write(path, RECORDS[:2])
    assert len(tfrecord.offsets(path)) == 2
    size = path.stat().st_size
    write(path, [b"a" * (size - 16)])
    os.utime(path, ns=(0, 0))
    assert path.stat().st_size == size
    assert len(tfrecord.offsets(path)) == 1


def test_any_changed_byte_is_found_and_its_record_named(path: Path) -> None:
    begins = starts(path)
    for place in [*range(begins[2] + 30), begins[3] - 3, begins[3] + 8, path.stat().st_size - 1]:
        flip(path, place)
        record = sum(begin <= place for begin in begins) - 1
        (fault,) = tfrecord.verify(path.parent).values()
        in_first_head = place < 12
        assert str(path) in fault
        assert ("does not begin with" if in_first_head else f"record {record} of") in fault
        assert len(fault.splitlines()) == 1
        flip(path, place)
    assert tfrecord.verify(path.parent) == {}


@pytest.mark.parametrize("lost", [1, 4, 19, 20, 10_000])
def test_a_file_cut_off_names_the_record(path: Path, lost: int) -> None:
    content = path.read_bytes()
    path.write_bytes(content[:-lost])
    record = 3 if lost < 20 else 2
    if lost == 20:  # exactly the last record: nothing tells
        assert len(tfrecord.offsets(path)) == 3
        return
    with pytest.raises(DataError, match=f"^record {record} of {path} is cut off.*get the file"):
        tfrecord.offsets(path)


def test_a_file_cut_off_after_it_was_indexed(path: Path) -> None:
    last = tfrecord.offsets(path).tolist()[-1]
    path.write_bytes(path.read_bytes()[:-2])
    with pytest.raises(DataError, match=r"record 3 of .* is cut off"):
        tfrecord.read(path, 3, last)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        tfrecord.read(path, 3, last)
    with pytest.raises(DataError, match="cannot be read"):
        tfrecord.offsets(path)


def test_a_length_beyond_any_file(path: Path) -> None:
    head = struct.pack("<Q", 2**63)
    path.write_bytes(head + struct.pack("<I", masked_crc32c(head)) + bytes(40))
    with pytest.raises(DataError, match=r"record 0 of .* cut off"):
        tfrecord.offsets(path)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("traj_0_to_255.tfrecords", True),
        ("b-train.tfrecord-00000-of-00512", True),
        ("a.TFRecord", True),
        ("a.tfrecord.gz", False),
        ("features.json", False),
    ],
)
def test_names(name: str, is_one: bool) -> None:
    assert tfrecord.is_tfrecord(Path(name)) == is_one


def test_without_the_library_it_is_named(path: Path, monkeypatch) -> None:
    tfrecord._crc32c.cache_clear()
    monkeypatch.setitem(sys.modules, "google_crc32c", None)
    with pytest.raises(DataError, match="pip install google-crc32c"):
        tfrecord.offsets(path)


@given(FEATURES)
def test_features_come_back(values: dict) -> None:
    example = Example.parse(encode(values))
    assert example.features.keys() == values.keys()
    for name, items in values.items():
        if isinstance(items[0], bytes):
            assert example.blobs(name) == items
        elif isinstance(items[0], float):
            np.testing.assert_array_equal(example.floats(name), np.array(items, np.float32))
        else:
            with pytest.raises(ValueError, match="holds no floats in the feature"):
                example.floats(name)


def test_numbers_that_are_not_packed() -> None:
    """Older writers give every number a field of its own."""
    numbers = b"".join(b"\x0d" + struct.pack("<f", n) for n in (1.5, -2.0))
    feature = b"\x12" + bytes([len(numbers)]) + numbers
    entry = b"\x0a\x01a\x12" + bytes([len(feature)]) + feature
    features = b"\x0a" + bytes([len(entry)]) + entry
    record = b"\x0a" + bytes([len(features)]) + features
    assert list(Message.FromString(record).features.feature["a"].float_list.value) == [1.5, -2.0]
    assert Example.parse(record).floats("a").tolist() == [1.5, -2.0]


def test_fields_of_other_numbers_and_kinds_are_passed_over() -> None:
    record = b"\x48\x96\x01" + b"\x51" + bytes(8) + b"\x5d" + bytes(4) + encode({"a": [b"x"]})
    assert Example.parse(record).blobs("a") == [b"x"]


@given(FEATURES, st.data())
def test_a_damaged_example_is_a_value_error(values: dict, data) -> None:
    record = encode(values)
    cut = record[: data.draw(st.integers(0, len(record) - 1))]
    with pytest.raises(ValueError, match=r"tf\.train\.Example"):
        Example.parse(cut)


@given(st.binary(max_size=60))
def test_bytes_of_anything_are_read_or_refused(record: bytes) -> None:
    with suppress(ValueError):
        for name in (example := Example.parse(record)).features:
            assert example.floats(name).dtype == np.float32


@pytest.mark.parametrize("record", [b"", b"\xff" * 11, b"\x0b", b"{}", b"\x0a\x7f"])
def test_what_is_no_example(record: bytes) -> None:
    with pytest.raises(ValueError, match=r"tf\.train\.Example"):
        Example.parse(record)


@pytest.mark.parametrize("name", ["b", "a"])
def test_a_feature_that_is_missing_or_of_another_kind(name: str) -> None:
    example = Example.parse(encode({"a": [1.0]}))
    with pytest.raises(ValueError, match=f"'{name}'"):
        example.blobs(name)


@pytest.mark.skipif(DATA is None, reason="FRAMECAST_DATA is unset")
def test_a_real_file_beside_protocol_buffers() -> None:
    path = Path(DATA or "") / "bridge" / "bridge_dataset-train.tfrecord"
    offsets = tfrecord.offsets(path).tolist()
    assert offsets == starts(path)
    assert len(offsets) == 25
    assert tfrecord.verify(path.parent) == {}
    for number, offset in enumerate(offsets):
        record = tfrecord.read(path, number, offset)
        example, oracle = Example.parse(record), Message.FromString(record).features.feature
        assert example.features.keys() == set(oracle)
        for name, feature in oracle.items():
            if feature.HasField("bytes_list"):
                assert example.blobs(name) == list(feature.bytes_list.value)
            if feature.HasField("float_list"):
                np.testing.assert_array_equal(
                    example.floats(name), np.array(feature.float_list.value, np.float32)
                )
