"""SimVP: beside sums over single numbers, lengths, what is published of it, and that it learns."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from framecast import registry
from framecast.clip import Clip
from framecast.errors import ConfigError
from framecast.layers.batch_norm import BatchNorm
from framecast.models.simvp import Added, SimVP, SimVPConfig, Training, TrainingConfig
from framecast.stage import OptimizerConfig
from layers.processes import Alone
from models.fitting import fit
from models.naive_simvp import Naive

SMALL = SimVPConfig(
    context=3,
    future=3,
    hidden=4,
    halvings=1,
    wide=8,
    blocks=3,
    expansion=2,
    reach=(3, 5, 2),
    inception=(1, 3),
    groups=2,
)


def build(**fields) -> SimVP:
    """A small model, every weight and statistic of which matters."""
    torch.manual_seed(0)
    model = SimVP(replace(SMALL, **fields)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
    for module in model.modules():
        if isinstance(module, BatchNorm):
            module.mean.normal_(std=0.3)
            module.variance.uniform_(0.5, 2)
    return model


def frames(length: int, channels: int = 1, batch: int = 2, size: int = 8) -> torch.Tensor:
    source = torch.Generator().manual_seed(1)
    return torch.rand(batch, length, channels, size, size, generator=source)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"halvings": 2, "channels": 3, "kernel": 5},
        {"future": 2},
        {"future": 5, "wide": 12, "blocks": 2},
        {"blocks": 1},
        {"translator": "inception"},
        {"translator": "inception", "future": 2, "halvings": 2},
        {"translator": "inception", "future": 5, "groups": 4, "blocks": 2, "inception": (5, 1, 3)},
        {"translator": "inception", "blocks": 1},
    ],
    ids=str,
)
def test_a_block_is_what_sums_over_single_numbers_give(fields) -> None:
    model = build(**fields).double()
    clip = frames(3, model.config.channels).double()
    with torch.no_grad():
        found = model.block(clip)
    naive = Naive(model)
    for row, one in zip(found, clip, strict=True):
        expected = torch.from_numpy(naive.block(one.numpy()))
        assert expected.std() > 0.1
        torch.testing.assert_close(row, expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize(("context", "future"), [(3, 3), (4, 2), (2, 5)])
@pytest.mark.parametrize("horizon", [1, 2, 3, 7, 12])
def test_longer_horizons_go_on_from_the_last_frames(context, future, horizon) -> None:
    """Of the context and of what was predicted, unclipped; shorter ones are cut."""
    model, seen = build(context=context, future=future), frames(context + 2)
    film = seen
    while film.shape[1] < seen.shape[1] + horizon:
        with torch.no_grad():
            film = torch.cat([film, model.block(film[:, -context:])], 1)
    expected = film[:, seen.shape[1] : seen.shape[1] + horizon]
    found = model.predict(seen, horizon).unclipped[0]
    assert not torch.equal(found, found.clamp(0, 1))
    torch.testing.assert_close(found, expected)


def test_a_first_frame_is_repeated_before_short_beginnings() -> None:
    """Where teacher forcing has fewer frames than a block is predicted from."""
    model, clip = build(), frames(5)
    found = model.teacher_forced(Clip(clip))
    for number, seen in enumerate([(0, 0, 0), (0, 0, 1), (0, 1, 2), (1, 2, 3)]):
        torch.testing.assert_close(found[:, number], model.block(clip[:, seen])[:, 0])


def stage(model: SimVP, context: int = 3, **fields) -> Training:
    trained = TrainingConfig(**fields).build(model, context)
    assert isinstance(trained, Training)
    return trained


@pytest.mark.parametrize("horizon", [2, 3, 7])
def test_the_loss_is_the_squared_error_of_the_whole_horizon(horizon) -> None:
    """Through own frames beyond a block, with gradients; frames of any size, the last context."""
    model = build(halvings=2)
    clip = frames(5 + horizon, size=9)
    trained = stage(model, context=5).eval()
    loss = trained("main", Clip(clip), 0)["total"]
    predicted = model.predict(clip[:, :5], horizon).unclipped[0]
    torch.testing.assert_close(loss, functional.mse_loss(predicted, clip[:, 5:]))
    loss.backward()
    assert all(p.grad is not None for p in model.parameters())


def test_what_is_gone_on_from_has_gradients() -> None:
    """The loss of the second block alone depends on the weights by way of the first one, too."""
    model = build().double()
    seen = frames(3).double()

    def second(first: torch.Tensor) -> torch.Tensor:
        return torch.autograd.grad(model.block(first).sum(), model.decoder.output.bias)[0]

    *_, last = model.blocks(seen, 6)
    whole = torch.autograd.grad(last.sum(), model.decoder.output.bias)[0]
    assert not torch.allclose(whole, second(model.block(seen).detach()))


def test_lengths_that_do_not_fit_a_block_are_refused() -> None:
    """A longer context and a longer horizon than a block's do."""
    training = TrainingConfig()
    training.check(SMALL, 4, 5)
    with pytest.raises(ConfigError, match="predicts from 3 frames, and the experiment's context"):
        training.check(SMALL, 2, 3)
    with pytest.raises(ConfigError, match=r"leaves the others untrained; set --model\.future 2"):
        training.check(SMALL, 3, 2)


def test_running_statistics_move_after_a_step() -> None:
    """And not in the forward pass."""
    trained = stage(build()).train()
    norms = [m for m in trained.modules() if isinstance(m, BatchNorm)]
    assert len(norms) == 2 * SMALL.blocks
    before = [norm.mean.clone() for norm in norms]
    trained("main", Clip(frames(6)), 0)
    assert all(torch.equal(norm.mean, old) for norm, old in zip(norms, before, strict=True))
    trained.after_step(0, Alone())
    assert not any(torch.equal(norm.mean, old) for norm, old in zip(norms, before, strict=True))


@pytest.mark.parametrize("translator", ["gsta", "inception"])
def test_recomputed_layers_give_equal_gradients_and_statistics(translator) -> None:
    """And keep far less for the backward pass; chance falls the same way again."""
    drop = (0.5, 0.5) if translator == "gsta" else (0.0, 0.0)
    results = []
    for recompute in (False, True):
        model = build(translator=translator, drop_path=drop, future=2)
        trained = stage(model, recompute=recompute).train()
        kept: list[int] = []

        def keep(tensor: torch.Tensor, kept: list[int] = kept) -> torch.Tensor:
            kept.append(tensor.untyped_storage().nbytes())
            return tensor

        torch.manual_seed(3)
        with saved_tensors_hooks(keep, lambda tensor: tensor):
            trained("main", Clip(frames(7)), 0)["total"].backward()
        trained.after_step(0, Alone())
        gradients = [p.grad for p in model.parameters()]
        results.append((gradients, list(model.buffers()), sum(kept)))
    (plain, statistics, all_kept), (again, same, few) = results
    torch.testing.assert_close(again, plain)
    torch.testing.assert_close(same, statistics)
    assert few < 0.6 * all_kept


def test_clips_skip_by_chance_in_training_alone() -> None:
    """One that does stays as it is, the others are made up for: the mean stays."""
    added = Added(2, nn.Identity(), 0.25)
    nn.init.constant_(added.scale, 0.5)
    x = torch.randn(400, 2, 3, 3)
    torch.manual_seed(0)
    change = added.train()(x) - x
    normal = added.norm(x)
    skipped = (change == 0).flatten(1).all(1)
    assert 60 < skipped.sum() < 140
    torch.testing.assert_close(change[~skipped], 0.5 * normal[~skipped] / 0.75)
    torch.testing.assert_close(added.eval()(x), x + 0.5 * added.norm(x))


def test_probabilities_of_skipping_change_from_block_to_block() -> None:
    """Linearly, the same for both halves of a block."""
    translator = build(drop_path=(0.1, 0.3)).translator
    drops = [part.drop for part in translator.modules() if isinstance(part, Added)]
    assert drops == pytest.approx([0.1, 0.1, 0.2, 0.2, 0.3, 0.3])


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"context": 0}, "context"),
        ({"future": 0}, "future"),
        ({"halvings": 0}, "halvings"),
        ({"hidden": 3}, "hidden"),
        ({"kernel": 4}, "odd"),
        ({"reach": (3, 4, 1)}, "odd"),
        ({"reach": (3, 5, 0)}, "reach"),
        ({"inception": (3, 2)}, "odd"),
        ({"drop_path": (0.0, 1.0)}, "drop_path"),
        ({"translator": "inception", "drop_path": (0.1, 0.0)}, "leave it 0"),
        ({"translator": "inception", "inception": ()}, "at least one kernel"),
        ({"translator": "inception", "wide": 6}, "wide / 2"),
        ({"translator": "inception", "hidden": 6, "groups": 4}, "future × hidden"),
    ],
    ids=str,
)
def test_contradictions_are_refused(fields, message) -> None:
    with pytest.raises(ConfigError, match=message):
        replace(SMALL, **fields)


# what is published: OpenSTL's tables


def counted(name: str, size: int) -> tuple[SimVP, float]:
    """A preset's model, and multiply-adds of a block, as the tables count them: a GroupNorm takes
    five for a number, a BatchNorm two."""
    with torch.device("meta"):
        model = SimVP(registry.find("presets", f"simvp/{name}")().model).eval()
        clip = torch.zeros(1, 10, 1, size, size)
    extra: list[int] = []
    for module in model.modules():
        if isinstance(module, nn.GroupNorm | BatchNorm):
            each = 5 if isinstance(module, nn.GroupNorm) else 2
            module.register_forward_hook(
                lambda norm, given, got, each=each: extra.append(each * got.numel())
            )
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        model.block(clip)
    return model, counter.get_total_flops() / 2 + sum(extra)


@pytest.mark.parametrize(
    ("name", "size", "parameters", "giga"),
    [
        ("moving-mnist", 64, 46_769_665, 16.53),
        ("moving-mnist-inception", 64, 57_946_113, 19.43),
        ("kth", 128, 15_632_961, 76.8),
        ("kth-inception", 128, 12_152_385, 62.8),
    ],
)
def test_sizes_are_as_published(name, size, parameters, giga) -> None:
    """Work within a thousandth: maps are padded where cells that lie apart are made neighbours."""
    model, work = counted(name, size)
    assert model.parameter_count() == parameters
    assert work / 1e9 == pytest.approx(giga, rel=2e-3)


@pytest.mark.parametrize("name", ["moving-mnist", "moving-mnist-inception", "kth", "kth-inception"])
def test_training_is_as_published(name) -> None:
    """Adam at 1e-3 in one cycle, batches of 16, blocks of ten frames; on KTH two of them."""
    experiment = registry.find("presets", f"simvp/{name}")()
    training = experiment.stages["main"]
    assert (training.batch, training.optimizer.learning_rate) == (16, 1e-3)
    assert training.optimizer.kind == "adam"
    peak = max(range(0, training.steps, 500), key=lambda k: training.optimizer.rate(k, 10**5))
    assert training.optimizer.schedule.shape == "one-cycle"
    assert peak == 30_000
    assert (experiment.model.context, experiment.model.future) == (10, 10)
    assert experiment.horizon == (20 if "kth" in name else 10)


def test_the_small_ones_are_small() -> None:
    for name in ("moving-mnist-small", "video-folder", "tiny"):
        with torch.device("meta"):
            model = registry.find("presets", f"simvp/{name}")().model.build()
        assert model.parameter_count() < 3e6


@pytest.mark.parametrize("translator", ["gsta", "inception"])
def test_it_learns_a_motion(translator) -> None:
    """A dot that moves on: after some steps it is predicted where it will be, also far ahead."""
    torch.manual_seed(0)
    film = torch.zeros(4, 9, 1, 8, 8)
    for row in range(4):
        for t in range(9):
            film[row, t, 0, 2 * row : 2 * row + 2, t % 8] = 1
    model = SimVP(replace(SMALL, hidden=8, wide=16, blocks=2, translator=translator))
    trained = stage(model, optimizer=OptimizerConfig(learning_rate=1e-2)).train()
    fit(trained, *(Clip(film[:, start : start + 6]) for start in range(4)), steps=80, rate=1e-2)
    error = trained.eval().validate(Clip(film[:, :6]))["score"]
    still = (film[:, 3:6] - film[:, 2:3]).square().sum((2, 3, 4)).mean()
    assert error < 0.2 * still
