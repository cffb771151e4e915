"""Progress where there is no terminal: lines for a log, some ten in a fit and one a minute."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tomokit.commands.time_left import TimeLeft, clock_text

_TENTHS = 10
_HELD_BACK_SECONDS = 1.0
_MINUTE_SECONDS = 60.0


class ProgressLines:
    """Progress as lines: each stage, each tenth of the fit, and each minute that has passed without a line.

    What is said in the first second is held back until there is more to say, so that a job that is refused says why and
    nothing else.

    Parameters
    ----------
    say : callable
        Prints a line, at once.
    now : callable
        The time in seconds.
    """

    def __init__(self, say: Callable[[str], None], now: Callable[[], float] = time.monotonic) -> None:
        self._say, self._now = say, now
        self._began = self._last = now()
        self._held: list[str] | None = []
        self._stage = ""
        self._numbers = ""
        self._fit: TimeLeft | None = None
        self._tenths = 0
        # A thread of its own says what is due while an epoch takes long.
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._watch = threading.Thread(target=self._keep_saying, name="tomokit-progress", daemon=True)

    def start(self) -> None:
        """Begin to look at the clock."""
        self._watch.start()

    def stop(self, refused: bool) -> None:
        """End, and say what was held back, unless the job was refused.

        Parameters
        ----------
        refused : bool
            Whether it ended with an error.
        """
        self._ended.set()
        with self._lock:
            if not refused:
                self._release()
            self._held = None

    def flush(self) -> None:
        """Say what is held back, before something else is said."""
        with self._lock:
            self._release()

    def stage(self, text: str) -> None:
        """Begin a stage (see :class:`tomokit.pipeline.progress.Progress`)."""
        with self._lock:
            self._stage, self._numbers, self._fit = text, "", None
            self._line(text)

    def fit(self, fit: TimeLeft) -> None:
        """Begin the fit, as the stage that has epochs.

        Parameters
        ----------
        fit : TimeLeft
            Knows how far it is.
        """
        with self._lock:
            self._fit, self._tenths = fit, 0

    def epoch(self, numbers: str) -> None:
        """Take in the numbers of an epoch that is finished.

        Parameters
        ----------
        numbers : str
            The epoch and its loss in a line.
        """
        with self._lock:
            self._numbers = numbers
            self._release()
            self._say_if_due()

    def step(self) -> None:
        """Look whether a line is due, within an epoch."""
        with self._lock:
            self._say_if_due()

    def _keep_saying(self) -> None:
        while not self._ended.wait(_HELD_BACK_SECONDS):
            with self._lock:
                if self._now() - self._began >= _HELD_BACK_SECONDS:
                    self._release()
                self._say_if_due()

    def _say_if_due(self) -> None:
        """The line of a tenth that is done, or of a minute that has passed."""
        now, share = self._now(), None if self._fit is None else self._fit.share
        tenths = 0 if share is None else int(_TENTHS * share + 1e-9)
        if tenths > self._tenths:
            self._tenths = tenths
        elif now - self._last < _MINUTE_SECONDS or not self._stage:
            return
        if self._fit is None or share is None:
            self._line(f"{self._stage}: {clock_text(now - self._began)} elapsed")
            return
        left = self._fit.left(now)
        times = f"{clock_text(now - self._began)} elapsed"
        if left is not None and share < 1:
            times += f", about {clock_text(left)} left"
        numbers = self._numbers.replace("  ", ", ")
        self._line(f"{100 * share:.0f} %: {times}{f'; {numbers}' if numbers else ''}")

    def _line(self, text: str) -> None:
        self._last = self._now()
        if self._held is None:
            self._say(text)
        else:
            self._held.append(text)

    def _release(self) -> None:
        held, self._held = self._held, None
        for text in held or ():
            self._say(text)
