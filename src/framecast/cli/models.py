"""`framecast models`: the models, or one of them in detail."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.table import Table
from tyro.conf import Positional

from framecast import listing, registry
from framecast.cli import sizes, terminal, units
from framecast.cli.options import parse
from framecast.errors import FramecastError

if TYPE_CHECKING:
    from framecast.model import Model


@dataclass(frozen=True)
class Models:
    """List the models: those that come with framecast, ready to predict, and the types to train.

    With a name, describe one: its parts with their numbers of parameters beside published ones,
    the frames it takes, its configuration and its card.
    """

    name: Positional[str | None] = None
    """A listed name, a model folder or a run."""
    units: bool = False
    """List the recurrent units that stacks are made of, with what they cost."""
    json: bool = False
    """Print one JSON document."""


def run(argv: Sequence[str]) -> int:
    """Print the list, or the description of one model, or the units."""
    options = parse(Models, "models", argv)
    if options.units and options.name is not None:
        raise FramecastError("--units lists all units; leave the model's name out")
    if options.units:
        units.show(options.json)
    elif options.name is None:
        _list(options.json)
    else:
        _describe(options.name, options.json)
    return 0


def _list(as_json: bool) -> None:
    shipped = registry.shipped()
    entries = [
        {
            "name": name,
            "kind": "shipped" if name in shipped else "type",
            "bytes": _bytes(shipped[name]) if name in shipped else None,
            "summary": summary,
        }
        for name, summary in listing.models().items()
    ]
    rows = [(e["name"], _size(e["bytes"]), e["summary"]) for e in entries]
    terminal.show(entries, [terminal.table(("model", "size", ""), rows)], as_json)


def _describe(name: str, as_json: bool) -> None:
    listing.checked(name)
    import torch

    from framecast import folder
    from framecast.cli.loading import new_model
    from framecast.config import to_json
    from framecast.model import load

    card = ""
    if name in registry.names("models"):
        with torch.device("meta"):
            model = new_model(name)
    else:
        model, path = load(name), folder.locate(name)
        card = _text(path / folder.CARD)
    known = sizes.beside(model, others=name in registry.names("models"))
    document = {
        "name": name,
        "type": model.config.type,
        "parameters": model.parameter_count(),
        "parts": {part: count for part, count in _parts(model).items() if count},
        "published": [size.document() for size in known],
        "expects": asdict(model.expects),
        "codes": _codes(model),
        "stages": list(model.stages),
        "config": to_json(model.config),
        "about": model.about,
        "card": card,
    }
    terminal.show(document, _lines(document, known), as_json)


def _lines(document: dict[str, Any], known: list[sizes.Size]) -> list[str | Table]:
    summary = listing.models().get(document["name"], "")
    return [
        *[line for line in (document["card"].strip(), summary) if line][:1],
        "",
        sizes.parts(document["parts"], document["parameters"], known),
        *sizes.lines(known),
        "",
        _pairs("takes frames with", document["expects"]),
        *_of_codes(document["codes"]),
        "",
        _pairs("configuration", document["config"]),
        "",
        f"training stages: {', '.join(document['stages']) or 'none'}",
        *[f"{key}: {_short(value)}" for key, value in document["about"].items() if key != "stages"],
    ]


def _codes(model: "Model") -> dict[str, Any] | None:
    """Of a model with codes: values of a level's token, and what the tokens take of 8-bit frames.

    Frames are of sizes that need no padding.
    """
    from framecast.codec import Codec

    if not isinstance(model, Codec):
        return None
    spec = model.expects
    channels, (height, width) = spec.channels or 1, spec.size or (spec.multiple_of,) * 2
    bits = model.bits((model.block, channels, height, width))
    share = bits / (8 * model.block * channels * height * width)
    return {"values": list(model.values), "share_of_bits": share}


def _of_codes(codes: dict[str, Any] | None) -> list[str]:
    if codes is None:
        return []
    values = ", ".join(map(str, codes["values"]))
    percent = 100 * codes["share_of_bits"]
    return ["", f"tokens of {values} values, level by level: {percent:.4g} % of the bits of frames"]


def _short(value: Any) -> str:
    """A fact in a line: of a configuration, its type."""
    return str(value.get("type", "")) if isinstance(value, dict) else str(value)


def _pairs(heading: str, pairs: dict[str, Any]) -> Table:
    return terminal.table((heading, ""), [(key, str(value)) for key, value in pairs.items()])


def _parts(model: "Model") -> dict[str, int]:
    """Parameters of the parts, one level down where the model is a single network."""
    parts, prefix = dict(model.named_children()), ""
    while len(parts) == 1:
        (name, only) = next(iter(parts.items()))
        below = dict(only.named_children())
        if not below:
            break
        parts, prefix = below, f"{prefix}{name}."
    return {prefix + k: sum(p.numel() for p in part.parameters()) for k, part in parts.items()}


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.iterdir() if path.is_file())


def _size(count: Any) -> str:
    return "" if count is None else f"{count / 1e6:.1f} MB"


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""
