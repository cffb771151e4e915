"""How the specimen lies against the tilt axis: its rotation about x, and where in it the volume is centred."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError


@dataclass(frozen=True)
class SpecimenFrame:
    """The rotation from a level volume to the frame of the tilt axis, and the volume's centre.

    A point ``(x, y, z)`` of the level volume lies in the frame of the tilt axis, where
    :class:`~tomokit.geometry.tilt.TiltGeometry` holds, at

        x' = x,    y' = y cos(alpha) - z sin(alpha),    z' = y sin(alpha) + z cos(alpha)

    which is the rotation by XAXISTILT in IMOD's tilt (``flib/tilt/tilt.f90``, subroutine ``compose``).

    Attributes
    ----------
    x_tilt_deg : float
        The rotation ``alpha`` about x in degrees, sign of IMOD's XAXISTILT.
    centre_px : tuple of float
        Where the level volume has its centre, ``(x, y, z)`` in pixels from the tilt axis at the detector's middle.

    Raises
    ------
    InputError
        If a number is not finite, or the rotation is 90 degrees or more.
    """

    x_tilt_deg: float = 0.0
    centre_px: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def __post_init__(self) -> None:
        if not np.isfinite([self.x_tilt_deg, *self.centre_px]).all():
            raise InputError("a number is not finite", field="x_tilt_deg, centre_px")
        if not abs(self.x_tilt_deg) < 90:
            raise InputError(f"{self.x_tilt_deg:g} degrees about x leave no specimen to see", field="x_tilt_deg")

    @property
    def is_plain(self) -> bool:
        """Whether the level volume is that of the tilt axis: neither turned nor moved."""
        return self == SpecimenFrame()

    def scaled(self, factor: float) -> SpecimenFrame:
        """The same frame in other pixels.

        Parameters
        ----------
        factor : float
            What lengths are multiplied by: 0.5 for pixels that are twice as large.

        Returns
        -------
        SpecimenFrame
        """
        x, y, z = self.centre_px
        return replace(self, centre_px=(x * factor, y * factor, z * factor))

    def to_tilt_axis(self, points_xyz: ArrayLike) -> NDArray[np.float64]:
        """Take points of the level volume into the frame of the tilt axis.

        Parameters
        ----------
        points_xyz : array_like, shape (n_points, 3)
            Points ``(x, y, z)`` in pixels from the tilt axis at the detector's middle, level.

        Returns
        -------
        ndarray of float64, shape (n_points, 3)
            ``(x', y', z')`` in pixels.
        """
        x, y, z = np.atleast_2d(np.asarray(points_xyz, dtype=np.float64)).T
        cos, sin = np.cos(np.deg2rad(self.x_tilt_deg)), np.sin(np.deg2rad(self.x_tilt_deg))
        return np.stack([x, y * cos - z * sin, y * sin + z * cos], axis=1)
