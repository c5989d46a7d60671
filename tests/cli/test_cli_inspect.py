"""`framecast inspect`, and the options of `evaluate` for codes and corrupted frames."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from contract.tiny_codec import COARSE, FINE
from framecast import load, registry
from framecast.clip import Clip
from framecast.pictures import Panel

GLYPHS = ("--protocol", "glyphs/10-10", "--limit", 2)


@pytest.fixture
def codec(monkeypatch: pytest.MonkeyPatch) -> str:
    """A registered model with codes that has no weights."""
    monkeypatch.setitem(registry.MODELS, "tiny-codec", "contract.tiny_codec:TinyCodec")
    return "tiny-codec"


# ---- inspect


def test_a_picture_of_what_is_inside(cli, codec: str, frame_folder) -> None:
    ran = cli("inspect", codec, frame_folder("a"))
    assert ran.code == 0, ran.err
    for words in (
        "4 frames of 24x32 inspected",
        "colour was turned into gray",
        "shows original, frames 0, 1, 2, 3",
        "shows from level 1, MSE",
        "shows from levels 1 to 2, MSE",
        f"of {COARSE} used, perplexity",
        f"of {FINE} used, perplexity",
        "wrote out/a-inside.png",
    ):
        assert words in ran.out
    with Image.open("out/a-inside.png") as image:
        assert np.asarray(image).std() > 20


def test_json_names_the_panels(cli, codec: str, frame_folder) -> None:
    options = ("--start", 2, "--context", 6, "--size", "16x16", "--out", "deep/{stem}.PNG")
    document = cli("inspect", codec, frame_folder("b"), *options, "--json").json
    assert (document["frames"], document["size"]) == (6, [16, 16])
    assert document["wrote"] == "deep/b.PNG"
    assert Path(document["wrote"]).stat().st_size
    titles = [panel["title"] for panel in document["panels"]]
    assert titles[0] == "original, frames 0, 2, 3, 5"
    assert len(titles) == 1 + 2 + 2
    assert any("resized from 24x32 to 16x16" in note for note in document["notes"])


def test_another_start_shows_other_frames(cli, codec: str, frame_folder) -> None:
    video = frame_folder("c")
    pixels = []
    for start in (0, 3):
        assert cli("inspect", codec, video, "--start", start, "-o", f"{start}.png").code == 0
        with Image.open(f"{start}.png") as image:
            pixels.append(np.asarray(image))
    assert pixels[0].shape != pixels[1].shape or (pixels[0] != pixels[1]).any()


def test_more_levels_come_closer(codec: str) -> None:
    """Panels of the codec itself, pixel by pixel."""
    model = registry.find("models", codec)(registry.find("models", codec).config_type())
    frames = torch.rand(1, 4, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    panels = model.inspect(Clip(frames))
    codes = model.encode(frames)
    for count, panel in ((1, panels[1]), (2, panels[2])):
        decoded = model.decode(codes, count).frames[0]
        image = torch.as_tensor(panel.image)
        assert image.shape == (1, 8, 4 * 8 + 3 * 2)
        for place in range(4):
            torch.testing.assert_close(image[..., 10 * place :][..., :8], decoded[place])
        mse = (decoded - frames[0]).square().sum((1, 2, 3)).mean()
        assert panel.title.endswith(f"MSE {mse:.4g}")
    assert isinstance(panels[-1], Panel)
    assert len(panels) == 5


def test_histograms_are_as_high_as_counts(codec: str) -> None:
    model = registry.find("models", codec)(registry.find("models", codec).config_type())
    frames = torch.zeros(1, 2, 1, 8, 8)
    frames[..., 4:, 4:] = 0.999
    image = torch.as_tensor(model.inspect(Clip(frames))[3].image)[0]
    wide = 256 // COARSE
    heights = [(image[:, n * wide] < 0.5).sum().item() for n in range(COARSE)]
    assert heights == [96, 0, 0, 0, 0, 32]  # three dark squares of four


def test_a_model_of_the_paper(cli, frame_folder) -> None:
    """A tiny s-hr-vqvae, if only with the weights that it is born with."""
    from framecast.models.s_hr_vqvae import SHRVQVAE
    from framecast.presets.s_hr_vqvae import tiny

    config = tiny().model
    SHRVQVAE(config).save("m")
    ran = cli("inspect", "m", frame_folder("v", 12, 32, 32), "--context", 4, "--json")
    assert ran.code == 0, ran.err
    titles = [panel["title"] for panel in ran.json["panels"]]
    assert any(title.startswith("from level 1") for title in titles)
    coded = cli("evaluate", "m", *GLYPHS, "--task", "reconstruct", "--levels", 1, "--json")
    assert coded.code == 0, coded.err
    levels = coded.json["result"]["codec"]["levels"]
    assert len(levels) == 1
    assert levels[0]["values"] == load("m").values[0]


def test_what_latent_variables_do(cli, frame_folder) -> None:
    """A tiny haf-svg: rows are named for programs too."""
    from framecast.models.haf_svg import HAFSVG
    from framecast.presets.haf_svg import tiny

    config = tiny().model
    HAFSVG(config).save("m")
    video = frame_folder("v", 12, config.coder.size, config.coder.size)
    ran = cli("inspect", "m", video, "--context", 3, "--json")
    assert ran.code == 0, ran.err
    rows = {panel["title"]: panel["rows"] for panel in ran.json["panels"]}
    expected = ["mean of z_t", "z_t drawn", "group 1 zero", "group 2 zero"]
    assert rows["predicted frames 1, 3, 5, 7, 9, 11, 13"] == expected
    assert rows["last frame"] == []
    assert sum("numbers (effect)" in title for title in rows) == config.latent.groups == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("copy-last", "v"), "copy-last has nothing inside to show"),
        (("tiny-codec", "v", "--context", "5"), "codes 2 frames at a time, got 5"),
        (("tiny-codec", "v", "--context", "0"), "--context is at least 1"),
        (("tiny-codec", "v", "--context", "50"), "pass --context 12"),
        (("tiny-codec", "v", "--out", "v.mp4"), "is a .png file"),
        (("tiny-codec", "v", "--out", "v/a.png"), "would overwrite an input"),
        (("tiny-codec", "w"), "w"),
        (("tiny-codek", "v"), "did you mean 'tiny-codec'"),
        (("v", "tiny-codec"), "v is a video; give the model first"),
    ],
)
def test_wrong_input_is_one_line(
    cli, codec: str, frame_folder, arguments: tuple[str, ...], said: str
) -> None:
    frame_folder("v")
    before = sorted(Path().rglob("*"))
    ran = cli("inspect", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert sorted(Path().rglob("*")) == before


# ---- evaluate


def test_a_reconstruction(cli, codec: str) -> None:
    ran = cli("evaluate", codec, *GLYPHS, "--task", "reconstruct", "--levels", 1)
    assert ran.code == 0, ran.err
    out = "results/tiny-codec-glyphs-10-10-reconstruct-levels-1"
    for words in (
        "glyphs/10-10:reconstruct-levels-1, 2 sequences",
        "codes: 1 of 2 levels, 384 bits per frame, 85.33 times fewer",
        "frames encoded and decoded per second",
        f"wrote {out}",
    ):
        assert words in ran.out
    assert "copy-last" not in ran.out
    stored = json.loads(Path(out, "results.json").read_text())
    assert stored["codec"]["levels"][0]["values"] == COARSE


def test_corrupted_frames(cli) -> None:
    found = {}
    for name in ("noise:0", "gaussian-blur:2"):
        document = cli("evaluate", "copy-last", *GLYPHS, "--corrupt", name, "--json").json
        assert document["wrote"].startswith("results/copy-last-glyphs-10-10-")
        result = document["result"]
        assert result["protocol"]["name"] == f"glyphs/10-10+{name}"
        found[name] = result["rows"][0]["values"]["mse"]["mean"]
    clean = cli("evaluate", "copy-last", *GLYPHS, "--json").json["result"]
    assert len({*found.values(), clean["rows"][0]["values"]["mse"]["mean"]}) == 3


def test_several_corruptions_have_a_folder_each(cli, codec: str) -> None:
    names = ("noise:10", "fragment-blur:4")
    task = ("--task", "reconstruct", "-o", "r", "--json")
    ran = cli("evaluate", codec, *GLYPHS, "--corrupt", *names, *task)
    assert ran.code == 0, ran.err
    wrote = [each["wrote"] for each in ran.json["results"]]
    assert wrote == ["r/reconstruct-noise-10", "r/reconstruct-fragment-blur-4"]
    for folder, name in zip(wrote, names, strict=True):
        stored = json.loads(Path(folder, "results.json").read_text())
        assert stored["protocol"]["name"] == f"glyphs/10-10:reconstruct+{name}"


def test_all_corruptions(cli) -> None:
    ran = cli("evaluate", "copy-last", *GLYPHS[:2], "--limit", 1, "--corrupt", "all", "--json")
    assert len(ran.json["results"]) == 9
    assert len({each["wrote"] for each in ran.json["results"]}) == 9
    assert {path.name for path in Path("results").iterdir()} >= {
        "copy-last-glyphs-10-10-noise-20",
        "copy-last-glyphs-10-10-fragment-blur-2",
    }


def test_samples_of_a_protocol_fall_away(cli, codec: str) -> None:
    base = ("evaluate", codec, "--protocol", "glyphs/10-10", "--limit", 1, "--task", "reconstruct")
    ran = cli(*base, "--samples", 3)
    assert ran.code == 2
    assert "a reconstruction takes none" in ran.err


def test_location_is_a_metric_set_of_its_own(cli) -> None:
    ran = cli("evaluate", "copy-last", *GLYPHS, "--metrics", "standard+location")
    assert ran.code == 0, ran.err
    assert "centroid distance, px ↓" in ran.out
    assert "glyphs/10-10 (modified)" in ran.out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("copy-last", *GLYPHS, "--corrupt", "gausian-blur:2"), "did you mean 'gaussian-blur:2'"),
        (("copy-last", *GLYPHS, "--task", "reconstruct"), "copy-last has no codes"),
        (("copy-last", *GLYPHS, "--levels", "1"), "(--task reconstruct)"),
        (("tiny-codec", *GLYPHS, "--task", "reconstruct", "--levels", "3"), "from 1 to 2"),
    ],
)
def test_wrong_evaluations_are_one_line(
    cli, codec: str, arguments: tuple[object, ...], said: str
) -> None:
    ran = cli("evaluate", *arguments)
    assert ran.code == 2
    assert said in ran.err
    assert len(ran.err.splitlines()) == 1
    assert not Path("results").exists()
