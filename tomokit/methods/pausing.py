"""What a run may offer beyond its contract, so that it can be saved better.

Without the first it is stopped and saved between epochs; without the second the state holds the volume beside its
arrays; without the third the provenance has the options as they were given, and no more.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError


class EpochPaused(Exception):
    """Raised by ``advance`` between two steps; ``arrays`` then tells all, and ``advance`` goes on from there."""


@runtime_checkable
class Pausable(Protocol):
    """A run whose epochs have steps.

    Attributes
    ----------
    pause : callable
        Asked after every step but an epoch's last; if it says True, ``advance`` raises :class:`EpochPaused`.
    """

    pause: Callable[[], bool]


@runtime_checkable
class Samplable(Protocol):
    """A run that says how its density follows from its arrays."""

    def stored_density(self) -> dict[str, Any]:
        """The recipe, JSON-serializable, as :mod:`tomokit.state.density` reads it."""
        ...


@runtime_checkable
class ResolvesParameters(Protocol):
    """A run that tells what it made of options that were left to it."""

    def resolved_parameters(self) -> dict[str, Any]:
        """Values that follow from the data and the options, JSON-serializable, for the provenance."""
        ...


def never() -> bool:
    """Go on."""
    return False


@dataclass
class EpochProgress:
    """An epoch under way.

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

    def to_array(self) -> NDArray[np.uint8]:
        """As JSON in UTF-8, which keeps every bit of a double."""
        return np.frombuffer(json.dumps(asdict(self)).encode("utf-8"), np.uint8).copy()

    @classmethod
    def from_array(cls, array: NDArray[np.uint8], name: str) -> EpochProgress:
        """What :meth:`to_array` was called on.

        Raises
        ------
        InputError
            If it is something else, with `name` as the field.
        """
        try:
            return cls(**json.loads(array.tobytes()))
        except (ValueError, TypeError) as error:
            raise InputError(f"does not tell how far an epoch has come ({error})", field=name) from error
