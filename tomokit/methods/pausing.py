"""Pauses between two steps of an epoch, and the progress of an epoch that was paused."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError


class EpochPaused(Exception):
    """Raised by a run's ``advance`` between two steps of an epoch.

    The run's ``arrays`` then hold the epoch so far, and the next ``advance`` continues from there.
    """


def never() -> bool:
    """The default of a run's ``pause``, which is asked after every step: never pause.

    Returns
    -------
    bool
        False: the run is not to pause.
    """
    return False


@dataclass
class EpochProgress:
    """How far an epoch has come: its steps and the sums over them.

    Attributes
    ----------
    step : int
        Steps taken; 0 between epochs.
    squares, weight : float
        Sums over these steps of ``m r^2`` and of m, residuals in units of projection; their quotient is the data term.
    terms : dict
        Weighted penalties by the regularizer's name, each divided by the number of the epoch's steps.
    generator : dict or None
        State of NumPy's random generator after these steps, JSON-serializable; None between epochs.
    """

    step: int = 0
    squares: float = 0.0
    weight: float = 0.0
    terms: dict[str, float] = field(default_factory=dict)
    generator: dict[str, Any] | None = None

    def copy(self) -> EpochProgress:
        """Copy the progress, so that sums can be added to without changing the original.

        Returns
        -------
        EpochProgress
        """
        return replace(self, terms=dict(self.terms))

    def to_array(self) -> NDArray[np.uint8]:
        """Encode the progress as an array, to be saved in a state.

        Returns
        -------
        ndarray of uint8
            JSON in UTF-8, which keeps every bit of a double.
        """
        return np.frombuffer(json.dumps(asdict(self)).encode("utf-8"), np.uint8).copy()

    @classmethod
    def from_array(cls, array: NDArray[np.uint8], name: str) -> EpochProgress:
        """Decode the progress from an array that :meth:`to_array` made.

        Parameters
        ----------
        array : ndarray of uint8
            JSON in UTF-8.
        name : str
            Name of the array in the state, for the message.

        Returns
        -------
        EpochProgress

        Raises
        ------
        InputError
            If the array is something else, with `name` as the field.
        """
        # A state may come from anywhere: unknown names and broken JSON alike are refused by name.
        try:
            progress = cls(**json.loads(array.tobytes()))
            progress._check()
        except (ValueError, TypeError, LookupError, ArithmeticError, RecursionError) as error:
            raise InputError(f"does not tell how far an epoch has come ({error})", field=name) from error
        return progress

    def _check(self) -> None:
        """Raise an error of some kind if a value is not what its attribute is described to be."""
        if type(self.step) is not int or self.step < 0:
            raise ValueError("step is no number of steps")
        if not isinstance(self.terms, dict):
            raise TypeError("terms is no table")
        numbers = {"squares": self.squares, "weight": self.weight, **self.terms}
        for name, number in numbers.items():
            if type(number) not in (int, float) or not math.isfinite(number):
                raise ValueError(f"{name} is no finite number")
        # Tried on a generator of its own: NumPy raises what its own checks raise.
        generator: Any = self.generator
        if generator is not None:
            np.random.PCG64(0).state = generator
