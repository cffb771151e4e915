"""What may be given as the tilt angles in place of a file: ``header``, or a range ``START:STOP:STEP``."""

from __future__ import annotations

import os
import re

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry.tilt_range import parse_tilts

HEADER = "header"
"""What ``--angles`` is given for the angles of the stack's own header."""

_RANGE = re.compile(r"[-+.\deE]+:[-+.\deE]+:[-+.\deE]+", re.ASCII)


def names_no_file(angles: str | os.PathLike[str] | None) -> bool:
    """Whether what is given as the angles is no file's name: ``header``, or a range.

    Parameters
    ----------
    angles : str, path-like or None
        What ``--angles`` was given.

    Returns
    -------
    bool
    """
    return angles is not None and (os.fspath(angles) == HEADER or _RANGE.fullmatch(os.fspath(angles)) is not None)


def range_angles(angles: str | os.PathLike[str]) -> NDArray[np.float64] | None:
    """Read the angles of a range ``START:STOP:STEP``.

    Parameters
    ----------
    angles : str or path-like
        What ``--angles`` was given.

    Returns
    -------
    ndarray of float64, shape (n_views,), or None
        Degrees, STOP included if it is hit; None if it is no range.

    Raises
    ------
    OptionError
        If the range makes no sense.
    """
    text = os.fspath(angles)
    return parse_tilts(text, "--angles") if _RANGE.fullmatch(text) else None
