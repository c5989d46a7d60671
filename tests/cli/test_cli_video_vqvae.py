"""The command line with a codec of two levels in space and time."""

import weakref
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import images

from framecast import load
from framecast.cli import coding
from framecast.models.video_vqvae.autoencoder import AutoencoderConfig
from framecast.models.video_vqvae.model import VideoVQVAEConfig
from framecast.token_file import Chunk, write_tokens
from framecast.video import probe
from models.tiny_video_vqvae import BOTTOM, TOP


@pytest.fixture
def codec(tmp_path: Path) -> Path:
    """A model folder of the published layout of codes, with small networks."""
    torch.manual_seed(0)
    networks = AutoencoderConfig(hidden=4, residual=2, blocks=1)
    model = VideoVQVAEConfig(width=4, autoencoder=networks, top=TOP, bottom=BOTTOM).build()
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.4 if parameter.ndim > 1 else 0.0)
    model.save(tmp_path / "codec")
    return tmp_path / "codec"


def as_bytes(frames: torch.Tensor) -> np.ndarray:
    """Frames as images, `t h w 3`."""
    return frames.mul(255).round().byte().permute(0, 2, 3, 1).numpy()


def by_hand(folder: Path, clip: Path, blocks: list[int], levels: int) -> np.ndarray:
    """Frames that come back from blocks of so many frames, each coded by itself."""
    model = load(folder)
    frames = torch.from_numpy(images(clip)).permute(0, 3, 1, 2) / 255
    filled = torch.cat([frames, frames[-1:].expand(sum(blocks) - len(frames), -1, -1, -1)])
    parts = [model.decode(model.encode(part[None]), levels) for part in filled.split(blocks)]
    return as_bytes(torch.cat([part.frames[0] for part in parts])[: len(frames)])


@pytest.mark.parametrize(
    ("count", "blocks"),
    [(3, [4]), (8, [8]), (10, [12]), (16, [16]), (21, [16, 8]), (46, [16, 16, 16])],
)
def test_there_and_back(cli, codec: Path, frame_folder, count: int, blocks: list[int]) -> None:
    """16 frames at a time, as in training; of what is left, as few more as make it fours."""
    clip = frame_folder("clip", count, 24, 32)
    said = cli("encode", clip, "--model", codec, "-o", "a.tokens", "--json").json
    assert said["frames"] == count
    assert said["bits"] == sum(blocks) // 4 * (3 * 4 + 2 * 6 * 8) * 9
    for levels, options in ((2, ()), (1, ("--levels", 1))):
        assert cli("decode", "a.tokens", "-o", f"back{levels}", *options).code == 0
        expected = by_hand(codec, clip, blocks, levels)
        assert expected.std() > 5
        assert np.abs(images(Path(f"back{levels}")).astype(int) - expected).max() <= 1


def test_blocks_of_four_are_other_frames(cli, codec: Path, frame_folder) -> None:
    """So that the test above tells; files with such blocks, of the first version, still decode."""
    clip = frame_folder("clip", 22, 24, 32)
    model = coding.load_codec(str(codec), "cpu")
    frames = torch.from_numpy(images(clip)).permute(0, 3, 1, 2) / 255
    filled = torch.cat([frames, frames[-1:].expand(2, -1, -1, -1)]).unflatten(0, (-1, 4))
    origin = coding.origin_of(str(codec), model)
    write_tokens(Path("old"), [Chunk(model.encode(filled), 22)], origin=origin, fps=25.0)
    assert Path("old").read_bytes()[8] == 1
    assert cli("decode", "old", "-o", "back").code == 0
    fours = by_hand(codec, clip, [4] * 6, 2)
    assert np.abs(images(Path("back")).astype(int) - fours).max() <= 1
    assert np.abs(fours.astype(int) - by_hand(codec, clip, [16, 8], 2)).max() > 5


@pytest.mark.parametrize("pixels", [1, 64 * 64 * 32])
def test_portions_change_nothing(cli, codec: Path, frame_folder, monkeypatch, pixels: int) -> None:
    """One block at a time or all at once: the same file."""
    clip = frame_folder("clip", 37, 24, 32)
    assert cli("encode", clip, "--model", codec, "-o", "a.tokens").code == 0
    monkeypatch.setattr(coding, "PIXELS", pixels)
    assert cli("encode", clip, "--model", codec, "-o", "b.tokens").code == 0
    assert Path("a.tokens").read_bytes() == Path("b.tokens").read_bytes()


def test_no_more_than_a_block_is_held(codec: Path, monkeypatch) -> None:
    """However long a video is: of the frames that were read, those of one block are held."""
    monkeypatch.setattr(coding, "PIXELS", 1)
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most: list[int] = []

    def frames() -> Iterator[torch.Tensor]:
        for _ in range(6 * 16 + 5):
            frame = torch.rand(3, 16, 16)
            alive.add(frame)
            most.append(len(alive))
            yield frame

    model = coding.load_codec(str(codec), "cpu")
    lengths = [part.chunk.codes.length for part in coding.coded(model, frames())]
    assert lengths == [*6 * [16], 8]
    assert max(most) <= 17  # and the first one of all, which tells the size


def test_tokens_of_no_whole_slices_are_refused(cli, codec: Path) -> None:
    """A file that says its blocks could end after two frames, where this codec needs four."""
    model = coding.load_codec(str(codec), "cpu")
    codes = model.encode(torch.rand(1, 8, 3, 16, 16))
    origin = coding.origin_of(str(codec), model)
    write_tokens(Path("a"), [Chunk(codes, 8)], origin=origin, fps=25.0, step=4)
    assert cli("decode", "a", "-o", "back").code == 0
    odd = replace(codes, length=6)
    write_tokens(Path("b"), [Chunk(odd, 6)], origin=origin, fps=25.0)
    ran = cli("decode", "b", "-o", "none")
    assert ran.code == 2
    assert "does not hold the tokens that video-vqvae makes" in ran.err
    assert not Path("none").exists()


def test_the_published_share_of_bits(cli, codec: Path, frame_folder) -> None:
    """1.318 % of the frames' bits, which is 75.85 times fewer, at any size of whole positions."""
    clip = frame_folder("clip", 4, 64, 64)
    said = cli("encode", clip, "--model", codec, "-o", "a.tokens", "--json").json
    assert said["ratio"] == pytest.approx(25_165_824 / 331_776)
    document = cli("models", "video-vqvae", "--json").json
    assert document["codes"] == {"values": [512, 512], "share_of_bits": 331_776 / 25_165_824}
    assert "1.318 % of the bits" in cli("models", codec).out


def test_a_model_without_codes_says_nothing_of_them(cli) -> None:
    assert cli("models", "convlstm", "--json").json["codes"] is None
    assert "of the bits" not in cli("models", "convlstm").out


def test_a_picture_of_the_levels(cli, codec: Path, frame_folder) -> None:
    """Fig 2: as many frames as are coded together, or as the video has fours of them."""
    for count, shown in ((19, 16), (9, 8), (4, 4)):
        clip = frame_folder(f"clip{count}", count)
        said = cli("inspect", codec, clip, "--json").json
        assert said["frames"] == shown
        assert len(said["panels"]) == 6
        assert Path(said["wrote"]).stat().st_size > 0
    said = cli("inspect", codec, clip, "--context", 4, "--json").json
    assert said["frames"] == 4
    assert "give a longer video" in cli("inspect", codec, frame_folder("short", 3)).err


def test_a_real_video(cli, codec: Path, data: Path) -> None:
    """30 frames of odd size: 16 and 16, two of them made up, of 128×168."""
    video = data / "videos/androidx_bear-vp9-odd-dimensions.webm"
    said = cli("encode", video, "--model", codec, "-o", "a.tokens", "--json").json
    assert said["frames"] == 30
    assert said["bits"] == 8 * (16 * 21 + 2 * 32 * 42) * 9
    assert cli("decode", "a.tokens", "-o", "back.mp4").code == 0
    assert probe("back.mp4").frames == 30
