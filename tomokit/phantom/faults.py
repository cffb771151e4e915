"""What goes wrong in real tilt series, each off unless it is asked for: the settings, and what contradicts what."""

from __future__ import annotations

import math
from dataclasses import dataclass

from tomokit.data.ctf import Optics
from tomokit.errors import OptionError

MOST_NOISE = 1e6
"""A signal a million times weaker than its noise is lost, and float32 would be soon after."""
ORDERS = ("dose-symmetric", "sequential")
GRADIENTS = {"on": 1.0, "inverted": -1.0, "off": 0.0}
MOST_SHIFT_PX, MOST_TILT_ERROR_DEG = 16.0, 1.0
_MOST = {
    "snr": 1e12,
    "offsets": 1e6,
    "gain": 0.3,
    "drift": 1e6,
    "shift_error_px": MOST_SHIFT_PX,
    "tilt_error_deg": MOST_TILT_ERROR_DEG,
    "dose_e_per_a2": 1e4,
    "mean_free_path_angstrom": 1e6,
    "hot_pixels": 1e6,
}
_OPTION = {
    "shift_error_px": "--shift-error",
    "tilt_error_deg": "--tilt-error",
    "axis_rotation_deg": "--axis-rotation",
    "dose_e_per_a2": "--dose",
    "defocus_um": "--defocus",
    "mean_free_path_angstrom": "--mean-free-path",
}


@dataclass(frozen=True)
class Faults:
    """How the views of a simulated series differ from clean projections.

    Every random quantity has a stream of its own from the seed and is drawn at a size of one, then multiplied: a fault
    leaves the specimen and all other faults as they are.

    Attributes
    ----------
    noise : float or None
        Standard deviation of white noise, relative to the maximum of the noise-free views.
    snr : float or None
        In its place, variance of the noise-free views, each about its own mean, over that of white noise.
    offsets : float
        Standard deviation of what is added to each view, in contrasts: the standard deviation of the noise-free views,
        each about its own mean.
    drift : float
        What is added beside it, from half of this below to half of it above, in contrasts, in the order of acquisition.
    gain : float
        Standard deviation of the factor of each view about 1.
    defocus_um : float or None
        Underfocus on the tilt axis in micrometres; None leaves out the contrast transfer function.
    optics : Optics
        The microscope; its voltage decides on the dose's effect too.
    defocus_gradient : {"on", "inverted", "off"}
        How the tilt changes the defocus, as of ``tomokit reconstruct``.
    shift_error_px : float
        Standard deviation of the shift of each view along each axis, in pixels; drawn again beyond three.
    tilt_error_deg : float
        That of true tilt angles about the nominal ones, in degrees, likewise.
    axis_rotation_deg : float
        Angle of the tilt axis from y in the views, counter-clockwise, in degrees.
    dose_e_per_a2 : float or None
        Dose of each view in electrons per square ångström.
    order : {"dose-symmetric", "sequential"}
        Order of acquisition: by magnitude of the tilt, on alternate sides by twos, or as the angles are given.
    fading : bool
        Whether frequencies fade with the dose.
    counting : bool
        Whether views are counts of electrons, in place of line integrals.
    mean_free_path_angstrom : float
        Thickness of ice that takes all but 1/e of the electrons, where they are counted.
    mtf : float
        Modulation transfer of the detector at Nyquist's frequency, where electrons are counted.
    hot_pixels : int
        Pixels of each view that are raised by 20 to 100 contrasts or noises, whichever is larger.

    Raises
    ------
    OptionError
        If a value is out of bounds, or two contradict each other.
    """

    noise: float | None = None
    snr: float | None = None
    offsets: float = 0.0
    drift: float = 0.0
    gain: float = 0.0
    defocus_um: float | None = None
    optics: Optics = Optics(300.0)  # noqa: RUF009 - it is frozen
    defocus_gradient: str = "on"
    shift_error_px: float = 0.0
    tilt_error_deg: float = 0.0
    axis_rotation_deg: float = 0.0
    dose_e_per_a2: float | None = None
    order: str = "dose-symmetric"
    fading: bool = False
    counting: bool = False
    mean_free_path_angstrom: float = 3000.0
    mtf: float = 1.0
    hot_pixels: int = 0

    def __post_init__(self) -> None:
        self._check_noise()
        for name, most in _MOST.items():
            value = getattr(self, name)
            if value is not None and not 0 <= value <= most:
                raise OptionError(f"{value:g} is not from 0 to {most:g}", field=option_of(name))
        for name in ("snr", "dose_e_per_a2", "mean_free_path_angstrom"):
            if getattr(self, name) == 0:
                raise OptionError("0 is not above 0", field=option_of(name))
        if self.defocus_um is not None and not 0.02 <= abs(self.defocus_um) <= 100:
            raise OptionError(
                f"{self.defocus_um:g} is not from 0.02 to 100",
                field="--defocus",
                remedy="give micrometres of underfocus",
            )
        if not -180 <= self.axis_rotation_deg <= 180:
            raise OptionError(f"{self.axis_rotation_deg:g} is not from -180 to 180", field="--axis-rotation")
        if not 0 < self.mtf <= 1:
            raise OptionError(f"{self.mtf:g} is not above 0 and at most 1", field="--mtf")
        for name, words in (("order", ORDERS), ("defocus_gradient", tuple(GRADIENTS))):
            if getattr(self, name) not in words:
                remedy = f"choose from {', '.join(words)}"
                raise OptionError(f"no {getattr(self, name)!r}", field=option_of(name), remedy=remedy)
        self._check_contradictions()

    def _check_noise(self) -> None:
        if self.noise is not None and not 0 <= self.noise <= MOST_NOISE:
            raise OptionError(
                f"noise of {self.noise:g}",
                field="--noise",
                remedy="give a number from 0 to 1e6, in units of the signal's maximum",
            )
        if self.noise is not None and self.snr is not None:
            raise OptionError("given beside --noise", field="--snr", remedy="give one of them")

    def _check_contradictions(self) -> None:
        for name in ("noise", "snr"):
            if self.counting and getattr(self, name) is not None:
                remedy = "leave it out: counts have the noise of their dose"
                raise OptionError("given beside --counting", field=f"--{name}", remedy=remedy)
        for name in ("counting", "fading"):
            if getattr(self, name) and self.dose_e_per_a2 is None:
                raise OptionError("without a dose", field=f"--{name}", remedy="give --dose, in e/A^2 of each view")
        if self.mtf != 1 and not self.counting:
            raise OptionError("without --counting", field="--mtf", remedy="give --counting, or leave it out")
        if self.counting and self.defocus_um is not None and self.optics.amplitude_contrast < 0.01:
            raise OptionError(
                "below 0.01 with --counting: nothing says how much the counts change",
                field="--amplitude-contrast",
                remedy="give 0.01 or more",
            )

    @property
    def misaligned(self) -> bool:
        """Whether views are shifted, turned or at other angles than the nominal ones."""
        return bool(self.shift_error_px or self.tilt_error_deg or self.axis_rotation_deg)

    @property
    def none(self) -> bool:
        """Whether there is nothing but white noise."""
        return self == Faults(noise=self.noise, snr=self.snr)


def option_of(name: str) -> str:
    """Give the option of the command line that sets a field of :class:`Faults`.

    Parameters
    ----------
    name : str

    Returns
    -------
    str
    """
    return _OPTION.get(name, f"--{name.replace('_', '-')}")


def counts_per_pixel(dose_e_per_a2: float, pixel_size_angstrom: float) -> float:
    """Compute the electrons of a pixel without a specimen, and refuse what no counts are drawn of.

    Parameters
    ----------
    dose_e_per_a2, pixel_size_angstrom : float

    Returns
    -------
    float

    Raises
    ------
    OptionError
        If they are above 1e9.
    """
    counts = dose_e_per_a2 * pixel_size_angstrom**2
    if not math.isfinite(counts) or counts > 1e9:
        raise OptionError(f"{counts:g} electrons a pixel", field="--dose", remedy="give a smaller dose")
    return counts
