"""A volume that is asked for block by block, so that it need not be in memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Block = tuple[slice, slice, slice]
"""Voxels along z, y and x, with a start and a stop within the volume."""


class VoxelBlocks(Protocol):
    """What can give any block of a volume ``[z, y, x]``."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along z, y and x."""
        ...

    def read(self, block: Block) -> NDArray[np.float32]:
        """Give the densities of a block.

        Parameters
        ----------
        block : tuple of three slices

        Returns
        -------
        ndarray of float32
            ``[z, y, x]``.
        """
        ...


class ArrayBlocks:
    """The blocks of an array, such as a memory-mapped file.

    Parameters
    ----------
    array : ndarray, shape (n_z, n_y, n_x)
        Densities of any real type.

    Attributes
    ----------
    shape : tuple of int
    """

    def __init__(self, array: NDArray[np.number]) -> None:
        n_z, n_y, n_x = array.shape
        self.shape = (n_z, n_y, n_x)
        self._array = array

    def read(self, block: Block) -> NDArray[np.float32]:
        """Give the densities of a block, as :meth:`VoxelBlocks.read`.

        Parameters
        ----------
        block : tuple of three slices

        Returns
        -------
        ndarray of float32
        """
        return np.asarray(self._array[block], np.float32)


def blocks_of(shape_zyx: tuple[int, int, int], edge: int) -> Iterator[Block]:
    """Cut a volume into cubes, smaller ones at its ends.

    Parameters
    ----------
    shape_zyx : tuple of int
        Voxels along z, y and x.
    edge : int
        Of a cube, in voxels.

    Yields
    ------
    tuple of three slices
        z slowest, x fastest.
    """
    n_z, n_y, n_x = shape_zyx
    for z in range(0, n_z, edge):
        for y in range(0, n_y, edge):
            for x in range(0, n_x, edge):
                yield slice(z, min(z + edge, n_z)), slice(y, min(y + edge, n_y)), slice(x, min(x + edge, n_x))
