"""Means of a density over voxels coarser than its own, from a finer lattice, in blocks that bound the memory."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Triple = tuple[float, float, float]

_BLOCK_EDGE = 192
"""Points along each axis of a block of the finer lattice, at most: with what it is made from, some 100 MiB."""


class LatticeSampler(Protocol):
    """What can give a density at the points of a lattice, in voxels of the tomogram, axes in the order x, z, y."""

    def sample(self, start: Triple, step: float, count: tuple[int, int, int]) -> NDArray[np.float32]:
        """Sample the density at ``start + step * (i, k, j)``.

        Parameters
        ----------
        start : tuple of float
            First point.
        step : float
            Distance between points along all axes.
        count : tuple of int
            Number of points.

        Returns
        -------
        ndarray of float32, shape `count`
        """
        ...

    def extent(self) -> tuple[tuple[float, float], ...]:
        """Tell from where to where, along each axis, the density may be other than 0.

        Returns
        -------
        tuple of three pairs of float
        """
        ...


def sample_means(
    source: LatticeSampler, start: Triple, spacing: float, count: tuple[int, int, int], finer: int
) -> NDArray[np.float64]:
    """Average a density over cubes about the points of a lattice, by ``finer**3`` points of each.

    Points where the density is 0 throughout are not looked at, so that the work is bounded by the density's own size,
    whatever the spacing.

    Parameters
    ----------
    source : LatticeSampler
    start : tuple of float
        First point of the lattice (x, z, y), in voxels of the tomogram.
    spacing : float
        Distance between its points, and edge of the cubes.
    count : tuple of int
        Number of its points.
    finer : int
        Points of the finer lattice along the edge of a cube.

    Returns
    -------
    ndarray of float64, shape `count`
    """
    step = spacing / finer
    # The fine points of a cube lie symmetrically about its own point.
    first = [at - (finer - 1) / 2 * step for at in start]
    pieces = [
        _pieces(_range_inside(at, step, n * finer, bounds), finer)
        for at, n, bounds in zip(first, count, source.extent(), strict=True)
    ]
    total = np.zeros(count)
    for x in pieces[0]:
        for z in pieces[1]:
            for y in pieces[2]:
                block = (x, z, y)
                begin = tuple(at + piece[0] * step for at, piece in zip(first, block, strict=True))
                fine = source.sample((begin[0], begin[1], begin[2]), step, (x[1] - x[0], z[1] - z[0], y[1] - y[0]))
                sums: NDArray[np.floating] = fine
                for axis, (low, high) in enumerate(block):
                    # Where the next cube begins, among the points of the block.
                    starts = [0, *range(finer - low % finer, high - low, finer)]
                    sums = np.add.reduceat(sums, starts, axis, dtype=np.float64)
                total[tuple(slice(low // finer, -(-high // finer)) for low, high in block)] += sums
    total /= finer**3
    return total


def _range_inside(first: float, step: float, count: int, bounds: tuple[float, float]) -> tuple[int, int]:
    """The fine points of an axis between the bounds, and one more on either side."""
    low = min(max(math.floor((bounds[0] - first) / step) - 1, 0), count)
    high = min(max(math.ceil((bounds[1] - first) / step) + 2, low), count)
    return low, high


def _pieces(inside: tuple[int, int], finer: int) -> list[tuple[int, int]]:
    """Cut a range of fine points into pieces that are parts of one cube, or made of as many as go into a block."""
    low, stop = inside
    # Cubes are whole multiples of this, so that no piece begins in the middle of one and ends in another.
    together = max(1, _BLOCK_EDGE // finer) * finer
    pieces = []
    while low < stop:
        end = min(stop, (low // together + 1) * together, low + _BLOCK_EDGE if finer > _BLOCK_EDGE else stop)
        pieces.append((low, end))
        low = end
    return pieces
