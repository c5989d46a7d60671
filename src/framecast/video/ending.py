"""Whether a file holds what its head promises: streaming formats end early without an error.

Matroska, WebM, FLV, AVI, MP4 and MOV state a length; MPEG-TS and raw streams state none.
"""

from typing import Any

import av
from av.error import FFmpegError

# What files say of their length is rounded, and trusted up to these.
_LEAST_FRAMES = 2.5
_LEAST_SHARE = 0.02


def lost(container: Any, stream: Any, end: float, rate: float) -> int:
    """How many frames a video lacks at its end by what its file states, about; 0 if none.

    Args:
        container: decoded to its end.
        stream: its video stream.
        end: seconds from the first frame to the end of the last one.
        rate: frames per second.
    """
    start = float((stream.start_time or 0) * (stream.time_base or 0))
    # Some formats count their length from 0, others from the first frame.
    reached = max(end, end + start)
    stated = _of_stream(container, stream)
    if stated is None:
        whole = _of_file(container)
        # The length of a whole file may be that of its sound.
        if _missing(whole, reached, rate) and len(container.streams) > 1:
            reached = max(reached, _last_packet(container.name))
        stated = whole
    return _missing(stated, reached, rate)


def _missing(stated: float, reached: float, rate: float) -> int:
    seconds = stated - reached
    enough = seconds > _LEAST_SHARE * stated and seconds * rate > _LEAST_FRAMES
    return round(seconds * rate) if enough else 0


def _of_stream(container: Any, stream: Any) -> float | None:
    """When the video ends by the head of its file, in seconds; None where nothing says it."""
    names = _names(container)
    if "mov" in names:
        shown = [entry.timestamp for entry in stream.index_entries if not entry.is_discard]
        return float(max(shown) * stream.time_base) if shown else None
    if "avi" in names and stream.frames and stream.average_rate:
        return float(stream.frames / stream.average_rate)
    return _seconds(stream.metadata.get("DURATION", "")) if "matroska" in names else None


def _of_file(container: Any) -> float:
    """Seconds that the head of a file states for all that is in it; 0 where it states none.

    FFmpeg guesses the length of other formats from what it finds in them.
    """
    states = _names(container) & {"matroska", "flv"}
    return (container.duration or 0) / av.time_base if states else 0.0


def _names(container: Any) -> set[str]:
    return set(container.format.name.split(","))


def _last_packet(name: str) -> float:
    """When the last packet of any stream of a file ends, in seconds."""
    last = 0.0
    try:
        with av.open(name, metadata_errors="replace") as container:
            for packet in container.demux():
                if packet.pts is not None and packet.time_base is not None:
                    last = max(
                        last, float((packet.pts + (packet.duration or 0)) * packet.time_base)
                    )
    except (FFmpegError, OSError):  # so far it could be read
        return last
    return last


def _seconds(clock: str) -> float | None:
    """Seconds of `HH:MM:SS.fraction`."""
    try:
        hours, minutes, seconds = map(float, clock.split(":"))
    except ValueError:
        return None
    return (hours * 60 + minutes) * 60 + seconds
