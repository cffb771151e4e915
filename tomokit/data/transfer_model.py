"""Contrast transfer as a part of the prediction: a symmetric operator that acts on the line integrals of each view.

A view is continued by reflection, so that its cosine transform (DCT-II) diagonalizes a filter that is even in both
frequencies: the filter is then exactly its own transpose, and nowhere larger than the transfer function. Where the
defocus changes across the tilt axis, ``F_k`` is the filter of a strip's middle and ``w_k`` the share of that strip in
each column, linear between the middles; what acts is the mean of ``sum w_k F_k`` and its transpose, symmetric too.

The mean of a view passes as it is (:mod:`tomokit.data.fourier_filter` keeps it likewise). Of astigmatism the part along
x and y is exact; the part along the diagonals has no place among cosines and is left out
(:func:`largest_oblique_phase`).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.data.ctf import transfer_phase
from tomokit.data.phase_flipping import ViewOptics, strip_bounds

Images = NDArray[np.floating]


@dataclass(frozen=True)
class TransferModel:
    """Contrast transfer of the views of a problem.

    Attributes
    ----------
    views : tuple of ViewOptics
        Defocus of each view.
    pixel_size_angstrom : float
        Edge of a pixel in ångström.
    axis_px : tuple of float
        Where the tilt axis lies in each view along u, in pixels from the centre.
    from_first_peak : bool
        Whether frequencies below the first peak of the transfer function pass as they are, but for their sign.
    """

    views: tuple[ViewOptics, ...]
    pixel_size_angstrom: float
    axis_px: tuple[float, ...]
    from_first_peak: bool = False

    def select(self, views: ArrayLike) -> TransferModel:
        """Take some of the views.

        Parameters
        ----------
        views : array_like of int, shape (n_selected,)
            Their indices from 0.

        Returns
        -------
        TransferModel
        """
        chosen = [int(view) for view in np.asarray(views, np.intp)]
        return replace(self, views=tuple(self.views[i] for i in chosen), axis_px=tuple(self.axis_px[i] for i in chosen))

    def binned(self, factor: int, centre_offset_px: float) -> TransferModel:
        """Give the same for larger pixels.

        Parameters
        ----------
        factor : int
            Old pixels to a new one.
        centre_offset_px : float
            The old centre from the new one along u, in old pixels.

        Returns
        -------
        TransferModel
        """
        return replace(
            self,
            pixel_size_angstrom=self.pixel_size_angstrom * factor,
            axis_px=tuple((axis + centre_offset_px) / factor for axis in self.axis_px),
        )

    def apply(self, images: Images, views: Iterable[int]) -> None:
        """Filter some views in place; the same operator is its transpose.

        Parameters
        ----------
        images : ndarray, shape (n_chosen, n_u, n_y)
            Line integrals or residuals of these views; overwritten.
        views : iterable of int, n_chosen long
            Index of each of these views.
        """
        from numba import get_num_threads

        workers = get_num_threads()
        for image, view in zip(images, views, strict=True):
            image[...] = self._filtered(image, int(view), workers)

    def _filtered(self, image: Images, view: int, workers: int) -> Images:
        from scipy import fft

        def forward(values: Images) -> Images:
            return np.asarray(fft.dctn(values, type=2, norm="ortho", workers=workers))

        def back(spectrum: Images) -> Images:
            return np.asarray(fft.idctn(spectrum, type=2, norm="ortho", workers=workers))

        n_u = image.shape[0]
        bounds = strip_bounds(n_u, self.pixel_size_angstrom, self.views[view])
        middles = np.array([(first + stop - 1) / 2 for first, stop in bounds])
        spectrum = forward(image)
        if len(bounds) == 1:
            return back(spectrum * self._factors(image, view, float(middles[0])))
        there = np.zeros_like(image)
        of_shares = np.zeros_like(spectrum)
        for number, middle in enumerate(middles):
            # Columns far from a strip have no part of it; the shares of a column add up to one.
            share = np.interp(np.arange(n_u), middles, np.eye(len(middles))[number]).astype(image.dtype)[:, None]
            factors = self._factors(image, view, float(middle))
            there += share * back(spectrum * factors)
            of_shares += factors * forward(share * image)
        there += back(of_shares)
        there *= image.dtype.type(0.5)
        return there

    def _factors(self, image: Images, view: int, middle_px: float) -> Images:
        """The transfer function of a column's defocus at the frequencies of the cosines ``[u, y]``."""
        n_u, n_y = image.shape
        axis = (n_u - 1) / 2 + self.axis_px[view]
        optics = self.views[view]
        first, second, angle = optics.defocus_at((middle_px - axis) * self.pixel_size_angstrom)
        # Only what is even in both frequencies: the part of astigmatism along x and y.
        mean, half = (first + second) / 2, (first - second) / 2 * math.cos(2 * math.radians(angle))
        k_x = np.arange(n_u)[:, None] / (2 * n_u * self.pixel_size_angstrom)
        k_y = np.arange(n_y)[None, :] / (2 * n_y * self.pixel_size_angstrom)
        phase = transfer_phase(k_x, k_y, (mean + half, mean - half, 0.0), optics.optics, optics.phase_shift_deg)
        factors = np.sin(phase)
        if self.from_first_peak:
            factors = np.where(np.abs(phase) < math.pi / 2, np.sign(factors), factors)
        factors[0, 0] = 1.0
        return factors.astype(image.dtype)


def largest_oblique_phase(model: TransferModel) -> float:
    """Compute the phase by which the astigmatism that is left out errs at most, at Nyquist's frequency.

    Parameters
    ----------
    model : TransferModel

    Returns
    -------
    float
        Radians.
    """
    nyquist = 0.5 / model.pixel_size_angstrom
    worst = 0.0
    for view in model.views:
        first, second, angle = view.defocus_um
        oblique = abs((first - second) / 2 * math.sin(2 * math.radians(angle))) * 1e4
        worst = max(worst, math.pi * view.optics.wavelength_angstrom * oblique * nyquist**2)
    return worst
