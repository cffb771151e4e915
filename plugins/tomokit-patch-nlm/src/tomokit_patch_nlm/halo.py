"""What lies around a leaf: the lattice continued beyond its faces, taken from whichever leaf is there.

A leaf's block of ``n^3`` vertices is continued by `margin` vertices on every side, at its own spacing. Where the
neighbour is of the same size these are its vertices; where it is not they are interpolated trilinearly; where there is
none they are marked as missing. All of it is linear in the values, and :func:`hand_back` is its transpose.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from tomokit.octree import Forest


@dataclass(frozen=True)
class Owners:
    """Which leaf owns which place.

    Attributes
    ----------
    owner : ndarray of int32, shape (n_x, n_z, n_y)
        The leaf that holds each cube of the finest level, -1 where there is none.
    cube : ndarray of int64, shape (n_leaves, 3)
        Each leaf's first such cube.
    cubes : ndarray of int64, shape (n_leaves,)
        Such cubes along each leaf's edge.
    """

    owner: NDArray[np.int32]
    cube: NDArray[np.int64]
    cubes: NDArray[np.int64]


def find_owners(forest: Forest) -> Owners:
    """The owners of all places of a forest."""
    finest = int(forest.level.max(initial=0))
    cubes = np.int64(1) << (finest - forest.level.astype(np.int64))
    cube = forest.index.astype(np.int64) * cubes[:, None]
    owner = np.full([extent << finest for extent in forest.roots], -1, np.int32)
    for leaf in range(forest.n_leaves):
        (x, z, y), edge = cube[leaf], cubes[leaf]
        owner[x : x + edge, z : z + edge, y : y + edge] = leaf
    return Owners(owner, cube, cubes)


@njit(cache=True, error_model="numpy")
def _lattice(cube: Any, cubes: int, n: int, margin: int, q: int, position: Any, cell: Any) -> None:
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
def _owner(owner: Any, x: int, z: int, y: int) -> int:
    inside = 0 <= x < owner.shape[0] and 0 <= z < owner.shape[1] and 0 <= y < owner.shape[2]
    return owner[x, z, y] if inside else -1


@njit(cache=True, error_model="numpy")
def take(values: Any, owner: Any, cube: Any, cubes: Any, leaf: int, margin: int, block: Any, missing: Any) -> None:
    """The leaf's values with their surroundings.

    Parameters
    ----------
    values : array, shape (n_leaves, n, n, n)
    owner, cube, cubes
        See :class:`Owners`.
    leaf, margin : int
    block : array like the values, shape (q, q, q), written
        ``q = n + 2 margin``.
    missing : uint8 array, shape (q, q, q), written
        1 where there is no leaf; the block is 0 there.
    """
    n, q, own = values.shape[1], block.shape[0], cubes[leaf]
    position, cell = np.empty((3, q), np.int64), np.empty((3, q), np.int64)
    _lattice(cube[leaf], own, n, margin, q, position, cell)
    for x in range(q):
        for z in range(q):
            within = margin <= x < margin + n and margin <= z < margin + n
            for y in range(q):
                missing[x, z, y] = 0
                if within and margin <= y < margin + n:
                    block[x, z, y] = values[leaf, x - margin, z - margin, y - margin]
                    continue
                other = _owner(owner, cell[0, x], cell[1, z], cell[2, y])
                if other < 0:
                    block[x, z, y] = 0
                    missing[x, z, y] = 1
                    continue
                a = position[0, x] - cube[other, 0] * (n - 1)
                b = position[1, z] - cube[other, 1] * (n - 1)
                c = position[2, y] - cube[other, 2] * (n - 1)
                if cubes[other] == own:
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


@njit(cache=True, error_model="numpy")
def _tap(position: int, upper: int, cubes: int, n: int) -> Any:
    """The vertex below a position inside a leaf, or the one above, and its linear weight."""
    below = min(position // cubes, n - 2)
    part = position / cubes - below
    return below + upper, (part if upper else 1 - part)


@njit(cache=True, error_model="numpy")
def hand_back(slope: Any, owner: Any, cube: Any, cubes: Any, leaf: int, margin: int, gradient: Any) -> None:
    """Add what the block's vertices are due to the vertices they were taken from: the transpose of :func:`take`.

    Parameters
    ----------
    slope : array, shape (q, q, q)
    owner, cube, cubes, leaf, margin
        As in :func:`take`.
    gradient : array like the values, shape (n_leaves, n, n, n), changed
    """
    n, q, own = gradient.shape[1], slope.shape[0], cubes[leaf]
    position, cell = np.empty((3, q), np.int64), np.empty((3, q), np.int64)
    _lattice(cube[leaf], own, n, margin, q, position, cell)
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
                other = _owner(owner, cell[0, x], cell[1, z], cell[2, y])
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
