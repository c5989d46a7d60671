"""Contact sheets, strips, panels, heat maps and curves."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from framecast import pictures
from framecast.errors import FramecastError, VideoError
from framecast.pictures import Curve, Panel, Plot, canvas, sheets


def pixels(image):
    assert image.mode == "RGB"
    return np.asarray(image)


def colour(*rgb):
    """One frame of one colour."""
    return torch.tensor(rgb, dtype=torch.float32)[:, None, None].expand(3, 64, 64)


def area(image, rgb):
    """Pixels of exactly one colour, and the columns where they stand."""
    found = (pixels(image) == np.array(rgb)).all(-1)
    return int(found.sum()), np.flatnonzero(found.any(0))


def test_a_sheet_shows_context_left_and_samples_right():
    context = torch.stack([colour(1, 0, 0)] * 2)
    samples = torch.stack([torch.stack([colour(0, 1, 0)] * 3), torch.stack([colour(0, 0, 1)] * 3)])
    sheet = pictures.contact_sheet(context, samples, torch.stack([colour(1, 1, 0)] * 3))
    red, red_x = area(sheet, (255, 0, 0))
    green, green_x = area(sheet, (0, 255, 0))
    blue, blue_x = area(sheet, (0, 0, 255))
    yellow, yellow_x = area(sheet, (255, 255, 0))
    # frames of 64 are enlarged threefold, the context stands once, every sample has its row
    assert red == 2 * 192**2
    assert green == blue == yellow == 3 * 192**2
    assert green_x.tolist() == blue_x.tolist() == yellow_x.tolist()
    assert green_x[0] - red_x[-1] > 20
    between = pixels(sheet)[-40, red_x[-1] + 1 : green_x[0]]
    assert (between < 250).any(), "no separator between context and prediction"
    assert pixels(sheet)[0].min() == 255


def test_a_sheet_shows_below_the_samples_where_they_scatter():
    """Dark where they agree, bright where they differ most, under the predicted frames alone."""
    context, samples = torch.zeros(2, 1, 64, 64), torch.zeros(3, 2, 1, 64, 64)
    scatter = torch.zeros(2, 64, 64)
    scatter[1, :32] = 0.4
    plain = pictures.contact_sheet(context, samples)
    sheet = pictures.contact_sheet(context, samples, deviation=scatter)
    dark, bright = (68, 1, 84), (253, 231, 36)  # the ends of viridis
    many, where = area(sheet, dark)
    few, right = area(sheet, bright)
    assert (many, few) == (3 * 192**2 // 2, 192**2 // 2)
    assert where[0] > sheet.width / 2
    assert right[0] - where[0] > 192
    assert sheet.height > plain.height + 192
    nothing = pictures.contact_sheet(context, samples, deviation=torch.zeros(2, 64, 64))
    assert np.array_equal(pixels(nothing), pixels(plain))


def test_each_note_has_a_line_of_its_own():
    frames = torch.zeros(2, 1, 64, 64)
    many = frames.expand(pictures.MOST_SAMPLES + 1, -1, -1, -1, -1)
    one, two = (
        pictures.contact_sheet(frames, many, deviation=each)
        for each in (None, torch.ones(2, 64, 64))
    )
    fewer = pictures.contact_sheet(frames, many[:-1], deviation=torch.ones(2, 64, 64))
    assert two.height - fewer.height == 20
    assert two.height > one.height


def test_small_frames_are_enlarged_in_whole_pixels():
    frame = torch.rand(1, 1, 8, 8)
    sheet = pixels(pictures.contact_sheet(frame, frame[None]))
    expected = np.rint(frame[0, 0].numpy() * 255).astype(np.uint8).repeat(24, 0).repeat(24, 1)
    rows, columns = sheet.shape[:2]
    right = sheet[rows - 24 - 192 : rows - 24, columns - 24 - 192 : columns - 24, 0]
    assert np.array_equal(right, expected)


@pytest.mark.parametrize(("size", "length"), [((64, 64), 300), ((500, 700), 40), ((4, 900), 30)])
def test_sheets_stay_readable(size, length):
    frames = torch.zeros(1, 1, *size).expand(length, -1, -1, -1)
    sheet = pictures.contact_sheet(frames[:10], frames[None])
    assert 1000 < sheet.width <= pictures.WIDTH
    assert pictures.strip({"a": frames}).width <= pictures.WIDTH


def test_thinning_keeps_first_and_last_frame():
    # every frame has a shade of its own, so that the sheet says which ones it shows
    frames = (torch.arange(20, 220) / 255)[:, None, None, None].expand(-1, 1, 64, 64)
    sheet = pixels(pictures.strip({"shades": frames}))
    row = sheet[-60, :, 0]
    shown = {int(value) for value in row if value < 250}
    assert {20, 219} <= shown
    assert 20 < len(shown) < 60


@given(total=st.integers(0, 500), most=st.integers(1, 40))
def test_numbers_are_spread_evenly(total, most):
    found = pictures.spread(total, most)
    assert len(found) == min(total, most)
    assert found[:1] == [0][:total]
    steps = np.diff(found)
    if total <= most:
        assert found == list(range(total))
    elif most > 1:
        assert found[-1] == total - 1
        assert steps.min() >= 1
        assert steps.max() - steps.min() <= 1


def test_a_single_column_of_context_is_its_last_frame():
    assert sheets._picked(9, 1) == [8]


@pytest.fixture
def said(monkeypatch):
    """Every text that is drawn."""
    said = []
    text = ImageDraw.ImageDraw.text

    def spy(self, place, words, *args, **kwargs):
        said.append(words)
        return text(self, place, words, *args, **kwargs)

    monkeypatch.setattr(ImageDraw.ImageDraw, "text", spy)
    return said


def test_what_is_left_out_is_said(said):
    frames = torch.zeros(100, 1, 64, 64)
    samples = frames[None].expand(20, -1, -1, -1, -1)
    pictures.contact_sheet(frames[:2], samples, title="a clip", first=50, fps=25)
    assert "a clip" in said
    assert "16 of 20 samples" in said
    assert any(words.startswith("prediction: ") and "of 100 frames" in words for words in said)
    assert {"50", "2.00 s", "51", "52", "151", "6.04 s", "sample 1", "sample 16"} <= set(said)
    assert "sample 17" not in said
    said.clear()
    pictures.contact_sheet(frames[:2], frames[None, :3], labels=["mine"])
    assert {"context", "prediction", "mine", "0", "4"} <= set(said)


def test_kept_frames_have_their_own_numbers(said):
    frames = torch.zeros(2, 1, 64, 64)
    pictures.contact_sheet(frames, frames[None], first=100, kept=([0, 9], [10, 59]))
    assert {"100", "109", "110", "159"} <= set(said)
    assert {"context: 2 of 10 frames", "prediction: 2 of 50 frames"} <= set(said)


def test_truth_may_end_early():
    context = torch.stack([colour(1, 0, 0)])
    samples = torch.stack([colour(0, 1, 0)] * 3)[None]
    truth = torch.stack([colour(1, 1, 0)])
    sheet = pictures.contact_sheet(context, samples, truth)
    assert area(sheet, (0, 255, 0))[0] == 3 * area(sheet, (255, 255, 0))[0] > 0


def test_strip_rows_of_different_length():
    image = pictures.strip(
        {"long": torch.stack([colour(1, 0, 0)] * 4), "short": torch.stack([colour(0, 0, 1)] * 2)},
        first=10,
        title="two rows",
    )
    assert area(image, (255, 0, 0))[0] == 2 * area(image, (0, 0, 255))[0] > 0


def test_strip_refuses_what_does_not_fit():
    with pytest.raises(FramecastError, match="at least one row"):
        pictures.strip({})
    with pytest.raises(FramecastError, match="no frames"):
        pictures.strip({"a": torch.zeros(0, 1, 4, 4)})
    with pytest.raises(FramecastError, match="one size"):
        pictures.strip({"a": torch.zeros(1, 1, 4, 4), "b": torch.zeros(1, 1, 4, 5)})


def test_heat_map_runs_from_dark_to_bright_and_leaves_holes_white():
    values = torch.tensor([[0.0, 5.0], [10.0, float("nan")]])
    image = pixels(pictures.heat_map(values, (0, 10)))
    quarter = image[:256, :256].reshape(2, 128, 2, 128, 3)
    low, middle = quarter[0, 64, 0, 64], quarter[0, 64, 1, 64]
    high, hole = quarter[1, 64, 0, 64], quarter[1, 64, 1, 64]
    assert int(low.sum()) < int(middle.sum()) < int(high.sum())
    assert (hole == 255).all()
    assert np.array_equal(image, pixels(pictures.heat_map(values.numpy(), (0, 10))))


def test_panels_in_a_grid():
    shown = [
        Panel("red", colour(1, 0, 0), (0, 1)),
        Panel("half of the range", torch.full((3, 8, 8), 5.0), (0.0, 10.0)),
        Panel("codes", np.arange(64, dtype=np.float32).reshape(1, 8, 8), (0.0, 63.0)),
    ]
    sheet = pictures.panels(shown)
    assert area(sheet, (255, 0, 0))[0] == 256**2
    assert area(sheet, (128, 128, 128))[0] >= 256**2
    assert area(sheet, (68, 1, 84))[0] >= 32**2  # the dark end of viridis
    with pytest.raises(FramecastError, match="no panels"):
        pictures.panels([])


def test_a_row_of_frames_is_divided_by_lines():
    frames = torch.rand(3, 2, 4, 5)
    image = pictures.row(frames)
    assert image.shape == (1, 4, 3 * 5 + 2 * 2), "of two channels the first is shown"
    for place in range(3):
        assert torch.equal(image[..., 7 * place :][..., :5], frames[place, :1])
    assert (image[..., 5:7] == 0.5).all()
    assert torch.equal(pictures.row(torch.ones(1, 3, 2, 2)), torch.ones(3, 2, 2))


def test_rows_under_each_other_are_divided_by_lines():
    frames = torch.rand(3, 2, 1, 4, 5)
    image = pictures.stacked(list(frames))
    assert image.shape == (1, 3 * 4 + 2 * 2, 2 * 5 + 2)
    for place in range(3):
        assert torch.equal(image[:, 6 * place :][:, :4], pictures.row(frames[place]))
    assert (image[:, 4:6] == 0.5).all()
    assert torch.equal(pictures.stacked([torch.ones(1, 3, 2, 2)]), torch.ones(3, 2, 2))


def test_rows_of_a_panel_have_names_beside_them():
    """Each at the middle of its row, cut where it is long; the image itself is as without."""
    image = torch.cat([colour(1, 0, 0), colour(0, 1, 0)], 1)
    bare = pictures.panels([Panel("", image, (0, 1))])
    for names, fits in ((("a", "bb"), True), (("a" * 99, "b" * 200), False)):
        sheet = pictures.panels([Panel("", image, (0, 1), names)])
        beside = sheet.width - bare.width
        assert (20 < beside < 60) if fits else (200 < beside <= 260)
        assert np.array_equal(pixels(sheet)[:, 24 + beside :], pixels(bare)[:, 24:])
        dark = (pixels(sheet)[50:306, : 24 + beside] < 128).all(-1).any(1).nonzero()[0]
        upper, lower = dark[dark < 128], dark[dark >= 128]
        assert 40 < upper.min() <= upper.max() < 88
        assert 168 < lower.min() <= lower.max() < 216


@pytest.mark.parametrize("count", [1, 5, 256, 512, 700])
def test_bars_are_as_high_as_values_in_proportion_to_the_largest(count: int):
    values = np.random.default_rng(count).integers(0, 50, count)
    image = pictures.bars(values)[0]
    height, width = image.shape
    assert width <= 256
    shown = min(count, 256)
    sums = np.zeros(shown)
    for number, value in enumerate(values):
        sums[next(n for n in range(shown) if number < (n + 1) * count // shown)] += value
    heights = (image[:, :: width // shown] < 0.5).sum(0)
    assert heights.tolist() == np.ceil(sums / sums.max() * height).tolist()
    assert (image[-1, :: width // shown] < 0.5).tolist() == (sums > 0).tolist()


def test_bars_of_nothing_are_white():
    assert (pictures.bars(np.zeros(4)) == 1).all()


def test_a_curve_has_its_colour_in_every_plot():
    """Also where another one, which comes before it elsewhere, is missing."""
    x = np.arange(1.0, 5.0)
    one, two = Curve(x, x, x, x), Curve(x, 5 - x, 5 - x, 5 - x)
    image = pixels(
        pictures.curves([Plot("p", "", {"a": one, "b": two}), Plot("q", "", {"b": two})])
    )
    first, second = (np.array([31, 119, 180]), np.array([255, 127, 14]))
    right = image[: image.shape[0] * 3 // 4, image.shape[1] // 2 :].reshape(-1, 3)
    assert (right == second).all(1).any()
    assert not (right == first).all(1).any()


def test_curves_have_lines_and_bands():
    x = list(range(1, 11))
    thin = Curve(x, x, x, x)
    broad = Curve(x, x, [v - 3 for v in x], [v + 3 for v in x])
    narrow_image = pixels(pictures.curves([Plot("PSNR", "dB", {"a": thin})], title="t"))
    broad_image = pixels(pictures.curves([Plot("PSNR", "dB", {"a": broad})], title="t"))
    assert narrow_image.shape == broad_image.shape
    assert (broad_image < 250).sum() > 1.5 * (narrow_image < 250).sum()
    dashed = pixels(pictures.curves([Plot("PSNR", "dB", {"a": thin}, ["a"])], title="t"))
    assert 0 < (dashed < 250).sum() < (narrow_image < 250).sum()
    four = pictures.curves([Plot(name, "", {"a": thin}) for name in "abcd"])
    assert four.width > 2 * 400
    for nothing in ([], [Plot("empty", "", {})]):
        with pytest.raises(FramecastError, match="no curves"):
            pictures.curves(nothing)


def test_half_precision_and_values_out_of_range():
    frames = torch.tensor([-1.0, 0.0, 1.0, 2.0, float("nan")], dtype=torch.bfloat16)
    image = pictures.strip({"a": frames[:, None, None, None].expand(-1, 1, 64, 64)})
    assert area(image, (0, 0, 0))[0] >= 3 * 64**2


def test_save_is_all_or_nothing(tmp_path):
    image = Image.new("RGB", (4, 4), "red")
    path = tmp_path / "new" / "a.png"
    pictures.save(image, path)
    assert np.array_equal(pixels(Image.open(path)), pixels(image))
    before = path.read_bytes()

    class Faulty(Image.Image):
        def save(self, fp, *args, **kwargs):
            fp.write_bytes(b"half of an image")
            raise OSError(28, "No space left on device")

    with pytest.raises(VideoError, match="cannot be written: No space left"):
        pictures.save(Faulty(), path)
    assert path.read_bytes() == before
    assert [entry.name for entry in path.parent.iterdir()] == ["a.png"]
    with pytest.raises(VideoError, match="cannot be written"):
        pictures.save(image, path / "b.png")
    with pytest.raises(VideoError, match="unknown file extension"):
        pictures.save(image, tmp_path / "a.xyz")


def test_matplotlib_is_imported_only_to_plot():
    code = "import sys, framecast.pictures; print('matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_long_names_keep_what_tells_them_apart():
    """Both ends stay, and the text fits."""
    font = canvas.typeface(14)
    name = "test/" + "a_long_name_of_a_video" * 3 + ".mp4:12"
    shown = [canvas.shortened(f"{name}: {role}", font, 240) for role in ("truth", "prediction")]
    assert [text.split(": ")[1] for text in shown] == ["truth", "prediction"]
    assert all(text.startswith("test/a_long") and font.getlength(text) <= 240 for text in shown)
    assert canvas.shortened("short", font, 240) == "short"
