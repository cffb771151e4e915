"""The halves of a job: which views each has, what its request is, and what is refused before any work.

Every other view that is fitted goes into either half, in the order of the stack: without views that are held out or
left out these are the views of even and of odd index. Both halves then have as many views, to one, spread over the same
angles, whatever is left out.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from tomokit.data.views import ViewSelection
from tomokit.errors import InputError, OptionError, OutputError
from tomokit.io.output_names import path_beside, with_ending
from tomokit.io.output_set import Existing
from tomokit.pipeline.half_maps import bytes_per_voxel
from tomokit.pipeline.memory import check_memory
from tomokit.pipeline.naming import half_output
from tomokit.pipeline.outputs import check_outputs, input_paths
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.prepare import Prepared
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.state.record import previous_path

HALVES = ("even", "odd")
"""The halves by name: the first has the first view."""

MAPS = ("agreement", "noise", "coverage", "trust")
"""The maps that are written beside the halves, by the ends of their names."""

TABLES = {"fsc_json": "_fsc.json", "fsc_csv": "_fsc.csv", "fsc_plot": "_fsc.png"}
"""What else is written beside them, by the ends of their names."""

_LEAST_VIEWS, _LEAST_VOXELS = 4, 4
_VOLUME_BYTES = 12
"""Of a voxel in the tomogram and both halves, which are in memory while they are compared."""


def half_request(request: ReconstructionRequest, half: str) -> ReconstructionRequest:
    """Make the request of a half: the same job with a tomogram and a state of its own.

    Parameters
    ----------
    request : ReconstructionRequest
        The whole job.
    half : {"even", "odd"}

    Returns
    -------
    ReconstructionRequest
    """
    output, state = request.output, request.state
    return replace(
        request,
        output=None if output is None else half_output(output, half, request.naming),
        state=None if state is None else state.with_name(f"{state.stem}_{half}{state.suffix}"),
        # The alignment is that of all views, refined once.
        refine=None,
    )


def half_record(record: Mapping[str, Any], half: str | None) -> dict[str, Any]:
    """Say in the record of a job that it is one half of it.

    Parameters
    ----------
    record : mapping
        Of the whole job.
    half : {"even", "odd"} or None
        None for the job itself.

    Returns
    -------
    dict
    """
    return {**record, **({} if half is None else {"half": half})}


def evidence_paths(request: ReconstructionRequest) -> dict[str, Path]:
    """Name what is written beside a tomogram and its halves.

    Parameters
    ----------
    request : ReconstructionRequest
        The whole job.

    Returns
    -------
    dict of str to Path
        The maps, in the format of the tomogram, by :data:`MAPS`; table, curves and, unless no pictures are wanted,
        picture of the Fourier shell correlation by :data:`TABLES`. Empty without an output.
    """
    output = request.output
    if output is None:
        return {}
    maps = {name: with_ending(output, f"_{name}") for name in MAPS}
    tables = {name: path_beside(output, ending) for name, ending in TABLES.items()}
    if not request.preview:
        del tables["fsc_plot"]
    return maps | tables


def check_halves(request: ReconstructionRequest, plan: Plan) -> None:
    """Refuse what can have no halves, and what memory does not hold when they are compared.

    Parameters
    ----------
    request : ReconstructionRequest
        The job; nothing is refused of one without halves.
    plan : Plan
        Its views and sizes.

    Raises
    ------
    OptionError
        If one half alone was asked for too, or too few views or voxels are left.
    ResourceError
        If the comparison does not fit in memory.
    """
    if not request.halves:
        return
    if request.half is not None:
        raise OptionError("does not go with --half", field="--halves", remedy="give one of them")
    fitted, shape = len(plan.views.fitted), plan.box.levelling.shape_zyx
    if fitted < _LEAST_VIEWS:
        raise OptionError(
            f"{fitted} views are fitted, too few for two halves", field="--halves",
            remedy="hold out or leave out fewer, or leave --halves out",
        )  # fmt: skip
    if min(shape) < _LEAST_VOXELS:
        sizes = " x ".join(map(str, shape[::-1]))
        raise OptionError(
            f"a volume of {sizes} voxels (x, y, z) is too thin to be correlated", field="--halves",
            remedy=f"give at least {_LEAST_VOXELS} voxels along every axis",
        )  # fmt: skip
    check_memory(
        (_VOLUME_BYTES + bytes_per_voxel("box")) * math.prod(shape), "the comparison of two halves",
        "give a larger --bin; or reconstruct --half even and --half odd, and correlate boxes of them by `tomokit fsc`",
    )  # fmt: skip


def check_half_outputs(
    request: ReconstructionRequest, existing: Mapping[Path, Existing], going_on: bool, job: Mapping[str, Any]
) -> dict[Path, Existing]:
    """Make sure that both halves and what is written beside them can be written.

    Parameters
    ----------
    request : ReconstructionRequest
        The whole job.
    existing : mapping of Path to {"refuse", "replace", "same"}
        What is done about the outputs of the whole that are there.
    going_on, job
        As of :func:`tomokit.pipeline.outputs.check_outputs`.

    Returns
    -------
    dict of Path to {"refuse", "replace", "same"}
        The same of these outputs.

    Raises
    ------
    OutputError
        If one exists and may not be replaced, is one of the inputs, or cannot be written.
    """
    from tomokit.io.output import check_output
    from tomokit.io.volume_write import check_volume_output

    found: dict[Path, Existing] = {}
    for half in HALVES:
        part = half_request(request, half)
        try:
            found |= check_outputs(part, going_on, half_record(job, half), is_part=True)
        except OutputError as error:
            states = () if part.state is None else (part.state, previous_path(part.state.resolve()))
            if error.problem == "exists already" and error.file in [str(path) for path in states]:
                error.remedy = "continue the state of the whole run, give another --state, or --overwrite"
            raise
    # They carry no record of their own job: what wrote the record beside the tomogram wrote these in one set with it.
    is_own = any(policy != "refuse" for policy in existing.values())
    default: Existing = "replace" if request.overwrite else "same" if is_own else "refuse"
    for name, path in evidence_paths(request).items():
        check = check_volume_output if name in MAPS else check_output
        check(path, overwrite=default != "refuse", inputs=input_paths(request))
        found[path] = default
    return found


def half_of(prepared: Prepared, half: str) -> Prepared:
    """Take one half of the views of a problem; scales are those of all of them, and so are views that are held out.

    Parameters
    ----------
    prepared : Prepared
        Of all views.
    half : {"even", "odd"}

    Returns
    -------
    Prepared
        Its warnings are left to the whole.

    Raises
    ------
    InputError
        If too few views are left.
    """
    plan = prepared.plan
    fitted = plan.views.fitted
    if len(fitted) < _LEAST_VIEWS:
        raise InputError(
            f"{len(fitted)} views hold an image and are fitted, too few for two halves", field="--halves",
            remedy="leave --halves out",
        )  # fmt: skip
    places = np.arange(HALVES.index(half), len(fitted), 2)
    views = ViewSelection(tuple(fitted[place] for place in places), plan.views.held_out)
    return replace(
        prepared,
        plan=replace(plan, views=views, shape=replace(plan.shape, n_views=places.size)),
        problem=prepared.problem.part(places),
        warnings=[],
    )
