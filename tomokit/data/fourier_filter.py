"""A view multiplied by a real function of frequency: masked pixels filled before, edges continued by reflection."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Transfer = Callable[[NDArray[np.float64], NDArray[np.float64]], NDArray[np.float64]]
"""Takes frequencies along x, shape (1, n), and y, shape (n, 1), in cycles per ångström; gives real factors (n, n)."""


def frequency_grid(
    shape: tuple[int, ...], pixel_size_angstrom: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Make the frequencies of a real Fourier transform of an image, as :func:`scipy.fft.rfft2` orders them.

    Parameters
    ----------
    shape : (int, int)
        Rows and columns of the image.
    pixel_size_angstrom : float
        Edge of a pixel in ångström.

    Returns
    -------
    k_x : ndarray of float64, shape (1, n_x // 2 + 1)
        Frequencies along x in cycles per ångström.
    k_y : ndarray of float64, shape (n_y, 1)
        Frequencies along y, likewise.
    """
    n_y, n_x = shape
    k_x = np.asarray(np.fft.rfftfreq(n_x, pixel_size_angstrom), np.float64)
    k_y = np.asarray(np.fft.fftfreq(n_y, pixel_size_angstrom), np.float64)
    return k_x[None, :], k_y[:, None]


def filter_columns(
    image: NDArray[np.float32],
    transfer: Transfer,
    pixel_size_angstrom: float,
    *,
    margin_px: int,
    columns: tuple[int, int] | None = None,
    workers: int = 1,
) -> NDArray[np.float32]:
    """Filter some columns of an image, whose surroundings on both sides take part.

    The mean is kept whatever the transfer at zero frequency is.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
        Finite pixels; those that are masked have been filled (:func:`tomokit.data.masked_fill.fill_from_around`).
    transfer : callable
        The filter, as :data:`Transfer`.
    pixel_size_angstrom : float
        Edge of a pixel in ångström.
    margin_px : int
        Pixels on every side that take part: as far as the filter reaches. Beyond the image they are its reflection.
    columns : (int, int), optional
        The first, and the one after the last; default: all.
    workers : int
        Threads of the Fourier transforms; the result does not depend on them.

    Returns
    -------
    ndarray of float32, shape (n_y, last - first)
    """
    from scipy import fft

    first, stop = (0, image.shape[1]) if columns is None else columns
    around = image.take(_reflected(first, stop, image.shape[1], margin_px), axis=1)
    around = around.take(_reflected(0, image.shape[0], image.shape[0], margin_px), axis=0)
    # Without the mean, single precision is left for the contrast.
    mean = around.mean(dtype=np.float64)
    around -= np.float32(mean)
    spectrum = fft.rfft2(around, workers=workers)
    spectrum *= transfer(*frequency_grid(around.shape, pixel_size_angstrom)).astype(np.float32)
    spectrum[0, 0] = 0
    filtered = fft.irfft2(spectrum, around.shape, workers=workers)
    inside = filtered[margin_px : margin_px + image.shape[0], margin_px : margin_px + stop - first]
    return np.asarray(inside + np.float32(mean), dtype=np.float32)


def _reflected(first: int, stop: int, n: int, margin: int) -> NDArray[np.intp]:
    """Indices of pixels from `first` to `stop` with a margin and as many more as make a fast transform."""
    from scipy import fft

    length = fft.next_fast_len(stop - first + 2 * margin, real=True)
    index = np.arange(first - margin, first - margin + length) % (2 * n)
    return np.minimum(index, 2 * n - 1 - index)
