"""Runs that stop between two steps of an epoch, and what an epoch that was paused has come to."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError


class EpochPaused(Exception):
    """Raised by a run's ``advance`` between two steps of an epoch.

    The run's ``arrays`` then hold the epoch so far, and the next ``advance`` goes on from there.
    """


def never() -> bool:
    """What a run asks after every step until somebody else wants to be asked.

    Returns
    -------
    bool
        False: the run is not to pause.
    """
    return False


@dataclass
class EpochProgress:
    """How far an epoch has come.

    Attributes
    ----------
    step : int
        Steps taken; 0 between epochs.
    squares, weight : float
        Sums of the data term.
    terms : dict
        Sums of the penalties.
    generator : dict or None
        The random generator's state after these steps.
    """

    step: int = 0
    squares: float = 0.0
    weight: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    generator: dict[str, Any] | None = None

    def copy(self) -> EpochProgress:
        """The same progress, whose sums can be added to.

        Returns
        -------
        EpochProgress
        """
        return replace(self, terms=dict(self.terms))

    def to_array(self) -> NDArray[np.uint8]:
        """The progress as an array for a state.

        Returns
        -------
        ndarray of uint8
            JSON in UTF-8, which keeps every bit of a double.
        """
        return np.frombuffer(json.dumps(asdict(self)).encode("utf-8"), np.uint8).copy()

    @classmethod
    def from_array(cls, array: NDArray[np.uint8], name: str) -> EpochProgress:
        """The progress that :meth:`to_array` was called on.

        Parameters
        ----------
        array : ndarray of uint8
        name : str
            Of the array, for the message.

        Returns
        -------
        EpochProgress

        Raises
        ------
        InputError
            If it is something else, with `name` as the field.
        """
        try:
            return cls(**json.loads(array.tobytes()))
        except (ValueError, TypeError) as error:
            raise InputError(f"does not tell how far an epoch has come ({error})", field=name) from error
