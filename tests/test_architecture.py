"""What is found of an architecture is what the code does, and it is drawn without crossings."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar
from xml.etree import ElementTree

import pytest
import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from framecast import registry
from framecast.architecture import FRAMES, parts, trace
from framecast.clip import Clip
from framecast.data.moving_digits import MovingDigits
from framecast.diagram import Box, arrange, draw
from framecast.errors import FramecastError
from framecast.experiment import Experiment
from framecast.model import FrameSpec, Model, ModelConfig, Options, Step
from framecast.noise import Noise
from framecast.stage import Stage, StageConfig


@dataclass(frozen=True)
class ForkedConfig(ModelConfig):
    type: ClassVar[str] = "forked"


class Forked(Model):
    """first → codes (by index, without a gradient) → second; first and codes → third, through no
    module; nothing goes from second to third, though it views what they share; unused is never
    met."""

    config_type = ForkedConfig

    def __init__(self, config: ForkedConfig) -> None:
        super().__init__(config)
        self.first = nn.Conv2d(1, 4, 1)
        self.codes = nn.Embedding(4, 3)
        self.second = nn.Sequential(nn.Flatten(0, 2), nn.Linear(3, 5), nn.ReLU(inplace=True))
        self.third = nn.Linear(4, 2)
        self.unused = nn.Linear(2, 2)

    @property
    def expects(self) -> FrameSpec:
        return FrameSpec(channels=1, size=(8, 8))

    def rollout(
        self, context: Clip, horizon: int, samples: int | None, noise: Noise, options: Options
    ) -> Iterator[Step]:
        raise NotImplementedError

    def teacher_forced(self, clip: Clip) -> Float[Tensor, "b t c h w"]:
        raise NotImplementedError

    def ends(self, frames: Float[Tensor, "b t c h w"]) -> tuple[Tensor, Tensor]:
        maps = self.first(frames.flatten(0, 1))
        with torch.no_grad():
            tokens = maps.argmax(1)
        vectors = self.codes(tokens)
        second = self.second(vectors)
        mean = maps.mean((2, 3)) + vectors.mean() + torch.zeros_like(second).sum()
        return second, functional.linear(mean, self.third.weight)


@dataclass(frozen=True)
class BothConfig(StageConfig):
    type: ClassVar[str] = "forked/both"


class Both(Stage, of=Forked, name="both"):
    config_type = BothConfig
    phases = ("one", "two")

    def forward(self, phase: str, batch: Clip, step: int) -> dict[str, Tensor]:
        second, third = self.model.ends(batch.frames)
        return {"total": second.mean() if phase == "one" else third.mean()}


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Experiment:
    monkeypatch.setitem(registry.MODELS, "forked", f"{__name__}:Forked")
    data = MovingDigits(digits="glyphs")
    return Experiment(ForkedConfig(), data, context=2, horizon=1, stages={"both": BothConfig()})


def test_arrows_are_what_flows_with_and_without_gradients(forked: Experiment) -> None:
    graph = trace(forked)
    assert graph.arrows == {
        (FRAMES, "first"),
        ("first", "codes"),
        ("codes", "second"),
        ("first", "third"),
        ("codes", "third"),
        ("second", "loss: both, one"),
        ("third", "loss: both, two"),
    }
    assert graph.losses == ("loss: both, one", "loss: both, two")
    assert [part.name for part in graph.parts] == ["first", "codes", "second", "third"]


def test_parts_have_their_sizes(forked: Experiment) -> None:
    found = {part.name: (part.parameters, part.shape) for part in trace(forked).parts}
    assert found["first"] == (8, (3, 4, 8, 8))
    assert found["second"] == (20, (192, 5))
    assert found["third"] == (10, ())  # its weights are used, it is not called


def test_random_state_is_left_alone(forked: Experiment) -> None:
    torch.manual_seed(1)
    before = torch.get_rng_state()
    trace(forked)
    assert torch.equal(before, torch.get_rng_state())


def test_few_parts_are_opened_and_many_are_not() -> None:
    deep = nn.ModuleDict({"net": nn.ModuleDict({"a": nn.Linear(1, 1), "b": nn.Linear(2, 2)})})
    assert parts(deep) == {"net.a": 2, "net.b": 6}
    wide = nn.ModuleDict({name: nn.ModuleDict({"in": nn.Linear(1, 1)}) for name in "abcd"})
    assert list(parts(wide)) == list("abcd")


@pytest.mark.parametrize(
    ("name", "known", "absent"),
    [
        (
            "haf-svg/tiny",
            {("posterior", "predictor"), ("encoder", "decoder")},
            ("prior", "predictor"),
        ),
        (
            "s-hr-vqvae/tiny",
            {("encoder", "quantiser"), ("quantiser", "prior")},
            ("decoder", "prior"),
        ),
    ],
)
def test_papers_models_are_as_in_their_figures(
    name: str, known: set[tuple[str, str]], absent: tuple[str, str]
) -> None:
    arrows = trace(registry.find("presets", name)()).arrows
    assert known <= arrows
    assert absent not in arrows


def test_columns_follow_the_longest_way_and_feedback_is_told_apart() -> None:
    arrows = [("a", "b"), ("b", "c"), ("a", "c"), ("c", "b"), ("c", "d"), ("d", "d")]
    layout = arrange("abcd", arrows)
    assert {name: spot[0] for name, spot in layout.spots.items()} == {
        "a": 0,
        "b": 1,
        "c": 2,
        "d": 3,
    }
    assert layout.feedback == (("c", "b"),)
    assert set(layout.routes) == {("a", "b"), ("b", "c"), ("a", "c"), ("c", "d")}
    passed = layout.routes["a", "c"]
    assert [spot[0] for spot in passed] == [0, 1, 2]
    assert passed[1] != layout.spots["b"]


def test_boxes_do_not_overlap_and_crossings_are_undone() -> None:
    arrows = [("in", "a"), ("in", "b"), ("a", "y"), ("b", "x"), ("x", "out"), ("y", "out")]
    layout = arrange(["in", "a", "b", "x", "y", "out"], arrows)
    assert len(set(layout.spots.values())) == 6
    rows = {name: spot[1] for name, spot in layout.spots.items()}
    assert (rows["a"] < rows["b"]) == (rows["y"] < rows["x"])


@pytest.mark.parametrize("suffix", [".png", ".svg"])
def test_a_picture_is_written_the_same_every_time(tmp_path: Path, suffix: str) -> None:
    boxes = [Box("frames", end=True), Box("net <1>", ("12 parameters",)), Box("loss", end=True)]
    arrows = [("frames", "net <1>"), ("net <1>", "loss"), ("loss", "net <1>")]
    first, second = (tmp_path / f"{n}{suffix}" for n in range(2))
    draw(boxes, arrows, first, "title")
    draw(boxes, arrows, second, "title")
    assert first.read_bytes() == second.read_bytes()
    if suffix == ".svg":
        assert ElementTree.parse(first).getroot().tag.endswith("svg")


def test_other_kinds_of_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(FramecastError, match=r"\.png, \.svg, \.pdf file, got .*jpg"):
        draw([Box("a")], [], tmp_path / "a.jpg", "")
