"""The alignment of a tilt series: how raw images become views of the geometry, and how the specimen lies in them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.geometry.frame import SpecimenFrame


@dataclass(frozen=True)
class Alignment:
    """How the raw images of a tilt series become aligned views, tilt axis vertical, and how the specimen lies in them.

    Every field is in one convention, whatever program wrote it; readers of alignment files translate.

    Attributes
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Tilt angle of each view in degrees, refined if the program refined it, sign as in IMOD; without
        `tilt_offset_deg`.
    transform : ndarray of float64, shape (n_views, 6)
        ``A11 A12 A21 A22 DX DY`` of each view: a raw point ``p``, in pixels from the centre ``(n - 1) / 2`` of its
        image, comes to lie at ``A p + (DX, DY)`` from the centre of the aligned one. DX and DY in raw pixels.
        Rotation to the vertical axis, shift and magnification are all in it.
    x_tilt_deg : ndarray of float64, shape (n_views,)
        Rotation of the specimen about the x axis in each view in degrees, sign of IMOD's XAXISTILT; mostly the same
        in all of them.
    tilt_offset_deg : float
        Degrees that are added to every tilt angle, to level the specimen: IMOD's OFFSET, a pretilt.
    shift_x_px, shift_z_px : float
        IMOD's SHIFT: how far the reconstructed volume is moved along x and z, in aligned pixels.
    raw_shape, aligned_shape : tuple of int or None
        ``(n_y, n_x)`` of the images in pixels before and after, where the files say it.
    used : ndarray of bool, shape (n_views,)
        Views that the alignment keeps.
    files : tuple of Path
        Files that it was read from, the one that names it first; empty if it was made in memory.

    Raises
    ------
    InputError
        If the arrays are not of one number of views, or a value is not finite.
    """

    tilt_deg: NDArray[np.float64]
    transform: NDArray[np.float64]
    x_tilt_deg: NDArray[np.float64]
    used: NDArray[np.bool_]
    tilt_offset_deg: float = 0.0
    shift_x_px: float = 0.0
    shift_z_px: float = 0.0
    raw_shape: tuple[int, int] | None = None
    aligned_shape: tuple[int, int] | None = None
    files: tuple[Path, ...] = ()

    def __post_init__(self) -> None:
        n_views = self.tilt_deg.size
        shapes = {"tilt_deg": (n_views,), "transform": (n_views, 6), "x_tilt_deg": (n_views,), "used": (n_views,)}
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values.shape != shape:
                raise InputError(f"an array of shape {values.shape} for {n_views} views", field=name)
            if not np.isfinite(values).all():
                raise InputError("a value is not a finite number", field=name)

    @property
    def n_views(self) -> int:
        """Number of views, used or not."""
        return int(self.tilt_deg.size)

    @property
    def frame(self) -> SpecimenFrame:
        """How the specimen lies: the mean x-axis tilt of the views that are kept, and the volume moved by SHIFT."""
        x_tilt = self.x_tilt_deg[self.used]
        # The mean of equal numbers may differ from them in its last bit.
        constant = 0.0 if not x_tilt.size else float(x_tilt.mean() if np.ptp(x_tilt) else x_tilt[0])
        # What is moved to larger x has its centre at smaller.
        return SpecimenFrame(constant, (0.0 - self.shift_x_px, 0.0, 0.0 - self.shift_z_px))
