"""What a run tells while it goes on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Listens to a run. Every call returns at once and changes nothing."""

    def stage(self, text: str) -> None:
        """A new part of the work begins."""
        ...

    def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
        """`done` of `total` epochs are finished.

        Parameters
        ----------
        done, total : int
        terms : mapping
            What the run's ``advance`` returned: ``"loss"``, its terms, and counts such as ``"leaves"``.
        correlation : float or None
            Of the held-out views, if there are any.
        """
        ...

    def warning(self, text: str) -> None:
        """Something the user should know at once; the summary has it too."""
        ...


class Silent:
    """A listener that says nothing."""

    def stage(self, text: str) -> None:
        """Ignore it."""

    def epoch(self, done: int, total: int, terms: Mapping[str, float], correlation: float | None) -> None:
        """Ignore it."""

    def warning(self, text: str) -> None:
        """Ignore it."""
