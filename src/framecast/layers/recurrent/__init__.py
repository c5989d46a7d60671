"""Recurrent units, one file each, of the one signature in `unit.py`."""
