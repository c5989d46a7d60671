"""Clips through codes, against figures computed one clip at a time with numpy."""

import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from handmade import Handmade, Toy
from PIL import Image

from contract.tiny_codec import COARSE, FINE, TinyCodec, TinyCodecConfig, TinyOptions
from framecast.errors import ConfigError, FolderError
from framecast.evaluation import results_folder
from framecast.evaluation.corruption import find
from framecast.evaluation.protocol import Protocol, reconstructing, settled
from framecast.evaluation.protocol import find as find_protocol
from framecast.evaluation.report import table
from framecast.evaluation.result import FORMAT_VERSION
from framecast.evaluation.runner import evaluate

SINGLE = Protocol("single", Handmade(count=5), 3, 3)
CODED = reconstructing(SINGLE)
FIRST = reconstructing(SINGLE, 1)


@pytest.fixture
def codec() -> TinyCodec:
    return TinyCodec(TinyCodecConfig())


def clips(protocol: Protocol) -> list[np.ndarray]:
    source = protocol.data.source("test", 6, 0)
    return [source[(0, index)].frames.double().numpy() for index in range(len(source))]


def coded(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Tokens and decoded frames of gray frames `t 1 h w`, square by square."""
    times, _, height, width = frames.shape
    coarse = np.zeros((times // 2, height // 4, width // 4), int)
    first = np.zeros((times, height, width))
    for t, y, x in np.ndindex(*coarse.shape):
        where = np.s_[2 * t : 2 * t + 2, 4 * y : 4 * y + 4, 4 * x : 4 * x + 4]
        coarse[t, y, x] = min(int(frames[:, 0][where].mean() * COARSE), COARSE - 1)
        first[where] = (coarse[t, y, x] + 0.5) / COARSE
    rest = (frames[:, 0] - first + 1) / 2
    fine = (rest * FINE).astype(int).clip(0, FINE - 1)
    return coarse, fine, first, (first + (fine + 0.5) / FINE * 2 - 1).clip(0, 1)


def perplexity(tokens: list[np.ndarray]) -> float:
    counts = np.unique(np.concatenate([each.ravel() for each in tokens]), return_counts=True)[1]
    shares = counts / counts.sum()
    return math.exp(-sum(p * math.log(p) for p in shares))


@pytest.mark.parametrize("levels", [None, 1, 2])
def test_all_frames_are_scored_after_encoding_and_decoding(
    codec: TinyCodec, levels: int | None
) -> None:
    result = evaluate(codec, reconstructing(SINGLE, levels), batch=2)
    decoded = [coded(clip)[2 if levels == 1 else 3] for clip in clips(SINGLE)]
    errors = np.array(
        [((d - c[:, 0]) ** 2).sum((1, 2)) for d, c in zip(decoded, clips(SINGLE), strict=True)]
    )
    (row,) = result.rows
    assert row.role == "model"
    assert row.values["mse"].mean == pytest.approx(errors.mean(), rel=1e-4)
    assert [point.mean for point in row.curves["mse"]] == pytest.approx(errors.mean(0), rel=1e-4)
    assert len(row.curves["ssim"]) == 6
    assert result.against_copy_last == {}


def test_codes_are_counted(codec: TinyCodec) -> None:
    result = evaluate(codec, CODED, batch=2)
    assert result.codec is not None
    tokens = [coded(clip)[:2] for clip in clips(SINGLE)]
    bits = (0.5 * 16 * 3, 256 * 4)  # a 16×16 frame: half of 16 squares of 6 values; 16 per pixel
    for place, (level, values) in enumerate(zip(result.codec.levels, (COARSE, FINE), strict=True)):
        mine = [each[place] for each in tokens]
        assert level.values == values
        assert level.used == len(np.unique(np.concatenate([m.ravel() for m in mine])))
        assert level.perplexity == pytest.approx(perplexity(mine))
        assert level.bits_per_frame == bits[place]
    assert result.codec.bits_per_frame == sum(bits)
    assert result.codec.raw_bits_per_frame == 2048
    assert result.codec.compression == pytest.approx(2048 / sum(bits))


def test_of_fewer_levels_only_those_count(codec: TinyCodec) -> None:
    whole, first = (evaluate(codec, each).codec for each in (CODED, FIRST))
    assert whole is not None
    assert first is not None
    assert first.levels == whole.levels[:1]
    assert first.bits_per_frame == 24
    assert first.available == 2


def test_sizes_that_differ_are_averaged_over_frames(codec: TinyCodec) -> None:
    mixed = replace(CODED, data=Handmade(count=4, wide=(1, 2)))
    result = evaluate(codec, mixed)
    assert result.codec is not None
    assert result.codec.raw_bits_per_frame == (2048 + 2048 * 1.5) / 2
    assert result.codec.bits_per_frame == 1048 * 1.25


def test_corrupted_frames_are_encoded_and_clean_ones_scored(codec: TinyCodec) -> None:
    noisy = replace(CODED, corruption=find("noise:0"))
    result = evaluate(codec, noisy, batch=2)
    assert [row.name for row in result.rows] == ["tiny-codec", "corrupted frames"]
    corrupt = find("noise:0")
    source = SINGLE.data.source("test", 6, 0)
    errors: list[list[float]] = [[], []]
    for index, clean in enumerate(clips(SINGLE)):
        clip = type(source[(0, index)]).collate([source[(0, index)]])
        given = corrupt(clip, [index]).frames[0].double().numpy()
        for place, frames in enumerate((coded(given)[3], given[:, 0])):
            errors[place].append(((frames - clean[:, 0]) ** 2).sum((1, 2)).mean())
    for row, expected in zip(result.rows, errors, strict=True):
        assert row.values["mse"].mean == pytest.approx(np.mean(expected), rel=1e-3)


def test_files_of_a_reconstruction(codec: TinyCodec, tmp_path: Path) -> None:
    noisy = replace(CODED, corruption=find("noise:10"))
    for name, protocol in (("clean", CODED), ("noisy", noisy), ("first", FIRST)):
        out = tmp_path / name
        result = evaluate(codec, protocol, out=out)
        assert results_folder.read(out) == result
        assert json.loads((out / "results.json").read_text())["protocol"]["task"] == "reconstruct"
        assert np.asarray(Image.open(out / "curves.png").convert("L")).std() > 10
        scores = results_folder.read_scores(out)
        assert scores["model/mse"].mean() == pytest.approx(result.rows[0].values["mse"].mean)
    clean, noisy = (
        np.asarray(Image.open(tmp_path / name / "strip.png")) for name in ("clean", "noisy")
    )
    assert len(noisy) > len(clean), "the corrupted frames have rows of their own"
    with pytest.raises(FolderError, match="of the protocol single:reconstruct"):
        evaluate(codec, FIRST, out=tmp_path / "clean")


def test_results_of_the_format_before_codes_are_read(codec: TinyCodec, tmp_path: Path) -> None:
    result = evaluate(codec, SINGLE, limit=2, out=tmp_path / "r")
    path = tmp_path / "r" / "results.json"
    document = json.loads(path.read_text())
    assert document.pop("codec") is None
    assert document.pop("calibration") is None
    assert document.pop("format_version") == FORMAT_VERSION
    path.write_text(json.dumps({"format_version": 1, **document}))
    assert results_folder.read(tmp_path / "r") == replace(result, format_version=1)


def test_the_report_says_what_the_codes_take(codec: TinyCodec) -> None:
    found = table(evaluate(codec, FIRST, limit=2))
    notes = "\n".join(found.notes)
    assert found.title.startswith("single:reconstruct-levels-1,")
    assert "context and horizon, encoded and decoded" in notes
    assert "codes: 1 of 2 levels, 24 bits per frame, 85.33 times fewer" in notes
    assert f"of {COARSE} values used, perplexity" in notes
    assert "level 2" not in notes


def test_names_of_reconstructions() -> None:
    published = find_protocol("moving-mnist/10-10")
    assert settled(reconstructing(published)).name == "moving-mnist/10-10:reconstruct"
    several = find_protocol("kth/10-20@v3d")
    assert several.samples == 50
    coded = settled(reconstructing(several))
    assert (coded.name, coded.samples) == ("kth/10-20@v3d:reconstruct", None)
    assert settled(coded) == coded
    changed = settled(replace(coded, horizon=30))
    assert changed.name == "kth/10-20@v3d (modified):reconstruct"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"task": "predict", "levels": 1}, "in a reconstruction"),
        ({"levels": 0}, "levels is at least 1"),
        ({"samples": 3, "reduce": "mean"}, "no samples"),
    ],
)
def test_contradictions(change: dict, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        replace(CODED, **change)


@pytest.mark.parametrize(
    ("protocol", "options", "words"),
    [
        (reconstructing(SINGLE, 3), None, "levels is from 1 to 2"),
        (replace(CODED, horizon=2), None, "codes 2 frames at a time, got 5"),
        (CODED, TinyOptions(dim=0.5), "options of tiny-codec are for predictions"),
    ],
)
def test_what_does_not_fit_is_one_line(
    codec: TinyCodec, protocol: Protocol, options: TinyOptions | None, words: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=words) as caught:
        evaluate(codec, protocol, options=options, out=tmp_path / "r")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "r").exists()


def test_a_model_without_codes_says_so(toy: Toy) -> None:
    with pytest.raises(ConfigError, match="toy has no codes to reconstruct frames from"):
        evaluate(toy, CODED)


def test_a_codec_predicts_too(codec: TinyCodec) -> None:
    result = evaluate(codec, SINGLE)
    assert result.codec is None
    assert [row.name for row in result.rows] == ["tiny-codec", "copy-last", "context-mean"]
