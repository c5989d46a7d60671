"""Presets: experiments as functions that return a complete configuration."""
