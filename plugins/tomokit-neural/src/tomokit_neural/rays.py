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
    """The region that is reconstructed: half extents along x, z and y in pixels, about the origin."""

    half_x: float
    half_z: float
    half_y: float


@dataclass(frozen=True)
class Rays:
    """Some rays, cut to a box.

    Attributes
    ----------
    view : ndarray of int64, shape (n,)
    offset : ndarray of float32, shape (n,)
        u' of each.
    y : ndarray of float32, shape (n,)
    cos, sin : ndarray of float32, shape (n,)
    near, far : ndarray of float32, shape (n,)
        s where it enters and leaves the box; equal if it misses it.
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


def make_rays(geometry: TiltGeometry, box: Box, view: NDArray, u: NDArray, v: NDArray) -> Rays:
    """The rays of pixels.

    Parameters
    ----------
    geometry : TiltGeometry
    box : Box
    view, u, v : ndarray of int64, shape (n,)
        View, column and row of each pixel.
    """
    angle = geometry.tilt_rad[view]
    cos, sin = np.cos(angle), np.sin(angle)
    offset = u - centre(geometry.n_u) - geometry.shift_u_px[view]
    y = v - centre(geometry.n_v) - geometry.shift_v_px[view]
    # |x0 + s sin| <= half_x and |z0 + s cos| <= half_z; a direction of zero is no bound, or an impossible one.
    near, far = np.full(len(u), -np.inf), np.full(len(u), np.inf)
    for start, slope, half in ((offset * cos, sin, box.half_x), (-offset * sin, cos, box.half_z)):
        with np.errstate(divide="ignore", invalid="ignore"):
            one, other = (-half - start) / slope, (half - start) / slope
        parallel = np.abs(slope) < 1e-9
        outside = parallel & (np.abs(start) > half)
        low = np.where(parallel, np.where(outside, np.inf, -np.inf), np.minimum(one, other))
        high = np.where(parallel, np.where(outside, -np.inf, np.inf), np.maximum(one, other))
        near, far = np.maximum(near, low), np.minimum(far, high)
    hit = far > near
    near, far = np.where(hit, near, 0.0), np.where(hit, far, 0.0)
    return Rays(view, *(array.astype(np.float32) for array in (offset, y, cos, sin, near, far)))


def used_pixels(problem: Problem) -> NDArray[np.int64]:
    """Flat indices ``(view * n_u + u) * n_y + v`` of the pixels that carry weight."""
    if problem.mask is None:
        return np.arange(problem.projections.size)
    return np.flatnonzero(problem.mask.reshape(-1) > 0)
