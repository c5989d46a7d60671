"""Token files: a video as its codec's packed tokens.

    magic, version, length of the header    8 + 4 + 4 bytes, little-endian
    header                                  JSON, padded with spaces
    BLAKE2b-256 of all the above            32 bytes
    payload                                 the bits of block after block, then zeros up to a byte

A block is what the codec codes at a time, often one frame; its bits are as `tokens.pack` gives
them. No block needs another one to be read, and block n begins at bit n times the bits of a block.
In version 2 the last block may be shorter by steps of some frames.

Reading executes nothing, opens no other file, and allocates no more than the file's own size
justifies.
"""

import hashlib
import json
import math
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import BinaryIO

import numpy as np
from jaxtyping import UInt8

from framecast.atomic import NewFile
from framecast.config import Config, from_json, to_json
from framecast.errors import ConfigError, FramecastError
from framecast.tokens import WIDTH_MAX, Codes, Grid, bits_of, pack, unpack, width

MAGIC = b"\x89FCTOK\r\n"  # a transfer as text changes its first byte or its line end
VERSIONS = 1, 2
"""Formats that are read: 1 where blocks are equal, 2 where the last one may be shorter."""
HEADER_MAX = 1 << 16
"""Bytes of JSON at most."""

_PREAMBLE = struct.Struct("<8sII")
_DIGEST = 32
_SIDE_MAX = 1 << 20
_FRAMES_MAX = 1 << 48
_LEVELS_MAX = 64
_PORTION = 1 << 20  # bytes read at a time where the whole payload is gone through


@dataclass(frozen=True)
class Origin(Config):
    """The codec that made tokens."""

    name: str
    """What it was called: a shipped model or a folder."""
    model: str
    """Its registered type."""
    weights: str
    """SHA-256 of its weights' file."""

    def __post_init__(self) -> None:
        """Check that these are plain words."""
        if not (0 < len(self.name) <= 4096 and self.name.isprintable()):
            raise ConfigError("the model's name is empty, too long or not printable")
        if self.name.startswith(("//", "\\\\")):
            raise ConfigError(f"the model is named by a network's address, {self.name!r}")
        if not re.fullmatch(r"[\w./-]{1,200}", self.model):
            raise ConfigError("the type of model is no name")
        if not re.fullmatch(r"[0-9a-f]{64}", self.weights):
            raise ConfigError("the sum of the model's weights is no SHA-256")


@dataclass(frozen=True)
class Header(Config):
    """All that is needed to make a video of a payload, but the codec."""

    origin: Origin
    """What made the tokens."""
    fps: float
    """Frames per second."""
    frame: tuple[int, int, int]
    """Channels, height and width of a frame."""
    block: int
    """Frames that are coded together, in all blocks but the last."""
    values: tuple[int, ...]
    """How many values a token of each level can take."""
    grids: tuple[Grid, ...]
    """Each level's grid, of one block."""
    frames: int
    """Frames of the video; the last block may have been filled up with more."""
    digest: str
    """BLAKE2b-256 of the payload."""
    step: int | None = None
    """The last block has the fewest frames that are a multiple of this and hold the rest of the
    video; None if it has as many as the others."""

    def __post_init__(self) -> None:
        """Check the ranges, so that nothing of absurd size is ever computed."""
        sides = (*self.frame, self.block, *chain(*self.grids))
        step = self.block if self.step is None else self.step
        checks = {
            "fps": math.isfinite(self.fps) and 1e-3 <= self.fps <= 1e6,
            "frame, block or grids": all(0 < side <= _SIDE_MAX for side in sides),
            "values": all(n > 1 and width(n) <= WIDTH_MAX for n in self.values),
            "levels": 0 < len(self.values) == len(self.grids) <= _LEVELS_MAX,
            "step": 0 < step <= self.block and self.block % step == 0 and self._divide(step),
            "frames": 0 < self.frames <= _FRAMES_MAX,
            "digest": re.fullmatch(r"[0-9a-f]{64}", self.digest) is not None,
        }
        for name, right in checks.items():
            if not right:
                raise ConfigError(f"{name} out of the range that token files have")

    @property
    def blocks(self) -> int:
        """Blocks of frames."""
        return -(-self.frames // self.block)

    @property
    def last(self) -> int:
        """Frames that the last block was coded of."""
        rest, step = self.frames - (self.blocks - 1) * self.block, self.step or self.block
        return -(-rest // step) * step

    def grids_of(self, length: int) -> tuple[Grid, ...]:
        """Each level's grid, of so many frames."""
        return tuple((t * length // self.block, h, w) for t, h, w in self.grids)

    @property
    def tokens(self) -> int:
        """Tokens of all levels and blocks."""
        each, last = (
            sum(math.prod(grid) for grid in self.grids_of(n)) for n in (self.block, self.last)
        )
        return (self.blocks - 1) * each + last

    def block_bits(self, length: int) -> int:
        """Bits of a block of so many frames."""
        return bits_of(self.values, self.grids_of(length))

    @property
    def bits(self) -> int:
        """Bits of all tokens."""
        return (self.blocks - 1) * self.block_bits(self.block) + self.block_bits(self.last)

    @property
    def payload(self) -> int:
        """Bytes of the payload."""
        return -(-self.bits // 8)

    def _divide(self, step: int) -> bool:
        """Whether every level has whole slices for so many frames."""
        return all(time * step % self.block == 0 for time, *_ in self.grids)


@dataclass(frozen=True)
class Chunk:
    """Blocks in a row."""

    codes: Codes  # a batch: one clip per block
    frames: int  # frames of the video in it; the last chunk's last block may have been filled up

    def __post_init__(self) -> None:
        """Check that each block has frames."""
        most = len(self.codes.levels[0]) * self.codes.length
        if not most - self.codes.length < self.frames <= most:
            raise FramecastError(f"{self.frames} frames do not make blocks of {most} frames")

    @property
    def full(self) -> bool:
        """Whether every frame of every block is of the video."""
        return self.frames == len(self.codes.levels[0]) * self.codes.length


@dataclass(frozen=True)
class TokenFile:
    """A token file whose content was found whole."""

    path: Path
    header: Header
    start: int
    """Bytes before the payload."""

    @property
    def size(self) -> int:
        """Bytes of the file: header and payload, and nothing else."""
        return self.start + self.header.payload

    def chunks(self, blocks: int, first: int = 0) -> Iterator[Chunk]:
        """Tokens in order, so many blocks at a time: memory does not grow with the file.

        Args:
            blocks: How many at a time.
            first: Number of the first block.

        Raises:
            FramecastError: if the file has changed meanwhile, or a token is out of range.
        """
        header = self.header
        shorter = header.last < header.block
        equal = header.blocks - shorter
        with self.path.open("rb") as file:
            for start in range(first, equal, blocks):
                yield self._chunk(file, start, min(blocks, equal - start), header.block)
            if shorter and first < header.blocks:
                yield self._chunk(file, equal, 1, header.last)

    def _chunk(self, file: BinaryIO, start: int, count: int, length: int) -> Chunk:
        """Blocks from `start` on, of so many frames each."""
        header = self.header
        packed = self._packed(file, start, count, header.block_bits(length))
        try:
            levels = unpack(packed, header.values, header.grids_of(length))
        except FramecastError as error:
            raise FramecastError(f"{self.path} is damaged: {error}") from None
        codes = Codes(levels, header.values, header.frame, length)
        return Chunk(codes, min(header.frames - start * header.block, count * length))

    def _packed(
        self, file: BinaryIO, start: int, count: int, size: int
    ) -> UInt8[np.ndarray, "b n"]:
        """The bits of blocks that take `size` each."""
        first = start * self.header.block_bits(self.header.block)
        begin, extra = divmod(first, 8)
        end = -(-(first + count * size) // 8)
        file.seek(self.start + begin)
        data = file.read(end - begin)
        if len(data) < end - begin:
            raise FramecastError(f"{self.path} became shorter while it was read; copy it again")
        packed = np.unpackbits(np.frombuffer(data, np.uint8))
        return packed[extra : extra + count * size].reshape(count, size)


def write_tokens(
    path: Path, chunks: Iterable[Chunk], *, origin: Origin, fps: float, step: int | None = None
) -> TokenFile:
    """Write a token file as chunks come; it is there whole, or not at all.

    Args:
        path: Where it goes. A file there is replaced.
        chunks: Blocks in order, all of one shape; all but the last chunk full.
        origin: The codec that made them.
        fps: Frames per second.
        step: The last block, then alone in its chunk, may be shorter by steps of so many frames,
            and is no longer than it has to be; None if all are equal.

    Raises:
        FramecastError: if there are none, or they do not belong together.
    """
    with NewFile(path) as draft:
        written = _fill(draft, chunks, origin, fps, step)
    return replace(written, path=path)


def open_tokens(path: Path) -> TokenFile:
    """Read the header of a token file, and check all of the file against it.

    Raises:
        FramecastError: if it is no token file, or not as it was written.
        OSError: if it cannot be read.
    """
    if not path.exists():
        raise FramecastError(f"{path} does not exist; check the path")
    size = path.stat().st_size
    with path.open("rb") as file:
        header, start = _read_head(file, path)
        missing = start + header.payload - size
        if missing:
            fault = "too few" if missing > 0 else "too many"
            raise FramecastError(
                f"{path} has {abs(missing)} bytes {fault} for its {header.frames} frames; "
                "copy it again"
            )
        digest = hashlib.blake2b(digest_size=_DIGEST)
        while data := file.read(_PORTION):
            digest.update(data)
        if digest.hexdigest() != header.digest:
            raise FramecastError(f"{path} is damaged: its tokens have changed; copy it again")
    return TokenFile(path, header, start)


def _fill(
    path: Path, chunks: Iterable[Chunk], origin: Origin, fps: float, step: int | None
) -> TokenFile:
    stream = iter(chunks)
    first = next(stream, None)
    if first is None:
        raise FramecastError("there are no frames to write as tokens")
    codes = first.codes
    header = Header(
        origin=origin,
        fps=fps,
        frame=codes.frame,
        block=codes.length,
        values=codes.values,
        grids=codes.grids,
        frames=_FRAMES_MAX,  # until they are counted: nothing takes more room
        digest="0" * 2 * _DIGEST,
        step=step,
    )
    room = len(_text(header))
    if room > HEADER_MAX:
        raise FramecastError(f"the header takes {room} bytes, and {HEADER_MAX} is the most")
    start = _PREAMBLE.size + room + _DIGEST
    with path.open("wb") as file:
        file.seek(start)
        frames, digest = _write_payload(file, chain([first], stream), header)
        header = replace(header, frames=frames, digest=digest)
        file.seek(0)
        file.write(_head(header, room))
    return TokenFile(path, header, start)


def _write_payload(file: BinaryIO, chunks: Iterable[Chunk], header: Header) -> tuple[int, str]:
    """Append chunks to a file whose header fits the first one; gives frames and digest."""
    digest = hashlib.blake2b(digest_size=_DIGEST)
    frames, before = 0, None
    carried = np.zeros(0, np.uint8)
    for chunk in chunks:
        _check_order(header, before, chunk)
        bits = np.concatenate([carried, pack(chunk.codes).ravel()])
        whole = len(bits) // 8 * 8
        data, carried = np.packbits(bits[:whole]).tobytes(), bits[whole:]
        digest.update(data)
        file.write(data)
        frames, before = frames + chunk.frames, chunk
    data = np.packbits(carried).tobytes()
    digest.update(data)
    file.write(data)
    return frames, digest.hexdigest()


def _check_order(header: Header, before: Chunk | None, chunk: Chunk) -> None:
    codes, step = chunk.codes, header.step or header.block
    blocks = len(codes.levels[0])
    shorter = codes.length < header.block and blocks == 1 and codes.length % step == 0
    grids = header.grids_of(codes.length)
    if (codes.values, codes.grids, codes.frame) != (header.values, grids, header.frame) or not (
        codes.length == header.block or shorter
    ):
        raise FramecastError("tokens of different codecs or frame sizes cannot be in one file")
    if before is not None and not (before.full and before.codes.length == header.block):
        raise FramecastError("only the last chunk of a token file may be filled up or shorter")
    if blocks * codes.length - chunk.frames >= step:
        raise FramecastError(f"a token file's last block is filled up by less than {step} frames")


def _text(header: Header) -> bytes:
    document = to_json(header)
    if header.step is None:
        del document["step"]  # which version 1 does not have
    return json.dumps(document, allow_nan=False, separators=(",", ":")).encode()


def _head(header: Header, room: int) -> bytes:
    """All that is before the payload."""
    version = 1 if header.step is None else 2
    head = _PREAMBLE.pack(MAGIC, version, room) + _text(header).ljust(room)
    return head + hashlib.blake2b(head, digest_size=_DIGEST).digest()


def _read_head(file: BinaryIO, path: Path) -> tuple[Header, int]:
    preamble = file.read(_PREAMBLE.size)
    if len(preamble) < _PREAMBLE.size or not preamble.startswith(MAGIC):
        raise FramecastError(f"{path} is no token file; `framecast encode` writes them")
    _, version, room = _PREAMBLE.unpack(preamble)
    if version not in VERSIONS:
        known = " and ".join(map(str, VERSIONS))
        raise FramecastError(
            f"{path} has format version {version} and this framecast reads {known}; "
            "use a newer one, or copy the file again"
        )
    text = file.read(min(room, HEADER_MAX))
    digest = file.read(_DIGEST)
    expected = hashlib.blake2b(preamble + text, digest_size=_DIGEST).digest()
    if len(text) < room or digest != expected:
        raise FramecastError(f"{path} is damaged in its header; copy it again")
    try:
        header = from_json(Header, json.loads(text), "header")
        if (header.step is None) != (version == 1):
            raise ConfigError("header: the field 'step' is of format version 2")
        return header, _PREAMBLE.size + room + _DIGEST
    except (ValueError, RecursionError) as error:
        raise FramecastError(f"{path} is no valid token file: {error}") from None
