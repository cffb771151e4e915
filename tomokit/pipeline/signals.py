"""Signals that ask a run to end: finish the step, save, and leave."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType

STOPPED = 75
"""Exit status of a run that was stopped and can be resumed: EX_TEMPFAIL of sysexits.h."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGHUP)

_IGNORABLE = (signal.SIGINT, signal.SIGHUP)
"""Signals that a shell has ignored for jobs in the background, or under ``nohup``: they stay so."""

_SHOW_CURSOR = "\x1b[?25h"


class StoppedEarly(KeyboardInterrupt):
    """Raised where the process is by a signal that comes before the first step is done, such as during compilation."""


class Stop:
    """Whether a run is to end, and by which signal.

    Attributes
    ----------
    signal : str or None
        Name of the first signal that came, such as ``"SIGTERM"``.
    has_steps : bool
        Whether a step has been done in this process, so that there is something to be saved. Before it, a signal raises
        :class:`StoppedEarly`.
    was_early : bool
        Whether a signal has done so.
    is_resumable : bool
        Whether the state file is one of this run.
    """

    def __init__(self) -> None:
        self.signal: str | None = None
        self.has_steps = self.was_early = self.is_resumable = False

    @property
    def requested(self) -> bool:
        """Whether a signal has come."""
        return self.signal is not None


@contextmanager
def stop_on_signals() -> Iterator[Stop]:
    """Let SIGTERM, SIGINT, SIGUSR1 and SIGHUP set a :class:`Stop`; only in the main thread.

    Before the first step is done they end the job at once. Afterwards, a first SIGINT gives the second one its default
    effect: it ends the process at once, in the middle of any kernel, which a handler written in Python would have to
    wait for.

    Yields
    ------
    Stop
        Set by the first signal. Handlers are as before when the context ends.
    """
    stop = Stop()

    def handle(number: int, frame: FrameType | None) -> None:
        first = not stop.requested
        stop.signal = stop.signal or signal.Signals(number).name
        if not stop.has_steps:
            stop.was_early = True
            raise StoppedEarly(stop.signal)
        if number == signal.SIGINT:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
        if first:
            _announce(stop.signal, number == signal.SIGINT)

    heeded = [one for one in SIGNALS if not (one in _IGNORABLE and signal.getsignal(one) is signal.SIG_IGN)]
    before = {number: signal.signal(number, handle) for number in heeded}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _announce(name: str, by_hand: bool) -> None:
    """Say on stderr that the run will end.

    Straight to the descriptor: what is being written to the stream at this moment may not be entered again.
    """
    if sys.stderr is None:
        return
    again = "; once more to leave at once" if by_hand else ""
    with suppress(OSError, ValueError):
        # A second SIGINT leaves no time to bring back a cursor that the progress bar hides.
        shown = _SHOW_CURSOR + "\r" if sys.stderr.isatty() else ""
        line = f"{shown}tomokit: {name}: finishing the step and saving the state{again}\n"
        os.write(sys.stderr.fileno(), line.encode("ascii"))
