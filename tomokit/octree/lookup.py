"""Finding the leaves at given positions, by bisection of sorted keys.

A leaf's key packs level, y, x and z into one integer, the most significant first. That is the canonical order of
:class:`~tomokit.octree.forest.Forest`, so a forest's keys are sorted as they stand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.octree.forest import Forest

_BITS = 19  # of a key for each coordinate: three of them leave six of its 63 bits for the level
CHILDREN = np.array([(x, z, y) for x in (0, 1) for z in (0, 1) for y in (0, 1)], np.int64)
"""Offsets ``(x, z, y)`` of a cube's eight children, in the order in which they are listed everywhere."""


def cell_keys(level: ArrayLike, index: ArrayLike) -> NDArray[np.int64]:
    """Pack level and position of cubes into one number each, which sorts them in the canonical order.

    Parameters
    ----------
    level : array_like of int, shape (n,)
        Level of each cube.
    index : array_like of int, shape (n, 3)
        Position ``(x, z, y)`` among the cubes of its level; a negative one gives the key -1.

    Returns
    -------
    ndarray of int64, shape (n,)

    Raises
    ------
    InputError
        If a position does not fit into the key (from 524288 cubes along an axis on).
    """
    levels = np.asarray(level, np.int64)
    x, z, y = np.asarray(index, np.int64).reshape(-1, 3).T
    if max(x.max(initial=0), z.max(initial=0), y.max(initial=0)) >= 1 << _BITS:
        raise InputError("a tree too deep: more than 524288 cubes along an axis", remedy="use fewer levels")
    keys = ((levels << _BITS | y) << _BITS | x) << _BITS | z
    return np.where((x < 0) | (z < 0) | (y < 0) | (levels < 0), np.int64(-1), keys)


def find(forest: Forest, level: ArrayLike, index: ArrayLike) -> NDArray[np.int64]:
    """Find the leaves that are exactly the given cubes.

    Parameters
    ----------
    forest : Forest
    level : array_like of int, shape (n,)
        Level of each cube.
    index : array_like of int, shape (n, 3)
        Position ``(x, z, y)`` among the cubes of its level; it may lie outside the box.

    Returns
    -------
    ndarray of int64, shape (n,)
        Numbers of leaves; -1 where there is none.
    """
    wanted = cell_keys(level, index)
    keys = cell_keys(forest.level, forest.index)
    if not keys.size:
        return np.full(wanted.shape, -1, np.int64)
    place = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[place] == wanted, place, -1).astype(np.int64)


def find_owner(forest: Forest, level: ArrayLike, index: ArrayLike) -> NDArray[np.int64]:
    """Find the leaves that are the given cubes or contain them.

    Parameters
    ----------
    forest : Forest
    level : array_like of int, shape (n,)
        Level of each cube.
    index : array_like of int, shape (n, 3)
        Position ``(x, z, y)`` among the cubes of its level; it may lie outside the box.

    Returns
    -------
    ndarray of int64, shape (n,)
        Numbers of leaves; -1 where there is none.
    """
    levels = np.asarray(level, np.int64)
    cubes = np.asarray(index, np.int64).reshape(-1, 3)
    owner = np.full(levels.shape, -1, np.int64)
    # Cubes, then their parents, and so on up: as leaves do not overlap, the first that is a leaf is the owner.
    for up in range(int(levels.max(initial=0)) + 1):
        rest = np.flatnonzero((owner < 0) & (levels >= up))
        if not rest.size:
            break
        # An arithmetic shift keeps a negative position negative, so a cube outside the box stays unfound.
        owner[rest] = find(forest, levels[rest] - up, cubes[rest] >> up)
    return owner


def check_disjoint(forest: Forest) -> None:
    """Make sure that no two leaves overlap.

    Parameters
    ----------
    forest : Forest

    Raises
    ------
    InputError
        If a leaf is listed twice or lies in another.
    """
    keys = cell_keys(forest.level, forest.index)
    if (keys[1:] == keys[:-1]).any():
        raise InputError("a leaf is listed twice", field="octree")
    if (find_owner(forest, forest.level - 1, forest.index >> 1) >= 0).any():
        raise InputError("a leaf lies in another", field="octree")
