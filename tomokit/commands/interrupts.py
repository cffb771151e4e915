"""An interrupt ends the program wherever it finds it.

Python raises ``KeyboardInterrupt`` in whatever runs, and two places lose it: a callback from C, such as LLVM's when a
kernel is compiled, where it is reported and forgotten; and libraries that turn whatever goes wrong in their import
into another error.
"""

from __future__ import annotations

import _thread
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

_AGAIN_SECONDS = 0.05


@contextmanager
def heeded_interrupts() -> Iterator[Callable[[], bool]]:
    """Raise an interrupt again where it was lost; gives a function that says whether one has come.

    Nothing is changed where SIGINT is ignored, or is somebody else's.
    """
    came = threading.Event()
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield came.is_set
        return

    def handle(number: int, frame: FrameType | None) -> None:
        came.set()
        signal.default_int_handler(number, frame)

    def report(lost: Any) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            before(lost)
            return
        # Not from here: it would be lost once more.
        timer = threading.Timer(_AGAIN_SECONDS, _thread.interrupt_main)
        timer.daemon = True
        timer.start()

    before = sys.unraisablehook
    signal.signal(signal.SIGINT, handle)
    sys.unraisablehook = report
    try:
        yield came.is_set
    finally:
        sys.unraisablehook = before
        signal.signal(signal.SIGINT, signal.default_int_handler)
