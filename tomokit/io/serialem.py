"""Facts that SerialEM writes as text: in the titles of an ``.mdoc``, which are labels of the MRC header too."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable

from tomokit.io.table import as_minus

_AXIS = re.compile(
    r"Tilt axis (?:rotation )?angle *= *([+-]?\d{1,6}(?:[.,]\d{1,12})?(?:[eE][+-]?\d{1,2})?)", re.IGNORECASE
)
_BINNING = re.compile(r"\bbinning *= *(\d{1,3}(?:[.,]\d{1,6})?)", re.IGNORECASE)


def tilt_axis_of_titles(titles: Iterable[str]) -> float | None:
    """Find the angle of the tilt axis in titles such as ``Tilt axis angle = 85.3, binning = 4  spot = 8``.

    Parameters
    ----------
    titles : iterable of str
        Titles of an ``.mdoc``, or labels of a header.

    Returns
    -------
    float or None
        Degrees from the images' y axis, counter-clockwise, as SerialEM and IMOD count; None if no title has one.
    """
    return _first(_AXIS, titles)


def binning_of_titles(titles: Iterable[str]) -> float | None:
    """Find the camera's binning in the same titles.

    Parameters
    ----------
    titles : iterable of str
        Titles of an ``.mdoc``, or labels of a header.

    Returns
    -------
    float or None
        Pixels of the camera along the edge of one of the image, 0.5 for super-resolution; None if no title has one.
    """
    return _first(_BINNING, titles)


def turned_within_180(angle_deg: float) -> float:
    """Bring an angle into the range of -180 to 180 degrees.

    Parameters
    ----------
    angle_deg : float

    Returns
    -------
    float
    """
    return math.remainder(angle_deg, 360.0)


def _first(pattern: re.Pattern[str], titles: Iterable[str]) -> float | None:
    match = pattern.search(as_minus(" ".join(titles)))
    return float(match[1].replace(",", ".")) if match else None
