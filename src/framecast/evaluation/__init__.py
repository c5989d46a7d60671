"""Evaluation: metrics, protocols, the runner and its reports."""
