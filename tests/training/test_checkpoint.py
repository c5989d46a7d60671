"""Checkpoints that are torn, old, foreign, or followed by rows of a table."""

from pathlib import Path

import pytest
import torch
from dummy_runs import OPTIONS, chain, metrics, plain, traces

from framecast.errors import TrainingError
from framecast.training import checkpoint, train
from framecast.training.checkpoint import Checkpoint, Kept


def small(step: int) -> Checkpoint:
    return Checkpoint(
        index=1,
        step=step,
        stage={"a": torch.arange(3), "b": torch.zeros(())},
        optimizers={"main/0/step": torch.tensor(2.0)},
        average={},
        kept=Kept({"a": torch.ones(2)}, 3, 0.1 + 0.2),
        finished=({"name": "before", "score": None},),
        log_bytes=17,
    )


def test_a_checkpoint_comes_back(tmp_path: Path) -> None:
    back = checkpoint.load(checkpoint.save(tmp_path, small(5), keep=2))
    assert (back.index, back.step, back.log_bytes) == (1, 5, 17)
    assert back.finished == ({"name": "before", "score": None},)
    assert back.kept is not None
    assert (back.kept.step, back.kept.score) == (3, 0.1 + 0.2)
    assert torch.equal(back.kept.weights["a"], torch.ones(2))
    assert torch.equal(back.stage["a"], torch.arange(3))
    assert torch.equal(back.optimizers["main/0/step"], torch.tensor(2.0))


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (5, 90, 1000):
        checkpoint.save(tmp_path, small(step), keep=2)
    assert checkpoint.newest(tmp_path) == tmp_path / "01-000001000"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01-000000090", "01-000001000"]


@pytest.mark.parametrize("file", ["stage.safetensors", "checkpoint.json", "manifest.json"])
def test_a_torn_checkpoint_is_skipped(tmp_path: Path, file: str) -> None:
    train(chain(), tmp_path, options=OPTIONS)
    whole = traces(tmp_path)
    torn = tmp_path / "checkpoints" / "01-000000005"
    content = (torn / file).read_bytes()
    (torn / file).write_bytes(content[: len(content) // 2])
    with pytest.warns(UserWarning, match=f"skipped a damaged checkpoint: .*{file}"):
        train(chain(), tmp_path, resume=True, options=OPTIONS)
    assert traces(tmp_path) == whole


def test_where_no_checkpoint_can_be_read_all_stay(tmp_path: Path) -> None:
    """A later version wrote them, or the disk failed: nothing is begun anew over them."""
    train(chain(), tmp_path, options=OPTIONS)
    for manifest in (tmp_path / "checkpoints").glob("*/manifest.json"):
        text = manifest.read_text().replace('"format_version": 1', '"format_version": 2')
        manifest.write_text(text)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.raises(TrainingError, match=r"no checkpoint in .* can be read .* left as they are"):
        train(chain(), tmp_path, resume=True, options=OPTIONS)
    for path in (path for path in before if path.name != "experiment.json"):
        assert path.read_bytes() == before[path]


def test_other_folders_beside_checkpoints_are_left_alone(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, small(5), keep=2)
    (tmp_path / "mine").mkdir()
    (tmp_path / ".01-000000007.abc").mkdir()
    assert checkpoint.newest(tmp_path) == tmp_path / "01-000000005"
    checkpoint.tidy(tmp_path, None, keep=2)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_checkpoints_that_are_too_old_or_too_new_are_removed(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4, 5):
        checkpoint.save(tmp_path, small(step), keep=9)
    checkpoint.tidy(tmp_path, tmp_path / "01-000000004", keep=2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["01-000000003", "01-000000004"]


def test_rows_after_the_checkpoint_are_cut(tmp_path: Path) -> None:
    train(plain(), tmp_path, options=OPTIONS)
    table, whole = metrics(tmp_path), traces(tmp_path)
    with (tmp_path / "metrics.csv").open("a") as file:
        file.write("plain,9,train,total,1.0\nplain,10,tr")
    train(plain(), tmp_path, resume=True, options=OPTIONS)
    assert metrics(tmp_path) == table
    assert traces(tmp_path) == whole
