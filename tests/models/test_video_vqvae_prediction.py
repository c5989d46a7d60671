"""Video VQ-VAE's predictions and how its priors are trained, from context codes alone."""

import math

import pytest
import torch
from tiny_video_vqvae import clips, tiny
from torch import Tensor
from torch.nn import functional

from framecast.clip import Clip, Key, Source, collate
from framecast.data.coded import CodedClips
from framecast.data.glyphs import draw_glyphs
from framecast.errors import ConfigError, FramecastError
from framecast.layers.autoregressive import DrawOptions
from framecast.models.video_vqvae.model import VideoVQVAE
from framecast.models.video_vqvae.stages import (
    AutoencoderStage,
    AutoencoderTraining,
    BlockCoder,
    BottomStage,
    BottomTraining,
    TopStage,
    TopTraining,
)
from framecast.stage import Stage
from models.fitting import fit

CONTEXT, FUTURE = 4, 8


def model_of(**sizes: int) -> VideoVQVAE:
    return tiny(**{"context": CONTEXT, "future": FUTURE, **sizes})


def block(batch: int = 2, seed: int = 3) -> Clip:
    return clips(batch, CONTEXT + FUTURE, 8, seed=seed)


def changed(clip: Clip) -> Clip:
    """With the same context and another future."""
    return Clip(torch.cat([clip.frames[:, :CONTEXT], block(seed=9).frames[:, CONTEXT:]], 1))


def nats_by_hand(model: VideoVQVAE, top: Tensor, bottom: Tensor) -> tuple[Tensor, list[Tensor]]:
    """Cross-entropy of the future's tokens, summed per clip: of the top ones, and slice by slice of
    the bottom ones."""
    logits = model.top(top[:, 1:], top[:, :1], bottom[:, :2])
    of_top = functional.cross_entropy(logits.movedim(-1, 1), top[:, 1:], reduction="none")
    of_bottom = [
        functional.cross_entropy(
            model.bottom(top, bottom, n).movedim(-1, 1), bottom[:, n], reduction="none"
        ).sum((1, 2))
        for n in range(2, 6)
    ]
    return of_top.sum((1, 2, 3)), of_bottom


# ---- what the priors are conditioned by


def test_the_future_reaches_no_conditioning_tensor() -> None:
    """Bit for bit, of the tensors themselves and of the maps that are made from them."""
    model, clip = model_of(), block()
    (top, bottom), (top2, bottom2) = (model.tokenize_block(c.frames) for c in (clip, changed(clip)))
    assert torch.equal(top[:, :1], top2[:, :1])
    assert torch.equal(bottom[:, :2], bottom2[:, :2])
    assert not torch.equal(bottom[:, 2:], bottom2[:, 2:])
    maps = [model.top.conditioning(t[:, :1], b[:, :2]) for t, b in ((top, bottom), (top2, bottom2))]
    assert torch.equal(*maps)
    whole, other = (model.tokenize(c.frames)[1][:, :2] for c in (clip, changed(clip)))
    assert not torch.equal(whole, other)  # encoders do look ahead


@pytest.mark.parametrize("name", ["top", "bottom"])
def test_the_future_reaches_no_conditioning_of_a_stage(name: str) -> None:
    """What a stage hands to its prior, of clips and of codes from shards."""
    model, clip = model_of(), block()
    stage = stages(model)[name]
    for make in (lambda c: c, BlockCoder(model).encode):
        first, second = (stage.levels(make(c)) for c in (clip, changed(clip)))
        for level, (a, b) in enumerate(zip(first, second, strict=True), 1):
            assert torch.equal(a[:, :level], b[:, :level])
            assert torch.equal(a[:, :level], model.tokenize(clip.frames[:, :CONTEXT])[level - 1])
            assert torch.equal(a[:, level:], model.tokenize(clip.frames)[level - 1][:, level:])


@pytest.mark.parametrize("length", [4, 8, 16])
def test_other_lengths_are_one_line(length: int) -> None:
    model = model_of()
    with pytest.raises(FramecastError, match=f"4 context and 8 future frames, got {length}"):
        model.tokenize_block(clips(1, length, 8).frames)


# ---- predicting


@pytest.mark.parametrize(("context", "future"), [(4, 8), (8, 4)])
def test_a_prediction_step_by_step(context: int, future: int) -> None:
    """Likeliest tokens pass by pass from the teacher-forced priors, decoded together; then again
    from the last frames, true and decoded ones."""
    model = model_of(context=context, future=future)
    first = given = clips(1, context, 8).frames
    found = []
    for _ in range(2):
        codes = top, bottom = model.tokenize(given)
        with torch.no_grad():
            later = top.new_zeros(1, future // 4, 2, 2)
            for _ in range(later.numel()):  # enough passes to settle every token
                later = model.top(later, *codes).argmax(-1)
            top = torch.cat([top, later], 1)
            for n in range(context // 2, (context + future) // 2):
                bottom = torch.cat([bottom, torch.zeros_like(bottom[:, :1])], 1)
                for _ in range(16):
                    bottom[:, n] = model.bottom(top, bottom, n).argmax(-1)
            decoded = model.render((top, bottom))[:, context:]
        assert decoded.min() < 0
        found.append(decoded)
        given = torch.cat([given, decoded.clamp(0, 1)], 1)[:, -context:]
    expected = torch.cat(found, 1)[:, : 2 * future - 1]
    predicted = model.predict(Clip(first), 2 * future - 1).unclipped[0]
    torch.testing.assert_close(predicted, expected)


def test_samplers_agree_and_options_act() -> None:
    model, context = model_of(), Clip(block().frames[:, :CONTEXT])
    draws = {
        name: model.predict(context, FUTURE, samples=2, options=DrawOptions(sampler=name))
        for name in ("naive", "cached", "fixed-point")
    }
    for other in draws.values():
        torch.testing.assert_close(other.unclipped, draws["naive"].unclipped)
        torch.testing.assert_close(other.log_prob, draws["naive"].log_prob)
    likeliest = model.predict(context, FUTURE).unclipped
    for options in (DrawOptions(temperature=1e-6), DrawOptions(top_k=1)):
        drawn = model.predict(context, FUTURE, samples=1, options=options).unclipped
        torch.testing.assert_close(drawn, likeliest)
    first, second = draws["cached"].unclipped
    assert not torch.equal(first, second)
    assert not torch.equal(draws["cached"].unclipped[:1], likeliest)
    with pytest.raises(ConfigError, match="temperature"):
        DrawOptions(temperature=0.0)


def test_log_prob_of_a_sample_is_that_of_its_codes() -> None:
    """Spread over the frames: a top slice over four of them, a bottom slice over two."""
    model, context = model_of(), block().frames[:, :CONTEXT]
    drawn = []
    render = model.render
    model.render = lambda levels: drawn.append(levels) or render(levels)
    predicted = model.predict(Clip(context), FUTURE, samples=3)
    top, bottom = drawn[0]
    with torch.no_grad():
        of_top, of_bottom = nats_by_hand(model, top, bottom)
    total = of_top + sum(of_bottom)
    assert predicted.log_prob is not None
    torch.testing.assert_close(-predicted.log_prob.sum(2).flatten(), total)
    pairs = predicted.log_prob.unflatten(2, (4, 2))
    assert torch.equal(pairs[..., 0], pairs[..., 1])
    within = (pairs[:, :, 0] - pairs[:, :, 1]).sum(-1).flatten()
    torch.testing.assert_close(within, of_bottom[1] - of_bottom[0], rtol=1e-3, atol=1e-4)


def test_log_prob_of_a_given_future() -> None:
    model, clip = model_of(), block()
    longer = Clip(torch.cat([block(seed=7).frames[:, :3], clip.frames[:, :CONTEXT]], 1))
    future = Clip(clip.frames[:, CONTEXT:])
    with torch.no_grad():
        of_top, of_bottom = nats_by_hand(model, *model.tokenize_block(clip.frames))
        found = model.log_prob(longer, future)
        levels = model.code_log_probs(longer, future)
    torch.testing.assert_close(found, -(of_top + sum(of_bottom)))
    torch.testing.assert_close(levels[0].sum(1), -of_top)
    torch.testing.assert_close(levels[1].sum(1), -sum(of_bottom))
    top, bottom = model.tokenize_block(clip.frames)
    assert [level.shape[1] for level in levels] == [
        tokens[0].numel() * FUTURE // clip.length for tokens in (top, bottom)
    ]
    with pytest.raises(FramecastError, match=f"got 4; give {FUTURE}"):
        model.log_prob(longer, Clip(future.frames[:, :4]))


def test_short_beginnings_have_their_first_frame_repeated() -> None:
    model, clip = model_of(future=4), clips(2, 4, 8)
    forced = model.teacher_forced(clip)
    padded = clip.frames[:, [0, 0, 0, 1]]
    assert torch.equal(forced[:, 1], model.predict(padded, 1).unclipped[0, :, 0])


# ---- training


def stages(model: VideoVQVAE) -> dict[str, Stage]:
    """Those of the priors, in training mode."""
    top = TopStage(TopTraining(), model, CONTEXT)
    bottom = BottomStage(BottomTraining(slices=None), model, CONTEXT)
    return {"top": top, "bottom": bottom}


def test_losses_are_cross_entropies_in_nats() -> None:
    """Without dropout, of clips and of codes alike; bits are nats by log 2."""
    model, clip = model_of(), block()
    with torch.no_grad():
        of_top, of_bottom = nats_by_hand(model, *model.tokenize_block(clip.frames))
    expected = {"top": of_top.mean() / (2 * 2 * 2), "bottom": sum(of_bottom).mean() / (4 * 4 * 4)}
    for name, stage in stages(model).items():
        stage.eval()
        for batch in (clip, BlockCoder(model).encode(clip)):
            found, scores = stage("main", batch, 0), stage.validate(batch)
            torch.testing.assert_close(found["total"].detach(), expected[name])
            torch.testing.assert_close(scores["score"], expected[name])
            torch.testing.assert_close(scores["bits"], expected[name] / math.log(2))


def test_a_step_is_about_some_bottom_slices() -> None:
    """By chance; every slice has its turn."""
    model, clip = model_of(), block()
    with torch.no_grad():
        _, of_bottom = nats_by_hand(model, *model.tokenize_block(clip.frames))
    means = torch.stack([nats.mean() / 16 for nats in of_bottom])
    stage = BottomStage(BottomTraining(), model, CONTEXT).eval()
    torch.manual_seed(0)
    with torch.no_grad():
        found = torch.stack([stage("main", clip, 0)["total"] for _ in range(30)])
    distances = (found.unsqueeze(1) - means).abs()
    assert distances.min(1).values.max() < 1e-4
    assert len(distances.argmin(1).unique()) == 4


class Fixed(Source):
    """Clips that are the same in every epoch."""

    def __init__(self, clip: Clip, fixed: bool = True) -> None:
        self.clip, self.fixed = clip, fixed

    def __len__(self) -> int:
        return len(self.clip.frames)

    def __getitem__(self, key: Key) -> Clip:
        return Clip(self.clip.frames[key[1]])

    def fingerprint(self) -> str:
        return "fixed"


def test_codes_of_fixed_clips_are_kept(tmp_path, monkeypatch) -> None:
    """Each once for both priors, whose weights play no part; the context in them is coded alone."""
    monkeypatch.setenv("FRAMECAST_CACHE", str(tmp_path))
    model, clip = model_of(), block(3)
    top, bottom = stages(model).values()
    coded = top.source(Fixed(clip))
    assert isinstance(coded, CodedClips)
    batch = collate([coded[(0, i)] for i in range(3)])
    expected = model.tokenize_block(clip.frames)
    assert all(torch.equal(a, b) for a, b in zip(batch.levels, expected, strict=True))
    with torch.no_grad():
        next(model.top.parameters()).add_(1)
    assert bottom.source(Fixed(clip)).fingerprint() == coded.fingerprint()
    with torch.no_grad():
        next(model.autoencoder.parameters()).add_(1)
    assert bottom.source(Fixed(clip)).fingerprint() != coded.fingerprint()
    fresh = Fixed(clip, fixed=False)
    assert top.source(fresh) is fresh


def test_other_lengths_than_the_models_are_refused() -> None:
    config = model_of().config
    for training in (TopTraining(), BottomTraining()):
        training.check(config, config.context, config.future)
        with pytest.raises(ConfigError, match="a context of 4 frames, not 8"):
            training.check(config, 8, config.future)
        with pytest.raises(ConfigError, match=f"a horizon of {config.future} frames, not 2"):
            training.check(config, config.context, 2)
    with pytest.raises(ConfigError, match="slices"):
        BottomTraining(slices=0)


def moving_glyphs(count: int) -> Clip:
    """Glyphs at a quarter of their size that go to the right, a pixel per frame, and around."""
    images = torch.from_numpy(draw_glyphs("train")[:count]).float().div(255)
    small = functional.interpolate(images.unsqueeze(1), size=8, mode="area")
    return Clip(torch.stack([small.roll(t, -1) for t in range(8)], 1))


def learn(stage: Stage, clip: Clip, steps: int, rate: float) -> float:
    """Train on one batch; the last score."""
    stage.train()
    own = {id(p) for p in stage.parameters_of("main")}
    for parameter in stage.parameters():
        parameter.requires_grad_(id(parameter) in own)
    torch.manual_seed(0)
    fit(stage, clip, steps=steps, rate=rate)
    stage.eval()
    return float(stage.validate(clip)["score"])


def test_all_stages_learn() -> None:
    """Each stage brings its score far below that before it."""
    clip, model = moving_glyphs(8), tiny(seed=1, context=4, future=4, codewords=8)
    autoencoder = AutoencoderStage(AutoencoderTraining(restart_every=20), model, 4)
    spread = float((clip.frames - clip.frames.mean()).square().sum((2, 3, 4)).mean())
    assert learn(autoencoder, clip, 120, 1e-2) < 0.7 * spread
    for stage in (TopStage(TopTraining(), model, 4), BottomStage(BottomTraining(), model, 4)):
        stage.eval()
        before = float(stage.validate(clip)["score"])
        after = learn(stage, clip, 60, 1e-2)
        assert after < 0.7 * min(before, math.log(8))
    with torch.no_grad():
        assert model.predict(Clip(clip.frames[:, :4]), 4).unclipped.isfinite().all()
