"""The single-axis tilt geometry: the one place where the conventions are written as code.

The centre of pixel ``i`` on an axis of ``n`` pixels lies at ``i - (n - 1) / 2``. The tilt axis is y
and passes through the origin; the beam runs along z. A point ``(x, y, z)`` appears in view ``t`` at

    u = x cos(theta) - z sin(theta) + du,    v = y + dv

which is IMOD's untilted case (``flib/tilt/tilt.f90``): positive z moves to negative x at positive tilt.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError

ORIENTATION = "z rows as of IMOD's tilt; trimvol -rx, RELION, Warp: z flipped"
"""How rows along z of a volume ``[z, y, x]`` run: in the order of IMOD's tilt equation (``docs/conventions.md``)."""


def centre(n: int) -> float:
    """Index of the centre of an axis of `n` pixels, ``(n - 1) / 2``.

    Parameters
    ----------
    n : int
        Pixels of the axis.

    Returns
    -------
    float
        Between two pixels if `n` is even.
    """
    return (n - 1) / 2


@dataclass(frozen=True)
class TiltGeometry:
    """Angles, shifts and detector of a single-axis tilt series: where a point appears in each view.

    Attributes
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Tilt angle of each view in degrees, its sign as in IMOD.
    n_u : int
        Detector columns (x), across the tilt axis.
    n_v : int
        Detector rows (y), along the tilt axis.
    shift_u_px, shift_v_px : ndarray of float64, shape (n_views,)
        Residual shift ``du``, ``dv`` of each view in detector pixels; zeros if not given.

    Raises
    ------
    InputError
        If an array has the wrong length or an angle or shift is not finite.
    """

    tilt_deg: NDArray[np.float64]
    n_u: int
    n_v: int
    shift_u_px: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    shift_v_px: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        # The class is frozen, and yet takes lists and single angles.
        tilt = np.atleast_1d(np.asarray(self.tilt_deg, dtype=np.float64))
        object.__setattr__(self, "tilt_deg", tilt)
        for name in ("shift_u_px", "shift_v_px"):
            shift = np.asarray(getattr(self, name), dtype=np.float64)
            if shift.size == 0:
                shift = np.zeros(tilt.size)
            if shift.shape != tilt.shape:
                raise InputError(f"{shift.size} shifts for {tilt.size} views", field=name)
            if not np.isfinite(shift).all():
                raise InputError("a shift is not a finite number", field=name)
            object.__setattr__(self, name, shift)
        if not np.isfinite(tilt).all():
            raise InputError("an angle is not a finite number", field="tilt_deg")
        if self.n_u < 1 or self.n_v < 1:
            raise InputError(f"detector of {self.n_u} x {self.n_v} pixels", field="n_u, n_v")

    @property
    def n_views(self) -> int:
        """Number of views of the series."""
        return int(self.tilt_deg.size)

    @property
    def tilt_rad(self) -> NDArray[np.float64]:
        """Tilt angles in radians, shape (n_views,)."""
        return np.deg2rad(self.tilt_deg)

    @property
    def kappa(self) -> float:
        """Projection units per line integral in pixels: one over the detector's width, the same for every view."""
        return 1.0 / self.n_u

    def select(self, views: ArrayLike) -> TiltGeometry:
        """Select views: the same detector with only their angles and shifts.

        Parameters
        ----------
        views : array_like, shape (n_selected,) of int or (n_views,) of bool
            Indices of views from 0, or which to keep.

        Returns
        -------
        TiltGeometry
            Views in the order of the indices.
        """
        index = np.atleast_1d(np.asarray(views))
        return replace(
            self,
            tilt_deg=self.tilt_deg[index],
            shift_u_px=self.shift_u_px[index],
            shift_v_px=self.shift_v_px[index],
        )

    def locate(self, points_xyz: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Project points: their detector positions in every view.

        Parameters
        ----------
        points_xyz : array_like, shape (n_points, 3)
            Points ``(x, y, z)`` in detector pixels from the origin.

        Returns
        -------
        u, v : ndarray of float64, shape (n_views, n_points)
            Positions in detector pixels from the detector's centre, `u` across the tilt axis, `v` along it.
        """
        x, y, z = np.atleast_2d(np.asarray(points_xyz, dtype=np.float64)).T
        # Views run along the first axis, points along the second.
        cos, sin = np.cos(self.tilt_rad)[:, None], np.sin(self.tilt_rad)[:, None]
        u = x * cos - z * sin + self.shift_u_px[:, None]
        # The zeros spread y, which is the same in every view, over all of them.
        v = y + self.shift_v_px[:, None] + np.zeros_like(u)
        return u, v
