"""Blocks of leaves with their surroundings: the lattice continued beyond the faces, from whichever leaf is there.

A leaf's block of ``n^3`` vertices is continued by `margin` vertices on every side, at its own spacing. Where the
neighbour is of the same size these are its vertices; where it is not they are interpolated trilinearly; where there is
none they are marked as missing. All of it is linear in the values, and :func:`hand_back` is its transpose.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomokit.octree import Forest
from tomokit.plugin.compiled import compiled


@dataclass(frozen=True)
class Owners:
    """A table of which leaf owns each cube of a forest's finest level.

    Attributes
    ----------
    owner : ndarray of int32, shape (n_x, n_z, n_y)
        The leaf that holds each cube of the finest level, -1 where there is none.
    cube : ndarray of int64, shape (n_leaves, 3)
        Each leaf's first cube along x, z and y.
    cubes : ndarray of int64, shape (n_leaves,)
        Finest cubes along each leaf's edge.
    """

    owner: NDArray[np.int32]
    cube: NDArray[np.int64]
    cubes: NDArray[np.int64]


def find_owners(forest: Forest) -> Owners:
    """Find which leaf owns each cube of a forest's finest level.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    Owners
    """
    finest = int(forest.level.max(initial=0))
    cubes = np.int64(1) << (finest - forest.level.astype(np.int64))
    cube = forest.index.astype(np.int64) * cubes[:, None]
    owner = np.full([extent << finest for extent in forest.roots], -1, np.int32)
    for leaf in range(forest.n_leaves):
        (x, z, y), edge = cube[leaf], cubes[leaf]
        owner[x : x + edge, z : z + edge, y : y + edge] = leaf
    return Owners(owner, cube, cubes)


@compiled(inlined=True)
def _locate_lattice(
    cube: NDArray[np.int64],
    cubes: int,
    n: int,
    margin: int,
    q: int,
    position: NDArray[np.int64],
    cell: NDArray[np.int64],
) -> None:
    """Along each axis, where the vertices of a leaf's continued lattice lie, and in which finest cube to look.

    Positions are in units of finest cubes over (n - 1), whole numbers: no rounding can move a vertex off a face.
    """
    for axis in range(3):
        for i in range(q):
            at = i - margin
            position[axis, i] = cube[axis] * (n - 1) + at * cubes
            cell[axis, i] = position[axis, i] // (n - 1)
            # Beyond the upper face the cube above is meant, at a face itself the nearer one.
            if at > 0 and cell[axis, i] * (n - 1) == position[axis, i]:
                cell[axis, i] -= 1


@njit(cache=True, error_model="numpy", inline="always")
def _owner_at(owner: NDArray[np.int32], x: int, z: int, y: int) -> int:
    inside = 0 <= x < owner.shape[0] and 0 <= z < owner.shape[1] and 0 <= y < owner.shape[2]
    return owner[x, z, y] if inside else -1


@compiled(inlined=True)
def take(
    values: NDArray[np.floating],
    owner: NDArray[np.int32],
    cube: NDArray[np.int64],
    cubes: NDArray[np.int64],
    leaf: int,
    margin: int,
    block: NDArray[np.floating],
    missing: NDArray[np.uint8],
) -> None:
    """Fill a block with a leaf's values and their surroundings.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        ``[leaf, x, z, y]``.
    owner, cube, cubes : ndarray
        See :class:`Owners`.
    leaf : int
        The leaf in the middle of the block.
    margin : int
        Vertices that the block is continued by on each side.
    block : ndarray of the values' type, shape (q, q, q), written
        ``q = n + 2 margin``.
    missing : ndarray of uint8, shape (q, q, q), written
        1 where there is no leaf; the block is 0 there.
    """
    n, q, own = values.shape[1], block.shape[0], cubes[leaf]
    position, cell = np.empty((3, q), np.int64), np.empty((3, q), np.int64)
    _locate_lattice(cube[leaf], own, n, margin, q, position, cell)
    for x in range(q):
        for z in range(q):
            within = margin <= x < margin + n and margin <= z < margin + n
            for y in range(q):
                missing[x, z, y] = 0
                if within and margin <= y < margin + n:
                    block[x, z, y] = values[leaf, x - margin, z - margin, y - margin]
                    continue
                other = _owner_at(owner, cell[0, x], cell[1, z], cell[2, y])
                if other < 0:
                    block[x, z, y] = 0
                    missing[x, z, y] = 1
                    continue
                # Where the vertex lies in the other leaf, from its lower corner along x, z and y.
                a = position[0, x] - cube[other, 0] * (n - 1)
                b = position[1, z] - cube[other, 1] * (n - 1)
                c = position[2, y] - cube[other, 2] * (n - 1)
                if cubes[other] == own:
                    # Of the same size: a vertex of the other leaf, and nothing to interpolate.
                    block[x, z, y] = values[other, a // own, b // own, c // own]
                    continue
                total = 0.0
                for i in range(2):
                    for j in range(2):
                        for k in range(2):
                            (u, f), (v, g), (w, h) = (
                                _tap(a, i, cubes[other], n), _tap(b, j, cubes[other], n), _tap(c, k, cubes[other], n)
                            )  # fmt: skip
                            if f * g * h > 0:
                                total += f * g * h * values[other, u, v, w]
                block[x, z, y] = total


@compiled(inlined=True)
def _tap(position: int, upper: int, cubes: int, n: int) -> tuple[int, float]:
    """The vertex below a position inside a leaf, or the one above, and its linear weight."""
    below = min(position // cubes, n - 2)
    upper_weight = position / cubes - below
    return below + upper, (upper_weight if upper else 1 - upper_weight)


@compiled(inlined=True)
def hand_back(
    slope: NDArray[np.floating],
    owner: NDArray[np.int32],
    cube: NDArray[np.int64],
    cubes: NDArray[np.int64],
    leaf: int,
    margin: int,
    gradient: NDArray[np.floating],
) -> None:
    """Add the gradient by a block's vertices to the vertices that they were taken from: the transpose of :func:`take`.

    Parameters
    ----------
    slope : ndarray, shape (q, q, q)
        The gradient by each vertex of the block, ``q = n + 2 margin``.
    owner, cube, cubes : ndarray
        See :class:`Owners`.
    leaf : int
        The leaf in the middle of the block.
    margin : int
        Vertices that the block is continued by on each side.
    gradient : ndarray of float32 or float64, shape (n_leaves, n, n, n), changed
        ``[leaf, x, z, y]``.
    """
    n, q, own = gradient.shape[1], slope.shape[0], cubes[leaf]
    position, cell = np.empty((3, q), np.int64), np.empty((3, q), np.int64)
    _locate_lattice(cube[leaf], own, n, margin, q, position, cell)
    for x in range(q):
        for z in range(q):
            within = margin <= x < margin + n and margin <= z < margin + n
            for y in range(q):
                due = slope[x, z, y]
                if within and margin <= y < margin + n:
                    gradient[leaf, x - margin, z - margin, y - margin] += due
                    continue
                if due == 0:
                    continue
                other = _owner_at(owner, cell[0, x], cell[1, z], cell[2, y])
                if other < 0:  # zero times what is not a number
                    continue
                a = position[0, x] - cube[other, 0] * (n - 1)
                b = position[1, z] - cube[other, 1] * (n - 1)
                c = position[2, y] - cube[other, 2] * (n - 1)
                if cubes[other] == own:
                    gradient[other, a // own, b // own, c // own] += due
                    continue
                for i in range(2):
                    for j in range(2):
                        for k in range(2):
                            (u, f), (v, g), (w, h) = (
                                _tap(a, i, cubes[other], n), _tap(b, j, cubes[other], n), _tap(c, k, cubes[other], n)
                            )  # fmt: skip
                            if f * g * h > 0:
                                gradient[other, u, v, w] += f * g * h * due
