"""Framecast predicts the next frames of a video.

    model = framecast.load("convlstm/moving-mnist-small")
    out = model.predict(context, horizon=10)    # context: b t c h w in [0, 1]
    out.frames                                  # s b t c h w

What stands here is imported when first used, so that `import framecast` costs nothing.
"""

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from framecast.clip import Clip
    from framecast.errors import FramecastError
    from framecast.listing import models, presets, protocols
    from framecast.model import Model, Prediction, load
    from framecast.registry import register

_HOMES = {
    "Clip": "framecast.clip",
    "FramecastError": "framecast.errors",
    "Model": "framecast.model",
    "Prediction": "framecast.model",
    "load": "framecast.model",
    "models": "framecast.listing",
    "presets": "framecast.listing",
    "protocols": "framecast.listing",
    "register": "framecast.registry",
}

__all__ = [
    "Clip",
    "FramecastError",
    "Model",
    "Prediction",
    "load",
    "models",
    "presets",
    "protocols",
    "register",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'framecast' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
