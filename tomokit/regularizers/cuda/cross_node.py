"""The cross-node constraint on a device: partners, and the launches that tabulate it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any, Protocol

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from tomokit.gpu.device import Device
from tomokit.gpu.interchange import for_numba
from tomokit.regularizers.cross_node import KERNELS, CrossNode
from tomokit.regularizers.cross_node_scalars import FINE
from tomokit.regularizers.cuda.cross_node_kernels import make_kernels


class Partition(Protocol):
    """The leaves that one subdomain of a fit owns, as far as the constraint asks."""

    @property
    def own(self) -> NDArray[np.int64]:
        """Numbers of those leaves in the whole forest, ascending."""
        ...


@cache
def _compiled(bins: int) -> tuple[Any, Any]:
    count_leaf, tabulate_pair = make_kernels(bins)
    return cuda.jit(count_leaf), cuda.jit(tabulate_pair)


class PairTables:
    """What :class:`tomokit.regularizers.cross_node.CrossNode` tabulates, in arrays that ``leaf_update.cu`` reads.

    Each part counts its own leaves (:class:`CrossNodeOnDevice`); counts are then shared, and every device tabulates all
    pairs.

    Parameters
    ----------
    device : Device
    regularizer : CrossNode
    partitions : sequence of Partition
    here : sequence of int
        Those of them that are on this device; they follow each other.
    inside : ndarray of bool, shape (n_leaves,)
        Leaves of the whole forest that take part.

    Attributes
    ----------
    rows : list of slice
        Of each part's leaves in the tables, in their order.
    leaves : list of ndarray of int64
        The leaves of each part that take part, by their number in it.
    grid, table : array of float32, shapes (n_pairs, 2) and (n_pairs, bins, 8)
    means : array of float32, shape (n_pairs,)
        The penalty of each pair.
    """

    def __init__(
        self,
        device: Device,
        regularizer: CrossNode,
        partitions: Sequence[Partition],
        here: Sequence[int],
        inside: NDArray[np.bool_],
    ) -> None:
        options = regularizer.options
        self.device = device
        # Pairs are kept part after part, each in the order of its leaves; `_order` has the row of each pair in the
        # forest's order.
        self.leaves = [np.flatnonzero(inside[partition.own]) for partition in partitions]
        ends = np.cumsum([leaves.size for leaves in self.leaves]).tolist()
        self.rows = [slice(end - leaves.size, end) for end, leaves in zip(ends, self.leaves, strict=True)]
        in_order = np.concatenate(
            [partition.own[leaves] for partition, leaves in zip(partitions, self.leaves, strict=True)]
        )
        self._order = np.argsort(in_order)
        self._size = in_order.size
        self._mine = slice(self.rows[min(here)].start, self.rows[max(here)].stop)
        self.count_leaves, self._tabulate = _compiled(options.bins)
        self._kernel = KERNELS[options.kernel]
        self._spread = np.float32(options.temperature if options.kernel == "dot" else options.bandwidth)
        xp, bins, n = device.xp, options.bins, self._size
        with device:
            self.grid, self.table = xp.zeros((n, 2), np.float32), xp.zeros((n, bins, 8), np.float32)
            self.means = xp.zeros(n, np.float32)
            self._cells, self._counts = xp.zeros((n, FINE * (bins - 1)), np.int64), xp.zeros((n, bins, 2), np.float32)
            self._finite = xp.zeros(n, np.int32)

    @property
    def counted(self) -> tuple[Any, ...]:
        """The arrays that are counted into."""
        return self.grid, self._cells, self._counts, self._finite

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        """Partners for so many evaluations, shape (count, n_pairs), by row, drawn as the CPU draws them."""
        drawn = np.array([rng.permutation(self._size) for _ in range(count)], np.int64).reshape(count, self._size)
        partner = np.empty_like(drawn)
        partner[:, self._order] = self._order[drawn]
        return partner.astype(np.int32)

    def tabulate(self, size: int, partner: Any) -> None:
        """Fill ``table`` and ``means`` from all counts and the partners of this step; `size` values a leaf."""
        if self._size:
            self._tabulate[self._size, self.device.block_threads](
                np.int32(size), for_numba(partner), *map(for_numba, self.counted), np.int32(self._kernel),
                self._spread, for_numba(self.table), for_numba(self.means),
            )  # fmt: skip


class CrossNodeOnDevice:
    """The constraint of one part.

    Parameters
    ----------
    tables : PairTables
        Of its device.
    partition : Partition
    number : int
        Which of them it is.

    Attributes
    ----------
    is_first : bool
    pair_of : array of int32, shape (n_own,)
        Row of each of the part's leaves in the tables, -1 for those that take no part.
    """

    def __init__(self, tables: PairTables, partition: Partition, number: int) -> None:
        self.tables, self.is_first = tables, number == 0
        self._rows, leaves = tables.rows[number], tables.leaves[number]
        pair_of = np.full(partition.own.size, -1, np.int32)
        pair_of[leaves] = np.arange(self._rows.start, self._rows.stop)
        with tables.device:
            xp = tables.device.xp
            self.pair_of, self._leaves = xp.asarray(pair_of), xp.asarray(leaves.astype(np.int32))

    def count(self, values: Any) -> None:
        """Count the part's leaves; `values` ``[leaf, x, z, y]``."""
        own, tables = self._rows.stop - self._rows.start, self.tables
        if own:
            flat = for_numba(values.reshape(values.shape[0], -1))
            written = [for_numba(array[self._rows]) for array in tables.counted]
            tables.count_leaves[own, tables.device.block_threads](flat, for_numba(self._leaves), *written)


def gather_counts(tables: Sequence[PairTables]) -> None:
    """Give every device the counts of all."""
    if len(tables) == 1:
        return
    found = []
    for one in tables:
        with one.device:
            found.append([one.device.to_host(array[one._mine]) for array in one.counted])
    whole = [np.concatenate(arrays) for arrays in zip(*found, strict=True)]
    for one in tables:
        for array, counts in zip(one.counted, whole, strict=True):
            one.device.send(counts, array)
        one.device.wait()
