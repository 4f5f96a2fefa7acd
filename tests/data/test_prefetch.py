"""The reading thread: bounded, honest about errors, gone when nobody wants its items."""

from __future__ import annotations

import gc
import threading
import time

import pytest

from numbanet.data.prefetch import Prefetcher


def running():
    return [thread for thread in threading.enumerate() if thread.name == "numbanet-prefetch"]


def test_items_come_in_order_and_then_it_ends():
    ahead = Prefetcher(iter(range(100)), 3)
    assert list(ahead) == list(range(100))
    assert list(ahead) == []
    assert not running()


def test_items_are_made_in_another_thread():
    threads = list(Prefetcher((threading.current_thread() for _ in range(2)), 1))
    assert all(thread is not threading.current_thread() for thread in threads)


def test_no_more_than_depth_items_are_made_ahead():
    made = []

    def source():
        for number in range(50):
            made.append(number)
            yield number

    ahead = Prefetcher(source(), 4)
    next(ahead)
    deadline = time.monotonic() + 5
    while len(made) < 6 and time.monotonic() < deadline:
        time.sleep(0.001)
    time.sleep(0.02)
    assert len(made) == 6  # one taken, four waiting, one that waits for room
    ahead.close()
    assert not running()


def test_dropping_the_iterator_stops_the_thread():
    ahead = Prefetcher(iter(int, 1), 2)
    next(ahead)
    assert len(running()) == 1
    del ahead
    gc.collect()
    assert not running()


def test_errors_come_after_the_items_before_them():
    def source():
        yield 1
        raise RuntimeError("no more")

    ahead = Prefetcher(source(), 5)
    assert next(ahead) == 1
    with pytest.raises(RuntimeError, match="no more"):
        next(ahead)
    assert not running()
    assert list(ahead) == []


def test_depth_must_be_positive():
    with pytest.raises(ValueError, match="depth of at least 1"):
        Prefetcher(iter([]), 0)
