"""``exp`` and ``ln(1 + s)`` as plain arithmetic, so that compiled loops over them vectorize.

The libraries' functions are calls, one value at a time; these are inlined into the loop. Accurate to about one unit in
the last place, in single and double precision.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import overload

LEAST = -80.0
"""Arguments of :func:`exp_of` below this are taken as this; the result, 2e-35, is still a normal single."""

# ln 2 in two pieces. The first has so few bits that k times it is exact in single precision, so that taking k ln 2 off
# x loses nothing but what the second piece brings in.
_LN2_HIGH, _LN2_LOW = 0.693145751953125, 1.42860682030941723212e-6


def power_of_two(k: float | np.floating, like: float | np.floating) -> Any:
    """The power ``2**k``, in compiled code made from the exponent's bits without any arithmetic.

    Parameters
    ----------
    k : float32 or float64
        A whole number from -126 to 127.
    like : float32 or float64
        A number of the wanted type; its value does not matter.

    Returns
    -------
    float32 or float64
        Of the type of `like`.
    """
    return np.exp2(np.asarray(k, np.asarray(like).dtype))


@overload(power_of_two, inline="always")
def _power_of_two(k: Any, like: Any) -> Any:
    """What Numba compiles for :func:`power_of_two`: ``k`` plus the bias, shifted into the place of the exponent."""
    if like == types.float32:

        def single(k: Any, like: Any) -> Any:
            return np.int32((np.int32(k) + np.int32(127)) << np.int32(23)).view(np.float32)

        return single

    def double(k: Any, like: Any) -> Any:
        return np.int64((np.int64(k) + np.int64(1023)) << np.int64(52)).view(np.float64)

    return double


@njit(inline="always", error_model="numpy", fastmath={"contract", "nsz"})
def exp_of(x: float | np.floating, real: type[np.floating]) -> np.floating:
    """The exponential ``exp(max(x, LEAST))``, as plain arithmetic that vectorizes.

    ``x = k ln 2 + r`` with a whole k and ``|r| <= ln(2) / 2``: a Taylor series for ``e^r``, times ``2^k``.

    Parameters
    ----------
    x : float32 or float64
        At most 80.
    real : type
        The type of `x`: ``numpy.float32`` or ``numpy.float64``.

    Returns
    -------
    float32 or float64
        Of the type of `x`, accurate to about one unit in the last place.
    """
    # Below this the result would not be a normal number, and the exponent's bits would not do.
    x = max(x, real(LEAST))
    k = np.floor(x * real(1.4426950408889634) + real(0.5))
    r = (x - k * real(_LN2_HIGH)) - k * real(_LN2_LOW)
    # Horner's rule from 1 / 13! on: the series' next term is 4e-18 at most, below double precision.
    p = real(1 / 6227020800) * r + real(1 / 479001600)
    p = p * r + real(1 / 39916800)
    p = p * r + real(1 / 3628800)
    p = p * r + real(1 / 362880)
    p = p * r + real(1 / 40320)
    p = p * r + real(1 / 5040)
    p = p * r + real(1 / 720)
    p = p * r + real(1 / 120)
    p = p * r + real(1 / 24)
    p = p * r + real(1 / 6)
    p = p * r + real(1 / 2)
    p = p * r + real(1)
    p = p * r + real(1)
    return p * power_of_two(k, x)


@njit(inline="always", error_model="numpy", fastmath={"contract", "nsz"})
def log_of_one_plus(s: float | np.floating, real: type[np.floating]) -> np.floating:
    """The logarithm ``ln(1 + s)``, as plain arithmetic that vectorizes.

    It is ``2 artanh(z)`` with ``z = s / (2 + s) <= 1/3``, by the series ``artanh z = z + z^3 / 3 + z^5 / 5 + ...``.

    Parameters
    ----------
    s : float32 or float64
        From 0 to 1.
    real : type
        The type of `s`: ``numpy.float32`` or ``numpy.float64``.

    Returns
    -------
    float32 or float64
        Of the type of `s`, accurate to about one unit in the last place.
    """
    z = s / (real(2) + s)
    # The square of a tiny z would be subnormal, which is slow by a factor of fifty, and adds nothing to 1.
    q = max(z, real(1e-15)) * max(z, real(1e-15))
    # Horner's rule in z^2 from 1 / 31 on; the next term is 2e-17 of the first at most, below double precision.
    p = real(1 / 31) * q + real(1 / 29)
    p = p * q + real(1 / 27)
    p = p * q + real(1 / 25)
    p = p * q + real(1 / 23)
    p = p * q + real(1 / 21)
    p = p * q + real(1 / 19)
    p = p * q + real(1 / 17)
    p = p * q + real(1 / 15)
    p = p * q + real(1 / 13)
    p = p * q + real(1 / 11)
    p = p * q + real(1 / 9)
    p = p * q + real(1 / 7)
    p = p * q + real(1 / 5)
    p = p * q + real(1 / 3)
    p = p * q + real(1)
    return real(2) * z * p
