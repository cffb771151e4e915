"""Boundary consistency, leaf by leaf: copy the six sides, compare them, add their gradient to the leaf's.

The sides of all leaves, ``sides[leaf, 2 * axis + upper, i, j]`` with i and j along the other two axes in the order
x, z, y, are a seventh of the values at n = 42. They are compared away from the leaves, each leaf gathering from its
faces what falls to it: nothing is written by two, and the order of sums is fixed. A fused pass that changes leaves in
place must compare the sides as they all were before; it copies a leaf's sides when it has just changed the leaf, and
adds the gradient while it has the leaf in cache.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out


@compiled(inlined=True)
def copy_sides(block: NDArray[np.floating], sides: NDArray[np.floating]) -> None:
    """Copy the vertices on the six sides of one leaf.

    Parameters
    ----------
    block : ndarray of float32 or float64, shape (n, n, n)
        Densities or raw values ``[x, z, y]``.
    sides : ndarray like `block`, shape (6, n, n), written
        Lower and upper side along x, then along z, then along y; ``[side, i, j]`` with i and j along the other two
        axes in the order x, z, y.
    """
    last = block.shape[0] - 1
    # All sides have the same shape, so that one pair of indices runs over the two axes of each.
    for i in range(last + 1):
        for j in range(last + 1):
            sides[0, i, j] = block[0, i, j]
            sides[1, i, j] = block[last, i, j]
            sides[2, i, j] = block[i, 0, j]
            sides[3, i, j] = block[i, last, j]
            sides[4, i, j] = block[i, j, 0]
            sides[5, i, j] = block[i, j, last]


@compiled(inlined=True)
def add_sides(sides: NDArray[np.floating], gradient: NDArray[np.floating]) -> None:
    """Add the gradient by a leaf's six sides to the gradient by its vertices; edges and corners get several.

    Parameters
    ----------
    sides : ndarray of float32 or float64, shape (6, n, n)
        Gradient by the sides, laid out as by :func:`copy_sides`.
    gradient : ndarray like `sides`, shape (n, n, n), changed
        Gradient by the leaf's vertices ``[x, z, y]``.
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


@shared_out()
def copy_all_sides(share: Share, values: NDArray[np.floating], sides: NDArray[np.floating]) -> None:
    """Copy the six sides of every leaf, as :func:`copy_sides` does for one.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        Densities or raw values ``[leaf, x, z, y]``.
    sides : ndarray like `values`, shape (n_leaves, 6, n, n), written
    """
    for leaf in items_of(share, values.shape[0]):
        copy_sides(values[leaf], sides[leaf])


@shared_out()
def add_all_sides(share: Share, sides: NDArray[np.floating], gradient: NDArray[np.floating]) -> None:
    """Add the gradient by the sides of every leaf to that by its vertices, as :func:`add_sides` does for one.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    sides : ndarray of float32 or float64, shape (n_leaves, 6, n, n)
        Gradient by the sides.
    gradient : ndarray like `sides`, shape (n_leaves, n, n, n), changed
        Gradient by the vertices ``[leaf, x, z, y]``.
    """
    for leaf in items_of(share, gradient.shape[0]):
        add_sides(sides[leaf], gradient[leaf])


@compiled(inlined=True, fastmath={"contract", "reassoc", "nsz"})
def _compare_equals(
    own: NDArray[Any], opposite: NDArray[Any], step: np.floating, side_gradient: NDArray[Any]
) -> np.floating:  # fmt: skip
    """Sum of ``|own - opposite|``; `step` times its gradient by `own` is added to `side_gradient`."""
    # A zero of the values' type, in which the sum is vectorized; the caller adds faces in double precision.
    total = step * 0
    for i in range(own.shape[0]):
        for j in range(own.shape[1]):
            d = own[i, j] - opposite[i, j]
            total += abs(d)
            # The slope at a difference of zero is zero: leaves that agree are left alone.
            side_gradient[i, j] += step if d > 0 else (-step if d < 0 else step * 0)
    return total


@compiled(inlined=True)
def _compare_jump(
    fine: NDArray[Any], coarse: NDArray[Any], offset: NDArray[np.float64], scale: float, step: np.floating,
    by_fine: bool, side_gradient: NDArray[Any],
) -> float:  # fmt: skip
    """Sum of ``|fine - coarse interpolated|``; `step` times its gradient by one of them is added to `side_gradient`."""
    n = fine.shape[0]
    real = fine.dtype.type
    one = real(1)
    total = 0.0
    # (i, j) runs over the finer side's lattice points; (p, q) is the cell of the coarser side that the point lies in,
    # and (s, t) its place in the cell. The last point lies on a vertex that begins no cell: it takes the one before.
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
                # The transpose of the interpolation: several fine points meet in a coarse vertex.
                side_gradient[p, q] -= signed_step * (one - s) * (one - t)
                side_gradient[p, q + 1] -= signed_step * (one - s) * t
                side_gradient[p + 1, q] -= signed_step * s * (one - t)
                side_gradient[p + 1, q + 1] -= signed_step * s * t
    return total


@shared_out()
def compare_sides(
    share: Share, sides: NDArray[np.floating], start: NDArray[np.int64], face: NDArray[np.int64],
    axis: NDArray[np.int32], below: NDArray[np.int32], fine: NDArray[np.int32], coarse: NDArray[np.int32],
    offset: NDArray[np.float64], scale: NDArray[np.float64], step: float, side_gradient: NDArray[np.floating],
    out: NDArray[np.float64],
) -> None:  # fmt: skip
    """Sum the absolute differences on the faces of each leaf, and compute the gradient by the leaf's sides.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    sides : ndarray of float32 or float64, shape (n_leaves, 6, n, n)
        From :func:`copy_all_sides`, all of one moment.
    start : ndarray of int64, shape (n_leaves + 1,)
        Faces of leaf i are ``face[start[i]:start[i + 1]]`` (:meth:`tomokit.octree.faces.Faces.by_leaf`).
    face : ndarray of int64
        Numbers of the faces, leaf after leaf.
    axis, below, fine, coarse : ndarrays of int32, shape (n_faces,)
        Axis across each face and the leaves on it (:class:`tomokit.octree.faces.Faces`).
    offset : ndarray of float64, shape (n_faces, 2)
        Where the finer side's first point lies on the coarser side, in vertices.
    scale : ndarray of float64, shape (n_faces,)
        Spacing of the finer side over that of the coarser one; 1 between equals.
    step : float
        Factor of the gradient.
    side_gradient : ndarray like `sides`, written
        Gradient of the sum by the sides, times `step`.
    out : ndarray of float64, shape (n_leaves,), written
        Sum of ``|difference|`` over the points of the faces whose finer side the leaf is: each face counts once.
    """
    # Every face is compared twice, once by each of its leaves: each then writes to its own sides only.
    for leaf in items_of(share, sides.shape[0]):
        own_gradient = side_gradient[leaf]
        own_gradient[:] = 0
        total = 0.0
        typed_step = sides.dtype.type(step)
        for entry in range(start[leaf], start[leaf + 1]):
            f = face[entry]
            # The leaf that lies below meets the face with its upper side.
            side = 2 * axis[f] + (1 if below[f] == leaf else 0)
            opposite = side + 1 if side % 2 == 0 else side - 1
            is_fine = fine[f] == leaf
            neighbour = coarse[f] if is_fine else fine[f]
            face_sum: float
            if scale[f] == 1.0:
                face_sum = np.float64(
                    _compare_equals(sides[leaf, side], sides[neighbour, opposite], typed_step, own_gradient[side])
                )
            elif is_fine:
                face_sum = _compare_jump(
                    sides[leaf, side], sides[neighbour, opposite], offset[f], scale[f], typed_step, True,
                    own_gradient[side],
                )  # fmt: skip
            else:
                face_sum = _compare_jump(
                    sides[neighbour, opposite], sides[leaf, side], offset[f], scale[f], typed_step, False,
                    own_gradient[side],
                )  # fmt: skip
            if is_fine:
                total += face_sum
        out[leaf] = total
