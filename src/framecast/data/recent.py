"""What was decoded lately, kept as long as it fits."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

MOST_BYTES = 256 * 2**20
"""Of arrays kept in one process."""


class Recent:
    """Arrays by key; those that were used longest ago go first. Pickling leaves them behind."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Begin empty."""
        self.most_bytes = most_bytes
        self.bytes = 0
        self._arrays: OrderedDict[Hashable, np.ndarray] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], np.ndarray]) -> np.ndarray:
        """The array of a key, made if it is not there; not to be written to."""
        if key in self._arrays:
            self._arrays.move_to_end(key)
            return self._arrays[key]
        array = make()
        self._arrays[key] = array
        self.bytes += array.nbytes
        while self.bytes > self.most_bytes:
            _, oldest = self._arrays.popitem(last=False)
            self.bytes -= oldest.nbytes
        return array

    def __getstate__(self) -> dict[str, Any]:
        """Nothing but the bound."""
        return {"most_bytes": self.most_bytes}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Empty again."""
        self.__init__(state["most_bytes"])
