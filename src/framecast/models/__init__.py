"""The models, one file per paper. Called, it lists them."""

import sys

from framecast.listing import Listed

sys.modules[__name__].__class__ = Listed
