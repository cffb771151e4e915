"""The cross-node constraint on a device: partners, and the launches that tabulate it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numba import cuda
from numpy.typing import NDArray

from tomokit.cuda.cross_node_kernels import make_kernels
from tomokit.cuda.device import Device
from tomokit.cuda.interchange import for_numba
from tomokit.cuda.parts import Part
from tomokit.regularizers.cross_node import KERNELS, CrossNode
from tomokit.regularizers.cross_node_scalars import FINE


@cache
def _compiled(bins: int) -> tuple[Any, Any]:
    count_leaf, tabulate_pair = make_kernels(bins)
    return cuda.jit(count_leaf), cuda.jit(tabulate_pair)


class CrossNodeOnDevice:
    """What :class:`tomokit.regularizers.cross_node.CrossNode` tabulates, in arrays that ``leaf_update.cu`` reads.

    Each part counts its own leaves; counts are then shared, and every device tabulates all pairs.

    Parameters
    ----------
    device : Device
    regularizer : CrossNode
    parts : list of Part
    number : int
        Which of them is on this device.
    inside : ndarray of bool, shape (n_leaves,)
        Leaves of the whole forest that take part.

    Attributes
    ----------
    is_first : bool
    pair_of : array of int32, shape (n_own,)
        Row of each of the part's leaves in the tables, -1 for those that take no part.
    grid, table : array of float32, shapes (n_pairs, 2) and (n_pairs, bins, 8)
    means : array of float32, shape (n_pairs,)
        The penalty of each pair.
    """

    def __init__(
        self, device: Device, regularizer: CrossNode, parts: Sequence[Part], number: int, inside: NDArray[np.bool_]
    ) -> None:
        options = regularizer.options
        self.device, self.is_first = device, number == 0
        # Pairs are kept part after part, each in the order of its leaves; `_order` has the row of each pair in the
        # forest's order.
        each = [np.flatnonzero(inside[part.own]) for part in parts]
        begin = sum(leaves.size for leaves in each[:number])
        in_order = np.concatenate([part.own[leaves] for part, leaves in zip(parts, each, strict=True)])
        self._order = np.argsort(in_order)
        self._size = in_order.size
        self._mine = slice(begin, begin + each[number].size)
        self._count, self._tabulate = _compiled(options.bins)
        self._kernel = KERNELS[options.kernel]
        self._spread = np.float32(options.temperature if options.kernel == "dot" else options.bandwidth)
        pair_of = np.full(parts[number].own.size, -1, np.int32)
        pair_of[each[number]] = np.arange(begin, begin + each[number].size)
        xp, bins, n = device.xp, options.bins, self._size
        self.pair_of, self._leaves = xp.asarray(pair_of), xp.asarray(each[number].astype(np.int32))
        self.grid, self.table = xp.zeros((n, 2), np.float32), xp.zeros((n, bins, 8), np.float32)
        self.means = xp.zeros(n, np.float32)
        self._cells, self._counts = xp.zeros((n, FINE * (bins - 1)), np.int64), xp.zeros((n, bins, 2), np.float32)
        self._finite = xp.zeros(n, np.int32)

    def draw(self, rng: np.random.Generator, count: int) -> NDArray[np.int32]:
        """Partners for so many evaluations, shape (count, n_pairs), by row, drawn as the CPU draws them."""
        drawn = np.array([rng.permutation(self._size) for _ in range(count)], np.int64).reshape(count, self._size)
        partner = np.empty_like(drawn)
        partner[:, self._order] = self._order[drawn]
        return partner.astype(np.int32)

    def count(self, values: Any) -> None:
        """Count the part's own leaves; `values` ``[leaf, x, z, y]``, ghosts may follow."""
        own = self._mine.stop - self._mine.start
        if own:
            flat = for_numba(values.reshape(values.shape[0], -1))
            written = [for_numba(a[self._mine]) for a in (self.grid, self._cells, self._counts, self._finite)]
            self._count[own, self.device.block_threads](flat, for_numba(self._leaves), *written)

    def tabulate(self, size: int, partner: Any) -> None:
        """Fill ``table`` and ``means`` from all counts and the partners of this step; `size` values a leaf."""
        if self._size:
            arrays = (self.grid, self._cells, self._counts, self._finite)
            self._tabulate[self._size, self.device.block_threads](
                np.int32(size), for_numba(partner), *map(for_numba, arrays), np.int32(self._kernel), self._spread,
                for_numba(self.table), for_numba(self.means),
            )  # fmt: skip


def share_counts(constraints: Sequence[CrossNodeOnDevice]) -> None:
    """Give every device the counts of all parts."""
    if len(constraints) == 1:
        return
    for name in ("grid", "_cells", "_counts", "_finite"):
        whole = np.concatenate([c.device.to_host(getattr(c, name)[c._mine]) for c in constraints])
        for constraint in constraints:
            with constraint.device:
                getattr(constraint, name)[...] = constraint.device.xp.asarray(whole)
