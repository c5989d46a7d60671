"""Videos of one's own, as the small presets take them."""

from framecast.data.video_folder import VideoFolder

PARTS = VideoFolder(
    size=(128, 128),
    crop=(64, 64),
    flip=True,
    channels=3,
    stride=2,
    most_windows=50,
    random_windows=False,
)
"""Parts of frames, mirrored or not, drawn anew in every epoch: few videos go further."""
