"""Codes of a fixed dataset: what is kept is what the codec gives, and nothing stale is used."""

import shutil
import subprocess
import sys
import threading

import pytest
import torch

from framecast.clip import collate
from framecast.data.coded import CodedClips, kept_for_now
from framecast.data.moving_digits import MovingDigits
from framecast.errors import DataError
from framecast.models.s_hr_vqvae.autoencoder import AutoencoderConfig
from framecast.models.s_hr_vqvae.model import SHRVQVAE, SHRVQVAEConfig
from framecast.models.s_hr_vqvae.prior import PriorConfig


@pytest.fixture
def codec() -> SHRVQVAE:
    """A tiny one with codewords that are all in use."""
    torch.manual_seed(0)
    small = AutoencoderConfig(hidden=4, blocks=0, bottleneck=2)
    config = SHRVQVAEConfig(
        layers=2, codewords=3, width=2, autoencoder=small, prior=PriorConfig(hidden=4, heads=1)
    )
    model = config.build()
    for codebook in model.quantiser.codebooks:
        torch.nn.init.normal_(codebook, std=0.05)
    return model.eval()


@pytest.fixture
def clips():
    """Eleven fixed clips: two shards of eight in these tests."""
    return MovingDigits(digits="glyphs", train_size=11).source("train", 3, 0)


@pytest.fixture(autouse=True)
def _small_shards(monkeypatch):
    monkeypatch.setattr("framecast.data.coded.SHARD", 8)


def test_codes_are_those_of_the_codec(codec, clips, tmp_path):
    """Every clip, whatever the epoch."""
    coded = CodedClips(clips, codec, tmp_path)
    assert len(coded) == 11
    for index in (0, 7, 8, 10):
        expected = codec.encode(collate([clips[(0, index)]]))
        got = coded[(5, index)]
        assert got.values == expected.values
        assert got.frame == expected.frame
        assert got.length == expected.length
        for one, other in zip(got.levels, expected.levels, strict=True):
            assert torch.equal(one, other)
    batch = collate([coded[(0, 3)], coded[(0, 9)]])
    assert batch.levels[0].shape == (2, 3, 16, 16)
    assert coded.name(3) == clips.name(3)


def test_codes_are_computed_once(codec, clips, tmp_path, monkeypatch):
    """A second source reads what is there; only a damaged shard is computed again."""
    coded = CodedClips(clips, codec, tmp_path)
    shard = coded.folder / "00001" / "codes.safetensors"
    content = shard.read_bytes()
    encoded = []
    encode = type(codec).encode
    monkeypatch.setattr(
        type(codec),
        "encode",
        lambda self, clip: (encoded.append(len(clip.frames)), encode(self, clip))[1],
    )
    CodedClips(clips, codec, tmp_path)
    assert encoded == []
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    CodedClips(clips, codec, tmp_path)
    assert sum(encoded) == 3
    assert shard.read_bytes() == content


def test_other_weights_or_clips_have_other_codes(codec, clips, tmp_path):
    """The folder is named after both."""
    first = CodedClips(clips, codec, tmp_path)
    other = MovingDigits(digits="glyphs", train_size=11).source("train", 3, 1)
    before = codec.fingerprint()
    assert CodedClips(other, codec, tmp_path).fingerprint() != first.fingerprint()
    with torch.no_grad():
        codec.encoder[0].bias[0] += 1
    assert codec.fingerprint() != before
    assert CodedClips(clips, codec, tmp_path).fingerprint() != first.fingerprint()


def test_clips_that_change_are_refused(codec, tmp_path):
    """What an epoch draws anew cannot be kept."""
    fresh = MovingDigits(digits="glyphs", fixed_train=False).source("train", 3, 0)
    with pytest.raises(DataError, match="change with the epoch"):
        CodedClips(fresh, codec, tmp_path)


def test_a_folder_that_cannot_be_written(codec, clips, tmp_path):
    """One line that names the way out."""
    (tmp_path / "codes").write_text("in the way")
    with pytest.raises(DataError, match="FRAMECAST_CACHE"):
        CodedClips(clips, codec, tmp_path)


def test_the_place_can_be_chosen(codec, clips, tmp_path, monkeypatch):
    """By an environment variable."""
    monkeypatch.setenv("FRAMECAST_CACHE", str(tmp_path / "here"))
    assert CodedClips(clips, codec).folder.is_relative_to(tmp_path / "here")


def test_trials_leave_no_codes(codec, clips, tmp_path, monkeypatch):
    """They are kept as long as the block."""
    monkeypatch.setenv("FRAMECAST_CACHE", str(tmp_path))
    with kept_for_now():
        coded = CodedClips(clips, codec)
        assert len(coded[(0, 3)].levels) == 2
    assert not coded.folder.exists()
    assert not any(tmp_path.iterdir())
    assert CodedClips(clips, codec).folder.is_relative_to(tmp_path)


def test_codes_that_vanish_are_one_line(codec, clips, tmp_path):
    coded = CodedClips(clips, codec, tmp_path)
    shutil.rmtree(coded.folder)
    with pytest.raises(DataError, match="cannot be read any more"):
        coded[(0, 3)]


HOLDING = """
import fcntl, sys
with open(sys.argv[1], "w") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def test_processes_that_need_the_same_codes_wait_for_each_other(codec, clips, tmp_path):
    """While another one encodes, nothing is encoded here."""
    folder = CodedClips(clips, codec, tmp_path).folder
    shutil.rmtree(folder / "00001")
    command = [sys.executable, "-c", HOLDING, str(folder / ".lock")]
    released = threading.Event()
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"

        def release() -> None:
            assert not (folder / "00001").exists()
            released.set()
            assert other.stdin is not None
            other.stdin.close()

        threading.Timer(0.5, release).start()
        CodedClips(clips, codec, tmp_path)
        assert released.is_set()
    assert (folder / "00001").exists()
