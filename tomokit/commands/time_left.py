"""How much of a fit is done and how long the rest takes, by the epochs that are finished and the steps since."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

_RECENT = 5


class TimeLeft:
    """An estimate of the share that is done and of the time that is left, which counts down between epochs.

    Parameters
    ----------
    began : float
        When the fit began, in seconds of any clock.
    costs : sequence of float
        What each epoch of the whole run takes, relative to the others; empty if they are all alike.
    """

    def __init__(self, began: float, costs: Sequence[float] = ()) -> None:
        self._costs = list(costs)
        self._since = began
        self._steps_since = 0.0
        self._rates: list[float] = []
        self._done = self._total = 0

    def epoch(self, done: int, total: int, now: float) -> None:
        """Take in a finished epoch.

        Parameters
        ----------
        done, total : int
            Epochs finished, and epochs of the whole run.
        now : float
            When it was finished.
        """
        self._done, self._total, self._steps_since = done, total, 0.0
        self._rates.append((now - self._since) / self._cost(done - 1))
        self._since = now

    def step(self, share: float) -> None:
        """Take in how far the epoch under way has come.

        Parameters
        ----------
        share : float
            From 0 to 1.
        """
        self._steps_since = share

    @property
    def share(self) -> float | None:
        """The part of the whole fit that is done, from 0 to 1; None before the first epoch is finished."""
        if not self._total:
            return None
        under_way = self._steps_since * self._cost(self._done) if self._done < self._total else 0.0
        return (self._sum(0, self._done) + under_way) / self._sum(0, self._total)

    def left(self, now: float) -> float | None:
        """Estimate the seconds that are left.

        Parameters
        ----------
        now : float
            The present, by the same clock.

        Returns
        -------
        float or None
            None before the first epoch is finished. An epoch that takes longer than was expected does not make it
            negative: what comes after that epoch is left in any case.
        """
        if not self._rates:
            return None
        # The first epoch compiles and warms up, and single ones are held up by others: neither has much say.
        recent = self._rates[-_RECENT:]
        rate = min(recent) if len(recent) == 2 else median(recent)
        after_this = rate * self._sum(self._done + 1, self._total)
        return max(rate * self._sum(self._done, self._total) - (now - self._since), after_this, 0.0)

    def _cost(self, epoch: int) -> float:
        return self._costs[epoch] if epoch < len(self._costs) else 1.0

    def _sum(self, first: int, stop: int) -> float:
        return sum(self._cost(epoch) for epoch in range(first, stop))


def clock_text(seconds: float) -> str:
    """A duration as a clock shows it.

    Parameters
    ----------
    seconds : float
        At least 0.

    Returns
    -------
    str
        ``"0:29"``, ``"12:05"`` or ``"3:00:00"``.
    """
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"
