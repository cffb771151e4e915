"""Finding leaves by position: sorted keys, searched by bisection.

A leaf's key packs level, y, x and z into one integer, the most significant first. That is the canonical order of
:class:`~tomokit.octree.forest.Forest`, so a forest's keys are sorted as they stand.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.octree.forest import Forest

_BITS = 19
CHILDREN = np.array([(x, z, y) for x in (0, 1) for z in (0, 1) for y in (0, 1)], np.int64)
"""Offsets ``(x, z, y)`` of a cube's eight children, in the order in which they are listed everywhere."""


def cell_keys(level: ArrayLike, index: ArrayLike) -> NDArray[np.int64]:
    """Keys of cubes.

    Parameters
    ----------
    level : array_like of int, shape (n,)
        Level of each cube.
    index : array_like of int, shape (n, 3)
        Position ``(x, z, y)`` among the cubes of its level; a negative one gives the key -1.

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
    """Leaves that are exactly the given cubes, shape (n,); -1 where there is none. Parameters as in `cell_keys`."""
    wanted = cell_keys(level, index)
    keys = cell_keys(forest.level, forest.index)
    if not keys.size:
        return np.full(wanted.shape, -1, np.int64)
    at = np.minimum(np.searchsorted(keys, wanted), keys.size - 1)
    return np.where(keys[at] == wanted, at, -1).astype(np.int64)


def find_owner(forest: Forest, level: ArrayLike, index: ArrayLike) -> NDArray[np.int64]:
    """Leaves that are the given cubes or hold them whole, shape (n,); -1 where there is none."""
    levels = np.asarray(level, np.int64)
    cubes = np.asarray(index, np.int64).reshape(-1, 3)
    owner = np.full(levels.shape, -1, np.int64)
    for up in range(int(levels.max(initial=0)) + 1):
        rest = np.flatnonzero((owner < 0) & (levels >= up))
        if not rest.size:
            break
        # An arithmetic shift keeps a negative position negative, so a cube outside the box stays unfound.
        owner[rest] = find(forest, levels[rest] - up, cubes[rest] >> up)
    return owner


def check_disjoint(forest: Forest) -> None:
    """Make sure that no two leaves overlap.

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
