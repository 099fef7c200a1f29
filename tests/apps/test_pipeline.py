import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vmfm.apps.pipeline import Feed, Sink, queue_depth


@given(items=st.lists(st.integers(), max_size=40), depth=st.integers(1, 5))
def test_items_pass_in_order(items, depth):
    passed = []
    with Sink(passed.append, depth) as sink, Feed(items, depth) as feed:
        for item in feed:
            sink.put(item)
    assert passed == items


def test_an_error_of_the_source_arrives_after_what_came_before():
    def source():
        yield 1
        raise ValueError("source")

    seen = []
    with pytest.raises(ValueError, match="source"), Feed(source(), 4) as feed:
        seen.extend(feed)
    assert seen == [1]


def test_an_error_of_the_sink_stops_the_caller():
    def refuse(item):
        if item == 3:
            raise ValueError("sink")

    with pytest.raises(ValueError, match="sink"), Sink(refuse, 2) as sink:
        for item in range(1_000_000):
            sink.put(item)


def test_an_error_on_the_very_last_item_is_raised():
    def refuse(item):
        time.sleep(0.05)
        raise ValueError("late")

    with pytest.raises(ValueError, match="late"), Sink(refuse, 2) as sink:
        sink.put(1)


def test_leaving_early_stops_the_threads_and_drops_what_waits():
    consumed = []

    def slow(item):
        time.sleep(0.02)
        consumed.append(item)

    def endless():
        while True:
            yield 1

    def leave():
        with Sink(slow, 50) as sink, Feed(endless(), 3) as feed:
            for count, item in enumerate(feed):
                sink.put(item)
                if count == 30:
                    raise KeyboardInterrupt

    started = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        leave()
    assert time.perf_counter() - started < 2
    assert len(consumed) < 31
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vmfm-")]


def test_feeds_in_a_row_pass_items_errors_and_the_end():
    def source():
        yield from range(20)
        raise ValueError("source")

    seen = []
    with (
        pytest.raises(ValueError, match="source"),
        Feed(source(), 2) as first,
        Feed((2 * n for n in first), 2) as second,
    ):
        seen.extend(second)
    assert seen == list(range(0, 40, 2))
    with Feed(iter(range(1_000_000)), 2) as first, Feed((n for n in first), 2) as second:
        assert next(iter(second)) == 0
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("vmfm-")]


def test_the_source_runs_ahead_by_the_depth_and_no_further():
    made = []

    def source():
        for number in range(100):
            made.append(number)
            yield number

    with Feed(source(), 3) as feed:
        next(iter(feed))
        time.sleep(0.3)
        assert len(made) <= 5


def test_a_queue_holds_fewer_large_items():
    assert queue_depth(640 * 480 * 14) == 8
    assert queue_depth(8000 * 8000 * 14) == 1
    assert queue_depth(0) == 8
