"""Films of a few sequences: their frames, their size, and the folder that holds them."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from handmade import Handmade, Toy, ToyConfig, ToyOptions

from contract.tiny_codec import TinyCodec, TinyCodecConfig
from framecast.clip import Clip
from framecast.errors import FolderError
from framecast.evaluation import films, results_folder
from framecast.evaluation.ensemble import Ensemble
from framecast.evaluation.protocol import Protocol
from framecast.evaluation.result import FORMAT_VERSION
from framecast.evaluation.runner import evaluate
from framecast.evaluation.scoring import Best, Keep, Kept, score_model
from framecast.evaluation.task import Batch

SINGLE = Protocol("single", Handmade(), 2, 3)
COLOUR = replace(SINGLE, data=Handmade(channels=3), channels=3)


def as_bytes(frames: torch.Tensor) -> np.ndarray:
    """`t c h w` in [0, 1] to `t h w c`."""
    return np.rint(frames.clamp(0, 1).numpy() * 255).astype(np.uint8).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("protocol", [SINGLE, COLOUR])
def test_films_show_the_truth_and_what_was_predicted(
    toy: Toy, tmp_path: Path, protocol: Protocol
) -> None:
    options = ToyOptions(shift=0.2)
    result = evaluate(toy, protocol, out=tmp_path / "r", batch=4, options=options)
    assert [info.sequence for info in result.films] == list(range(9))
    source = protocol.data.source("test", 5, 0)
    for info in result.films:
        clip = source[(0, info.sequence)].frames
        assert (info.name, info.context, info.frames) == (source.name(info.sequence), 2, 3)
        truth = films.read(tmp_path / "r" / "films", info, films.TRUTH)
        np.testing.assert_array_equal(truth, as_bytes(clip))
        model = films.read(tmp_path / "r" / "films", info, films.MODEL)
        expected = as_bytes((clip[1:2] + 0.2).expand(3, -1, -1, -1))
        np.testing.assert_array_equal(model, expected)


@pytest.mark.parametrize("batch", [2, 8, 15])
def test_the_best_of_several_samples_is_kept_beside_the_first(
    toy: Toy, tmp_path: Path, batch: int
) -> None:
    """The one with the smallest squared error over all frames.

    Whether its samples come at once, in three portions, or in two with those of other sequences.
    """
    protocol = replace(SINGLE, samples=5, reduce="mean")
    result = evaluate(toy, protocol, out=tmp_path / "r", batch=batch, seed=3)
    assert {2: (2, 1), 8: (5, 1), 15: (4, 3)}[batch] in toy.calls
    source = protocol.data.source("test", 5, 0)
    numbers = set()
    for info in result.films:
        clip = source[(0, info.sequence)].frames
        prediction = toy.predict(clip[None, :2], 3, samples=5, seed=3, sequences=[info.sequence])
        frames = prediction.frames[:, 0]
        errors = [float(((each - clip[2:]) ** 2).mean()) for each in frames]
        assert info.best == int(np.argmin(errors))
        numbers.add(info.best)
        for row, sample in ((films.MODEL, 0), (films.BEST, info.best)):
            read = films.read(tmp_path / "r" / "films", info, row)
            np.testing.assert_array_equal(read, as_bytes(frames[sample]))
    assert len(numbers) > 1


def test_no_sample_is_best_where_all_are_equal(tmp_path: Path) -> None:
    protocol = replace(SINGLE, samples=4, reduce="mean")
    result = evaluate(Toy(ToyConfig(width=0.0)), protocol, out=tmp_path / "r")
    assert {info.best for info in result.films} == {None}
    assert not [*(tmp_path / "r" / "films").glob("*-best.png")]


def test_values_that_are_not_known_do_not_make_a_sample_worse() -> None:
    shape = (1, 2, 1, 1, 2)
    ensemble = Ensemble(3, shape)
    samples = torch.tensor([[0.5, 0.0], [0.9, 0.1], [0.8, 0.9]])
    for number in range(2):
        ensemble.put(number, 0, samples.reshape(3, 1, 1, 1, 2))
    truth = torch.tensor([1.0, 0.0]).reshape(1, 1, 1, 2).expand(2, -1, -1, -1)
    missing = torch.tensor([False, True]).reshape(1, 1, 1, 2).expand(2, -1, -1, -1)
    assert ensemble.nearest(0, truth, None) == 1
    assert ensemble.nearest(0, truth, missing) == 1
    other = torch.tensor([0.8, 0.0]).reshape(1, 1, 1, 2).expand(2, -1, -1, -1)
    assert ensemble.nearest(0, other, None) == 1
    assert ensemble.nearest(0, other, missing) == 2
    ensemble.put(1, 0, torch.full((1, 1, 1, 1, 2), torch.nan))
    assert ensemble.nearest(0, other, missing) == 2


def test_frames_that_are_not_shown_decide_too(toy: Toy) -> None:
    """And values that are not known do not."""
    torch.manual_seed(0)
    context, future = torch.rand(3, 2, 1, 4, 4), torch.rand(3, 6, 1, 4, 4)
    missing = torch.rand(3, 6, 1, 4, 4) < 0.5
    futures = score_model(
        toy,
        Clip(context),
        Clip(future, missing=missing),
        lambda frame, truth, missing: {"mse": (frame - truth).square().mean((2, 3, 4))},
        apart=lambda one, other: {},
        counts=(),
        samples=7,
        rows=6,
        seed=0,
        sequences=(4, 5, 6),
        options=None,
        keep=Keep((0, 2), (1, 4)),
    )
    frames = toy.predict(context, 6, samples=7, seed=0, sequences=[4, 5, 6]).frames
    away = (frames - future).masked_fill(missing, 0).square().sum((2, 3, 4, 5))
    shown = (frames - future)[:, :, [1, 4]].square().sum((2, 3, 4, 5))
    assert not torch.equal(away.argmin(0), shown.argmin(0))
    for place, best in zip((0, 2), futures.kept.best, strict=True):
        assert best.number == away[:, place].argmin()
        assert torch.equal(best.frames, frames[best.number, place, [1, 4]])


def test_nothing_is_kept_where_nothing_is_written(toy: Toy) -> None:
    assert evaluate(toy, SINGLE).films == []


def test_reconstructions_have_no_context(tmp_path: Path) -> None:
    protocol = replace(SINGLE, horizon=4, task="reconstruct")
    result = evaluate(TinyCodec(TinyCodecConfig()), protocol, out=tmp_path / "r")
    assert {(info.context, info.frames) for info in result.films} == {(0, 6)}
    info = result.films[3]
    truth = films.read(tmp_path / "r" / "films", info, films.TRUTH)
    np.testing.assert_array_equal(truth, as_bytes(SINGLE.data.source("test", 6, 0)[(0, 3)].frames))


def test_sequences_are_spread_and_bounded(toy: Toy, tmp_path: Path) -> None:
    protocol = replace(SINGLE, data=Handmade(count=91, size=12))
    result = evaluate(toy, protocol, out=tmp_path / "r", batch=7)
    numbers = [info.sequence for info in result.films]
    assert len(numbers) == films.SEQUENCES
    assert (numbers[0], numbers[-1]) == (0, 90)
    assert set(np.diff(numbers)) == {3, 4}


def batch_of(length: int, height: int, width: int, context: int = 4) -> Batch:
    shape = (1, context, 3, height, width)
    return Batch(
        (0,), Clip(torch.zeros(1).expand(shape)), Clip(torch.zeros(1).expand(1, length, *shape[2:]))
    )


@pytest.mark.parametrize(
    ("length", "height", "width"), [(12, 64, 64), (4, 2160, 3840), (500, 100, 130), (16, 256, 256)]
)
def test_large_frames_are_shrunk_and_many_left_out(length: int, height: int, width: int) -> None:
    batch = batch_of(length, height, width)
    keep = films.shown(batch, 1000, 4)
    assert keep.frames == tuple(range(min(length, films.FRAMES)))
    kept = torch.ones(1, 1, 1, 1, 1).expand(1, len(keep.frames), 3, height, width)

    shown = Kept(kept, (None,))
    (film,) = films.Film.of(batch, keep, shown, SINGLE.data.source("test", 5, 0), 4)
    high, wide = film.info.size
    pixels = film.truth.shape[0] * high * wide
    assert pixels <= films.PIXELS
    assert pixels > 0.9 * films.PIXELS or (high, wide) == (height, width)
    assert wide / high == pytest.approx(width / height, rel=0.05)
    assert film.model.max() == film.model.min() == 255


def test_how_many_sequences_have_films() -> None:
    """All together keep to a number of pixels, but for the fewest."""
    many = Batch(tuple(range(1000)), batch_of(12, 8, 8).context, batch_of(12, 8, 8).truth)
    assert len(films.shown(many, 1000, 4).sequences) == films.SEQUENCES
    large = Batch(tuple(range(1000)), batch_of(12, 256, 256).context, batch_of(12, 256, 256).truth)
    assert len(films.shown(large, 1000, 4).sequences) == films.ALL_PIXELS // films.PIXELS


def test_parts_of_what_is_kept() -> None:
    one, two = Keep((1, 4), (0, 2)), Keep((4,), (1, 2))
    both = one | two
    assert both == Keep((1, 4), (0, 1, 2))
    frames = torch.arange(6.0).reshape(2, 3, 1, 1, 1)
    kept = Kept(frames, (None, Best(7, frames[0] + 10)))
    assert both.pick(kept, one).frames.flatten().tolist() == [0, 2, 3, 5]
    first, second = both.pick(kept, one).best
    assert first is None
    assert (second.number, second.frames.flatten().tolist()) == (7, [10, 12])
    assert both.pick(kept, two).frames.flatten().tolist() == [4, 5]
    assert both.pick(kept, Keep((), (0,))) is None
    assert both.pick(None, one) is None


def test_damaged_and_missing_films_are_one_line(toy: Toy, tmp_path: Path) -> None:
    result = evaluate(Toy(ToyConfig()), SINGLE, out=tmp_path / "r", limit=2)
    folder, info = tmp_path / "r" / "films", result.films[1]
    with pytest.raises(FolderError, match=r"has not 4 frames of 16x16; evaluate again"):
        films.read(folder, replace(info, frames=4), films.MODEL)
    broken = bytearray((folder / "00001-model.png").read_bytes())
    broken[8:12] = b"\0\0\0\x02"  # the length of its first block
    (folder / "00000-model.png").write_bytes(broken)
    with pytest.raises(FolderError, match="cannot be read"):
        films.read(folder, result.films[0], films.MODEL)
    (folder / "00001-model.png").write_bytes(b"no picture")
    (folder / "00001-truth.png").unlink()
    for row in (films.MODEL, films.TRUTH):
        with pytest.raises(FolderError, match="cannot be read") as caught:
            films.read(folder, info, row)
        assert "\n" not in str(caught.value)


def test_results_without_films_are_read(toy: Toy, tmp_path: Path) -> None:
    """Those of older versions hold none."""
    result = evaluate(toy, SINGLE, out=tmp_path / "r", limit=2)
    path = tmp_path / "r" / "results.json"
    text = path.read_text()
    start = text.index(' "films": [')
    older = text[: text.rindex(",", 0, start)] + "\n}\n"
    path.write_text(older.replace(f'"format_version": {FORMAT_VERSION}', '"format_version": 4'))
    read = results_folder.read(tmp_path / "r")
    assert read == replace(result, format_version=4, films=[])
