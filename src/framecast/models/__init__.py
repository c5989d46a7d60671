"""The models, one file per paper."""
