"""The alignment of a job refined before its fit: what a request asks for, and what became of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError, OptionError
from tomokit.geometry import Alignment, TiltGeometry
from tomokit.pipeline.memory import check_memory
from tomokit.pipeline.prepare import Prepared
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.refined_series import Refinement, refined_alignment
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.refinement.corrections import UNITS, parse_kinds
from tomokit.refinement.levels import Level
from tomokit.refinement.refine import bytes_of_refinement, refine

Floats = NDArray[np.float64]

LEAST_VIEWS = 8
"""Fewer views do not say where each of them belongs."""


def check_refine(request: ReconstructionRequest, alignment: Alignment | None) -> tuple[str, ...]:
    """Read what a request asks to be refined, and refuse what cannot be.

    Parameters
    ----------
    request : ReconstructionRequest
    alignment : Alignment or None
        That of the request.

    Returns
    -------
    tuple of str
        Empty if nothing is.

    Raises
    ------
    OptionError
        If a name is unknown, the alignment has x-axis tilts that vary, or one half alone is reconstructed.
    """
    if request.refine is None:
        return ()
    kinds = parse_kinds(request.refine)
    if alignment is not None and np.ptp(alignment.x_tilt_deg[alignment.used]) > 0:
        raise OptionError(
            "the x-axis tilts of the alignment vary from view to view, which is not refined", field="--refine",
            remedy="leave it out, or give an alignment with one x-axis tilt",
        )  # fmt: skip
    if request.half is not None:
        raise OptionError(
            "the views of one half alone do not go with it", field="--half",
            remedy="give --halves, or refine with all views first and give the refined transforms",
        )  # fmt: skip
    return kinds


def refine_alignment(
    request: ReconstructionRequest,
    prepared: Prepared,
    alignment: Alignment | None,
    progress: Progress,
    warn: Callable[[str], None],
) -> Refinement:
    """Refine the alignment of a series that has been prepared as it was given.

    Parameters
    ----------
    request : ReconstructionRequest
        The job, with something to be refined.
    prepared : Prepared
        Its views, fitted and held out.
    alignment : Alignment or None
        That of the request.
    progress : Progress
        Is told of the rounds.
    warn : callable
        Is told in one line what the user should know.

    Returns
    -------
    Refinement

    Raises
    ------
    InputError
        If there are too few views.
    ResourceError
        If memory is short.
    """
    kinds = check_refine(request, alignment)
    level = _whole_level(request, prepared)
    if level.fitted.sum() < LEAST_VIEWS:
        problem = f"{level.fitted.sum()} views are fitted, too few to refine their alignment"
        raise InputError(problem, file=request.stack, field="--refine", remedy="leave it out")
    check_memory(bytes_of_refinement(level), "the refinement of the alignment", "give a larger --bin")
    found = refine(level, kinds, progress.stage)
    views = tuple(prepared.plan.used)
    n_views = prepared.plan.stack_shape[0]
    given = _given_transforms(request, alignment), _given_angles(request, alignment, prepared, level.geometry.tilt_deg)
    transforms, tilt_deg = refined_alignment(found.corrections, np.array(views), *given)
    record: dict[str, Any] = {
        "kinds": list(kinds),
        "views": list(views),
        "n_views": n_views,
        "corrections": found.corrections.to_json(),
        "rms": found.corrections.rms(kinds),
        "at_bound": [views[i] for i in found.at_bound],
        "applied": found.applied,
        "bins": found.bins,
        "prediction": found.prediction,
        "held_out": found.held_out,
        "transforms": transforms.tolist(),
        "tilt_deg": tilt_deg.tolist(),
    }
    if found.at_bound:
        names = ", ".join(str(views[i]) for i in found.at_bound)
        warn(
            f"--refine: corrections of views {names} (from 0) are at their bounds: look at these views, leave them out "
            "by --exclude, or align the series first"
        )
    if not found.applied:
        before, after = found.prediction["before"], found.prediction["after"]
        warn(
            f"--refine: views are predicted no better by the refined alignment ({before:.4f}, refined {after:.4f}): "
            "the one that was given is kept"
        )
    return Refinement(views, found.corrections, record)


def refinement_text(record: dict[str, Any]) -> str:
    """Tell what was refined, in one line.

    Parameters
    ----------
    record : dict
        Of a :class:`~tomokit.pipeline.refined_series.Refinement`.

    Returns
    -------
    str
    """
    if not record["applied"]:
        return "alignment as given: refined it predicted views no better"
    changes = ", ".join(f"{kind} {value:.3g}{UNITS[kind]}" for kind, value in record["rms"].items())
    scores = [("views from the others", record["prediction"]), ("held-out views", record["held_out"])]
    told = ", ".join(f"{what} {s['before']:.4f} -> {s['after']:.4f}" for what, s in scores if s is not None)
    return f"alignment refined, rms of the changes: {changes}; correlation of {told}"


def _whole_level(request: ReconstructionRequest, prepared: Prepared) -> Level:
    """All views that are used, fitted or held out, in the order of the stack."""
    problem, held = prepared.problem, prepared.held_out
    used = prepared.plan.used
    fitted = np.isin(used, prepared.plan.views.fitted)
    if held is None:
        views, mask, geometry = problem.projections, problem.mask, problem.geometry
    else:
        # Where each view stands in what is fitted, followed by what is held out.
        order = np.argsort(np.concatenate([np.flatnonzero(fitted), np.flatnonzero(~fitted)]))
        views = np.concatenate([problem.projections, held.projections])[order]
        masks = [
            np.ones(part.projections.shape, np.float32) if part.mask is None else (part.mask > 0).astype(np.float32)
            for part in (problem, held)
        ]
        mask = None if problem.mask is None and held.mask is None else np.concatenate(masks)[order]
        parts = problem.geometry, held.geometry
        geometry = TiltGeometry(
            np.concatenate([part.tilt_deg for part in parts])[order],
            n_u=problem.geometry.n_u, n_v=problem.geometry.n_v,
            shift_u_px=np.concatenate([part.shift_u_px for part in parts])[order],
            shift_v_px=np.concatenate([part.shift_v_px for part in parts])[order],
        )  # fmt: skip
    return Level(views, mask, geometry, fitted, problem.thickness_px, float(request.bin), problem.fit_offsets)


def _given_transforms(request: ReconstructionRequest, alignment: Alignment | None) -> Floats | None:
    from tomokit.io.transforms import read_xf

    if alignment is not None:
        return alignment.transform
    return None if request.xf is None else read_xf(request.xf)


def _given_angles(
    request: ReconstructionRequest, alignment: Alignment | None, prepared: Prepared, used_deg: Floats
) -> Floats:
    """Angles of all views as they were given, without offset; `used_deg` are those of the used ones, with it."""
    from tomokit.io.angle_sources import angles_of_stack
    from tomokit.io.mrc_read import open_mrc

    if alignment is not None:
        return alignment.tilt_deg
    n_views, used = prepared.plan.stack_shape[0], prepared.plan.used
    offset = float(prepared.series.provenance.get("tilt_offset_deg", 0.0))
    read = used_deg - offset
    try:
        found = angles_of_stack(open_mrc(request.stack, with_pixels=False), request.angles).tilt_deg
        # A series in memory may have other angles than the file that it came from.
        if found.size == n_views and np.allclose(found[used], read, atol=1e-6):
            return found
    except InputError:
        pass  # another reader's, or in memory
    # Of views that were not read nothing is known: they lie between those that were.
    return np.interp(np.arange(n_views), used, read)
