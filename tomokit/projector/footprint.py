"""Footprint of a cubic voxel on the detector, integrated over a detector pixel, in closed form.

The in-plane section of a voxel is the unit square. Seen under a tilt ``theta`` its line integrals are a
trapezoid, the convolution of boxes of width ``c = |cos theta|`` and ``s = |sin theta|``, each of unit mass
(the separable footprint of Long, Fessler and Balter, IEEE TMI 29, 1839, 2010; exact for parallel rays).
With half top ``b = |c - s| / 2``, ramp ``r = min(c, s)`` and height ``1 / max(c, s)`` its integral from 0 to d is

    G(d) = sign(d) / max(c, s) * (min(|d|, b) + q - q^2 / (2 r)),    q = clip(|d| - b, 0, r)

and the weight of a pixel is the difference of G at its two edges. Weights of a voxel sum to one, so mass is kept;
every term is bounded, so nothing cancels near 0 or 90 degrees.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled

MAX_TAPS = 3
"""Most pixels that one voxel meets: its footprint and the pixel are ``c + s + 1 <= 2.42`` wide together."""


@compiled(inlined=True)
def box_profile(theta: float) -> tuple[float, float, float, float, float]:
    """Constants of the trapezoid that a voxel is seen as under a tilt.

    Parameters
    ----------
    theta : float
        Tilt in radians.

    Returns
    -------
    half_width, half_top, ramp, curve, height : float
        Half width of footprint and pixel together, ``b``, ``r``, ``1 / (2 r)`` (0 where there is no ramp), and
        ``1 / max(c, s)``; lengths in pixels.
    """
    c, s = abs(math.cos(theta)), abs(math.sin(theta))
    ramp = min(c, s)
    # Along an axis there is no ramp: q is 0 there, and curve must not be infinite, since 0 times infinity is NaN.
    curve = 0.5 / ramp if ramp > 1e-9 else 0.0
    return (1.0 + c + s) / 2.0, abs(c - s) / 2.0, ramp, curve, 1.0 / max(c, s)


@compiled(inlined=True, fastmath={"contract"})
def _footprint_integral(
    d: np.float32, half_top: np.float32, ramp: np.float32, curve: np.float32, height: np.float32
) -> np.float32:
    """``G(d)``: the trapezoid's integral from its centre to `d`, with ``curve = 1 / (2 r)``."""
    distance = abs(d)
    q = min(max(distance - half_top, np.float32(0)), ramp)
    g = height * (min(distance, half_top) + q - curve * q * q)
    return g if d >= 0 else -g


@compiled(inlined=True, fastmath={"contract"})
def box_row_weights(
    start: float,
    step: float,
    n: int,
    profile: tuple[float, float, float, float, float],
    first: NDArray[np.int32],
    weight: NDArray[np.float32],
) -> None:
    """Detector pixels that a row of voxels along x meets, and with what weights.

    Parameters
    ----------
    start, step : float
        Detector index (fractional) of the centre of the first voxel, and from one voxel to the next.
    n : int
        Number of voxels.
    profile : tuple of float
        From :func:`box_profile`.
    first : int32 array, shape (>= n,), written
        First pixel of each voxel's footprint; may lie outside the detector.
    weight : float32 array, shape (MAX_TAPS, >= n), written
        Weight of that pixel and the next ones; the last may be 0.
    """
    half_width, half_top, ramp, curve, height = profile
    b, r, k, h = np.float32(half_top), np.float32(ramp), np.float32(curve), np.float32(height)
    # Typed constants: a Python number would lift the whole loop to double precision.
    one, two, three = np.float32(1), np.float32(2), np.float32(3)
    for i in range(n):
        # The position in double precision, where the integer part of a column takes ten of a single's 24 bits.
        centre = start + step * i
        below = np.floor(centre - half_width)
        first[i] = np.int32(below) + np.int32(1)
        # Single precision is enough from here: the lower edge of the first pixel, relative to the voxel's centre.
        d = np.float32(below - centre + 0.5)
        # Neighbouring pixels share an edge: four integrals make three weights.
        g0 = _footprint_integral(d, b, r, k, h)
        g1 = _footprint_integral(d + one, b, r, k, h)
        g2 = _footprint_integral(d + two, b, r, k, h)
        g3 = _footprint_integral(d + three, b, r, k, h)
        weight[0, i] = g1 - g0
        weight[1, i] = g2 - g1
        weight[2, i] = g3 - g2
