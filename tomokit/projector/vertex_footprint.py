"""Footprint of a vertex of a leaf on the detector, integrated over a detector pixel, and its tables.

The in-plane basis of a vertex is ``T(x / h) T(z / h)``, T the unit triangle, one-sided on a leaf's face, which gives
3 x 3 classes. Under a tilt its line integrals are the convolution of both triangles, stretched by ``c = |cos theta|``
and ``s = |sin theta|`` and each of mass h (half of it on a face); a pixel convolves with a unit box once more.
Each factor is a sum of truncated powers: the stretched triangle's second derivative is a few delta functions (and, on a
face, the derivative of one), the box's first derivative is two. Convolution adds positions and orders, so

    F(d) = sum_m a_m (d - d_m)_+^(p_m) / p_m!,    p between 2 and 4

a piecewise quartic of total mass ``h^2``, evaluated in float64. Within 1e-3 of an axis, where the sum would
cancel, the narrow triangle is a delta function at its centroid, which changes F by the order of ``(1e-3 h)^2``.

In a leaf, vertices follow each other at arbitrary fractions of a pixel, so the kernels read a table: rows for
the fraction in steps of 1/64 px, one column per tap, interpolated linearly (error below 1e-4 of the peak).
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

KNOTS = 64
"""Steps per pixel in which tables have the fraction of a position; a table has one row more."""

_LOWER, _INTERIOR, _UPPER = 0, 1, 2  # where a vertex lies along one axis of its leaf
_SMALLEST = 1e-3  # |cos| or |sin| below which a triangle counts as a delta function


def _triangle_terms(side: int, width: float, mass: float) -> list[tuple[float, float, int]]:
    """Second derivative of a stretched triangle: ``(position, coefficient, derivative order of the delta)``.

    The full triangle has half width `width` and mass `mass`; the upward half (a lower face) spans ``[0, width]``.
    """
    # A half triangle has half the mass and its centroid at a third.
    if width < _SMALLEST * mass:
        fraction, centroid = (1.0, 0.0) if side == _INTERIOR else (0.5, (1 - side) * width / 3)
        return [(centroid, fraction * mass, 2)]
    peak = mass / width
    slope = peak / width
    if side == _INTERIOR:
        return [(-width, slope, 0), (0.0, -2 * slope, 0), (width, slope, 0)]
    if side == _LOWER:
        return [(0.0, peak, 1), (0.0, -slope, 0), (width, slope, 0)]
    return [(-width, slope, 0), (0.0, -slope, 0), (0.0, -peak, 1)]


def footprint(
    d: NDArray[np.float64], theta: float, h: float, side_x: int = _INTERIOR, side_z: int = _INTERIOR
) -> NDArray[np.float64]:
    """Integral of a vertex's basis over a pixel's rays, times the pixel's unit width.

    Parameters
    ----------
    d : ndarray of float64
        Pixel centre minus vertex position on the detector, in pixels.
    theta : float
        Tilt in radians.
    h : float
        Vertex spacing in pixels.
    side_x, side_z : int
        0 on the leaf's lower face, 1 inside, 2 on its upper face.

    Returns
    -------
    ndarray of float64
        In pixels squared; over all pixels it sums to the mass of the basis.
    """
    return _sum_of_powers(d, theta, h, side_x, side_z, {})


def _sum_of_powers(
    d: NDArray[np.float64],
    theta: float,
    h: float,
    side_x: int,
    side_z: int,
    known: dict[tuple[float, int], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Evaluate :func:`footprint`; `known` holds powers of `d` from some position on, which the classes share."""
    cos, sin = math.cos(theta), math.sin(theta)
    c, s = abs(cos), abs(sin)
    # x moves along u with the cosine, z against it with the sine; a negative factor mirrors the one-sided triangles.
    x_terms = _triangle_terms(side_x if cos >= 0 else 2 - side_x, h * c, h)
    z_terms = _triangle_terms(side_z if sin < 0 else 2 - side_z, h * s, h)
    total = np.zeros_like(d)
    for a, wa, pa in x_terms:
        for b, wb, pb in z_terms:
            # Two second derivatives and the box's first are to be integrated five times, which makes a delta a power
            # of 4; a delta that is itself differentiated once or twice takes as much off.
            power = 4 - pa - pb
            scale = wa * wb / math.factorial(power)
            for edge, sign in ((-0.5, 1.0), (0.5, -1.0)):
                start = a + b + edge
                if (start, power) not in known:
                    known[start, power] = np.maximum(d - start, 0.0) ** power
                total += sign * scale * known[start, power]
    # Beyond the footprint all powers cancel but for rounding, which is not to widen it.
    half_width = footprint_half_width(theta, h)
    return np.where(np.abs(d) < half_width, total, 0.0)


def footprint_half_width(theta: float, h: float) -> float:
    """Distance on the detector beyond which a vertex has no weight: half the footprint and half a pixel.

    Parameters
    ----------
    theta : float
        Tilt in radians.
    h : float
        Vertex spacing in pixels.

    Returns
    -------
    float
        In pixels.
    """
    return h * (abs(math.cos(theta)) + abs(math.sin(theta))) + 0.5


def footprint_table(theta: float, h: float, taps: int) -> NDArray[np.float32]:
    """Tabulate the footprints of all classes of vertices of one view and level, for the kernels.

    Parameters
    ----------
    theta : float
        Tilt in radians.
    h : float
        Vertex spacing in pixels.
    taps : int
        Columns; pixels past the footprint get 0.

    Returns
    -------
    ndarray of float32, shape (9, KNOTS + 1, taps)
        Class ``3 * side_x + side_z``. With ``q = position - half_width``, row ``j`` holds the weights of the pixels
        ``floor(q) + 1``, ``floor(q) + 2``, ... for the fraction ``q - floor(q) = j / KNOTS``.
    """
    fraction = np.arange(KNOTS + 1)[:, None] / KNOTS
    # Pixel floor(q) + 1 lies 1 - fraction right of q, and q half a footprint left of the vertex.
    d = 1.0 + np.arange(taps)[None, :] - fraction - footprint_half_width(theta, h)
    known: dict[tuple[float, int], NDArray[np.float64]] = {}
    classes = [_sum_of_powers(d, theta, h, side_x, side_z, known) for side_x in range(3) for side_z in range(3)]
    return np.stack(classes).astype(np.float32)


def footprint_taps(theta: float, h: float) -> int:
    """How many detector columns one vertex meets at most.

    Parameters
    ----------
    theta : float
        Tilt in radians.
    h : float
        Vertex spacing in pixels.

    Returns
    -------
    int
    """
    return math.floor(2 * footprint_half_width(theta, h)) + 1
