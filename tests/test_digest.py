"""SHA-256 sums."""

import subprocess

import pytest

from framecast import digest

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
"""Of `abc`. Reference: FIPS 180-2, B.1."""


def test_files_and_texts(tmp_path):
    """A path, an open file, a text."""
    (tmp_path / "a").write_bytes(b"abc")
    assert digest.of_file(tmp_path / "a") == digest.of_text("abc") == ABC
    with (tmp_path / "a").open("rb") as file:
        assert digest.of_file(file) == ABC
    assert subprocess.check_output(["sha256sum", tmp_path / "a"], text=True).startswith(ABC)


def test_json_by_content():
    """The order of keys plays no part; that of a list does."""
    assert digest.of_json({"a": 1, "b": [1, 2]}) == digest.of_json({"b": [1, 2], "a": 1})
    assert digest.of_json([1, 2]) != digest.of_json([2, 1])
    assert digest.of_json({"a": "ü"}) == digest.of_text('{"a": "\\u00fc"}')
    with pytest.raises(ValueError, match="JSON"):
        digest.of_json(float("nan"))
