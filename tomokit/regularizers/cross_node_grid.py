"""Values of a leaf on a grid of K nodes over their range: count, deposit, and look up.

One cubic Hermite interpolant serves both ways. With t the place of a value between nodes k and k + 1, spacing D,

    F(v) ~ h00(t) F_k + h10(t) D F'_k + h01(t) F_{k+1} + h11(t) D F'_{k+1},
    h00 = 1 - h01,  h10 = t (1 - t)^2,  h01 = t^2 (3 - 2 t),  h11 = -t^2 (1 - t),

exact to ``D^4 F'''' / 384``. Read forwards it looks up a function; read backwards it deposits a value as two weights,
one for F and one for ``D F'``, on either node, such that ``sum_m (C0_m F_m + C1_m D F'_m)`` is the sum of F over all
values. It errs a hundred times less than the usual linear deposit at the spacings met here.

Depositing each value would take four additions that wait for one another. So the values are first counted in fine
cells, FINE a spacing, by one integer addition each: their number in the high bits, the sum of their places inside the
cell in the low ones. A cell with number c and mean m then stands for ``c / 2`` values at each of
``m -+ sqrt((c - 1) / 12 c)`` cells, which have the same mean and, if the values are spread evenly in the cell, the same
variance; one value alone is kept as it is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from tomokit.regularizers.cross_node_scalars import (
    FINE,
    HUGE,
    ONE_SHIFT,
    PLACES,
    bends,
    hermite,
    lower_share,
    pair_of,
)

_ONE = 1 << ONE_SHIFT
_CHUNK = 512
_LANES = 16
_FLAGS = {"contract", "reassoc", "nsz"}


@njit(cache=True, error_model="numpy", fastmath=_FLAGS)
def all_finite(values: Any) -> bool:
    """Whether no value is infinite or not a number; `values` flat. Places of such values could not be found."""
    total = values.dtype.type(0)
    for i in range(values.size):
        total += values[i] * values.dtype.type(0)
    return total == 0


@njit(cache=True, error_model="numpy", fastmath={"nnan", "nsz"})
def grid_of(values: Any, nodes: int) -> tuple[float, float]:
    """Lowest node and spacing of a grid over the range of `values` (flat, finite), never zero."""
    # Several running extremes side by side, since one alone would wait for itself.
    low, high = np.full(_LANES, values[0]), np.full(_LANES, values[0])
    whole = values.size - values.size % _LANES
    for i in range(0, whole, _LANES):
        for j in range(_LANES):
            low[j] = min(low[j], values[i + j])
            high[j] = max(high[j], values[i + j])
    for i in range(whole, values.size):
        low[0] = min(low[0], values[i])
        high[0] = max(high[0], values[i])
    lowest = np.float64(low.min())
    width = np.float64(high.max()) - lowest
    # Equal values get some spacing too, small enough to matter nowhere; its inverse must not overflow in singles.
    return lowest, max(width / (nodes - 1), 1e-9 * abs(lowest), 1e-30)


@njit(cache=True, error_model="numpy", fastmath=_FLAGS)
def _fine_places(values: Any, low: Any, inverse: Any, last: Any, cell: Any, packed: Any) -> None:
    real = values.dtype.type
    half = real(0.5)
    for i in range(values.size):
        place = np.int32((values[i] - low) * inverse + half)
        k = min(place // np.int32(PLACES), last)
        cell[i] = k
        packed[i] = np.int32(place - k * np.int32(PLACES))


@njit(cache=True, error_model="numpy")
def count(values: Any, low: float, spacing: float, cells: Any) -> None:
    """Count values in fine cells.

    Parameters
    ----------
    values : array of float32 or float64, shape (size,)
        Finite.
    low, spacing : float
        From :func:`grid_of`.
    cells : int64 array, shape (FINE * (K - 1),), written
        ``2**40`` for each value in the cell, plus its place there in 4096ths.
    """
    real = values.dtype.type
    inverse = FINE * PLACES / spacing
    last = np.int32(cells.size - 1)
    # Neighbouring values are alike; by turns in two histograms they do not wait for one another.
    other = np.zeros(cells.size, np.int64)
    cells[:] = 0
    cell, packed = np.empty(_CHUNK, np.int32), np.empty(_CHUNK, np.int32)
    for first in range(0, values.size, _CHUNK):
        part = values[first : min(first + _CHUNK, values.size)]
        _fine_places(part, real(low), real(inverse), last, cell, packed)
        for i in range(0, part.size - 1, 2):
            cells[cell[i]] += _ONE + packed[i]
            other[cell[i + 1]] += _ONE + packed[i + 1]
        if part.size % 2:
            cells[cell[part.size - 1]] += _ONE + packed[part.size - 1]
    cells += other


@njit(cache=True, error_model="numpy")
def _add(at: float, weight: float, counts: Any) -> None:
    """Deposit `weight` at node `at` (fractional)."""
    k = min(int(at), counts.shape[0] - 2)
    h01, h10, h11 = hermite(at - k, np.float64)
    counts[k, 0] += weight * (1 - h01)
    counts[k, 1] += weight * h10
    counts[k + 1, 0] += weight * h01
    counts[k + 1, 1] += weight * h11


@njit(cache=True, error_model="numpy")
def _pair_of(cell: int, packed: int, top: float) -> tuple[float, float, float]:
    """Half the number in a fine cell, and the two places, in nodes, at which it stands."""
    number = packed // _ONE
    places = packed - number * _ONE
    return pair_of(np.float64(cell), np.float64(number), np.float64(places), np.float64(top), np.float64)


@njit(cache=True, error_model="numpy")
def deposit(cells: Any, counts: Any) -> None:
    """Deposit all values of a leaf.

    Parameters
    ----------
    cells : int64 array, shape (FINE * (K - 1),)
        From :func:`count`.
    counts : float64 array, shape (K, 2), written
        Weights for a function and for its derivative times the spacing.
    """
    counts[:] = 0
    for cell in range(cells.size):
        if cells[cell]:
            weight, lower, upper = _pair_of(cell, cells[cell], counts.shape[0] - 1.0)
            _add(lower, weight, counts)
            _add(upper, weight, counts)


@njit(cache=True, error_model="numpy")
def _cubic_at(cubic: Any, at: float) -> float:
    k = min(int(at), cubic.shape[0] - 2)
    t = at - k
    return cubic[k, 0] + t * (cubic[k, 1] + t * (cubic[k, 2] + t * cubic[k, 3]))


@njit(cache=True, error_model="numpy")
def deposit_signs(cells: Any, cubic: Any, counts: Any) -> float:
    """Deposit all values of a leaf, each with weight ``sign(e)``; the sum of ``|e|``.

    Parameters
    ----------
    cells : int64 array, shape (FINE * (K - 1),)
        From :func:`count`.
    cubic : float64 array, shape (K, 4)
        e, as :func:`to_cubic` writes it.
    counts : float64 array, shape (K, 2), written
    """
    counts[:] = 0
    total = 0.0
    for cell in range(cells.size):
        if cells[cell]:
            weight, lower, upper = _pair_of(cell, cells[cell], counts.shape[0] - 1.0)
            e_lower, e_upper = _cubic_at(cubic, lower), _cubic_at(cubic, upper)
            total += weight * (abs(e_lower) + abs(e_upper))
            share = lower_share(e_lower, e_upper, np.float64)
            _add(lower, 2 * weight * share * np.sign(e_lower), counts)
            _add(upper, 2 * weight * (1 - share) * np.sign(e_upper), counts)
    return total


@njit(cache=True, error_model="numpy")
def to_cubic(f: Any, slope: Any, factor: float, cubic: Any) -> None:
    """Coefficients of ``c0 + c1 t + c2 t^2 + c3 t^3`` between each node and the next.

    Parameters
    ----------
    f, slope : float64 arrays, shape (K,)
        Function, and derivative times the spacing, at the nodes.
    factor : float
        What all of it is multiplied by.
    cubic : array, shape (K, 4), written
        The last row, which no value is in, is zero.
    """
    last = f.size - 1
    for k in range(last):
        second, third = bends(f[k], slope[k], f[k + 1], slope[k + 1], np.float64)
        cubic[k, 0] = factor * f[k]
        cubic[k, 1] = factor * slope[k]
        cubic[k, 2] = factor * second
        cubic[k, 3] = factor * third
    cubic[last] = 0


@njit(cache=True, error_model="numpy", fastmath=_FLAGS)
def _places(values: Any, low: Any, inverse: Any, last: Any, node: Any, t: Any) -> None:
    real = values.dtype.type
    zero, one = real(0), real(1)
    for i in range(values.size):
        at = max((values[i] - low) * inverse, zero)
        k = min(np.int32(at), last)
        node[i] = k
        t[i] = min(at - real(k), one)


@njit(cache=True, error_model="numpy", fastmath=_FLAGS)
def add_slopes(values: Any, low: Any, inverse: Any, table: Any, scale: Any, gradient: Any) -> None:
    """Add ``scale * (sign(e) de/dv / P + G)`` at each value: what the constraint asks of a leaf, from its tables.

    Parameters
    ----------
    values : array of float32 or float64, shape (P,)
    low, inverse : of the values' type
        Lowest node and inverse of the spacing.
    table : array like `values`, shape (K, 8)
        Cubics of e, the leaf as the one that asks, then those of G, the leaf as the partner that is asked; side by
        side, since they are looked up together.
    scale : of the values' type
    gradient : array like `values`, shape (P,), changed
    """
    real = values.dtype.type
    one, two, three, huge = real(1), real(2), real(3), real(HUGE)
    step = scale * inverse / real(values.size)
    last = np.int32(table.shape[0] - 2)
    node, t, added = np.empty(_CHUNK, np.int32), np.empty(_CHUNK, real), np.empty(_CHUNK, real)
    for first in range(0, values.size, _CHUNK):
        part = values[first : min(first + _CHUNK, values.size)]
        _places(part, low, inverse, last, node, t)
        for i in range(part.size):
            s = t[i]
            c = table[node[i]]
            e = c[0] + s * (c[1] + s * (c[2] + s * c[3]))
            slope = step * (c[1] + s * (two * c[2] + s * three * c[3]))
            partner_gradient = scale * (c[4] + s * (c[5] + s * (c[6] + s * c[7])))
            # The sign as a clipped product: a branch on it would be mispredicted every other time.
            sign = min(max(e * huge, -one), one)
            added[i] = partner_gradient + slope * sign
        out = gradient[first : first + part.size]
        for i in range(part.size):
            out[i] += added[i]
