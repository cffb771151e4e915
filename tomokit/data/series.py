"""A tilt series in memory: images, angles, shifts, mask and where they came from."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.errors import InputError
from tomokit.geometry import SpecimenFrame, TiltGeometry


@dataclass(frozen=True)
class TiltSeries:
    """Aligned projections of one specimen.

    Attributes
    ----------
    images : ndarray of float32, shape (n_views, n_y, n_x)
        The views ``[tilt, y, x]``, tilt axis along y through the centre. May be memory-mapped.
    geometry : TiltGeometry
        Angles in degrees and residual shifts in pixels, for the detector ``n_u = n_x``, ``n_v = n_y``.
    pixel_size_angstrom : float
        Edge of a pixel in ångström.
    mask : ndarray of float32 or None, shape (n_views, n_y, n_x)
        1 where a pixel is used, 0 where it carries no weight (beads, padding); None if all are used.
    source : Path or None
        The file that the images came from.
    provenance : dict
        What was done to the images so far, JSON-serializable.
    frame : SpecimenFrame
        How the level specimen lies against the tilt axis, in these pixels.

    Raises
    ------
    InputError
        If the shapes of images, geometry and mask disagree, or the pixel size is not positive.
    """

    images: NDArray[np.float32]
    geometry: TiltGeometry
    pixel_size_angstrom: float = 1.0
    mask: NDArray[np.float32] | None = None
    source: Path | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    frame: SpecimenFrame = field(default_factory=SpecimenFrame)

    def __post_init__(self) -> None:
        expected = (self.geometry.n_views, self.geometry.n_v, self.geometry.n_u)
        if self.images.shape != expected:
            raise InputError(
                f"images of shape {self.images.shape} for {expected[0]} angles on {expected[1]} x {expected[2]}",
                file=self.source,
                field="images",
            )
        if self.mask is not None and self.mask.shape != expected:
            raise InputError(f"mask of shape {self.mask.shape} for images of shape {expected}", field="mask")
        if not self.pixel_size_angstrom > 0:
            raise InputError(f"pixel size {self.pixel_size_angstrom} is not positive", file=self.source)

    @property
    def n_views(self) -> int:
        """Number of views of the series."""
        return self.geometry.n_views

    def select(self, views: ArrayLike) -> TiltSeries:
        """Select views: the series with only these, in this order.

        Parameters
        ----------
        views : array_like, shape (n_selected,) of int or (n_views,) of bool
            Indices of views from 0, or which to keep.

        Returns
        -------
        TiltSeries
            Its images and mask are copies.
        """
        index = np.asarray(views)
        return replace(
            self,
            images=self.images[index],
            geometry=self.geometry.select(index),
            mask=None if self.mask is None else self.mask[index],
        )


@dataclass(frozen=True)
class Volume:
    """A tomogram: densities on a grid, with the size of a voxel.

    Attributes
    ----------
    density : ndarray of float32, shape (n_z, n_y, n_x)
        Densities ``[z, y, x]``.
    voxel_size_angstrom : float
        Edge of a voxel in ångström.
    origin_angstrom : tuple of float
        Origin ``(x, y, z)`` in ångström, as in an MRC header.
    provenance : dict
        How the volume was made, JSON-serializable.

    Raises
    ------
    InputError
        If there are not three axes, or the voxel size is not positive.
    """

    density: NDArray[np.float32]
    voxel_size_angstrom: float = 1.0
    origin_angstrom: tuple[float, float, float] = (0.0, 0.0, 0.0)
    provenance: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.density.ndim != 3:
            raise InputError(f"a volume has three axes, not {self.density.ndim}", field="density")
        if not self.voxel_size_angstrom > 0:
            raise InputError(f"voxel size {self.voxel_size_angstrom} is not positive", field="voxel_size_angstrom")
