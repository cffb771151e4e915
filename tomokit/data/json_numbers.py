"""Numbers for JSON, which has neither NaN nor infinity."""

from __future__ import annotations

import math


def finite_or_none(value: float) -> float | None:
    """Keep a number that JSON has.

    Parameters
    ----------
    value : float

    Returns
    -------
    float or None
        A Python float; None if the value is NaN or infinite.
    """
    return float(value) if math.isfinite(value) else None
