"""Rotation about x that varies from view to view, as far as single-axis views can express it.

With the rotation ``alpha + delta`` in one view, a point ``(x, y', z')`` of the frame of ``alpha`` appears at

    u = x cos(theta) - (y' sin(delta) + z' cos(delta)) sin(theta),    v = y' cos(delta) - z' sin(delta)

(IMOD's ``flib/tilt/tilt.f90``, subroutine ``project``, by angle addition). Then

    u + v tan(delta) sin(theta) = x cos(theta) - z' sin(theta) / cos(delta),    v / cos(delta) = y' - z' tan(delta)

so a linear transform of the image, and another tilt angle, leave nothing along u and ``z' tan(delta)`` along v. That
remainder no single-axis view has; it is told in pixels at the faces of the volume.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FoldedXTilt:
    """What views are given for the part of their x-axis tilt that is not the same in all of them.

    Attributes
    ----------
    image_matrix : ndarray of float64, shape (n_views, 2, 2)
        What aligned points ``(u, v)`` of each view are multiplied by; exactly the identity where nothing varies.
    tilt_deg : ndarray of float64, shape (n_views,)
        Tilt angles that go with the transformed images.
    remainder_slope : float
        Largest ``|tan(delta)|``: the error along v, in pixels per pixel of height above the tilt axis.
    """

    image_matrix: Array
    tilt_deg: Array
    remainder_slope: float


def fold_x_tilt(tilt_deg: Array, varying_deg: Array) -> FoldedXTilt:
    """Fold the variation of x-axis tilts into image transforms and tilt angles.

    Parameters
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Tilt angle of each view in degrees, every offset included.
    varying_deg : ndarray of float64, shape (n_views,)
        ``delta``: x-axis tilt of each view in degrees, without the constant part.

    Returns
    -------
    FoldedXTilt
    """
    matrix = np.tile(np.eye(2), (tilt_deg.size, 1, 1))
    if not varying_deg.any():
        return FoldedXTilt(matrix, tilt_deg, 0.0)
    delta, theta = np.deg2rad(varying_deg), np.deg2rad(tilt_deg)
    # x cos(theta) - z sin(theta) / cos(delta) is `stretch` times the u of another tilt angle.
    along_x, along_z = np.cos(theta), np.sin(theta) / np.cos(delta)
    stretch = np.hypot(along_x, along_z)
    matrix[:, 0, 0] = 1 / stretch
    matrix[:, 0, 1] = np.tan(delta) * np.sin(theta) / stretch
    matrix[:, 1, 1] = 1 / np.cos(delta)
    return FoldedXTilt(matrix, np.rad2deg(np.arctan2(along_z, along_x)), float(np.abs(np.tan(delta)).max()))
