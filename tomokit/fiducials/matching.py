"""Discs that stand out of the ring around them, in one view: a matched filter, in units of its own spread.

The response at a pixel is the mean of a ring around it minus that of a disc, over the pixels that count. Divided by the
spread that it has over the view (its median absolute deviation, as a standard deviation), it says how unusual a place
is: noise reaches 4 to 5 anywhere in a view, gold beads 10 to 25.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Used = NDArray[np.bool_]
Spectrum = NDArray[np.complex64]

RING = (1.3, 2.0)
"""Inner and outer radius of the ring, in radii of the disc."""
_LEAST_OF_DISC = 0.6
_LEAST_OF_RING = 0.3
_SAMPLES = 20_000
_MAD = 1.4826

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


@dataclass(frozen=True)
class Peaks:
    """Places of one view that stand out.

    Attributes
    ----------
    y, x : ndarray of float64, shape (n,)
        Row and column in pixels of the view, the strongest first.
    score : ndarray of float64, shape (n,)
        Response in units of its spread.
    """

    y: NDArray[np.float64]
    x: NDArray[np.float64]
    score: NDArray[np.float64]


def in_threads(function: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Apply a function of NumPy and SciPy to many items, in as many threads as the process may use.

    Parameters
    ----------
    function : callable
        Of one item; independent of the others.
    items : sequence

    Returns
    -------
    list
        In the order of the items.
    """
    import os

    workers = min(8, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if workers == 1 or len(items) < 2:
        return [function(item) for item in items]
    with ThreadPoolExecutor(workers) as pool:
        return list(pool.map(function, items))


def standing_out(image: Image, used: Used | None, radius_px: float) -> tuple[Image, float]:
    """Respond to dark discs of one radius; negative where a disc is bright.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
        One view.
    used : ndarray of bool, shape (n_y, n_x), or None
        Pixels that count; None if all do.
    radius_px : float
        Radius of the discs in pixels.

    Returns
    -------
    response : ndarray of float32, shape (n_y, n_x)
        Mean of the ring minus mean of the disc; 0 where too few of their pixels count.
    spread : float
        Its robust standard deviation over the view; 0 if nothing counts.
    """
    from scipy import fft

    shape = tuple(int(fft.next_fast_len(n + int(np.ceil(RING[1] * radius_px)) + 1, real=True)) for n in image.shape)
    disc, ring = _templates(shape, radius_px)
    if used is None:
        level = float(image.mean(dtype=np.float64))
        n_disc, n_ring = _counts(image.shape, shape, radius_px)
        values = image - np.float32(level)
    else:
        if not used.any():
            return np.zeros(image.shape, np.float32), 0.0
        level = float(image[used].mean(dtype=np.float64))
        counted = fft.rfft2(used.astype(np.float32), shape)
        n_disc, n_ring = (_back(counted * template, shape, image.shape) for template in (disc, ring))
        values = np.where(used, image - np.float32(level), np.float32(0))
    spectrum = fft.rfft2(values, shape)
    enough = (n_disc > _LEAST_OF_DISC * disc[0, 0].real) & (n_ring > _LEAST_OF_RING * ring[0, 0].real)
    if used is not None:
        enough &= used
    response = _back(spectrum * ring, shape, image.shape)
    response /= np.maximum(n_ring, 1)
    response -= _back(spectrum * disc, shape, image.shape) / np.maximum(n_disc, 1)
    response[~enough] = 0
    sample = response[enough]
    sample = sample[:: max(1, sample.size // _SAMPLES)]
    if sample.size == 0:
        return response, 0.0
    return response, _MAD * float(np.median(np.abs(sample - np.median(sample))))


def find_peaks(response: Image, spread: float, radius_px: float, least_score: float, most: int) -> Peaks:
    """Find the strongest places of a response, at most one within a radius.

    Parameters
    ----------
    response : ndarray of float32, shape (n_y, n_x)
        From :func:`standing_out`, negated for bright discs.
    spread : float
        Its spread.
    radius_px : float
        Radius of the discs in pixels.
    least_score : float
        Responses below this, in units of `spread`, do not count.
    most : int
        How many are taken at most.

    Returns
    -------
    Peaks
    """
    nothing = np.zeros(0)
    if not spread > 0:
        return Peaks(nothing, nothing, nothing)
    y, x = np.nonzero(response > least_score * spread)
    top = np.ones(y.size, bool)
    for i, j in ((-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)):
        beside = response[np.clip(y + i, 0, response.shape[0] - 1), np.clip(x + j, 0, response.shape[1] - 1)]
        top &= response[y, x] >= beside
    y, x = y[top], x[top]
    score = response[y, x].astype(np.float64) / spread
    order = np.argsort(-score, kind="stable")
    places, score = np.stack([y[order], x[order]], axis=1).astype(np.float64), score[order]
    taken: list[tuple[float, float, float]] = []
    while score.size and len(taken) < most:
        taken.append((float(places[0, 0]), float(places[0, 1]), float(score[0])))
        # All within a radius of the strongest is of the same disc, or of one that it hides.
        apart = np.hypot(*(places - places[0]).T) > radius_px
        places, score = places[apart], score[apart]
    return Peaks(*np.array(taken).reshape(-1, 3).T)


def bin_view(image: Image, used: Used | None, factor: int) -> tuple[Image, Used | None]:
    """Average squares of pixels of one view; what is left over at the far edges is cut off.

    Parameters
    ----------
    image : ndarray of float32, shape (n_y, n_x)
    used : ndarray of bool, shape (n_y, n_x), or None
    factor : int
        Edge of the squares.

    Returns
    -------
    image : ndarray of float32
        Means over the pixels that count.
    used : ndarray of bool or None
        Where any does.
    """
    if factor == 1:
        return image, used
    n_y, n_x = (n // factor for n in image.shape)

    def sums(values: Image) -> Image:
        cut = values[: n_y * factor, : n_x * factor]
        return np.asarray(cut.reshape(n_y, factor, n_x, factor).sum(axis=(1, 3), dtype=np.float32))

    if used is None:
        return sums(image) / np.float32(factor * factor), None
    counted = sums(used.astype(np.float32))
    means = sums(np.where(used, image, np.float32(0))) / np.maximum(counted, np.float32(1))
    return means.astype(np.float32), counted > 0


def _back(spectrum: Spectrum, shape: tuple[int, ...], wanted: tuple[int, ...]) -> Image:
    from scipy import fft

    return np.asarray(fft.irfft2(spectrum, shape)[: wanted[0], : wanted[1]])


@lru_cache(maxsize=4)
def _templates(shape: tuple[int, int], radius: float) -> tuple[Spectrum, Spectrum]:
    """Disc and ring about the first pixel, edges smooth over one pixel, as spectra."""
    from scipy import fft

    y, x = (np.minimum(np.arange(n), n - np.arange(n)) for n in shape)
    distance = np.hypot(y[:, None], x[None, :]).astype(np.float32)
    inner, outer = (factor * radius for factor in RING)
    disc = np.clip(radius + 0.5 - distance, 0, 1)
    ring = np.clip(outer + 0.5 - distance, 0, 1) * np.clip(distance - inner + 0.5, 0, 1)
    return fft.rfft2(disc), fft.rfft2(ring)


@lru_cache(maxsize=2)
def _counts(size: tuple[int, int], shape: tuple[int, int], radius: float) -> tuple[Image, Image]:
    """How many pixels of disc and ring lie within a view of this size."""
    from scipy import fft

    whole = fft.rfft2(np.ones(size, np.float32), shape)
    disc, ring = _templates(shape, radius)
    return _back(whole * disc, shape, size), _back(whole * ring, shape, size)
