"""What a prediction costs, counted: mostly nothing is computed, and no weights are needed."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from framecast.errors import FramecastError
from framecast.model import ModelConfig


def multiply_adds(
    config: ModelConfig,
    context: int,
    horizon: int,
    size: tuple[int, int],
    channels: int = 1,
    *,
    computed: bool = False,
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
        computed: Whether a prediction of black frames is really made, on the CPU, with new weights,
            the same every time. It takes its time, and counts models that go on by the values that
            they see, whose work varies a little with these.

    Raises:
        FramecastError: if the model takes no such frames, or computes otherwise by the values of
            what it sees, so that there is no such number.
    """
    device = torch.device("cpu" if computed else "meta")
    with torch.random.fork_rng([]), device, FlopCounterMode(display=False) as counter:
        torch.manual_seed(0)
        model = config.build().eval()
        frames = torch.zeros(1, context, model.expects.channels or channels, *size)
        try:
            for _ in model.stream(frames, horizon):
                pass
        except (NotImplementedError, RuntimeError) as error:
            reason = f"{config.type} computes by the values that it sees, so nothing can be counted"
            raise FramecastError(reason) from error
    return counter.get_total_flops() // 2
