"""Pictures: contact sheets, strips, panels, heat maps and curves, as PIL images on white."""

from framecast.pictures.canvas import WIDTH, save, spread
from framecast.pictures.panel import Panel, bars, heat_map, panels, row, stacked
from framecast.pictures.plots import Curve, Plot, curves
from framecast.pictures.sheets import MOST_SAMPLES, contact_sheet, strip

__all__ = [
    "MOST_SAMPLES",
    "WIDTH",
    "Curve",
    "Panel",
    "Plot",
    "bars",
    "contact_sheet",
    "curves",
    "heat_map",
    "panels",
    "row",
    "save",
    "spread",
    "stacked",
    "strip",
]
