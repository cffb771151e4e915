"""The formulas of the non-local constraint for single numbers, which the CPU's and the GPU's kernels share.

Each takes `real`, the type to calculate in: a constant that is not converted would turn singles into doubles, which
most GPUs are slow at. Derivations are in :mod:`tomokit.regularizers.cross_node_grid` and
:mod:`tomokit.regularizers.cross_node_tables`.
"""

from __future__ import annotations

import math
from typing import Any

from numba.extending import register_jitable

FINE = 32
"""Fine cells between two nodes."""
PLACES = 4096
"""Places that are told apart in a fine cell."""
ONE_SHIFT = 40
"""A fine cell holds the number of its values from this bit on, and the sum of their places below."""
STEEPEST = 2.8
"""Largest logarithmic slope of a weight per spacing."""
HUGE = 1e30

_FLAGS = {"contract", "reassoc", "nsz", "nnan"}


@register_jitable(error_model="numpy")
def hermite(t: Any, real: Any) -> Any:
    """``h01, h10, h11`` of the cubic at t in 0 .. 1."""
    one = real(1)
    h01 = t * t * (real(3) - real(2) * t)
    return h01, t * (one - t) * (one - t), -t * t * (one - t)


@register_jitable(error_model="numpy")
def pair_of(cell: Any, number: Any, places: Any, top: Any, real: Any) -> Any:
    """Half the number in a fine cell, and the two places, in nodes, at which it stands.

    Parameters
    ----------
    cell, number, places : of type `real`
        Index of the cell, values in it, and the sum of their places.
    top : of type `real`
        The last node.
    """
    fine = real(FINE)
    mean = cell + places / (number * real(PLACES))
    # At the ends less, such that both stay on the grid and the mean is kept.
    spread = min(real(math.sqrt((number - real(1)) / (real(12) * number))), min(mean, max(fine * top - mean, real(0))))
    return real(0.5) * number, (mean - spread) / fine, min((mean + spread) / fine, top)


@register_jitable(error_model="numpy")
def lower_share(e_lower: Any, e_upper: Any, real: Any) -> Any:
    """Of a fine cell's signs, what is deposited at its lower place; the rest goes to the upper one.

    If the error changes its sign among the values, those below the root count one way, if they are spread evenly.
    """
    share = real(0.5)
    if e_lower * e_upper < real(0):
        share += (e_lower / (e_lower - e_upper) - real(0.5)) * real(0.5773502691896258)
    return share


@register_jitable(error_model="numpy", fastmath=_FLAGS)
def bends(f: Any, slope: Any, next_f: Any, next_slope: Any, real: Any) -> Any:
    """Coefficients of t^2 and t^3 between two nodes, from function and slopes (times the spacing) there."""
    rise = next_f - f
    return real(3) * rise - real(2) * slope - next_slope, slope + next_slope - real(2) * rise


@register_jitable(error_model="numpy", fastmath=_FLAGS)
def partner_gradient_terms(
    d: Any, y: Any, inverse: Any, bend: Any, steep_a: Any, steep_b: Any, rise: Any, real: Any
) -> Any:  # fmt: skip
    """``phi`` and the derivatives of ``w phi`` over w: by a, by b, by both.

    Parameters
    ----------
    d : of type `real`
        ``b - f(a)``.
    y : of type `real`
        ``dk / db``.
    inverse, bend : of type `real`
        ``1 / T`` and ``dy / db``.
    steep_a, steep_b : of type `real`
        Bounds of the logarithmic slopes.
    rise : of type `real`
        ``f'(a)``.
    """
    held = min(max(y, -steep_b), steep_b)
    r = min(max(d * inverse, -steep_a), steep_a)
    twice = real(2) + y * d
    by_a = r * twice - y * rise
    by_b = held * twice + bend * d
    by_both = held * by_a + inverse * twice + r * (bend * d + held) - bend * rise
    return twice - real(1), by_a, by_b, by_both
