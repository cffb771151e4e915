"""Weighted sums of rows along the tilt axis: the one inner loop of every projection and adjoint.

Under a tilt about y a voxel column meets a detector column with one weight for all y. Forward and adjoint
are therefore both ``dst[:] += sum_e weight[e] * src[row[e], :]``: gathers into one row, without atomics.
Eight rows are read per pass, so that the row that is written is loaded and stored once for eight
multiply-adds and the loop is bound by arithmetic, not by stores.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled


@compiled(inlined=True, fastmath={"contract"})
def add_weighted_rows(
    dst: NDArray[np.float32],
    src: NDArray[np.float32],
    row: NDArray[np.int32],
    weight: NDArray[np.float32],
    n: int,
    y0: int,
    y1: int,
) -> None:
    """Add weighted rows of `src` to `dst` over ``y0 <= y < y1``, in the order given.

    Parameters
    ----------
    dst : float32 array, shape (n_y,)
        Row that is added to.
    src : float32 array, shape (n_rows, n_y)
        Rows that are read; must not overlap `dst`.
    row : int32 array, shape (>= n,)
        Index of each row.
    weight : float32 array, shape (>= n,)
        Weight of each row.
    n : int
        Number of rows.
    y0, y1 : int
        Range along the tilt axis.
    """
    out = dst[y0:y1]
    m = y1 - y0
    e = 0
    # Written out by hand: an inner loop over rows would load and store `out` once for each of them.
    while n - e >= 8:
        a0, a1, a2, a3 = src[row[e], y0:y1], src[row[e + 1], y0:y1], src[row[e + 2], y0:y1], src[row[e + 3], y0:y1]
        a4, a5, a6, a7 = src[row[e + 4], y0:y1], src[row[e + 5], y0:y1], src[row[e + 6], y0:y1], src[row[e + 7], y0:y1]
        w0, w1, w2, w3 = weight[e], weight[e + 1], weight[e + 2], weight[e + 3]
        w4, w5, w6, w7 = weight[e + 4], weight[e + 5], weight[e + 6], weight[e + 7]
        for y in range(m):
            # One sum after the other, not a tree: the order in which rows are listed is the order of addition.
            s = out[y] + w0 * a0[y]
            s += w1 * a1[y]
            s += w2 * a2[y]
            s += w3 * a3[y]
            s += w4 * a4[y]
            s += w5 * a5[y]
            s += w6 * a6[y]
            s += w7 * a7[y]
            out[y] = s
        e += 8
    # What is left is 0 to 7 rows: four, two and one of them.
    if n - e >= 4:
        a0, a1, a2, a3 = src[row[e], y0:y1], src[row[e + 1], y0:y1], src[row[e + 2], y0:y1], src[row[e + 3], y0:y1]
        w0, w1, w2, w3 = weight[e], weight[e + 1], weight[e + 2], weight[e + 3]
        for y in range(m):
            s = out[y] + w0 * a0[y]
            s += w1 * a1[y]
            s += w2 * a2[y]
            s += w3 * a3[y]
            out[y] = s
        e += 4
    if n - e >= 2:
        a0, a1 = src[row[e], y0:y1], src[row[e + 1], y0:y1]
        w0, w1 = weight[e], weight[e + 1]
        for y in range(m):
            s = out[y] + w0 * a0[y]
            s += w1 * a1[y]
            out[y] = s
        e += 2
    if n - e >= 1:
        a0 = src[row[e], y0:y1]
        w0 = weight[e]
        for y in range(m):
            out[y] += w0 * a0[y]
