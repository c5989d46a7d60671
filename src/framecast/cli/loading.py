"""Models by what the user calls them."""

import json
from collections.abc import Sequence
from typing import Any

import torch

from framecast import folder, listing, registry
from framecast.config import from_json
from framecast.errors import FolderError, FramecastError
from framecast.model import Model, ModelConfig, Options, load


def load_model(name: str, device: str = "cpu") -> Model:
    """Load a shipped model, a model folder, a run, or a type that needs no weights.

    Raises:
        FramecastError: if there is none, or the device is not there.
    """
    place = checked_device(device)
    if name not in registry.names("models"):
        return load(listing.checked(name), place)
    with torch.device("meta"):
        weightless = not any(True for _ in new_model(name).parameters())
    if weightless:
        return new_model(name).to(place).eval()
    shipped = [known for known in folder.shipped() if known.startswith(f"{name}/")]
    instead = " or ".join([*shipped, "a model folder"])
    raise FolderError(f"{name} is a type of model and has no weights; give {instead}")


def new_model(name: str) -> Model:
    """A model of a registered type, with its default configuration."""
    config: Any = ModelConfig.resolve(name)
    return config().build()


def options_of(model: Model, pairs: Sequence[str]) -> Options:
    """A model's own options from words like `temperature=0.7`.

    Raises:
        FramecastError: if a word has no `=`, or the model has no such option.
    """
    given: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals:
            raise FramecastError(f"--option takes KEY=VALUE, got {pair!r}")
        try:
            given[key] = json.loads(value)
        except ValueError:
            given[key] = value
    return from_json(model.options_type, given, f"--option of {model.config.type}")


def checked_device(name: str) -> torch.device:
    """A device by name.

    Raises:
        FramecastError: if there is no such device on this machine.
    """
    try:
        device = torch.device(name)
        torch.empty(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        found = "cpu or cuda" if torch.cuda.is_available() else "cpu"
        raise FramecastError(f"there is no device {name!r} here; use {found}") from None
    if device.type == "meta":
        raise FramecastError("the device meta computes nothing; use cpu")
    return device
