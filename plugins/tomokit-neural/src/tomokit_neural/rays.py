"""Rays of a tilt series through a slab, in tomokit's convention.

A point appears at ``u = x cos - z sin + du``, ``v = y + dv`` (in pixels from the detector's centre), so the ray of a
pixel is ``x = u' cos + s sin``, ``z = -u' sin + s cos``, ``y = v - dv`` with ``u' = u - du``, s along the beam.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry, centre


@dataclass(frozen=True)
class Box:
    """The region that is reconstructed, a box about the origin.

    Attributes
    ----------
    half_x, half_z, half_y : float
        Half of its extent along each axis, in pixels.
    """

    half_x: float
    half_z: float
    half_y: float


@dataclass(frozen=True)
class Rays:
    """A batch of rays, each cut to a box.

    Attributes
    ----------
    view : ndarray of int64, shape (n,)
        View that each ray is of.
    offset : ndarray of float32, shape (n,)
        Its distance u' from the tilt axis, in pixels.
    y : ndarray of float32, shape (n,)
        Its coordinate along the tilt axis, in pixels.
    cos, sin : ndarray of float32, shape (n,)
        Cosine and sine of its view's tilt angle.
    near, far : ndarray of float32, shape (n,)
        s in pixels where it enters and leaves the box; both 0 for a ray that misses it.
    """

    view: NDArray[np.int64]
    offset: NDArray[np.float32]
    y: NDArray[np.float32]
    cos: NDArray[np.float32]
    sin: NDArray[np.float32]
    near: NDArray[np.float32]
    far: NDArray[np.float32]

    @property
    def length(self) -> NDArray[np.float32]:
        """Path inside the box in pixels, shape (n,)."""
        return self.far - self.near


def make_rays(
    geometry: TiltGeometry, box: Box, view: NDArray[np.int64], u: NDArray[np.int64], v: NDArray[np.int64]
) -> Rays:
    """Make the rays through the centres of pixels.

    Parameters
    ----------
    geometry : TiltGeometry
    box : Box
        What the rays are cut to along x and z; along y they are not cut.
    view, u, v : ndarray of int64, shape (n,)
        View, column and row of each pixel.

    Returns
    -------
    Rays
        In the order of the pixels.
    """
    angle = geometry.tilt_rad[view]
    cos, sin = np.cos(angle), np.sin(angle)
    offset = u - centre(geometry.n_u) - geometry.shift_u_px[view]
    y = v - centre(geometry.n_v) - geometry.shift_v_px[view]
    # |x0 + s sin| <= half_x and |z0 + s cos| <= half_z; a direction of zero is no bound, or an impossible one.
    near, far = np.full(len(u), -np.inf), np.full(len(u), np.inf)
    for start, slope, half in ((offset * cos, sin, box.half_x), (-offset * sin, cos, box.half_z)):
        with np.errstate(divide="ignore", invalid="ignore"):
            at_lower, at_upper = (-half - start) / slope, (half - start) / slope
        parallel = np.abs(slope) < 1e-9
        outside = parallel & (np.abs(start) > half)
        low = np.where(parallel, np.where(outside, np.inf, -np.inf), np.minimum(at_lower, at_upper))
        high = np.where(parallel, np.where(outside, -np.inf, np.inf), np.maximum(at_lower, at_upper))
        near, far = np.maximum(near, low), np.minimum(far, high)
    hit = far > near
    near, far = np.where(hit, near, 0.0), np.where(hit, far, 0.0)
    return Rays(view, *(array.astype(np.float32) for array in (offset, y, cos, sin, near, far)))


def used_pixels(problem: Problem) -> NDArray[np.int64]:
    """Find the pixels that carry weight.

    Parameters
    ----------
    problem : Problem

    Returns
    -------
    ndarray of int64, shape (n_used,)
        Their flat indices ``(view * n_u + u) * n_y + v``, ascending.
    """
    if problem.mask is None:
        return np.arange(problem.projections.size)
    return np.flatnonzero(problem.mask.reshape(-1) > 0)
