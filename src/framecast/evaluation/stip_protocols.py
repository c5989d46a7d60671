"""The protocols of STIP at 512, 1024 and 2160 rows, by name.

Without a name behind the @ the split is by video; `@published` is the authors' split by window,
whose test videos are training videos.

Reference: STIP, Section IV, Tables III to VI. The tables count time from the first observed frame:
t = 5 is the first predicted one.
"""

from dataclasses import replace

from framecast.data.human36m import Human36m
from framecast.data.listed_videos import ListedVideos
from framecast.data.sjtu4k import Sjtu4k
from framecast.data.ucf_sports import UcfSports
from framecast.evaluation.protocol import Protocol

_BY_VIDEO = (
    "split by video; the paper's split is by window, and its figures are of models that have seen "
    "the test videos"
)
_BY_WINDOW = "published split: test videos are training videos"
_UCF = (
    "all 145 test videos are in the training list, 743 of 752 test windows are one "
    "frame from a training window"
)
_HUMAN = "the test list has windows of 838 of the 840 videos, of all seven persons"
_SJTU = "the paper's split is not published; scored are 2160 rows, whatever a model pads them to"
_OLD_SSIM = "SSIM assumes a data range of 2, which inflates it"


def _protocol(
    name: str, data: ListedVideos, horizon: int, report: tuple[int, ...], *notes: str
) -> Protocol:
    return Protocol(
        name,
        data,
        4,
        horizon,
        channels=3,
        metrics="stip",
        report_frames=report,
        notes=(*notes, _OLD_SSIM),
    )


def _published(protocol: Protocol, *notes: str) -> Protocol:
    return replace(
        protocol,
        name=f"{protocol.name}@published",
        data=replace(protocol.data, split="published"),
        notes=(_BY_WINDOW, *notes, _OLD_SSIM),
    )


def ucf_sports_4_6() -> Protocol:
    """UCF Sports at 512 pixels, 4 frames to 6, split by video."""
    return _protocol("ucf-sports/4-6", UcfSports(), 6, (5, 10), _BY_VIDEO)


def ucf_sports_4_1() -> Protocol:
    """UCF Sports at 512 pixels, 4 frames to 1, split by video."""
    return _protocol("ucf-sports/4-1", UcfSports(), 1, (), _BY_VIDEO)


def ucf_sports_4_6_published() -> Protocol:
    """UCF Sports at 512 pixels, 4 frames to 6, the published split, which leaks."""
    return _published(ucf_sports_4_6(), _UCF)


def ucf_sports_4_1_published() -> Protocol:
    """UCF Sports at 512 pixels, 4 frames to 1, the published split, which leaks."""
    return _published(ucf_sports_4_1(), _UCF)


def human36m_4_4() -> Protocol:
    """Human3.6M at 1024 pixels, 4 frames to 4, persons 9 and 11."""
    return _protocol("human36m/4-4", Human36m(), 4, (5, 8), _BY_VIDEO)


def human36m_4_1() -> Protocol:
    """Human3.6M at 1024 pixels, 4 frames to 1, persons 9 and 11."""
    return _protocol("human36m/4-1", Human36m(), 1, (), _BY_VIDEO)


def human36m_4_4_published() -> Protocol:
    """Human3.6M at 1024 pixels, 4 frames to 4, the published split, which leaks."""
    return _published(human36m_4_4(), _HUMAN)


def human36m_4_1_published() -> Protocol:
    """Human3.6M at 1024 pixels, 4 frames to 1, the published split, which leaks."""
    return _published(human36m_4_1(), _HUMAN)


def sjtu4k_4_4() -> Protocol:
    """SJTU4K at 2160×3840, 4 frames to 4, split by video."""
    return _protocol("sjtu4k/4-4", Sjtu4k(), 4, (5, 8), _BY_VIDEO, _SJTU)


def sjtu4k_4_1() -> Protocol:
    """SJTU4K at 2160×3840, 4 frames to 1, split by video."""
    return _protocol("sjtu4k/4-1", Sjtu4k(), 1, (), _BY_VIDEO, _SJTU)
