"""`framecast presets`: the experiments that can be trained, or one of them in detail."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from tyro.conf import Positional

from framecast import listing, registry
from framecast.cli import terminal
from framecast.cli.options import parse
from framecast.errors import FramecastError

if TYPE_CHECKING:
    from framecast.architecture import Graph
    from framecast.experiment import Experiment


@dataclass(frozen=True)
class Presets:
    """List the presets: complete experiments that `framecast train` takes by name.

    With a name, describe one: the model's parts and what goes from one to another, found by
    following a clip of noise through a step of every stage.
    """

    name: Positional[str | None] = None
    """A listed name."""
    figure: Path | None = None
    """Draw the parts and what goes between them into this .png, .svg or .pdf file."""
    json: bool = False
    """Print one JSON document."""


def run(argv: Sequence[str]) -> int:
    """Print the list, or the description of one preset."""
    options = parse(Presets, "presets", argv)
    if options.name is not None:
        _describe(options.name, options.figure, options.json)
        return 0
    if options.figure is not None:
        raise FramecastError("--figure draws one preset; give its name")
    presets = listing.presets()
    terminal.show(presets, [terminal.listing(presets, "preset")], options.json)
    return 0


def _describe(name: str, figure: Path | None, as_json: bool) -> None:
    from framecast.architecture import trace

    experiment: Experiment = registry.find("presets", name)()
    if figure is not None:
        from framecast.diagram import check_path

        check_path(figure)  # before the clip is followed, which takes a while
    graph = trace(experiment)
    document = {
        "name": name,
        "about": listing.presets()[name],
        "context": experiment.context,
        "horizon": experiment.horizon,
        "data": experiment.data.type,
        "stages": {
            stage: {"steps": config.steps, "batch": config.batch}
            for stage, config in experiment.stages.items()
        },
        "parts": {
            part.name: {"parameters": part.parameters, "gives": list(part.shape)}
            for part in graph.parts
        },
        "arrows": sorted(graph.arrows),
    }
    lines = _lines(document)
    if figure is not None:
        _draw(graph, figure, name)
        document["figure"] = str(figure)
        lines += ["", f"wrote {figure}"]
    terminal.show(document, lines, as_json)


def _lines(document: dict[str, Any]) -> list[str | Table]:
    stages = ", ".join(
        f"{name} ({stage['steps']:,} steps of {stage['batch']} clips)"
        for name, stage in document["stages"].items()
    )
    rows = [
        (name, f"{part['parameters']:,}", _shape(part["gives"]), _targets(name, document))
        for name, part in document["parts"].items()
    ]
    return [
        f"{document['name']}: {document['about']}",
        f"{document['context']} frames of context, {document['horizon']} predicted, "
        f"of {document['data']}",
        f"stages: {stages}",
        "",
        terminal.table(("part", "parameters", "gives", "to"), rows),
    ]


def _targets(name: str, document: dict[str, Any]) -> str:
    return ", ".join(target for source, target in document["arrows"] if source == name)


def _shape(shape: Sequence[int]) -> str:
    return "×".join(map(str, shape))


def _draw(graph: "Graph", path: Path, title: str) -> None:
    from framecast.architecture import FRAMES
    from framecast.diagram import Box, draw

    parts = [
        Box(part.name, (f"{part.parameters:,} parameters", *filter(None, [_shape(part.shape)])))
        for part in graph.parts
    ]
    losses = [Box(loss, end=True) for loss in graph.losses]
    draw([Box(FRAMES, end=True), *parts, *losses], graph.arrows, path, title)
