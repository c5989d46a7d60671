"""Whole trainings, in one process."""

import gc
import json
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from dummy_runs import (
    OFTEN,
    OPTIONS,
    At,
    chain,
    experiment,
    metrics,
    plain,
    send,
    traces,
    weights,
)

import framecast
from contract.dummy import Dots, DummyConfig, PlainConfig
from framecast.clip import Clip, Key, Source
from framecast.config import to_json
from framecast.errors import ConfigError, DataError, TrainingError
from framecast.experiment import Experiment
from framecast.models.convlstm import ConvLSTMConfig, TrainingConfig
from framecast.stage import OptimizerConfig
from framecast.training import Interrupted, RunOptions, batches, stage_run, train
from framecast.training.trainer import Trainer


def test_a_run_leaves_what_it_says(tmp_path: Path) -> None:
    run = tmp_path / "run"
    assert train(chain(), run, options=OPTIONS) == run / "model"
    facts = json.loads((run / "experiment.json").read_text())
    assert facts["experiment"]["stages"]["codes"]["ema"] == 0.9
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["machine"]["world_size"] == 1
    assert set(facts["data"]) == {"train", "validation"}
    model = framecast.load(run)
    table = metrics(run)
    best = min((v, r[1]) for r, v in table.items() if r[0] == "prior" and r[3] == "score")
    assert model.about == {
        "context": 3,
        "horizon": 2,
        "size": [4, 4],
        "data": to_json(replace(chain().data, root=None)),
        "stages": [
            {**model.about["stages"][0], "name": "codes", "type": "dummy/codes"},
            {"name": "prior", "type": "dummy/prior", "step": best[1], "score": best[0]},
        ],
        "score": best[0],
        "seed": 0,
        "framecast": framecast.__version__,
    }
    assert "| prior | dummy/prior | 5 |" in (run / "model" / "README.md").read_text()
    assert list((run / "tensorboard" / "codes").glob("events.*"))
    steps = {row[1] for row in table if row[0] == "codes" and row[2] == "train"}
    assert steps == {1, 2, 3, 4, 5}
    assert {r[1] for r in table if r[:3:2] == ("prior", "validation")} == {3, 5}
    names = {row[3] for row in table if row[0] == "codes" and row[2] == "train"}
    assert {"predictor/total", "predictor/error", "critic/total", "critic/learning_rate"} <= names


def test_a_stage_starts_from_the_best_weights_of_the_one_before(tmp_path: Path) -> None:
    train(chain(), tmp_path, options=OPTIONS)
    before, after = weights(tmp_path / "stages" / "codes"), weights(tmp_path / "model")
    kept = {name for name in before if torch.equal(before[name], after[name])}
    assert kept == set(before) - {"prior.weight"}


def test_training_is_repeatable_and_independent_of_loader_processes(tmp_path: Path) -> None:
    train(chain(), tmp_path / "a", options=OPTIONS)
    torch.manual_seed(99)
    train(chain(), tmp_path / "b", options=OPTIONS)
    assert traces(tmp_path / "a") == traces(tmp_path / "b")


@pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
def test_loader_processes_change_nothing_and_outlive_a_signal(
    tmp_path: Path, after_step: At
) -> None:
    options = replace(OPTIONS, workers=2)

    def signal_all(_: Trainer) -> None:
        for child in multiprocessing.active_children():
            assert child.pid is not None
            os.kill(child.pid, signal.SIGTERM)
            child.join(0.3)
            assert child.is_alive()
        signal.raise_signal(signal.SIGTERM)

    data = Dots(clips=10, fixed=False)
    each = replace(plain(steps=6), data=data)
    after_step(3, signal_all)
    with pytest.raises(Interrupted):
        train(each, tmp_path / "a", options=options)
    train(each, tmp_path / "a", resume=True, options=options)
    train(each, tmp_path / "b", options=OPTIONS)
    assert metrics(tmp_path / "a") == metrics(tmp_path / "b")


@pytest.mark.parametrize("where", ["step", "validation", "data"])
def test_no_loader_process_outlives_a_failure(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ignores signals, so a program would wait for it for ever; whoever holds the error."""
    each = replace(plain(steps=4, batch=2), data=Dots(clips=10, fixed=False))
    gc.disable()
    try:
        if where == "data":
            monkeypatch.setattr(batches, "collate", _refuse)
        else:
            target = (Trainer, "step") if where == "step" else (stage_run, "validate")
            monkeypatch.setattr(*target, _refuse_after_a_batch)
        with pytest.raises(DataError) as caught:
            train(each, tmp_path, options=replace(OPTIONS, workers=2))
        assert not multiprocessing.active_children()
        assert "unreadable" in str(caught.value)
    finally:
        gc.enable()


def _refuse(items: object) -> object:
    raise DataError("unreadable")


def _refuse_after_a_batch(*arguments: object) -> object:
    if not isinstance(arguments[0], Trainer):  # validation's batches have not begun
        next(arguments[2])
    assert multiprocessing.active_children()
    raise DataError("unreadable")


@pytest.mark.parametrize("kept", ["best", "last"])
def test_the_best_weights_are_kept_or_the_last(tmp_path: Path, kept: str) -> None:
    fast = OptimizerConfig(kind="sgd", betas=(0.9, 0.0), learning_rate=3.0)
    train(plain(optimizer=fast, keep=kept, steps=9), tmp_path, options=OPTIONS)
    scores = {
        row[1]: v for row, v in metrics(tmp_path).items() if row[2:] == ("validation", "score")
    }
    assert list(scores) == [2, 4, 6, 8, 9]
    assert min(scores, key=scores.__getitem__) != 9, "the case tells the two apart"
    step = 9 if kept == "last" else min(scores, key=scores.__getitem__)
    about = framecast.load(tmp_path).about
    assert (about["score"], about["stages"][0]["step"]) == (scores[step], step)


def test_the_best_weights_outlive_an_interruption(tmp_path: Path, after_step: At) -> None:
    fast = OptimizerConfig(kind="sgd", betas=(0.9, 0.0), learning_rate=3.0)
    each = plain(optimizer=fast, steps=9)
    train(each, tmp_path / "whole", options=OPTIONS)
    best = framecast.load(tmp_path / "whole").about["stages"][0]["step"]
    after_step(8, send(signal.SIGTERM))
    with pytest.raises(Interrupted):
        train(each, tmp_path / "run", options=OPTIONS)
    assert best < 8, "the case tells kept weights from later ones"
    train(each, tmp_path / "run", resume=True, options=OPTIONS)
    assert (
        traces(tmp_path / "run")["model/model.safetensors"]
        == (traces(tmp_path / "whole")["model/model.safetensors"])
    )


def test_what_is_kept_is_what_was_validated(tmp_path: Path) -> None:
    """The kept weights, averages included, score what the table says."""
    each = plain(ema=0.9, validation_clips=5, batch=2)
    train(each, tmp_path, options=OPTIONS)
    model = framecast.load(tmp_path)
    source = each.source("validation")
    frames = torch.stack([source[0, index].frames for index in range(5)])
    error = (model.teacher_forced(framecast.Clip(frames)) - frames[:, 1:]).square().mean()
    assert error.item() == pytest.approx(model.about["score"], rel=1e-5)
    last = weights(tmp_path / "model")["encoder.weight"]
    checkpoint = sorted((tmp_path / "checkpoints").iterdir())[-1]
    live = framecast.folder.read_tensors(checkpoint / "stage.safetensors")
    assert not torch.equal(last, live["model.encoder.weight"])


def test_without_validation_all_clips_train_and_the_last_weights_stay(tmp_path: Path) -> None:
    train(replace(plain(), validation=False), tmp_path, options=OPTIONS)
    assert not any(row[2] == "validation" for row in metrics(tmp_path))
    about = framecast.load(tmp_path).about
    assert (about["score"], about["stages"][0]["step"]) == (None, 4)


def test_a_signal_ends_the_step_and_the_run_goes_on_bit_for_bit(
    tmp_path: Path, after_step: At
) -> None:
    train(chain(), tmp_path / "whole", options=OPTIONS)
    after_step(3, send(signal.SIGTERM))
    with pytest.raises(Interrupted, match=r"step 3 of stage 'codes'; .* train --resume ") as caught:
        train(chain(), tmp_path / "run", options=OPTIONS)
    assert caught.value.exit_code == 143
    after_step(1, send(signal.SIGINT))
    with pytest.raises(Interrupted, match="step 1 of stage 'prior'") as caught:
        train(chain(), tmp_path / "run", resume=True, options=OPTIONS)
    assert caught.value.exit_code == 130
    train(chain(), tmp_path / "run", resume=True, options=OPTIONS)
    whole, run = traces(tmp_path / "whole"), traces(tmp_path / "run")
    assert {name: run.get(name) for name in whole} == whole


def small_convlstm() -> Experiment:
    """A real model: convolutions are what mixed precision rounds."""
    model = ConvLSTMConfig(channels=1, hidden=(3,), kernel=3, patch=2)
    stage = TrainingConfig(steps=5, batch=4, validation_clips=8, **OFTEN)
    return Experiment(model, Dots(), context=3, horizon=2, stages={"main": stage})


def test_mixed_precision_goes_on_bit_for_bit(tmp_path: Path, after_step: At) -> None:
    """On a CPU too; and it is not single precision."""
    mixed = replace(OPTIONS, precision="bf16-mixed")
    train(small_convlstm(), tmp_path / "single", options=OPTIONS)
    train(small_convlstm(), tmp_path / "whole", options=mixed)
    after_step(3, send(signal.SIGTERM))
    with pytest.raises(Interrupted):
        train(small_convlstm(), tmp_path / "run", options=mixed)
    train(small_convlstm(), tmp_path / "run", resume=True, options=mixed)
    whole, run = traces(tmp_path / "whole"), traces(tmp_path / "run")
    assert {name: run.get(name) for name in whole} == whole
    kept, single = weights(tmp_path / "run/model"), weights(tmp_path / "single/model")
    assert all(tensor.dtype == torch.float32 for tensor in kept.values())
    assert any(not torch.equal(kept[name], single[name]) for name in kept)
    assert all(torch.allclose(kept[name], single[name], atol=0.02) for name in kept)


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Python's own answer to Ctrl-C, which processes in the background start without."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_the_second_signal_stops_at_once(tmp_path: Path, after_step: At) -> None:
    def twice(_: Trainer) -> None:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)

    after_step(3, twice)
    with pytest.raises(KeyboardInterrupt):
        train(plain(), tmp_path, options=OPTIONS)
    train(plain(), tmp_path, resume=True, options=OPTIONS)


def test_handlers_threads_and_determinism_are_put_back(tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGTERM), torch.get_num_threads()
    during: list[bool] = []
    each = replace(plain(), data=Dots())
    handle = Trainer.share_buffers

    def note(self: Trainer) -> None:
        during.append(torch.are_deterministic_algorithms_enabled())
        handle(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "share_buffers", note)
        train(each, tmp_path, options=replace(OPTIONS, threads=2))
    assert all(during)
    assert during
    assert not torch.are_deterministic_algorithms_enabled()
    assert (signal.getsignal(signal.SIGTERM), torch.get_num_threads()) == before
    facts = json.loads((tmp_path / "experiment.json").read_text())
    assert facts["machine"]["threads"] == 2


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(TrainingError, match="not empty and holds no run"):
        train(plain(), tmp_path, options=OPTIONS)
    with pytest.raises(TrainingError, match="is a file"):
        train(plain(), tmp_path / "notes.txt", options=OPTIONS)
    train(plain(), tmp_path / "run", options=OPTIONS)
    with pytest.raises(TrainingError, match="holds a run; go on with it"):
        train(plain(), tmp_path / "run", options=OPTIONS)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["notes.txt"]


HOLD = """
import sys
from pathlib import Path
from framecast.training.run_folder import RunFolder
with RunFolder(Path(sys.argv[1])).held():
    print("held", flush=True)
    sys.stdin.read()
"""


def test_two_processes_do_not_train_into_one_folder(tmp_path: Path) -> None:
    """Neither a new run nor a resumed one; a killed process lets the folder go."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "run")]
    other = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    with other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        for resume in (False, True):
            with pytest.raises(TrainingError, match="another process trains into"):
                train(plain(), tmp_path / "run", resume=resume, options=OPTIONS)
        other.kill()
    train(plain(), tmp_path / "run", options=OPTIONS)


def test_a_finished_run_is_left_alone(tmp_path: Path) -> None:
    train(plain(), tmp_path, options=OPTIONS)
    before = traces(tmp_path)
    train(plain(), tmp_path, resume=True, options=OPTIONS)
    assert traces(tmp_path) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 5}, "stages.plain.steps is 4 there and 5 here"),
        ({"ema": 0.5}, "stages.plain.ema is None there and 0.5 here"),
    ],
)
def test_another_experiment_does_not_go_on(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    train(plain(), tmp_path, options=OPTIONS)
    with pytest.raises(TrainingError, match=message):
        train(plain(**change), tmp_path, resume=True, options=OPTIONS)
    with pytest.raises(TrainingError, match=r"data\.clips is 24 there and 25 here"):
        train(replace(plain(), data=Dots(clips=25)), tmp_path, resume=True, options=OPTIONS)


def test_stages_in_another_order_do_not_go_on(tmp_path: Path) -> None:
    stages = chain().stages
    train(chain(), tmp_path, options=OPTIONS)
    other = experiment(prior=stages["prior"], codes=stages["codes"])
    with pytest.raises(TrainingError, match=r"stages is \['codes', 'prior'\] there"):
        train(other, tmp_path, resume=True, options=OPTIONS)


def test_data_may_move_but_not_change(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    train(plain(), tmp_path, options=OPTIONS)
    text = (tmp_path / "experiment.json").read_text()
    facts = json.loads(text)
    facts["experiment"]["data"]["root"] = "/elsewhere"
    (tmp_path / "experiment.json").write_text(json.dumps(facts))
    train(plain(), tmp_path, resume=True, options=OPTIONS)
    facts["data"]["validation"] = "other"
    (tmp_path / "experiment.json").write_text(json.dumps(facts))
    with pytest.raises(TrainingError, match="the validation data is not what"):
        train(plain(), tmp_path, resume=True, options=OPTIONS)


def test_another_machine_is_warned_of(tmp_path: Path) -> None:
    train(plain(), tmp_path, options=replace(OPTIONS, threads=1))
    with pytest.warns(UserWarning, match="threads was 1 and is 2: .* not bit for bit"):
        train(plain(), tmp_path, resume=True, options=replace(OPTIONS, threads=2))


def test_divergence_leaves_a_checkpoint_to_go_on_from_more_slowly(tmp_path: Path) -> None:
    wild = OptimizerConfig(kind="sgd", betas=(0.0, 0.0), learning_rate=10.0)
    with pytest.raises(TrainingError, match=r"step 6: total, .* is not finite; lower .* step 4 in"):
        train(plain(steps=8, optimizer=wild), tmp_path, options=OPTIONS)
    assert (tmp_path / "checkpoints" / "00-000000004" / "manifest.json").is_file()
    tame = replace(wild, learning_rate=1e-20)
    with pytest.warns(UserWarning, match=r"optimizer.learning_rate changes from 10\.0"):
        train(plain(steps=8, optimizer=tame), tmp_path, resume=True, options=OPTIONS)
    assert framecast.load(tmp_path).about["stages"][0]["name"] == "plain"
    facts = json.loads((tmp_path / "experiment.json").read_text())
    assert facts["experiment"]["stages"]["plain"]["optimizer"]["learning_rate"] == 1e-20


def test_training_starts_from_another_model(tmp_path: Path) -> None:
    first = train(plain(), tmp_path / "first", options=OPTIONS)
    still = OptimizerConfig(kind="sgd", learning_rate=0.0)
    each = plain(steps=1, optimizer=still)
    train(each, tmp_path / "second", init=first, options=OPTIONS)
    before, after = weights(first), weights(tmp_path / "second" / "model")
    assert all(torch.equal(before[name], after[name]) for name in before)
    other = replace(each, model=DummyConfig(codes=9))
    with pytest.raises(TrainingError, match=r"its model\.codes is 8, the experiment's is 9"):
        train(other, tmp_path / "third", init=first, options=OPTIONS)
    assert not (tmp_path / "third").exists()
    before = traces(tmp_path / "second")
    train(each, tmp_path / "second", init=first, resume=True, options=OPTIONS)
    with pytest.raises(TrainingError, match=r"began from .*first.*, not from .*second"):
        train(each, tmp_path / "second", init=tmp_path / "second", resume=True, options=OPTIONS)
    assert traces(tmp_path / "second") == before
    train(each, tmp_path / "new", options=OPTIONS)
    with pytest.raises(TrainingError, match="began from new weights, not from"):
        train(each, tmp_path / "new", init=first, resume=True, options=OPTIONS)


def test_a_run_killed_before_its_first_checkpoint_starts_from_the_same_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = train(plain(), tmp_path / "first", options=OPTIONS)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "__init__", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(plain(), tmp_path / "killed", init=first, options=OPTIONS)
    train(plain(), tmp_path / "killed", resume=True, options=OPTIONS)
    train(plain(), tmp_path / "whole", init=first, options=OPTIONS)
    assert traces(tmp_path / "killed") == traces(tmp_path / "whole")


def test_what_changes_no_weights_may_change(tmp_path: Path, after_step: At) -> None:
    """Pictures, rows and checkpoints come as often as is asked for now."""
    train(plain(), tmp_path / "whole", options=OPTIONS)
    after_step(2, send(signal.SIGTERM))
    with pytest.raises(Interrupted):
        train(plain(), tmp_path / "other", options=OPTIONS)
    changed = plain(sample_every=1)
    with pytest.warns(UserWarning, match=r"plain\.sample_every changes from"):
        train(changed, tmp_path / "other", resume=True, options=OPTIONS)
    one, other = (weights(tmp_path / name / "model") for name in ("whole", "other"))
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert (tmp_path / "other" / "samples" / "plain" / "000000003.png").exists()


class Vanishing(Source):
    """Clips whose disk fails."""

    def __init__(self, error: OSError) -> None:
        self.error = error

    def __len__(self) -> int:
        return 4

    def __getitem__(self, key: Key) -> Clip:
        raise self.error

    def fingerprint(self) -> str:
        return ""


GONE = "[Errno 2] No such file: 'gone.npy'"
FROM_A_WORKER = f"""Caught FileNotFoundError in DataLoader worker process 0.
Original Traceback (most recent call last):
  File "worker.py", line 349, in _worker_loop
FileNotFoundError: {GONE}
"""


@pytest.mark.parametrize(
    "error", [FileNotFoundError(2, "No such file", "gone.npy"), FileNotFoundError(FROM_A_WORKER)]
)
def test_clips_that_cannot_be_read_any_more_are_one_line(error: OSError) -> None:
    """In this process, and as a loader's process passes it on."""
    with pytest.raises(DataError) as caught:
        list(batches.validation_batches(Vanishing(error), 4, 2, 0, 0, 1))
    assert str(caught.value) == f"cannot read on ({GONE}); mend that and resume"


def test_checkpoints_at_the_beginning_and_the_end_alone(tmp_path: Path) -> None:
    train(plain(checkpoint_every=0), tmp_path, options=OPTIONS)
    found = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert found == ["00-000000000", "00-000000004"]
    with pytest.raises(ConfigError, match="0 or more"):
        plain(checkpoint_every=-1)
    for clips in (0, -5):
        with pytest.raises(ConfigError, match="validation_clips is at least 1"):
            plain(validation_clips=clips)


def test_a_run_that_never_began_leaves_its_folder_free(tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Trainer, "__init__", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(plain(), tmp_path, options=OPTIONS)
    train(plain(steps=3), tmp_path, options=OPTIONS)
    assert framecast.load(tmp_path).about["stages"][0]["step"] == 3


def test_fields_that_are_newer_than_a_run_have_their_defaults(tmp_path: Path) -> None:
    train(plain(), tmp_path, options=OPTIONS)
    facts = json.loads((tmp_path / "experiment.json").read_text())
    del facts["experiment"]["stages"]["plain"]["optimizer"]["eps"]
    (tmp_path / "experiment.json").write_text(json.dumps(facts))
    train(plain(), tmp_path, resume=True, options=OPTIONS)


def test_clips_that_do_not_fit_are_refused_before_the_first_step(tmp_path: Path) -> None:
    model = ConvLSTMConfig(channels=2, hidden=(2,), kernel=3)
    misfit = Experiment(model, Dots(), 3, 2, {"main": TrainingConfig(steps=1)})
    with pytest.raises(TrainingError, match="have 1 channels and the model takes 2"):
        train(misfit, tmp_path / "run", options=OPTIONS)


def test_gray_clips_train_a_model_of_colour(tmp_path: Path) -> None:
    model = ConvLSTMConfig(channels=3, hidden=(2,), kernel=3)
    train(
        Experiment(model, Dots(), 3, 2, {"main": TrainingConfig(steps=1)}),
        tmp_path / "run",
        options=OPTIONS,
    )
    assert (tmp_path / "run" / "model").is_dir()


def test_nothing_to_train_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="no stages"):
        train(experiment(), tmp_path, options=OPTIONS)
    with pytest.raises(TrainingError, match="cannot name a folder"):
        train(experiment(**{"../a": PlainConfig(**OFTEN)}), tmp_path, options=OPTIONS)
    with pytest.raises(TrainingError, match="validation split is empty"):
        train(replace(plain(), data=Dots(clips=0)), tmp_path, options=OPTIONS)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "fields", [{"devices": 0}, {"workers": -1}, {"threads": 0}, {"keep_checkpoints": 1}]
)
def test_options_have_ranges(fields: dict[str, int]) -> None:
    with pytest.raises(ConfigError):
        RunOptions(**fields)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_missing_gpu_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no CUDA device"):
        train(plain(), tmp_path, options=replace(OPTIONS, accelerator="cuda"))
