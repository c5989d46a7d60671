"""Pictures of predictions while a model learns."""

import torch
from PIL import Image

from framecast.clip import Clip, Source, collate
from framecast.model import Model
from framecast.models.copy_last import CopyLast, CopyLastConfig


def picture(
    model: Model, source: Source, context: int, count: int, device: torch.device
) -> Image.Image:
    """Truth, prediction and repeated last frame of the first clips of a source.

    The model is left in evaluation mode.
    """
    keys = [(0, index) for index in range(min(count, len(source)))]
    clip: Clip = collate([source[key] for key in keys])
    seen, future = clip.split(context)
    predicted = model.eval().predict(seen.to(device), future.length, seed=0).frames[0].cpu()
    copied = CopyLast(CopyLastConfig()).predict(seen, future.length).frames[0]
    rows = {}
    for number in range(len(keys)):
        rows[f"{number + 1}: truth"] = future.frames[number]
        rows[f"{number + 1}: prediction"] = predicted[number]
        rows[f"{number + 1}: copy-last"] = copied[number]
    from framecast.pictures import strip

    return strip(rows, first=context)
