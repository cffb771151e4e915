"""The cross-node constraint on a device: partners, and the launches that tabulate it."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from tomokit.cuda.cross_node_kernels import make_kernels
from tomokit.cuda.device import Device
from tomokit.cuda.interchange import for_numba
from tomokit.octree import Forest
from tomokit.regularizers.cross_node import KERNELS, CrossNode
from tomokit.regularizers.cross_node_scalars import FINE


@cache
def _compiled(bins: int) -> tuple[Any, Any]:
    count_leaf, tabulate_pair = make_kernels(bins)
    return cuda.jit(count_leaf), cuda.jit(tabulate_pair)


class CrossNodeOnDevice:
    """What :class:`tomokit.regularizers.cross_node.CrossNode` tabulates, in arrays that ``leaf_update.cu`` reads.

    Parameters
    ----------
    device : Device
    regularizer : CrossNode
    forest : Forest
    leaves : ndarray of int, shape (n_pairs,)
        Leaves that take part.

    Attributes
    ----------
    pair_of : array of int32, shape (n_leaves,)
        Row of each leaf in the tables, -1 for those that take no part.
    grid, table : array of float32, shapes (n_pairs, 2) and (n_pairs, bins, 8)
    means : array of float32, shape (n_pairs,)
        The penalty of each pair.
    """

    def __init__(
        self,
        device: Device,
        regularizer: CrossNode,
        forest: Forest,
        leaves: NDArray[np.integer],
    ) -> None:
        options = regularizer.options
        self.device, self._forest, self._size = device, forest, leaves.size
        self._count, self._tabulate = _compiled(options.bins)
        self._kernel = KERNELS[options.kernel]
        self._spread = np.float32(options.temperature if options.kernel == "dot" else options.bandwidth)
        pair_of = np.full(forest.n_leaves, -1, np.int32)
        pair_of[leaves] = np.arange(leaves.size)
        xp, bins = device.xp, options.bins
        self.pair_of = xp.asarray(pair_of)
        self.grid, self.table = xp.zeros((leaves.size, 2), np.float32), xp.zeros((leaves.size, bins, 8), np.float32)
        self.means = xp.zeros(leaves.size, np.float32)
        self._own = {
            "leaves": xp.asarray(leaves.astype(np.int32)),
            "cells": xp.zeros((leaves.size, FINE * (bins - 1)), np.int64),
            "counts": xp.zeros((leaves.size, bins, 2), np.float32),
            "finite": xp.zeros(leaves.size, np.int32),
        }

    def draw(self, rng: np.random.Generator, count: int) -> Any:
        """Partners for so many evaluations, int32 of shape (count, n_pairs), drawn as the CPU draws them."""
        drawn = np.array([rng.permutation(self._size) for _ in range(count)], np.int32).reshape(count, self._size)
        return self.device.xp.asarray(drawn)

    def tabulate(self, values: Any, partner: Any) -> None:
        """Fill ``grid``, ``table`` and ``means`` from values ``[leaf, x, z, y]`` and the partners of this step."""
        if not self._size:
            return
        flat = for_numba(values.reshape(self._forest.n_leaves, -1))
        own = {name: for_numba(array) for name, array in self._own.items()}
        grid, table, means = for_numba(self.grid), for_numba(self.table), for_numba(self.means)
        cells, counts, finite = own["cells"], own["counts"], own["finite"]
        self._count[self._size, self.device.block_threads](flat, own["leaves"], grid, cells, counts, finite)
        self._tabulate[self._size, self.device.block_threads](
            np.int32(flat.shape[1]), for_numba(partner), grid, cells, counts, finite, np.int32(self._kernel),
            self._spread, table, means,
        )  # fmt: skip
