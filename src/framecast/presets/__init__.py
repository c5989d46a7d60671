"""Presets: experiments as functions that return a complete configuration. Called, it lists them."""

import sys

from framecast.listing import Listed

sys.modules[__name__].__class__ = Listed
