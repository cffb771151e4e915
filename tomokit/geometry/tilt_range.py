"""Evenly spaced tilt angles from the text of an option, ``START:STOP:STEP``."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError

_MOST_VIEWS = 10_000
_STEP_TOLERANCE = 1e-6
_ROUNDING_DEG = 4e-11  # what rounding to ten decimals takes away


def parse_tilts(text: str, field: str = "--tilts") -> NDArray[np.float64]:
    """Read evenly spaced tilt angles from ``START:STOP:STEP`` in degrees.

    STOP is included if it is hit within a millionth of a step. The angles descend if STEP is negative.

    Parameters
    ----------
    text : str
        Such as ``"-60:60:3"``.
    field : str
        The option that it was given to, for messages.

    Returns
    -------
    ndarray of float64, shape (n_views,)
        Degrees, rounded to ten decimals.

    Raises
    ------
    OptionError
        If the text is not three finite numbers, the step is zero or leads away from STOP, an angle is beyond 90
        degrees, or there would be more than 10 000 views.
    """
    remedy = "give START:STOP:STEP in degrees, as in -60:60:3"
    try:
        start, stop, step = (float(part) for part in text.split(":"))
    except ValueError:
        raise OptionError(f"{text!r} is not three numbers", field=field, remedy=remedy) from None
    if not (math.isfinite(start) and math.isfinite(stop) and math.isfinite(step)):
        raise OptionError(f"{text!r} holds a number that is not finite", field=field, remedy=remedy)
    if step == 0:
        raise OptionError(f"{text!r} has a step of zero", field=field, remedy=remedy)
    steps = (stop - start) / step + _STEP_TOLERANCE
    if steps < 0:
        raise OptionError(f"{text!r} steps away from its end", field=field, remedy="change the sign of the step")
    if steps >= _MOST_VIEWS:
        raise OptionError(f"{text!r} makes more than {_MOST_VIEWS} views", field=field, remedy="give a larger step")
    angles = start + step * np.arange(math.floor(steps) + 1)
    if np.abs(angles).max() > 90 + _ROUNDING_DEG:
        raise OptionError(f"{text!r} goes beyond 90 degrees", field=field, remedy="stay within -90 and 90")
    # Rounded, so that a tenth of a degree added many times stays a tenth of a degree.
    return np.round(angles, 10)
