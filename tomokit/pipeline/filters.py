"""What is done to the views before they are binned: weighting by dose and flipping of phases, done and recorded."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.data.acquisition import Acquisition
from tomokit.data.ctf import Optics, first_zero
from tomokit.data.exposure_filter import exposure_filter
from tomokit.data.fourier_filter import Transfer, filter_columns
from tomokit.data.masked_fill import fill_from_around
from tomokit.data.phase_flipping import LEAST_MARGIN_PX, TOLERANCE_RAD, ViewOptics, flip_phases
from tomokit.data.transfer_model import TransferModel, largest_oblique_phase
from tomokit.errors import InputError


@dataclass(frozen=True)
class Filters:
    """The filters of a job, by the number of the view in the stack.

    Attributes
    ----------
    exposure_e_per_a2 : ndarray of float64, shape (n_views,), or None
        Exposure that each view is weighted by; None for no weighting.
    dose_kv : float
        Voltage of the critical exposure.
    optics : Optics or None
        The microscope whose phases are flipped; None for no flipping.
    acquisition : Acquisition
        Defocus and phase shift of each view.
    gradient : float
        Sign with which the defocus changes across the tilt axis; 0 where the tilt is left out of account.
    record : dict
        ``dose_weighting`` and ``ctf``, for the provenance.
    sha256 : dict of str to str
        Digests of the files, by role.
    warnings : list of str
        What the user should know.
    ctf_correction : {"flip", "model", "model-from-peak"}
        Whether phases are flipped, or contrast transfer belongs to the prediction, from its first peak on or all of it.
    """

    exposure_e_per_a2: NDArray[np.float64] | None
    dose_kv: float
    optics: Optics | None
    acquisition: Acquisition
    gradient: float
    record: dict[str, Any] = field(default_factory=dict)
    sha256: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    ctf_correction: str = "flip"

    @property
    def modelled(self) -> bool:
        """Whether contrast transfer belongs to the prediction."""
        return self.optics is not None and self.ctf_correction != "flip"

    @property
    def flips(self) -> bool:
        """Whether phases are flipped."""
        return self.optics is not None and not self.modelled

    @property
    def what(self) -> str:
        """What is done, in words; empty for nothing."""
        done = {"weighting by dose": self.exposure_e_per_a2 is not None, "flipping phases": self.flips}
        return " and ".join(name for name, is_done in done.items() if is_done)


def apply_filters(series: TiltSeries, views: list[int], filters: Filters) -> TiltSeries:
    """Filter the views of a series, each by its own dose and defocus.

    Masked pixels are filled from those around them first, and stay masked. One view is worked on at a time.

    Parameters
    ----------
    series : TiltSeries
        Not binned; its images are overwritten if they may be.
    views : list of int
        Number of each of its views in the stack.
    filters : Filters

    Returns
    -------
    TiltSeries
        With ``dose_weighting`` and ``ctf`` in its provenance, and the digests of their files.

    Raises
    ------
    InputError
        If the size of a pixel is not known.
    """
    if filters.modelled and series.provenance.get("pixel_size_source") == "none":
        raise InputError(
            "contrast transfer needs the size of a pixel, which is not known",
            file=series.source,
            remedy="give --pixel-size in angstrom",
        )
    if not filters.what:
        return series if not filters.sha256 else _recorded(series, views, filters)
    if series.provenance.get("pixel_size_source") == "none":
        raise InputError(
            f"{filters.what} needs the size of a pixel, which is not known",
            file=series.source,
            remedy="give --pixel-size in angstrom",
        )
    from numba import get_num_threads

    size, workers = series.pixel_size_angstrom, get_num_threads()
    images = series.images if series.images.flags.writeable else np.empty(series.images.shape, np.float32)
    for place, view in enumerate(views):
        image = np.asarray(series.images[place], np.float32)
        if series.mask is not None:
            image = fill_from_around(image, series.mask[place] > 0)
        weighting = _weighting(filters, view)
        if filters.optics is None or not filters.flips:
            assert weighting is not None
            images[place] = filter_columns(image, weighting, size, margin_px=LEAST_MARGIN_PX, workers=workers)
            continue
        images[place] = flip_phases(
            image,
            size,
            _view_optics(filters, filters.optics, view, float(series.geometry.tilt_deg[place])),
            axis_px=float(series.geometry.shift_u_px[place]),
            other=weighting,
            workers=workers,
        )
    return _recorded(replace(series, images=images), views, filters)


def _recorded(series: TiltSeries, views: list[int], filters: Filters) -> TiltSeries:
    """The series with what was done to it in its provenance, of its views alone."""
    record = {name: dict(facts) for name, facts in filters.record.items()}
    if filters.exposure_e_per_a2 is not None:
        record["dose_weighting"]["exposure_e_per_a2"] = [float(filters.exposure_e_per_a2[view]) for view in views]
    if filters.acquisition.defocus_um is not None:
        record["ctf"]["first_zero_angstrom"] = [1 / zero for zero in _first_zeros(filters, views)]
        record["ctf"]["defocus_um"] = [
            [float(value) for value in filters.acquisition.defocus_um[view]] for view in views
        ]
    provenance = {**series.provenance, **record}
    # A reader that gives no digests has those of all files made later.
    if digests := provenance.get("sha256"):
        provenance["sha256"] = {**digests, **filters.sha256}
    return replace(series, provenance=provenance)


def _first_zeros(filters: Filters, views: list[int]) -> list[float]:
    """Frequency of the first zero on the tilt axis of each view, in cycles per ångström, astigmatism left out."""
    defocus, shift = filters.acquisition.defocus_um, filters.acquisition.phase_shift_deg
    if defocus is None or filters.optics is None:
        return []
    return [
        first_zero(float(defocus[view, :2].mean()), filters.optics, 0.0 if shift is None else float(shift[view]))
        for view in views
    ]


def doubt_transfer(series: TiltSeries, views: list[int], filters: Filters) -> list[str]:
    """Tell that no view has a zero of the contrast transfer that its pixels resolve.

    Parameters
    ----------
    series : TiltSeries
        As it is recorded, not binned.
    views : list of int
        Number of each of its views in the stack.
    filters : Filters

    Returns
    -------
    list of str
        One warning, or none.
    """
    zeros = _first_zeros(filters, views)
    nyquist = 0.5 / series.pixel_size_angstrom
    if not zeros or min(zeros) < nyquist:
        return []
    effects = {
        "flip": "flipping phases changes next to nothing",
        "model": "no contrast is reversed in the prediction, and the fit amplifies what lies below the first peak; "
        "--ctf-correction model-from-peak leaves that as it is",
        "model-from-peak": "no contrast is reversed in the prediction",
    }
    return [
        f"the first zero of the CTF lies at {1 / min(zeros):.3g} angstrom or beyond, which pixels of "
        f"{series.pixel_size_angstrom:g} angstrom do not resolve: {effects[filters.ctf_correction]}"
    ]


def transfer_model(series: TiltSeries, views: list[int], filters: Filters) -> tuple[TransferModel | None, list[str]]:
    """Make the contrast transfer that predictions of the views are given, where it belongs to the model.

    Parameters
    ----------
    series : TiltSeries
        Binned as it is fitted, its geometry about the volume's centre or not.
    views : list of int
        Number of each of its views in the stack.
    filters : Filters

    Returns
    -------
    model : TransferModel or None
        Of these views; None where phases are flipped or nothing is done.
    warnings : list of str
        What of the astigmatism is left out.
    """
    if filters.optics is None or not filters.modelled:
        return None, []
    geometry = series.geometry
    model = TransferModel(
        tuple(
            _view_optics(filters, filters.optics, view, float(geometry.tilt_deg[place]))
            for place, view in enumerate(views)
        ),
        series.pixel_size_angstrom,
        tuple(float(shift) for shift in geometry.shift_u_px),
        filters.ctf_correction == "model-from-peak",
    )
    phase = largest_oblique_phase(model)
    if phase <= TOLERANCE_RAD:
        return model, []
    return model, [
        f"astigmatism along the diagonals is not modelled: phases are off by up to {phase:.2g} radians at the highest "
        "frequency; --ctf-correction flip takes it into account"
    ]


def _weighting(filters: Filters, view: int) -> Transfer | None:
    if filters.exposure_e_per_a2 is None:
        return None
    return partial(_weight_by_dose, float(filters.exposure_e_per_a2[view]), filters.dose_kv)


def _weight_by_dose(
    exposure: float, voltage_kv: float, k_x: NDArray[np.float64], k_y: NDArray[np.float64]
) -> NDArray[np.float64]:
    return exposure_filter(np.hypot(k_x, k_y), exposure, voltage_kv)


def _view_optics(filters: Filters, optics: Optics, view: int, tilt_deg: float) -> ViewOptics:
    defocus, shift = filters.acquisition.defocus_um, filters.acquisition.phase_shift_deg
    assert defocus is not None
    first, second, angle = (float(value) for value in defocus[view])
    return ViewOptics(
        optics,
        (first, second, angle),
        0.0 if shift is None else float(shift[view]),
        filters.gradient * math.tan(math.radians(tilt_deg)) if filters.gradient else 0.0,
    )
