"""Errors that input causes. Each message is one line: what is wrong, and what to do about it."""


class FramecastError(ValueError):
    """Something that the caller gave cannot be used. The command line prints the message alone."""


class ConfigError(FramecastError):
    """A configuration has an unknown field, a wrong type or a contradiction."""


class DataError(FramecastError):
    """A dataset is missing, damaged, or laid out otherwise than expected."""


class EmptySplitError(DataError):
    """A dataset is there, but nothing of it is in the split that is asked for."""


class FolderError(FramecastError):
    """A model folder or checkpoint is missing, damaged, or not one."""


class TrainingError(FramecastError):
    """Training cannot start or go on; what was written before stays usable."""


class VideoError(FramecastError):
    """A video or image cannot be read or written."""
