"""What a prediction costs, counted: nothing is computed, and no weights are needed."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from framecast.errors import FramecastError
from framecast.model import ModelConfig


def multiply_adds(
    config: ModelConfig, context: int, horizon: int, size: tuple[int, int], channels: int = 1
) -> int:
    """Multiply–adds of predicting one future of one sequence.

    Those of convolutions and matrix products, attention's included, as they are carried out:
    products with the zeros around a map count, sums, products by elements and norms do not. What
    papers and programs list as FLOPs is mostly this number.

    Args:
        config: The model's.
        context: Observed frames.
        horizon: Predicted frames.
        size: (h, w) of the frames, in pixels.
        channels: Of the frames, for models that take any.

    Raises:
        FramecastError: if the model takes no such frames, or computes otherwise by the values of
            what it sees, so that there is no such number.
    """
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        model = config.build().eval()
        frames = torch.zeros(1, context, model.expects.channels or channels, *size)
        try:
            for _ in model.stream(frames, horizon):
                pass
        except (NotImplementedError, RuntimeError) as error:
            reason = f"{config.type} computes by the values that it sees, so nothing can be counted"
            raise FramecastError(reason) from error
    return counter.get_total_flops() // 2
