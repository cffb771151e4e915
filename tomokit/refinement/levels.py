"""Views at one level of resolution, as they are corrected so far: what a round of refinement works on."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.data.problem import Problem
from tomokit.geometry import TiltGeometry
from tomokit.io.binning import bin_series
from tomokit.io.transforms import align_images
from tomokit.refinement.corrections import Corrections

Stack = NDArray[np.float32]
_SPLINE_ORDER = 3
"""Of views that are turned at every round, from the views as they were given."""


@dataclass(frozen=True)
class Level:
    """Views at one level of resolution, as they were given.

    Attributes
    ----------
    views : ndarray of float32, shape (n_views, n_u, n_y)
        Projections, fitted and held out, in the order of the stack.
    mask : ndarray of float32 or None, same shape
        Weights.
    geometry : TiltGeometry
        As given, in pixels of this level.
    fitted : ndarray of bool, shape (n_views,)
        Views that may feed a field.
    thickness_px : int
        Of the field.
    binning : float
        Edge of a pixel in those of the images that were given.
    fit_offsets : bool
        Whether the offset of each view is solved for.
    """

    views: Stack
    mask: Stack | None
    geometry: TiltGeometry
    fitted: NDArray[np.bool_]
    thickness_px: int
    binning: float
    fit_offsets: bool

    def binned(self, factor: int) -> Level:
        """Average squares of pixels.

        Parameters
        ----------
        factor : int
            Their edge.

        Returns
        -------
        Level
        """
        if factor == 1:
            return self
        images = np.ascontiguousarray(self.views.transpose(0, 2, 1))
        mask = None if self.mask is None else np.ascontiguousarray(self.mask.transpose(0, 2, 1))
        small = bin_series(TiltSeries(images, self.geometry, mask=mask), factor)
        return replace(
            self,
            views=np.ascontiguousarray(small.images.transpose(0, 2, 1)),
            mask=None if small.mask is None else np.ascontiguousarray(small.mask.transpose(0, 2, 1)),
            geometry=small.geometry,
            thickness_px=max(1, -(-self.thickness_px // factor)),
            binning=self.binning * factor,
        )

    def corrected(self, corrections: Corrections) -> Level:
        """Correct the views: shifts and tilts in the geometry, rotation and magnification by resampling.

        Parameters
        ----------
        corrections : Corrections
            Of these views.

        Returns
        -------
        Level
        """
        given = self.geometry
        geometry = replace(
            given,
            tilt_deg=given.tilt_deg + corrections.tilt_deg,
            shift_u_px=given.shift_u_px + corrections.shift_u_px / self.binning,
        )
        if not (corrections.resamples or corrections.shift_v_px.any()):
            return replace(self, geometry=geometry)
        transforms = corrections.transforms()
        transforms[:, 4] = 0
        transforms[:, 5] /= self.binning
        images, inside = align_images(self.views.transpose(0, 2, 1), transforms, order=_SPLINE_ORDER)
        if self.mask is not None:
            moved, _ = align_images(self.mask.transpose(0, 2, 1), transforms, order=1)
            inside *= moved
        mask = np.ascontiguousarray(inside.transpose(0, 2, 1))
        return replace(self, views=np.ascontiguousarray(images.transpose(0, 2, 1)), mask=mask, geometry=geometry)

    def problem(self, views: NDArray[np.bool_]) -> Problem:
        """Make the problem of a field that is fitted to some of the views.

        Parameters
        ----------
        views : ndarray of bool, shape (n_views,)

        Returns
        -------
        Problem
        """
        return Problem(
            projections=self.views[views],
            mask=None if self.mask is None else self.mask[views],
            geometry=self.geometry.select(views),
            thickness_px=self.thickness_px,
            fit_offsets=self.fit_offsets,
        )
