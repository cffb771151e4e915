"""A job before its fit: what can be refused is refused, then the series is read, masked and linearized."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from tomokit.data.linearization import Linearization
from tomokit.io.digest import file_digest
from tomokit.kernels.ahead import CompilersBeside
from tomokit.methods.capabilities import ListsKernels
from tomokit.methods.interface import Method
from tomokit.methods.slabs import crop_rows
from tomokit.pipeline.backend import choose_backend, use_threads
from tomokit.pipeline.config import method_options
from tomokit.pipeline.doubts import check_alignment
from tomokit.pipeline.filter_requests import check_transfer_model, check_view_weights
from tomokit.pipeline.fit_memory import least_bytes_of_fit
from tomokit.pipeline.half_jobs import (
    MAPS,
    check_half_outputs,
    check_halves,
)
from tomokit.pipeline.known_geometry import KnownGeometry, read_request_alignment
from tomokit.pipeline.memory import check_disk, check_memory
from tomokit.pipeline.outputs import check_outputs, input_paths
from tomokit.pipeline.plan import Plan, make_plan
from tomokit.pipeline.prepare import Prepared, prepare
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.provenance import job_record
from tomokit.pipeline.readers import Reader
from tomokit.pipeline.refined_series import Refinement
from tomokit.pipeline.refining import check_refine, refine_alignment
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resumption import Resumed, check_same_inputs, check_same_lattice
from tomokit.pipeline.rows import check_rows_are_seen
from tomokit.pipeline.slabs import can_use_slabs, check_slabs
from tomokit.plugin.manager import get_registry

if TYPE_CHECKING:
    from tomokit.io.output_set import Existing

_HEADER_BYTES = 1024
_LIBRARIES_BYTES = 128 << 20


class Warner:
    """Puts warnings into the summary, and tells each at once.

    Parameters
    ----------
    warnings : list of str
        Those of the summary; added to.
    progress : Progress
        Is told.
    """

    def __init__(self, warnings: list[str], progress: Progress) -> None:
        self.warnings, self._progress = warnings, progress

    def __call__(self, text: str) -> None:
        """Add a warning, and tell it.

        Parameters
        ----------
        text : str
            One line.
        """
        self.warnings.append(text)
        self._progress.warning(text)


@dataclass(frozen=True)
class Opened:
    """A job that nothing is left to be refused of, and the series that has been read for it.

    Attributes
    ----------
    request : ReconstructionRequest
        The job.
    reader : Reader
        Has read the series.
    method : Method
    options : object
        Options of the method.
    backend : str
        Where it is computed.
    threads : int
        Threads that are used.
    prepared : Prepared
        What is fitted.
    inputs : dict of str to str
        SHA-256 of each input by its role.
    existing : dict
        What is done about outputs that are there (see :func:`tomokit.pipeline.outputs.check_outputs`).
    warn : Warner
        Takes what the user should know.
    half : {"even", "odd"} or None
        Which half of a job it is, if it is one.
    structure : mapping or None
        What the fit to all views has come to, for a half (see
        :class:`tomokit.methods.capabilities.StartsOnStructure`).
    """

    request: ReconstructionRequest
    reader: Reader
    method: Method
    options: Any
    backend: str
    threads: int
    prepared: Prepared
    inputs: dict[str, str]
    existing: Mapping[Path, Existing]
    warn: Warner
    half: str | None = None
    structure: Mapping[str, NDArray[Any]] | None = None


def open_job(
    request: ReconstructionRequest,
    reader: Reader,
    progress: Progress,
    resumed: Resumed | None = None,
    compilers: CompilersBeside | None = None,
) -> Opened:
    """Refuse what can be refused, and read the series.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    reader : Reader
        Reads the tilt series.
    progress : Progress
        Is told how the job goes.
    resumed : Resumed or None
        What is gone on from, if anything.
    compilers : CompilersBeside, optional
        Are started before the series is read, if the method lists what it will call.

    Returns
    -------
    Opened

    Raises
    ------
    TomokitError
        If an input, an option, an output or the machine does not allow it.
    """
    method = get_registry().get("method", request.method)()
    options = method_options(method, request.options)
    # What a resumed run has to say was told when its state was read.
    warn = Warner([] if resumed is None else list(resumed.warnings), progress)
    check_view_weights(request, method)
    backend = choose_backend(request.backend, method, options, warn, check_transfer_model(request, method))
    # From here to the reading nothing but headers is looked at: what can be refused is refused within a second.
    stack_shape = reader.shape(request.stack)
    alignment = read_request_alignment(request, stack_shape, warn)
    kinds = check_refine(request, alignment)
    plan = make_plan(request, stack_shape, KnownGeometry.of(request, reader, alignment))
    if resumed is None:
        check_alignment(request, reader, warn, alignment)
    else:
        check_same_lattice(plan, resumed)
    job = job_record(request, options, backend)
    existing = check_outputs(request, resumed is not None, job)
    if request.halves:
        existing |= check_half_outputs(request, existing, resumed is not None, job)
    check_slabs(request.slabs, method, backend, plan.volume_shape.n_y)
    has_mask = request.mask is not None or request.mask_beads is not None
    masked = has_mask or request.xf is not None or alignment is not None or request.view_weights != "off"
    least_bytes = plan.bytes_of_problem(masked) + least_bytes_of_fit(request, plan, method, options, backend)
    check_memory(_LIBRARIES_BYTES + max(plan.bytes_of_reading(masked), least_bytes), name_volume(request, plan))
    check_halves(request, plan)
    request.form.binned_shape(plan.box.levelling.shape_zyx)
    if request.output is not None:
        volumes = 3 + len(MAPS) if request.halves else 1
        check_disk(request.output, volumes * (4 * math.prod(plan.box.levelling.shape_zyx) + _HEADER_BYTES))
    threads = use_threads(request.threads)
    if backend != "cpu":
        compilers = None
    # Whether offsets are fitted is known for sure when the series has been read; most of the time this is right.
    _start(compilers, method, options, request.offsets == "fit", threads)

    begun = None if resumed is None else Linearization.from_json(resumed.state.provenance["linearization"])
    refinement = None
    if kinds and resumed is not None:
        refinement = Refinement.from_record(resumed.state.provenance, resumed.used)
    elif kinds:
        as_given = prepare(request, plan, reader, "cpu", None, progress, alignment)
        refinement = refine_alignment(request, as_given, alignment, progress, warn)
        del as_given
    prepared = prepare(request, plan, reader, backend, begun, progress, alignment, refinement)
    plan = prepared.plan
    _start(compilers, method, options, prepared.problem.fit_offsets, threads)
    for text in prepared.warnings:
        warn(text)
    inputs = prepared.series.provenance.get("sha256") or {path.name: file_digest(path) for path in input_paths(request)}
    if resumed is not None:
        check_same_inputs(request, resumed, inputs)
    check_rows_are_seen(prepared.problem, plan.views.fitted, plan.rows)
    # Angles, transform and noise are known only now, and with them how far the volume extends and how fine it is.
    prepared = _crop(prepared, plan, whole_problem=can_use_slabs(method, backend))
    return Opened(request, reader, method, options, backend, threads, prepared, inputs, existing, warn)


def _start(compilers: CompilersBeside | None, method: Method, options: Any, fit_offsets: bool, threads: int) -> None:
    """Let processes compile what a fit will call, in place of what they were started for if that was something else."""
    if compilers is not None and isinstance(method, ListsKernels):
        compilers.start(method.list_of_kernels(options, fit_offsets), threads)


def _crop(prepared: Prepared, plan: Plan, whole_problem: bool) -> Prepared:
    """Only the rows that are reconstructed; of the problem too, unless the method is to see whole views."""
    problem, held_out = prepared.problem, prepared.held_out
    if plan.rows == (0, plan.shape.n_y):
        return prepared
    return replace(
        prepared,
        problem=problem if whole_problem else crop_rows(problem, plan.rows),
        held_out=None if held_out is None else held_out.crop(*plan.rows),
    )


def name_volume(request: ReconstructionRequest, plan: Plan) -> str:
    """Name the volume of a job and its method, for messages.

    Parameters
    ----------
    request : ReconstructionRequest
    plan : Plan

    Returns
    -------
    str
    """
    return f"a volume of {size_text(plan)} by {request.method}"


def size_text(plan: Plan) -> str:
    """Say how many voxels a volume has along x, y and z.

    Parameters
    ----------
    plan : Plan

    Returns
    -------
    str
    """
    shape = plan.volume_shape
    return f"{shape.n_u} x {shape.n_y} x {shape.thickness_px} voxels"
