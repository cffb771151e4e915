"""SIGTERM and SIGHUP while outputs are written: what is half written is removed first."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Ended(BaseException):
    """Raised by a signal where the process is; no error that a library could take for its own."""


@contextmanager
def clean_end() -> Iterator[None]:
    """Let SIGTERM and SIGHUP end the process by way of the body's own clean-up; only in the main thread.

    A signal that is ignored, or has a handler already, is left alone.

    Yields
    ------
    None
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []

    def handle(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise _Ended

    numbers = [one for one in (signal.SIGTERM, signal.SIGHUP) if signal.getsignal(one) is signal.SIG_DFL]
    try:
        for number in numbers:
            signal.signal(number, handle)
        yield
    except _Ended:
        pass
    finally:
        for number in numbers:
            signal.signal(number, signal.SIG_DFL)
    if came:
        # Whoever waits for this process is told by which signal it ended.
        signal.raise_signal(came[0])
