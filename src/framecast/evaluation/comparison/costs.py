"""What a prediction costs by the configuration that a result holds."""

from contextlib import suppress

from framecast.config import from_json
from framecast.errors import FramecastError
from framecast.evaluation.cost import multiply_adds
from framecast.evaluation.result import Result
from framecast.model import ModelConfig

LONGEST = 5.0
"""Seconds that predicting a sequence may have taken for a prediction to be made for counting."""


def work(result: Result) -> int | None:
    """Multiply–adds of predicting one future; None where they are not counted.

    That is where neither the protocol nor its data fixes the size of the frames, the model is not
    registered here, or it goes on by the values that it sees and took long or another device than
    the CPU.
    """
    protocol, data = result.protocol, result.protocol["data"]
    size = protocol["size"] or data.get("crop") or data.get("size")
    if not result.predicted or not isinstance(size, list | tuple) or len(size) != 2:
        return None
    document = {"type": result.model.kind, **result.model.config}
    context, horizon = protocol["context"], protocol["horizon"]
    channels = protocol["channels"] or data.get("channels") or 1
    height, width = size
    seconds = horizon / max(result.run.frames_per_second, 1e-9)
    quick = result.run.device == "cpu" and seconds <= LONGEST
    for computed in (False, True) if quick else (False,):
        with suppress(FramecastError, RuntimeError):  # the second of sizes that nothing holds
            config = from_json(ModelConfig, document, "the model's configuration")
            frames = context, horizon, (height, width), channels
            return multiply_adds(config, *frames, computed=computed)
    return None
