"""The cross-node constraint on a GPU: drawing partners, and the launches that count values and tabulate."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from tomokit.gpu.arrays import DeviceArray
from tomokit.gpu.device import Device
from tomokit.gpu.interchange import for_numba
from tomokit.gpu.reductions import add_total, load_reductions
from tomokit.octree.partition import Partition
from tomokit.regularizers.cross_node_scalars import FINE
from tomokit.regularizers.cuda.cross_node_kernels import make_kernels
from tomokit.regularizers.cuda.interface import GradientsOnGpu, LeavesOnGpu, StepOnGpu, ValueTableOnGpu


@cache
def _compiled_kernels(bins: int) -> tuple[Any, Any]:
    """``count_leaf`` and ``tabulate_pair`` as Numba's dispatchers, compiled once for so many nodes."""
    count_leaf, tabulate_pair = make_kernels(bins)
    return cuda.jit(count_leaf), cuda.jit(tabulate_pair)


class PairTables:
    """The tables of :class:`tomokit.regularizers.cross_node.CrossNode` on one device, as ``leaf_update.cu`` reads them.

    Each partition's leaves are counted on its device; counts are then shared, and every device tabulates all pairs,
    since any leaf may be the partner of any other.

    Parameters
    ----------
    device : Device
        Where the arrays lie.
    bins : int
        Nodes over the range of a leaf's values.
    kernel : int
        0 for the product of two values, 1 for a Gaussian of their difference.
    spread : float
        Temperature of the product, or the Gaussian's standard deviation in units of the values.
    partitions : sequence of Partition
        The subdomains that the forest is cut into, on all devices.
    here : sequence of int
        Numbers of those on this device; they follow each other.
    inside : ndarray of bool, shape (n_leaves,)
        Leaves of the whole forest that take part.

    Attributes
    ----------
    rows : list of slice
        Rows of each subdomain's leaves in the tables, in the order of the leaves.
    leaves : list of ndarray of int64
        The leaves of each subdomain that take part, by their number in it.
    grid : DeviceArray of float32, shape (n_pairs, 2)
        Lowest node and spacing.
    table : DeviceArray of float32, shape (n_pairs, bins, 8)
        Cubics of the error and of the gradient by a leaf as partner
        (:func:`tomokit.regularizers.cross_node_grid.add_slopes`).
    means : DeviceArray of float32, shape (n_pairs,)
        The penalty of each pair, without its weight.
    """

    grid: DeviceArray
    table: DeviceArray
    means: DeviceArray

    def __init__(
        self,
        device: Device,
        bins: int,
        kernel: int,
        spread: float,
        partitions: Sequence[Partition],
        here: Sequence[int],
        inside: NDArray[np.bool_],
    ) -> None:
        self.device = device
        # Pairs are kept subdomain after subdomain, each in the order of its leaves; `_order` has the row of each pair
        # in the forest's order.
        self.leaves = [np.flatnonzero(inside[partition.own]) for partition in partitions]
        ends = np.cumsum([leaves.size for leaves in self.leaves]).tolist()
        self.rows = [slice(end - leaves.size, end) for end, leaves in zip(ends, self.leaves, strict=True)]
        in_order = np.concatenate(
            [partition.own[leaves] for partition, leaves in zip(partitions, self.leaves, strict=True)]
        )
        self._order = np.argsort(in_order)
        self._size = in_order.size
        self._vertices = partitions[0].forest.n ** 3
        self._device_rows = slice(self.rows[min(here)].start, self.rows[max(here)].stop)
        self._count_leaves, self._tabulate = _compiled_kernels(bins)
        self._kernel, self._spread = kernel, np.float32(spread)
        xp, n = device.xp, self._size
        with device:
            self.grid, self.table = xp.zeros((n, 2), np.float32), xp.zeros((n, bins, 8), np.float32)
            self.means = xp.zeros(n, np.float32)
            self._cells, self._counts = xp.zeros((n, FINE * (bins - 1)), np.int64), xp.zeros((n, bins, 2), np.float32)
            self._finite = xp.zeros(n, np.int32)

    @property
    def counted(self) -> tuple[DeviceArray, ...]:
        """The arrays that counting writes: grid, fine cells, counts, and whether all values are finite, by row."""
        return self.grid, self._cells, self._counts, self._finite

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        """The row of each row's partner in several evaluations, drawn as the host draws them (see
        :class:`tomokit.regularizers.cuda.interface.TablesOnGpu`)."""
        drawn = np.array([rng.permutation(self._size) for _ in range(count)], np.int64).reshape(count, self._size)
        # The host draws in the forest's order, tables have the subdomains' order: both ends of a pair are translated.
        partner = np.empty_like(drawn)
        partner[:, self._order] = self._order[drawn]
        return partner.astype(np.int32)

    def tabulate(self, drawn: DeviceArray) -> None:
        """Fill ``table`` and ``means`` from all counts (see
        :class:`tomokit.regularizers.cuda.interface.TablesOnGpu`)."""
        if self._size:
            self._tabulate[self._size, self.device.block_threads](
                np.int32(self._vertices), for_numba(drawn), *map(for_numba, self.counted), np.int32(self._kernel),
                self._spread, for_numba(self.table), for_numba(self.means),
            )  # fmt: skip

    def count(self, penalized: DeviceArray, number: int, leaves: DeviceArray) -> None:
        """Count the values of one partition's leaves.

        Parameters
        ----------
        penalized : array of float32, shape (n_own, n, n, n)
            The partition's densities or raw values ``[leaf, x, z, y]``.
        number : int
            Which of the partitions it is.
        leaves : array of int32, shape (n_rows,)
            Those of its leaves that take part, by their number in it.
        """
        rows = self.rows[number]
        own = rows.stop - rows.start
        if own:
            flat = for_numba(penalized.reshape(penalized.shape[0], -1))
            written = [for_numba(array[rows]) for array in self.counted]
            self._count_leaves[own, self.device.block_threads](flat, for_numba(leaves), *written)

    def share(self, others: Sequence[PairTables]) -> None:
        """Give every device the counts of all (see :class:`tomokit.regularizers.cuda.interface.TablesOnGpu`)."""
        if len(others) == 1:
            return
        # Each device has counted the rows of its own subdomains, which follow each other, as those of all devices do.
        counted = []
        for tables in others:
            with tables.device:
                counted.append([tables.device.to_host(array[tables._device_rows]) for array in tables.counted])
        of_all = [np.concatenate(arrays) for arrays in zip(*counted, strict=True)]
        for tables in others:
            for array, counts in zip(tables.counted, of_all, strict=True):
                tables.device.send(counts, array)
            # The host's arrays are freed after this.
            tables.device.wait()


class CrossNodeOnGpu:
    """The cross-node constraint's term on one subdomain (see :class:`tomokit.regularizers.cuda.interface.TermOnGpu`).

    Parameters
    ----------
    leaves : LeavesOnGpu
        The subdomain's leaves.
    scale : float
        Factor of the penalty.
    tables : PairTables
        The tables on the subdomain's device.
    number : int
        Which of the partitions it is.
    is_raw : bool
        Whether raw values are compared, not densities.
    """

    compares = None

    def __init__(self, leaves: LeavesOnGpu, scale: float, tables: PairTables, number: int, is_raw: bool) -> None:
        self._leaves, self._tables, self._number, self._scale = leaves, tables, number, scale
        self._is_raw = is_raw
        rows, taking_part = tables.rows[number], tables.leaves[number]
        # The update runs over all leaves and skips those without a row.
        row = np.full(leaves.partition.own.size, -1, np.int32)
        row[taking_part] = np.arange(rows.start, rows.stop)
        xp = leaves.device.xp
        self._row, self._taking_part = xp.asarray(row), xp.asarray(taking_part.astype(np.int32))
        self._add_total = load_reductions(leaves.device)["add_total"]

    def prepare(self, step: StepOnGpu) -> None:
        """Count the subdomain's values (see :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""
        if step.rng is None:
            self._count()

    def add(self, gradients: GradientsOnGpu, step: StepOnGpu, slot: int) -> None:
        """Hand over the tables, which are made here if partners are drawn step by step (see
        :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""
        tables = self._tables
        if step.rng is not None:
            self._count()
            tables.tabulate(self._leaves.device.xp.asarray(tables.draw(step.rng, 1)[0]))
        gradients.table = ValueTableOnGpu(self._row, tables.grid, tables.table, self._scale, self._is_raw)
        # The means are those of all subdomains: the first one adds them.
        add_total(self._add_total, tables.means, step.totals, slot, self._scale if self._number == 0 else 0.0)

    def finish(self, step: StepOnGpu, slot: int) -> None:
        """Nothing: the penalty is known before the update (see
        :class:`tomokit.regularizers.cuda.interface.TermOnGpu`)."""

    def _count(self) -> None:
        """Launch the counting of the values of those leaves that take part."""
        penalized = self._leaves.values if self._is_raw else self._leaves.density
        self._tables.count(penalized, self._number, self._taking_part)
