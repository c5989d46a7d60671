"""Objects in true and in predicted frames, found by a detector that the user supplies.

Reference: STIP, section IV-D and figure 8.
"""

from framecast.evaluation.detection.boxes import Boxes
from framecast.evaluation.detection.detector import Detector
from framecast.evaluation.detection.layouts import Layout
from framecast.evaluation.detection.scores import Summary, summary

__all__ = ["Boxes", "Detector", "Layout", "Summary", "summary"]
