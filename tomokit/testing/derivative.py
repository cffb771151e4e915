"""Directional derivatives of functions that may have kinks, and how far a kink can have led them astray.

A kink of size J (the change of slope) at a distance d within the step h moves the central difference by
``J (h - d) / 2h``, and the second difference over h by ``J (h - d) / h``: twice as much. So half of that is what a
kink can explain of a disagreement; what it cannot explain is a wrong gradient. Of a smooth function the second
difference over h is of the order of h, far below what matters.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

STEP = 1e-7
_ROUNDING = 16 * np.finfo(np.float64).eps


@dataclass(frozen=True)
class Slope:
    """A directional derivative by finite differences, with the bounds of its error.

    Attributes
    ----------
    value : float
        The central difference.
    rounding : float
        Most that rounding may have changed `value`.
    kink : float
        The second difference over the step; half of it is the most that kinks may have changed `value`.
    """

    value: float
    rounding: float
    kink: float


def slope(
    function: Callable[[NDArray[np.float64]], float],
    at: NDArray[np.float64],
    direction: NDArray[np.float64],
    step: float = STEP,
) -> Slope:
    """Differentiate a function along a direction by central differences.

    Parameters
    ----------
    function : callable
        A scalar function of an array like `at`.
    at, direction : ndarray of float64
        Place and direction, of one shape; the direction's entries are of the order of 1.
    step : float
        How far to go along the direction, either way.

    Returns
    -------
    Slope
        The derivative, with what rounding and kinks may have done to it.
    """
    # The value in the middle is for the second difference, which tells a kink from a smooth function.
    above, middle, below = (function(at + factor * step * direction) for factor in (1.0, 0.0, -1.0))
    rounding = _ROUNDING * (abs(above) + abs(middle) + abs(below)) / step
    return Slope((above - below) / (2 * step), rounding, abs(above - 2 * middle + below) / step)
