"""How Video VQ-VAE's autoencoder learns: loss, gradients, masking, and its codebooks."""

import pytest
import torch
from tiny_video_vqvae import clips, levels, tiny
from torch import Tensor, nn

from framecast.clip import Clip
from framecast.errors import ConfigError, FramecastError
from framecast.model import evaluating
from framecast.models.video_vqvae.model import VideoVQVAE
from framecast.models.video_vqvae.stages import AutoencoderStage, AutoencoderTraining
from framecast.stage import Reducer
from layers.processes import Alone, Rank, together
from models.fitting import fit

NAMES = ("top", "bottom")


def stage_of(model: VideoVQVAE | None = None, **fields) -> AutoencoderStage:
    """In training mode."""
    return AutoencoderStage(AutoencoderTraining(**fields), model or tiny(), 4).train()


def latents(model: VideoVQVAE, frames: Tensor) -> dict[str, Tensor]:
    """What is quantised, `b d t h w`, by the networks' parts."""
    network = model.autoencoder
    features = network.first(frames.transpose(1, 2))
    above = network.second(features)
    return {"top": network.top.project(above), "bottom": network.bottom.project(features)}


def words(model: VideoVQVAE, frames: Tensor) -> dict[str, Tensor]:
    """Nearest codewords by comparison with every one of them, `b d t h w`."""
    found = {}
    for name, z in latents(model, frames).items():
        book = levels(model)[name].codebook.codebooks[0][0]
        distances = (z.movedim(1, -1).unsqueeze(-2) - book).square().sum(-1)
        found[name] = book[distances.argmin(-1)].movedim(-1, 1)
    return found


def decoded(model: VideoVQVAE, top: Tensor, bottom: Tensor) -> Tensor:
    network = model.autoencoder
    return network.decoder(torch.cat([network.upsample(top), bottom], 1)).transpose(1, 2)


# ---- loss and gradients


def test_the_loss_is_equation_2() -> None:
    """Reconstruction, and the commitment of both levels; the codebook term is Eq 3's business."""
    model, clip = tiny(), clips()
    losses = stage_of(model, mask=0.0, beta=0.3)("main", clip, 0)
    z, e = latents(model, clip.frames), words(model, clip.frames)
    mse = (decoded(model, e["top"], e["bottom"]) - clip.frames).square().mean()
    commitment = sum((z[name] - e[name]).square().mean() for name in NAMES)
    torch.testing.assert_close(losses["mse"], mse)
    torch.testing.assert_close(losses["codes"], 0.3 * commitment)
    torch.testing.assert_close(losses["total"], mse + 0.3 * commitment)


def test_gradients_go_straight_through() -> None:
    """The gradient at the latent vectors is the decoder's at the codewords, and β's share."""
    model, clip = tiny(), clips()
    z = {name: value.detach() for name, value in latents(model, clip.frames).items()}
    e = {name: value.detach().requires_grad_() for name, value in words(model, clip.frames).items()}
    (decoded(model, e["top"], e["bottom"]) - clip.frames).square().mean().backward()
    reached: dict[str, Tensor] = {}
    for name, level in levels(model).items():
        level.project.register_full_backward_hook(
            lambda module, inputs, outputs, name=name: reached.update({name: outputs[0]})
        )
    stage_of(model, mask=0.0, beta=0.3)("main", clip, 0)["total"].backward()
    for name in NAMES:
        grad = e[name].grad
        assert grad is not None
        assert grad.abs().max() > 0
        expected = grad + 0.3 * 2 * (z[name] - e[name].detach()) / z[name].numel()
        torch.testing.assert_close(reached[name], expected)


def test_what_has_gradients() -> None:
    """All of the encoders and the decoder; no codebook, and none of the priors."""
    model = tiny()
    stage = stage_of(model, mask=0.0)
    trained = {id(p) for p in stage.parameters_of("main")}
    for parameter in stage.parameters():
        parameter.requires_grad_(id(parameter) in trained)
    stage("main", clips(), 0)["total"].backward()
    still = {name for name, p in model.named_parameters() if p.grad is None}
    books = {f"autoencoder.{name}.codebook.codebooks.0" for name in NAMES}
    priors = {name for name, _ in model.named_parameters() if not name.startswith("autoencoder.")}
    assert priors
    assert still == books | priors
    assert all(p.grad.abs().sum() > 0 for p in model.parameters() if p.grad is not None)
    assert not model.top.training
    assert not model.bottom.training
    assert not levels(model)["top"].codebook.training
    assert model.autoencoder.first.training


# ---- masking (§3.1)


def seen_by_decoder(stage: AutoencoderStage, clip: Clip, seed: int) -> Tensor:
    """The bottom's part of what the decoder gets, `b d t h w`."""
    got: list[Tensor] = []
    decoder = stage.model.autoencoder.decoder
    handle = decoder.register_forward_pre_hook(lambda module, inputs: got.append(inputs[0]))
    torch.manual_seed(seed)
    stage("main", clip, 0)
    handle.remove()
    return got[0][:, stage.model.config.width :].detach()


@pytest.mark.parametrize("mask", [0.25, 0.6])
def test_the_bottom_is_masked_by_chance_and_whole_clips_at_a_time(mask: float) -> None:
    """The others get all of it, in the same batch."""
    model, clip = tiny(), clips(8, 4, 8)
    stage = stage_of(model, mask=mask)
    whole = words(model, clip.frames)["bottom"].detach()
    masked = []
    for seed in range(60):
        got = seen_by_decoder(stage, clip, seed)
        zero = (got == 0).flatten(1).all(1)
        assert torch.equal(got[~zero], whole[~zero])
        masked.append(zero)
    share = torch.stack(masked).double()
    deviation = (mask * (1 - mask) / share.numel()) ** 0.5
    assert abs(float(share.mean()) - mask) < 4 * deviation
    assert ((share.sum(1) > 0) & (share.sum(1) < 8)).any()
    assert share.mean(0).min() > 0  # every place in a batch
    assert share.mean(0).max() < 1


def test_masked_clips_are_rendered_from_the_top_and_leave_the_bottom_alone() -> None:
    """Nothing of the reconstruction reaches the bottom level."""
    model, clip = tiny(), clips(1)
    stage = stage_of(model, mask=0.999, beta=0.0)
    torch.manual_seed(0)
    losses = stage("main", clip, 0)
    top_alone = model.render(model.tokenize(clip.frames)[:1])
    torch.testing.assert_close(losses["mse"], (top_alone - clip.frames).square().mean())
    losses["total"].backward()
    assert not levels(model)["bottom"].project.weight.grad.any()
    assert levels(model)["top"].project.weight.grad.any()


def test_nothing_is_masked_in_evaluation() -> None:
    """Neither in the stage's forward nor in its validation."""
    model, clip = tiny(), clips()
    codes = model.encode(clip)
    both, top = model.render(codes.levels), model.render(codes.levels[:1])
    stage = stage_of(model, mask=0.999)
    with evaluating(stage):
        plain = stage("main", clip, 0)["mse"]
        values = stage.validate(clip)
    torch.testing.assert_close(plain, (both - clip.frames).square().mean())
    errors = [(x.clamp(0, 1) - clip.frames).square().sum((2, 3, 4)).mean() for x in (both, top)]
    torch.testing.assert_close(
        [values["score"], values["mse"], values["mse top"]], [errors[0], *errors]
    )
    assert abs(errors[0] - errors[1]) > 1e-3
    got = model.decode(model.encode(clip)).frames
    torch.testing.assert_close(got, both.clamp(0, 1))


def test_evaluation_leaves_no_trace_in_the_codebooks() -> None:
    """What is seen there is not learnt from."""
    stage = stage_of(mask=0.0)
    stage("main", clips(), 1)
    with evaluating(stage):
        stage("main", clips(seed=8), 1)
        stage.validate(clips(seed=9))
    other = stage_of(mask=0.0)
    other("main", clips(), 1)
    for each in (stage, other):
        each.after_step(1, Alone())
    for (name, value), expected in zip(
        stage.state_dict().items(), other.state_dict().values(), strict=True
    ):
        assert torch.equal(value, expected), name


# ---- codebooks (Eq 3)


class Average:
    """Eq 3 for one codebook, codeword by codeword."""

    def __init__(self, codebook: Tensor, decay: float) -> None:
        self.decay = decay
        self.weights = [1.0] * len(codebook)
        self.sums = [word.clone() for word in codebook]

    def update(self, vectors: Tensor) -> None:
        mine = [[] for _ in self.sums]
        for vector in vectors:
            distances = [float((vector - word).square().sum()) for word in self.codebook]
            mine[distances.index(min(distances))].append(vector)
        g = self.decay
        self.weights = [g * n + (1 - g) * len(m) for n, m in zip(self.weights, mine, strict=True)]
        zero = torch.zeros_like(self.sums[0])
        self.sums = [g * s + (1 - g) * sum(m, zero) for s, m in zip(self.sums, mine, strict=True)]

    @property
    def codebook(self) -> Tensor:
        total, count = sum(self.weights), len(self.weights)
        smooth = [(n + 1e-5) / (total + count * 1e-5) * total for n in self.weights]
        return torch.stack([m / n for m, n in zip(self.sums, smooth, strict=True)])


def rows(volume: Tensor) -> Tensor:
    """The vectors of `b d t h w`."""
    return volume.detach().movedim(1, -1).flatten(0, -2)


def book(stage: AutoencoderStage, name: str) -> Tensor:
    return levels(stage.model)[name].codebook.codebooks[0][0].detach().clone()


STEPS = [clips(4, 4, 8, seed=seed) for seed in range(1, 5)]


def learn(
    stage: AutoencoderStage, reducer: Reducer, parts: list[list[Clip]]
) -> list[dict[str, Tensor]]:
    """Both codebooks after each step; the clips of a step are its micro-batches."""
    found = []
    for step, micros in enumerate(parts, 1):
        for micro in micros:
            stage("main", micro, step)
        stage.after_step(step, reducer)
        found.append({name: book(stage, name) for name in NAMES})
    return found


def by_hand() -> list[dict[str, Tensor]]:
    model = tiny()
    averages = {
        name: Average(level.codebook.codebooks[0][0].detach(), 0.8)
        for name, level in levels(model).items()
    }
    found = []
    for clip in STEPS:
        for name, z in latents(model, clip.frames).items():
            averages[name].update(rows(z))
        found.append({name: average.codebook for name, average in averages.items()})
    return found


@pytest.mark.parametrize("micros", [1, 2, 4])
def test_codebooks_are_the_averages_of_equation_3(micros: int) -> None:
    """Step by step, however a step is split into micro-batches; masking plays no part."""
    parts = [[Clip(part) for part in clip.frames.chunk(micros)] for clip in STEPS]
    found = learn(stage_of(decay=0.8, restart_every=0), Alone(), parts)
    torch.testing.assert_close(found, by_hand())
    assert not torch.allclose(found[0]["top"], found[-1]["top"])


def test_processes_add_up_what_they_saw() -> None:
    """Two of them, with unequal shares, end where one does."""
    stages = [stage_of(decay=0.8, restart_every=0) for _ in range(2)]

    def work(rank: Rank) -> list[dict[str, Tensor]]:
        share = slice(1, None) if rank.global_rank else slice(1)
        return learn(stages[rank.global_rank], rank, [[Clip(clip.frames[share])] for clip in STEPS])

    expected = by_hand()
    for found in together(work, 2):
        torch.testing.assert_close(found, expected)


def test_codebooks_come_from_the_first_step() -> None:
    """However far off they were, each codeword is near what was quantised, and all are in use."""
    model = tiny()
    for level in levels(model).values():
        nn.init.constant_(level.codebook.codebooks[0], 9.0)
        level.codebook.drawn = True
    stage = stage_of(model)
    stage("main", clips(8), 0)
    stage.after_step(0, Alone())
    z = latents(stage.model, clips(8).frames)
    for name in NAMES:
        vectors = rows(z[name])
        distances = torch.cdist(book(stage, name), vectors)
        assert len(distances.argmin(0).unique()) == 5
        error = distances.min(0).values.square().mean()
        assert error < 0.7 * (vectors - vectors.mean(0)).square().sum(1).mean()
    expected = {name: Average(book(stage, name), 0.99) for name in NAMES}
    losses = stage("main", clips(8), 1)
    stage.after_step(1, Alone())
    after = stage("main", clips(8), 2)
    for name in NAMES:  # the averages begin with the new codewords
        expected[name].update(rows(z[name]))
        torch.testing.assert_close(book(stage, name), expected[name].codebook)
    for name in NAMES:
        assert float(losses[f"used {name}"]) == 0  # nothing is counted before the codebooks stand
        assert float(after[f"used {name}"]) == 1
        assert 1 < float(after[f"perplexity {name}"]) <= 5.001


def test_dead_codewords_of_both_levels_are_replaced() -> None:
    """In the steps that are a multiple of `restart_every` alone, and by latent vectors."""
    model = tiny()
    for level in levels(model).values():
        with torch.no_grad():
            level.codebook.codebooks[0][0, 2] = 1e5
    stage = stage_of(model, restart_every=3, decay=0.5)
    for step in (1, 2, 3, 4):
        before = {name: book(stage, name) for name in NAMES}
        stage("main", clips(8), step)
        stage.after_step(step, Alone())
        z = latents(stage.model, clips(8).frames)
        for name in NAMES:
            now = book(stage, name)
            near = now[2].abs().max() < 2 * z[name].abs().max()
            assert bool(near) == (step >= 3)  # and stays there
            if step == 3:
                assert torch.cdist(now[2:3], rows(z[name])).min() < 1e-3
            assert not torch.equal(before[name][0], now[0])


def test_averages_are_kept_with_checkpoints() -> None:
    """Counts, weights and sums of both levels; a stage that goes on from them goes on alike."""
    stage, other = stage_of(), stage_of(tiny(seed=4))
    for step in (0, 1):
        stage("main", clips(seed=step), step)
        stage.after_step(step, Alone())
    own = {name for name in stage.state_dict() if not name.startswith("model.")}
    tensors = ("drawn", "usage.counts", "average.weights", "average.sums")
    assert own == {f"{name}.{tensor}" for name in NAMES for tensor in tensors}
    other.load_state_dict(stage.state_dict())
    for each in (stage, other):
        each("main", clips(seed=7), 2)
        each.after_step(2, Alone())
    for name in NAMES:
        assert torch.equal(book(stage, name), book(other, name))


@pytest.mark.slow
def test_it_learns_and_masking_teaches_the_top() -> None:
    """Squares that move come back; from the top level alone they do where it was masked for."""
    squares = moving_squares(8)
    spread = float((squares.frames - squares.frames.mean()).square().sum((2, 3, 4)).mean())
    both, top = trained_on(squares, mask=0.5)
    assert both < 0.6 * spread
    assert top < 0.8 * spread
    both, top = trained_on(squares, mask=0.0)
    assert both < 0.6 * spread
    assert top > 0.95 * spread


def trained_on(clip: Clip, mask: float) -> tuple[float, float]:
    """Squared error per frame from both levels and from the top alone."""
    stage = stage_of(tiny(seed=1, codewords=8), mask=mask, restart_every=20)
    torch.manual_seed(0)
    fit(stage, clip, steps=120, rate=1e-2)
    with torch.no_grad(), evaluating(stage):
        values = stage.validate(clip)
    return float(values["mse"]), float(values["mse top"])


def moving_squares(count: int) -> Clip:
    """Of 3×3 pixels, each clip on its own way."""
    frames = torch.zeros(count, 4, 1, 8, 8)
    for number in range(count):
        for t in range(4):
            row, column = (3 * number + t) % 6, (5 * number + 2 * t) % 6
            frames[number, t, 0, row : row + 3, column : column + 3] = 1
    return Clip(frames)


# ---- refusals


@pytest.mark.parametrize(
    "wrong",
    [{"beta": -0.1}, {"mask": -0.1}, {"mask": 1.0}],
)
def test_what_cannot_be_trained_with(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        AutoencoderTraining(**wrong)


@pytest.mark.parametrize(
    "wrong",
    [{"restart_every": -1}, {"restart_below": 1.0}, {"restart_below": -0.1}, {"decay": 1.0}],
)
def test_codebooks_that_cannot_be_kept_up(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigError):
        stage_of(**wrong)


def test_clips_of_another_length_are_one_line() -> None:
    with pytest.raises(FramecastError, match="clips of 10 frames cannot be coded"):
        stage_of()("main", clips(1, 10), 0)
