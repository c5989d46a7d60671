"""What inspect shows of HAF-SVG's latent variables, beside predictions and a rollout by hand."""

from itertools import pairwise

import pytest
import torch
from test_haf_svg import build, frames

from framecast.clip import Clip
from framecast.errors import FramecastError
from framecast.models.haf_svg import exploration
from framecast.models.haf_svg.model import HAFSVG, HAFSVGOptions
from framecast.pictures import Panel

GAP = 2  # pixels between frames of a panel


def cells(panel: Panel) -> torch.Tensor:
    """The frames of a panel, `rows columns c h w`."""
    image = torch.as_tensor(panel.image)
    assert image.shape[1] == len(panel.rows) * (16 + GAP) - GAP
    assert image.shape[2] == len(exploration.VALUES) * (16 + GAP) - GAP
    rows = [image[:, top : top + 16] for top in range(0, image.shape[1], 16 + GAP)]
    lefts = range(0, image.shape[2], 16 + GAP)
    return torch.stack([torch.stack([row[..., x : x + 16] for x in lefts]) for row in rows])


def parts(model: HAFSVG, context: torch.Tensor) -> tuple[list[Panel], Panel, list[Panel]]:
    """The panels: of the next frame, without groups, and of numbers, group by group."""
    panels = model.inspect(Clip(context))
    place = 2 + len(model.config.coder.aligned)
    return panels[:place], panels[place], panels[place + 1 :]


def by_hand(model: HAFSVG, context: torch.Tensor, number: int, value: float) -> torch.Tensor:
    """The third predicted frame with one number of z_t beside its mean, step by step."""
    vectors = [model.encoder(frame).features for frame in context.unbind(1)]
    states = model.initial(vectors[0])
    for before, now in pairwise(vectors):
        states = model.observe(before, now, states, None).states
    recalled = model.decoder.recall(model.encoder(context[:, -1]).maps)
    h, cell, walk, frame = vectors[-1], list(states.prior), states.predictor, context[:, -1]
    for _ in range(3):
        z = torch.zeros(len(h), 0).double()
        for group, lstm in enumerate(model.prior.lstms):
            gaussian, cell[group] = lstm(torch.cat([h, z], 1), cell[group])
            mine, inside = gaussian.mean.clone(), number - 1 - z.shape[1]
            if 0 <= inside < mine.shape[1]:
                mine[:, inside] += value * gaussian.log_variance[:, inside].exp().sqrt()
            z = torch.cat([z, mine], 1)
        vector, walk = model.predictor(h, z, walk)
        frame = model.decoder(vector, recalled)
        h = model.encoder(frame).features
    return frame


# ---- one number after the other


@pytest.mark.parametrize("groups", [1, 2, 4])
@torch.no_grad()
def test_a_number_leaves_its_mean_alone_and_in_every_frame(groups):
    """Each row of numbers, values and clips is what a rollout by hand makes of it."""
    model, context = build({"aligned": (8, 4)}, {"groups": groups}), frames(3)
    numbers, values = (4, 1, 2), (-3.0, 0.5)
    found = model.traverse(Clip(context), numbers, values, 3)
    assert found.shape == (3, 2, 2, 1, 16, 16)
    for row, number in zip(found, numbers, strict=True):
        for cell, value in zip(row, values, strict=True):
            torch.testing.assert_close(cell, by_hand(model, context, number, value))


@pytest.mark.parametrize("fields", [{}, {"reference_skip": True}])
@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("length", [1, 2, 5])
def test_nothing_moved_is_the_mean_prediction(fields, groups, length):
    """After any context, whichever number is not moved, in any frame."""
    model, context = build(latent={"groups": groups}, **fields), frames(length)
    for horizon in (1, 4):
        mean = model.predict(context, horizon).unclipped[0, :, -1]
        found = model.traverse(Clip(context), (1, 2, 3, 4), (0.0,), horizon)
        torch.testing.assert_close(found, mean.expand_as(found))
        assert not torch.allclose(model.traverse(Clip(context), (1,), (1.0,), horizon)[0, 0], mean)


def test_numbers_that_z_does_not_have():
    """Also frames that the model does not take; one line each."""
    model = build(latent={"groups": 2, "per": "group"})
    assert model.traverse(Clip(frames()), (8,), (1.0,), 1).isfinite().all()
    for wrong in (0, 9):
        with pytest.raises(FramecastError, match=f"numbers from 1 to 8, not {wrong}"):
            model.traverse(Clip(frames()), (1, wrong), (1.0,), 1)
    with pytest.raises(FramecastError, match="expects frames of 16x16"):
        model.traverse(Clip(frames()[..., :8]), (1,), (1.0,), 1)
    with pytest.raises(FramecastError, match="expects frames of 16x16"):
        model.inspect(Clip(frames(batch=1)[..., :8]))


# ---- panels

MODELS = {
    "svg-lp": ({}, {}),
    "h-svg-2": ({}, {"groups": 2}),
    "haf-svg-4": ({"aligned": (8, 4)}, {"groups": 4}),
    "haf-svg-2 in colour": ({"aligned": (8,), "channels": 3}, {"groups": 2}),
    "vgg": ({"kind": "vgg", "aligned": (8,)}, {"groups": 2}),
}


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> HAFSVG:
    """With and without aligners and groups."""
    return build(*MODELS[request.param])


def clip_for(model: HAFSVG, length: int = 3) -> torch.Tensor:
    return frames(length, model.config.coder.channels, batch=1)


@pytest.mark.parametrize("length", [1, 3])
def test_a_row_without_a_group_is_the_prediction_with_that_option(model, length):
    """Under those of the mean and of all groups drawn, by the same noise."""
    context, groups = clip_for(model, length), model.config.latent.groups
    _, panel, _ = parts(model, context)
    shown = [n - 1 for n in (1, 3, 5, 7, 9, 11, 13)]
    expected = [model.predict(context, 13).frames[0, 0]]
    for zeroed in ((), *((number,) for number in range(1, groups + 1))):
        options = HAFSVGOptions(zeroed)
        expected.append(model.predict(context, 13, samples=1, options=options).frames[0, 0])
    found = cells(panel)
    assert torch.equal(found, torch.stack(expected)[:, shown])
    assert len({tuple(row.flatten().tolist()) for row in found}) == groups + 2
    names = [f"group {n} zero" for n in range(1, groups + 1)] if groups > 1 else ["z_t zero"]
    assert panel.rows == ("mean of z_t", "z_t drawn", *names)
    assert panel.title == "predicted frames 1, 3, 5, 7, 9, 11, 13"


def test_groups_in_order_and_their_numbers_by_effect(model):
    """From −3 through 0, the mean prediction, to 3; rows are the group's own numbers."""
    context, latent = clip_for(model), model.config.latent
    *_, panels = parts(model, context)
    assert len(panels) == latent.groups
    mean = model.predict(context, 3).frames[0, 0, 2]
    for group, panel in enumerate(panels):
        found = cells(panel)
        torch.testing.assert_close(found[:, 3], mean.expand_as(found[:, 3]))
        numbers = [int(name.split()[0]) for name in panel.rows]
        first = group * latent.group + 1
        assert sorted(numbers) == list(range(first, first + latent.group))
        for number, row in zip(numbers, found, strict=True):
            for place, value in ((0, -3.0), (5, 2.0), (6, 3.0)):
                torch.testing.assert_close(row[place], by_hand(model, context, number, value)[0])
        effects = [float((row[6] - row[0]).abs().mean()) for row in found]
        assert effects == sorted(effects, reverse=True)
        assert [name.split()[1] for name in panel.rows] == [f"({e:.2g})" for e in effects]
        of = f"group {group + 1}" if latent.groups > 1 else "z_t"
        count = f"{latent.group} of {latent.group} numbers"
        assert panel.title == f"predicted frame 3, {of}: {count} (effect) from -3 to +3 sd"


def test_of_many_numbers_those_with_the_largest_effect_are_shown():
    """Seven of nine: by hand, what lies between the two ends of each."""
    model, context = build(latent={"size": 9}), frames(2, batch=1)
    _, _, (panel,) = parts(model, context)
    ends = [[by_hand(model, context, n, value) for value in (-3, 3)] for n in range(1, 10)]
    effects = [float((high - low).detach().abs().mean()) for low, high in ends]
    order = sorted(range(1, 10), key=lambda number: -effects[number - 1])
    assert [int(name.split()[0]) for name in panel.rows] == order[:7]
    assert "7 of 9 numbers" in panel.title


def test_inspecting_repeats_itself_and_leaves_the_mode(model):
    """In training too, by running statistics; a gray clip can be shown by a model of colours."""
    context = clip_for(model)
    plain = model.inspect(Clip(context))
    torch.manual_seed(99)
    model.train()
    again = model.inspect(Clip(context))
    assert all(module.training for module in model.modules())
    for a, b in zip(plain, again, strict=True):
        assert (a.title, a.rows) == (b.title, b.rows)
        assert torch.equal(torch.as_tensor(a.image), torch.as_tensor(b.image))
    looked, held, _ = parts(model, context[:, :, :1])
    assert len(held.image) == model.config.coder.channels
    titles = [panel.title for panel in looked]
    assert titles[:2] == ["last frame", "next frame"]
    assert all(title.startswith("attention of") for title in titles[2:])
