"""Loops over ellipsoids, compiled: one view of projections, one plane of voxels.

Both are exact along one axis and sampled along the others. Both let other threads run, write to one plane
only, and add in the order of the ellipsoids, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from tomokit.kernels.decorator import compiled


@compiled(inlined=True, nogil=True)
def _circle_integral(t: float) -> float:
    """Integral of ``sqrt(1 - s^2)`` from 0 to t, for t clamped to -1..1."""
    # Pixels at either end of a chord extend beyond it, where there is nothing more to integrate.
    t = min(1.0, max(-1.0, t))
    return 0.5 * (t * math.sqrt(1.0 - t * t) + math.asin(t))


@compiled(nogil=True)
def project_view(
    image: NDArray[np.float64],
    centre_uv: NDArray[np.float64],
    shadow: NDArray[np.float64],
    strength: NDArray[np.float64],
    samples: NDArray[np.int64],
) -> None:
    """Add the projections of ellipsoids to one view.

    An ellipsoid's shadow is an ellipse ``w^T S2^-1 w <= 1``, and its line integral at the detector position w
    from the shadow's centre is ``strength * sqrt(1 - w^T S2^-1 w)``. At fixed u this is half an ellipse over v,
    whose integral over a pixel's rows is closed; over u it is sampled.

    Parameters
    ----------
    image : ndarray of float64, shape (n_v, n_u)
        The view ``[y, x]``, added to.
    centre_uv : ndarray of float64, shape (n, 2)
        Pixel index of each shadow's centre, ``(u, v)``, fractional.
    shadow : ndarray of float64, shape (n, 3)
        ``S2`` of each shadow in square pixels, as ``(uu, uv, vv)``.
    strength : ndarray of float64, shape (n,)
        Line integral through each centre, in density x pixels.
    samples : ndarray of int64, shape (n,)
        Samples per pixel along u for each ellipsoid.
    """
    n_v, n_u = image.shape
    for k in range(strength.size):
        s_uu, s_uv, s_vv = shadow[k]
        u0, v0 = centre_uv[k]
        half_u = math.sqrt(s_uu)
        step = 1.0 / samples[k]
        # Pixel i covers i - 0.5 to i + 0.5: the columns that the shadow touches, cut to the detector.
        first = max(0, math.floor(u0 - half_u + 0.5))
        last = min(n_u - 1, math.floor(u0 + half_u + 0.5))
        # The chord through the centre: its half length is the root of a Schur complement of S2.
        half_v_at_centre = math.sqrt(s_vv - s_uv * s_uv / s_uu)
        for column in range(first, last + 1):
            for sample in range(samples[k]):
                # Midpoints of equal parts of the pixel, from the shadow's centre.
                du = column - 0.5 + (sample + 0.5) * step - u0
                rest = 1.0 - du * du / s_uu
                if rest <= 0.0:
                    continue
                root = math.sqrt(rest)
                half_v = half_v_at_centre * root
                # The chord along v is not centred on the shadow's centre where the ellipse lies aslant.
                middle = v0 + du * s_uv / s_uu
                low = max(0, math.floor(middle - half_v + 0.5))
                high = min(n_v - 1, math.floor(middle + half_v + 0.5))
                weight = strength[k] * root * half_v * step
                # Every boundary between two rows is evaluated once, so that the rows add up to the whole chord.
                below = _circle_integral((low - 0.5 - middle) / half_v)
                for row in range(low, high + 1):
                    above = _circle_integral((row + 0.5 - middle) / half_v)
                    image[row, column] += weight * (above - below)
                    below = above


@compiled(nogil=True)
def fill_plane(
    plane: NDArray[np.float64],
    z: int,
    centre: NDArray[np.float64],
    inverse: NDArray[np.float64],
    half: NDArray[np.float64],
    density: NDArray[np.float64],
    samples: NDArray[np.int64],
) -> None:
    """Add ellipsoids to one plane of voxels, averaged over each voxel: exactly along x, by samples along y and z.

    Parameters
    ----------
    plane : ndarray of float64, shape (n_y, n_x)
        The plane ``[y, x]``, added to.
    z : int
        Index of the plane along z.
    centre : ndarray of float64, shape (n, 3)
        Voxel index of each centre, ``(x, y, z)``, fractional.
    inverse : ndarray of float64, shape (n, 6)
        ``M = S^-1`` of each ellipsoid in inverse square voxels, as ``(xx, xy, xz, yy, yz, zz)``.
    half : ndarray of float64, shape (n, 3)
        Half the edges of each bounding box in voxels, ``(x, y, z)``.
    density : ndarray of float64, shape (n,)
        What each ellipsoid adds to the density inside it.
    samples : ndarray of int64, shape (n,)
        Samples per voxel along y and along z for each ellipsoid.
    """
    n_y, n_x = plane.shape
    for k in range(density.size):
        x0, y0, z0 = centre[k]
        # Voxels extend half an edge beyond their centres.
        if abs(z - z0) >= half[k, 2] + 0.5:
            continue
        m_xx, m_xy, m_xz, m_yy, m_yz, m_zz = inverse[k]
        n = samples[k]
        weight = density[k] / (n * n)
        first = max(0, math.floor(y0 - half[k, 1] + 0.5))
        last = min(n_y - 1, math.floor(y0 + half[k, 1] + 0.5))
        for row in range(first, last + 1):
            # Samples of one row form an n x n grid over y and z, y fastest.
            for sample in range(n * n):
                dz = z - 0.5 + (sample // n + 0.5) / n - z0
                dy = row - 0.5 + (sample % n + 0.5) / n - y0
                # The ellipsoid's extent along x at this y and z: the roots of a quadratic in x.
                linear = (m_xy * dy + m_xz * dz) / m_xx
                rest = (1.0 - m_yy * dy * dy - 2.0 * m_yz * dy * dz - m_zz * dz * dz) / m_xx + linear * linear
                if rest <= 0.0:
                    continue
                root = math.sqrt(rest)
                start, stop = x0 - linear - root, x0 - linear + root
                low = max(0, math.floor(start + 0.5))
                high = min(n_x - 1, math.floor(stop + 0.5))
                for column in range(low, high + 1):
                    # The length of the chord within this voxel; rounding can make it a hair less than nothing.
                    covered = min(stop, column + 0.5) - max(start, column - 0.5)
                    plane[row, column] += weight * max(0.0, covered)
