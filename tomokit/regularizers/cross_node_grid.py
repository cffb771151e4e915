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
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled
from tomokit.regularizers.cross_node_scalars import (
    FINE,
    HUGE,
    ONE_SHIFT,
    PLACES,
    Real,
    bends,
    hermite,
    lower_share,
    pair_of,
)

_ONE = 1 << ONE_SHIFT
# Values that are taken through a loop at a time: what each loop leaves for the next stays in the nearest cache.
_CHUNK = 512
# Running extremes side by side: as many as the widest vectors hold of singles.
_LANES = 16
_FLAGS = {"contract", "reassoc", "nsz"}


@compiled(inlined=True, fastmath=_FLAGS)
def all_finite(values: NDArray[np.floating]) -> bool:
    """Tell whether no value is infinite or not a number: the place of such a value on a grid could not be found.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (size,)

    Returns
    -------
    bool
    """
    # Zero times a finite value is zero, and else not a number, which a sum keeps: no branch, and vectorized.
    total = values.dtype.type(0)
    for i in range(values.size):
        total += values[i] * values.dtype.type(0)
    return total == 0


@compiled(inlined=True, fastmath={"nnan", "nsz"})
def grid_of(values: NDArray[np.floating], nodes: int) -> tuple[float, float]:
    """Lay a grid of evenly spaced nodes over the range of some values.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (size,)
        Finite.
    nodes : int
        K, at least 2.

    Returns
    -------
    low : float
        The lowest node: the least value.
    spacing : float
        Distance of the nodes, never zero. The last node is the largest value, unless all are equal.
    """
    # Several running extremes side by side, since one alone would wait for itself.
    low, high = np.full(_LANES, values[0]), np.full(_LANES, values[0])
    end_of_lanes = values.size - values.size % _LANES
    for i in range(0, end_of_lanes, _LANES):
        for j in range(_LANES):
            low[j] = min(low[j], values[i + j])
            high[j] = max(high[j], values[i + j])
    for i in range(end_of_lanes, values.size):
        low[0] = min(low[0], values[i])
        high[0] = max(high[0], values[i])
    lowest = np.float64(low.min())
    width = np.float64(high.max()) - lowest
    # Equal values get some spacing too, small enough to matter nowhere; its inverse must not overflow in singles.
    return lowest, max(width / (nodes - 1), 1e-9 * abs(lowest), 1e-30)


@compiled(inlined=True, fastmath=_FLAGS)
def _fine_places(
    values: NDArray[Any], low: Real, inverse: Real, last: np.int32, cell: NDArray[np.int32], packed: NDArray[np.int32]
) -> None:
    """Fine cell of each value, and its place there in units of ``1 / PLACES``."""
    real = values.dtype.type
    half = real(0.5)
    # Places fit 32 bits (FINE PLACES K is at most 2^29), which are vectorized twice as wide as 64. The largest value,
    # at the grid's end, would begin a cell that is not there: it goes to the end of the last one.
    for i in range(values.size):
        place = np.int32((values[i] - low) * inverse + half)
        k = min(place // np.int32(PLACES), last)
        cell[i] = k
        packed[i] = np.int32(place - k * np.int32(PLACES))


@compiled(inlined=True)
def count(values: NDArray[np.floating], low: float, spacing: float, cells: NDArray[np.int64]) -> None:
    """Count values in fine cells, and sum up their places inside the cells.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (size,)
        Finite.
    low, spacing : float
        From :func:`grid_of`.
    cells : ndarray of int64, shape (FINE * (K - 1),), written
        ``2**40`` for each value in the cell, plus its place there in 4096ths.
    """
    real = values.dtype.type
    inverse = FINE * PLACES / spacing
    last = np.int32(cells.size - 1)
    # Neighbouring values are alike; by turns in two histograms they do not wait for one another.
    second_cells = np.zeros(cells.size, np.int64)
    cells[:] = 0
    cell, packed = np.empty(_CHUNK, np.int32), np.empty(_CHUNK, np.int32)
    for first in range(0, values.size, _CHUNK):
        chunk = values[first : min(first + _CHUNK, values.size)]
        _fine_places(chunk, real(low), real(inverse), last, cell, packed)
        for i in range(0, chunk.size - 1, 2):
            cells[cell[i]] += _ONE + packed[i]
            second_cells[cell[i + 1]] += _ONE + packed[i + 1]
        if chunk.size % 2:
            cells[cell[chunk.size - 1]] += _ONE + packed[chunk.size - 1]
    cells += second_cells


@compiled(inlined=True)
def _deposit_at(at: float, weight: float, counts: NDArray[np.float64]) -> None:
    """Deposit `weight` at the place `at`, in nodes, on the nodes on either side."""
    # The last node begins no interval; a value on it is at t = 1 of the interval before.
    k = min(int(at), counts.shape[0] - 2)
    h01, h10, h11 = hermite(at - k, np.float64)
    counts[k, 0] += weight * (1 - h01)
    counts[k, 1] += weight * h10
    counts[k + 1, 0] += weight * h01
    counts[k + 1, 1] += weight * h11


@compiled(inlined=True)
def _unpack_cell(cell: int, packed: int, top: float) -> tuple[float, float, float]:
    """Half the number in a fine cell, and the two places, in nodes, that stand for it (:func:`pair_of`)."""
    number = packed // _ONE
    places = packed - number * _ONE
    return pair_of(np.float64(cell), np.float64(number), np.float64(places), np.float64(top), np.float64)


@compiled(inlined=True)
def deposit(cells: NDArray[np.int64], counts: NDArray[np.float64]) -> None:
    """Deposit all values of a leaf on the nodes, from their counts in fine cells.

    Parameters
    ----------
    cells : ndarray of int64, shape (FINE * (K - 1),)
        From :func:`count`.
    counts : ndarray of float64, shape (K, 2), written
        Weights for a function and for its derivative times the spacing.
    """
    counts[:] = 0
    for cell in range(cells.size):
        if cells[cell]:
            weight, lower, upper = _unpack_cell(cell, cells[cell], counts.shape[0] - 1.0)
            _deposit_at(lower, weight, counts)
            _deposit_at(upper, weight, counts)


@compiled(inlined=True)
def _cubic_at(cubic: NDArray[np.float64], at: float) -> float:
    """The function that `cubic` has the coefficients of, at the place `at` in nodes."""
    k = min(int(at), cubic.shape[0] - 2)
    t = at - k
    return cubic[k, 0] + t * (cubic[k, 1] + t * (cubic[k, 2] + t * cubic[k, 3]))


@compiled(inlined=True)
def deposit_signs(cells: NDArray[np.int64], cubic: NDArray[np.float64], counts: NDArray[np.float64]) -> float:
    """Deposit all values of a leaf on the nodes, each weighted with the sign of the error e there.

    Parameters
    ----------
    cells : ndarray of int64, shape (FINE * (K - 1),)
        From :func:`count`.
    cubic : ndarray of float64, shape (K, 4)
        The error e as a function of the value, as :func:`to_cubic` writes it.
    counts : ndarray of float64, shape (K, 2), written
        As in :func:`deposit`.

    Returns
    -------
    float
        Sum of ``|e|`` over all values.
    """
    counts[:] = 0
    total = 0.0
    for cell in range(cells.size):
        if cells[cell]:
            weight, lower, upper = _unpack_cell(cell, cells[cell], counts.shape[0] - 1.0)
            e_lower, e_upper = _cubic_at(cubic, lower), _cubic_at(cubic, upper)
            total += weight * (abs(e_lower) + abs(e_upper))
            fraction = lower_share(e_lower, e_upper, np.float64)
            # `weight` is half the cell's number, hence the 2.
            _deposit_at(lower, 2 * weight * fraction * np.sign(e_lower), counts)
            _deposit_at(upper, 2 * weight * (1 - fraction) * np.sign(e_upper), counts)
    return total


@compiled(inlined=True)
def to_cubic(
    f: NDArray[np.float64], slope: NDArray[np.float64], factor: float, cubic: NDArray[np.floating]
) -> None:  # fmt: skip
    """Compute the coefficients of ``c0 + c1 t + c2 t^2 + c3 t^3`` between each node and the next.

    Parameters
    ----------
    f, slope : ndarrays of float64, shape (K,)
        Function, and derivative times the spacing, at the nodes.
    factor : float
        What all of it is multiplied by.
    cubic : ndarray of float32 or float64, shape (K, 4), written
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


@compiled(inlined=True, fastmath=_FLAGS)
def _places_on_grid(
    values: NDArray[Any], low: Real, inverse: Real, last: np.int32, node: NDArray[np.int32], t: NDArray[Any]
) -> None:
    """Node below each value, and how far beyond it the value lies, in spacings from 0 to 1."""
    real = values.dtype.type
    zero, one = real(0), real(1)
    # Rounding may put the extremes a little beyond the grid; the clamps keep their tables' rows and places inside.
    for i in range(values.size):
        at = max((values[i] - low) * inverse, zero)
        k = min(np.int32(at), last)
        node[i] = k
        t[i] = min(at - real(k), one)


@compiled(inlined=True, fastmath=_FLAGS)
def add_slopes(
    values: NDArray[np.floating], low: Real, inverse: Real, table: NDArray[np.floating], scale: Real,
    gradient: NDArray[np.floating],
) -> None:  # fmt: skip
    """Add the constraint's gradient by each value of a leaf, ``scale * (sign(e) de/dv / P + G)``, from its tables.

    Parameters
    ----------
    values : ndarray of float32 or float64, shape (P,)
        All values of the leaf.
    low, inverse : of the values' type
        Lowest node and inverse of the spacing.
    table : ndarray like `values`, shape (K, 8)
        Cubics of e, the leaf as the one that asks, then those of G, the leaf as the partner that is asked; side by
        side, since they are looked up together.
    scale : of the values' type
        Factor of the gradient.
    gradient : ndarray like `values`, shape (P,), changed
    """
    real = values.dtype.type
    one, two, three, huge = real(1), real(2), real(3), real(HUGE)
    step = scale * inverse / real(values.size)
    last = np.int32(table.shape[0] - 2)
    node, t, added = np.empty(_CHUNK, np.int32), np.empty(_CHUNK, real), np.empty(_CHUNK, real)
    # Three loops over each chunk: in one, the look-ups between them would keep the others from being vectorized.
    for first in range(0, values.size, _CHUNK):
        chunk = values[first : min(first + _CHUNK, values.size)]
        _places_on_grid(chunk, low, inverse, last, node, t)
        for i in range(chunk.size):
            s = t[i]
            c = table[node[i]]
            e = c[0] + s * (c[1] + s * (c[2] + s * c[3]))
            slope = step * (c[1] + s * (two * c[2] + s * three * c[3]))
            partner_gradient = scale * (c[4] + s * (c[5] + s * (c[6] + s * c[7])))
            # The sign as a clipped product: a branch on it would be mispredicted every other time.
            sign = min(max(e * huge, -one), one)
            added[i] = partner_gradient + slope * sign
        out = gradient[first : first + chunk.size]
        for i in range(chunk.size):
            out[i] += added[i]
