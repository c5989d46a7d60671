"""Wrong options: one line says what is wrong and what to do."""

import pytest

from framecast.cli.complaints import complaint

TRAIN = ("train", "convlstm/tiny")
EVALUATE = ("evaluate", "convlstm/moving-mnist-small", "--protocol", "glyphs/5-5")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("predict", "a", "--contxt", "3"), "no option --contxt; did you mean --context?"),
        ((*TRAIN, "--stages.main.step", "3"), "did you mean --stages.main.steps or "),
        (("protocols", "nope"), "'nope' is one word too many"),
        (("compare", "x", "--seed", "abc"), "--seed takes a whole number, got 'abc'"),
        ((*EVALUATE, "--context", "x"), "--context takes a whole number, got 'x'"),
        ((*TRAIN, "--stages.main.optimizer.weight-decay", "big"), "takes a number, got 'big'"),
        ((*TRAIN, "--model.hidden", "a", "b"), "--model.hidden takes whole numbers, got 'a', 'b'"),
        (("reproduce", "--scale", "big"), "--scale takes cpu or paper or tiny, got 'big'"),
        ((*TRAIN, "--model.output", "nope"), "--model.output takes linear or sigmoid, got 'nope'"),
        (("predict", "a", "--samples"), "--samples lacks its value"),
        (("predict", "a", "--start", "soon"), "--start: 'soon' is neither a frame number"),
        (("data", "show", "kth", "--data.size"), "--data.size lacks its value"),
        (("weights", "convert", "a.pth"), "error: --sha256 STR is missing;"),
        (("encode", "a.mp4"), "error: --model NAME|FOLDER and --out PATH are missing;"),
    ],
)
def test_wrong_options_are_answered_in_a_line(cli, words: tuple[str, ...], said: str) -> None:
    ran = cli(*words)
    assert ran.code == 2
    assert said in ran.err
    (line,) = ran.err.splitlines()
    assert line.startswith("framecast: error: ")
    assert line.endswith(" --help says more")


def test_what_the_parser_never_said_before_is_kept() -> None:
    box = "╭─ Odd ─────╮\n│ Two of    │\n│ a kind.   │\n│ ───────── │\n│ Look up.  │\n╰───────────╯"
    assert complaint(box, "framecast x") == "Two of a kind; framecast x --help says more"
    assert complaint("no box", "framecast x") == "no box; framecast x --help says more"
