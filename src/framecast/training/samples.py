"""Pictures of predictions while a model learns."""

import torch
from PIL import Image
from torch import Tensor

from framecast.clip import Clip, Source, collate
from framecast.model import Model
from framecast.models.copy_last import CopyLast, CopyLastConfig
from framecast.pictures import strip


def picture(
    model: Model, source: Source, context: int, clips: int, device: torch.device, title: str
) -> Image.Image:
    """Truth, prediction and repeated last frame of the first clips of a source, a row each.

    Clips of another size than the first are left out. The model is left in evaluation mode. Of
    frames that are neither gray nor RGB, the first channel is shown.
    """
    found: list[Clip] = [source[(0, index)] for index in range(min(clips, len(source)))]
    alike = [each for each in found if each.frames.shape == found[0].frames.shape]
    clip: Clip = collate(alike)
    seen, future = clip.split(context)
    predicted = model.eval().predict(seen.to(device), future.length, seed=0).frames[0].cpu()
    copied = CopyLast(CopyLastConfig()).predict(seen, future.length).frames[0]
    rows: dict[str, Tensor] = {}
    for number in range(len(alike)):
        rows[f"{number + 1}: truth"] = _visible(future.frames[number])
        rows[f"{number + 1}: prediction"] = _visible(predicted[number])
        rows[f"{number + 1}: copy-last"] = _visible(copied[number])
    return strip(rows, first=context, title=title)


def _visible(frames: Tensor) -> Tensor:
    return frames if frames.shape[1] in (1, 3) else frames[:, :1]
