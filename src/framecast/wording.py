"""Words that fit numbers."""


def counted(count: int, noun: str) -> str:
    """How many of a thing there are: "1 frame", "12,000 frames"; the noun takes an s."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
