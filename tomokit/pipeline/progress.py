"""What a job tells its listener while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """A listener to a job. Every call returns at once and changes nothing of the result."""

    def stage(self, text: str) -> None:
        """Hear that a new part of the work begins.

        Parameters
        ----------
        text : str
            What it is, in a few words, such as ``"reading tilts.mrc"``.
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

    def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
        """Ignore the finished epoch (see :class:`Progress`)."""

    def warning(self, text: str) -> None:
        """Ignore the warning (see :class:`Progress`)."""
