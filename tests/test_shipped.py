"""The models that come with the package."""

import os
from pathlib import Path

import pytest
import torch

from framecast import registry
from framecast.cli.options import DEFAULT_MODEL
from framecast.clip import collate
from framecast.codec import Codec
from framecast.data.moving_digits import MovingDigits
from framecast.layers.autoregressive import DrawOptions
from framecast.model import load
from framecast.video import read

DATA = os.environ.get("FRAMECAST_DATA")
MOST_BYTES = 6_000_000
SHIPPED = registry.shipped()
ERRORS = {
    "convlstm/moving-mnist-small": 0.5,
    "haf-svg/moving-mnist-small": 0.5,
    "s-hr-vqvae/moving-mnist": 0.75,
    "v3d-convlstm/moving-mnist-small": 0.5,
    "video-vqvae/moving-mnist-small": 0.85,
}
"""The most squared error that a model of moving digits may have, in parts of copy-last's."""
CODECS = ("s-hr-vqvae/moving-mnist", "video-vqvae/moving-mnist-small")


def test_the_default_model_is_shipped():
    """`framecast predict VIDEO` works without naming one."""
    assert DEFAULT_MODEL in SHIPPED


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_models_are_small_and_described(name):
    """A few megabytes, with a card and what `predict` needs to know."""
    files = list(SHIPPED[name].iterdir())
    assert sum(file.stat().st_size for file in files) <= MOST_BYTES
    assert len((SHIPPED[name] / "README.md").read_text()) > 500
    assert {"context", "horizon", "size", "data"} <= set(load(name).about)


@pytest.mark.parametrize("name", [n for n in SHIPPED if "moving-mnist" in n])
def test_shipped_models_see_where_digits_go(name):
    """On digits drawn for the test split, well below copy-last's squared error."""
    model = load(name)
    context, horizon = model.about["context"], model.about["horizon"]
    source = MovingDigits(digits="glyphs").source("test", context + horizon, seed=0)
    observed, future = collate([source[(0, index)] for index in range(12)]).split(context)
    frames = model.predict(observed, horizon).frames[0]
    copied = observed.frames[:, -1:].expand_as(frames)
    error, copy_error = ((f - future.frames).square().mean() for f in (frames, copied))
    assert error < ERRORS[name] * copy_error


@pytest.mark.parametrize("name", CODECS)
def test_shipped_codecs_keep_digits(name):
    """Frames come back from their codes with a small part of the error of a black picture."""
    model = load(name)
    assert isinstance(model, Codec)
    source = MovingDigits(digits="glyphs").source("test", 16, seed=0)
    clip = collate([source[(0, index)] for index in range(8)])
    decoded = model.decode(model.encode(clip)).frames
    assert (decoded - clip.frames).square().mean() < 0.1 * clip.frames.square().mean()


@pytest.mark.parametrize("name", CODECS)
def test_samplers_of_shipped_codecs_draw_the_same(name):
    """At the sizes in use, which the fast kernels may treat otherwise than small ones."""
    model = load(name)
    source = MovingDigits(digits="glyphs").source("test", 4, seed=0)
    observed = collate([source[(0, 0)]])
    cached, other = (
        model.predict(observed, 1, samples=1, options=DrawOptions(sampler=sampler))
        for sampler in ("cached", "fixed-point")
    )
    assert torch.equal(cached.frames, other.frames)
    torch.testing.assert_close(cached.log_prob, other.log_prob, rtol=1e-4, atol=1e-3)


@pytest.mark.skipif(DATA is None, reason="FRAMECAST_DATA is not set")
def test_the_shipped_video_model_sees_where_things_go():
    """On a video that it was not trained on, less squared error than copy-last's."""
    model = load("stip/video-small")
    path = Path(str(DATA)) / "videos" / "androidx_bear-vp9-odd-dimensions.webm"
    frames = read(path, count=8, fps=15, size=(64, 64)).frames.unsqueeze(0)
    predicted = model.predict(frames[:, :4], 4).frames[0]
    errors = [(each - frames[:, 4:]).square().mean() for each in (predicted, frames[:, 3:4])]
    assert errors[0] < 0.9 * errors[1]
