"""Command lines in the test's process, in a folder of its own."""

from cli.conftest import cli

__all__ = ["cli"]
