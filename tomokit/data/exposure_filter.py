"""The exposure filter: how much of each spatial frequency is left after the dose that a specimen has taken.

Grant and Grigorieff (eLife 4, e06980, 2015) measured that amplitudes at the frequency k fall by
``exp(-N / (2 Ne(k)))`` after an exposure N, with the critical exposure

    Ne(k) = 0.245 k^-1.665 + 2.81     in electrons per square ångström, k in cycles per ångström

at 300 kV, and 0.8 of it at 200 kV.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.errors import InputError

SCALE_300_KV, EXPONENT, FLOOR_300_KV = 0.245, -1.665, 2.81
SCALE_200_KV = 0.8
"""Critical exposure at 200 kV over that at 300 kV."""

_KNOWN_KV = (200.0, 300.0)


def critical_exposure(k: NDArray[np.float64], voltage_kv: float = 300.0) -> NDArray[np.float64]:
    """Compute the critical exposure of spatial frequencies.

    Parameters
    ----------
    k : ndarray of float64, any shape
        Frequencies in cycles per ångström, not negative.
    voltage_kv : float
        Acceleration voltage. Measured at 300 and 200 kV; on a straight line between and beyond them, from 80 kV on.

    Returns
    -------
    ndarray of float64, same shape
        Electrons per square ångström; infinite at zero frequency.
    """
    low, high = _KNOWN_KV
    scale = SCALE_200_KV + (1 - SCALE_200_KV) * (max(voltage_kv, 80.0) - low) / (high - low)
    with np.errstate(divide="ignore"):
        return np.asarray(scale * (SCALE_300_KV * np.power(k, EXPONENT) + FLOOR_300_KV))


def exposure_filter(k: NDArray[np.float64], exposure_e_per_a2: float, voltage_kv: float = 300.0) -> NDArray[np.float64]:
    """Compute the amplitude that is left of spatial frequencies after an exposure.

    Parameters
    ----------
    k : ndarray of float64, any shape
        Frequencies in cycles per ångström, not negative.
    exposure_e_per_a2 : float
        Electrons per square ångström that the specimen has taken.
    voltage_kv : float
        Acceleration voltage (see :func:`critical_exposure`).

    Returns
    -------
    ndarray of float64, same shape
        From 0 to 1; 1 at zero frequency.
    """
    return np.exp(-exposure_e_per_a2 / (2 * critical_exposure(k, voltage_kv)))


def exposures_of_views(acquisition: Acquisition) -> NDArray[np.float64]:
    """Compute the exposure that each view is filtered by: what the specimen had taken halfway through the view.

    A view is the mean over its exposure; to the second order in its dose that is the state halfway.

    Parameters
    ----------
    acquisition : Acquisition
        With the dose of each view, or the dose before it, or both.

    Returns
    -------
    ndarray of float64, shape (n_views,)
        Electrons per square ångström.

    Raises
    ------
    InputError
        If there is neither, a dose is negative, or the order in which views of known dose were taken is not known.
    """
    dose, prior = acquisition.dose_e_per_a2, acquisition.prior_dose_e_per_a2
    for name, values in (("dose of a view", dose), ("dose before a view", prior)):
        if values is not None and (values < 0).any():
            raise InputError(f"a {name} is negative: {values.min():g} e/A^2", field="dose")
    if dose is None and prior is None:
        raise InputError("the dose of the views is not known", field="dose", remedy="give --dose")
    if prior is None and dose is not None:
        prior = _dose_before(dose, acquisition.order)
    assert prior is not None
    if dose is None:
        # The steps from view to view tell it; the last view has none of its own.
        steps = np.diff(np.sort(prior))
        dose = np.full(prior.shape, float(np.median(steps)) if steps.size else 0.0)
    return np.asarray(prior + dose / 2)


def _dose_before(dose: NDArray[np.float64], order: NDArray[np.int_] | None) -> NDArray[np.float64]:
    if order is None:
        raise InputError(
            "the dose of each view is known, but not the order in which they were taken",
            field="dose",
            remedy="give --dose a file with the dose before each view, or with both in two columns",
        )
    taken = np.argsort(order, kind="stable")
    before = np.empty_like(dose)
    before[taken] = np.cumsum(dose[taken]) - dose[taken]
    return before
