"""`framecast weights convert`: PyTorch checkpoints to safetensors."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Literal

from tyro.conf import Positional

from framecast.cli import terminal
from framecast.cli.options import OUT, dispatch, parse


@dataclass(frozen=True)
class Convert:
    """Convert a PyTorch checkpoint to safetensors, after checking its hash.

    Nothing in the file is executed: only tensors and plain containers are read from it.
    """

    file: Positional[Path]
    """The checkpoint, written by torch.save."""
    sha256: str
    """The SHA-256 that its source publishes; another file is not opened."""
    out: Annotated[Path | None, OUT] = None
    """The safetensors file to write; beside the checkpoint if not given."""
    precision: Literal["keep", "float32", "float16"] = "keep"
    """What floating-point tensors become."""
    json: bool = False
    """Print one JSON document."""


def run(argv: Sequence[str]) -> int:
    """Find the verb's verb."""
    return dispatch("weights", argv, {"convert": (_convert, "a PyTorch checkpoint to safetensors")})


def _convert(argv: Sequence[str]) -> int:
    options = parse(Convert, "weights convert", argv)
    from framecast import weights

    target = options.out or options.file.with_suffix(weights.SUFFIX)
    done = weights.convert(options.file, target, options.sha256, precision=options.precision)
    left_out = f"; left out: {', '.join(done.left_out)}" if done.left_out else ""
    line = f"wrote {done.path}: {done.tensors} tensors, {done.parameters:,} values{left_out}"
    terminal.show(asdict(done), [line], options.json)
    return 0
