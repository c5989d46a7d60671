"""Packing of tokens, and the files that hold them."""

import hashlib
import json
import math
import struct
import tracemalloc
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from framecast.errors import ConfigError, FramecastError
from framecast.token_file import (
    HEADER_MAX,
    Chunk,
    Header,
    Origin,
    TokenFile,
    _text,
    open_tokens,
    write_tokens,
)
from framecast.tokens import Codes, pack, unpack, width

ORIGIN = Origin("runs/mine", "pooling", "5e" * 32)
GOLDEN = Path(__file__).parent / "golden/tokens-1.tokens"
GOLDEN_SHORTER = Path(__file__).parent / "golden/tokens-2.tokens"

RANGES = st.one_of(st.integers(2, 1024), st.sampled_from([2, 255, 256, 257, 65536, 65537, 2**32]))
GRIDS = st.tuples(st.integers(1, 4), st.integers(1, 5), st.integers(1, 5))
LEVELS = st.lists(st.tuples(RANGES, GRIDS), min_size=1, max_size=4)


def made_up(levels, clips: int, length: int = 2, seed: int = 0) -> Codes:
    """Random tokens; the first and the last value of each range are among them."""
    generator = np.random.default_rng(seed)
    tokens = []
    for values, grid in levels:
        level = generator.integers(0, values, (clips, *grid))
        level.flat[0], level.flat[-1] = 0, values - 1
        tokens.append(torch.from_numpy(level))
    return Codes(tuple(tokens), tuple(v for v, _ in levels), (3, 8, 6), length)


def parted(codes: Codes, sizes: list[int]) -> Iterator[Codes]:
    """A batch cut into smaller ones."""
    for part in zip(*(level.split(sizes) for level in codes.levels), strict=True):
        yield replace(codes, levels=part)


def chunks(codes: Codes, frames: int, portion: int = 1) -> Iterator[Chunk]:
    """Portions of blocks, of which so many frames count."""
    blocks = len(codes.levels[0])
    sizes = [min(portion, blocks - start) for start in range(0, blocks, portion)]
    for part in parted(codes, sizes):
        count = min(frames, len(part.levels[0]) * codes.length)
        yield Chunk(part, count)
        frames -= count


def bit_string(codes: Codes) -> str:
    """The format in words: block by block, level by level, in raster order, highest bit first."""
    text = ""
    for block in range(len(codes.levels[0])):
        for level, values in zip(codes.levels, codes.values, strict=True):
            digits = math.ceil(math.log2(values)) if values > 2 else 1
            for token in level[block].flatten().tolist():
                text += format(token, f"0{digits}b")
    return text


def whole(file: TokenFile, blocks: int = 3, first: int = 0) -> Codes:
    """All tokens of a file as one batch."""
    return Codes.collate([chunk.codes for chunk in file.chunks(blocks, first)])


def same(one: Codes, two: Codes) -> bool:
    """Whether all of it is equal."""
    facts = [(codes.values, codes.frame, codes.length) for codes in (one, two)]
    levels = zip(one.levels, two.levels, strict=True)
    return facts[0] == facts[1] and all(torch.equal(a, b) for a, b in levels)


@pytest.mark.parametrize(("values", "bits"), [(2, 1), (3, 2), (4, 2), (5, 3), (512, 9), (513, 10)])
def test_a_token_takes_the_fewest_whole_bits(values: int, bits: int) -> None:
    assert width(values) == bits


@settings(deadline=None)
@given(LEVELS, st.integers(1, 5), st.integers(0, 99))
def test_packing_is_what_its_words_say_and_comes_back(levels, clips: int, seed: int) -> None:
    codes = made_up(levels, clips, seed=seed)
    packed = pack(codes)
    assert packed.shape == (clips, codes.bits)
    assert "".join(map(str, packed.ravel())) == bit_string(codes)
    back = unpack(packed, codes.values, codes.grids)
    assert same(replace(codes, levels=back), codes)


@pytest.mark.parametrize("token", [-1, 3])
def test_a_token_out_of_its_range_is_not_packed(token: int) -> None:
    level = torch.tensor([[[[0, 2, token]]]])
    with pytest.raises(FramecastError, match=f"a token of level 1 is {token}, not from 0 to 2"):
        pack(Codes((level,), (3,), (1, 1, 1), 1))


def test_a_range_of_more_than_32_bits_is_not_packed() -> None:
    with pytest.raises(FramecastError, match="more than 32 bits"):
        pack(Codes((torch.zeros(1, 1, 1, 1, dtype=torch.long),), (2**32 + 1,), (1, 1, 1), 1))


@settings(deadline=None)
@given(LEVELS, st.integers(1, 9), st.integers(1, 3), st.integers(0, 2), st.integers(1, 4))
def test_a_file_holds_the_bits_and_gives_the_tokens_back(
    tmp_path_factory, levels, blocks: int, length: int, missing: int, portion: int
) -> None:
    path = tmp_path_factory.mktemp("tokens") / "a.tokens"
    codes = made_up(levels, blocks, length)
    frames = blocks * length - min(missing, length - 1)
    written = write_tokens(path, chunks(codes, frames, portion), origin=ORIGIN, fps=25.0)
    file = open_tokens(path)
    assert file == written
    header = file.header
    assert (header.frames, header.fps, header.origin) == (frames, 25.0, ORIGIN)
    assert header.bits == len(bit_string(codes)) == codes.bits * blocks
    assert header.tokens == sum(level.numel() for level in codes.levels)
    assert path.stat().st_size == file.size == file.start + math.ceil(header.bits / 8)
    payload = np.frombuffer(path.read_bytes()[file.start :], np.uint8)
    assert "".join(format(byte, "08b") for byte in payload) == bit_string(codes).ljust(
        8 * len(payload), "0"
    )
    assert same(whole(file), codes)
    assert sum(chunk.frames for chunk in file.chunks(2)) == frames


def whole_and_rest(blocks: int, rest: int, filled: int = 0, portion: int = 9) -> list[Chunk]:
    """Blocks of eight frames, and a last one that is coded of fewer, `filled` of them made up."""
    short = made_up([(5, (rest // 4, 1, 3)), (300, (rest // 2, 2, 1))], 1, rest, seed=1)
    last = [Chunk(short, rest - filled)]
    if not blocks:
        return last
    coarse = made_up([(5, (2, 1, 3)), (300, (4, 2, 1))], blocks, 8)
    return [*chunks(coarse, 8 * blocks, portion), *last]


@settings(deadline=None)
@given(
    st.integers(0, 3),
    st.sampled_from([4, 8]),
    st.integers(0, 3),
    st.integers(1, 3),
    st.integers(0, 4),
)
def test_the_last_block_may_be_shorter(
    tmp_path_factory, blocks: int, rest: int, filled: int, portion: int, first: int
) -> None:
    """By four frames here; payload and sizes are those of its own tokens."""
    path = tmp_path_factory.mktemp("tokens") / "a.tokens"
    given = whole_and_rest(blocks, rest, filled, portion)
    written = write_tokens(path, given, origin=ORIGIN, fps=25.0, step=4)
    file = open_tokens(path)
    assert file == written
    header, bits = file.header, "".join(bit_string(chunk.codes) for chunk in given)
    assert header.frames == 8 * blocks + rest - filled
    assert header.blocks == blocks + 1
    assert header.bits == len(bits)
    tokens = [level.numel() for chunk in given for level in chunk.codes.levels]
    assert header.tokens == sum(tokens)
    assert path.stat().st_size == file.size == file.start + math.ceil(len(bits) / 8)
    payload = np.frombuffer(path.read_bytes()[file.start :], np.uint8)
    text = "".join(format(byte, "08b") for byte in payload)
    assert text == bits.ljust(8 * len(payload), "0")
    apart = [
        part for chunk in given for part in parted(chunk.codes, [1] * len(chunk.codes.levels[0]))
    ]
    expected = apart[first:]
    found = list(file.chunks(portion, first))
    assert sum(chunk.frames for chunk in found) == max(0, header.frames - 8 * first)
    again = [
        part for chunk in found for part in parted(chunk.codes, [1] * len(chunk.codes.levels[0]))
    ]
    assert len(again) == len(expected)
    assert all(same(one, other) for one, other in zip(again, expected, strict=True))


def test_a_last_block_has_to_fit(tmp_path: Path) -> None:
    """It is alone in its chunk, a multiple of the step, no longer than it has to be, and last."""

    def write(given: list[Chunk], step: int | None) -> None:
        write_tokens(tmp_path / "a", given, origin=ORIGIN, fps=25.0, step=step)

    whole, rest = whole_and_rest(1, 4)
    longer = whole_and_rest(0, 8)[0]
    for step in (None, 8):
        with pytest.raises(FramecastError, match="different codecs"):
            write([whole, rest], step)
    with pytest.raises(FramecastError, match="only the last chunk"):
        write([whole, rest, whole], 4)
    with pytest.raises(FramecastError, match="different codecs"):
        write([rest, whole], 4)
    with pytest.raises(FramecastError, match="filled up by less than 4 frames"):
        write([whole, replace(longer, frames=4)], 4)
    two = Codes.collate([rest.codes, rest.codes])
    with pytest.raises(FramecastError, match="different codecs"):
        write([whole, Chunk(two, 8)], 4)
    with pytest.raises(ConfigError, match="step out of the range"):
        write([whole, rest], 3)
    assert list(tmp_path.iterdir()) == []


@settings(deadline=None)
@given(st.integers(0, 6), st.integers(1, 4))
def test_reading_may_begin_at_any_block(tmp_path_factory, first: int, portion: int) -> None:
    path = tmp_path_factory.mktemp("tokens") / "a.tokens"
    codes = made_up([(5, (1, 3, 1)), (2, (1, 1, 2))], 7)  # 11 bits: blocks begin inside of bytes
    write_tokens(path, chunks(codes, 13, 2), origin=ORIGIN, fps=25.0)
    rest = whole(open_tokens(path), portion, first)
    assert same(rest, replace(codes, levels=tuple(level[first:] for level in codes.levels)))


def test_the_golden_file_decodes_for_ever() -> None:
    """Written by the first version of the format; its tokens are n² modulo their range."""
    file = open_tokens(GOLDEN)
    assert (file.header.frames, file.header.fps, file.header.frame) == (7, 29.97, (3, 8, 6))
    assert file.header.origin == Origin("pooling/golden", "pooling", "0123456789abcdef" * 4)
    assert same(whole(file), golden())


def test_the_golden_file_with_a_shorter_end_decodes_for_ever(tmp_path: Path) -> None:
    """Written by the second version; eleven frames in blocks of eight and four."""
    file = open_tokens(GOLDEN_SHORTER)
    assert (file.header.frames, file.header.block, file.header.step) == (11, 8, 4)
    expected = shorter_golden()
    found = list(file.chunks(2))
    assert [chunk.frames for chunk in found] == [8, 3]
    assert all(same(a.codes, b.codes) for a, b in zip(found, expected, strict=True))
    origin = file.header.origin
    write_tokens(tmp_path / "new", expected, origin=origin, fps=29.97, step=4)
    assert (tmp_path / "new").read_bytes() == GOLDEN_SHORTER.read_bytes()


def shorter_golden() -> list[Chunk]:
    """What that file holds: n² modulo a level's range, in each block anew."""
    found = []
    for length, frames in ((8, 8), (4, 3)):
        grids = {5: (length // 4, 1, 3), 1000: (length // 2, 2, 1)}
        levels = tuple(
            (torch.arange(math.prod(grid)) ** 2 % values).reshape(1, *grid)
            for values, grid in grids.items()
        )
        found.append(Chunk(Codes(levels, tuple(grids), (3, 8, 6), length), frames))
    return found


def golden() -> Codes:
    """What the golden file holds."""
    grids = {5: (1, 2, 3), 512: (2, 2, 2), 1000: (2, 3, 1)}
    levels = tuple(
        (torch.arange(4 * math.prod(grid)) ** 2 % values).reshape(4, *grid)
        for values, grid in grids.items()
    )
    return Codes(levels, tuple(grids), (3, 8, 6), 2)


def test_the_format_is_written_as_it_was(tmp_path: Path) -> None:
    origin = Origin("pooling/golden", "pooling", "0123456789abcdef" * 4)
    write_tokens(tmp_path / "new", chunks(golden(), 7), origin=origin, fps=29.97)
    assert (tmp_path / "new").read_bytes() == GOLDEN.read_bytes()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """A file of seven frames."""
    codes = made_up([(3, (1, 2, 2)), (100, (2, 4, 3))], 4)
    return write_tokens(tmp_path / "a.tokens", chunks(codes, 7), origin=ORIGIN, fps=25.0).path


def test_every_changed_bit_is_found(stored: Path) -> None:
    data = stored.read_bytes()
    for position in range(len(data)):
        changed = bytearray(data)
        changed[position] ^= 1 << position % 8
        stored.write_bytes(changed)
        with pytest.raises(FramecastError) as caught:
            open_tokens(stored)
        assert str(stored) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_every_missing_end_is_found(stored: Path) -> None:
    data = stored.read_bytes()
    for length in range(len(data)):
        stored.write_bytes(data[:length])
        with pytest.raises(FramecastError, match=r"too few|no token file|damaged in its header"):
            open_tokens(stored)


def test_more_bytes_are_found(stored: Path) -> None:
    stored.write_bytes(stored.read_bytes() + b"\0\0")
    with pytest.raises(FramecastError, match="has 2 bytes too many for its 7 frames"):
        open_tokens(stored)


def test_another_version_is_named(stored: Path) -> None:
    data = stored.read_bytes()
    stored.write_bytes(data[:8] + struct.pack("<I", 3) + data[12:])
    with pytest.raises(FramecastError, match="has format version 3 and this framecast reads 1 and"):
        open_tokens(stored)


def forged(path: Path, text: bytes, payload: bytes = b"", version: int = 1) -> Path:
    """A file with any header, rightly summed."""
    head = struct.pack("<8sII", b"\x89FCTOK\r\n", version, len(text)) + text
    path.write_bytes(head + hashlib.blake2b(head, digest_size=32).digest() + payload)
    return path


def document(stored: Path) -> dict:
    """The header's JSON."""
    data = stored.read_bytes()
    return json.loads(data[16 : 16 + struct.unpack("<I", data[12:16])[0]])


@pytest.mark.parametrize(
    "change",
    [
        {"frames": 2**49},
        {"frames": 0},
        {"frames": True},
        {"frames": "7"},
        {"block": 0},
        {"block": 2**21},
        {"fps": 0},
        {"fps": -25.0},
        {"fps": float("nan")},
        {"fps": 1e300},
        {"frame": [3, 8]},
        {"frame": [3, 8, -6]},
        {"frame": [3, 8, 2**40]},
        {"values": [3, 2**33]},
        {"values": [3, 1]},
        {"values": [3]},
        {"values": []},
        {"grids": [[1, 2, 2], [2, 4, 0]]},
        {"grids": [[1, 2, 2], [2, 4, 2**30]]},
        {"digest": "no sum"},
        {"more": 1},
        {"origin": None},
        {"origin": {"name": "", "model": "m", "weights": "5e" * 32}},
        {"origin": {"name": "a\nb", "model": "m", "weights": "5e" * 32}},
        {"origin": {"name": "a\0b", "model": "m", "weights": "5e" * 32}},
        {"origin": {"name": "//host/share", "model": "m", "weights": "5e" * 32}},
        {"origin": {"name": "\\\\host\\share", "model": "m", "weights": "5e" * 32}},
        {"origin": {"name": "n", "model": "os:system(1)", "weights": "5e" * 32}},
        {"origin": {"name": "n", "model": "m", "weights": "5e"}},
        {"origin": {"name": "n", "model": "m", "weights": "5e" * 32, "more": 0}},
    ],
    ids=str,
)
def test_a_forged_header_is_refused(stored: Path, change: dict) -> None:
    """Even one with the right sums: nothing of it is believed."""
    payload = stored.read_bytes()[-open_tokens(stored).header.payload :]
    header = {**document(stored), **change}
    forged(stored, json.dumps(header).encode(), payload)
    with pytest.raises(FramecastError, match="is no valid token file: ") as caught:
        open_tokens(stored)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("step", [0, -4, 3, 5, 2**60, True, "4", 2, None])
def test_a_forged_step_is_refused(tmp_path: Path, step: object) -> None:
    """Also one of which a level has no whole number of slices (2), and none at all."""
    path = tmp_path / "a.tokens"
    write_tokens(path, whole_and_rest(1, 4), origin=ORIGIN, fps=25.0, step=4)
    payload = path.read_bytes()[-open_tokens(path).header.payload :]
    header = document(path)
    text = json.dumps({**header, "step": step}).encode()
    with pytest.raises(FramecastError, match="is no valid token file: "):
        open_tokens(forged(path, text, payload, version=2))
    assert open_tokens(forged(path, json.dumps(header).encode(), payload, version=2)).header.step


def test_only_the_second_version_has_steps(tmp_path: Path) -> None:
    path = tmp_path / "a.tokens"
    write_tokens(path, whole_and_rest(1, 4), origin=ORIGIN, fps=25.0, step=4)
    payload = path.read_bytes()[-open_tokens(path).header.payload :]
    header = document(path)
    forged(path, json.dumps(header).encode(), payload, version=1)
    with pytest.raises(FramecastError, match="'step' is of format version 2"):
        open_tokens(path)
    del header["step"]
    forged(path, json.dumps(header).encode(), payload, version=2)
    with pytest.raises(FramecastError, match="'step' is of format version 2"):
        open_tokens(path)


@pytest.mark.parametrize(
    "text",
    [b"", b"[]", b"null", b"\xff\xfe", b"{", b"[" * 60_000, b"9" * 60_000, b'{"frames": 1e999}'],
    ids=lambda text: repr(text[:20]),
)
def test_a_header_that_is_no_object_is_refused(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(FramecastError, match="is no valid token file: "):
        open_tokens(forged(tmp_path / "a", text))


def test_a_header_said_to_be_huge_is_not_allocated(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(struct.pack("<8sII", b"\x89FCTOK\r\n", 1, 2**32 - 1) + b"{}" * 100)
    tracemalloc.start()
    with pytest.raises(FramecastError, match="damaged in its header"):
        open_tokens(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_sizes_beyond_the_file_are_found_before_any_token_is_read(stored: Path) -> None:
    header = {**document(stored), "grids": [[1, 2, 2], [2**20, 2**20, 2**20]]}
    forged(stored, json.dumps(header).encode(), b"\0" * 50)
    with pytest.raises(FramecastError, match="bytes too few for its 7 frames"):
        open_tokens(stored)


def test_a_token_beyond_its_range_is_found_on_reading(tmp_path: Path) -> None:
    codes = made_up([(4, (1, 2, 2))], 3, length=1)
    path = write_tokens(tmp_path / "a", chunks(codes, 3), origin=ORIGIN, fps=25.0).path
    file = open_tokens(path)
    with pytest.raises(
        FramecastError, match=r"is damaged: a token of level 1 is 3, not from 0 to 2"
    ):
        whole(replace(file, header=replace(file.header, values=(3,))))


def test_a_file_that_shrinks_while_it_is_read(stored: Path) -> None:
    file = open_tokens(stored)
    stored.write_bytes(stored.read_bytes()[:-1])
    with pytest.raises(FramecastError, match="became shorter while it was read"):
        whole(file)


@pytest.mark.parametrize("content", [b"", b"\x89", b"\x89PNG\r\n\x1a\n" + b"\0" * 99, b"\x80\x04K"])
def test_a_foreign_file_is_named_as_one(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(FramecastError, match="is no token file; `framecast encode` writes them"):
        open_tokens(tmp_path / "a")


def test_what_stood_there_stands_when_writing_fails(stored: Path) -> None:
    before = stored.read_bytes()

    def failing() -> Iterator[Chunk]:
        yield from chunks(made_up([(3, (1, 1, 1))], 2), 4)
        raise FramecastError("the video ends in a fault")

    with pytest.raises(FramecastError, match="ends in a fault"):
        write_tokens(stored, failing(), origin=ORIGIN, fps=25.0)
    assert stored.read_bytes() == before
    assert list(stored.parent.iterdir()) == [stored]


def test_nothing_makes_no_file(tmp_path: Path) -> None:
    with pytest.raises(FramecastError, match="no frames"):
        write_tokens(tmp_path / "a", iter(()), origin=ORIGIN, fps=25.0)
    assert list(tmp_path.iterdir()) == []


def test_chunks_have_to_belong_together(tmp_path: Path) -> None:
    one, two = made_up([(3, (1, 1, 1))], 1), made_up([(4, (1, 1, 1))], 1)
    with pytest.raises(FramecastError, match="different codecs"):
        write_tokens(tmp_path / "a", [Chunk(one, 2), Chunk(two, 2)], origin=ORIGIN, fps=25.0)
    with pytest.raises(FramecastError, match="only the last chunk"):
        write_tokens(tmp_path / "a", [Chunk(one, 1), Chunk(one, 2)], origin=ORIGIN, fps=25.0)
    for frames in (0, 3):
        with pytest.raises(FramecastError, match=f"{frames} frames do not make blocks"):
            Chunk(one, frames)


def test_a_name_too_long_for_the_header(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="too long"):
        replace(ORIGIN, name="x" * 4097)
    codes = made_up([(3, (1, 1, 1))] * 65, 1)
    with pytest.raises(ConfigError, match="levels out of the range"):
        write_tokens(tmp_path / "a", [Chunk(codes, 2)], origin=ORIGIN, fps=25.0)


def test_a_header_has_room_for_its_longest_form() -> None:
    """Every name and all levels that the checks let through fit."""
    header = Header(
        origin=Origin("\U0001f3a5" * 4096, "m" * 200, "5e" * 32),
        fps=1e6 / 3,
        frame=(2**20,) * 3,
        block=2**20,
        values=(2**32,) * 64,
        grids=((2**20,) * 3,) * 64,
        frames=2**48,
        digest="0" * 64,
        step=2**20,
    )
    assert len(_text(header)) <= HEADER_MAX


@pytest.mark.parametrize("what", ["write", "read"])
def test_memory_does_not_grow_with_the_length(tmp_path: Path, what: str) -> None:
    """Ten times the blocks, and far less more in memory than they hold."""
    codes = made_up([(512, (1, 32, 32))], 1, length=1)

    def peak(blocks: int) -> int:
        path = tmp_path / f"{blocks}"
        stream = (Chunk(codes, 1) for _ in range(blocks))
        if what == "read":
            file = write_tokens(path, stream, origin=ORIGIN, fps=25.0)
        tracemalloc.start()
        if what == "read":
            for _ in file.chunks(1):
                pass
        else:
            write_tokens(path, stream, origin=ORIGIN, fps=25.0)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    peak(2)  # what is made once
    added = 180 * codes.bits // 8
    assert peak(200) - peak(20) < added / 2
