"""`framecast protocols`: the ways to evaluate."""

from collections.abc import Sequence
from dataclasses import dataclass

from framecast import listing
from framecast.cli import terminal
from framecast.cli.options import parse


@dataclass(frozen=True)
class Protocols:
    """List the protocols: frozen ways to evaluate, which `framecast evaluate` takes by name."""

    json: bool = False
    """Print one JSON document."""


def run(argv: Sequence[str]) -> int:
    """Print the list."""
    options = parse(Protocols, "protocols", argv)
    protocols = listing.protocols()
    terminal.show(protocols, [terminal.listing(protocols, "protocol")], options.json)
    return 0
