"""`framecast presets`: the experiments that can be trained."""

from collections.abc import Sequence
from dataclasses import dataclass

from framecast import listing
from framecast.cli import terminal
from framecast.cli.options import parse


@dataclass(frozen=True)
class Presets:
    """List the presets: complete experiments that `framecast train` takes by name."""

    json: bool = False
    """Print one JSON document."""


def run(argv: Sequence[str]) -> int:
    """Print the list."""
    options = parse(Presets, "presets", argv)
    presets = listing.presets()
    terminal.show(presets, [terminal.listing(presets, "preset")], options.json)
    return 0
