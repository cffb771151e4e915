"""Shifts of views along the tilt axis: what projection means in y.

A voxel and a pixel are both one unit long in y, so a view that is shifted by ``dv`` shares each row between two
detector rows, ``1 - f`` and ``f`` with ``f = dv - floor(dv)``. Applied to the stack, after the projection across it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def shift_rows(stack: NDArray[np.floating], dv_px: NDArray[np.float64], n_out: int) -> NDArray[np.floating]:
    """Move every view along y by its own shift, exactly, sharing rows linearly.

    Parameters
    ----------
    stack : ndarray, shape (n_views, n_u, n_in)
        Views ``[tilt, u, y]`` whose rows are centred.
    dv_px : ndarray of float64, shape (n_views,)
        Shift of each view towards higher y in pixels.
    n_out : int
        Rows of the result, centred likewise; what falls outside is lost.

    Returns
    -------
    ndarray like `stack`, shape (n_views, n_u, n_out)
        ``[tilt, u, y]``; rows that nothing was moved to are 0.
    """
    n_views, n_u, n_in = stack.shape
    out = np.zeros((n_views, n_u, n_out), stack.dtype)
    for t in range(n_views):
        # Both are centred: rows of the result lie half the difference in numbers of rows farther on.
        offset = float(dv_px[t]) + (n_out - n_in) / 2
        whole = int(np.floor(offset))
        fraction = offset - whole
        # Each row is shared between the row `whole` on from it and the next.
        for shift, weight in ((whole, 1.0 - fraction), (whole + 1, fraction)):
            first, last = max(0, -shift), min(n_in, n_out - shift)
            if weight > 0 and last > first:
                out[t, :, first + shift : last + shift] += stack.dtype.type(weight) * stack[t, :, first:last]
    return out


def shift_row_slopes(stack: NDArray[np.floating], dv_px: NDArray[np.float64], n_out: int) -> NDArray[np.floating]:
    """Tell how :func:`shift_rows` changes with each view's shift.

    Parameters
    ----------
    stack : ndarray, shape (n_views, n_u, n_in)
        Views ``[tilt, u, y]`` whose rows are centred, not shifted.
    dv_px : ndarray of float64, shape (n_views,)
        Shift of each view towards higher y in pixels.
    n_out : int
        Rows of the result.

    Returns
    -------
    ndarray like `stack`, shape (n_views, n_u, n_out)
        Per pixel of shift. Between whole numbers it is the difference of neighbouring rows; at one, where the slope
        has a step, the mean of both sides.
    """
    n_views, n_u, n_in = stack.shape
    out = np.zeros((n_views, n_u, n_out), stack.dtype)
    for t in range(n_views):
        offset = float(dv_px[t]) + (n_out - n_in) / 2
        whole = int(np.floor(offset))
        parts = ((whole, -1.0), (whole + 1, 1.0)) if offset > whole else ((whole - 1, -0.5), (whole + 1, 0.5))
        for shift, weight in parts:
            first, last = max(0, -shift), min(n_in, n_out - shift)
            if last > first:
                out[t, :, first + shift : last + shift] += stack.dtype.type(weight) * stack[t, :, first:last]
    return out
