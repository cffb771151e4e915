"""Interrupts that end the program whatever it is doing when they come.

Python raises ``KeyboardInterrupt`` in whatever code is running, and two kinds of code lose it: callbacks from C, such
as LLVM's while a kernel is compiled, where the exception is reported and forgotten; and libraries that turn whatever
goes wrong in their import into another error.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

_AGAIN_SECONDS = 0.05


@contextmanager
def heeded_interrupts() -> Iterator[Callable[[], bool]]:
    """Raise interrupts again that were lost in code that cannot be interrupted.

    Nothing is changed where SIGINT is ignored, or has a handler that is not Python's own.

    Yields
    ------
    callable
        Says whether an interrupt has come.
    """
    came, over = threading.Event(), threading.Event()
    timers: list[threading.Timer] = []
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield came.is_set
        return

    def handle(number: int, frame: FrameType | None) -> None:
        if over.is_set():
            return
        came.set()
        signal.default_int_handler(number, frame)

    def report(lost: sys.UnraisableHookArgs) -> None:
        if not issubclass(lost.exc_type, KeyboardInterrupt):
            before(lost)
            return
        # Sent by a timer a moment later: raised from here it would be lost once more. A signal, since it also ends what
        # the program may be waiting for by then.
        main_thread = threading.main_thread().ident
        timer = threading.Timer(_AGAIN_SECONDS, signal.pthread_kill, (main_thread, signal.SIGINT))
        timer.daemon = True
        timers.append(timer)
        timer.start()

    before = sys.unraisablehook
    signal.signal(signal.SIGINT, handle)
    sys.unraisablehook = report
    try:
        yield came.is_set
    finally:
        # What ended meanwhile must not be sent a lost interrupt as well: at the interpreter's end it would kill it.
        over.set()
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        sys.unraisablehook = before
        for timer in timers:
            timer.cancel()
            timer.join()
        signal.signal(signal.SIGINT, signal.default_int_handler)
