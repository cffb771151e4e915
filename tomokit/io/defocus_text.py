"""The defocus of each view from plain text: one column in micrometres, or three, with astigmatism."""

from __future__ import annotations

import os

import numpy as np

from tomokit.data.acquisition import Acquisition
from tomokit.errors import InputError
from tomokit.io.table import read_number_lines


def read_defocus_text(path: str | os.PathLike[str], n_views: int) -> Acquisition:
    """Read a text file with a line for each view of a stack.

    Parameters
    ----------
    path : path-like
        Lines of one number, the defocus in micrometres, positive for underfocus; or of three, the defocus along both
        principal axes and the angle of the first from x in degrees.
    n_views : int
        Views of the stack, those that are not used among them.

    Returns
    -------
    Acquisition
        With defocus alone.

    Raises
    ------
    InputError
        If it cannot be read or has another number of lines or columns.
    """
    rows = read_number_lines(path, "the defocus of each view")
    widths = {len(row.values) for row in rows}
    if widths not in ({1}, {3}):
        raise InputError(
            "lines that are not all of one or of three numbers",
            file=path,
            remedy="give a line for each view: its defocus in micrometres, or two and the angle of the first",
        )
    if len(rows) != n_views:
        raise InputError(
            f"{len(rows)} lines, where the stack has {n_views} views", file=path, remedy="give the file of this stack"
        )
    values = np.array([row.values for row in rows], np.float64)
    if widths == {1}:
        values = np.concatenate([values, values, np.zeros_like(values)], axis=1)
    return Acquisition(n_views, defocus_um=values)
