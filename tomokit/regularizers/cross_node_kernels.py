"""The non-local constraint of all pairs, in three passes, of which two meet the values.

1. Each leaf: range, grid and counts of its values.
2. Each pair, from the counts alone: answers tabulated on the asking leaf's grid, its signs deposited, and from these
   the gradient by the partner.
3. Each leaf: gradient by its values, from a table. A fused pass may do this while it has the leaf in cache
   (:func:`cross_node_leaf`); the other two must be done before any leaf changes.

Nothing is written by two threads, so results do not depend on the number of threads.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.regularizers.codes import GAUSSIAN
from tomokit.regularizers.cross_node_grid import (
    add_slopes,
    all_finite,
    count,
    deposit,
    deposit_signs,
    grid_of,
    to_cubic,
)
from tomokit.regularizers.cross_node_scalars import LARGEST
from tomokit.regularizers.cross_node_tables import answer_table, partner_gradient_table


@shared_out()
def count_leaves(
    share: Share, values: NDArray[np.floating], leaves: NDArray[np.int64], grid: NDArray[np.float64],
    cells: NDArray[np.int64], counts: NDArray[np.float64], finite: NDArray[np.bool_],
) -> None:  # fmt: skip
    """Lay a grid over the values of each leaf that takes part and count them on it: the first pass.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        Densities or raw values ``[leaf, x, z, y]``, C-contiguous.
    leaves : ndarray of int64, shape (n_pairs,)
        Leaves that take part; each asks one partner, so that there are as many pairs.
    grid : ndarray of float64, shape (n_pairs, 2), written
        Lowest node and spacing.
    cells : ndarray of int64, shape (n_pairs, FINE * (K - 1)), written
    counts : ndarray of float64, shape (n_pairs, K, 2), written
        See :func:`tomokit.regularizers.cross_node_grid.count` and ``deposit``.
    finite : ndarray of bool, shape (n_pairs,), written
        Whether all values of a leaf are finite and none is beyond
        :data:`tomokit.regularizers.cross_node_scalars.LARGEST`; if one is not, nothing else is of use.
    """
    for i in items_of(share, leaves.size):
        flat = values[leaves[i]].reshape(-1)
        finite[i] = all_finite(flat)
        if finite[i]:
            low, spacing = grid_of(flat, counts.shape[1])
            grid[i, 0], grid[i, 1] = low, spacing
            finite[i] = max(abs(low), abs(low + spacing * (counts.shape[1] - 1))) <= LARGEST
            if finite[i]:
                count(flat, low, spacing, cells[i])
                deposit(cells[i], counts[i])


@shared_out()
def tabulate_pairs(
    share: Share, size: int, partner: NDArray[np.int64], grid: NDArray[np.float64], cells: NDArray[np.int64],
    counts: NDArray[np.float64], kernel: int, spread: float, table: NDArray[np.floating],
    out: NDArray[np.float64],
) -> None:  # fmt: skip
    """Tabulate each pair's error and the gradient by its partner from their counts: the second pass.

    Parameters
    ----------
    share : Share
        Which pairs are this thread's.
    size : int
        Values of a leaf, ``P = n^3``.
    partner : ndarray of int64, shape (n_pairs,)
        A permutation: pair i asks ``partner[i]``, by position among the leaves that take part.
    grid, cells, counts : ndarrays
        From :func:`count_leaves`.
    kernel : int
        One of :data:`tomokit.regularizers.codes.KERNELS`.
    spread : float
        Temperature of the dot kernel; bandwidth of the Gaussian, held to at least one spacing of the partner's grid.
    table : ndarray of float32 or float64, shape (n_pairs, K, 8), written
        Cubics for :func:`tomokit.regularizers.cross_node_grid.add_slopes`.
    out : ndarray of float64, shape (n_pairs,), written
        Mean ``|f(a) - a|`` of each pair.
    """
    nodes = counts.shape[1]
    # A thread's own space to work in.
    weight = np.empty((nodes, nodes))
    f, slope, g, g_slope = np.empty(nodes), np.empty(nodes), np.empty(nodes), np.empty(nodes)
    signs, cubic = np.empty((nodes, 2)), np.empty((nodes, 4))
    for i in items_of(share, partner.size):
        j = partner[i]
        low_a, spacing_a, low_b, spacing_b = grid[i, 0], grid[i, 1], grid[j, 0], grid[j, 1]
        temperature = spread
        if kernel == GAUSSIAN:
            # Narrower than its grid, the kernel would find no node near a value that lies between two.
            temperature = max(spread, spacing_b) ** 2
        answer_table(low_a, spacing_a, low_b, spacing_b, counts[j], kernel, temperature, f, slope, weight)
        # From here on g is the error f(a) - a, and afterwards the gradient by the partner.
        for k in range(nodes):
            g[k] = f[k] - (low_a + spacing_a * k)
            g_slope[k] = slope[k] - spacing_a
        to_cubic(g, g_slope, 1.0, cubic)
        # Loops, since the check of shapes in an assignment of arrays takes long to compile.
        for k in range(nodes):
            for power in range(4):
                table[i, k, power] = cubic[k, power]
        out[i] = deposit_signs(cells[i], cubic, signs) / size
        partner_gradient_table(
            low_a, spacing_a, low_b, spacing_b, signs, kernel, temperature, f, slope, weight, g, g_slope
        )
        to_cubic(g, g_slope, 1.0 / size, cubic)
        # `partner` is a permutation, so that no other pair writes into row j.
        for k in range(nodes):
            for power in range(4):
                table[j, k, 4 + power] = cubic[k, power]


@compiled(inlined=True)
def cross_node_leaf(
    block: NDArray[np.floating], gradient: NDArray[np.floating], low: float, spacing: float,
    table: NDArray[np.floating], scale: float,
) -> None:  # fmt: skip
    """Add `scale` times the constraint's gradient by the values of one leaf: the third pass.

    Parameters
    ----------
    block : ndarray of float32 or float64, shape (n, n, n)
        The values that the table was made from, C-contiguous.
    gradient : ndarray like `block`, changed
    low, spacing : float
        The leaf's row of ``grid``.
    table : ndarray like `block`, shape (K, 8)
        The leaf's own, from :func:`tabulate_pairs`.
    scale : float
        Factor of the gradient.
    """
    real = block.dtype.type
    add_slopes(block.reshape(-1), real(low), real(1.0 / spacing), table, real(scale), gradient.reshape(-1))


@shared_out()
def add_leaves(
    share: Share, values: NDArray[np.floating], leaves: NDArray[np.int64], grid: NDArray[np.float64],
    table: NDArray[np.floating], scale: float, gradient: NDArray[np.floating],
) -> None:  # fmt: skip
    """Add `scale` times the constraint's gradient to every leaf that takes part: the third pass for all of them.

    Parameters
    ----------
    share : Share
        Which leaves are this thread's.
    values : ndarray of float32 or float64, shape (n_leaves, n, n, n)
        The values that were counted.
    leaves, grid : ndarrays
        As for and from :func:`count_leaves`.
    table : ndarray like `values`, shape (n_pairs, K, 8)
        From :func:`tabulate_pairs`.
    scale : float
        Factor of the gradient.
    gradient : ndarray like `values`, changed
    """
    for i in items_of(share, leaves.size):
        leaf = leaves[i]
        cross_node_leaf(values[leaf], gradient[leaf], grid[i, 0], grid[i, 1], table[i], scale)
