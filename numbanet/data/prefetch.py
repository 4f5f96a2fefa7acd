"""Read ahead in a thread: files are read and decoded while the model computes, and nothing else."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from typing import Any

_ITEM, _END, _ERROR = range(3)


class Prefetcher:
    """Iterate over ``source`` in a thread of its own, at most ``depth`` items ahead.

    What ``source`` raises is raised to the consumer, after the items that came before it. ``close()`` (called when
    the iterator is dropped, too) stops the thread and waits for it.
    """

    def __init__(self, source: Iterator[Any], depth: int) -> None:
        if depth < 1:
            raise ValueError(f"reading ahead needs a depth of at least 1, got {depth}")
        self._queue: queue.Queue = queue.Queue(depth)
        self._stop = threading.Event()
        # The thread holds no reference to this object: dropping the last one closes it.
        self._thread = threading.Thread(
            target=_fill, args=(source, self._queue, self._stop), name="numbanet-prefetch", daemon=True
        )
        self._thread.start()

    def __iter__(self) -> Prefetcher:
        return self

    def __next__(self) -> Any:
        if self._stop.is_set():
            raise StopIteration
        kind, value = self._queue.get()
        if kind == _ITEM:
            return value
        self.close()
        if kind == _ERROR:
            raise value
        raise StopIteration

    def close(self) -> None:
        """Stop the thread; items that were read ahead are dropped."""
        self._stop.set()
        # A put that waits for room gets it here; after it the thread sees the flag.
        while True:
            try:
                self._queue.get_nowait()
            except queue.Empty:
                break
        if self._thread is not threading.current_thread():
            self._thread.join()

    def __del__(self) -> None:
        if hasattr(self, "_thread"):
            self.close()


def _fill(source: Iterator[Any], items: queue.Queue, stop: threading.Event) -> None:
    try:
        for item in source:
            items.put((_ITEM, item))
            if stop.is_set():
                return
            item = None  # the consumer decides how long a batch lives
        last = (_END, None)
    except BaseException as error:  # whatever it is, it belongs to the consumer's thread
        last = (_ERROR, error)
    if not stop.is_set():
        items.put(last)
