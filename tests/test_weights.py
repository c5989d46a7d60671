"""Converting checkpoints: the hash first, tensors only, whole files or none."""

import hashlib
import json
import os
import pickle
import struct
from pathlib import Path

import pytest
import torch
from torch import nn

from framecast.errors import FramecastError
from framecast.weights import convert, read


class Malicious:
    """A pickle that would create a file when it is opened without care."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def saved(path: Path, content: object) -> str:
    """Save with torch and return the file's SHA-256."""
    torch.save(content, path)
    return hashlib.sha256(path.read_bytes()).hexdigest()


def metadata(path: Path) -> dict[str, str]:
    """The metadata in a safetensors header, read by hand."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length])["__metadata__"]


def one_line(error: pytest.ExceptionInfo[FramecastError]) -> str:
    text = str(error.value)
    assert "\n" not in text
    return text


def test_round_trip_keeps_names_types_and_values(tmp_path: Path) -> None:
    state = {
        "a.weight": torch.randn(3, 4),
        "a.half": torch.randn(5).half(),
        "a.count": torch.tensor(7),
        "a.turned": torch.randn(2, 3).T,
    }
    sha256 = saved(tmp_path / "a.pth", state)
    target = tmp_path / "deep" / "a.safetensors"
    result = convert(tmp_path / "a.pth", target, sha256.upper())
    back = read(target)
    assert back.keys() == state.keys()
    for name, tensor in state.items():
        assert back[name].dtype == tensor.dtype
        assert torch.equal(back[name], tensor)
    assert (result.tensors, result.parameters, result.left_out) == (4, 12 + 5 + 1 + 6, ())
    assert (result.path, result.sha256) == (target, sha256)
    assert metadata(target) == {"format": "pt", "source_sha256": sha256, "source_name": "a.pth"}
    assert [path.name for path in target.parent.iterdir()] == ["a.safetensors"]


def test_another_hash_is_refused_before_opening(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    path = tmp_path / "a.pth"
    path.write_bytes(pickle.dumps(Malicious(trap), protocol=2))
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    with pytest.raises(FramecastError) as error:
        convert(path, tmp_path / "a.safetensors", "0" * 64)
    text = one_line(error)
    assert found in text
    assert "0" * 64 in text
    assert not trap.exists()
    assert not (tmp_path / "a.safetensors").exists()


def test_code_in_a_pickle_is_refused_and_not_run(tmp_path: Path) -> None:
    trap = tmp_path / "trap"
    sha256 = saved(tmp_path / "a.pth", {"weight": torch.ones(2), "evil": Malicious(trap)})
    with pytest.raises(FramecastError, match="would run code") as error:
        convert(tmp_path / "a.pth", tmp_path / "a.safetensors", sha256)
    assert "mkdir" in one_line(error)
    assert not trap.exists()
    torch.load(tmp_path / "a.pth", weights_only=False)
    assert trap.exists(), "the trap itself does not work"


def test_a_whole_module_is_refused(tmp_path: Path) -> None:
    sha256 = saved(tmp_path / "a.pth", nn.Linear(2, 2))
    with pytest.raises(FramecastError, match=r"would run code \(torch\.nn.*Linear"):
        convert(tmp_path / "a.pth", tmp_path / "a.safetensors", sha256)


@pytest.mark.parametrize(
    "content", [b"", b"hello world\n", bytes(range(256)) * 4, b"PK\x03\x04abc"]
)
def test_a_file_of_another_kind_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.pth"
    path.write_bytes(content)
    with pytest.raises(FramecastError, match="not a PyTorch checkpoint") as error:
        convert(path, tmp_path / "a.safetensors", hashlib.sha256(content).hexdigest())
    one_line(error)


def test_half_a_checkpoint_is_one_line(tmp_path: Path) -> None:
    saved(tmp_path / "whole.pth", {"weight": torch.randn(1000)})
    half = (tmp_path / "whole.pth").read_bytes()[:2000]
    (tmp_path / "half.pth").write_bytes(half)
    with pytest.raises(FramecastError, match="not a PyTorch checkpoint") as error:
        convert(tmp_path / "half.pth", tmp_path / "a.safetensors", hashlib.sha256(half).hexdigest())
    one_line(error)


@pytest.mark.parametrize("wrapper", ["state_dict", "model", "net"])
def test_nested_state_dicts_are_found(tmp_path: Path, wrapper: str) -> None:
    content = {
        "epoch": 3,
        wrapper: {"encoder": {"weight": torch.ones(2)}, "bias": torch.zeros(1), "note": "x"},
        "optimizer": {"state": {0: torch.ones(9)}},
    }
    sha256 = saved(tmp_path / "a.pth", content)
    result = convert(tmp_path / "a.pth", tmp_path / "a.safetensors", sha256)
    assert set(read(result.path)) == {"encoder.weight", "bias"}
    assert set(result.left_out) == {"epoch", "optimizer", f"{wrapper}.note"}


def test_shared_and_sparse_tensors_are_written(tmp_path: Path) -> None:
    weight = torch.randn(4, 4)
    sparse = torch.eye(3).to_sparse()
    sha256 = saved(tmp_path / "a.pth", {"one": weight, "two": weight, "sparse": sparse})
    back = read(convert(tmp_path / "a.pth", tmp_path / "a.safetensors", sha256).path)
    assert torch.equal(back["one"], weight)
    assert torch.equal(back["two"], weight)
    assert torch.equal(back["sparse"], torch.eye(3))


@pytest.mark.parametrize(("precision", "expected"), [
    ("keep", [torch.float32, torch.float16, torch.int64]),
    ("float32", [torch.float32, torch.float32, torch.int64]),
    ("float16", [torch.float16, torch.float16, torch.int64]),
])  # fmt: skip
def test_precision_changes_floating_point_only(tmp_path: Path, precision, expected) -> None:
    state = {"a": torch.ones(2), "b": torch.ones(2).half(), "c": torch.ones(2).long()}
    sha256 = saved(tmp_path / "a.pth", state)
    convert(tmp_path / "a.pth", tmp_path / "a.safetensors", sha256, precision=precision)
    back = read(tmp_path / "a.safetensors")
    assert [back[name].dtype for name in "abc"] == expected


def test_values_that_a_precision_cannot_hold_are_refused(tmp_path: Path) -> None:
    """Named, and nothing is written; what was infinite before may stay so."""
    state = {"fine": torch.tensor([float("inf")]), "running_var": torch.tensor([1e6, 1.0])}
    sha256 = saved(tmp_path / "a.pth", state)
    target = tmp_path / "a.safetensors"
    with pytest.raises(FramecastError, match="running_var has values that float16 cannot hold"):
        convert(tmp_path / "a.pth", target, sha256, precision="float16")
    assert not target.exists()
    convert(tmp_path / "a.pth", target, sha256, precision="float32")
    assert torch.equal(read(target)["running_var"], state["running_var"])


@pytest.mark.filterwarnings("ignore")  # sparse layouts are in beta, quantised ones on their way out
def test_tensors_of_other_kinds(tmp_path: Path) -> None:
    """Compressed sparse ones are filled up; those without plain values are refused by name."""
    sparse = torch.eye(3).to_sparse_csr()
    quantised = torch.quantize_per_tensor(torch.ones(2), 0.1, 0, torch.qint8)
    sha256 = saved(tmp_path / "a.pth", {"sparse": sparse})
    back = read(convert(tmp_path / "a.pth", tmp_path / "a.safetensors", sha256).path)
    assert torch.equal(back["sparse"], torch.eye(3))
    for name, tensor in (("meta", torch.ones(2, device="meta")), ("quantised", quantised)):
        sha256 = saved(tmp_path / "b.pth", {f"{name}.weight": tensor})
        with pytest.raises(FramecastError, match=rf"{name}\.weight is .*no safetensors file"):
            convert(tmp_path / "b.pth", tmp_path / "b.safetensors", sha256)


def test_a_failed_conversion_leaves_the_old_target(tmp_path: Path) -> None:
    sha256 = saved(tmp_path / "a.pth", {"weight": torch.ones(2)})
    target = tmp_path / "a.safetensors"
    convert(tmp_path / "a.pth", target, sha256)
    before = target.read_bytes()
    empty = saved(tmp_path / "b.pth", {"epoch": 3})
    with pytest.raises(FramecastError, match="holds no tensors"):
        convert(tmp_path / "b.pth", target, empty)
    assert target.read_bytes() == before


def test_other_mistakes_are_one_line(tmp_path: Path) -> None:
    sha256 = saved(tmp_path / "a.pth", {"weight": torch.ones(2)})
    with pytest.raises(FramecastError, match="64 hexadecimal digits"):
        convert(tmp_path / "a.pth", tmp_path / "a.safetensors", sha256[:-1])
    with pytest.raises(FramecastError, match=r"\.safetensors file"):
        convert(tmp_path / "a.pth", tmp_path / "a.bin", sha256)
    with pytest.raises(FramecastError, match=r"none\.pth does not exist; check the path"):
        convert(tmp_path / "none.pth", tmp_path / "a.safetensors", sha256)
    (tmp_path / "file").write_text("")
    with pytest.raises(FramecastError, match="cannot be written"):
        convert(tmp_path / "a.pth", tmp_path / "file" / "a.safetensors", sha256)


def test_reading_refuses_pickles_and_missing_files(tmp_path: Path) -> None:
    saved(tmp_path / "a.safetensors", {"weight": torch.ones(2)})
    with pytest.raises(FramecastError, match="framecast weights convert") as error:
        read(tmp_path / "a.safetensors")
    one_line(error)
    with pytest.raises(FramecastError, match="no such file"):
        read(tmp_path / "b.safetensors")


def test_this_is_the_only_unpickling_of_the_package() -> None:
    package = Path(__file__).parents[1] / "src" / "framecast"
    users = [
        path.name
        for path in package.rglob("*.py")
        if any(
            word in path.read_text() for word in ("torch.load(", "pickle.load", "allow_pickle=T")
        )
    ]
    assert users == ["weights.py"]
