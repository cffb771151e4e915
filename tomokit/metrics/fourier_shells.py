"""Fourier shell correlation of two volumes, over whole shells or the part of them that the views measure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError

Spectrum = NDArray[np.complexfloating]


@dataclass(frozen=True)
class ShellCorrelation:
    """Correlation of two volumes by spatial frequency.

    Attributes
    ----------
    frequency : ndarray of float64, shape (n_shells,)
        Centre of each shell, in cycles per voxel, from one step above 0 to 0.5.
    correlation : ndarray of float64, shape (n_shells,)
        From -1 to 1; NaN where a shell holds no Fourier voxel, or one of the volumes nothing in it.
    voxels : ndarray of int64, shape (n_shells,)
        Fourier voxels in each shell, both of every pair of Friedel mates counted.
    """

    frequency: NDArray[np.float64]
    correlation: NDArray[np.float64]
    voxels: NDArray[np.int64]


def shell_correlation(
    first: Spectrum,
    second: Spectrum,
    shape_zyx: tuple[int, int, int],
    tilt_range_deg: tuple[float, float] | None = None,
) -> ShellCorrelation:
    """Correlate two volumes shell by shell, ``FSC = Re sum(F G*) / sqrt(sum |F|^2 sum |G|^2)``.

    Harauz and van Heel, Optik 73, 146 (1986). Shells are one step of the longest axis wide and are shells of equal
    frequency in cycles per voxel, whatever the lengths of the axes. Sums are in double precision.

    Parameters
    ----------
    first, second : ndarray of complex, shape (n_z, n_y, n_x // 2 + 1)
        What :func:`scipy.fft.rfftn` gives of the volumes ``[z, y, x]``.
    shape_zyx : tuple of int
        Shape of the volumes.
    tilt_range_deg : tuple of float, optional
        Least and greatest tilt angle about y in degrees. Only Fourier voxels count that a view of some angle between
        them measures; by default all do. A view at angle theta measures the plane of ``(cos theta, -sin theta)`` in
        ``(kx, kz)`` and of ky.

    Returns
    -------
    ShellCorrelation

    Raises
    ------
    OptionError
        If the tilt range is empty or not within -90 and 90 degrees.
    """
    if tilt_range_deg is not None:
        check_tilt_range(tilt_range_deg)
    n_z, n_y, n_x = shape_zyx
    longest = max(shape_zyx)
    last = longest // 2
    k_y, k_x = np.fft.fftfreq(n_y)[:, None], np.fft.rfftfreq(n_x)[None, :]
    # The other half of the spectrum is the mirror image of this one, but for the planes that are their own.
    own = (k_x == 0) | (k_x == 0.5)
    mates = np.broadcast_to(np.where(own, 1, 2), (n_y, k_x.size))
    sums, voxels = np.zeros((3, last + 1)), np.zeros(last + 1, np.int64)
    for z, k_z in enumerate(np.fft.fftfreq(n_z)):
        shell = np.floor(np.sqrt(k_z**2 + k_y**2 + k_x**2) * longest + 0.5).astype(np.int64)
        inside = shell <= last
        if tilt_range_deg is not None:
            inside &= _is_measured(k_x, k_z, tilt_range_deg)
        index, weight = shell[inside], mates[inside].astype(np.float64)
        f, g = first[z][inside].astype(np.complex128), second[z][inside].astype(np.complex128)
        products = (f.real * g.real + f.imag * g.imag, f.real**2 + f.imag**2, g.real**2 + g.imag**2)
        for row, product in zip(sums, products, strict=True):
            row += np.bincount(index, weights=weight * product, minlength=last + 1)
        voxels += np.bincount(index, weights=weight, minlength=last + 1).astype(np.int64)
    cross, power, other_power = sums[:, 1:]
    norm = np.sqrt(power * other_power)
    correlation = np.divide(cross, norm, out=np.full(last, np.nan), where=norm > 0)
    return ShellCorrelation(np.arange(1, last + 1) / longest, correlation, voxels[1:])


def check_tilt_range(tilt_range_deg: tuple[float, float]) -> None:
    """Refuse tilt angles that span no range.

    Parameters
    ----------
    tilt_range_deg : tuple of float
        Least and greatest angle.

    Raises
    ------
    OptionError
        If they are not in order, or not within -90 and 90 degrees.
    """
    low, high = tilt_range_deg
    if not -90 <= low < high <= 90:
        raise OptionError(
            f"{low:g} to {high:g} degrees is no range of tilt angles", field="--tilt-range",
            remedy="give MIN,MAX between -90 and 90, such as --tilt-range=-60,60",
        )  # fmt: skip


def _is_measured(k_x: NDArray[np.floating], k_z: float, tilt_range_deg: tuple[float, float]) -> NDArray[np.bool_]:
    """Which of one row of frequencies, all kx of at least 0, lie in the plane of a view of some angle in the range."""
    # The tilt axis itself is in the plane of every view, and what lies along z in that of 90 and of -90 degrees.
    angle = np.degrees(np.arctan2(-k_z, k_x))
    low, high = tilt_range_deg
    measured = (angle >= low - 1e-9) & (angle <= high + 1e-9)
    if k_z == 0 or low == -90 or high == 90:
        measured |= k_x == 0
    return measured
