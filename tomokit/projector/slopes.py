"""Derivatives of a view's line integrals by its shifts and its tilt: how a prediction changes as the view is moved.

The weight of a voxel column in a detector column is a difference of the footprint's integral ``G`` at the edges of the
pixel (:mod:`tomokit.projector.footprint`), ``w = G(e + 1/2) - G(e - 1/2)`` with ``e`` the pixel's position from the
voxel's centre ``p = x cos(theta) - z sin(theta) + du``. With the footprint ``g = G'``

    dw/du = g(e - 1/2) - g(e + 1/2),    dw/dtheta = -(x sin(theta) + z cos(theta)) dw/du + H(e + 1/2) - H(e - 1/2)

where ``H`` is the change of ``G`` as the footprint itself changes. It is the convolution of boxes of widths
``c = |cos|`` and ``s = |sin|``; by the width of one of them, seen through the other of width ``w``, its integral
changes by ``-(b^2 - a^2) / (2 w c^2)`` with ``[a, b]`` what is common to ``[-c/2, c/2]`` and ``[d - w/2, d + w/2]``.
Along y a view shares each row between two, linearly in ``dv`` (:mod:`tomokit.projector.along_axis`).
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from tomokit.geometry import TiltGeometry
from tomokit.kernels.decorator import compiled
from tomokit.kernels.shared import Share, items_of, shared_out
from tomokit.projector.along_axis import shift_row_slopes, shift_rows
from tomokit.projector.footprint import MAX_TAPS

_ROWS_PER_ITEM = 128
_LEAST_WIDTH = 1e-9
"""A box that is narrower than this is none, and no change of its width is seen."""

Stack = NDArray[np.floating]


class Slopes(NamedTuple):
    """Line integrals of a volume and their derivatives, each ``[tilt, u, y]`` of shape (n_views, n_u, n_v).

    Attributes
    ----------
    views : ndarray
        Line integrals in pixels times density.
    by_shift_u, by_shift_v : ndarray
        Per pixel of the view's shift across and along the tilt axis.
    by_tilt : ndarray
        Per radian of its tilt.
    """

    views: Stack
    by_shift_u: Stack
    by_shift_v: Stack
    by_tilt: Stack


def project_with_slopes(volume: NDArray[np.floating], geometry: TiltGeometry) -> Slopes:
    """Project a volume of voxels of one pixel, and tell how each view changes with its shifts and its tilt.

    Parameters
    ----------
    volume : ndarray of float32 or float64, shape (n_x, n_z, n_y)
        Density ``[x, z, y]``.
    geometry : TiltGeometry
        Views and detector.

    Returns
    -------
    Slopes
        In the precision of the volume. Where a shift along y is a whole number of pixels, at which the linear sharing
        of rows has a kink, its derivative is the mean of those on both sides.
    """
    n_y = volume.shape[2]
    stacks = np.zeros((3, geometry.n_views, geometry.n_u, n_y), volume.dtype)
    n_slabs = max(1, n_y // _ROWS_PER_ITEM)
    _project(np.ascontiguousarray(volume), geometry.tilt_rad, geometry.shift_u_px, stacks, n_slabs)
    dv, n_v = geometry.shift_v_px, geometry.n_v
    by_shift_v = shift_row_slopes(stacks[0], dv, n_v)
    views, by_shift_u, by_tilt = (stack if n_v == n_y and not dv.any() else shift_rows(stack, dv, n_v)
                                  for stack in stacks)  # fmt: skip
    return Slopes(views, by_shift_u, by_shift_v, by_tilt)


@compiled(inlined=True)
def _integral(d: float, c: float, s: float) -> float:
    """``G(d)``, from the footprint's centre."""
    distance = abs(d)
    top, ramp = abs(c - s) / 2, min(c, s)
    q = min(max(distance - top, 0.0), ramp)
    g = min(distance, top) + (q - q * q / (2 * ramp) if ramp > _LEAST_WIDTH else 0.0)
    return math.copysign(g / max(c, s), d)


@compiled(inlined=True)
def _height(d: float, c: float, s: float) -> float:
    """``g(d)``: the trapezoid."""
    ramp, beyond = min(c, s), abs(d) - abs(c - s) / 2
    if ramp <= _LEAST_WIDTH:
        return (1.0 if beyond < 0 else 0.5 if beyond == 0 else 0.0) / max(c, s)
    return min(max(1.0 - beyond / ramp, 0.0), 1.0) / max(c, s)


@compiled(inlined=True)
def _by_width(d: float, width: float, other: float) -> float:
    """Change of ``G(d)`` by the width of one of its two boxes."""
    if width <= _LEAST_WIDTH:
        return 0.0
    if other <= _LEAST_WIDTH:
        return -d / (width * width) if abs(d) < width / 2 else 0.0
    low, high = max(d - other / 2, -width / 2), min(d + other / 2, width / 2)
    return -(high - low) / other * (high + low) / (2 * width * width) if high > low else 0.0


@shared_out()
def _project(
    share: Share,
    volume: NDArray[np.floating],
    theta: NDArray[np.float64],
    du: NDArray[np.float64],
    stacks: NDArray[np.floating],
    n_slabs: int,
) -> None:
    """Add to ``stacks[0]`` the line integrals of a volume, to ``[1]`` and ``[2]`` their slopes by shift and tilt."""
    n_x, n_z, n_y = volume.shape
    n_views, n_u = stacks.shape[1], stacks.shape[2]
    # An item is a view over a range of y: no other item writes into its rows.
    for item in items_of(share, n_views * n_slabs):
        t, slab = item // n_slabs, item % n_slabs
        y0, y1 = n_y * slab // n_slabs, n_y * (slab + 1) // n_slabs
        cos, sin = math.cos(theta[t]), math.sin(theta[t])
        c, s = abs(cos), abs(sin)
        # Of the widths by the tilt: d|cos| and d|sin|.
        c_slope = -sin if cos >= 0 else sin
        s_slope = cos if sin >= 0 else -cos
        half_width = (1.0 + c + s) / 2
        for i in range(n_x):
            for k in range(n_z):
                x, z = i - (n_x - 1) / 2, k - (n_z - 1) / 2
                at = x * cos - z * sin + du[t] + (n_u - 1) / 2
                moved = -x * sin - z * cos
                first = math.floor(at - half_width) + 1
                for tap in range(MAX_TAPS):
                    u = first + tap
                    if u < 0 or u >= n_u:
                        continue
                    low, high = u - at - 0.5, u - at + 0.5
                    weight = volume.dtype.type(_integral(high, c, s) - _integral(low, c, s))
                    by_shift = _height(low, c, s) - _height(high, c, s)
                    by_tilt = moved * by_shift
                    by_tilt += c_slope * (_by_width(high, c, s) - _by_width(low, c, s))
                    by_tilt += s_slope * (_by_width(high, s, c) - _by_width(low, s, c))
                    shift_weight, tilt_weight = volume.dtype.type(by_shift), volume.dtype.type(by_tilt)
                    for y in range(y0, y1):
                        value = volume[i, k, y]
                        stacks[0, t, u, y] += weight * value
                        stacks[1, t, u, y] += shift_weight * value
                        stacks[2, t, u, y] += tilt_weight * value
