"""What a mask alone adds to a Fourier shell correlation, measured by volumes whose fine detail is noise."""

from __future__ import annotations

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from tomokit.metrics.fourier_shells import Spectrum

Floats = NDArray[np.float64]

MARGIN_SHELLS = 2
"""Shells beyond the one where phases begin to be random in which the mask still mixes in what is not."""


def randomize_phases(
    spectrum: Spectrum, shape_zyx: tuple[int, int, int], beyond: float, seed: int, workers: int = 1
) -> Spectrum:
    """Replace the phases beyond a frequency by those of white noise, which has a real volume's symmetry.

    Parameters
    ----------
    spectrum : ndarray of complex, shape (n_z, n_y, n_x // 2 + 1)
        What :func:`scipy.fft.rfftn` gives of a volume ``[z, y, x]``.
    shape_zyx : tuple of int
        Shape of the volume.
    beyond : float
        Frequency in cycles per voxel; from there on phases are random.
    seed : int
        Of the noise.
    workers : int
        Threads.

    Returns
    -------
    ndarray of complex
        A new spectrum of the same amplitudes.
    """
    noise = scipy.fft.rfftn(np.random.default_rng(seed).standard_normal(shape_zyx, np.float32), workers=workers)
    k_y, k_x = np.fft.fftfreq(shape_zyx[1])[:, None], np.fft.rfftfreq(shape_zyx[2])[None, :]
    for z, k_z in enumerate(np.fft.fftfreq(shape_zyx[0])):
        kept = k_z**2 + k_y**2 + k_x**2 < beyond**2
        plane = noise[z]
        magnitude = np.abs(plane)
        # Where noise happens to vanish any phase does.
        unit = np.where(magnitude > 0, plane / np.where(magnitude > 0, magnitude, 1), 1)
        noise[z] = np.where(kept, spectrum[z], np.abs(spectrum[z]) * unit)
    return noise


def true_correlation(frequency: Floats, masked: Floats, randomized: Floats, beyond: float) -> Floats:
    """Take out of a correlation what the mask adds, ``(FSC_t - FSC_n) / (1 - FSC_n)``.

    Chen et al., Ultramicroscopy 135, 24 (2013). Up to two shells beyond the frequency where phases begin to be random
    the correlation is left as it is: there the mask mixes in what is not random.

    Parameters
    ----------
    frequency, masked, randomized : ndarray of float64, shape (n_shells,)
        Centres of the shells in cycles per voxel, the correlation of the masked volumes (FSC_t), and that of the
        volumes with random phases under the same mask (FSC_n).
    beyond : float
        Where phases begin to be random, in cycles per voxel.

    Returns
    -------
    ndarray of float64, shape (n_shells,)
        NaN where one of them is, and where the mask alone would correlate fully.
    """
    checked = is_checked(frequency, beyond)
    room = 1 - randomized
    corrected = np.divide(masked - randomized, room, out=np.full_like(masked, np.nan), where=room > 1e-9)
    return np.where(checked, corrected, masked)


def is_checked(frequency: Floats, beyond: float) -> NDArray[np.bool_]:
    """Tell in which shells random phases say what the mask adds.

    Parameters
    ----------
    frequency : ndarray of float64, shape (n_shells,)
        Centres of the shells in cycles per voxel.
    beyond : float
        Where phases begin to be random.

    Returns
    -------
    ndarray of bool, shape (n_shells,)
    """
    return np.asarray(frequency > beyond + (MARGIN_SHELLS - 0.5) * frequency[0])
