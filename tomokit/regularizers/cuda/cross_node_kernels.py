"""The non-local constraint of all pairs on a GPU: one block a leaf counts its values, one block a pair tabulates.

The same two passes as in :mod:`tomokit.regularizers.cross_node_kernels`; the third, the look-up at each value, is part
of the pass over the leaves (``leaf_update.cu``). Two things differ. Where the CPU adds deposits to nodes, a thread here
owns a node and gathers from the cells around it, so that sums have a fixed order; values are counted by atomics on
integers, whose order does not matter. And weights are calculated again for the gradient by the partner in place of
being kept: a table of them would not fit into a block's memory.

Indices: `tid` is the thread, k runs over the asking leaf's nodes, m over the partner's, `cell` over the fine cells.

Each shared array has a line of its own, since Numba's simulator tells them apart by it. Everything is in single
precision. Means are taken first and variances about them, since sums of squares would lose the variance in their
rounding.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numba import cuda, float32, int32, int64
from numpy.typing import NDArray

from tomokit.regularizers.cross_node_scalars import (
    FINE,
    LARGEST,
    ONE_SHIFT,
    PLACES,
    STEEPEST,
    Real,
    bends,
    hermite,
    lower_share,
    pair_of,
    partner_gradient_terms,
)

MOST_THREADS = 256
"""Most threads of a block, whose number is a power of two; sizes the shared memory of the block's sums."""
_ONE = 1 << ONE_SHIFT
_MASK = _ONE - 1


@cache
def make_kernels(bins: int) -> tuple[Any, Any]:
    """Make the two kernels of the constraint for a number of nodes, as functions to be compiled by ``cuda.jit``.

    Parameters
    ----------
    bins : int
        K, from 16 to :data:`tomokit.methods.octree.cuda.support.MOST_BINS`; sizes the shared memory.

    Returns
    -------
    count_leaf : callable
        Kernel of one block for each leaf: range, grid, fine cells and deposit of its values.
    tabulate_pair : callable
        Kernel of one block for each pair: tables of the error and of the gradient by the partner.
    """
    # The sizes of shared arrays have to be constants when Numba compiles: hence kernels made for each number.
    top = bins - 1
    n_cells = FINE * top

    def deposit_on(at: Any, node: int) -> tuple[Real, Real]:
        """What a value at the place `at`, in nodes, deposits on a node, for a function and for its derivative."""
        k = min(int32(at), int32(top - 1))
        h01, h10, h11 = hermite(at - float32(k), float32)
        if k == node:
            return float32(1) - h01, h10
        if k + 1 == node:
            return h01, h11
        return float32(0), float32(0)

    deposit_on = cuda.jit(device=True)(deposit_on)

    def unpack(cell: int, packed: np.int64) -> tuple[Real, Real, Real]:
        """Half the number in a fine cell, and the two places, in nodes, that stand for it."""
        number, places = float32(packed >> ONE_SHIFT), float32(packed & _MASK)
        return pair_of(float32(cell), number, places, float32(top), float32)

    unpack = cuda.jit(device=True)(unpack)

    def cubic_at(table: NDArray[np.float32], at: Any) -> Real:
        """The error that `table` has the coefficients of, at the place `at` in nodes."""
        k = min(int32(at), int32(top - 1))
        t = at - float32(k)
        c = table[k]
        return c[0] + t * (c[1] + t * (c[2] + t * c[3]))

    cubic_at = cuda.jit(device=True)(cubic_at)

    def count_leaf(
        values: NDArray[np.float32], leaves: NDArray[np.int32], grid: NDArray[np.float32], cells: NDArray[np.int64],
        counts: NDArray[np.float32], finite: NDArray[np.int32],
    ) -> None:  # fmt: skip
        """Compute range, grid, fine cells and deposit of one leaf's values.

        ``values[leaf, P]`` float32, ``leaves[pair]`` int32; written: ``grid[pair, 2]`` float32, lowest node and
        spacing, ``cells[pair, FINE (K - 1)]`` int64, ``counts[pair, K, 2]`` float32, ``finite[pair]`` int32.
        """
        low = cuda.shared.array(MOST_THREADS, float32)
        high = cuda.shared.array(MOST_THREADS, float32)
        bad = cuda.shared.array(MOST_THREADS, float32)
        pair, tid, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
        leaf = leaves[pair]
        size = values.shape[1]
        least = most = values[leaf, 0]
        # Zero times a finite value is zero, else not a number, which sums keep.
        spoilt = float32(0)
        for i in range(tid, size, threads):
            value = values[leaf, i]
            least, most = min(least, value), max(most, value)
            spoilt += value * float32(0)
        low[tid], high[tid], bad[tid] = least, most, spoilt
        for cell in range(tid, n_cells, threads):
            cells[pair, cell] = int64(0)
        # A tree over the block, whose order is fixed: half of the threads take the other half's results each time.
        half = threads // 2
        while half > 0:
            cuda.syncthreads()
            if tid < half:
                low[tid], high[tid] = min(low[tid], low[tid + half]), max(high[tid], high[tid + half])
                bad[tid] += bad[tid + half]
            half //= 2
        cuda.syncthreads()
        lowest, width = low[0], high[0] - low[0]
        good = bad[0] == float32(0) and max(abs(low[0]), abs(high[0])) <= float32(LARGEST)
        # Equal values get some spacing too, small enough to matter nowhere.
        spacing = max(width / float32(top), max(float32(1e-9) * abs(lowest), float32(1e-30)))
        if tid == 0:
            grid[pair, 0], grid[pair, 1] = lowest, spacing
            finite[pair] = int32(1) if good else int32(0)
        # The whole block leaves, so that nobody waits at the barriers below.
        if not good:
            return
        inverse = float32(FINE * PLACES) / spacing
        for i in range(tid, size, threads):
            place = int32((values[leaf, i] - lowest) * inverse + float32(0.5))
            cell = min(place // int32(PLACES), int32(n_cells - 1))
            # Number and places in one integer: one atomic, and no order of additions changes the sum.
            cuda.atomic.add(cells, (pair, cell), int64(_ONE) + int64(place - cell * int32(PLACES)))
        cuda.syncthreads()
        # Only cells within one spacing of a node deposit on it; one more on either side, since the two places that
        # stand for a cell may lie beyond its ends.
        for node in range(tid, bins, threads):
            plain, sloped = float32(0), float32(0)
            for cell in range(max(0, (node - 1) * FINE - 1), min(n_cells, (node + 1) * FINE + 1)):
                packed = cells[pair, cell]
                if packed != 0:
                    weight, lower, upper = unpack(cell, packed)
                    a0, a1 = deposit_on(lower, node)
                    b0, b1 = deposit_on(upper, node)
                    plain += weight * (a0 + b0)
                    sloped += weight * (a1 + b1)
            counts[pair, node, 0], counts[pair, node, 1] = plain, sloped

    def tabulate_pair(
        size: int, partner: NDArray[np.int32], grid: NDArray[np.float32], cells: NDArray[np.int64],
        counts: NDArray[np.float32], finite: NDArray[np.int32], kernel: int, spread: Real, table: NDArray[np.float32],
        means: NDArray[np.float32],
    ) -> None:  # fmt: skip
        """Tabulate one pair: the error on the asking leaf's grid, and the gradient by the partner on the partner's.

        ``partner[pair]`` int32, a permutation; `kernel` 0 dot, 1 Gaussian; `spread` float32. Written:
        ``table[pair, K, 8]`` float32, the first four of the pair's row, the last four of its partner's, and
        ``means[pair]`` float32, mean ``|f(a) - a|``, not a number if a value of either is not finite.
        """
        # Deposit of the partner, later the gradient; answer and its slope; largest exponent and 1 / Z of each row of
        # weights, from which these are calculated again; deposit of the signs; sums of threads.
        c0 = cuda.shared.array(bins, float32)
        c1 = cuda.shared.array(bins, float32)
        f = cuda.shared.array(bins, float32)
        slope = cuda.shared.array(bins, float32)
        peak = cuda.shared.array(bins, float32)
        unit = cuda.shared.array(bins, float32)
        s0 = cuda.shared.array(bins, float32)
        s1 = cuda.shared.array(bins, float32)
        total = cuda.shared.array(MOST_THREADS, float32)
        i, tid, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
        j = partner[i]
        if finite[i] == 0 or finite[j] == 0:
            if tid == 0:
                means[i] = float32(math.nan)
            return
        low_a, spacing_a, low_b, spacing_b = grid[i, 0], grid[i, 1], grid[j, 0], grid[j, 1]
        dot = kernel == 0
        temperature = spread
        if not dot:
            temperature = max(spread, spacing_b) * max(spread, spacing_b)
        half = float32(-0.5) / temperature
        linear = float32(0) if dot else spacing_b
        steepest = float32(STEEPEST)
        for m in range(tid, bins, threads):
            c0[m], c1[m] = counts[j, m, 0], counts[j, m, 1]
        cuda.syncthreads()
        # Answers: exponents relative to the largest among nodes that hold values.
        for k in range(tid, bins, threads):
            a = low_a + spacing_a * float32(k)
            x = a / temperature * spacing_b
            if dot:
                below, above = int32(top), int32(0)
                while below > 0 and c0[below] <= float32(0):
                    below -= int32(1)
                while above < top and c0[above] <= float32(0):
                    above += int32(1)
                highest = x * float32(above if x < float32(0) else below)
            else:
                below = int32(min(max((a - low_b) / spacing_b, float32(0)), float32(top)))
                above = min(below + int32(1), int32(top))
                while below > 0 and c0[below] <= float32(0):
                    below -= int32(1)
                while above < top and c0[above] <= float32(0):
                    above += int32(1)
                gap_below = a - (low_b + spacing_b * float32(below))
                gap_above = a - (low_b + spacing_b * float32(above))
                highest = half * min(gap_below * gap_below, gap_above * gap_above)
            peak[k] = highest
            # The mean first: sums over nodes m of w and w b, b in spacings from the partner's lowest node.
            constant = a if dot else a - low_b
            z, first = float32(0), float32(0)
            for m in range(bins):
                gap = a - (low_b + spacing_b * float32(m))
                exponent = (x * float32(m) if dot else half * gap * gap) - highest
                w = math.exp(min(exponent, float32(0)))
                y = min(max((constant - linear * float32(m)) * spacing_b / temperature, -steepest), steepest)
                node_sum = c0[m] + c1[m] * y
                z += w * node_sum
                first += w * (node_sum * float32(m) + c1[m])
            mean = first / z
            # Then the variance about it, in a second pass over the weights: in single precision the difference of the
            # two sums that the CPU takes would be lost in their rounding.
            variance = float32(0)
            for m in range(bins):
                gap = a - (low_b + spacing_b * float32(m))
                exponent = (x * float32(m) if dot else half * gap * gap) - highest
                w = math.exp(min(exponent, float32(0)))
                y = min(max((constant - linear * float32(m)) * spacing_b / temperature, -steepest), steepest)
                d = float32(m) - mean
                variance += w * ((c0[m] + c1[m] * y) * d + float32(2) * c1[m]) * d
            f[k] = low_b + spacing_b * mean
            slope[k] = spacing_b * spacing_b * max(variance / z, float32(0)) / temperature * spacing_a
            unit[k] = float32(1) / z
        cuda.syncthreads()
        for k in range(tid, bins, threads):
            # Monotone, as f is: slopes of at most three times the rise on either side (Fritsch and Carlson).
            limited = slope[k]
            if k > 0:
                limited = min(limited, float32(3) * max(f[k] - f[k - 1], float32(0)))
            if k < top:
                limited = min(limited, float32(3) * max(f[k + 1] - f[k], float32(0)))
            slope[k] = limited
        cuda.syncthreads()
        # Cubics of the error f(a) - a between each node and the next; the last node begins no interval.
        for k in range(tid, bins, threads):
            g, rise = f[k] - (low_a + spacing_a * float32(k)), slope[k] - spacing_a
            second, third = float32(0), float32(0)
            if k < top:
                next_g = f[k + 1] - (low_a + spacing_a * float32(k + 1))
                second, third = bends(g, rise, next_g, slope[k + 1] - spacing_a, float32)
            else:
                g, rise = float32(0), float32(0)
            table[i, k, 0], table[i, k, 1], table[i, k, 2], table[i, k, 3] = g, rise, second, third
        cuda.syncthreads()
        # Signs of the errors, deposited on the asking leaf's nodes.
        away = float32(0)
        for node in range(tid, bins, threads):
            plain, sloped = float32(0), float32(0)
            for cell in range(max(0, (node - 1) * FINE - 1), min(n_cells, (node + 1) * FINE + 1)):
                packed = cells[i, cell]
                if packed != 0:
                    weight, lower, upper = unpack(cell, packed)
                    e_lower, e_upper = cubic_at(table[i], lower), cubic_at(table[i], upper)
                    fraction = lower_share(e_lower, e_upper, float32)
                    a0, a1 = deposit_on(lower, node)
                    b0, b1 = deposit_on(upper, node)
                    # Times the sign of the error at each place, zero for an error of zero.
                    of_lower = float32(2) * weight * fraction
                    of_upper = float32(2) * weight * (float32(1) - fraction)
                    if e_lower <= float32(0):
                        of_lower = -of_lower if e_lower < float32(0) else float32(0)
                    if e_upper <= float32(0):
                        of_upper = -of_upper if e_upper < float32(0) else float32(0)
                    plain += of_lower * a0 + of_upper * b0
                    sloped += of_lower * a1 + of_upper * b1
                    # Threads meet most cells twice; for the penalty each cell counts at the node below it.
                    if cell // FINE == node:
                        away += weight * (abs(e_lower) + abs(e_upper))
            s0[node], s1[node] = plain, sloped * spacing_a
        total[tid] = away
        half_block = threads // 2
        while half_block > 0:
            cuda.syncthreads()
            if tid < half_block:
                total[tid] += total[tid + half_block]
            half_block //= 2
        cuda.syncthreads()
        if tid == 0:
            means[i] = total[0] / float32(size)
        # The gradient by the partner; its function and slope take the place of the partner's deposit, which nobody
        # reads any more.
        inverse = float32(1) / temperature
        bend = float32(0) if dot else -inverse
        steep_a, steep_b = steepest / spacing_a, steepest / spacing_b
        for m in range(tid, bins, threads):
            b = low_b + spacing_b * float32(m)
            partner_gradient, partner_gradient_slope = float32(0), float32(0)
            for k in range(bins):
                if s0[k] == float32(0) and s1[k] == float32(0):
                    continue
                a = low_a + spacing_a * float32(k)
                gap = a - b
                exponent = (a / temperature * spacing_b * float32(m) if dot else half * gap * gap) - peak[k]
                w = math.exp(min(exponent, float32(0))) * unit[k]
                y = ((a if dot else a - low_b) - linear * float32(m)) * inverse
                phi, by_a, by_b, by_both = partner_gradient_terms(
                    b - f[k], y, inverse, bend, steep_a, steep_b, slope[k] / spacing_a, float32
                )
                partner_gradient += w * (s0[k] * phi + s1[k] * by_a)
                partner_gradient_slope += w * (s0[k] * by_b + s1[k] * by_both)
            c0[m], c1[m] = partner_gradient, partner_gradient_slope * spacing_b
        cuda.syncthreads()
        per_value = float32(1) / float32(size)
        for m in range(tid, bins, threads):
            g, rise, second, third = c0[m], c1[m], float32(0), float32(0)
            if m < top:
                second, third = bends(g, rise, c0[m + 1], c1[m + 1], float32)
            else:
                g, rise = float32(0), float32(0)
            # The partner's row: partners are a permutation, so that no other block writes it.
            table[j, m, 4], table[j, m, 5] = per_value * g, per_value * rise
            table[j, m, 6], table[j, m, 7] = per_value * second, per_value * third

    return count_leaf, tabulate_pair
