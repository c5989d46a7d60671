"""`framecast encode` and `decode`: a video to tokens and back, and every way to go wrong."""

import math
import weakref
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Ran, images
from pooling_codec import TIME, Pooling, PoolingConfig

from framecast import folder, registry
from framecast.cli import coding
from framecast.evaluation.metrics import pixel, ssim
from framecast.model import load
from framecast.models.s_hr_vqvae.autoencoder import AutoencoderConfig
from framecast.models.s_hr_vqvae.model import SHRVQVAEConfig
from framecast.models.s_hr_vqvae.prior import PriorConfig
from framecast.token_file import open_tokens, write_tokens
from framecast.video import Writer, probe


@pytest.fixture
def codec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model folder of the pooling codec."""
    monkeypatch.setitem(registry.MODELS, "pooling", "pooling_codec:Pooling")
    Pooling(PoolingConfig()).save(tmp_path / "codec")
    return tmp_path / "codec"


@pytest.fixture
def encoded(cli, codec: Path, frame_folder) -> Path:
    """The tokens of ten frames."""
    assert cli("encode", frame_folder(count=10), "--model", codec, "-o", "a.tokens").code == 0
    return Path("a.tokens").resolve()


def refused(ran: Ran, said: str, *absent: str) -> None:
    """One line of error, and no output."""
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("framecast: error: ")
    assert ran.err.count("\n") == 1
    assert said in ran.err
    for name in absent:
        assert not Path(name).exists()
    assert not list(Path().glob(".*"))


def expected(frames: np.ndarray, levels: int | None = None) -> torch.Tensor:
    """What the codec makes of frames `t h w 3`, all at once."""
    clip = torch.from_numpy(frames).permute(0, 3, 1, 2)[None] / 255
    missing = -clip.shape[1] % TIME
    clip = torch.cat([clip, clip[:, -1:].expand(-1, missing, -1, -1, -1)], 1)
    model = Pooling(PoolingConfig()).eval()
    return model.decode(model.encode(clip), levels).frames[0, : len(frames)]


def as_bytes(frames: torch.Tensor) -> np.ndarray:
    """Frames as images, `t h w 3`."""
    return frames.mul(255).round().byte().permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("count", [1, 4, 10])
@pytest.mark.parametrize("size", [(24, 32), (22, 30)], ids=str)
def test_there_and_back(cli, codec: Path, frame_folder, count: int, size: tuple[int, int]) -> None:
    """Lengths that are no multiples of a block, sizes that are padded: what the codec gives."""
    clip = frame_folder("clip", count, *size)
    assert cli("encode", clip, "--model", codec, "-o", "a.tokens").code == 0
    assert cli("decode", "a.tokens", "-o", "back").code == 0
    assert np.array_equal(images(Path("back")), as_bytes(expected(images(clip))))


def test_what_is_said_is_so(cli, codec: Path, frame_folder) -> None:
    clip = frame_folder(count=10)
    said = cli("encode", clip, "--model", codec, "-o", "a.tokens", "--json").json
    blocks = 3
    tokens = blocks * (6 * 8 + TIME * 12 * 16)
    bits = blocks * (6 * 8 * 6 + TIME * 12 * 16 * 5)  # 33 and 21 values
    assert (said["frames"], said["size"], said["channels"]) == (10, [24, 32], 3)
    assert (said["tokens"], said["bits"]) == (tokens, bits)
    assert said["bits"] == blocks * load(codec).bits((TIME, 3, 24, 32))
    assert said["bits_per_frame"] == bits / 10
    assert said["ratio"] == pytest.approx(24 * 32 * 3 * 8 * 10 / bits)
    assert said["payload_bytes"] == math.ceil(bits / 8)
    assert Path("a.tokens").stat().st_size == said["header_bytes"] + said["payload_bytes"]
    frames = torch.from_numpy(images(clip)).permute(0, 3, 1, 2) / 255
    decoded = expected(images(clip))
    assert said["psnr"] == pytest.approx(float(pixel.psnr(decoded, frames).mean()), abs=1e-4)
    assert said["ssim"] == pytest.approx(
        float(ssim.ssim_gaussian(decoded, frames).mean()), abs=1e-4
    )
    assert (said["video"], said["written"], said["model"]) == (str(clip), "a.tokens", str(codec))


def test_people_are_told_the_same(cli, codec: Path, frame_folder) -> None:
    ran = cli("encode", frame_folder(count=8), "--model", codec, "-o", "a.tokens")
    size = Path("a.tokens").stat().st_size
    header = open_tokens(Path("a.tokens")).start
    assert "8 frames of 24x32, 3 channels, in 1,632 tokens" in ran.out
    assert "1,032 bits per frame, 17.86 times fewer than the same frames at 8 bits" in ran.out
    assert f"wrote a.tokens: {size:,} bytes, {header} of header and 1,032 for 8,256 bits" in ran.out
    assert "PSNR" in ran.out
    assert "SSIM" in ran.out
    back = cli("decode", "a.tokens", "-o", "back.mp4")
    assert "8 frames of 24x32 at 25 frames per second, from 2 levels of tokens" in back.out
    assert "wrote back.mp4" in back.out


def test_portions_change_nothing(cli, codec: Path, frame_folder, monkeypatch) -> None:
    """A block at a time gives the same file, and the same frames."""
    clip = frame_folder(count=22)
    cli("encode", clip, "--model", codec, "-o", "all.tokens")
    cli("decode", "all.tokens", "-o", "all")
    monkeypatch.setattr(coding, "PIXELS", 1)
    cli("encode", clip, "--model", codec, "-o", "each.tokens")
    cli("decode", "each.tokens", "-o", "each")
    assert Path("each.tokens").read_bytes() == Path("all.tokens").read_bytes()
    assert np.array_equal(images(Path("each")), images(Path("all")))


def test_memory_does_not_grow_with_the_length(codec: Path, tmp_path: Path, monkeypatch) -> None:
    """Of the frames that were read, those of one portion are held."""
    monkeypatch.setattr(coding, "PIXELS", 8 * 8 * TIME)
    alive: weakref.WeakSet[torch.Tensor] = weakref.WeakSet()
    most = []

    def frames() -> Iterator[torch.Tensor]:
        for _ in range(20 * TIME):
            frame = torch.rand(3, 8, 8)
            alive.add(frame)
            most.append(len(alive))
            yield frame

    model = coding.load_codec(str(codec), "cpu")
    origin = coding.origin_of(str(codec), model)
    parts = (part.chunk for part in coding.coded(model, frames()))
    write_tokens(tmp_path / "a", parts, origin=origin, fps=25.0)
    assert len(most) == 20 * TIME
    assert max(most) <= TIME + 1  # and the first one of all, which tells the size


def test_which_frames(cli, codec: Path, frame_folder) -> None:
    clip = frame_folder(count=20)
    options = ("--start", 3, "--frames", 5, "-o", "a.tokens", "--fps", 12.5)
    assert cli("encode", clip, "--model", codec, *options, "--json").json["notes"] == []
    assert open_tokens(Path("a.tokens")).header.fps == 12.5
    cli("decode", "a.tokens", "-o", "back")
    assert np.array_equal(images(Path("back")), as_bytes(expected(images(clip)[3:8])))


def test_fewer_frames_than_asked_for_are_said(cli, codec: Path, frame_folder) -> None:
    ran = cli("encode", frame_folder(count=6), "--model", codec, "--frames", 9, "-o", "a.tokens")
    assert ran.code == 0
    assert "the video has no more than 6 frames from there on" in ran.out


@pytest.mark.parametrize(("size", "height"), [("native", 24), ("16x16", 16), ("model", 12)])
def test_size(cli, codec: Path, frame_folder, size: str, height: int) -> None:
    model = load(codec)
    model.about = {"size": [12, 12]}
    model.save(codec)
    ran = cli("encode", frame_folder(), "--model", codec, "--size", size, "-o", "a.tokens")
    assert open_tokens(Path("a.tokens")).header.frame[1] == height
    assert ("resized from 24x32" in ran.out) == (size != "native")


def test_the_rate_is_kept(cli, codec: Path) -> None:
    with Writer("film.mp4", fps=30000 / 1001) as writer:
        for number in range(8):
            writer.append(torch.full((3, 16, 16), number / 8))
    assert cli("encode", "film.mp4", "--model", codec, "-o", "a.tokens").code == 0
    assert cli("decode", "a.tokens", "-o", "back.mp4").code == 0
    info = probe("back.mp4")
    assert info.fps == pytest.approx(30000 / 1001, abs=1e-3)
    assert (info.frames, info.height, info.width) == (8, 16, 16)


def test_a_gif_says_how_it_was_written(cli, encoded: Path, frame_folder, codec: Path) -> None:
    clip = frame_folder("fast")
    assert cli("encode", clip, "--model", codec, "--fps", 100, "-o", "f.tokens").code == 0
    assert "written at 50 instead of 100" in cli("decode", "f.tokens", "-o", "back.gif").out
    assert probe("back.gif").frames == 12


def test_gray_frames(cli, tmp_path: Path, codec: Path, frame_folder) -> None:
    Pooling(PoolingConfig(channels=1)).save(tmp_path / "gray")
    said = cli("encode", frame_folder(), "--model", "gray", "-o", "a.tokens", "--json").json
    assert said["channels"] == 1
    assert said["ratio"] == pytest.approx(24 * 32 * 8 * 12 / said["bits"])
    assert any("turned into gray" in note for note in said["notes"])
    assert cli("decode", "a.tokens", "-o", "back").code == 0


def test_frames_smaller_than_the_window_have_no_ssim(cli, codec: Path, frame_folder) -> None:
    clip = frame_folder("clip", 4, 10, 32)
    ran = cli("encode", clip, "--model", codec, "-o", "a.tokens", "--json")
    assert ran.json["ssim"] is None
    assert ran.json["psnr"] > 10
    assert "SSIM" not in cli("encode", clip, "--model", codec, "-o", "a.tokens").out


def test_the_first_levels_alone(cli, encoded: Path) -> None:
    assert cli("decode", encoded, "-o", "coarse", "--levels", 1).code == 0
    coarse = as_bytes(expected(images(Path("clip")), levels=1))
    assert np.array_equal(images(Path("coarse")), coarse)
    assert not np.array_equal(coarse, as_bytes(expected(images(Path("clip")))))
    for levels in (0, 3):
        refused(
            cli("decode", encoded, "-o", "no", "--levels", levels), "--levels is from 1 to 2", "no"
        )


def test_the_model_is_found_where_it_was_or_where_one_says(cli, encoded: Path, codec: Path) -> None:
    moved = codec.rename(codec.with_name("moved"))
    refused(cli("decode", "gone.tokens", "-o", "no"), "gone.tokens does not exist; check", "no")
    ran = cli("decode", encoded, "-o", "back")
    refused(ran, f"was encoded by {codec} (pooling), which cannot be used", "back")
    assert "--model" in ran.err
    said = cli("decode", encoded, "-o", "back", "--model", moved, "--json").json
    assert (said["model"], said["frames"], said["levels"]) == (str(moved), 10, 2)
    refused(cli("decode", encoded, "-o", "no", "--model", "gone"), "no model 'gone'", "no")


def test_other_weights_are_refused(cli, encoded: Path, codec: Path) -> None:
    """Also where they stand in the same place."""
    sums = folder.verify(codec)["files"][folder.WEIGHTS]["sha256"]
    model = load(codec)
    with torch.no_grad():
        model.reach.fill_(0.25)
    model.save(codec)
    ran = cli("decode", encoded, "-o", "back.mp4")
    refused(ran, f"with the weights {sums[:12]}…", "back.mp4")


def test_another_layout_of_the_same_weights_is_refused(cli, encoded: Path, codec: Path) -> None:
    """A configuration that makes other tokens."""
    Pooling(PoolingConfig(values=(33, 22))).save(codec)
    refused(cli("decode", encoded, "-o", "back"), "does not hold the tokens that pooling", "back")


@pytest.mark.parametrize("damage", ["header", "payload", "short", "long", "foreign", "empty"])
def test_damage_is_one_line_and_leaves_nothing(cli, encoded: Path, damage: str) -> None:
    data = bytearray(encoded.read_bytes())
    said = "damaged"
    if damage in {"header", "payload"}:
        data[40 if damage == "header" else -5] ^= 4
    elif damage == "short":
        data, said = data[:-7], "7 bytes too few for its 10 frames"
    elif damage == "long":
        data, said = data + b"123", "3 bytes too many for its 10 frames"
    else:
        data, said = bytearray(b"GIF89a" * 40 * (damage == "foreign")), "is no token file"
    encoded.write_bytes(data)
    refused(cli("decode", encoded, "-o", "back.mp4"), said, "back.mp4")


def test_a_missing_file_and_a_folder(cli, codec: Path) -> None:
    refused(cli("decode", "gone.tokens", "-o", "back.mp4"), "gone.tokens", "back.mp4")
    refused(cli("decode", codec, "-o", "back.mp4"), str(codec), "back.mp4")


def test_a_fault_of_the_video_leaves_nothing(cli, codec: Path, frame_folder) -> None:
    clip = frame_folder(count=6)
    (clip / "4.png").write_bytes((clip / "4.png").read_bytes()[:60])
    Path("a.tokens").write_text("mine")
    refused(cli("encode", clip, "--model", codec, "-o", "a.tokens"), "4.png")
    assert Path("a.tokens").read_text() == "mine"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("clip", "--model", "copy-last", "-o", "a.tokens"), "copy-last has no codes"),
        (("clip", "--model", "gone", "-o", "a.tokens"), "no model 'gone'"),
        (("gone.mp4", "--model", "codec", "-o", "a.tokens"), "gone.mp4 does not exist"),
        (("clip", "--model", "codec", "-o", "clip"), "would overwrite the input"),
        (("clip", "--model", "codec", "-o", "clip/9.png"), "would overwrite the input"),
        (("clip", "--model", "codec", "-o", "codec"), "is a folder"),
        (("clip", "--model", "codec", "-o", "a.tokens", "--frames", "0"), "--frames is at least 1"),
        (("clip", "--model", "codec", "-o", "a.tokens", "--start", "99"), "99"),
        (("clip", "--model", "codec", "-o", "a.tokens", "--fps", "0"), "fps is above 0"),
        (("clip", "--model", "codec", "-o", "a.tokens", "--device", "moon"), "no device 'moon'"),
    ],
    ids=str,
)
def test_what_cannot_be_encoded(cli, codec: Path, frame_folder, arguments, said: str) -> None:
    frame_folder()
    refused(cli("encode", *arguments), said, "a.tokens")


@pytest.mark.parametrize(
    ("out", "said"), [("a.tokens", "would overwrite"), ("b.avi", "unknown suffix .avi")]
)
def test_what_cannot_be_written(cli, encoded: Path, out: str, said: str) -> None:
    before = encoded.read_bytes()
    refused(cli("decode", encoded, "-o", out), said, "b.avi")
    assert encoded.read_bytes() == before


@pytest.fixture
def s_hr_vqvae(tmp_path: Path) -> Path:
    """A model folder of the published layout of codes for KTH, with small networks."""
    torch.manual_seed(0)
    config = SHRVQVAEConfig(
        channels=3,
        width=8,
        codewords=8,
        autoencoder=AutoencoderConfig(hidden=8, blocks=1, bottleneck=4),
        prior=PriorConfig(hidden=4, convolutions=2, heads=1),
    )
    config.build().save(tmp_path / "tree")
    return tmp_path / "tree"


def test_the_published_ratio(cli, s_hr_vqvae: Path, frame_folder) -> None:
    """9 bits for each 4×4 pixels in colour: 42.67 times fewer (Table 1)."""
    clip = frame_folder("clip", 3, 128, 128)
    said = cli("encode", clip, "--model", s_hr_vqvae, "-o", "a.tokens", "--json").json
    assert said["ratio"] == pytest.approx(42.67, abs=0.005)
    assert said["bits_per_frame"] == 32 * 32 * 9
    assert cli("decode", "a.tokens", "-o", "back").code == 0
    model = load(s_hr_vqvae)
    frames = torch.from_numpy(images(clip)).permute(0, 3, 1, 2)[None] / 255
    decoded = as_bytes(model.decode(model.encode(frames)).frames[0])
    assert np.abs(images(Path("back")).astype(int) - decoded).max() <= 1


def test_a_real_video(cli, s_hr_vqvae: Path, data: Path) -> None:
    """Of odd size, in colour, at a rate that is no whole number."""
    video = data / "videos/androidx_bear-vp9-odd-dimensions.webm"
    said = cli("encode", video, "--model", s_hr_vqvae, "-o", "a.tokens", "--json").json
    assert said["frames"] == 30
    assert said["size"] == [121, 161]
    assert said["bits_per_frame"] == 31 * 41 * 9
    assert cli("decode", "a.tokens", "-o", "back.mp4").code == 0
    info, old = probe("back.mp4"), probe(video)
    assert (info.frames, info.fps) == (30, pytest.approx(old.fps, rel=1e-3))
