"""Plans: what is printed, what is left out, and what the user has to give."""

import subprocess
import sys
from pathlib import Path

import pytest

from framecast.errors import ConfigError
from framecast.reproduction import Place, find, plan
from framecast.reproduction.planning import datasets

OUT = Path("out")
TINY_RUN = ("table2", "--scale", "tiny", "--run")
DIGITS = {"moving-mnist": Path("MNIST")}

GOLDEN = """\
# Lin et al. (2020), Figure 7: Best of 5, 50 and 100 samples
# an evaluation has the best of the first 5, of 50 and of all; the paper's curves carry no \
numbers; at the smaller scales digits that bounce at random stand for all datasets
# protocol stochastic-glyphs/5-10: Two drawn digits that bounce at random, 5 frames to 10, best \
of 20; needs no download

framecast train haf-svg/tiny --model.coder.aligned --model.latent.groups 1 --resume --out \
reproduced/runs/haf-svg-tiny-svg-lp
framecast evaluate reproduced/runs/haf-svg-tiny-svg-lp --protocol stochastic-glyphs/5-10 --out \
reproduced/results/haf-svg-tiny-svg-lp-stochastic-glyphs-5-10
framecast train haf-svg/tiny --model.latent.groups 4 --resume --out \
reproduced/runs/haf-svg-tiny-haf-svg-4
framecast evaluate reproduced/runs/haf-svg-tiny-haf-svg-4 --protocol stochastic-glyphs/5-10 --out \
reproduced/results/haf-svg-tiny-haf-svg-4-stochastic-glyphs-5-10
framecast compare SVG=reproduced/results/haf-svg-tiny-svg-lp-stochastic-glyphs-5-10 \
HAF-SVG-4=reproduced/results/haf-svg-tiny-haf-svg-4-stochastic-glyphs-5-10 --out \
reproduced/haf-svg-figure7-tiny.html --title \
'Lin et al. (2020), Figure 7: Best of 5, 50 and 100 samples (scale tiny)'
"""


def test_a_plan_is_printed_as_a_script(cli) -> None:
    ran = cli("reproduce", "haf-svg", "fig7", "--scale", "tiny")
    assert (ran.code, ran.out) == (0, GOLDEN)


def test_what_is_not_made_is_said() -> None:
    found = plan("stip", find("stip", "table3"), "paper", Place(OUT))
    left = "\n".join(found.left_out)
    assert "published figures alone of BeyondMSE (ICLR2016), SAVP" in left
    assert "MotionRNN (CVPR2021)" in left
    assert "STIP" not in left.replace("STRPM", "")
    found = plan("v3d-convlstm", find("v3d-convlstm", "figure6"), "tiny", Place(OUT))
    assert "Moving-MNIST, 10→10: M 8, H 1: no preset at the scale tiny" in found.left_out
    found = plan("s-hr-vqvae", find("s-hr-vqvae", "table2"), "tiny", Place(OUT))
    assert "KTH, 10→20: not at the scale tiny" in found.left_out


def test_what_the_user_has_to_give_stands_in_capitals() -> None:
    entry = find("s-hr-vqvae", "table2")
    found = plan("s-hr-vqvae", entry, "paper", Place(OUT))
    assert found.wanted == ("--data.kth", "--data.moving-mnist")
    assert any("--data.root KTH" in step.line for step in found.steps)
    found = plan("s-hr-vqvae", find("s-hr-vqvae", "figure4"), "paper", Place(OUT))
    assert found.wanted == ("--data.kth", "--video", "--data.moving-mnist")


def test_parts_without_data_are_left_out_of_a_run() -> None:
    entry, place = find("s-hr-vqvae", "table2"), Place(OUT, DIGITS)
    whole = plan("s-hr-vqvae", entry, "paper", place)
    some = plan("s-hr-vqvae", entry, "paper", place, partial=True)
    assert (whole.wanted, some.wanted) == (("--data.kth",), ())
    assert "KTH, 10→20: no --data.kth" in some.left_out
    assert all("kth" not in step.line.lower() for step in some.steps)
    assert {step.line for step in some.steps[:-1]} < {step.line for step in whole.steps}
    none = plan("s-hr-vqvae", entry, "paper", Place(OUT), partial=True)
    assert none.wanted == ("--data.kth", "--data.moving-mnist")


def test_options_for_all_trainings_and_evaluations() -> None:
    place = Place(OUT, train=("--precision", "bf16-mixed"), evaluate=("--device", "cuda"))
    for step in plan("stip", find("stip", "table8"), "tiny", place).steps:
        assert (step.kind == "train") == ("bf16-mixed" in step.words)
        assert (step.kind == "evaluate") == ("cuda" in step.words)


def test_pictures_are_of_the_video_that_is_given() -> None:
    entry = find("stip", "figure5")
    drawn = plan("stip", entry, "tiny", Place(OUT)).steps
    assert [step.words[0] for step in drawn] == ["demo", "train", "inspect"]
    assert drawn[0].makes is not None
    assert str(drawn[0].makes) in drawn[-1].words
    given = plan("stip", entry, "tiny", Place(OUT, video=Path("my/horse.mp4"))).steps
    assert [step.words[0] for step in given] == ["train", "inspect"]
    assert "my/horse.mp4" in given[-1].words
    assert given[-1].makes != drawn[-1].makes


def test_videos_are_prepared_once_for_all_that_reads_them() -> None:
    entry = find("framecast", "table2")
    (first, *others) = plan("framecast", entry, "cpu", Place(OUT)).steps
    assert first.line == (
        "framecast data prepare video-folder --data.root VIDEO-FOLDER --data.size 128 128 "
        "--out out/data/video-folder"
    )
    assert len({step.makes for step in others}) == 21
    for step in others[:-1]:
        assert step.words[step.words.index("--data.root") + 1] == "out/data/video-folder"
    given = plan("framecast", entry, "cpu", Place(OUT, {"video-folder": Path("mine")})).steps
    assert ["mine" in step.words for step in given] == [True] + [False] * 21
    ready = Place(OUT, {"video-folder": Path("mine")}, frozenset({"video-folder"}))
    steps = plan("framecast", entry, "cpu", ready).steps
    assert [step.kind for step in steps] == ["train", "evaluate"] * 10 + ["compare"]
    assert all("mine" in step.words for step in steps[:-1])


def test_scales_that_are_not_there_are_answered() -> None:
    with pytest.raises(ConfigError, match="is not made at the scale tiny; use paper"):
        plan("v3d-convlstm", find("v3d-convlstm", "table2"), "tiny", Place(OUT))


def test_datasets_that_are_needed() -> None:
    entry = find("haf-svg", "figure6")
    assert datasets(entry, "paper") == ("moving-mnist", "kth", "bair")
    assert datasets(entry, "cpu") == ("moving-mnist",)
    assert datasets(entry, "tiny") == ()


class TestCommand:
    """`framecast reproduce` without --run."""

    def test_papers_are_listed(self, cli) -> None:
        document = cli("reproduce", "--json").json
        assert [(e["paper"], e["entries"]) for e in document] == [
            ("s-hr-vqvae", 10),
            ("video-vqvae", 12),
            ("stip", 16),
            ("haf-svg", 8),
            ("v3d-convlstm", 9),
            ("framecast", 3),
        ]
        text = cli("reproduce").out
        assert all(e["paper"] in text for e in document)

    def test_entries_are_listed_with_what_can_be_had(self, cli) -> None:
        document = cli("reproduce", "video-vqvae", "--json").json
        assert document[0]["scales"] == []
        assert "study with people" in document[0]["missing"]
        assert document[1]["scales"] == ["tiny", "cpu", "paper"]
        text = cli("reproduce", "video-vqvae").out
        assert "study with people" in text
        assert "FVD on Kinetics-600" in text

    def test_a_plan_as_json(self, cli) -> None:
        options = ("--scale", "cpu", "--data.root", "MNIST")
        document = cli("reproduce", "v3d-convlstm", "table3", *options, "--json").json
        assert document["wanted"] == []
        assert len(document["commands"]) == 9
        assert all("--data.root MNIST" in line for line in document["commands"][:-1])

    def test_paths_are_printed_as_they_are(self, cli) -> None:
        """Neither names of pictures nor tabs stand for anything else."""
        for out in ("o:fire:b", "a\tb", "[bold]x"):
            ran = cli("reproduce", "s-hr-vqvae", "table1", "--scale", "tiny", "--out", out)
            assert f"{out}/runs/" in ran.out

    def test_options_for_other_commands_may_begin_with_dashes(self, cli) -> None:
        options = ("--train", "--precision bf16-mixed --threads 1", "--evaluate", "--limit 7")
        text = cli("reproduce", "haf-svg", "figure7", "--scale", "tiny", *options).out
        assert text.count("--precision bf16-mixed --threads 1 --resume") == 2
        assert text.count("--limit 7 --out") == 2
        assert cli("reproduce", "haf-svg", "figure7", "--train").code == 2

    def test_published_figures_stand_below_the_commands(self, cli) -> None:
        text = cli("reproduce", "stip", "table8", "--scale", "tiny").out
        assert all(line.startswith(("#", "framecast ")) for line in text.splitlines() if line)
        assert "#   L_MSE + L_GAN: PSNR 31.45, LPIPS 8.76" in text
        assert "# note: Splits leak as in Tables III and IV." in text
        document = cli("reproduce", "stip", "table1", "--json").json
        assert document["published"][0]["rows"][0]["texts"]["Train"] == "4→1"

    def test_one_root_is_for_one_dataset(self, cli) -> None:
        ran = cli("reproduce", "s-hr-vqvae", "table2", "--data.root", "X")
        assert ran.code == 2
        assert "several datasets; give --data.kth and --data.moving-mnist" in ran.err
        ran = cli("reproduce", "s-hr-vqvae", "table2", "--scale", "tiny", "--data.root", "X")
        assert (ran.code, "leave --data.root out" in ran.err) == (2, True)

    def test_a_run_without_data_says_what_to_give(self, cli) -> None:
        ran = cli("reproduce", "stip", "table3", "--run")
        assert ran.code == 2
        assert "needs --data.ucf-sports" in ran.err
        assert "--scale tiny" in ran.err

    def test_a_folder_that_is_prepared_is_not_prepared_again(self, cli, tmp_path) -> None:
        words = ("reproduce", "framecast", "table2", "--scale", "cpu", "--data.root")
        assert cli(*words, str(tmp_path)).out.count("data prepare") == 1
        (tmp_path / "index.json").write_text('{"recipe": {}}')
        assert "data prepare" not in cli(*words, str(tmp_path)).out

    @pytest.mark.parametrize("option", ["--train", "--evaluate"])
    def test_frames_that_are_not_those_prepared_are_refused_at_once(
        self, cli, tmp_path, option
    ) -> None:
        words = ("reproduce", "framecast", "table2", "--scale", "cpu", "--run", "--data.root")
        ran = cli(*words, str(tmp_path), option, "--data.fps 15")
        assert ran.code == 2
        assert f"{option} asks for videos with fps 15.0, and others are prepared here" in ran.err
        assert len(ran.err.splitlines()) == 1
        assert not (tmp_path / "reproduced").exists()

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--run",), "--run is of one table"),
            (("table2", "--train", "--x 'y"), "--train: No closing quotation, in --x 'y"),
            (("table2", "--run", "--data.kth", "nowhere"), "nowhere is not there"),
            (("figure4", "--scale", "tiny", "--run", "--video", "no.mp4"), "no.mp4 is not"),
            ((*TINY_RUN, "--train", "--seeds 1"), "no option --seeds"),
            ((*TINY_RUN, "--evaluate", "--limit few"), "--limit takes a whole number, got 'few'"),
            ((*TINY_RUN, "--evaluate", "--weights nowhere"), "--weights nowhere is no folder"),
        ],
    )
    def test_wrong_words_are_found_before_anything_runs(self, cli, words, said) -> None:
        ran = cli("reproduce", "s-hr-vqvae", *words)
        assert ran.code == 2
        assert said in ran.err
        assert not Path("reproduced").exists()

    def test_a_model_is_called_what_it_is(self, cli) -> None:
        text = cli("reproduce", "s-hr-vqvae", "table1", "--scale", "tiny").out
        assert "'9-layer S-HR-VQVAE (6 layers here)=" in text
        assert "does not compare" in text

    def test_what_cannot_be_had_is_one_line(self, cli) -> None:
        ran = cli("reproduce", "stip", "figure8", "--run")
        assert ran.code == 2
        assert "framecast detect" in ran.err
        assert len(ran.err.splitlines()) == 1

    def test_printing_does_without_torch(self) -> None:
        script = (
            "import sys, framecast.cli.main as main;"
            "main.main(['reproduce', 'stip', 'table7', '--scale', 'tiny']);"
            "assert 'torch' not in sys.modules"
        )
        subprocess.run([sys.executable, "-c", script], check=True, capture_output=True)
