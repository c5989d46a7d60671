"""The log, and a disk that is full."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from dummy_runs import OPTIONS, metrics, plain, traces
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from framecast.errors import FramecastError
from framecast.training import train
from framecast.training.logging import Log


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes, as on a disk that is full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def scalars(folder: Path, name: str) -> dict[int, float]:
    events = EventAccumulator(str(folder))
    events.Reload()
    return {each.step: each.value for each in events.Scalars(name)}


def test_events_say_what_the_table_says(tmp_path: Path) -> None:
    train(plain(), tmp_path, options=OPTIONS)
    table = metrics(tmp_path)
    shown = scalars(tmp_path / "tensorboard" / "plain", "train/total")
    assert shown == {s: pytest.approx(table["plain", s, "train", "total"]) for s in range(1, 5)}


def test_events_after_the_checkpoint_are_void(tmp_path: Path) -> None:
    table, events = tmp_path / "table.csv", tmp_path / "events"
    first = Log(table, events, "it", done=0, length=0)
    first.write(1, "train", {"loss": 0.5})
    length = first.sync()
    for step in (2, 3):
        first.write(step, "train", {"loss": 9.0})
    first.close()
    second = Log(table, events, "it", done=1, length=length)
    second.write(2, "train", {"loss": 0.25})
    second.close()
    assert scalars(events / "it", "train/loss") == {1: 0.5, 2: 0.25}
    assert (
        table.read_text()
        == "stage,step,split,name,value\nit,1,train,loss,0.5\nit,2,train,loss,0.25\n"
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("size", [0, 2000, 4000])
def test_a_full_disk_is_one_line_and_loses_nothing(tmp_path: Path, size: int) -> None:
    each = plain(steps=20)
    with longest_file(size), pytest.raises(FramecastError, match=r"^cannot [^\n]*$"):
        train(each, tmp_path / "run", options=OPTIONS)
    assert len(list((tmp_path / "run").glob("checkpoints/*"))) == (2 if size == 4000 else 0)
    train(each, tmp_path / "run", resume=True, options=OPTIONS)
    train(each, tmp_path / "whole", options=OPTIONS)
    assert traces(tmp_path / "run") == traces(tmp_path / "whole")
