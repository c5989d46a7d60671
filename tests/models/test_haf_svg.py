"""HAF-SVG and SVG-LP beside the paper's equations, their published sizes, and what is recalled."""

import dataclasses

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks

from framecast.clip import Clip
from framecast.errors import ConfigError, FramecastError
from framecast.models.haf_svg.aligner import Aligner, Recalled
from framecast.models.haf_svg.coders import CoderConfig, Decoder, Encoder
from framecast.models.haf_svg.latents import (
    Gaussian,
    GaussianLSTM,
    Hierarchy,
    LatentConfig,
    divergence,
)
from framecast.models.haf_svg.model import HAFSVG, HAFSVGConfig, HAFSVGOptions

CODER = CoderConfig(size=16, width=3, features=6)
LATENT = LatentConfig(size=4, hidden=5)


def build(coder: dict | None = None, latent: dict | None = None, **fields) -> HAFSVG:
    """A small model in double precision; no weight or gain is what it starts as."""
    torch.manual_seed(0)
    config = HAFSVGConfig(
        dataclasses.replace(CODER, **(coder or {})),
        dataclasses.replace(LATENT, **(latent or {})),
        hidden=5,
        **fields,
    )
    model = HAFSVG(config).double()
    for name, tensor in model.state_dict().items():
        if name.endswith(".variance"):
            tensor.uniform_(0.5, 1.5)
        else:
            nn.init.normal_(tensor, std=0.4)
    return model.eval()


def frames(length: int = 4, channels: int = 1, seed: int = 1, batch: int = 2) -> torch.Tensor:
    """Random clips in double precision."""
    generator = torch.Generator().manual_seed(seed)
    shape = (batch, length, channels, 16, 16)
    return torch.rand(shape, generator=generator, dtype=torch.float64)


# ---- latent variables, Eqs 2 to 4


def test_the_divergence_is_that_of_normal_distributions():
    """Against the closed form of torch, and against draws."""
    torch.manual_seed(0)
    q, p = (Gaussian(torch.randn(7, 3), torch.randn(7, 3)) for _ in range(2))
    theirs = [torch.distributions.Normal(g.mean, (g.log_variance / 2).exp()) for g in (q, p)]
    closed = torch.distributions.kl_divergence(*theirs).sum(-1)
    torch.testing.assert_close(divergence(q, p), closed)
    noise = torch.randn(100_000, 7, 3)
    draws = q.drawn(noise)
    estimate = (theirs[0].log_prob(draws) - theirs[1].log_prob(draws)).sum(-1).mean(0)
    torch.testing.assert_close(estimate, closed, rtol=0.05, atol=0.05)
    assert torch.equal(q.drawn(None), q.mean)


def test_a_group_sees_the_groups_before_it():
    """z of group j changes the distributions of the groups after it, and no other."""
    torch.manual_seed(0)
    hierarchy = Hierarchy(6, LatentConfig(size=6, groups=3, hidden=5)).double()
    x, z = torch.randn(2, 6).double(), torch.randn(2, 6).double()
    plain = hierarchy.given(x, z, hierarchy.initial(x))
    assert torch.equal(plain.z, z)
    for number in range(3):
        other = z.clone()
        other[:, 2 * number : 2 * number + 2] += 1
        groups = hierarchy.given(x, other, hierarchy.initial(x)).groups
        for later, (a, b) in enumerate(zip(groups, plain.groups, strict=True)):
            assert torch.equal(a.mean, b.mean) == (later <= number)
            assert torch.equal(a.log_variance, b.log_variance) == (later <= number)


def test_groups_are_drawn_one_after_the_other():
    """Each from its own LSTM, fed with what was drawn before it."""
    torch.manual_seed(0)
    hierarchy = Hierarchy(6, LatentConfig(size=4, groups=2, hidden=5)).double()
    x, noise = torch.randn(2, 6).double(), torch.randn(2, 4).double()
    found = hierarchy.drawn(x, hierarchy.initial(x), noise)
    state = (torch.zeros(2, 5).double(), torch.zeros(2, 5).double())
    parts: list[torch.Tensor] = []
    for number, lstm in enumerate(hierarchy.lstms):
        hidden, _ = lstm.cell(lstm.embed(torch.cat([x, *parts], 1)), state)
        mean, variance = lstm.mean(hidden), lstm.log_variance(hidden).exp()
        parts.append(mean + variance.sqrt() * noise[:, 2 * number : 2 * number + 2])
    torch.testing.assert_close(found.z, torch.cat(parts, 1))
    again = hierarchy.given(x, found.z, hierarchy.initial(x))
    for a, b in zip(again.groups, found.groups, strict=True):
        torch.testing.assert_close(a.mean, b.mean)


def test_sizes_of_groups():
    """Divided among the groups, or of each; one group has the sizes of SVG's network."""
    assert (LatentConfig(16, 4).group, LatentConfig(16, 4).total) == (4, 16)
    each = LatentConfig(16, 4, per="group")
    assert (each.group, each.total) == (16, 64)
    with pytest.raises(ConfigError, match="cannot be shared by 3 groups"):
        LatentConfig(16, 3)
    assert count(Hierarchy(128, LatentConfig(16, 1))) == 567_584
    assert [lstm.embed.in_features for lstm in Hierarchy(6, LatentConfig(6, 3)).lstms] == [6, 8, 10]


def test_the_prior_sees_nothing_of_its_frame():
    """Given z, the posterior of t depends on x_t, and the prior of t on x_{t−1} alone."""
    model = build(latent={"groups": 2})
    torch.manual_seed(1)
    before, now, other = torch.randn(3, 2, 6).double()
    first = model.observe(before, now, model.initial(before), None)
    second = model.observe(before, other, model.initial(before), None)
    cells = [
        [state for pair in getattr(moment.states, name) for state in pair]
        for moment in (first, second)
        for name in ("prior", "posterior")
    ]
    # the prior's first group has no z before it
    assert torch.equal(cells[0][0], cells[2][0])
    assert not torch.equal(cells[0][2], cells[2][2])
    assert not torch.equal(cells[1][0], cells[3][0])
    z = torch.randn(2, 4).double()
    priors = [model.prior.given(before, z, model.initial(before).prior) for _ in range(2)]
    assert torch.equal(priors[0].groups[1].mean, priors[1].groups[1].mean)


# ---- aligner, Eq 5


def by_formula(aligner: Aligner, x, features) -> tuple[torch.Tensor, torch.Tensor]:
    """[F_t^d; F_k^e; Z_t] and the whole attention map, position by position."""
    flat, height = [t.flatten(2) for t in (x, features)], x.shape[2]
    weights = [layer.weight[:, :, 0, 0] for layer in (aligner.query, aligner.key, aligner.value)]
    query, key = weights[0] @ flat[0], weights[1] @ flat[1]
    value = weights[2] @ flat[1 if aligner.value_from == "encoder" else 0]
    scores = query.transpose(1, 2) @ key * aligner.scale
    shares = scores.exp() / scores.exp().sum(2, keepdim=True)
    aligned = value @ shares.transpose(1, 2)
    return torch.cat([*flat, aligned], 1).unflatten(2, (height, -1)), shares


@pytest.mark.parametrize("scaled", [False, True])
@pytest.mark.parametrize("value_from", ["encoder", "decoder"])
def test_the_aligner_is_eq_5(value_from, scaled):
    """Two samples of three frames; maps that are not square show that axes are not swapped."""
    torch.manual_seed(0)
    aligner = Aligner(4, value_from, scaled=scaled).double()
    assert aligner.scale == (0.5 if scaled else 1.0)
    x, features = torch.randn(6, 4, 3, 5).double(), torch.randn(3, 4, 3, 5).double()
    recalled = aligner.recall(features)
    expected, shares = by_formula(aligner, x, features.repeat(2, 1, 1, 1))
    found = aligner(x, recalled)
    assert found.shape == (6, 12, 3, 5)
    torch.testing.assert_close(found, expected)
    places = torch.tensor([[0, 0], [2, 1], [1, 4]])
    maps = aligner.attention(x[:3], recalled, places)
    for number, (row, column) in enumerate(places.tolist()):
        own = shares[:3, row * 5 + column].unflatten(1, (3, 5))
        torch.testing.assert_close(maps[:, number], own)


@pytest.mark.parametrize("samples", [1, 2])
@pytest.mark.parametrize("value_from", ["encoder", "decoder"])
def test_the_attention_map_is_not_kept(value_from, samples):
    """For the backward pass nothing is held that has an entry for each pair of positions."""
    sizes: list[int] = []

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        sizes.append(tensor.numel())
        return tensor

    aligner = Aligner(4, value_from, scaled=False)
    x = torch.randn(samples, 4, 24, 24, requires_grad=True)
    features = torch.randn(1, 4, 24, 24)
    with saved_tensors_hooks(keep, lambda tensor: tensor):
        aligner(x, aligner.recall(features)).sum().backward()
    assert 4 * 24**2 <= max(sizes) < 24**4 / 8
    assert x.grad is not None


def test_a_model_shows_where_it_looks():
    """Maps of the chosen positions, at an aligned level; none without aligners."""
    model, context = build({"aligned": (8, 4)}), frames(3)
    for height in (8, 4):
        found = model.attention(Clip(context), height, torch.tensor([[0, 1], [3, 2]]))
        assert found.shape == (2, 2, height, height)
        torch.testing.assert_close(found.sum((2, 3)), torch.ones(2, 2).double())
    panels = model.inspect(Clip(context[:1]))
    assert [panel.image.shape[-1] for panel in panels[:4]] == [16, 16, 8, 4]
    predicted = model.predict(context[:1], 1).unclipped[0, 0, 0]
    torch.testing.assert_close(panels[1].image, predicted)
    with pytest.raises(FramecastError, match="no map of height 16 is aligned"):
        model.attention(Clip(context), 16, torch.tensor([[0, 0]]))
    with pytest.raises(FramecastError, match="one clip"):
        model.inspect(Clip(context))


# ---- coders


def count(module: nn.Module) -> int:
    """Number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_sizes():
    """Decoders of 64×64; the aligners' projections are 1,044,480 beside them."""
    plain, aligned = CoderConfig(), CoderConfig(aligned=(32, 16, 8, 4))
    with torch.device("meta"):
        svg, haf = Decoder(plain), Decoder(aligned)
        projections = sum(count(join) for join in haf.joins)
        assert count(svg) == 6_558_529
        assert projections == 1_044_480
        assert count(haf) - projections == 9_312_065


@pytest.mark.parametrize(("size", "levels"), [(64, 4), (128, 5)])
@pytest.mark.parametrize("kind", ["dcgan", "vgg"])
def test_maps_of_the_coders(kind, size, levels):
    """Heights and channels from level to level, and the convolutions of VGG16's blocks."""
    config = CoderConfig(kind=kind, size=size, width=2, features=6, channels=3)
    encoder, decoder = Encoder(config).eval(), Decoder(config).eval()
    encoded = encoder(torch.rand(2, 3, size, size))
    widths, first = (2, 4, 8, 16, 16)[:levels], size // 2 if kind == "dcgan" else size
    expected = [(2, width, first >> n, first >> n) for n, width in enumerate(widths)]
    assert [tuple(each.shape) for each in encoded.maps] == expected
    assert encoded.features.shape == (2, 6)
    assert encoded.features.abs().max() <= 1
    decoded = decoder(encoded.features, decoder.recall(encoded.maps))
    assert decoded.shape == (2, 3, size, size)
    assert 0 <= decoded.min() <= decoded.max() <= 1
    counts = [sum(isinstance(m, nn.Conv2d) for m in level.modules()) for level in encoder.levels]
    assert counts == ([1] * levels if kind == "dcgan" else [2, 2, 3, 3, 3][:levels])


def test_refused_sizes():
    """One line that says what is taken."""
    with pytest.raises(ConfigError, match="size is one of"):
        CoderConfig(size=48)
    with pytest.raises(ConfigError, match="64, 32, 16, 8 for vgg at 64"):
        CoderConfig(kind="vgg", aligned=(4,))
    with pytest.raises(ConfigError, match="once each"):
        CoderConfig(aligned=(4, 4))


# ---- rollout


def by_hand(model: HAFSVG, context: torch.Tensor, horizon: int, skip: int) -> torch.Tensor:
    """The point prediction of one group, step by step, with the maps of the frame number `skip`."""
    (q,), (p,) = model.posterior.lstms, model.prior.lstms
    assert isinstance(q, GaussianLSTM)
    assert isinstance(p, GaussianLSTM)
    zero = (torch.zeros(2, 5).double(), torch.zeros(2, 5).double())
    q_state, p_state, states = zero, zero, [zero, zero]
    encoded = [model.encoder(frame) for frame in context.unbind(1)]
    recalled = model.decoder.recall(encoded[skip].maps)
    h, predicted = encoded[0].features, []
    for time in range(1, context.shape[1] + horizon):
        p_state = p.cell(p.embed(h), p_state)
        if time < len(encoded):
            q_state = q.cell(q.embed(encoded[time].features), q_state)
            z = q.mean(q_state[0])
        else:
            z = p.mean(p_state[0])
        x = model.predictor.embed(torch.cat([h, z], 1))
        for number, cell in enumerate(model.predictor.cells):
            states[number] = cell(x, states[number])
            x = states[number][0]
        if time < len(encoded):
            h = encoded[time].features
            continue
        vector = torch.tanh(model.predictor.output[0](x))
        predicted.append(model.decoder(vector, recalled))
        h = model.encoder(predicted[-1]).features
    return torch.stack(predicted, 1)


@pytest.mark.parametrize("aligned", [(), (8, 4)])
@pytest.mark.parametrize("reference", [False, True])
@torch.no_grad()
def test_the_rollout_recalls_the_last_observed_frame(reference, aligned):
    """For ever; under `reference_skip` the one before, and with one frame the only one."""
    model = build({"aligned": aligned}, reference_skip=reference)
    for length in (1, 2, 4):
        context = frames(length)
        skip = max(length - 2, 0) if reference else length - 1
        expected = by_hand(model, context, 3, skip)
        found = model.predict(context, 3).unclipped[0]
        torch.testing.assert_close(found, expected)
        if length > 1:
            other = by_hand(model, context, 3, 2 * length - 3 - skip)
            assert not torch.allclose(found, other)


@pytest.mark.parametrize("reference", [False, True])
@torch.no_grad()
def test_training_recalls_the_frame_before_and_then_the_last_observed(reference):
    """x_{t−1} in the context; after it the last observed frame, or the one before."""
    model, clip, context = build(reference_skip=reference), frames(6), 3
    encoded = [model.encoder(frame) for frame in clip.unbind(1)]
    states, noise = model.initial(encoded[0].features), torch.randn(2, 5, 4).double()
    unrolled = model.unroll(clip, context, noise)
    recalls = [0, 1, 1, 1, 1] if reference else [0, 1, 2, 2, 2]
    for time, skip in enumerate(recalls):
        before, now = encoded[time].features, encoded[time + 1].features
        moment = model.observe(before, now, states, noise[:, time])
        states = moment.states
        expected = model.decoder(moment.vector, model.decoder.recall(encoded[skip].maps))
        torch.testing.assert_close(unrolled.frames[:, time], expected)
        torch.testing.assert_close(unrolled.divergence[:, time], moment.divergence)


def test_samples_differ_and_can_be_repeated():
    """Other samples or seeds, other futures; the point prediction is none of them."""
    model, context = build({"aligned": (8,)}, {"groups": 2}), frames(3)
    first, again = (model.predict(context, 2, samples=3, seed=4).unclipped for _ in range(2))
    assert torch.equal(first, again)
    for a, b in ((0, 1), (0, 2), (1, 2)):
        assert not torch.allclose(first[a], first[b])
    assert not torch.allclose(first, model.predict(context, 2, samples=3, seed=5).unclipped)
    assert not torch.allclose(first[0], model.predict(context, 2).unclipped[0])


def test_the_prior_draws_in_the_future():
    """Anew for every frame: after one observed frame there is no other noise."""
    model, context = build(), frames(1)
    drawn: list[torch.Tensor] = []
    model.predictor.register_forward_hook(lambda _, args, out: drawn.append(args[1]))
    several = model.predict(context, 3, samples=2).unclipped
    assert len(drawn) == 3
    assert not torch.allclose(drawn[0], drawn[1])
    assert not torch.allclose(several[0, :, 0], several[1, :, 0])
    (p,) = model.prior.lstms
    nn.init.zeros_(p.log_variance.weight)
    nn.init.constant_(p.log_variance.bias, -200.0)
    sure = model.predict(context, 3, samples=2).unclipped
    torch.testing.assert_close(sure[0], sure[1])
    torch.testing.assert_close(sure[:1], model.predict(context, 3).unclipped)


def test_the_posterior_draws_in_the_context():
    """Where the prior is sure, samples differ by what was drawn of the observed frames."""
    model = build()
    (p,) = model.prior.lstms
    nn.init.zeros_(p.log_variance.weight)
    nn.init.constant_(p.log_variance.bias, -200.0)
    one, several = (model.predict(frames(n), 1, samples=2).unclipped for n in (1, 3))
    assert torch.allclose(one[0], one[1])
    assert not torch.allclose(several[0], several[1])


def test_the_context_is_encoded_once_for_all_samples():
    """Then a frame of each sample is encoded for each further one that is predicted."""
    model, rows = build(), list[int]()
    model.encoder.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    model.predict(frames(3), 4, samples=5)
    assert rows == [2, 2, 2, 10, 10, 10]


def test_keys_are_made_once():
    """They do not change while frames are predicted, and samples share them."""
    model, rows = build({"aligned": (8, 4)}), list[int]()
    for join in model.decoder.joins:
        assert isinstance(join, Aligner)
        join.key.register_forward_hook(lambda _, args, out: rows.append(len(args[0])))
    model.predict(frames(3), 4, samples=5)
    assert rows == [2, 2]


@torch.no_grad()
def test_zeroed_groups_are_zero_in_the_future():
    """Neither their noise nor their weights matter then; the context keeps its posterior."""
    model, context = build(latent={"groups": 2}), frames(3)
    whole = model.predict(context, 3, samples=2).unclipped
    for number in (1, 2):
        options = HAFSVGOptions(zeroed=(number,))
        zeroed = model.predict(context, 3, samples=2, options=options).unclipped
        assert not torch.allclose(zeroed, whole)
        drawn = model.prior.drawn(
            torch.ones(2, 6).double(),
            model.initial(torch.ones(2, 6).double()).prior,
            torch.ones(2, 4).double(),
            (number,),
        )
        mine = slice(2 * number - 2, 2 * number)
        assert (drawn.z[:, mine] == 0).all()
        assert (drawn.z != 0).sum() == 4
    both = HAFSVGOptions(zeroed=(1, 2))
    alone = model.predict(context[:, :1], 3, samples=2, options=both).unclipped
    assert torch.allclose(alone[0], alone[1])
    seen = model.predict(context, 3, samples=2, options=both).unclipped
    assert not torch.allclose(seen[0], seen[1])
    for wrong in (0, 3):
        with pytest.raises(FramecastError, match="groups from 1 to 2"):
            model.predict(context, 1, options=HAFSVGOptions(zeroed=(wrong,)))


def test_picked_rows():
    """Of all that was recalled; what is not there stays away."""
    features, key = torch.rand(3, 2, 4, 4), torch.rand(3, 2, 4, 4)
    found = Recalled(features, key).pick(torch.tensor([2, 0, 2, 2]))
    assert torch.equal(found.features, features[[2, 0, 2, 2]])
    assert found.key is not None
    assert torch.equal(found.key, key[[2, 0, 2, 2]])
    assert found.value is None
