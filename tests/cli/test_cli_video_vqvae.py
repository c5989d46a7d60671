"""The command line with a codec of two levels in space and time."""

from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import images

from framecast import load
from framecast.models.video_vqvae.autoencoder import AutoencoderConfig
from framecast.models.video_vqvae.model import VideoVQVAEConfig
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


@pytest.mark.parametrize("count", [4, 8, 10])
def test_there_and_back(cli, codec: Path, frame_folder, count: int) -> None:
    """Four frames at a time, coded apart; the last four are filled up with the last frame."""
    clip = frame_folder("clip", count, 24, 32)
    said = cli("encode", clip, "--model", codec, "-o", "a.tokens", "--json").json
    blocks = -(-count // 4)
    assert said["frames"] == count
    assert said["bits"] == blocks * (3 * 4 + 2 * 6 * 8) * 9
    frames = torch.from_numpy(images(clip)).permute(0, 3, 1, 2) / 255
    missing = 4 * blocks - count
    filled = torch.cat([frames, frames[-1:].expand(missing, -1, -1, -1)]).unflatten(0, (-1, 4))
    model = load(codec)
    codes = model.encode(filled)
    for levels, options in ((2, ()), (1, ("--levels", 1))):
        assert cli("decode", "a.tokens", "-o", f"back{levels}", *options).code == 0
        expected = as_bytes(model.decode(codes, levels).frames.flatten(0, 1)[:count])
        assert expected.std() > 5
        assert np.abs(images(Path(f"back{levels}")).astype(int) - expected).max() <= 1


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
    """Fig 2: as many frames as are coded together."""
    said = cli("inspect", codec, frame_folder("clip", 9), "--json").json
    assert said["frames"] == 4
    assert len(said["panels"]) == 5
    assert Path(said["wrote"]).stat().st_size > 0


def test_a_real_video(cli, codec: Path, data: Path) -> None:
    """30 frames of odd size: 8 times four, of 128×168."""
    video = data / "videos/androidx_bear-vp9-odd-dimensions.webm"
    said = cli("encode", video, "--model", codec, "-o", "a.tokens", "--json").json
    assert said["frames"] == 30
    assert said["bits"] == 8 * (16 * 21 + 2 * 32 * 42) * 9
    assert cli("decode", "a.tokens", "-o", "back.mp4").code == 0
    assert probe("back.mp4").frames == 30
