"""What a job tells its listener while it goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol


class Progress(Protocol):
    """A listener to a job. Every call returns at once and changes nothing of the result.

    One that does not derive from :class:`Silent` may do without ``epochs_begin`` and ``step``.
    """

    def stage(self, text: str) -> None:
        """Hear that a new part of the work begins.

        Parameters
        ----------
        text : str
            What it is, in a few words, such as ``"reading tilts.mrc"``.
        """
        ...

    def epochs_begin(self, costs: Sequence[float]) -> None:
        """Hear that the epochs begin, in the stage that was told last.

        Parameters
        ----------
        costs : sequence of float
            What each epoch of the whole run takes, relative to the others; empty if that is not known.
        """
        ...

    def step(self, share: float) -> None:
        """Hear that a step of an epoch is finished.

        Parameters
        ----------
        share : float
            The part of the epoch that is done, from 0 to 1; 0 while it is not known how many steps an epoch has.
        """
        ...

    def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
        """Hear that an epoch is finished.

        Parameters
        ----------
        done, total : int
            Epochs finished, and epochs of the whole run.
        terms : mapping of str to float
            What the run's ``advance`` returned: ``"loss"``, its terms, and counts such as ``"leaves"``.
        correlation : float or None
            Of the held-out views, if there are any.
        """
        ...

    def warning(self, text: str) -> None:
        """Hear what the user should know at once; the summary has it too.

        Parameters
        ----------
        text : str
            One line.
        """
        ...


class Silent:
    """A listener that ignores everything, and a base for those that listen to some of it."""

    def stage(self, text: str) -> None:
        """Ignore the new stage (see :class:`Progress`)."""

    def epochs_begin(self, costs: Sequence[float]) -> None:
        """Ignore that the epochs begin (see :class:`Progress`)."""

    def step(self, share: float) -> None:
        """Ignore the finished step (see :class:`Progress`)."""

    def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
        """Ignore the finished epoch (see :class:`Progress`)."""

    def warning(self, text: str) -> None:
        """Ignore the warning (see :class:`Progress`)."""
