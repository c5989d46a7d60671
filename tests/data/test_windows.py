"""Windows against brute-force enumeration."""

import itertools
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from framecast.data.windows import Span, Window, Windows, runs

spans = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 30), st.integers(1, 9)).map(
        lambda x: (x[0], x[0] + x[1], x[2])
    ),
    max_size=6,
).map(lambda rows: tuple(Span(video, *row) for video, row in enumerate(rows)))


@given(spans, st.integers(1, 12), st.sampled_from(["first", "last"]))
def test_windows_are_those_that_enumeration_finds(spans, frames, anchor):
    expected = []
    for span in spans:
        if anchor == "first":
            starts = list(range(span.first, span.last + 2 - frames, span.stride))
        else:
            starts = list(range(span.last + 1 - frames, span.first - 1, -span.stride))[::-1]
        expected += [Window(span.video, start, frames) for start in starts]
    windows = Windows(spans, frames, anchor)
    assert [windows[i] for i in range(len(windows))] == expected
    assert windows.dropped == sum(span.last - span.first + 1 < frames for span in spans)


@given(spans, st.integers(1, 12), st.integers(0, 3), st.integers(0, 3))
def test_random_windows_stay_in_the_span_of_their_index(spans, frames, seed, epoch):
    windows = Windows(spans, frames)
    for index in range(len(windows)):
        window = windows.random(seed, epoch, index)
        span = spans[window.video]
        assert window == pickle.loads(pickle.dumps(windows)).random(seed, epoch, index)
        assert window.video == windows[index].video
        assert span.first <= window.start <= span.last + 1 - frames
        assert window.frames == frames


def test_random_windows_reach_every_start_and_differ_by_every_name():
    windows = Windows((Span(0, 5, 14, stride=3),), 6)
    starts = {windows.random(0, epoch, 0).start for epoch in range(200)}
    assert starts == {5, 6, 7, 8, 9}

    def draws(seed, index):
        return [windows.random(seed, epoch, index).start for epoch in range(20)]

    assert draws(0, 0) != draws(1, 0)
    assert draws(0, 0) != draws(0, 1)


def plain_order(window):
    return window.video, window.start


def test_mixed_windows_are_all_of_them_in_an_order_that_stands_for_all():
    spans = tuple(Span(video, 0, 99, 10) for video in range(20))
    plain, mixed = Windows(spans, 10), Windows(spans, 10, mixed=True)
    everywhere = [mixed[index] for index in range(len(mixed))]
    assert sorted(everywhere, key=plain_order) == [plain[index] for index in range(len(plain))]
    assert len({window.video for window in everywhere[:20]}) > 10
    assert len({window.video for window in (plain[index] for index in range(20))}) == 2
    assert everywhere == [Windows(spans, 10, mixed=True)[index] for index in range(len(mixed))]


def test_windows_out_of_reach_are_index_errors():
    windows = Windows((Span(0, 0, 9),), 10)
    assert len(windows) == 1
    for index in (-1, 1):
        with pytest.raises(IndexError, match="of 1"):
            windows[index]
        with pytest.raises(IndexError, match="of 1"):
            windows.random(0, 0, index)
    assert len(Windows((), 4)) == 0


@pytest.mark.parametrize(("frames", "stride"), [(0, 1), (1, 0), (-3, 2)])
def test_empty_windows_and_strides_are_refused(frames, stride):
    with pytest.raises(ValueError, match="at least one frame"):
        Windows((Span(0, 0, 9, stride=stride),), frames)


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 12)), max_size=8))
def test_runs_hold_the_same_frames_and_never_touch(pairs):
    ranges = [(first, first + more) for first, more in pairs]
    joined = runs(ranges)
    frames = {f for first, last in ranges for f in range(first, last + 1)}
    assert [f for first, last in joined for f in range(first, last + 1)] == sorted(frames)
    assert all(later[0] > earlier[1] + 1 for earlier, later in itertools.pairwise(joined))


@given(
    spans=st.lists(
        st.builds(
            Span, st.integers(0, 2), st.just(0), st.integers(0, 12), stride=st.integers(1, 6)
        ),
        max_size=3,
        unique_by=lambda span: span.video,
    ),
    frames=st.integers(1, 6),
)
def test_windows_overlap_where_two_share_a_frame(spans: list[Span], frames: int) -> None:
    windows = Windows(tuple(spans), frames)
    each = [windows[number] for number in range(len(windows))]
    seen = [(w.video, frame) for w in each for frame in range(w.start, w.start + w.frames)]
    assert windows.overlap == (len(set(seen)) < len(seen))


@given(spans, st.integers(1, 12), st.integers(1, 3))
def test_windows_of_two_spans_may_overlap_too(spans, frames, videos):
    spans = tuple(Span(s.video % videos, s.first, s.last, s.stride) for s in spans)
    windows = Windows(spans, frames)
    rows = [windows[index] for index in range(len(windows))]
    seen = [(row.video, row.start + n) for row in rows for n in range(frames)]
    assert windows.overlap == (len(set(seen)) < len(seen))
