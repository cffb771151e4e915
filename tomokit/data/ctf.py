"""The contrast transfer function of an electron microscope (Rohou and Grigorieff, J. Struct. Biol. 192, 216, 2015).

With lambda the wavelength, k the frequency at the angle alpha from x, D the defocus, Cs the spherical aberration, A the
amplitude contrast and phi the shift of a phase plate,

    CTF(k) = sin(chi),   chi = pi lambda k^2 (D(alpha) - lambda^2 k^2 Cs / 2) + phi + arcsin A
    D(alpha) = ((D1 + D2) + (D1 - D2) cos 2 (alpha - alpha1)) / 2

It is what a weak object's projected density is multiplied by in the image, dense counted as positive: for an
underfocused image of dark specimen it is positive at low frequencies, where such an image is taken as it is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import OptionError

_WAVELENGTH = 12.264260
"""Wavelength in ångström of an electron of 1 V, without relativity: h / sqrt(2 m e)."""
_RELATIVITY = 9.784756e-7
"""e / (2 m c^2), per volt."""


@dataclass(frozen=True)
class Optics:
    """What of a microscope enters its contrast transfer function.

    Attributes
    ----------
    voltage_kv : float
        Acceleration voltage in kilovolts.
    spherical_aberration_mm : float
        Spherical aberration Cs in millimetres.
    amplitude_contrast : float
        Fraction of amplitude contrast, from 0 to below 1.

    Raises
    ------
    OptionError
        If one is not a number within its bounds.
    """

    voltage_kv: float
    spherical_aberration_mm: float = 2.7
    amplitude_contrast: float = 0.07

    def __post_init__(self) -> None:
        for field, value, low, high, unit in (
            ("--voltage", self.voltage_kv, 20.0, 3000.0, " kV"),
            ("--cs", self.spherical_aberration_mm, -10.0, 20.0, " mm"),
            ("--amplitude-contrast", self.amplitude_contrast, 0.0, 0.999, ""),
        ):
            if not low <= value <= high:
                raise OptionError(f"{value:g}{unit} is not from {low:g} to {high:g}{unit}", field=field)

    @property
    def wavelength_angstrom(self) -> float:
        """Relativistic wavelength of the electrons in ångström."""
        volts = self.voltage_kv * 1e3
        return _WAVELENGTH / math.sqrt(volts * (1 + _RELATIVITY * volts))


def transfer_phase(
    k_x: NDArray[np.float64],
    k_y: NDArray[np.float64],
    defocus_um: tuple[float, float, float],
    optics: Optics,
    phase_shift_deg: float = 0.0,
) -> NDArray[np.float64]:
    """Compute the phase chi whose sine the contrast transfer function is, on a grid of frequencies.

    Parameters
    ----------
    k_x, k_y : ndarray of float64, shapes that broadcast
        Frequencies along x and y in cycles per ångström.
    defocus_um : (float, float, float)
        Defocus along both principal axes in micrometres, positive for underfocus, and the angle of the first from x
        towards y in degrees.
    optics : Optics
        The microscope.
    phase_shift_deg : float
        Shift of a phase plate in degrees.

    Returns
    -------
    ndarray of float64, the shape that `k_x` and `k_y` broadcast to
        Radians.
    """
    first, second, angle_deg = defocus_um
    wavelength = optics.wavelength_angstrom
    squared = k_x**2 + k_y**2
    mean, half = (first + second) / 2 * 1e4, (first - second) / 2 * 1e4
    # D k^2 without an arctangent: k^2 cos 2 (alpha - alpha1) = (k_x^2 - k_y^2) cos 2 alpha1 + 2 k_x k_y sin 2 alpha1.
    twice = 2 * math.radians(angle_deg)
    defocused = mean * squared
    if half:
        defocused = defocused + half * ((k_x**2 - k_y**2) * math.cos(twice) + 2 * k_x * k_y * math.sin(twice))
    spherical = optics.spherical_aberration_mm * 1e7 * wavelength**2 * squared**2 / 2
    constant = math.radians(phase_shift_deg) + math.asin(optics.amplitude_contrast)
    return np.asarray(math.pi * wavelength * (defocused - spherical) + constant)


def contrast_transfer(
    k_x: NDArray[np.float64],
    k_y: NDArray[np.float64],
    defocus_um: tuple[float, float, float],
    optics: Optics,
    phase_shift_deg: float = 0.0,
) -> NDArray[np.float64]:
    """Compute the contrast transfer function on a grid of frequencies.

    Parameters
    ----------
    k_x, k_y, defocus_um, optics, phase_shift_deg
        As of :func:`transfer_phase`.

    Returns
    -------
    ndarray of float64, the shape that `k_x` and `k_y` broadcast to
        From -1 to 1.
    """
    return np.asarray(np.sin(transfer_phase(k_x, k_y, defocus_um, optics, phase_shift_deg)))


def first_zero(defocus_um: float, optics: Optics, phase_shift_deg: float = 0.0) -> float:
    """Compute the frequency of the first zero of the contrast transfer function.

    Parameters
    ----------
    defocus_um : float
        Defocus in micrometres, positive for underfocus, without astigmatism.
    optics : Optics
        The microscope.
    phase_shift_deg : float
        Shift of a phase plate in degrees.

    Returns
    -------
    float
        Cycles per ångström; infinite where the phase turns back before it.
    """
    wavelength = optics.wavelength_angstrom
    constant = math.radians(phase_shift_deg) + math.asin(optics.amplitude_contrast)
    # The phase is constant + linear s - quadratic s^2 in s = k^2; it is to be pi under focus, and 0 over focus.
    linear = math.pi * wavelength * defocus_um * 1e4
    quadratic = math.pi * wavelength**3 * optics.spherical_aberration_mm * 1e7 / 2
    rise = math.pi - constant if linear > 0 else -constant
    under_root = linear**2 - 4 * quadratic * rise
    if under_root < 0:
        return math.inf
    denominator = linear + math.copysign(math.sqrt(under_root), linear if linear else -1.0)
    squared = 2 * rise / denominator if denominator else math.inf
    return math.sqrt(squared) if squared >= 0 else math.inf
