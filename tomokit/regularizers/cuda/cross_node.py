"""The cross-node constraint on a device: drawing partners, and the launches that count and tabulate."""

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
from tomokit.methods.octree.cuda.partition import Partition
from tomokit.regularizers.cross_node import KERNELS, CrossNode
from tomokit.regularizers.cross_node_scalars import FINE
from tomokit.regularizers.cuda.cross_node_kernels import make_kernels


@cache
def _compiled_kernels(bins: int) -> tuple[Any, Any]:
    """``count_leaf`` and ``tabulate_pair`` as Numba's dispatchers, compiled once for so many nodes."""
    count_leaf, tabulate_pair = make_kernels(bins)
    return cuda.jit(count_leaf), cuda.jit(tabulate_pair)


class PairTables:
    """The tables of :class:`tomokit.regularizers.cross_node.CrossNode` on one device, as ``leaf_update.cu`` reads them.

    Each subdomain counts its own leaves (:class:`CrossNodeOnDevice`); counts are then exchanged, and every device
    tabulates all pairs, since any leaf may be the partner of any other.

    Parameters
    ----------
    device : Device
        Where the arrays lie.
    regularizer : CrossNode
        The constraint with its options.
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
        regularizer: CrossNode,
        partitions: Sequence[Partition],
        here: Sequence[int],
        inside: NDArray[np.bool_],
    ) -> None:
        options = regularizer.options
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
        self._device_rows = slice(self.rows[min(here)].start, self.rows[max(here)].stop)
        self.count_leaves, self._tabulate = _compiled_kernels(options.bins)
        self._kernel = KERNELS[options.kernel]
        self._spread = np.float32(options.temperature if options.kernel == "dot" else options.bandwidth)
        xp, bins, n = device.xp, options.bins, self._size
        with device:
            self.grid, self.table = xp.zeros((n, 2), np.float32), xp.zeros((n, bins, 8), np.float32)
            self.means = xp.zeros(n, np.float32)
            self._cells, self._counts = xp.zeros((n, FINE * (bins - 1)), np.int64), xp.zeros((n, bins, 2), np.float32)
            self._finite = xp.zeros(n, np.int32)

    @property
    def counted(self) -> tuple[DeviceArray, ...]:
        """The arrays that are counted into: grid, fine cells, deposits, and whether all values are finite, by row."""
        return self.grid, self._cells, self._counts, self._finite

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        """Draw the partners of several evaluations, with the random numbers that the CPU would take for them.

        Parameters
        ----------
        rng : numpy.random.Generator
            Advanced by one permutation for each evaluation.
        count : int
            Number of evaluations.

        Returns
        -------
        ndarray of int32, shape (count, n_pairs)
            Row in the tables of each pair's partner, by row of the pair.
        """
        # Permutations are of the leaves in the forest's order, whatever it is cut into; then put in terms of rows.
        drawn = np.array([rng.permutation(self._size) for _ in range(count)], np.int64).reshape(count, self._size)
        partner = np.empty_like(drawn)
        partner[:, self._order] = self._order[drawn]
        return partner.astype(np.int32)

    def tabulate(self, size: int, partner: DeviceArray) -> None:
        """Fill ``table`` and ``means`` from the counts of all leaves and the partners of this step.

        Parameters
        ----------
        size : int
            Values of a leaf, ``n^3``.
        partner : DeviceArray of int32, shape (n_pairs,)
            One row of what :meth:`draw` gives.
        """
        if self._size:
            self._tabulate[self._size, self.device.block_threads](
                np.int32(size), for_numba(partner), *map(for_numba, self.counted), np.int32(self._kernel),
                self._spread, for_numba(self.table), for_numba(self.means),
            )  # fmt: skip


class CrossNodeOnDevice:
    """The cross-node constraint of one subdomain of a fit on devices: its leaves and their rows in the tables.

    Parameters
    ----------
    tables : PairTables
        The tables of its device.
    partition : Partition
        The subdomain.
    number : int
        Its number among all subdomains.

    Attributes
    ----------
    tables : PairTables
    is_first : bool
        Whether it is subdomain 0, which adds the penalty of all pairs to the loss.
    pair_of : DeviceArray of int32, shape (n_own,)
        Row of each of the subdomain's leaves in the tables, -1 for those that the constraint leaves out.
    """

    pair_of: DeviceArray

    def __init__(self, tables: PairTables, partition: Partition, number: int) -> None:
        self.tables, self.is_first = tables, number == 0
        self._rows, leaves = tables.rows[number], tables.leaves[number]
        pair_of = np.full(partition.own.size, -1, np.int32)
        pair_of[leaves] = np.arange(self._rows.start, self._rows.stop)
        with tables.device:
            xp = tables.device.xp
            self.pair_of, self._leaves = xp.asarray(pair_of), xp.asarray(leaves.astype(np.int32))

    def count(self, values: DeviceArray) -> None:
        """Count the values of the subdomain's leaves into its rows of the tables.

        Parameters
        ----------
        values : DeviceArray of float32, shape (n_own, n, n, n)
            Densities or raw values ``[leaf, x, z, y]``.
        """
        n_rows, tables = self._rows.stop - self._rows.start, self.tables
        if n_rows:
            flat = for_numba(values.reshape(values.shape[0], -1))
            written = [for_numba(array[self._rows]) for array in tables.counted]
            tables.count_leaves[n_rows, tables.device.block_threads](flat, for_numba(self._leaves), *written)


def gather_counts(tables: Sequence[PairTables]) -> None:
    """Give every device the counts of the leaves on all devices, through the host.

    Parameters
    ----------
    tables : sequence of PairTables
        One of each device, in the order of their rows.
    """
    if len(tables) == 1:
        return
    counts_by_device = []
    for of_device in tables:
        with of_device.device:
            counts_by_device.append(
                [of_device.device.to_host(array[of_device._device_rows]) for array in of_device.counted]
            )
    all_counts = [np.concatenate(arrays) for arrays in zip(*counts_by_device, strict=True)]
    for of_device in tables:
        for array, counts in zip(of_device.counted, all_counts, strict=True):
            of_device.device.send(counts, array)
        # What is sent has to stay as it is until the device has it.
        of_device.device.wait()
