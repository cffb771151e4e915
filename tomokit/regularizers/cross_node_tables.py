"""The non-local constraint of one pair of leaves, tabulated: what the attention answers, and the gradient by both.

A value a of the asking leaf is answered ``f(a) = sum_j w_j b_j`` by the partner's values b_j, weights
``w_j ~ exp(k(a, b_j))``, ``k = a b / T`` (dot) or ``-(a - b)^2 / 2T`` (Gaussian, ``T = h^2``). With
``y = dk/db = a / T`` or ``(a - b) / T``, ``y' = dy/db = 0`` or ``-1/T``, and ``d = b - f(a)``:

    df/da   = Var_w(b) / T,     since dk/da is b / T up to what all b share
    df/db_j = w_j phi,          phi = 1 + y d
    G(b)    = sum_i s_i w(a_i, b) phi(a_i, b),      w = e^{k(a, b)} / Z(a)

Both f and G are functions of one variable. Sums over b_j and over a_i go through the deposits of
:mod:`tomokit.regularizers.cross_node_grid`, which need derivatives of the summands; f and G are looked up there, which
needs theirs:

    dw/da = w d / T,    dw/db = w y
    d(w phi)/da = w ((d / T)(2 + y d) - y f')
    d(w phi)/db = w (2 y + y^2 d + y' d)
    d2(w phi)/da db = w (y ((d / T)(2 + y d) - y f') + (2 + y d) / T + (d / T)(y' d + y) - y' f')

Exponents are taken relative to the largest among nodes that hold values, so that none overflows and one is zero.
Where the kernel is narrower than the grid, logarithmic slopes are held to STEEPEST per spacing: up to there the
interpolant of an exponential is monotone, so that no weight turns negative. The answer is then right to within about
one spacing.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.activation.exponential import exp_of
from tomokit.kernels.decorator import compiled
from tomokit.regularizers.codes import DOT
from tomokit.regularizers.cross_node_scalars import STEEPEST, partner_gradient_terms

# Counts were taken of finite values only, so that nothing here is not a number.
_FLAGS = {"contract", "reassoc", "nsz", "nnan"}


@compiled(inlined=True)
def _nearest_occupied(counts: NDArray[np.float64], below: NDArray[np.int64], above: NDArray[np.int64]) -> None:
    """For each node the nearest one that holds values, downwards and upwards; the ends always hold some."""
    last = counts.shape[0] - 1
    for m in range(last + 1):
        below[m] = m if m == 0 or counts[m, 0] > 0 else below[m - 1]
    for m in range(last, -1, -1):
        above[m] = m if counts[m, 0] > 0 else (above[m + 1] if m < last else below[last])


@compiled(inlined=True, fastmath=_FLAGS)
def _attention_weights(
    a: float, kernel: int, temperature: float, low: float, spacing: float, below: NDArray[np.int64],
    above: NDArray[np.int64], w: NDArray[np.float64],
) -> None:  # fmt: skip
    """``exp(k(a, b) - peak)`` at the partner's nodes, the peak among those that hold values."""
    last = w.size - 1
    if kernel == DOT:
        # Linear in b, so that its peak is at one end of the nodes that hold values. What `low` adds is the same for all
        # b and cancels.
        x = a / temperature * spacing
        top = x * (above[0] if x < 0 else below[last])
        for m in range(w.size):
            w[m] = exp_of(min(x * m - top, 0.0), np.float64)
        return
    half = -0.5 / temperature
    at = int(min(max((a - low) / spacing, 0.0), 1.0 * last))
    # The peak is at the node nearest to a, on either side. Nodes that hold nothing may lie nearer: their exponents are
    # cut at zero, and their weight in the sums is zero.
    gap_below = a - (low + spacing * below[at])
    gap_above = a - (low + spacing * above[min(at + 1, last)])
    top = half * min(gap_below * gap_below, gap_above * gap_above)
    for m in range(w.size):
        gap = a - (low + spacing * m)
        w[m] = exp_of(min(half * gap * gap - top, 0.0), np.float64)


@compiled(inlined=True, fastmath=_FLAGS)
def answer_table(
    low_a: float, spacing_a: float, low_b: float, spacing_b: float, counts: NDArray[np.float64], kernel: int,
    temperature: float, f: NDArray[np.float64], slope: NDArray[np.float64], weight: NDArray[np.float64],
) -> None:  # fmt: skip
    """Tabulate the attention's answer f(a) at the asking leaf's nodes, with its derivative and its weights.

    Parameters
    ----------
    low_a, spacing_a, low_b, spacing_b : float
        Lowest node and spacing of the asking leaf's grid and of its partner's, in units of the values.
    counts : ndarray of float64, shape (K, 2)
        Deposit of the partner's values (:func:`tomokit.regularizers.cross_node_grid.deposit`).
    kernel : int
        One of :data:`tomokit.regularizers.codes.KERNELS`.
    temperature : float
        T: of the Gaussian, its bandwidth squared.
    f, slope : ndarrays of float64, shape (K,), written
        Answer, and its derivative by a times the spacing.
    weight : ndarray of float64, shape (K, K), written
        ``w(a_k, b_m)``, normalized such that the partner's values have the sum 1.
    """
    nodes = f.size
    below, above = np.empty(nodes, np.int64), np.empty(nodes, np.int64)
    _nearest_occupied(counts, below, above)
    # Columns of their own, which the inner loop reads one after the other.
    c0, c1 = counts[:, 0].copy(), counts[:, 1].copy()
    inverse = spacing_b / temperature
    for k in range(nodes):
        a = low_a + spacing_a * k
        w = weight[k]
        _attention_weights(a, kernel, temperature, low_b, spacing_b, below, above, w)
        # Sums over the partner's values of w, w b and w b^2, with b in spacings from its lowest node. A deposit is
        # contracted with the summand and with its derivative: by b, w has the logarithmic slope y.
        z = mean = square = 0.0
        constant = a if kernel == DOT else a - low_b
        linear = 0.0 if kernel == DOT else spacing_b
        for m in range(nodes):
            y = min(max((constant - linear * m) * inverse, -STEEPEST), STEEPEST)
            node_sum = c0[m] + c1[m] * y
            z += w[m] * node_sum
            mean += w[m] * (node_sum * m + c1[m])
            square += w[m] * (node_sum * m + 2.0 * c1[m]) * m
        mean /= z
        f[k] = low_b + spacing_b * mean
        # df/da = Var(b) / T; in double precision the difference of two sums has digits enough for it.
        slope[k] = spacing_b * spacing_b * max(square / z - mean * mean, 0.0) / temperature * spacing_a
        w /= z
    _hold_monotone(f, slope)


@compiled(inlined=True)
def _hold_monotone(f: NDArray[np.float64], slope: NDArray[np.float64]) -> None:
    """Limit slopes to three times the rise on either side (Fritsch and Carlson, SIAM J. Numer. Anal. 17, 238, 1980).

    f never falls; only where its steps are narrower than the grid does this change anything.
    """
    last = f.size - 1
    for k in range(f.size):
        if k > 0:
            slope[k] = min(slope[k], 3.0 * max(f[k] - f[k - 1], 0.0))
        if k < last:
            slope[k] = min(slope[k], 3.0 * max(f[k + 1] - f[k], 0.0))


@compiled(inlined=True, fastmath=_FLAGS)
def partner_gradient_table(
    low_a: float, spacing_a: float, low_b: float, spacing_b: float, signs: NDArray[np.float64], kernel: int,
    temperature: float, f: NDArray[np.float64], slope: NDArray[np.float64], weight: NDArray[np.float64],
    partner_gradient: NDArray[np.float64], partner_gradient_slope: NDArray[np.float64],
) -> None:  # fmt: skip
    """Tabulate the gradient G(b) by the partner's values at the partner's nodes, with its derivative.

    Parameters
    ----------
    low_a, spacing_a, low_b, spacing_b : float
        As for :func:`answer_table`.
    signs : ndarray of float64, shape (K, 2)
        Deposit of the signs of the asking leaf's errors
        (:func:`tomokit.regularizers.cross_node_grid.deposit_signs`).
    kernel, temperature : int, float
        As for :func:`answer_table`.
    f, slope, weight : ndarrays of float64
        From :func:`answer_table`.
    partner_gradient, partner_gradient_slope : ndarrays of float64, shape (K,), written
        G, summed over the asking leaf's values and not divided by their number, and its derivative by b times the
        spacing.
    """
    nodes = f.size
    inverse = 1.0 / temperature
    bend = 0.0 if kernel == DOT else -inverse
    steep_a, steep_b = STEEPEST / spacing_a, STEEPEST / spacing_b
    partner_gradient[:] = 0
    partner_gradient_slope[:] = 0
    # k runs over the asking leaf's nodes, whose deposits weigh the summand and its derivative by a; m over the
    # partner's, at which the sum and its derivative by b are wanted.
    for k in range(nodes):
        s0, s1 = signs[k, 0], signs[k, 1] * spacing_a
        if s0 == 0.0 and s1 == 0.0:
            continue
        a = low_a + spacing_a * k
        w, answer, rise = weight[k], f[k], slope[k] / spacing_a
        constant = a if kernel == DOT else a - low_b
        linear = 0.0 if kernel == DOT else spacing_b
        for m in range(nodes):
            d = low_b + spacing_b * m - answer
            y = (constant - linear * m) * inverse
            phi, by_a, by_b, by_both = partner_gradient_terms(d, y, inverse, bend, steep_a, steep_b, rise, np.float64)
            partner_gradient[m] += w[m] * (s0 * phi + s1 * by_a)
            partner_gradient_slope[m] += w[m] * (s0 * by_b + s1 * by_both)
    for m in range(nodes):
        partner_gradient_slope[m] *= spacing_b
