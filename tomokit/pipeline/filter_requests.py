"""Which filters and weights a job asks for, with the files of dose and defocus that they need.

What can be refused is refused here, before any image is read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.acquisition import Acquisition
from tomokit.data.ctf import Optics
from tomokit.data.exposure_filter import exposures_of_views
from tomokit.errors import InputError, OptionError, TomokitError
from tomokit.geometry.alignment import Alignment
from tomokit.methods.capabilities import ModelsTransfer, WeighsViews
from tomokit.methods.interface import Method
from tomokit.pipeline.filters import Filters
from tomokit.pipeline.request import ReconstructionRequest

DEFOCUS_UM = (0.02, 100.0)
"""Magnitudes of defocus beyond these are in another unit."""
GRADIENT_SIGN = {"on": 1.0, "inverted": -1.0, "off": 0.0}
ASSUMED_KV = 300.0
ASSUMED_CS_MM, ASSUMED_AMPLITUDE_CONTRAST = 2.7, 0.07

_ONLY_WITH_CTF = ("cs", "amplitude_contrast")


def read_filters(request: ReconstructionRequest, n_views: int, alignment: Alignment | None = None) -> Filters:
    """Read the files of dose and defocus, and refuse what cannot be done with them.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    n_views : int
        Views of the stack, those that are not used among them.
    alignment : Alignment, optional
        By which the views will be aligned, where it is not by the request's ``xf``: axes of astigmatism turn with it.

    Returns
    -------
    Filters

    Raises
    ------
    InputError
        If a file cannot be used, a defocus is in another unit, or the stack's labels say that it is done already.
    OptionError
        If an option is missing or out of place.
    """
    from tomokit.io.beside import mdoc_beside
    from tomokit.io.digest import file_digest
    from tomokit.io.given_inputs import is_number

    _check_options(request)
    record: dict[str, Any] = {}
    warnings: list[str] = []
    exposure, dose_kv = None, ASSUMED_KV
    if request.dose_weighting == "on":
        _refuse_done(
            request.stack, ("dose weight", "dose-weight", "doseweight"), "weighted by dose", "--dose-weighting"
        )
        exposure, dose_kv, record["dose_weighting"] = _read_exposures(request, n_views, warnings)
    optics, acquisition = None, Acquisition(n_views)
    if request.ctf is not None:
        _refuse_done(request.stack, ("ctfphaseflip", "phase flip", "phases flipped"), "phase-flipped", "--ctf")
        acquisition = _read_defocus(request, n_views, alignment, warnings)
        optics = _optics(request, acquisition)
        record["ctf"] = {
            "correction": "phase flipping" if request.ctf_correction == "flip" else request.ctf_correction,
            "voltage_kv": optics.voltage_kv,
            "spherical_aberration_mm": optics.spherical_aberration_mm,
            "amplitude_contrast": optics.amplitude_contrast,
            "defocus_gradient": request.defocus_gradient,
        }
    elif request.dose is not None and request.dose_weighting == "off":
        warnings.append("--dose is not used: --dose-weighting on filters the views by it")
    dose = None if is_number(request.dose) else request.dose
    if request.dose_weighting == "on" and dose is None:
        # That which is read in the place of one that is named, if there is one.
        dose = mdoc_beside(request.stack)
    sha256 = {role: file_digest(path) for role, path in (("dose", dose), ("ctf", request.ctf)) if path is not None}
    gradient = GRADIENT_SIGN[request.defocus_gradient]
    return Filters(exposure, dose_kv, optics, acquisition, gradient, record, sha256, warnings, request.ctf_correction)


def check_view_weights(request: ReconstructionRequest, method: Method) -> None:
    """Refuse weights of views for a method in whose fit they have no say.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    method : Method
        Its method.

    Raises
    ------
    OptionError
        Naming methods that take them.
    """
    if request.view_weights == "off" or (isinstance(method, WeighsViews) and method.weighs_views):
        return
    names = _methods_that(lambda target: isinstance(target, WeighsViews) and target.weighs_views)
    raise OptionError(
        f"the method {request.method} does not weigh views against each other",
        field="--view-weights",
        remedy=f"leave it out, or give --method {' or '.join(names)}",
    )


def check_transfer_model(request: ReconstructionRequest, method: Method) -> str | None:
    """Refuse contrast transfer in the model for a method that has no place for it.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    method : Method
        Its method.

    Returns
    -------
    str or None
        Why it cannot run on a GPU; None where nothing is modelled.

    Raises
    ------
    OptionError
        Naming methods that take it.
    """
    if request.ctf is None or request.ctf_correction == "flip":
        return None
    if isinstance(method, ModelsTransfer) and method.models_transfer:
        return "contrast transfer in the model has no CUDA kernels"
    names = _methods_that(lambda target: isinstance(target, ModelsTransfer) and target.models_transfer)
    raise OptionError(
        f"the method {request.method} does not predict views through their contrast transfer",
        field="--ctf-correction",
        remedy=f"give --ctf-correction flip, or --method {' or '.join(names)}",
    )


def _methods_that(can: Callable[[object], bool]) -> list[str]:
    """Names of the methods, plugins' too, whose class has a capability."""
    from tomokit.plugin.manager import get_registry

    return sorted(entry.name for entry in get_registry().entries(("method",)) if can(entry.target))


def _check_options(request: ReconstructionRequest) -> None:
    """Options that have nothing to act on are most likely a mistake."""
    if request.ctf is None and request.ctf_correction != "flip":
        raise OptionError(
            "says what is done with the defocus, and there is none", field="--ctf-correction", remedy="give --ctf too"
        )
    if request.ctf is None:
        for name in _ONLY_WITH_CTF:
            if getattr(request, name) is not None:
                raise OptionError(
                    "belongs to the contrast transfer, and there is no defocus",
                    field=f"--{name.replace('_', '-')}",
                    remedy="give --ctf too",
                )
    if request.dose_weighting == "on" and request.view_weights == "noise":
        raise OptionError(
            "the noise of a view that is weighted by dose is not that of the view",
            field="--view-weights",
            remedy="give --view-weights tilt, or --dose-weighting off",
        )


def _refuse_done(stack: Path, words: tuple[str, ...], what: str, option: str) -> None:
    """Refuse to do what a label of the stack says was done."""
    from tomokit.io.mrc_read import read_header

    try:
        labels = read_header(stack)[0].labels
    except TomokitError:  # of another reader, or in memory
        return
    for label in labels:
        if any(word in label.lower() for word in words):
            raise InputError(
                f"is {what} already, as its label says: {label[:60].strip()!r}",
                file=stack,
                field=option,
                remedy="leave it out, or give the stack as it was before",
            )


def _read_exposures(
    request: ReconstructionRequest, n_views: int, warnings: list[str]
) -> tuple[NDArray[np.float64], float, dict[str, Any]]:
    from tomokit.formats.dose_and_defocus import read_dose

    found = read_dose(request.dose, request.stack, n_views)
    acquisition = found.acquisition
    try:
        exposure = exposures_of_views(acquisition)
    except InputError as error:
        error.file = error.file or str(found.path)
        raise
    warnings += found.warnings
    voltage = request.voltage or acquisition.voltage_kv
    if voltage is None:
        warnings.append(f"the voltage is not known: dose weighting takes {ASSUMED_KV:g} kV; --voltage says it")
    record = {"filter": "Grant and Grigorieff 2015", "voltage_kv": voltage or ASSUMED_KV, "dose": found.kind}
    return exposure, voltage or ASSUMED_KV, record


def _read_defocus(
    request: ReconstructionRequest, n_views: int, alignment: Alignment | None, warnings: list[str]
) -> Acquisition:
    from tomokit.formats.dose_and_defocus import read_defocus, told_hand

    assert request.ctf is not None
    found = read_defocus(request.ctf, n_views)
    warnings += found.warnings
    hand = told_hand(found)
    if hand and request.defocus_gradient == "on":
        warnings.append(
            f"{request.ctf.name} says of the hand: {hand}; it is not used, and the defocus rises towards +x at "
            "positive tilt, as IMOD has it: --defocus-gradient inverted is the other"
        )
    defocus = found.acquisition.defocus_um
    assert defocus is not None
    magnitude = np.abs(defocus[:, :2]).max(axis=1)
    low, high = DEFOCUS_UM
    if magnitude.max() > high or np.median(magnitude) < low:
        worst = float(magnitude.max() if magnitude.max() > high else np.median(magnitude))
        unit = "angstrom or nanometres" if worst > high else "millimetres"
        raise InputError(
            f"a defocus of {worst:g} micrometres: it is in {unit}",
            file=request.ctf,
            remedy="give micrometres, positive for underfocus",
        )
    if request.xf is not None or alignment is not None:
        defocus = _turned(defocus, _transforms(request, alignment))
    return replace(found.acquisition, defocus_um=defocus)


def _transforms(request: ReconstructionRequest, alignment: Alignment | None) -> NDArray[np.float64]:
    """``A11 A12 A21 A22 DX DY`` of each view."""
    from tomokit.io.transforms import read_xf

    if alignment is not None:
        return alignment.transform
    assert request.xf is not None
    return read_xf(request.xf)


def _turned(defocus_um: NDArray[np.float64], rows: NDArray[np.float64]) -> NDArray[np.float64]:
    """Axes of astigmatism, measured in the raw views, as they lie in the aligned ones."""
    if len(rows) != len(defocus_um):  # told by whoever aligns
        return defocus_um
    angle = np.radians(defocus_um[:, 2])
    x = rows[:, 0] * np.cos(angle) + rows[:, 1] * np.sin(angle)
    y = rows[:, 2] * np.cos(angle) + rows[:, 3] * np.sin(angle)
    return np.column_stack([defocus_um[:, :2], np.degrees(np.arctan2(y, x))])


def _optics(request: ReconstructionRequest, acquisition: Acquisition) -> Optics:
    voltage = request.voltage or acquisition.voltage_kv
    if voltage is None:
        raise OptionError("is not given", field="--voltage", remedy="give it in kV: phases depend on it")
    recorded = (acquisition.spherical_aberration_mm, acquisition.amplitude_contrast)
    given = (request.cs, request.amplitude_contrast)
    cs, contrast = (
        next(value for value in values if value is not None)
        for values in zip(given, recorded, (ASSUMED_CS_MM, ASSUMED_AMPLITUDE_CONTRAST), strict=True)
    )
    return Optics(voltage, cs, contrast)
