"""S-HR-VQVAE beside what the paper says and what can be computed by hand."""

import math
from dataclasses import replace

import pytest
import torch
from tiny_s_hr_vqvae import SMALL
from torch.nn import functional

from framecast import registry
from framecast.clip import Clip
from framecast.data.coded import CodedClips
from framecast.data.moving_digits import MovingDigits
from framecast.errors import ConfigError, FramecastError
from framecast.layers.autoregressive import DrawOptions
from framecast.layers.codebooks import initialise
from framecast.models.s_hr_vqvae.model import SHRVQVAE, SHRVQVAEConfig
from framecast.models.s_hr_vqvae.stages import (
    AutoencoderStage,
    AutoencoderTraining,
    JointStage,
    JointTraining,
    PriorStage,
    PriorTraining,
)
from framecast.noise import Noise
from framecast.schedules import constant
from layers.processes import Alone


def tiny(layers: int = 2, channels: int = 1, seed: int = 0) -> SHRVQVAE:
    """A small model whose codewords are all in use."""
    torch.manual_seed(seed)
    model = replace(SMALL, channels=channels, layers=layers).build()
    latent = model.encoder(torch.rand(64, channels, 16, 16)).detach()
    initialise(model.quantiser, latent.movedim(1, -1).flatten(0, -2), 1, Alone())
    return model.eval()


def clips(batch: int = 2, length: int = 5, size: int = 16, channels: int = 1) -> Clip:
    """Random frames."""
    generator = torch.Generator().manual_seed(3)
    return Clip(torch.rand((batch, length, channels, size, size), generator=generator))


def test_parameter_counts_of_the_paper():
    """1.14M in all for Moving-MNIST; the parts as counted by hand."""
    model = SHRVQVAEConfig().build()
    counts = {
        name: sum(p.numel() for p in part.parameters()) for name, part in model.named_children()
    }
    assert counts == {
        "encoder": 362_628,
        "quantiser": 336,
        "decoder": 219_137,
        "prior": 552_132 + 8_720,
    }
    assert model.parameter_count() == 1_142_953
    with torch.device("meta"):
        kth = SHRVQVAEConfig(channels=3, width=8, codewords=8).build()
    assert sum(p.numel() for p in kth.quantiser.parameters()) == 4_672


@pytest.mark.parametrize(
    ("channels", "width", "size", "trees", "ratio", "bits"),
    [
        (1, 4, 64, ((1, 64), (3, 4), (6, 2)), 64 / 3, 6),
        (3, 8, 128, ((1, 512), (3, 8), (9, 2)), 128 / 3, 9),
    ],
)
def test_compression_ratios_of_table_1(channels, width, size, trees, ratio, bits):
    """The same for every number of layers."""
    for layers, codewords in trees:
        config = SHRVQVAEConfig(channels=channels, width=width, layers=layers, codewords=codewords)
        with torch.device("meta"):
            model = config.build()
        packed = model.bits((1, channels, size, size))
        assert packed == bits * (size // 4) ** 2
        assert channels * size**2 * 8 / packed == pytest.approx(ratio)


@pytest.mark.parametrize("names", [("tiny", "tiny-1", "tiny-6"), ("kth", "kth-1", "kth-9")])
def test_table_3_compares_layers_at_equal_bits_and_equal_training(names):
    compared = [registry.find("presets", f"s-hr-vqvae/{name}")() for name in names]
    first = compared[0]
    for other in compared[1:]:
        assert other.model.layers != first.model.layers
        leaves = {each.model.codewords**each.model.layers for each in (first, other)}
        assert len(leaves) == 1
        sizes = {"layers": first.model.layers, "codewords": first.model.codewords}
        assert replace(other, model=replace(other.model, **sizes)) == first


def test_the_latent_grid_is_a_quarter():
    """16×16×4 from 64×64; what the paper calls the latent size."""
    model = SHRVQVAEConfig().build()
    assert model.encoder(torch.zeros(1, 1, 64, 64)).shape == (1, 4, 16, 16)
    assert model.decoder(torch.zeros(1, 4, 16, 16)).shape == (1, 1, 64, 64)


def test_codes_are_nearest_paths_and_decode_to_their_sum():
    """Against explicit loops over positions and layers."""
    model, clip = tiny(), clips(1, 2)
    codes = model.encode(clip)
    latent = model.encoder(clip.frames[0]).detach()
    combined = torch.zeros_like(latent)
    books = [book.detach() for book in model.quantiser.codebooks]
    for t in range(2):
        for row in range(4):
            for column in range(4):
                left, parent = latent[t, :, row, column], 0
                for layer, book in enumerate(books):
                    distances = [
                        float((left - word).square().sum().detach()) for word in book[parent]
                    ]
                    best = distances.index(min(distances))
                    assert int(codes.levels[layer][0, t, row, column]) == best
                    left = left - book[parent][best]
                    combined[t, :, row, column] += book[parent][best]
                    parent = parent * 3 + best
    frames = model.decoder(combined)[None].clamp(0, 1)
    torch.testing.assert_close(model.decode(codes).frames, frames)


def test_fewer_layers_leave_residuals_out():
    """The first layer alone decodes its own codewords."""
    model, clip = tiny(), clips()
    codes = model.encode(clip)
    words = model.quantiser.codebooks[0][0][codes.levels[0]].permute(0, 1, 4, 2, 3)
    frames = model.decoder(words.flatten(0, 1)).unflatten(0, (2, 5)).clamp(0, 1)
    torch.testing.assert_close(model.decode(codes, levels=1).frames, frames)


def test_gray_clips_in_a_model_of_colour():
    """One channel is made three, and averaged back."""
    model, clip = tiny(channels=3), clips()
    assert model.decode(model.encode(clip)).frames.shape == clip.frames.shape


def test_the_autoencoders_loss_is_equation_4():
    """Term by term, from the latent vectors and the codewords of the chosen paths."""
    model, clip = tiny(), clips()
    stage = AutoencoderStage(AutoencoderTraining(beta=0.3, frames_per_clip=None), model, 1)
    losses = stage("main", clip, 0)
    frames = clip.frames.flatten(0, 1)
    z = model.encoder(frames)
    first, second = model.codewords(model.indices(clip.frames)).flatten(0, 1).unbind(1)
    total = first + second
    expected = (frames - model.decoder(total)).square().mean()
    for vectors, words in ((z, total), (z, first), (z - first, second)):
        expected = expected + 1.3 * (vectors - words).square().mean()
    torch.testing.assert_close(losses["total"], expected)


def test_one_layer_is_a_plain_vq_vae():
    """Eq 2: the sum of Eq 5 is not there."""
    model, clip = tiny(layers=1), clips()
    losses = AutoencoderStage(AutoencoderTraining(frames_per_clip=None), model, 1)("main", clip, 0)
    frames = clip.frames.flatten(0, 1)
    z, words = model.encoder(frames), model.codewords(model.indices(clip.frames)).flatten(0, 2)
    expected = (frames - model.decoder(words)).square().mean() + 1.25 * (z - words).square().mean()
    torch.testing.assert_close(losses["total"], expected)


def test_reconstruction_gradient_reaches_the_encoder_through_the_codes():
    """Straight through: the decoder's gradient at the codes is the encoder's output gradient."""
    model, clip = tiny(), clips()
    quantised, latent = model.quantise(clip.frames.flatten(0, 1))
    latent.retain_grad()
    combined = quantised.straight_through.detach().requires_grad_()
    for vectors in (combined, quantised.straight_through):
        grid = vectors.unflatten(0, (10, 4, 4)).permute(0, 3, 1, 2)
        model.decoder(grid).square().sum().backward()
    assert latent.grad is not None
    assert combined.grad is not None
    torch.testing.assert_close(latent.grad.movedim(1, -1).flatten(0, -2), combined.grad)


def test_frames_of_a_clip_are_drawn_without_repetition():
    """As many as asked for, all of them of their own clip."""
    frames = torch.arange(20.0).reshape(2, 10, 1, 1, 1)
    stage = AutoencoderStage(AutoencoderTraining(frames_per_clip=4), tiny(), 1)
    chosen = stage._chosen(frames)[..., 0, 0, 0]
    assert chosen.shape == (2, 4)
    assert all(len(set(row.tolist())) == 4 for row in chosen)
    assert chosen[0].max() < 10 <= chosen[1].min()


@pytest.mark.parametrize("kind", ["gradient", "average"])
def test_codebooks_come_from_data_after_the_first_step(kind):
    """All codewords are in use then, and are not before."""
    torch.manual_seed(0)
    model = tiny()
    with torch.no_grad():
        for book in model.quantiser.codebooks:
            book.fill_(5.0)
    model.quantiser.drawn = True
    stage = AutoencoderStage(AutoencoderTraining(codebook=kind, restart_every=0), model, 1)
    for step in range(3):
        losses = stage("main", clips(8), step)
        stage.after_step(step, Alone())
    indices = stage.model.indices(clips(8).frames)
    assert len(indices[:, :, 0].unique()) == 3
    assert float(losses["perplexity 1"]) > 1


@pytest.mark.parametrize("kind", ["gradient", "average"])
def test_learnt_codebooks_are_kept(kind):
    """Those of a model from elsewhere stay in the first step, too; random ones do not."""
    learnt = tiny()
    model = SHRVQVAE(learnt.config)
    assert model.quantiser.drawn
    model.load_state_dict(learnt.state_dict())
    training = AutoencoderTraining(codebook=kind, decay=0.999)
    stage = AutoencoderStage(training, model, 1)
    stage("main", clips(8), 0)
    stage.after_step(0, Alone())
    pairs = zip(model.quantiser.codebooks, learnt.quantiser.codebooks, strict=True)
    for book, before in pairs:
        torch.testing.assert_close(book, before, rtol=0, atol=2e-3 if kind == "average" else 0)
    again = AutoencoderStage(training, SHRVQVAE(learnt.config), 1)
    begun = {**again.state_dict(), **{f"model.{k}": v for k, v in learnt.state_dict().items()}}
    again.load_state_dict(begun)  # a checkpoint from before the first step
    again("main", clips(8), 0)
    before = [book.clone() for book in again.model.quantiser.codebooks]
    again.after_step(0, Alone())
    assert not torch.equal(again.model.quantiser.codebooks[0], before[0])


def test_dead_codewords_are_replaced():
    """One that is far from everything comes back, under its own parent alone."""
    model = tiny()
    stage = AutoencoderStage(AutoencoderTraining(restart_every=2, decay=0.0), model, 1)
    with torch.no_grad():
        model.quantiser.codebooks[0][0, 1] = 1e3
    for step in (1, 2):
        stage("main", clips(8), step)
        before = [book.clone() for book in model.quantiser.codebooks]
        stage.after_step(step, Alone())
        changed = [
            (old != new).any(-1) for old, new in zip(before, model.quantiser.codebooks, strict=True)
        ]
        assert bool(changed[0][0, 1]) == (step == 2)
    assert model.quantiser.codebooks[0][0, 1].abs().max() < 100
    assert not bool(changed[1][1].any())  # its children got nothing to start from


def test_the_priors_loss_is_the_codes_cross_entropy():
    """Eq 7, from the logits; and bits per code and layer."""
    model, clip = tiny(), clips()
    losses = PriorStage(PriorTraining(), model, 3)("main", clip, 0)
    indices = model.indices(clip.frames)
    logits = model.prior(model.symbols(indices))[:, 3:]
    nats = [
        functional.cross_entropy(logits[:, :, i].flatten(0, 1), indices[:, 3:, i].flatten(0, 1))
        for i in range(2)
    ]
    torch.testing.assert_close(losses["total"], sum(nats) / 2)
    torch.testing.assert_close(losses["bits 2"], nats[1].detach() / math.log(2))


def test_the_likelihood_of_a_future():
    """The sum of its codes' log-probabilities."""
    model, clip = tiny(), clips()
    context, future = clip.split(3)
    losses = PriorStage(PriorTraining(), model, 3)("main", clip, 0)
    whole = model.log_prob(context, future)
    assert whole.shape == (2,)
    torch.testing.assert_close(-whole.mean() / (2 * 2 * 16), losses["total"])
    layers = model.code_log_probs(context, future)
    assert [layer.shape for layer in layers] == [(2, 2 * 16)] * 2
    torch.testing.assert_close(-layers[1].mean() / math.log(2), losses["bits 2"])


def test_samples_have_the_likelihood_that_the_network_gives_their_codes():
    """Whatever the temperature, the untempered model's."""
    model, clip = tiny(), clips(length=3)
    options = DrawOptions(temperature=0.7, top_k=2)
    symbols = model.symbols(model.indices(clip.frames))
    noise = Noise.of(4, range(2), 2)
    drawn = list(model.draw(symbols, 3, 2, noise, options))
    codes = torch.stack([one.indices for one in drawn], 1)
    past = model.indices(clip.frames).repeat(2, 1, 1, 1, 1)
    expected = model.code_log_prob(torch.cat([past, codes], 1), 3).sum((2, 3, 4))
    got = torch.stack([one.log_prob for one in drawn], 1)
    torch.testing.assert_close(got, expected, rtol=1e-4, atol=1e-4)
    out = model.predict(clip, 3, samples=2, seed=4, options=options)
    assert out.log_prob is not None
    torch.testing.assert_close(out.log_prob.flatten(0, 1), got)


def test_all_samplers_draw_the_same():
    """Through `predict`, samples and the point prediction."""
    model, clip = tiny(), clips(length=3)
    model, clip = model.double(), Clip(clip.frames.double())
    for samples in (None, 3):
        kinds = ("auto", "naive", "cached", "fixed-point")
        options = [DrawOptions(sampler=kind) for kind in kinds]
        frames = [
            model.predict(clip, 3, samples=samples, options=each).unclipped for each in options
        ]
        for other in frames[1:]:
            torch.testing.assert_close(other, frames[0])


def test_a_window_is_a_stretch_of_the_clip():
    """As long as asked for; longer ones than the clip take all of it."""
    stage = PriorStage(PriorTraining(window=(2, 3)), tiny(), 5)
    starts = set()
    for seed in range(40):
        torch.manual_seed(seed)
        context, stretch = stage._stretch(10)
        assert context == 2
        assert stretch.stop - stretch.start == 5
        starts.add(stretch.start)
    assert starts == set(range(6))
    assert stage._stretch(5) == (2, slice(0, 5))
    whole = PriorStage(PriorTraining(window=(8, 3)), tiny(), 5)
    assert whole._stretch(10) == (5, slice(None))


def test_the_loss_of_a_window_is_that_of_the_frames_alone():
    """Frames outside of it play no part."""
    model, clip = tiny(), clips(length=8)
    torch.manual_seed(5)
    losses = PriorStage(PriorTraining(window=(2, 3)), model, 4)("main", clip, 0)
    torch.manual_seed(5)
    start = int(torch.randint(4, ()))
    stretch = clip.pick(slice(start, start + 5))
    torch.testing.assert_close(losses, PriorStage(PriorTraining(), model, 2)("main", stretch, 0))


def test_own_codes_are_seen_and_true_ones_are_learnt():
    """With probability 1, every future frame is as the model finds it likeliest.

    Below a first code that is not the true one, the second is the one that comes nearest to the
    true embedding: the true index would name another codeword there.
    """
    model, clip = tiny(), clips()
    stage = PriorStage(PriorTraining(own_codes=constant(1.0)), model, 3)
    losses = stage("main", clip, 0)
    indices = model.indices(clip.frames)
    likeliest = model.prior(model.symbols(indices), 3).argmax(3)
    assert not torch.equal(likeliest, indices[:, 3:])
    seen = torch.cat([indices[:, :3], likeliest], 1)
    logits = model.prior(model.symbols(seen), 3)
    wrong = likeliest[:, :, 0] != indices[:, 3:, 0]
    assert wrong.any()
    assert not wrong.all()
    learnt, books = indices[:, 3:].clone(), model.quantiser.codebooks
    for b, t, y, x in wrong.nonzero().tolist():
        first, second = indices[b, 3 + t, :, y, x].tolist()
        shown = int(likeliest[b, t, 0, y, x])
        left = books[0][0, first] + books[1][first, second] - books[0][0, shown]
        learnt[b, t, 1, y, x] = int((books[1][shown] - left).square().sum(-1).argmin())
    assert not torch.equal(learnt, indices[:, 3:])
    expected = functional.cross_entropy(logits.movedim(3, 1), learnt)
    torch.testing.assert_close(losses["total"], expected)
    torch.manual_seed(0)
    mixed = stage._own(indices, 3, 0.5)
    own = [[torch.equal(mixed[b, 3 + t], likeliest[b, t]) for t in range(2)] for b in range(2)]
    true = [[torch.equal(mixed[b, 3 + t], indices[b, 3 + t]) for t in range(2)] for b in range(2)]
    assert all(a or b for x, y in zip(own, true, strict=True) for a, b in zip(x, y, strict=True))
    assert torch.equal(mixed[:, :3], indices[:, :3])


def test_kept_codes_are_those_of_the_autoencoder(tmp_path, monkeypatch):
    """What the prior has learnt since makes no others; other codebooks do."""
    monkeypatch.setenv("FRAMECAST_CACHE", str(tmp_path))
    source = MovingDigits(digits="glyphs", train_size=3).source("train", 4, 0)
    model = tiny()
    stage = PriorStage(PriorTraining(), model, 2)

    def keys() -> tuple[str, int]:
        return stage.source(source).fingerprint(), len(list((tmp_path / "codes").iterdir()))

    before = keys()
    with torch.no_grad():
        model.prior.nets[0].output.bias.add_(1)
        model.decoder.requires_grad_(False)
    assert keys() == before
    with torch.no_grad():
        model.quantiser.codebooks[0].add_(1)
    assert keys()[1] == before[1] + 1


def test_a_prior_without_attention_has_a_silent_one():
    """The loss is that of the whole network, and the attention gets no gradient."""
    model, clip = tiny(), clips()
    before = PriorStage(PriorTraining(), model, 3)("main", clip, 0)["total"]
    stage = PriorStage(PriorTraining(attention=False), model, 3)
    losses = stage("main", clip, 0)
    assert not torch.equal(losses["total"], before)
    torch.testing.assert_close(losses, PriorStage(PriorTraining(), model, 3)("main", clip, 0))
    own = {id(p) for p in stage.parameters_of("main")}
    attention = [p for net in model.prior.nets for p in net.attention.parameters()]
    assert not any(id(p) in own for p in attention)
    assert len(own) + len(attention) == len(list(model.prior.parameters()))


def test_a_prior_learns_from_kept_codes(tmp_path, monkeypatch):
    """The loss on codes of a fixed source is that on its clips."""
    monkeypatch.setenv("FRAMECAST_CACHE", str(tmp_path))
    source = MovingDigits(digits="glyphs", train_size=3).source("train", 4, 0)
    stage = PriorStage(PriorTraining(), tiny(), 2)
    coded = stage.source(source)
    assert isinstance(coded, CodedClips)
    batch = coded[(0, 1)].collate([coded[(0, 1)], coded[(0, 2)]])
    clip = Clip.collate([source[(0, 1)], source[(0, 2)]])
    torch.testing.assert_close(stage("main", batch, 0), stage("main", clip, 0))
    fresh = MovingDigits(digits="glyphs", fixed_train=False).source("train", 4, 0)
    assert stage.source(fresh) is fresh


@pytest.mark.parametrize("codes", ["teacher-forced", "rollout", "gumbel"])
def test_which_gradients_joint_training_has(codes):
    """Reconstruction trains the decoder; the prior too with Gumbel draws alone."""
    model, clip = tiny(), clips()
    stage = JointStage(JointTraining(codes=codes), model, 3).train()
    assert {id(p) for p in stage.parameters_of("main")} == {
        id(p) for part in (model.prior, model.decoder) for p in part.parameters()
    }
    torch.manual_seed(0)
    losses = stage("main", clip, 0)
    torch.testing.assert_close(losses["total"], losses["nats"] + 0.11 * losses["mse"])
    prior, decoder = (list(part.parameters()) for part in (model.prior, model.decoder))
    reached = torch.autograd.grad(losses["mse"], prior + decoder, allow_unused=True)
    assert all(g is not None for g in reached[len(prior) :])
    assert any(g is not None and bool(g.any()) for g in reached[: len(prior)]) == (
        codes == "gumbel"
    )


def test_joint_reconstruction_is_of_predicted_codes():
    """With codes before them given, the likeliest ones."""
    model, clip = tiny(), clips()
    losses = JointStage(JointTraining(), model, 3)("main", clip, 0)
    indices = model.indices(clip.frames)
    likeliest = model.prior(model.symbols(indices), 3).argmax(3)
    frames = torch.stack(
        [model.frames_of(model.codewords(each)) for each in likeliest.unbind(1)], 1
    )
    torch.testing.assert_close(losses["mse"], (frames - clip.frames[:, 3:]).square().mean())


def test_gumbel_codewords_are_codewords():
    """Their values are exact whatever the temperature of the gradient."""
    model = tiny()
    stage = JointStage(JointTraining(codes="gumbel", gumbel_temperature=5.0), model, 3)
    torch.manual_seed(1)
    words = stage._gumbel(torch.randn(1, 2, 2, 3, 4, 4)).detach().permute(0, 1, 4, 5, 2, 3)
    first, second = words.reshape(-1, 2, 2).unbind(1)
    books = [book.detach() for book in model.quantiser.codebooks]
    tops = books[0][0]
    for top, below in zip(first, second, strict=True):
        parent = int((tops - top).abs().sum(1).argmin())
        torch.testing.assert_close(tops[parent], top)
        children = books[1][parent]
        assert float((children - below).abs().sum(1).min()) < 1e-6


def test_what_is_inside():
    """Layers' changes add up to the frame; information and entropy are those of the logits."""
    model, clip = tiny(), clips(1, 3)
    panels = {panel.title: panel for panel in model.inspect(clip)}
    indices = model.indices(clip.frames)
    words = model.codewords(indices[:, -1:])
    below = model.frames_of(words[:, :, :1])
    change = (model.frames_of(words) - below).abs()[0, 0].mean(0)
    torch.testing.assert_close(panels["change by layer 2"].image[0], change.detach())
    logits = model.prior(model.symbols(indices), 2)
    nats = functional.cross_entropy(logits.movedim(3, 1), indices[:, 2:], reduction="none")
    information = panels["information of the last frame's codes, bits"]
    bits = nats[0, 0].sum(0).detach() / math.log(2)
    torch.testing.assert_close(information.image[0], bits)
    assert information.range == (0, pytest.approx(float(bits.max())))
    entropy = panels["entropy of the next frame's codes, bits"].image
    assert entropy.shape == (1, 4, 4)
    assert 0 < float(entropy.min()) <= float(entropy.max()) <= 2 * math.log2(3) + 1e-5
    assert any(title.startswith("paths: ") and " of 9 used" in title for title in panels)
    assert "information of the last frame's codes, bits" not in {
        panel.title for panel in model.inspect(clip.pick(slice(0, 1)))
    }


def test_pixels_are_their_own_codes():
    """Without an autoencoder, a pixel is the nearest path of gray levels."""
    config = SHRVQVAEConfig(pixels=True, width=1, layers=2, codewords=2)
    model = config.build()
    with torch.no_grad():
        model.quantiser.codebooks[0][0] = torch.tensor([[0.25], [0.75]])
        model.quantiser.codebooks[1][:] = torch.tensor([[-0.25], [0.25]])
    frames = torch.tensor([0.1, 0.4, 0.6, 0.9]).reshape(1, 1, 1, 2, 2)
    codes = model.encode(frames)
    assert [level.flatten().tolist() for level in codes.levels] == [[0, 0, 1, 1], [0, 1, 0, 1]]
    decoded = model.decode(codes).frames.flatten()
    torch.testing.assert_close(decoded, torch.tensor([0.0, 0.5, 0.5, 1.0]))
    assert codes.bits == 2 * 4
    with pytest.raises(ConfigError, match="set width to the channels"):
        SHRVQVAEConfig(pixels=True)


def test_refusals():
    """Wrong settings and foreign codes are a line each."""
    with pytest.raises(ConfigError, match="codewords at least 2"):
        SHRVQVAEConfig(codewords=1)
    with pytest.raises(ConfigError, match="temperature is above 0"):
        DrawOptions(temperature=0.0)
    with pytest.raises(ConfigError, match="top_k is at least 1"):
        DrawOptions(top_k=0)
    with pytest.raises(FramecastError, match="expects 1 channels, got 2"):
        tiny().log_prob(*clips(channels=2).split(3))
    with pytest.raises(FramecastError, match="context and future are of one size"):
        tiny().log_prob(clips(length=3), clips(length=2, size=8))
    with pytest.raises(ConfigError, match="window"):
        PriorTraining(window=(0, 3))
    codes = tiny(layers=1).encode(clips())
    with pytest.raises(FramecastError, match="decode with the model that encoded"):
        tiny().decode(codes)
    with pytest.raises(FramecastError, match="levels is from 1 to 2"):
        tiny().decode(tiny().encode(clips()), levels=3)
