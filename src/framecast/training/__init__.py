"""Training: a short explicit loop over stages, steps, phases and micro-batches.

This is the only place of the package that imports Lightning Fabric.
"""

from framecast.training.checks import check
from framecast.training.options import RunOptions
from framecast.training.planning import Plan, StagePlan, plan, within
from framecast.training.run import train
from framecast.training.signals import Interrupted

__all__ = ["Interrupted", "Plan", "RunOptions", "StagePlan", "check", "plan", "train", "within"]
