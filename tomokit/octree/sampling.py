"""The trilinear field on any regular lattice, at points or as means over voxels.

A leaf owns the points from its lower faces (included) to its upper ones (excluded), see :mod:`tomokit.octree.lattice`.
A point on an upper face beyond which there is no leaf belongs to the lowest-numbered leaf that it touches, so that the
field reaches to the end of the forest. No point is missed or written twice, and leaves can be filled in parallel with
the same result at any number of threads.
"""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.octree.forest import Forest
from tomokit.octree.lattice import OCTANTS, lattice_boxes
from tomokit.octree.lookup import find


def sample(
    values: NDArray[np.floating],
    forest: Forest,
    x0: float,
    dx: float,
    nx: int,
    z0: float,
    dz: float,
    nz: int,
    y0: float,
    dy: float,
    ny: int,
    fill: float = 0.0,
) -> NDArray[np.float32]:
    """The field at the points ``(x0 + i dx, z0 + k dz, y0 + j dy)`` of a lattice.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        Densities at the vertices, ``[leaf, x, z, y]``.
    forest : Forest
        Their leaves.
    x0, z0, y0 : float
        First point, in detector pixels from the origin of the geometry.
    dx, dz, dy : float
        Spacing in detector pixels, positive.
    nx, nz, ny : int
        Number of points.
    fill : float
        Value outside all leaves.

    Returns
    -------
    ndarray of float32, shape (nx, nz, ny)
        ``[x, z, y]``. On a face that two leaves share, the upper one's value.

    Raises
    ------
    InputError
        If `values` do not fit the forest or a spacing is not positive.
    """
    if values.shape != forest.values_shape:
        raise InputError(f"values of shape {values.shape} on a forest of {forest.values_shape}")
    start, step, count = np.array([x0, z0, y0]), np.array([dx, dz, dy], float), np.array([nx, nz, ny])
    if not ((step > 0).all() and (count >= 0).all()):
        raise InputError(f"a lattice of {tuple(count)} points with spacing {tuple(step)}", remedy="give positive ones")
    out = np.full((nx, nz, ny), fill, np.float32)
    boxes = lattice_boxes(forest, start, step, count)
    values = np.ascontiguousarray(values)
    first, stop, base, rate = boxes.first, boxes.stop, boxes.base, boxes.rate
    _fill_upper_faces(values, boxes.on_upper_faces, first, stop, boxes.closed, base, rate, out)
    _fill_leaves(values, first, stop, base, rate, out)
    return out


def sample_means(
    values: NDArray[np.floating],
    forest: Forest,
    x0: float,
    dx: float,
    nx: int,
    z0: float,
    dz: float,
    nz: int,
    y0: float,
    dy: float,
    ny: int,
) -> NDArray[np.float32]:
    """The field's means over boxes of ``dx dz dy`` about the points of :func:`sample`, by eight points of each.

    A voxel of a tomogram stands for the mean density in it. Vertices that lie closer than voxels are only then all
    made use of, and the noise of single ones is not passed on.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        Densities at the vertices, ``[leaf, x, z, y]``.
    forest : Forest
        Their leaves.
    x0, z0, y0 : float
        Centre of the first box, in detector pixels from the origin of the geometry.
    dx, dz, dy : float
        Edges of the boxes, and their spacing, in detector pixels, positive.
    nx, nz, ny : int
        Number of boxes.

    Returns
    -------
    ndarray of float32, shape (nx, nz, ny)
        ``[x, z, y]``; outside all leaves the field is 0.

    Raises
    ------
    InputError
        If `values` do not fit the forest or an edge is not positive.
    """
    total = np.zeros((nx, nz, ny), np.float32)
    for x, z, y in OCTANTS:
        total += sample(values, forest, x0 + x * dx, dx, nx, z0 + z * dz, dz, nz, y0 + y * dy, dy, ny)
    total *= np.float32(1 / len(OCTANTS))
    return total


def sample_volume(
    values: NDArray[np.floating], forest: Forest, n_u: int, thickness_px: int, n_v: int
) -> NDArray[np.float32]:
    """The field's means over the voxels of a tomogram, one voxel a detector pixel.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        Densities at the vertices, ``[leaf, x, z, y]``.
    forest : Forest
        Their leaves.
    n_u, thickness_px, n_v : int
        Voxels along x, z and y; the tomogram is centred at the origin of the geometry.

    Returns
    -------
    ndarray of float32, shape (n_u, thickness_px, n_v)
        ``[x, z, y]``; 0 outside all leaves.
    """
    starts = [-(size - 1) / 2 for size in (n_u, thickness_px, n_v)]
    return sample_means(values, forest, starts[0], 1, n_u, starts[1], 1, thickness_px, starts[2], 1, n_v)


def locate(forest: Forest, points: ArrayLike) -> NDArray[np.int64]:
    """The leaf that owns each point, by the rule of this module.

    Parameters
    ----------
    forest : Forest
    points : array_like, shape (n_points, 3)
        Points ``(x, z, y)`` in detector pixels.

    Returns
    -------
    ndarray of int64, shape (n_points,)
        Leaf numbers; -1 outside all leaves.
    """
    where = np.asarray(points, np.float64).reshape(-1, 3) - np.asarray(forest.origin_px)
    owner = np.full(len(where), -1, np.int64)
    touched = np.full(len(where), forest.n_leaves, np.int64)
    for level in range(int(forest.level.max(initial=0)) + 1):
        # The cube of this level that a point lies in; one on a face, but for rounding, in the upper of the two.
        cell = where / (forest.root_px / (1 << level))
        nearest = np.round(cell)
        on_face = np.abs(cell - nearest) < 1e-9 * np.maximum(1, np.abs(cell))
        index = np.where(on_face, nearest, np.floor(cell)).astype(np.int64)
        levels = np.full(len(where), level)
        # A point on a face touches the cubes below it too, one on an edge or corner those of every combination of axes.
        for down in itertools.product((0, 1), repeat=3):
            shift = np.array(down)
            leaf = find(forest, levels, index - shift)
            leaf[~(on_face | (shift == 0)).all(axis=1)] = -1
            if not shift.any():
                owner = np.maximum(owner, leaf)
            else:
                touched = np.where(leaf >= 0, np.minimum(touched, leaf), touched)
    return np.where((owner < 0) & (touched < forest.n_leaves), touched, owner)


@compiled(inlined=True, fastmath={"contract"})
def _fill_box(
    block: NDArray[np.floating],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    base: NDArray[np.float64],
    rate: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """One leaf's values on part of the lattice: a row of vertices along y is mixed from four, then interpolated."""
    n = block.shape[0]
    ny = stop[2] - first[2]
    if ny <= 0:
        return
    one = np.float32(1)
    # Cells and fractions along y are the same for all rows: found once, in double precision before they are split.
    cell = np.empty(ny, np.int32)
    part = np.empty(ny, np.float32)
    for j in range(ny):
        at = base[2] + rate[2] * (first[2] + j)
        # The clamp keeps points on the upper face, and those off by rounding, in the last cell.
        below = min(max(int(at), 0), n - 2)
        cell[j] = below
        part[j] = at - below
    row = np.empty(n, np.float32)
    for i in range(first[0], stop[0]):
        at = base[0] + rate[0] * i
        a = min(max(int(at), 0), n - 2)
        wx = np.float32(at - a)
        for k in range(first[1], stop[1]):
            at = base[1] + rate[1] * k
            c = min(max(int(at), 0), n - 2)
            wz = np.float32(at - c)
            w00, w01 = (one - wx) * (one - wz), (one - wx) * wz
            w10, w11 = wx * (one - wz), wx * wz
            r00, r01, r10, r11 = block[a, c], block[a, c + 1], block[a + 1, c], block[a + 1, c + 1]
            # All n vertices, needed or not: this loop vectorizes, and the gather below then reads from one short row.
            for j in range(n):
                row[j] = w00 * r00[j] + w01 * r01[j] + w10 * r10[j] + w11 * r11[j]
            line = out[i, k, first[2] : stop[2]]
            for j in range(ny):
                below = cell[j]
                line[j] = row[below] + part[j] * (row[below + 1] - row[below])


@shared_out()
def _fill_leaves(
    share: Share,
    values: NDArray[np.floating],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    base: NDArray[np.float64],
    rate: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Every leaf's own points; no two leaves write the same one."""
    for leaf in items_of(share, values.shape[0]):
        _fill_box(values[leaf], first[leaf], stop[leaf], base[leaf], rate[leaf], out)


@compiled()
def _fill_upper_faces(
    values: NDArray[np.floating],
    leaves: NDArray[np.int64],
    first: NDArray[np.int64],
    stop: NDArray[np.int64],
    closed: NDArray[np.int64],
    base: NDArray[np.float64],
    rate: NDArray[np.float64],
    out: NDArray[np.float32],
) -> None:
    """Points on upper faces. Owners are written later; of other leaves the lowest-numbered writes last."""
    for at in range(leaves.size - 1, -1, -1):
        leaf = leaves[at]
        for axis in range(3):
            if closed[leaf, axis] > stop[leaf, axis]:
                low, high = first[leaf].copy(), closed[leaf].copy()
                low[axis] = stop[leaf, axis]
                _fill_box(values[leaf], low, high, base[leaf], rate[leaf], out)
