"""Which points of a regular lattice each leaf owns, and where they lie among its vertices.

A leaf owns the points from its lower faces (included) to its upper ones (excluded). Faces lie at whole numbers of the
finest cubes, computed alike for both neighbours: no point is missed or owned twice.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.octree.forest import Forest

OCTANTS = tuple(itertools.product((-0.25, 0.25), repeat=3))
"""Centres ``(x, z, y)`` of a voxel's octants, in voxels from its own: a voxel's mean is taken over them."""

_ON_FACE = 1e-6
"""Points this close to a face, in lattice steps, lie on it."""


@dataclass(frozen=True)
class Boxes:
    """Which points of a lattice each leaf owns; all arrays of shape (n_leaves, 3), axes in the order x, z, y.

    Attributes
    ----------
    first, stop : ndarray of int64
        Points that the leaf owns, ``first <= i < stop``.
    closed : ndarray of int64
        As `stop`, with the points on the leaf's upper faces included.
    base, rate : ndarray of float64
        Point i lies at ``base + rate * i``, counted in the leaf's vertices.
    """

    first: NDArray[np.int64]
    stop: NDArray[np.int64]
    closed: NDArray[np.int64]
    base: NDArray[np.float64]
    rate: NDArray[np.float64]

    @property
    def on_upper_faces(self) -> NDArray[np.int64]:
        """Leaves with lattice points on their upper faces, ascending."""
        return np.flatnonzero((self.closed > self.stop).any(axis=1))


def lattice_boxes(
    forest: Forest, start: NDArray[np.float64], step: NDArray[np.float64], count: NDArray[np.int64]
) -> Boxes:
    """Find the points ``start + i * step``, ``0 <= i < count``, that each leaf owns.

    Parameters
    ----------
    forest : Forest
    start, step : ndarray of float64, shape (3,)
        First point and spacing ``(x, z, y)``, in detector pixels.
    count : ndarray of int64, shape (3,)
        Points along each axis.

    Returns
    -------
    Boxes
    """
    low, high = bounds(forest)
    return Boxes(
        first=np.clip(np.ceil((low - start) / step - _ON_FACE), 0, count).astype(np.int64),
        stop=np.clip(np.ceil((high - start) / step - _ON_FACE), 0, count).astype(np.int64),
        closed=np.clip(np.floor((high - start) / step + _ON_FACE) + 1, 0, count).astype(np.int64),
        base=(start - low) / forest.spacing_px[:, None],
        rate=step / forest.spacing_px[:, None],
    )


def bounds(forest: Forest) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Lower and upper corners of all leaves, by the same floating-point number for a face from either of its leaves.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    low, high : ndarray of float64, shape (n_leaves, 3)
        ``(x, z, y)`` in detector pixels.
    """
    finest = int(forest.level.max(initial=0))
    edge = np.left_shift(1, finest - forest.level.astype(np.int64))[:, None]
    # In whole numbers of the finest cubes until the last step, where all leaves are multiplied by the same unit.
    unit = forest.root_px / (1 << finest)
    low = forest.index.astype(np.int64) * edge
    origin = np.asarray(forest.origin_px)
    return origin + unit * low, origin + unit * (low + edge)
