"""SIGINT and SIGTERM as a flag that a loop looks at, so that a run stops between two steps and saves first."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class InterruptFlag:
    """Context manager: ``flag.signal`` becomes the number of the signal that came.

    A second signal acts at once (KeyboardInterrupt). Outside the main thread, where Python cannot set handlers, it
    does nothing.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.signal: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> InterruptFlag:
        if threading.current_thread() is threading.main_thread():
            for number in self.SIGNALS:
                self._before[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._before.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number
