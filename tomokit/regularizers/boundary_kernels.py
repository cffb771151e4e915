"""Boundary consistency, leaf by leaf: copy the six sides, compare them, put their gradient back.

The sides of all leaves, ``sides[leaf, 2 * axis + upper, i, j]`` with i and j along the other two axes in the order
x, z, y, are a seventh of the values at n = 42. They are compared away from the leaves, each leaf gathering from its
faces what falls to it: nothing is written by two, and the order of sums is fixed. A fused pass that changes leaves in
place must compare the sides as they all were before; it copies a leaf's sides when it has just changed the leaf, and
adds the gradient while it has the leaf in cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, prange


@njit(cache=True, error_model="numpy")
def copy_sides(block: Any, sides: Any) -> None:
    """The six sides of one leaf.

    Parameters
    ----------
    block : array, shape (n, n, n)
    sides : array, shape (6, n, n), written
        Lower and upper side along x, z and y.
    """
    last = block.shape[0] - 1
    for i in range(last + 1):
        for j in range(last + 1):
            sides[0, i, j] = block[0, i, j]
            sides[1, i, j] = block[last, i, j]
            sides[2, i, j] = block[i, 0, j]
            sides[3, i, j] = block[i, last, j]
            sides[4, i, j] = block[i, j, 0]
            sides[5, i, j] = block[i, j, last]


@njit(cache=True, error_model="numpy")
def add_sides(sides: Any, gradient: Any) -> None:
    """Add the gradient by the six sides to the gradient by the block; edges and corners get several.

    Parameters
    ----------
    sides : array, shape (6, n, n)
    gradient : array, shape (n, n, n), changed
    """
    last = gradient.shape[0] - 1
    for i in range(last + 1):
        for j in range(last + 1):
            gradient[0, i, j] += sides[0, i, j]
            gradient[last, i, j] += sides[1, i, j]
            gradient[i, 0, j] += sides[2, i, j]
            gradient[i, last, j] += sides[3, i, j]
            gradient[i, j, 0] += sides[4, i, j]
            gradient[i, j, last] += sides[5, i, j]


@njit(cache=True, parallel=True, error_model="numpy")
def copy_all_sides(values: Any, sides: Any) -> None:
    """:func:`copy_sides` of every leaf; `values` of shape (n_leaves, n, n, n), `sides` (n_leaves, 6, n, n)."""
    for leaf in prange(values.shape[0]):
        copy_sides(values[leaf], sides[leaf])


@njit(cache=True, parallel=True, error_model="numpy")
def add_all_sides(sides: Any, gradient: Any) -> None:
    """:func:`add_sides` of every leaf; `sides` of shape (n_leaves, 6, n, n), `gradient` (n_leaves, n, n, n)."""
    for leaf in prange(gradient.shape[0]):
        add_sides(sides[leaf], gradient[leaf])


@njit(cache=True, error_model="numpy", fastmath={"contract", "reassoc", "nsz"})
def _compare_equals(own: Any, other: Any, step: Any, side_gradient: Any) -> Any:
    """Sum of ``|own - other|``; `step` times its gradient by `own` is added to `side_gradient`."""
    total = step * 0
    for i in range(own.shape[0]):
        for j in range(own.shape[1]):
            d = own[i, j] - other[i, j]
            total += abs(d)
            side_gradient[i, j] += step if d > 0 else (-step if d < 0 else step * 0)
    return total


@njit(cache=True, error_model="numpy")
def _compare_jump(
    fine: Any, coarse: Any, offset: Any, scale: float, step: Any, by_fine: bool, side_gradient: Any
) -> Any:
    """Sum of ``|fine - coarse interpolated|``; `step` times its gradient by one of them is added to `side_gradient`."""
    n = fine.shape[0]
    real = fine.dtype.type
    one = real(1)
    total = 0.0
    for i in range(n):
        at = offset[0] + scale * i
        p = min(int(at), n - 2)
        s = real(at - p)
        for j in range(n):
            at = offset[1] + scale * j
            q = min(int(at), n - 2)
            t = real(at - q)
            low = coarse[p, q] + t * (coarse[p, q + 1] - coarse[p, q])
            high = coarse[p + 1, q] + t * (coarse[p + 1, q + 1] - coarse[p + 1, q])
            d = fine[i, j] - (low + s * (high - low))
            total += abs(d)
            signed_step = step if d > 0 else (-step if d < 0 else step * 0)
            if by_fine:
                side_gradient[i, j] += signed_step
            else:
                side_gradient[p, q] -= signed_step * (one - s) * (one - t)
                side_gradient[p, q + 1] -= signed_step * (one - s) * t
                side_gradient[p + 1, q] -= signed_step * s * (one - t)
                side_gradient[p + 1, q + 1] -= signed_step * s * t
    return total


@njit(cache=True, parallel=True, error_model="numpy")
def compare_sides(
    sides: Any, start: Any, face: Any, axis: Any, below: Any, fine: Any, coarse: Any, offset: Any, scale: Any,
    step: float, side_gradient: Any, out: Any,
) -> None:  # fmt: skip
    """Sum of the differences on the faces of each leaf, with the gradient by its sides.

    Parameters
    ----------
    sides : array of float32 or float64, shape (n_leaves, 6, n, n)
    start, face : int64 arrays
        Faces of each leaf (:meth:`tomokit.octree.faces.Faces.by_leaf`).
    axis, below, fine, coarse, offset, scale : arrays
        Of :class:`tomokit.octree.faces.Faces`.
    step : float
        Factor of the gradient.
    side_gradient : array like `sides`, written
        Gradient of the sum by the sides, times `step`.
    out : float64 array, shape (n_leaves,), written
        Sum of ``|difference|`` over the points of the faces whose finer side the leaf is: each face counts once.
    """
    for leaf in prange(sides.shape[0]):
        mine = side_gradient[leaf]
        mine[:] = 0
        total = 0.0
        typed = sides.dtype.type(step)
        for entry in range(start[leaf], start[leaf + 1]):
            f = face[entry]
            side = 2 * axis[f] + (1 if below[f] == leaf else 0)
            opposite = side + 1 if side % 2 == 0 else side - 1
            is_fine = fine[f] == leaf
            other = coarse[f] if is_fine else fine[f]
            if scale[f] == 1.0:
                part = np.float64(_compare_equals(sides[leaf, side], sides[other, opposite], typed, mine[side]))
            elif is_fine:
                part = _compare_jump(
                    sides[leaf, side], sides[other, opposite], offset[f], scale[f], typed, True, mine[side]
                )
            else:
                part = _compare_jump(
                    sides[other, opposite], sides[leaf, side], offset[f], scale[f], typed, False, mine[side]
                )
            if is_fine:
                total += part
        out[leaf] = total
