"""Videos to tokens and back, for the verbs that do it: some blocks at a time."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from framecast import folder, listing
from framecast.cli.loading import load_model
from framecast.codec import Codec
from framecast.errors import FolderError, FramecastError
from framecast.token_file import Chunk, Header, Origin, TokenFile

PIXELS = 1 << 18
"""Of frames that are in work at a time: 4 frames of 256×256."""


@dataclass(frozen=True)
class Coded:
    """Frames in a row, and what became of them."""

    chunk: Chunk
    frames: Float[Tensor, "t c h w"]
    decoded: Float[Tensor, "t c h w"]  # from the tokens


def load_codec(name: str, device: str) -> Codec:
    """A model with codes.

    Raises:
        FramecastError: if there is none of that name, or it has no codes.
    """
    model = load_model(name, device)
    if not isinstance(model, Codec):
        raise FramecastError(
            f"{model.config.type} has no codes; give a model that turns frames into tokens"
        )
    return model


def origin_of(name: str, codec: Codec) -> Origin:
    """What a token file says of the codec that made it."""
    return Origin(name, codec.config.type, _weights(name))


def codec_of(file: TokenFile, name: str | None, device: str) -> Codec:
    """The codec of a token file.

    Args:
        file: Opened.
        name: A model's name or folder; None for the one that the file names.
        device: Where to compute.

    Raises:
        FramecastError: if it is not there, or has other weights than the one that encoded.
    """
    origin = file.header.origin
    try:
        weights = _weights(name or origin.name)
    except FolderError as error:
        if name is not None:
            raise
        raise FolderError(
            f"{file.path} was encoded by {origin.name} ({origin.model}), which cannot be used: "
            f"{error}; name the same model with --model"
        ) from None
    if weights != origin.weights:
        raise FramecastError(
            f"{file.path} was encoded by {origin.name} with the weights {origin.weights[:12]}…, "
            f"and {name or origin.name} has {weights[:12]}…; name the same model with --model"
        )
    codec = load_codec(name or origin.name, device)
    _check_layout(codec, file)
    return codec


def blocks_at_a_time(block: int, size: tuple[int, int]) -> int:
    """How many blocks of frames are in work at a time."""
    return max(1, PIXELS // (block * size[0] * size[1]))


def coded(codec: Codec, frames: Iterator[Float[Tensor, "c h w"]]) -> Iterator[Coded]:
    """Encode frames as they come: memory does not grow with their number.

    Blocks are coded apart from each other. The last one is as short as the codec allows, and
    filled up with its last frame.
    """
    first = next(frames, None)
    if first is None:
        return
    count = codec.together * blocks_at_a_time(codec.together, (first.shape[-2], first.shape[-1]))
    stream = chain([first], frames)
    while taken := list(islice(stream, count)):
        portion = torch.stack(taken)
        taken.clear()  # they are in the portion, and more are read while it waits
        for part in portion.split(_whole_blocks(codec, len(portion))):
            yield _coded(codec, part)


def step_of(codec: Codec) -> int | None:
    """By how many frames the last block of a token file may be shorter; None for not at all."""
    return codec.block if codec.block < codec.together else None


def decoded(codec: Codec, chunk: Chunk, levels: int | None = None) -> Float[Tensor, "t c h w"]:
    """The frames of a chunk, from all levels of tokens or the first ones."""
    clip = codec.decode(chunk.codes.to(codec.device), levels)
    return clip.frames.flatten(0, 1)[: chunk.frames].float().cpu()


def refuse_overwriting(source: Path, target: Path) -> None:
    """Refuse to write over what is read, or among its images.

    Raises:
        FramecastError: names the output.
    """
    read, written = source.resolve(), target.resolve()
    if read in (written, written.parent) or written in read.parents:
        raise FramecastError(f"{target} would overwrite the input; give another --out")


def _whole_blocks(codec: Codec, frames: int) -> list[int]:
    """Frames that make whole blocks, and those that are left."""
    rest = frames % codec.together
    return [count for count in (frames - rest, rest) if count]


def _coded(codec: Codec, frames: Float[Tensor, "t c h w"]) -> Coded:
    """Of whole blocks, or of fewer frames than one has."""
    missing = -len(frames) % codec.block
    filled = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)])
    blocks = filled.unflatten(0, (-1, min(codec.together, len(filled)))).to(codec.device)
    chunk = Chunk(codec.encode(blocks), len(frames))
    return Coded(chunk, frames, decoded(codec, chunk))


def _weights(name: str) -> str:
    path = folder.locate(listing.checked(name))
    return folder.verify(path)["files"][folder.WEIGHTS]["sha256"]


def _check_layout(codec: Codec, file: TokenFile) -> None:
    """Whether the codec would have made tokens of that layout."""
    header = file.header
    if _layout(codec, header) != (header.values, header.grids):
        raise FramecastError(
            f"{file.path} does not hold the tokens that {codec.config.type} makes of frames of "
            f"{header.frame[1]}x{header.frame[2]}; encode the video anew"
        )


def _layout(codec: Codec, header: Header) -> tuple[object, ...] | None:
    channels, *size = header.frame
    spec = codec.expects
    if spec.size not in (None, tuple(size)) or channels not in (1, spec.channels or channels):
        return None
    if (header.step or header.block) % codec.block:
        return None
    return codec.values, codec.padded_grids(header.block, *size)
