"""The protocols of STIP end to end on tiny frames, and what their tables show."""

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from handmade import Handmade

from framecast.data.ucf_sports import UcfSports
from framecast.errors import ConfigError
from framecast.evaluation import task
from framecast.evaluation.metrics import pixel
from framecast.evaluation.protocol import Protocol, find, settled
from framecast.evaluation.report import table
from framecast.evaluation.runner import evaluate
from framecast.evaluation.strips import small
from framecast.evaluation.task import Task
from framecast.model import FrameSpec, Step
from framecast.models.copy_last import CopyLast, CopyLastConfig
from framecast.registry import names

sys.path.append(str(Path(__file__).parents[1] / "data"))
from framed import write

DATA = os.environ.get("FRAMECAST_DATA")
NAMES = [name for name in names("protocols") if name.startswith(("ucf", "human36m", "sjtu4k"))]
SIZE = (12, 16)


@pytest.fixture(autouse=True)
def _no_weights_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FRAMECAST_WEIGHTS", raising=False)


@pytest.fixture(scope="module")
def roots(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A few videos of each dataset, with lists."""
    base = tmp_path_factory.mktemp("stip")
    write(base / "ucf-sports" / "Lifting" / "002", range(20))
    write(base / "ucf-sports" / "Lifting" / "006", range(24))
    (base / "ucf-sports" / "test.txt").write_text("x/Lifting/006/,6\nx/Lifting/002/,7\n")
    name = "S9_Walking.54138969_"
    write(base / "human36m" / "S9", range(1, 120, 5), name + "{:06d}.png")
    (base / "human36m" / "test.txt").write_text(f"x/S9/,{name},26,96\n")
    write(base / "sjtu4k" / "Traffic_Flow.mp4", range(17))
    return {path.name: path for path in base.iterdir()}


def at(name: str, roots: dict[str, Path]) -> Protocol:
    """A protocol of tiny frames."""
    protocol = find(name)
    data = replace(protocol.data, root=roots[name.split("/", maxsplit=1)[0]], size=SIZE)
    return replace(protocol, data=data)


def copy_last() -> CopyLast:
    return CopyLast(CopyLastConfig())


def test_settings_are_those_of_the_paper() -> None:
    assert len(NAMES) == 10
    for name in NAMES:
        protocol = find(name)
        last = {"ucf": 10, "hum": 8, "sjt": 8}[name[:3]]
        assert protocol.metrics == "stip"
        assert protocol.channels == 3
        assert (protocol.samples, protocol.split, protocol.validation) == (
            None,
            "test",
            "validation",
        )
        assert protocol.data.split == ("published" if name.endswith("@published") else "disjoint")
        assert protocol.report_frames == (() if protocol.horizon == 1 else (5, last))
        assert any("SSIM" in note for note in protocol.notes)


@pytest.mark.parametrize("name", NAMES)
def test_each_runs_and_its_table_shows_the_papers_time_steps(name: str, roots) -> None:
    result = evaluate(copy_last(), at(name, roots))
    assert result.complete
    assert result.data.sequences == {"ucf": 2, "hum": 1 if "@" in name else 2, "sjt": 2}[name[:3]]
    rows = {row[0]: row for row in table(result).rows}
    column = table(result).columns.index("PSNR, dB ↑")
    shown = [key for key in rows if key.startswith("copy-last")]
    last = {"ucf": 10, "hum": 8, "sjt": 8}[name[:3]]
    expected = ["copy-last, t = 5", f"copy-last, t = {last}"] if "4-1" not in name else []
    assert shown == ["copy-last", *expected]
    for label, place in zip(expected, (0, -1), strict=False):
        curve = result.rows[0].curves["psnr"]
        assert float(rows[label][column].split(" ±")[0]) == pytest.approx(
            curve[place].mean, abs=0.006
        )


def test_t_5_is_the_first_predicted_frame(roots) -> None:
    protocol = at("ucf-sports/4-6", roots)
    source = protocol.data.source("test", 10, 0)
    frames = [source[(0, index)].frames for index in range(len(source))]
    found = table(evaluate(copy_last(), protocol))
    cells = {row[0]: row[found.columns.index("PSNR, dB ↑")] for row in found.rows}
    for t in (5, 10):
        mean = torch.stack([pixel.psnr(f[3], f[t - 1]) for f in frames]).mean().item()
        assert float(cells[f"copy-last, t = {t}"].split(" ±")[0]) == pytest.approx(mean, abs=0.006)


def test_steps_that_are_not_predicted_are_not_shown(roots) -> None:
    shorter = settled(replace(at("ucf-sports/4-6", roots), horizon=3))
    shown = [row[0] for row in table(evaluate(copy_last(), shorter)).rows]
    assert "copy-last, t = 5" in shown
    assert not any("t = 10" in name for name in shown)
    with pytest.raises(ConfigError, match="report_frames count from 1"):
        replace(shorter, report_frames=(0,))


def test_results_tell_the_split(roots) -> None:
    by_video = evaluate(copy_last(), at("ucf-sports/4-6", roots))
    published = evaluate(copy_last(), at("ucf-sports/4-6@published", roots))
    assert by_video.protocol["data"]["split"] == "disjoint"
    assert by_video.protocol_hash != published.protocol_hash
    text = "\n".join(table(published).notes)
    assert "test videos are training videos" in text
    assert "743 of 752" in text
    assert "split by video" in "\n".join(table(by_video).notes)
    model = copy_last()
    model.about = {"data": {"type": "ucf-sports", "split": "published"}}
    notes = evaluate(model, at("ucf-sports/4-6", roots)).data.notes
    assert any("the model was trained with published" in note for note in notes)


def test_squeezenet_has_a_name_of_its_own(roots) -> None:
    result = evaluate(copy_last(), replace(at("ucf-sports/4-6", roots), metrics="stip-squeeze"))
    assert result.name == "ucf-sports/4-6 (modified)"
    assert set(result.omitted) == {"lpips-squeeze-x100"}


class Padded(CopyLast):
    """Copies the last frame, in sizes that are multiples of 10; notes what it is given."""

    given: tuple[int, int] = (0, 0)

    @property
    def expects(self) -> FrameSpec:
        return FrameSpec(channels=None, multiple_of=10)

    def rollout(self, context, horizon, samples, noise, options) -> Iterator[Step]:
        self.given = tuple(context.frames.shape[-2:])
        return super().rollout(context, horizon, samples, noise, options)


def test_padding_is_cropped_before_scoring(roots) -> None:
    model = Padded(CopyLastConfig())
    result = evaluate(model, at("sjtu4k/4-4", roots))
    assert model.given == (20, 20)
    assert result.rows[0].values == result.rows[1].values


def test_batches_hold_a_bounded_number_of_values(monkeypatch: pytest.MonkeyPatch) -> None:
    def batches() -> list[int]:
        usual = {"root": None, "limit": None, "seed": 0, "weights": None, "options": None}
        made = Task.of(copy_last(), Protocol("own", Handmade(), 2, 3), batch=8, **usual)
        return [len(batch.sequences) for batch in made.batches()]

    assert batches() == [8, 1]
    monkeypatch.setattr(task, "MOST_VALUES", 3 * 5 * 16 * 16)
    assert batches() == [3, 3, 3]
    monkeypatch.setattr(task, "MOST_VALUES", 1)
    assert batches() == [1] * 9


def test_pictures_keep_small_frames() -> None:
    frames = torch.rand(2, 3, 540, 960)
    assert small(frames).shape == (2, 3, 288, 512)
    assert small(frames[..., :512, :300]) is not frames
    assert torch.equal(small(frames[..., :512, :300]), frames[..., :512, :300])
    ramp = torch.linspace(0, 1, 1024).expand(1, 1, 8, 1024)
    assert (small(ramp)[0, 0, 2] - torch.linspace(0, 1, 512)).abs().max() < 0.01


@pytest.mark.skipif(DATA is None, reason="FRAMECAST_DATA is not set")
def test_real_frames_of_ucf_sports_at_full_size() -> None:
    result = evaluate(copy_last(), find("ucf-sports/4-6"), root=Path(str(DATA)) / "ucf_sports")
    source = UcfSports(root=Path(str(DATA)) / "ucf_sports").source("test", 10, 0)
    frames = torch.stack([source[(0, index)].frames for index in range(6)]).double()
    error = (frames[:, 3] - frames[:, 9]).square().flatten(1).mean(1)
    expected = (-10 * error.log10()).mean().item()
    assert result.rows[0].curves["psnr"][5].mean == pytest.approx(expected, abs=1e-3)
