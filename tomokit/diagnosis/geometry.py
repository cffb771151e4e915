"""The geometry that is on trial: angles and transforms of raw views, and what may be changed in them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_IDENTITY = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])


@dataclass(frozen=True)
class Geometry:
    """Tilt angles, and the transforms from raw images to aligned ones.

    Attributes
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees, sign as in IMOD.
    transform : ndarray of float64, shape (n_views, 6)
        ``A11 A12 A21 A22 DX DY`` of each view, shifts in raw pixels; the identity for a stack that is aligned.
    """

    tilt_deg: Floats
    transform: Floats

    @classmethod
    def aligned(cls, tilt_deg: Floats) -> Geometry:
        """Make the geometry of a stack that is aligned.

        Parameters
        ----------
        tilt_deg : ndarray of float64, shape (n_views,)
            Degrees.

        Returns
        -------
        Geometry
        """
        return cls(tilt_deg, np.tile(_IDENTITY, (tilt_deg.size, 1)))

    @property
    def shifts_px(self) -> Floats:
        """Shifts ``(DX, DY)`` of the views in raw pixels, shape (n_views, 2)."""
        return self.transform[:, 4:]

    def with_angles(self, tilt_deg: Floats) -> Geometry:
        """The same transforms with other angles.

        Parameters
        ----------
        tilt_deg : ndarray of float64, shape (n_views,)
            Degrees.

        Returns
        -------
        Geometry
        """
        return replace(self, tilt_deg=np.asarray(tilt_deg, dtype=np.float64))

    def turned(self, angle_deg: float) -> Geometry:
        """All aligned views turned by one more angle about their centre.

        Parameters
        ----------
        angle_deg : float
            Degrees, from x to y.

        Returns
        -------
        Geometry
        """
        cos, sin = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
        turn = np.array([[cos, -sin], [sin, cos]])
        linear = turn @ self.transform[:, :4].reshape(-1, 2, 2)
        shifts = self.shifts_px @ turn.T
        return replace(self, transform=np.concatenate([linear.reshape(-1, 4), shifts], axis=1))

    def with_shifts_scaled(self, factor: float) -> Geometry:
        """The same geometry with shifts that were given in other pixels.

        Parameters
        ----------
        factor : float
            What the shifts are multiplied by.

        Returns
        -------
        Geometry
        """
        return replace(self, transform=np.concatenate([self.transform[:, :4], self.shifts_px * factor], axis=1))

    def moved(self, view: int, shift_px: Floats) -> Geometry:
        """One aligned view moved.

        Parameters
        ----------
        view : int
            From 0.
        shift_px : ndarray of float64, shape (2,)
            ``(x, y)`` in raw pixels.

        Returns
        -------
        Geometry
        """
        transform = self.transform.copy()
        transform[view, 4:] += shift_px
        return replace(self, transform=transform)
