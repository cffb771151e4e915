"""The octree field in plain NumPy and float64: the oracle of the tests."""

from __future__ import annotations

import itertools

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.octree.forest import Forest


def evaluate(values: ArrayLike, forest: Forest, points: ArrayLike, fill: float = 0.0) -> NDArray[np.float64]:
    """The trilinear field at points, leaf by leaf, point by point.

    A point belongs to the leaf with ``lower <= point < upper``; failing that, to the first leaf that holds it with its
    faces; failing that, it has the value `fill`.

    Parameters
    ----------
    values : array_like, shape (n_leaves, n, n, n)
        Densities ``[leaf, x, z, y]`` at the vertices.
    forest : Forest
    points : array_like, shape (n_points, 3)
        ``(x, z, y)`` in detector pixels.
    fill : float
        Value outside all leaves.

    Returns
    -------
    ndarray of float64, shape (n_points,)
    """
    density = np.asarray(values, np.float64)
    low, high = forest.corner_px, forest.corner_px + forest.size_px[:, None]
    found = []
    for point in np.asarray(points, np.float64).reshape(-1, 3):
        owns = np.flatnonzero(((low <= point) & (point < high)).all(axis=1))
        if not owns.size:
            owns = np.flatnonzero(((low <= point) & (point <= high)).all(axis=1))
        if not owns.size:
            found.append(fill)
            continue
        leaf = owns[0]
        at = (point - low[leaf]) / forest.spacing_px[leaf]
        cell = np.minimum(at.astype(int), forest.n - 2)
        total = 0.0
        for corner in itertools.product((0, 1), repeat=3):
            weight = np.prod(np.where(corner, at - cell, 1 - (at - cell)))
            total += weight * density[(leaf, *(cell + corner))]
        found.append(total)
    return np.array(found)


def vertices(forest: Forest) -> NDArray[np.float64]:
    """Positions of the vertices of all leaves.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    ndarray of float64, shape (n_leaves, n, n, n, 3)
        ``(x, z, y)`` in detector pixels, of vertex ``[leaf, x, z, y]``.
    """
    steps = np.arange(forest.n)
    lattice = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
    spacing = forest.spacing_px[:, None, None, None, None]
    return forest.corner_px[:, None, None, None] + spacing * lattice


def leaf_mass(values: ArrayLike, forest: Forest) -> NDArray[np.float64]:
    """Integral of the trilinear field over each leaf.

    Parameters
    ----------
    values : array_like, shape (n_leaves, n, n, n)
        Densities ``[leaf, x, z, y]`` at the vertices.
    forest : Forest

    Returns
    -------
    ndarray of float64, shape (n_leaves,)
        In density times cubic detector pixels.
    """
    # The trapezoid rule along each axis, which is exact for a field that is linear between vertices.
    line = np.ones(forest.n)
    line[[0, -1]] = 0.5
    sums = np.einsum("lxzy,x,z,y->l", np.asarray(values, np.float64), line, line, line)
    return sums * forest.spacing_px**3
