"""Recurrent units, one file each, of one signature.

A unit has `initial(frames)`, `project(frames)`, `step(projected, state)` and `forward(frames,
state)`, which is `step(project(frames), state)`. `project` holds no recurrence, so a stack runs it
on all observed frames at once.
"""
