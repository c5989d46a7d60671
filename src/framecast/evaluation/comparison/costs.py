"""What a prediction costs by the configuration that a result holds."""

from framecast.config import from_json
from framecast.errors import FramecastError
from framecast.evaluation.cost import multiply_adds
from framecast.evaluation.result import Result
from framecast.model import ModelConfig


def work(result: Result) -> int | None:
    """Multiply–adds of predicting one future; None where they cannot be counted.

    That is where the size of the frames is not fixed by the protocol, the model is not registered
    here, or what it computes depends on what it sees.
    """
    protocol = result.protocol
    if not result.predicted or protocol["size"] is None:
        return None
    document = {"type": result.model.kind, **result.model.config}
    height, width = protocol["size"]
    try:
        config = from_json(ModelConfig, document, "the model's configuration")
        return multiply_adds(
            config,
            protocol["context"],
            protocol["horizon"],
            (height, width),
            protocol["channels"] or 1,
        )
    except FramecastError:
        return None
