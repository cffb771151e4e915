"""The views that a tomogram was made of: angles, roles, masks, doses, pictures, and the ceiling of held-out views."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.exposure_filter import exposures_of_views
from tomokit.errors import TomokitError
from tomokit.pipeline.prepare import Prepared
from tomokit.pipeline.prepared_again import prepare_again
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.state.record import State

_PICTURE_PX = 360
_MASK_COLOUR = np.array([214, 84, 56], np.float32)


def views_of_state(state: State, path: Path) -> dict[str, Any]:
    """Read the tilt series that a state was made of, and say what its views are.

    Parameters
    ----------
    state : State
        With provenance and job.
    path : Path
        Its file, beside which inputs are looked for too.

    Returns
    -------
    dict
        JSON-serializable: ``views`` (for each that was read: ``view`` from 0, ``tilt_deg``, ``role``, ``masked``, the
        share of its pixels that is masked), ``ceiling`` of the held-out views by ring (null without any),
        ``doses`` (what files record, of each view of the stack; empty if nothing does), ``pictures`` of three views
        (``view``, ``tilt_deg``, ``png`` as a data URI, ``masked``), ``left_out`` (views that were not read), and
        ``warnings``.

    Raises
    ------
    TomokitError
        If an input is not found, not the one that the state was made of, or cannot be read.
    """
    return _describe(*prepare_again(state, path))


def doses_used(provenance: Mapping[str, Any], views: list[int]) -> dict[str, float]:
    """Doses that views had taken, as the record of a series filtered by dose has them.

    Parameters
    ----------
    provenance : mapping
        The record of a tomogram, of any content.
    views : list of int
        Views that were used, in their order.

    Returns
    -------
    dict of str to float
        Electrons per square angstrom by the view; empty where they are not recorded.
    """
    series = provenance.get("series")
    weighting = series.get("dose_weighting") if isinstance(series, dict) else None
    doses = weighting.get("exposure_e_per_a2") if isinstance(weighting, dict) else None
    if not isinstance(doses, list) or len(doses) != len(views):
        return {}
    return {
        str(view): float(dose)
        for view, dose in zip(views, doses, strict=True)
        if isinstance(dose, (int, float)) and np.isfinite(dose)
    }


def _describe(request: ReconstructionRequest, prepared: Prepared) -> dict[str, Any]:
    problem, held_out, plan = prepared.problem, prepared.held_out, prepared.plan
    rows: list[dict[str, Any]] = []
    images: list[tuple[int, float, NDArray[np.float32], NDArray[np.float32] | None]] = []
    parts = [("fitted", plan.views.fitted, problem.projections, problem.mask, problem.geometry.tilt_deg)]
    if held_out is not None:
        parts.append(("held out", held_out.views, held_out.projections, held_out.mask, held_out.geometry.tilt_deg))
    for role, views, projections, mask, tilt_deg in parts:
        for i, view in enumerate(views):
            masked = 0.0 if mask is None else float(1 - np.count_nonzero(mask[i]) / mask[i].size)
            rows.append({"view": int(view), "tilt_deg": float(tilt_deg[i]), "role": role, "masked": masked})
            images.append((int(view), float(tilt_deg[i]), projections[i], None if mask is None else mask[i]))
    rows.sort(key=lambda row: row["view"])
    images.sort(key=lambda image: image[1])
    middle = min(range(len(images)), key=lambda i: abs(images[i][1]))
    chosen = dict.fromkeys((0, middle, len(images) - 1))
    return {
        "views": rows,
        "left_out": sorted(set(range(plan.stack_shape[0])) - {row["view"] for row in rows}),
        "ceiling": None if held_out is None else held_out.ceiling(),
        "doses": _recorded_doses(request, plan.stack_shape[0]),
        "pictures": [_picture(*images[i]) for i in chosen],
        "warnings": prepared.warnings,
    }


def _recorded_doses(request: ReconstructionRequest, n_views: int) -> list[float]:
    """Electrons per square angstrom that the specimen had taken halfway through each view, by the files of the job."""
    from tomokit.formats.dose_and_defocus import read_dose

    try:
        return [float(dose) for dose in exposures_of_views(read_dose(request.dose, request.stack, n_views).acquisition)]
    except TomokitError:
        return []  # no file has them, or not all that they follow from


def _picture(
    view: int, tilt_deg: float, image_uy: NDArray[np.float32], mask_uy: NDArray[np.float32] | None
) -> dict[str, Any]:
    """A view with y upward, what is masked in colour."""
    from matplotlib.image import imsave

    step = max(1, -(-max(image_uy.shape) // _PICTURE_PX))
    image = _binned(image_uy, step).T
    low, high = (float(value) for value in np.percentile(image, (1, 99)))
    grey = np.clip((image - low) / (high - low if high > low else 1.0), 0, 1) * 255
    colours = np.repeat(grey[:, :, None], 3, axis=2)
    masked = 0.0
    if mask_uy is not None:
        hidden = 1 - _binned((mask_uy > 0).astype(np.float32), step).T[:, :, None]
        colours = colours * (1 - 0.6 * hidden) + _MASK_COLOUR * (0.6 * hidden)
        masked = float(hidden.mean())
    stream = BytesIO()
    imsave(stream, colours.astype(np.uint8), format="png", origin="lower")
    png = "data:image/png;base64," + b64encode(stream.getvalue()).decode("ascii")
    return {"view": view, "tilt_deg": tilt_deg, "png": png, "masked": masked,
            "width": colours.shape[1], "height": colours.shape[0]}  # fmt: skip


def _binned(image: NDArray[np.float32], step: int) -> NDArray[np.float32]:
    n_u, n_y = (n // step for n in image.shape)
    return image[: n_u * step, : n_y * step].reshape(n_u, step, n_y, step).mean(axis=(1, 3))
