"""How a tilt series was recorded: dose, order, defocus and optics of its views."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError


@dataclass(frozen=True)
class Acquisition:
    """What is known of the exposures of a tilt series; None where nothing says it.

    Attributes
    ----------
    n_views : int
        Number of views of the stack.
    dose_e_per_a2 : ndarray of float64, shape (n_views,), or None
        Dose of each view in electrons per square ångström.
    prior_dose_e_per_a2 : ndarray of float64, shape (n_views,), or None
        Dose that the specimen had taken before each view.
    order : ndarray of int, shape (n_views,), or None
        Place of each view in the order of acquisition, from 0.
    defocus_um : ndarray of float64, shape (n_views, 3), or None
        Defocus along both principal axes in micrometres, positive for underfocus, and the angle of the first axis
        from x in degrees.
    phase_shift_deg : ndarray of float64, shape (n_views,), or None
        Phase shift of a phase plate in degrees.
    voltage_kv, spherical_aberration_mm, amplitude_contrast : float or None
        Of the microscope.

    Raises
    ------
    InputError
        If an array is not of `n_views`, or a value is not finite.
    """

    n_views: int
    dose_e_per_a2: NDArray[np.float64] | None = None
    prior_dose_e_per_a2: NDArray[np.float64] | None = None
    order: NDArray[np.int_] | None = None
    defocus_um: NDArray[np.float64] | None = None
    phase_shift_deg: NDArray[np.float64] | None = None
    voltage_kv: float | None = None
    spherical_aberration_mm: float | None = None
    amplitude_contrast: float | None = None

    def __post_init__(self) -> None:
        n_views = self.n_views
        shapes: dict[str, tuple[int, ...]] = {
            "dose_e_per_a2": (n_views,),
            "prior_dose_e_per_a2": (n_views,),
            "order": (n_views,),
            "defocus_um": (n_views, 3),
            "phase_shift_deg": (n_views,),
        }
        for name, shape in shapes.items():
            values = getattr(self, name)
            if values is None:
                continue
            if values.shape != shape:
                raise InputError(f"an array of shape {values.shape} for {n_views} views", field=name)
            if not np.isfinite(values).all():
                raise InputError("a value is not a finite number", field=name)
