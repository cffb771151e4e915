"""Patches of both halves, drawn at random and turned as the missing wedge allows.

The views of a single-axis series lie about y. Mirrored along y, or turned by half a turn about it, a tomogram is again
one of the same views, its wedge and its noise where they were: these four are what a patch may be shown as. A mirror
along x alone would exchange the signs of the tilts, and other turns would move the wedge.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit_denoise.halves import Halves
from tomokit_denoise.network import STRIDE

Array = NDArray[np.float32]

HELD_OUT_SHARE = 8
"""One row in so many, at the end of the tilt axis, is left to judge the training by."""


@dataclass(frozen=True)
class Pair:
    """Patches in, and what they are compared with: the same place in the other half.

    Attributes
    ----------
    given, wanted : ndarray of float32, shape (n, 1, edge_0, edge_1, edge_2)
        Of mean 0 and standard deviation 1 over the volume.
    """

    given: Array
    wanted: Array


class Patches:
    """Random patches of the halves, those of some rows kept for judgement.

    Parameters
    ----------
    halves : Halves
        What the network is given.
    targets : Halves
        What it is held to: the same halves, or others of the same views.
    edge : int
        Voxels along each axis, a multiple of the network's stride; fewer where the volume has fewer.
    box : tuple of three slices
        Where patches may lie.

    Attributes
    ----------
    edges : tuple of int
        Voxels of a patch along each axis.
    held_out_rows : tuple of int
        First row along the tilt axis that is kept for judgement, and the one after the last.
    """

    def __init__(self, halves: Halves, targets: Halves, edge: int, box: tuple[slice, slice, slice]) -> None:
        self._halves, self._targets, self._axis = halves, targets, halves.tilt_axis
        extents = [part.stop - part.start for part in box]
        rows = extents[self._axis]
        e_z, e_y, e_x = (min(edge, extent - extent % STRIDE) for extent in extents)
        edges = [e_z, e_y, e_x]
        kept = max(rows // HELD_OUT_SHARE, STRIDE)
        # Patches for training end where those for judgement begin.
        edges[self._axis] = min(edges[self._axis], (rows - kept) // STRIDE * STRIDE)
        self.edges = (edges[0], edges[1], edges[2])
        first = box[self._axis].stop - kept
        self.held_out_rows = (first, first + kept)
        self._training = _bounds(box, self._axis, (box[self._axis].start, first))
        self._judging = _bounds(box, self._axis, self.held_out_rows)

    def batches(self, count: int, size: int, seed: int) -> Iterator[Pair]:
        """Draw batches for training.

        Parameters
        ----------
        count : int
            Batches.
        size : int
            Patches in each.
        seed : int

        Yields
        ------
        Pair
        """
        rng = np.random.default_rng((seed, 1))
        for _ in range(count):
            yield self._draw(rng, size, self._training, self.edges)

    def held_out(self, size: int) -> Pair:
        """Draw the patches that training is judged by, always the same ones.

        Parameters
        ----------
        size : int
            How many.

        Returns
        -------
        Pair
        """
        edges = list(self.edges)
        kept = self.held_out_rows[1] - self.held_out_rows[0]
        edges[self._axis] = min(edges[self._axis], kept // STRIDE * STRIDE)
        rng = np.random.default_rng(20_200_601)
        return self._draw(rng, size, self._judging, (edges[0], edges[1], edges[2]))

    def _draw(
        self, rng: np.random.Generator, size: int, bounds: list[tuple[int, int]], edges: tuple[int, int, int]
    ) -> Pair:
        across = tuple(axis for axis in range(3) if axis != self._axis)
        given, wanted = (np.empty((size, 1, *edges), np.float32) for _ in range(2))
        for number in range(size):
            corner = [int(rng.integers(low, high - edge + 1)) for (low, high), edge in zip(bounds, edges, strict=True)]
            z, y, x = (slice(at, at + edge) for at, edge in zip(corner, edges, strict=True))
            first, mirrored, turned = rng.integers(2, size=3)
            flips = (self._axis,) * int(mirrored) + across * int(turned)
            given[number, 0] = np.flip(self._halves.read(int(first), (z, y, x)), flips)
            wanted[number, 0] = np.flip(self._targets.read(1 - int(first), (z, y, x)), flips)
        return Pair(given, wanted)


def _bounds(box: tuple[slice, slice, slice], axis: int, rows: tuple[int, int]) -> list[tuple[int, int]]:
    """From where to where along each axis, the rows along the tilt axis replaced."""
    found = [(part.start, part.stop) for part in box]
    found[axis] = rows
    return found
