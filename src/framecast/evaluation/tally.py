"""What is added up over sequences for one line of a result."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Literal

import numpy as np
from torch import Tensor

from framecast.evaluation.events import EventScores
from framecast.evaluation.result import Interval, Row
from framecast.evaluation.statistics import Accumulator

Role = Literal["model", "reduction", "baseline"]


class Tally:
    """Sums per frame, and one number per sequence and metric: nothing else grows."""

    def __init__(self, name: str, role: Role, samples: int | None = None) -> None:
        """Begin with nothing; `samples` is how many a reduction is made of."""
        self.name = name
        self.role: Role = role
        self.samples = samples
        self._frames, self._whole = Accumulator(), Accumulator()
        self._each: dict[str, list[np.ndarray]] = defaultdict(list)
        self._events: list[np.ndarray] = []
        self._event_frames: np.ndarray | None = None

    def add(self, values: Mapping[str, Tensor], events: Tensor | None = None) -> None:
        """Take the scores of some sequences.

        Args:
            values: `b t` by metric.
            events: Counts `b t k 3`, if there are any.
        """
        arrays = {key: value.numpy() for key, value in values.items()}
        means = {key: value.mean(1, keepdims=True) for key, value in arrays.items()}
        self._frames.add(arrays)
        self._whole.add(means)
        for key, mean in means.items():
            self._each[key].append(mean[:, 0])
        if events is not None:
            self._events.append(events.sum(1).numpy())
            frames = events.sum(0).numpy()
            known = self._event_frames
            self._event_frames = frames if known is None else known + frames

    def each(self) -> dict[str, np.ndarray]:
        """The mean over time of every sequence, by metric, in the order in which they came."""
        return {key: np.concatenate(parts) for key, parts in self._each.items()}

    def row(self, events: EventScores | None, seed: int) -> Row:
        """The line of the result; `seed` draws the resamples of intervals of events."""
        values = {key: Interval.each(s)[0] for key, s in self._whole.summaries().items()}
        curves = {key: Interval.each(s) for key, s in self._frames.summaries().items()}
        if events is not None and self._event_frames is not None:
            values |= events.values(np.concatenate(self._events), seed)
            curves |= events.curves(self._event_frames)
        return Row(self.name, self.role, values, curves, self.samples)
