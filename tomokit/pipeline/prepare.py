"""From files to a problem: read, select views, bin, linearize, and move the tilt axis to the last place."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.data.interpretation import Interpretation, interpret
from tomokit.data.linearization import Linearization, choose_linearization
from tomokit.data.named_views import are_few, list_views, name_views
from tomokit.data.problem import Problem
from tomokit.data.view_weights import view_weights, weigh_mask
from tomokit.errors import InputError, OptionError
from tomokit.geometry import Alignment
from tomokit.pipeline.defects import doubt_mask, mask_padding, mend_series
from tomokit.pipeline.filter_requests import read_filters
from tomokit.pipeline.filters import apply_filters, doubt_transfer, transfer_model
from tomokit.pipeline.held_out import HeldOut
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.progress import Progress, Silent
from tomokit.pipeline.readers import Reader
from tomokit.pipeline.refined_series import Refinement, refined_series
from tomokit.pipeline.request import ReconstructionRequest

Stack = NDArray[np.float32]

LEAST_X_TILT_ERROR = 0.1
"""Pixels by which faces may be off without a word."""
LEAST_VIEWS = 3
"""A volume from fewer views is not refused, but is hardly what was wanted."""


@dataclass(frozen=True)
class SeriesFacts:
    """What is told of a series whose images are not needed any more.

    Attributes
    ----------
    pixel_size_angstrom : float
        Edge of a pixel after binning.
    provenance : dict
        What was done to the images, JSON-serializable.
    """

    pixel_size_angstrom: float
    provenance: dict[str, Any]


@dataclass(frozen=True)
class Prepared:
    """A problem, and what is needed to score and write its solution.

    Attributes
    ----------
    plan : Plan
        The plan that was made of the header, without the views that hold no image.
    problem : Problem
        What the method fits.
    held_out : HeldOut or None
        What it is scored on.
    linearization : Linearization
        How images became projections.
    series : SeriesFacts
        Where the views came from. The images are gone, since memory may be short.
    warnings : list of str
        What the user should know.
    """

    plan: Plan
    problem: Problem
    held_out: HeldOut | None
    linearization: Linearization
    series: SeriesFacts
    warnings: list[str] = field(default_factory=list)


def fits_offsets(request: ReconstructionRequest, linearization: Linearization) -> bool:
    """Tell whether the offset of each view is fitted.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    linearization : Linearization
        How images become projections, and whether their background is at 0.

    Returns
    -------
    bool
    """
    needed = linearization.kind in ("log", "invert") or linearization.background
    return request.offsets == "fit" or (request.offsets == "auto" and needed)


def prepare(
    request: ReconstructionRequest,
    plan: Plan,
    reader: Reader,
    backend: str,
    linearization: Linearization | None = None,
    progress: Progress | None = None,
    alignment: Alignment | None = None,
    refinement: Refinement | None = None,
) -> Prepared:
    """Read the series and make its problem.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    plan : Plan
        Its views and sizes.
    reader : Reader
        Reads the series.
    backend : {"cpu", "cuda", "reference"}
        Where the problem will be solved.
    linearization : Linearization, optional
        How images became projections when the run began, if it goes on; found from the images if None.
    progress : Progress, optional
        Is told of the stages.
    alignment : Alignment, optional
        What :func:`tomokit.pipeline.known_geometry.read_request_alignment` gave.
    refinement : Refinement, optional
        What the alignment is corrected by.

    Returns
    -------
    Prepared

    Raises
    ------
    InputError
        If the series cannot be used: what :func:`tomokit.io.load_series` and
        :func:`tomokit.data.linearization.choose_linearization` raise, and a view whose every pixel is masked.
    """
    from tomokit.io import bin_series

    progress = progress or Silent()
    used = plan.used
    filters = read_filters(request, plan.stack_shape[0], alignment)
    progress.stage(f"reading {request.stack.name}")
    series = reader.read(
        request.stack,
        # An alignment has angles of its own, and the offset that was asked for.
        angles=request.angles if alignment is None else None,
        mask=request.mask,
        xf=request.xf,
        exclude=sorted(set(range(plan.stack_shape[0])) - set(used)),
        tilt_offset_deg=(request.tilt_offset or 0.0) if alignment is None else 0.0,
        pixel_size_angstrom=request.pixel_size,
        # Where the reader aligns, it sees raw pixels last; otherwise they are seen to below.
        **({"x_rays": request.x_rays} if request.xf is not None or request.alignment is not None else {}),
        **({"alignment": alignment} if alignment is not None else {}),
    )
    if series.n_views != len(used):
        raise InputError(f"{series.n_views} views were read where {len(used)} are used", file=request.stack)
    _check_order(series, request)
    progress.stage(f"looking for bad views and pixels in {series.n_views} views")
    of_edges: list[str] = []
    if request.xf is None and alignment is None:
        series, of_edges = mask_padding(series, used, request.padding)
    # Before the binning, which would spread a spoilt pixel, and before anything looks at the pixels' range.
    doubts = doubt_mask(series, request)
    series, views, told = mend_series(series, plan.views, request)
    told = [*filters.warnings, *of_edges, *told, *doubts]
    if request.mask_beads is not None:
        from tomokit.io.transforms import read_xf
        from tomokit.pipeline.beads import mask_beads

        progress.stage(f"looking for beads in {series.n_views} views")
        # Before anything looks at the pixels' range, of which beads are the extremes.
        left = sorted((*views.fitted, *views.held_out))
        transforms = None if request.xf is None else read_xf(request.xf)
        transforms = transforms if alignment is None else alignment.transform
        series, of_beads = mask_beads(series, request.mask_beads, left, plan.stack_shape, transforms)
        told += of_beads
    if refinement is not None:
        progress.stage(f"correcting the alignment of {series.n_views} views")
        series = refined_series(series, refinement, request, reader, plan.stack_shape[0])
    progress.stage(f"linearizing {series.n_views} views")
    if linearization is None:
        # From all views and before they are binned, so that no such option changes what they are taken for.
        exposures = dict(zip(used, series.provenance.get("exposures", ()), strict=False))
        interpretation = _interpret(series, sorted((*views.fitted, *views.held_out)), exposures, request)
        told = [*told, *interpretation.warnings]
    plan = replace(plan, views=views, shape=replace(plan.shape, n_views=len(views.fitted)))
    used = plan.used
    if filters.what:
        progress.stage(f"{filters.what}, {series.n_views} views")
    told = [*told, *doubt_transfer(series, used, filters)]
    series = bin_series(apply_filters(series, used, filters), request.bin)
    transfer, of_astigmatism = transfer_model(series, used, filters)
    told = [*told, *of_astigmatism, *_check_x_tilt_error(series, plan, request)]
    # The volume's centre becomes the origin, so that no method has to know of it.
    series = replace(series, geometry=plan.box.centred(series.geometry))
    _check_masked_views(series, used, request)
    # Places of the fitted and the held-out views among those that were read.
    fitted, held = (np.searchsorted(used, views) for views in (plan.views.fitted, plan.views.held_out))
    chosen = series if fitted.size == series.n_views else series.select(fitted)
    # Scaled by the fitted views alone: held-out ones must have no say in what they are compared with.
    if linearization is None:
        with _naming_files(request):
            linearization = choose_linearization(
                chosen.images, chosen.mask, percentiles=request.percentiles, interpretation=interpretation
            )
    projections, mask = _linearize_views(series, fitted, linearization), _transpose_mask(series.mask, fitted)
    if request.view_weights != "off":
        weights = view_weights(request.view_weights, projections, mask, chosen.geometry.tilt_deg)
        mask = weigh_mask(mask, weights, projections.shape)
        record = {"by": request.view_weights, "weights": [float(weight) for weight in weights]}
        series = replace(series, provenance={**series.provenance, "view_weights": record})
    problem = Problem(
        projections=projections,
        mask=mask,
        geometry=series.geometry.select(fitted),
        thickness_px=plan.shape.thickness_px,
        fit_offsets=fits_offsets(request, linearization),
        seed=request.seed,
        backend=backend,
        transfer=None if transfer is None else transfer.select(fitted),
    )
    held_out = None
    if held.size:
        projections, mask = _linearize_views(series, held, linearization), _transpose_mask(series.mask, held)
        of_held = None if transfer is None else transfer.select(held)
        held_out = HeldOut(plan.views.held_out, projections, mask, series.geometry.select(held), of_held)
    warnings = [*told, *_collect_warnings(linearization, series, chosen.geometry.tilt_deg)]
    facts = SeriesFacts(series.pixel_size_angstrom, series.provenance)
    return Prepared(plan, problem, held_out, linearization, facts, warnings)


def _interpret(
    series: TiltSeries, views: list[int], exposures: dict[int, float], request: ReconstructionRequest
) -> Interpretation:
    """What the images of these views are taken for, by themselves and by what the files record."""
    with _naming_files(request):
        return interpret(
            series.images,
            series.mask,
            series.geometry.tilt_deg,
            kind=request.linearization,
            recorded=str(series.provenance.get("detector", "")),
            exposure=np.array([exposures[view] for view in views]) if exposures else None,
        )


@contextmanager
def _naming_files(request: ReconstructionRequest) -> Iterator[None]:
    """Name the file in an error of what sees arrays alone."""
    try:
        yield
    except InputError as error:
        error.file = error.file or str(request.mask if error.field == "mask" and request.mask else request.stack)
        raise


def _linearize_views(series: TiltSeries, views: NDArray[np.int_], linearization: Linearization) -> Stack:
    """Projections ``[tilt, u, y]``; what is masked gets the mean of what is not, so that no wild value remains."""
    projections = np.empty((views.size, series.geometry.n_u, series.geometry.n_v), dtype=np.float32)
    for i, view in enumerate(views):
        image = linearization.apply(series.images[view])
        if series.mask is not None:
            counted = series.mask[view] > 0
            image[~counted] = image[counted].mean(dtype=np.float64)
        projections[i] = image.T
    return projections


def _transpose_mask(mask: Stack | None, views: NDArray[np.int_]) -> Stack | None:
    """The mask of some views as ``[tilt, u, y]``."""
    if mask is None:
        return None
    # A view at a time: a selection of them would be one more copy of all.
    transposed = np.empty((views.size, mask.shape[2], mask.shape[1]), np.float32)
    for i, view in enumerate(views):
        transposed[i] = mask[view].T
    return transposed


def _check_x_tilt_error(series: TiltSeries, plan: Plan, request: ReconstructionRequest) -> list[str]:
    """Tell or refuse what x-axis tilts that vary leave, which no view of a single-axis series has."""
    slope = float(series.provenance.get("x_tilt_remainder", 0.0))
    error_px = slope * plan.box.half_height_px
    if error_px > request.x_tilt_error:
        raise OptionError(
            f"x-axis tilts vary by up to {np.rad2deg(np.arctan(slope)):.3g} degrees: the volume's faces are up to "
            f"{error_px:.3g} pixels off along y",
            field="--x-tilt-error",
            remedy=f"give {np.ceil(error_px):g} to accept it, less --thickness, or an alignment with one x-axis tilt",
        )
    if error_px < LEAST_X_TILT_ERROR:
        return []
    return [f"x-axis tilts vary from view to view: the volume's faces are up to {error_px:.2g} pixels off along y"]


def _check_order(series: TiltSeries, request: ReconstructionRequest) -> None:
    """Unsorted angles are more often a file of another stack than an order of acquisition: the user has to say so."""
    from tomokit.io.angles import angles_are_sorted

    if not request.allow_unsorted and not angles_are_sorted(series.geometry.tilt_deg):
        raise InputError(
            "the angles are not sorted",
            file=request.angles or series.provenance.get("angles", request.stack),
            remedy="give the right --angles, or --allow-unsorted if the stack is in order of acquisition",
        )


def _check_masked_views(series: TiltSeries, used: list[int], request: ReconstructionRequest) -> None:
    """Refuse views of which binning has left no pixel that counts; reading has refused those that never had one."""
    if series.mask is None:
        return
    empty = [view for i, view in enumerate(used) if not series.mask[i].any()]
    if empty:
        binned = f" after binning by {request.bin}" if request.bin > 1 else ""
        them = "it" if len(empty) == 1 else "them"
        leave_out = f"leave {them} out with --exclude {list_views(empty)}, or " if are_few(empty, len(used)) else ""
        raise InputError(
            f"every pixel of {name_views(empty, len(used))} is masked{binned}",
            file=request.mask or request.xf or request.alignment or request.stack,
            field="mask",
            remedy=f"{leave_out}mend the mask" + (" or the transforms" if request.xf or request.alignment else ""),
        )


def _collect_warnings(linearization: Linearization, series: TiltSeries, fitted_deg: NDArray[np.float64]) -> list[str]:
    """What the user should know of a series that can be used all the same."""
    from tomokit.io.angles import doubtful_angles

    warnings = [str(text) for text in series.provenance.get("warnings", ())]
    if fitted_deg.size < LEAST_VIEWS:
        warnings.append(f"{fitted_deg.size} view{'' if fitted_deg.size == 1 else 's'} fitted: too few for a tomogram")
    warnings += doubtful_angles(fitted_deg)
    if linearization.kind == "log" and linearization.imin <= 0:
        warnings.append(
            f"the darkest pixel is {linearization.imin:g}, no intensity: the logarithm is clamped; "
            "mask padding, or give --percentiles 0.01,99.99"
        )
    return warnings
