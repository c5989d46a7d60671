"""Dispatch, errors, interruptions and pipes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import framecast
from framecast import cli as package
from framecast.cli import main as entry
from framecast.cli import presets
from framecast.cli.ending import Ended, told
from framecast.cli.main import VERBS, explain

COMMAND = [sys.executable, "-m", "framecast.cli"]


@pytest.mark.parametrize("arguments", [(), ("--help",), ("-h",)])
def test_help_lists_every_verb(cli, arguments) -> None:
    ran = cli(*arguments)
    assert ran.code == 0
    for verb, about in VERBS.items():
        assert f"{verb} " in ran.out
        assert about in ran.out


def test_every_verb_is_a_file_and_every_file_with_run_a_verb() -> None:
    folder = Path(package.__file__).parent
    files = {path.stem for path in folder.glob("*.py") if "\ndef run(argv" in path.read_text()}
    assert files == set(VERBS)


@pytest.mark.parametrize("verb", sorted(VERBS))
def test_every_verb_has_help(cli, verb: str) -> None:
    ran = cli(verb, "--help")
    assert ran.code == 0
    assert f"framecast {verb}" in ran.out


def test_version(cli) -> None:
    assert cli("--version").out == f"framecast {framecast.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("predcit",), "there is no verb 'predcit'; did you mean 'predict'"),
        (("--versoin",), "there is no option '--versoin'; did you mean '--version'"),
        (("data", "shwo"), "did you mean 'show'"),
        (("weights", "covnert"), "did you mean 'convert'"),
    ],
)
def test_typos_are_answered(cli, arguments, said: str) -> None:
    ran = cli(*arguments)
    assert (ran.code, ran.out) == (2, "")
    assert ran.err.startswith("framecast: error: ")
    assert said in ran.err


@pytest.mark.parametrize("place", [0, 1, 3])
def test_debug_shows_where_an_error_comes_from(cli, place: int) -> None:
    arguments = ["predict", "gone.mp4", "--model=copy-last"]
    quiet = cli(*arguments)
    assert "Traceback" not in quiet.err
    arguments.insert(place, "--debug")
    loud = cli(*arguments)
    assert (loud.code, "Traceback" in loud.err) == (quiet.code, True)


def _raising(error: BaseException):
    def run(argv: list[str]) -> int:
        raise error

    return run


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "framecast: error: interrupted\n"),
        (PermissionError(13, "Permission denied", "x"), 2, "framecast: error: x: Permission d"),
        (OSError(28, "No space left on device", "x"), 2, "free some space"),
        (MemoryError(), 2, "not enough memory"),
        (RuntimeError("DefaultCPUAllocator: not enough memory"), 2, "not enough memory; use"),
        (RuntimeError("err == 0. can't allocate memory: you tried"), 2, "not enough memory; use"),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_what_goes_wrong_is_one_line(cli, monkeypatch, error, code: int, said: str) -> None:
    monkeypatch.setattr(entry, "_silence", lambda stream: None)
    monkeypatch.setattr(presets, "run", _raising(error))
    ran = cli("presets")
    assert ran.code == code
    assert said in ran.err
    assert len(ran.err.splitlines()) == (1 if said else 0)


def test_faults_of_ours_keep_their_traceback(cli, monkeypatch) -> None:
    monkeypatch.setattr(presets, "run", _raising(KeyError("oops")))
    ran = cli("presets")
    assert (ran.code, "Traceback" in ran.err) == (1, True)
    assert explain(ValueError("a bare one")) is None


def test_warnings_are_one_line(cli, monkeypatch) -> None:
    import warnings

    def run(argv: list[str]) -> int:
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            warnings.showwarning(UserWarning("mind\n the gap"), UserWarning, "f", 1)
        return 0

    monkeypatch.setattr(presets, "run", run)
    assert cli("presets").err == "framecast: warning: mind the gap\n"


def test_lists_and_help_do_not_import_torch() -> None:
    lines = [["--help"], ["models"], ["presets"], ["protocols"], ["predict", "--help"]]
    script = (
        "import sys; from framecast.cli.main import main\n"
        f"for line in {lines}:\n"
        "    code = main(line); names = {'torch', 'tyro'} & set(sys.modules)\n"
        "    print(line, code, *sorted(names), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    said = done.stderr.splitlines()
    assert said[0] == "['--help'] 0"
    assert len(said) == len(lines)
    for line, found in zip(lines, said, strict=True):
        assert found.removesuffix(" tyro") == f"{line} 0"


def test_wrong_names_are_answered_without_torch(tmp_path: Path) -> None:
    lines = [
        ["compare", "nowhere"],
        ["detect", "x.mp4", "--detector", "x.onnx", "--model", "nowhere"],
        ["encode", "x.mp4", "--model", "nowhere", "-o", "x.fct"],
        ["evaluate", "nowhere", "--protocol", "glyphs/5-5"],
        ["evaluate", "copy-last", "--protocol", "nowhere"],
        ["inspect", "nowhere", "x.mp4"],
        ["models", "nowhere"],
        ["predict", "x.mp4", "--model", "nowhere"],
        ["train", "nowhere"],
    ]
    script = (
        "import sys; from framecast.cli.main import main\n"
        f"for line in {lines}:\n"
        "    print(main(line), 'torch' in sys.modules)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert done.stdout.splitlines() == ["2 False"] * len(lines)
    said = done.stderr.splitlines()
    assert len(said) == len(lines)
    assert all("nowhere" in line for line in said), said


def test_a_closed_pipe_is_quiet() -> None:
    reader = subprocess.Popen(["true"], stdin=subprocess.PIPE)
    reader.wait()
    done = subprocess.run(
        [*COMMAND, "protocols"], stdout=reader.stdin, stderr=subprocess.PIPE, text=True, check=False
    )
    assert reader.stdin is not None
    reader.stdin.close()
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
def test_a_full_disk_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [*COMMAND, "protocols"], stdout=full, stderr=subprocess.PIPE, text=True, check=False
        )
    assert done.returncode == 2
    assert "No space left" in done.stderr
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("out", ["film.mp4", "images"])
def test_a_signal_leaves_no_drafts(
    frame_folder, tmp_path: Path, number: signal.Signals, out: str
) -> None:
    words = ("--model", "copy-last", "--context", "1", "--horizon", "10000000", "-o", f"r/{out}")
    heard = (  # whatever the tests themselves were started with, such as nohup
        f"import signal, sys; signal.signal({int(number)}, signal.SIG_DFL)\n"
        "from framecast.cli.main import main; sys.exit(main(sys.argv[1:]))"
    )
    with subprocess.Popen(
        [sys.executable, "-c", heard, "predict", frame_folder("clip", 3), *words],
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            made = tmp_path / "r"
            while not any(made.glob(f".{Path(out).stem}*")):
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 128 + number
    assert err == f"framecast: error: ended by {number.name}\n"
    assert list(made.iterdir()) == []


def test_signals_that_are_ignored_stay_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with told():
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
            assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
            with pytest.raises(Ended, match="ended by SIGTERM"):
                os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)
