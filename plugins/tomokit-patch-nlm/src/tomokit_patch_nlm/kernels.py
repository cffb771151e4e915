"""The penalty of one leaf, and of all of them.

With u the leaf's block, P(i) the 3^3 patch about vertex i, and o an offset of the search window,

    s(i, o) = mean over k in P of (u[i + k] - u[i + o + k])^2,        value = sum over i, o of h^2 s / (h^2 + s).

It is Geman and McClure's (1987) robust penalty of the patches' distance: s where patches are alike, at most h^2 where
they are not. Its slope by s is ``w = (h^2 / (h^2 + s))^2``, the weight that non-local means gives a pair, and with W
the sum of w over the patches that a vertex p belongs to,

    gradient by u[p]:  2/27 W (u[p] - u[p + o]),     by u[p + o]:  the same with the sign turned.

Sums over patches are separable. A pair of patches that reaches a place where there is no leaf is left out.
"""

from __future__ import annotations

import numpy as np
from numba import prange
from numpy.typing import NDArray

from tomokit.plugin.compiled import compiled
from tomokit_patch_nlm.halo import hand_back, take

_PATCH = 27.0  # vertices of a patch


@compiled(inlined=True, fastmath={"contract", "nsz"})
def _sum_patches(
    padded: NDArray[np.floating], rows: NDArray[np.floating], planes: NDArray[np.floating], out: NDArray[np.floating]
) -> None:
    """Sums over 3^3 neighbourhoods: from (n + 2)^3 to n^3, along y, then z, then x."""
    n = out.shape[0]
    for x in range(n + 2):
        for z in range(n + 2):
            line, row = padded[x, z], rows[x, z]
            for y in range(n):
                row[y] = (line[y] + line[y + 1]) + line[y + 2]
    for x in range(n + 2):
        for z in range(n):
            a, b, c, plane = rows[x, z], rows[x, z + 1], rows[x, z + 2], planes[x, z]
            for y in range(n):
                plane[y] = (a[y] + b[y]) + c[y]
    for x in range(n):
        for z in range(n):
            a, b, c, total = planes[x, z], planes[x + 1, z], planes[x + 2, z], out[x, z]
            for y in range(n):
                total[y] = (a[y] + b[y]) + c[y]


@compiled(inlined=True, fastmath={"contract", "nsz"})
def _add_leaf_penalty(
    block: NDArray[np.floating],
    missing: NDArray[np.uint8],
    offsets: NDArray[np.int64],
    bandwidth: float,
    factor: float,
    slope: NDArray[np.floating],
) -> float:
    """Value of a leaf, and `factor` times its gradient added to `slope`; margin is the largest offset and one more."""
    q = block.shape[0]
    # All is computed in the block's type; Python's numbers would widen it to double precision.
    real = block.dtype.type
    margin = 1
    for i in range(offsets.shape[0]):
        for axis in range(3):
            margin = max(margin, abs(offsets[i, axis]) + 1)
    n = q - 2 * margin
    first = margin - 1  # of the (n + 2)^3 vertices that patches of the leaf touch
    wide = n + 2
    holes = 0
    for x in range(q):
        for z in range(q):
            for y in range(q):
                holes += missing[x, z, y]
    square = np.zeros((wide, wide, wide), block.dtype)
    rows = np.empty((wide, wide, n), block.dtype)
    planes = np.empty((wide, n, n), block.dtype)
    distance = np.empty((n, n, n), block.dtype)
    usable = np.empty((n, n, n), block.dtype)
    # Weights stand in a frame of zeros, so that their sums over patches are sums over neighbourhoods again.
    weight = np.zeros((wide + 2, wide + 2, wide + 2), block.dtype)
    weight_rows = np.empty((wide + 2, wide + 2, wide), block.dtype)
    weight_planes = np.empty((wide + 2, wide, wide), block.dtype)
    spread = np.empty((wide, wide, wide), block.dtype)
    limit, one, mean_factor = real(bandwidth * bandwidth), real(1), real(1 / _PATCH)
    slope_factor = real(2 * factor / _PATCH)
    # Summed in double precision, a line of vertices at a time.
    value = 0.0
    for i in range(offsets.shape[0]):
        ox, oz, oy = offsets[i]
        # Squared differences of the vertices that patches touch, and of those an offset away.
        for x in range(wide):
            for z in range(wide):
                here, there = block[first + x, first + z], block[first + x + ox, first + z + oz]
                line = square[x, z]
                for y in range(wide):
                    apart = here[first + y] - there[first + y + oy]
                    line[y] = apart * apart
        _sum_patches(square, rows, planes, distance)
        if holes:
            # A pair of patches counts only if none of its vertices is missing. The squares are not needed any more.
            for x in range(wide):
                for z in range(wide):
                    for y in range(wide):
                        gap = missing[first + x, first + z, first + y]
                        gap |= missing[first + x + ox, first + z + oz, first + y + oy]
                        square[x, z, y] = gap
            _sum_patches(square, rows, planes, usable)
            for x in range(n):
                for z in range(n):
                    for y in range(n):
                        usable[x, z, y] = one if usable[x, z, y] == 0 else real(0)
        # The penalty s h^2 / (h^2 + s) of each pair of patches, and its slope by s, which is the pair's weight.
        for x in range(n):
            for z in range(n):
                line_value = real(0)
                line, into = distance[x, z], weight[x + 2, z + 2]
                if holes:
                    for y in range(n):
                        s = line[y] * mean_factor
                        alike = usable[x, z, y] * (limit / (limit + s))
                        line_value += s * alike
                        into[y + 2] = alike * alike
                else:
                    for y in range(n):
                        s = line[y] * mean_factor
                        alike = limit / (limit + s)
                        line_value += s * alike
                        into[y + 2] = alike * alike
                value += line_value
        # The gradient: a difference counts with the weights of all patches that its vertex is in, once for either end.
        _sum_patches(weight, weight_rows, weight_planes, spread)
        for x in range(wide):
            for z in range(wide):
                here, there = block[first + x, first + z], block[first + x + ox, first + z + oz]
                due, back = slope[first + x, first + z], slope[first + x + ox, first + z + oz]
                line = spread[x, z]
                for y in range(wide):
                    line[y] = slope_factor * line[y] * (here[first + y] - there[first + y + oy])
                for y in range(wide):
                    due[first + y] += line[y]
                for y in range(wide):
                    back[first + y + oy] -= line[y]
    return value


@compiled(parallel=True)
def _add_batch_penalties(
    values: NDArray[np.floating],
    owner: NDArray[np.int32],
    cube: NDArray[np.int64],
    cubes: NDArray[np.int64],
    leaves: NDArray[np.int64],
    offsets: NDArray[np.int64],
    bandwidth: float,
    factor: float,
    margin: int,
    slopes: NDArray[np.floating],
    sums: NDArray[np.float64],
) -> None:
    """Value of each leaf of a batch in `sums`, and `factor` times its gradient by the leaf's block in `slopes`."""
    q = slopes.shape[1]
    for i in prange(leaves.size):
        block, missing = np.empty((q, q, q), values.dtype), np.empty((q, q, q), np.uint8)
        take(values, owner, cube, cubes, leaves[i], margin, block, missing)
        slopes[i] = 0
        sums[i] = _add_leaf_penalty(block, missing, offsets, bandwidth, factor, slopes[i])


@compiled()
def patches(
    values: NDArray[np.floating],
    owner: NDArray[np.int32],
    cube: NDArray[np.int64],
    cubes: NDArray[np.int64],
    leaves: NDArray[np.int64],
    offsets: NDArray[np.int64],
    bandwidth: float,
    factor: float,
    margin: int,
    slopes: NDArray[np.floating],
    gradient: NDArray[np.floating],
) -> float:
    """Sum the penalty over leaves and offsets, and add its gradient times a factor.

    Leaves are worked on side by side, a batch at a time; the gradient by their surroundings is handed back to the
    neighbours in order, so that the result is the same at any number of threads.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``.
    owner, cube, cubes : ndarray
        See :class:`tomokit_patch_nlm.halo.Owners`.
    leaves : ndarray of int64, shape (n_inside,)
        Leaves that are summed over.
    offsets : ndarray of int64, shape (n_offsets, 3)
        Offsets of the search window along x, z and y, in vertices.
    bandwidth : float
        h, in units of the values.
    factor : float
        What the gradient is multiplied by; 0 for the value alone.
    margin : int
        The largest offset and one more.
    slopes : ndarray of the values' type, shape (batch, q, q, q)
        Space to work in, ``q = n + 2 margin``.
    gradient : ndarray of the values' type, shape (n_leaves, n, n, n), changed

    Returns
    -------
    float
        The penalty, not divided by the number of vertices or offsets.
    """
    total = 0.0
    sums = np.empty(slopes.shape[0])
    for begin in range(0, leaves.size, slopes.shape[0]):
        batch = leaves[begin : begin + slopes.shape[0]]
        _add_batch_penalties(values, owner, cube, cubes, batch, offsets, bandwidth, factor, margin, slopes, sums)
        for i in range(batch.size):
            total += sums[i]
            if factor != 0:
                hand_back(slopes[i], owner, cube, cubes, batch[i], margin, gradient)
    return total
