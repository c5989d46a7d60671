"""The README of a trained model, from facts alone."""

from framecast.config import Json
from framecast.model import Model


def card(model: Model) -> str:
    """Markdown about a model whose `about` the trainer has filled in."""
    about, spec = model.about, model.expects
    channels = "any number of" if spec.channels is None else spec.channels
    size = "any size" if spec.size is None else f"{spec.size[0]}x{spec.size[1]} pixels"
    rows = [
        f"| {stage['name']} | {stage['type']} | {stage['step']:,} | {_score(stage['score'])} |"
        for stage in about["stages"]
    ]
    return "\n".join(
        [
            f"# {model.config.type}",
            "",
            f"A video predictor with {model.parameter_count():,} parameters, trained by framecast "
            f"{about['framecast']} on {about['data'].get('type', 'data')} (seed {about['seed']}): "
            f"{about['context']} observed frames, {about['horizon']} predicted ones.",
            f"It takes frames of {size} with {channels} channels, in [0, 1].",
            "",
            "| stage | type | step of these weights | validation score (lower is better) |",
            "|---|---|---|---|",
            *rows,
            "",
            *_begun(about["stages"]),
            "```python",
            'model = framecast.load("this folder")',
            f"out = model.predict(context, horizon={about['horizon']})",
            "```",
            "",
        ]
    )


def _begun(stages: list[Json]) -> list[str]:
    """What the stages took over from elsewhere, a line per part."""
    lines = [
        f"- {stage['name']} began with {part}: {text}"
        for stage in stages
        for part, text in stage.get("begun", {}).items()
    ]
    return [*lines, ""] if lines else []


def _score(score: float | None) -> str:
    return "none" if score is None else f"{score:.6g}"
