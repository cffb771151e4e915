"""The formulas of the non-local constraint for single numbers, which the CPU's and the GPU's kernels share.

Each takes `real`, the type to calculate in: a constant that is not converted would turn singles into doubles, which
most GPUs are slow at. Derivations are in :mod:`tomokit.regularizers.cross_node_grid` and
:mod:`tomokit.regularizers.cross_node_tables`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

from numba.extending import register_jitable

Real: TypeAlias = Any
"""A number of the type that is calculated in: float32 or float64 on the CPU, float32 on a GPU."""
RealType: TypeAlias = Callable[[Any], Any]
"""That type itself: NumPy's on the CPU, Numba's on a GPU."""

FINE = 32
"""Fine cells between two nodes."""
PLACES = 4096
"""Places that are told apart in a fine cell."""
ONE_SHIFT = 40
"""A fine cell holds the number of its values from this bit on, and the sum of their places below.

Up to 2^23 values fit into the upper bits, and a leaf has 2^21 at most; the sum of their places is then below 2^36.
"""
STEEPEST = 2.8
"""Largest logarithmic slope of a weight per spacing.

Of an exponential of logarithmic slope 2.82 a spacing, the slope at the upper node is three times the rise: up to there
a cubic is monotone (Fritsch and Carlson, SIAM J. Numer. Anal. 17, 238, 1980).
"""
LARGEST = 1e37
"""Largest magnitude of values that can be told apart: differences of larger ones overflow single precision, and what is
not a number has no place on a grid."""
HUGE = 1e30
"""Makes any error but the tiniest larger than 1, in single precision too."""

_FLAGS = {"contract", "reassoc", "nsz", "nnan"}


@register_jitable(error_model="numpy")
def hermite(t: Real, real: RealType) -> tuple[Real, Real, Real]:
    """Compute the weights of a cubic Hermite interpolant at a place between two nodes.

    Parameters
    ----------
    t : of type `real`
        Place between the nodes, 0 at the lower and 1 at the upper one.
    real : type
        Type to calculate in.

    Returns
    -------
    h01, h10, h11 : of type `real`
        Weights of the upper node's value, of the lower node's slope, and of the upper node's, slopes per spacing. The
        lower node's value has the weight ``1 - h01``.
    """
    one = real(1)
    h01 = t * t * (real(3) - real(2) * t)
    return h01, t * (one - t) * (one - t), -t * t * (one - t)


@register_jitable(error_model="numpy")
def pair_of(cell: Real, number: Real, places: Real, top: Real, real: RealType) -> tuple[Real, Real, Real]:
    """Represent the values counted in a fine cell by two places of half their number each.

    Parameters
    ----------
    cell, number, places : of type `real`
        Index of the cell, number of values in it, and the sum of their places in the cell.
    top : of type `real`
        Number of the last node, K - 1.
    real : type
        Type to calculate in.

    Returns
    -------
    weight : of type `real`
        Half the number of values.
    lower, upper : of type `real`
        The two places, in nodes from 0 to `top`.
    """
    fine = real(FINE)
    # In fine cells, as is the spread.
    mean = cell + places / (number * real(PLACES))
    # Values spread evenly over a cell have the variance 1/12 about the cell's middle, of which their own mean takes
    # 1/number: a lone value has none. At the ends less, such that both stay on the grid and the mean is kept.
    spread = min(real(math.sqrt((number - real(1)) / (real(12) * number))), min(mean, max(fine * top - mean, real(0))))
    return real(0.5) * number, (mean - spread) / fine, min((mean + spread) / fine, top)


@register_jitable(error_model="numpy")
def lower_share(e_lower: Real, e_upper: Real, real: RealType) -> Real:
    """Divide the signs of a fine cell's values between its two places: the fraction that falls to the lower one.

    If the error changes its sign among the values, those below its root count one way and those above it the other, in
    proportion to the length of the cell on either side, as if they were spread evenly.

    Parameters
    ----------
    e_lower, e_upper : of type `real`
        Error ``f(a) - a`` at the two places of :func:`pair_of`.
    real : type
        Type to calculate in.

    Returns
    -------
    of type `real`
        Fraction of the cell's values, 1/2 where the error has one sign.
    """
    fraction = real(0.5)
    if e_lower * e_upper < real(0):
        # The root's place between the two, of which the cell is sqrt(3) times as long: hence the factor 1 / sqrt(3).
        fraction += (e_lower / (e_lower - e_upper) - real(0.5)) * real(0.5773502691896258)
    return fraction


@register_jitable(error_model="numpy", fastmath=_FLAGS)
def bends(f: Real, slope: Real, next_f: Real, next_slope: Real, real: RealType) -> tuple[Real, Real]:
    """Compute the coefficients of t^2 and t^3 of the cubic between two nodes.

    Parameters
    ----------
    f, slope : of type `real`
        Function, and its derivative times the spacing, at the lower node: they are the coefficients of 1 and t.
    next_f, next_slope : of type `real`
        The same at the upper node.
    real : type
        Type to calculate in.

    Returns
    -------
    second, third : of type `real`
    """
    rise = next_f - f
    return real(3) * rise - real(2) * slope - next_slope, slope + next_slope - real(2) * rise


@register_jitable(error_model="numpy", fastmath=_FLAGS)
def partner_gradient_terms(
    d: Real, y: Real, inverse: Real, bend: Real, steep_a: Real, steep_b: Real, rise: Real, real: RealType
) -> tuple[Real, Real, Real, Real]:  # fmt: skip
    """Compute ``phi``, and the derivatives of ``w phi`` divided by w, for the gradient by a partner's value b.

    The formulas, their derivation and the symbols are at the head of :mod:`tomokit.regularizers.cross_node_tables`.

    Parameters
    ----------
    d : of type `real`
        ``b - f(a)``, how far the partner's value lies above the answer.
    y : of type `real`
        ``dk / db``, the logarithmic slope of the weight by b.
    inverse, bend : of type `real`
        ``1 / T`` and ``dy / db``.
    steep_a, steep_b : of type `real`
        Largest magnitudes of the logarithmic slopes by a and by b.
    rise : of type `real`
        ``f'(a)``.
    real : type
        Type to calculate in.

    Returns
    -------
    phi, by_a, by_b, by_both : of type `real`
        ``phi = 1 + y d``; the derivatives of ``w phi`` by a, by b and by both, each over w.
    """
    # The two factors that come from w itself are held, so that interpolants of w stay monotone; those of phi are not.
    held = min(max(y, -steep_b), steep_b)
    r = min(max(d * inverse, -steep_a), steep_a)
    twice = real(2) + y * d
    by_a = r * twice - y * rise
    by_b = held * twice + bend * d
    by_both = held * by_a + inverse * twice + r * (bend * d + held) - bend * rise
    return twice - real(1), by_a, by_b, by_both
