"""Filters of weighted back-projection, and what views need before they can be filtered.

The ramp is sampled in space, ``h(0) = 1/4``, ``h(odd n) = -1 / (pi n)^2`` (Kak and Slaney, Principles of Computerized
Tomographic Imaging, 1988, eq. 3.61), so that the mean density comes out right. The SIRT-like filter multiplies
it by what k Landweber iterations make of each frequency, ``1 - (1 - e)^k``: back-projecting over an angular range
Theta multiplies frequency f by ``1 / (Theta |f|)`` per view, which SIRT divides by the path length D, hence
``e = min(1, 1 / (Theta |f| D))``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import fft
from scipy.ndimage import gaussian_filter


def angular_weights(tilt_rad: NDArray[np.float64]) -> NDArray[np.float64]:
    """Angle that each view stands for: half the distance between its neighbours.

    Parameters
    ----------
    tilt_rad : ndarray of float64, shape (n_views,)
        Tilt angles in radians, in any order.

    Returns
    -------
    ndarray of float64, shape (n_views,)
        In radians, in the same order. The first and last views stand for as much as the gap beside them; a single view
        for pi.
    """
    order = np.argsort(tilt_rad)
    gaps = np.diff(tilt_rad[order])
    if gaps.size == 0:
        return np.full(tilt_rad.size, np.pi)
    weights = np.empty(tilt_rad.size)
    weights[order] = (np.r_[gaps[0], gaps] + np.r_[gaps, gaps[-1]]) / 2
    return weights


def ramp(n: int) -> NDArray[np.float64]:
    """Response of the ramp filter sampled in space, about ``|f|`` (Kak and Slaney, eq. 3.61; see the module).

    Parameters
    ----------
    n : int
        Number of cyclic samples.

    Returns
    -------
    ndarray of float64, shape (n // 2 + 1,)
        At the frequencies of ``rfft``, in cycles per pixel.
    """
    # Transforming the kernel, not sampling |f|, keeps a response above zero at f = 0 and with it the mean density.
    offset = np.minimum(np.arange(n), n - np.arange(n))
    kernel = np.zeros(n)
    kernel[0] = 0.25
    odd = offset % 2 == 1
    kernel[odd] = -1.0 / (np.pi * offset[odd]) ** 2
    return np.asarray(fft.rfft(kernel).real)


def window(kind: str, n: int, cutoff: float, iterations: int, path_px: float, range_rad: float) -> NDArray[np.float64]:
    """Response of the window that multiplies the ramp.

    Parameters
    ----------
    kind : str
        ``"ramp"`` (nothing but the cutoff), ``"hann"`` or ``"sirt"``.
    n : int
        Number of samples.
    cutoff : float
        Highest frequency kept, as a fraction of the Nyquist frequency; the Hann window ends there.
    iterations : int
        Iterations that the SIRT-like filter stands for.
    path_px : float
        Mean path of a ray through the specimen in pixels, D.
    range_rad : float
        Angular range that the views cover in radians, Theta.

    Returns
    -------
    ndarray of float64, shape (n // 2 + 1,)
        At the frequencies of ``rfft``.
    """
    f = fft.rfftfreq(n)  # cycles per pixel, 0.5 being Nyquist's
    inside = f <= 0.5 * cutoff + 1e-12
    if kind == "hann":
        return np.where(inside, 0.5 + 0.5 * np.cos(np.pi * f / (0.5 * cutoff)), 0.0)
    if kind == "sirt":
        eigenvalue = np.minimum(1.0, 1.0 / np.maximum(range_rad * f * path_px, 1e-12))
        return np.where(inside, 1.0 - (1.0 - eigenvalue) ** iterations, 0.0)
    return inside.astype(float)


def fill_masked(image: NDArray[np.floating], mask: NDArray[np.floating]) -> NDArray[np.floating]:
    """Replace masked pixels by a smooth continuation of their surroundings.

    Normalized Gaussian convolution at doubling widths, each filling what the one before did not reach; the mean
    of the known pixels for what is beyond the reach of all.

    Parameters
    ----------
    image, mask : ndarray, shape (n_u, n_y)
        A view and its weights; pixels where the mask is 0 are replaced.

    Returns
    -------
    ndarray, shape (n_u, n_y)
        A new image; zeros if everything is masked.
    """
    known = (mask > 0).astype(image.dtype)
    filled = np.where(known > 0, image, 0)
    if known.all() or not known.any():
        return filled
    sigma = 2.0
    mean = filled.sum(dtype=np.float64) / known.sum(dtype=np.float64)
    while not known.all():
        if sigma > max(image.shape):
            filled[known == 0] = mean
            break
        weight = gaussian_filter(known, sigma, mode="nearest", truncate=3)
        value = gaussian_filter(filled * known, sigma, mode="nearest", truncate=3)
        # Below that, a pixel takes its value from so few others that a wider Gaussian serves it better.
        reached = (known == 0) & (weight > 0.05)
        filled[reached] = value[reached] / weight[reached]
        known[reached] = 1
        sigma *= 2
    return filled


def filter_views(stack: NDArray[np.floating], response: NDArray[np.float64], n: int, threads: int) -> None:
    """Filter every view along u in place, its edges continued and faded out over the padding.

    Parameters
    ----------
    stack : ndarray, shape (n_views, n_u, n_y)
        Views; overwritten by the filtered ones.
    response : ndarray of float64, shape (n // 2 + 1,)
        Response of the filter at the frequencies of ``rfft``.
    n : int
        Padded length, at least ``2 n_u``.
    threads : int
        Threads of the Fourier transforms.
    """
    n_u = stack.shape[1]
    # Past the last pixel the padding fades from its value to that of the first, which is its neighbour in the cycle.
    fade = (0.5 + 0.5 * np.cos(np.pi * (np.arange(n - n_u) + 1) / (n - n_u + 1)))[:, None].astype(stack.dtype)
    for view in stack:
        padded = np.concatenate([view, fade * view[-1] + (1 - fade) * view[0]])
        spectrum = fft.rfft(padded, axis=0, workers=threads)
        spectrum *= response[:, None].astype(stack.dtype)
        view[...] = fft.irfft(spectrum, n, axis=0, workers=threads)[:n_u]
