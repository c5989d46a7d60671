"""Weights of other people: a pickle is opened once, here, and turned into safetensors.

`convert` is the only place of the package that calls `torch.load`. Everything else reads
safetensors, which holds tensors and nothing that could run.
"""

import re
import string
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Literal, cast

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from framecast import digest
from framecast.atomic import NewFile
from framecast.errors import FramecastError

Precision = Literal["keep", "float32", "float16"]

WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "params")
"""Keys under which training scripts put the state dict, looked for in this order."""

SUFFIX = ".safetensors"


@dataclass(frozen=True)
class Converted:
    """What a conversion wrote."""

    path: Path
    sha256: str  # of the source file, lower-case hexadecimal; also in the target's metadata
    tensors: int  # number of tensors written
    parameters: int  # number of values in them
    left_out: tuple[str, ...]  # entries of the source that are no weights, by name


def convert(source: Path, target: Path, sha256: str, *, precision: Precision = "keep") -> Converted:
    """Turn a PyTorch checkpoint into a safetensors file.

    The file's hash is checked before anything in it is interpreted, and only tensors and plain
    containers are unpickled. The state dict may lie at the top or under one of `WRAPPERS`, also
    nested; further levels are joined with dots. The target appears whole or not at all.

    Args:
        source: A file written by `torch.save`.
        target: The file to write, ending in `.safetensors`; replaced where it exists.
        sha256: Expected SHA-256 of `source`, 64 hexadecimal digits in either case.
        precision: What floating-point tensors become; `"keep"` leaves every type as it is.

    Returns:
        What was written and what was left out.

    Raises:
        FramecastError: The file is missing, has another hash, is no checkpoint, needs code to be
            run, holds no tensors or one that cannot be stored, or has values that are too large for
            the precision; or the target has another suffix.
    """
    if target.suffix != SUFFIX:
        raise FramecastError(f"{target}: converted weights are written to a {SUFFIX} file")
    expected = _checked_hash(sha256)
    content = _open_verified(source, expected)
    state, left_out = _state_dict(content)
    if not state:
        raise FramecastError(f"{source}: holds no tensors, so there are no weights to convert")
    tensors = {name: _prepared(name, tensor, precision) for name, tensor in state.items()}
    _write(tensors, target, {"source_sha256": expected, "source_name": source.name})
    values = sum(tensor.numel() for tensor in tensors.values())
    return Converted(target, expected, len(tensors), values, tuple(left_out))


def read(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file to the CPU.

    Args:
        path: A file written by `convert` or any other safetensors file.

    Returns:
        Tensors by name.

    Raises:
        FramecastError: The file is missing or not safetensors.
    """
    if not path.is_file():
        raise FramecastError(f"{path}: no such file")
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise FramecastError(
            f"{path}: not a safetensors file ({_line(error)}); "
            "`framecast weights convert` makes one from a PyTorch checkpoint"
        ) from error


def fill(
    path: Path, wanted: Mapping[str, Tensor], network: str, ignored: Callable[[str], bool]
) -> None:
    """Take over weights of a published network, all or none.

    Args:
        path: A safetensors file.
        wanted: What is filled, by the names in the file; floating-point types may differ.
        network: What the file is of, for messages.
        ignored: Whether a name that is not wanted may be in the file.

    Raises:
        FramecastError: The file is missing or not safetensors; or a tensor is missing, of another
            shape, not finite, or of another network. Nothing has changed then.
    """
    found = read(path)
    for name, own in wanted.items():
        if name not in found:
            raise FramecastError(f"{path}: has no {name}; the weights of {network} are needed")
        if found[name].shape != own.shape:
            raise FramecastError(
                f"{path}: {name} is of {_shape(found[name])}, where this network has "
                f"{_shape(own)}; the weights of {network} are needed"
            )
        if not found[name].isfinite().all():
            raise FramecastError(f"{path}: {name} is not finite; convert the file again")
    for name in sorted(found.keys() - wanted.keys()):
        if not ignored(name):
            raise FramecastError(f"{path}: {name} is no tensor of {network}, whose are needed")
    with torch.no_grad():
        for name, own in wanted.items():
            own.copy_(found[name])


def _checked_hash(sha256: str) -> str:
    lowered = sha256.strip().lower()
    if len(lowered) != 64 or not set(lowered) <= set(string.hexdigits):
        raise FramecastError(f"{sha256!r} is no SHA-256: 64 hexadecimal digits are expected")
    return lowered


def _open_verified(source: Path, expected: str) -> object:
    """Hash and load through one open file, so that what was checked is what is read."""
    if not source.exists():
        raise FramecastError(f"{source} does not exist; check the path")
    try:
        with source.open("rb") as file:
            found = digest.of_file(file)
            if found != expected:
                raise FramecastError(
                    f"{source}: its SHA-256 is {found}, not {expected}; the file was not opened"
                )
            file.seek(0)
            return _unpickled(file, source)
    except OSError as error:
        raise FramecastError(f"{source}: cannot be read ({_line(error)})") from error


def _unpickled(file: BinaryIO, source: Path) -> object:
    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:  # a damaged or foreign pickle can raise anything
        wanted = re.search(r"GLOBAL (\S+)", str(error))
        if wanted is not None or "TorchScript" in str(error):
            name = wanted.group(1) if wanted is not None else "TorchScript"
            raise FramecastError(
                f"{source}: opening it would run code ({name}), which is refused; "
                "a state dict of tensors alone is needed"
            ) from error
        raise FramecastError(f"{source}: not a PyTorch checkpoint, or a damaged one") from error


def _state_dict(content: object) -> tuple[dict[str, Tensor], list[str]]:
    left_out: list[str] = []
    prefix = ""
    while (wrapper := _wrapper(content)) is not None:
        mapping = cast("Mapping[object, object]", content)
        left_out += [f"{prefix}{key}" for key in mapping if key != wrapper]
        prefix += f"{wrapper}."
        content = mapping[wrapper]
    state: dict[str, Tensor] = {}
    for name, value in _leaves(content, ""):
        if isinstance(value, Tensor):
            state[name] = value
        else:
            left_out.append(f"{prefix}{name}")
    return state, left_out


def _wrapper(content: object) -> str | None:
    if not isinstance(content, Mapping):
        return None
    mapping = cast("Mapping[object, object]", content)
    return next((key for key in WRAPPERS if isinstance(mapping.get(key), Mapping)), None)


def _leaves(content: object, prefix: str) -> Iterator[tuple[str, object]]:
    if not isinstance(content, Mapping):
        yield prefix.removesuffix(".") or "(top level)", content
        return
    for key, value in cast("Mapping[object, object]", content).items():
        yield from _leaves(value, f"{prefix}{key}.")


def fits(tensor: Tensor, precision: torch.dtype) -> bool:
    """Whether all finite values of a tensor stay finite in another floating-point type."""
    return bool((tensor.to(precision).isfinite() == tensor.isfinite()).all())


def _prepared(name: str, tensor: Tensor, precision: Precision) -> Tensor:
    if tensor.is_meta or tensor.is_quantized:
        kind = "quantised" if tensor.is_quantized else "without values"
        raise FramecastError(f"{name} is {kind}, which no safetensors file holds; convert without")
    dense = tensor.detach()
    dense = dense if dense.layout is torch.strided else dense.to_dense()
    if precision != "keep" and dense.is_floating_point():
        wanted = getattr(torch, precision)
        if not fits(dense, wanted):
            raise FramecastError(
                f"{name} has values that {precision} cannot hold; keep the precision"
            )
        dense = dense.to(wanted)
    # safetensors refuses tensors that share memory, as tied weights do
    return dense.clone(memory_format=torch.contiguous_format)


def _write(tensors: dict[str, Tensor], target: Path, metadata: dict[str, str]) -> None:
    """Write beside the target, then rename: a reader never sees half a file."""
    try:
        with NewFile(target) as draft:
            save_file(tensors, draft, metadata={"format": "pt", **metadata})
    except (OSError, SafetensorError) as error:
        raise FramecastError(f"{target}: cannot be written ({_line(error)})") from error


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _shape(tensor: Tensor) -> str:
    return "×".join(str(number) for number in tensor.shape) or "one number"
