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
def _locate(owner: Any, cube: Any, cubes: Any, n: int, leaf: int, x: int, z: int, y: int, place: Any) -> int:
    """The leaf that holds the vertex (x, z, y) of `leaf`'s continued lattice, and where in it; -1 if none does.

    `place` gets, for each axis, the vertex below and the fraction of the way to the next.
    """
    at = (x, z, y)
    other_at = np.empty(3, np.int64)
    for axis in range(3):
        # In units of finest cubes over (n - 1), whole numbers: no rounding can move a vertex off a face.
        position = cube[leaf, axis] * (n - 1) + at[axis] * cubes[leaf]
        # Beyond the upper face the cube above is meant, at the face itself the one below.
        cell = position // (n - 1)
        if at[axis] > 0 and cell * (n - 1) == position:
            cell -= 1
        if cell < 0 or cell >= owner.shape[axis]:
            return -1
        other_at[axis] = cell
    other = owner[other_at[0], other_at[1], other_at[2]]
    if other < 0:
        return -1
    for axis in range(3):
        position = cube[leaf, axis] * (n - 1) + at[axis] * cubes[leaf]
        exact = (position - cube[other, axis] * (n - 1)) / cubes[other]
        below = min(int(exact), n - 2)
        place[axis, 0] = below
        place[axis, 1] = exact - below
    return other


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
    n, q = values.shape[1], block.shape[0]
    place = np.empty((3, 2))
    for x in range(q):
        for z in range(q):
            within = margin <= x < margin + n and margin <= z < margin + n
            for y in range(q):
                missing[x, z, y] = 0
                if within and margin <= y < margin + n:
                    block[x, z, y] = values[leaf, x - margin, z - margin, y - margin]
                    continue
                block[x, z, y] = 0
                other = _locate(owner, cube, cubes, n, leaf, x - margin, z - margin, y - margin, place)
                if other < 0:
                    missing[x, z, y] = 1
                    continue
                for corner in range(8):
                    weight = 1.0
                    at = (0, 0, 0)
                    a, b, c = (corner >> 2) & 1, (corner >> 1) & 1, corner & 1
                    weight *= place[0, 1] if a else 1 - place[0, 1]
                    weight *= place[1, 1] if b else 1 - place[1, 1]
                    weight *= place[2, 1] if c else 1 - place[2, 1]
                    if weight > 0:
                        at = (int(place[0, 0]) + a, int(place[1, 0]) + b, int(place[2, 0]) + c)
                        block[x, z, y] += weight * values[other, at[0], at[1], at[2]]


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
    n, q = gradient.shape[1], slope.shape[0]
    place = np.empty((3, 2))
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
                other = _locate(owner, cube, cubes, n, leaf, x - margin, z - margin, y - margin, place)
                for corner in range(8):
                    a, b, c = (corner >> 2) & 1, (corner >> 1) & 1, corner & 1
                    weight = place[0, 1] if a else 1 - place[0, 1]
                    weight *= place[1, 1] if b else 1 - place[1, 1]
                    weight *= place[2, 1] if c else 1 - place[2, 1]
                    if weight > 0:
                        at = (int(place[0, 0]) + a, int(place[1, 0]) + b, int(place[2, 0]) + c)
                        gradient[other, at[0], at[1], at[2]] += weight * due
