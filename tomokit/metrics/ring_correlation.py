"""Fourier ring correlation of two images, and the greatest that the noise of one of them allows."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy.fft
from numpy.typing import NDArray

RING_WIDTH = 0.05
"""Width of a ring in cycles per pixel."""

N_RINGS = 10

_TAPERED = 1 / 8
"""The part of each edge's length over which an image falls to 0 at either end."""

_FLAT_RINGS = 2
"""The last rings, where the spectrum is taken to be noise."""


def tapered_spectrum(image: NDArray[np.floating]) -> NDArray[np.complex128]:
    """Transform an image less its mean, with edges that fall to 0 by a raised cosine over an eighth of its length.

    Parameters
    ----------
    image : ndarray, shape (n_u, n_v)

    Returns
    -------
    ndarray of complex128, shape (n_u, n_v // 2 + 1)
        In double precision by one thread, so that its bits do not depend on how many there are.
    """
    values = np.asarray(image, np.float64)
    window = _window(values.shape[0])[:, None] * _window(values.shape[1])
    # The mean under the window: its level would imprint the window on both images.
    with np.errstate(invalid="ignore", over="ignore"):  # of an image that is not finite nothing is
        levelled = (values - np.sum(values * window) / np.sum(window)) * window
        return np.asarray(scipy.fft.rfft2(levelled, workers=1), np.complex128)


def ring_correlation(
    first: NDArray[np.complexfloating], second: NDArray[np.complexfloating], n_v: int
) -> NDArray[np.float64]:
    """Correlate two images ring by ring, ``Re sum(F G*) / sqrt(sum |F|^2 sum |G|^2)``.

    Saxton and Baumeister, J. Microsc. 127, 127 (1982). Ring r holds frequencies from ``0.05 r`` to ``0.05 (r + 1)``
    cycles per pixel, without frequency 0.

    Parameters
    ----------
    first, second : ndarray of complex, shape (n_u, n_v // 2 + 1)
        From :func:`tapered_spectrum`.
    n_v : int
        Pixels of the images along their second axis.

    Returns
    -------
    ndarray of float64, shape (10,)
        0 where one of them has nothing; NaN where a ring holds no frequency, as in images of few pixels, or where an
        image was not finite.
    """
    with np.errstate(invalid="ignore", over="ignore"):
        products = (
            first.real * second.real + first.imag * second.imag,
            first.real**2 + first.imag**2,
            second.real**2 + second.imag**2,
        )
        (cross, power, other_power), count = _ring_sums(products, first.shape[0], n_v)
        norm = np.sqrt(power) * np.sqrt(other_power)
        correlation = np.where(norm == 0, 0.0, cross / np.where(norm == 0, 1.0, norm))
    return np.where(count > 0, correlation, np.nan)


def ring_ceiling(spectrum: NDArray[np.complexfloating], n_v: int) -> NDArray[np.float64]:
    """Estimate the correlation that a perfect prediction, free of noise, would have with a noisy image.

    ``sqrt(1 - noise / total)`` in each ring, ``total`` the mean power of the image in it. The noise is an estimate: it
    is taken to be white, with the mean power of the flat end of the spectrum, from 0.4 cycles a pixel on. Detail that
    reaches that far counts as noise then; a filter or an interpolation that lowers the end makes the noise too low.

    Parameters
    ----------
    spectrum : ndarray of complex, shape (n_u, n_v // 2 + 1)
        From :func:`tapered_spectrum`.
    n_v : int
        Pixels of the image along its second axis.

    Returns
    -------
    ndarray of float64, shape (10,)
        From 0 to 1; NaN where a ring holds no frequency, and everywhere if those of the flat end hold none.
    """
    (power,), count = _ring_sums((spectrum.real**2 + spectrum.imag**2,), spectrum.shape[0], n_v)
    if not count[-_FLAT_RINGS:].sum():
        return np.full(N_RINGS, np.nan)
    noise = power[-_FLAT_RINGS:].sum() / count[-_FLAT_RINGS:].sum()
    expected = noise * count
    part = np.divide(expected, power, out=np.ones(N_RINGS), where=power > 0)
    return np.where(count > 0, np.sqrt(np.maximum(0.0, 1 - part)), np.nan)


def _ring_sums(
    products: tuple[NDArray[np.floating], ...], n_u: int, n_v: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sums of products over each ring, and the frequencies that it holds; mirrored ones counted too."""
    ring, mates = _rings(n_u, n_v)
    sums = [np.bincount(ring, (mates * product).ravel(), N_RINGS + 1)[:N_RINGS] for product in products]
    counted = np.bincount(ring, np.broadcast_to(mates, (n_u, mates.size)).ravel(), N_RINGS + 1)[:N_RINGS]
    return np.array(sums, np.float64), counted.astype(np.float64)


@lru_cache(maxsize=4)
def _rings(n_u: int, n_v: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """The ring of each frequency, one past the last for those in none; how often those of each column count."""
    k_u, k_v = np.fft.fftfreq(n_u)[:, None], np.fft.rfftfreq(n_v)
    # A hair outwards, so that a frequency on the border of two rings is not a matter of rounding.
    ring = np.floor(np.hypot(k_u, k_v) / RING_WIDTH + 1e-9).astype(np.int64)
    ring[0, 0] = N_RINGS
    return np.minimum(ring, N_RINGS).ravel(), np.where((k_v == 0) | (k_v == 0.5), 1.0, 2.0)


def _window(n: int) -> NDArray[np.float64]:
    """A raised cosine at both ends of an axis of n pixels, 1 between."""
    depth = (np.minimum(np.arange(n), np.arange(n)[::-1]) + 0.5) / max(n * _TAPERED, 0.5)
    return np.asarray(0.5 - 0.5 * np.cos(np.pi * np.minimum(depth, 1)))
