"""Arrays that are kept as long as they fit."""

import pickle

import numpy as np

from framecast.data.recent import Recent


def test_what_was_used_longest_ago_goes_first():
    """Kept arrays are not made again; the bound holds."""
    made = []

    def make(key):
        def maker():
            made.append(key)
            return np.zeros(10, np.uint8)

        return maker

    recent = Recent(most_bytes=30)
    for key in (1, 2, 3, 1, 4, 1, 3, 2):
        assert recent.get(key, make(key)).nbytes == 10
        assert recent.bytes <= 30
    assert made == [1, 2, 3, 4, 2]
    assert pickle.loads(pickle.dumps(recent)).bytes == 0


def test_an_array_that_never_fits_is_handed_out():
    """It is only not kept."""
    recent = Recent(most_bytes=5)
    assert recent.get(1, lambda: np.ones(10)).sum() == 10
    assert recent.bytes == 0
