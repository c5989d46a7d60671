"""Video in and out: any file that FFmpeg knows, GIFs, and folders of images.

`probe` says what a video is, `frames` streams it, `read` makes a `Clip` of it, and `Writer`
writes one. Frame numbers count from 0, times are in seconds since the first frame, and rotation is
applied.
"""

from framecast.video.fit import Size, fit, fit_bytes, fit_image, to_gray
from framecast.video.folder import FOLDER_FPS, image_size, is_image, load_image, missing, natural
from framecast.video.probe import VideoInfo, is_video, probe
from framecast.video.read import Frame, frames, read
from framecast.video.stream import FrameWarning
from framecast.video.write import Writer

__all__ = [
    "FOLDER_FPS",
    "Frame",
    "FrameWarning",
    "Size",
    "VideoInfo",
    "Writer",
    "fit",
    "fit_bytes",
    "fit_image",
    "frames",
    "image_size",
    "is_image",
    "is_video",
    "load_image",
    "missing",
    "natural",
    "probe",
    "read",
    "to_gray",
]
