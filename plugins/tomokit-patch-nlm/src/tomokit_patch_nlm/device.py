"""The penalty on a GPU: what the kernels of ``halo.cu`` and ``patches.cu`` need of a forest, and their launches."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.octree import Forest
from tomokit.plugin.cuda import Device, DeviceArray, Kernel
from tomokit_patch_nlm.halo import Owners, find_owners

SOURCES = tuple(Path(__file__).with_name(name) for name in ("halo.cu", "patches.cu"))
_THREADS, _WIDE, _HIGH = 256, 32, 8  # as in the sources
_AT_ONCE = 8  # offsets whose weights are held at once
_FLOAT = 4
_WORK_BYTES = 128 << 20
_BYTES_OF_A_LEAF = 2048  # its place, the leaves whose blocks reach it, its part of the table of owners


class PatchesOnDevice:
    """The penalty over the leaves of one forest, on one device.

    Leaves are worked on a batch at a time, so that the space to work in does not grow with the forest.

    Parameters
    ----------
    device : Device
    forest : Forest
    inside : ndarray of bool, shape (n_leaves,)
        Leaves that are summed over.
    margin : int
        Vertices that blocks are continued by: one more than the largest offset that will be asked for.
    offsets : int
        How many offsets will be asked for at a time.

    Attributes
    ----------
    n_inside : int
        How many leaves are summed over.
    """

    def __init__(self, device: Device, forest: Forest, inside: NDArray[np.bool_], margin: int, offsets: int) -> None:
        self.device, self.forest, self.inside, self.margin = device, forest, inside.copy(), margin
        leaves = np.flatnonzero(inside)
        owners = find_owners(forest)
        reached, source = sources(forest, owners, leaves, margin)
        self._batch = batch_of(forest.n, margin, min(_AT_ONCE, offsets), leaves.size)
        put = device.xp.asarray
        self._extent = owners.owner.shape
        self._places = [put(owners.owner), put(owners.cube.astype(np.int32)), put(owners.cubes.astype(np.int32))]
        self._leaves, self._source = put(leaves.astype(np.int32)), put(source)
        self._targets = [
            put(targets(reached, source, begin, begin + self._batch)) for begin in range(0, leaves.size, self._batch)
        ]
        self._kernels: dict[str, Kernel] = {}
        for source_file in SOURCES:
            self._kernels |= device.load(source_file, N=forest.n, MARGIN=margin)
        self.n_inside = leaves.size

    def add(
        self,
        values: DeviceArray,
        offsets: NDArray[np.int64],
        bandwidth: float,
        factor: float,
        gradient: DeviceArray,
    ) -> DeviceArray:
        """Sum the penalty over leaves and offsets, and add its gradient times a factor.

        Parameters
        ----------
        values : array of float32 on the device, shape (n_leaves, n, n, n)
            ``[leaf, x, z, y]``.
        offsets : ndarray of int64, shape (n_offsets, 3)
            Offsets of the search window along x, z and y, in vertices.
        bandwidth : float
            h, in units of the values.
        factor : float
            What the gradient is multiplied by; 0 for the value alone.
        gradient : array of float32 on the device, shaped like the values, changed

        Returns
        -------
        array of float64 on the device, without axes
            The penalty. Nothing is waited for.
        """
        xp, n, n_offsets, k = self.device.xp, self.forest.n, len(offsets), self._kernels
        edge, wide, at_once = n + 2 * self.margin, n + 2, min(_AT_ONCE, n_offsets)
        batch = self._batch
        blocks, present, slopes = (xp.empty((batch, edge, edge, edge), np.float32) for _ in range(3))
        weights = xp.empty((batch, at_once, n, n, n), np.float32)
        pair_gradients = xp.empty((batch, at_once, wide, wide, wide), np.float32)
        # A tile's rim belongs to its neighbours, so that tiles advance by two less than their size.
        tiles = -(-wide // (_WIDE - 2)) * -(-wide // (_HIGH - 2))
        partial = xp.empty((self.n_inside, n_offsets, tiles), np.float32)
        places = xp.asarray(offsets.astype(np.int32))
        # 27 vertices of a patch; the 2 is from the derivative of the square.
        limit, slope_factor = float(np.float32(bandwidth * bandwidth)), 2 * factor / 27
        in_line, in_tiles = (_THREADS, 1, 1), (_WIDE, _HIGH, 1)
        for reached, begin in zip(self._targets, range(0, self.n_inside, batch), strict=True):
            count = min(batch, self.n_inside - begin)
            of_block = (-(-(edge**3) // _THREADS), count, 1)
            k["take_blocks"](
                of_block, in_line, (values, *self._places, self._leaves, blocks, present, begin, *self._extent)
            )
            for first in range(0, n_offsets, at_once):
                several = min(at_once, n_offsets - first)
                grid = (tiles, several, count)
                k["compare"](
                    grid, in_tiles, (blocks, present, places, weights, partial, limit, begin, first, n_offsets)
                )
                if factor != 0:
                    k["differentiate"](grid, in_tiles, (blocks, weights, places, pair_gradients, slope_factor, first))
                    # The first offsets overwrite what the batch before left in the slopes.
                    k["collect"](of_block, in_line, (pair_gradients, places, slopes, first, several, int(first > 0)))
            if factor != 0:
                k["hand_back"](
                    (-(-(n**3) // _THREADS), len(reached), 1), in_line,
                    (slopes, *self._places, self._leaves, reached, self._source, gradient, begin, *self._extent),
                )  # fmt: skip
        total: DeviceArray = partial.sum(dtype=np.float64)
        return total


def batch_of(n: int, margin: int, offsets: int, leaves: int) -> int:
    """How many leaves are worked on at once, so that their blocks fit into the space to work in.

    Parameters
    ----------
    n : int
        Vertices along a leaf's edge.
    margin : int
        Vertices that blocks are continued by on each side.
    offsets : int
        Offsets whose weights are held at once.
    leaves : int
        Leaves that there are.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, min(leaves, _WORK_BYTES // _leaf_bytes(n, margin, offsets)))


def device_bytes(n_leaves: int, n: int, margin: int, offsets: int) -> int:
    """Most bytes held on a device beyond values and gradient.

    Parameters
    ----------
    n_leaves, n : int
        Leaves of the forest, and vertices along the edge of each.
    margin : int
        Vertices that blocks are continued by on each side.
    offsets : int
        Offsets of an evaluation.

    Returns
    -------
    int
    """
    at_once = min(_AT_ONCE, offsets)
    tiles = -(-(n + 2) // (_WIDE - 2)) * -(-(n + 2) // (_HIGH - 2))
    work = batch_of(n, margin, at_once, n_leaves) * _leaf_bytes(n, margin, at_once)
    return work + n_leaves * (_BYTES_OF_A_LEAF + _FLOAT * offsets * tiles)


def _leaf_bytes(n: int, margin: int, offsets: int) -> int:
    """Bytes of block, presence and slopes of one leaf, and of weights and pairs' gradients of some offsets."""
    return _FLOAT * (3 * (n + 2 * margin) ** 3 + offsets * (n**3 + (n + 2) ** 3))


def sources(
    forest: Forest, owners: Owners, leaves: NDArray[np.int64], margin: int
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Find which leaves' blocks extend into which leaf, a leaf's own block included.

    Parameters
    ----------
    forest : Forest
    owners : Owners
        Those of the forest.
    leaves : ndarray of int64, shape (n_inside,)
        Leaves whose blocks are taken.
    margin : int
        Vertices that blocks are continued by on each side.

    Returns
    -------
    reached : ndarray of int64, shape (n_pairs,)
        Leaves that a block extends into, ascending.
    source : ndarray of int32, shape (n_pairs,)
        Place in `leaves` of the block's leaf, ascending for each leaf of `reached`.
    """
    # Extents along each axis in units of finest cubes over n - 1, as in halo.py; blocks that only touch count too.
    low = owners.cube * (forest.n - 1)
    high = low + (owners.cubes * (forest.n - 1))[:, None]
    beyond = (margin * owners.cubes[leaves])[:, None]
    first, last = low[leaves] - beyond, high[leaves] + beyond
    found = [
        np.flatnonzero(((first <= high[leaf]) & (last >= low[leaf])).all(axis=1)) for leaf in range(forest.n_leaves)
    ]
    reached = np.repeat(np.arange(forest.n_leaves), [places.size for places in found])
    return reached, np.concatenate([*found, np.empty(0, np.int64)]).astype(np.int32)


def targets(reached: NDArray[np.int64], source: NDArray[np.int32], begin: int, end: int) -> NDArray[np.int32]:
    """Find the leaves that the blocks of a batch extend into, and which entries of `source` are theirs.

    Parameters
    ----------
    reached, source : ndarray, shape (n_pairs,)
        What :func:`sources` gives.
    begin, end : int
        The batch's range of places in `leaves`, the end excluded.

    Returns
    -------
    ndarray of int32, shape (n_targets, 3)
        A leaf, and where the batch's entries of `source` begin and end for it.
    """
    entries = np.flatnonzero((source >= begin) & (source < end))
    leaves, first, count = np.unique(reached[entries], return_index=True, return_counts=True)
    # A leaf's sources are in order, so that those of a batch follow each other.
    return np.stack([leaves, entries[first], entries[first] + count], axis=1).astype(np.int32)
