"""The problem of a saved run, prepared anew from its inputs, for what looks at its views afterwards."""

from __future__ import annotations

from pathlib import Path

from tomokit.data.linearization import Linearization
from tomokit.errors import InputError
from tomokit.io.digest import file_digest
from tomokit.pipeline.known_geometry import KnownGeometry, read_request_alignment
from tomokit.pipeline.memory import check_memory
from tomokit.pipeline.outputs import input_paths
from tomokit.pipeline.plan import make_plan
from tomokit.pipeline.prepare import Prepared, prepare
from tomokit.pipeline.provenance import check_inputs
from tomokit.pipeline.readers import find_reader
from tomokit.pipeline.refined_series import Refinement
from tomokit.pipeline.request import FILES, ReconstructionRequest
from tomokit.pipeline.resume import request_of_state
from tomokit.state.record import State


def prepare_again(state: State, path: Path) -> tuple[ReconstructionRequest, Prepared]:
    """Read the inputs of a run again, and make of them what it fitted and what it was scored on.

    Parameters
    ----------
    state : State
        With its provenance and its job.
    path : Path
        Its file, beside which inputs are looked for too.

    Returns
    -------
    request : ReconstructionRequest
        The job, without outputs.
    prepared : Prepared
        Its views, on the CPU.

    Raises
    ------
    InputError
        If the state does not say which they are, one is not found or not the one that the run had, or cannot be used.
    TomokitError
        If a setting is none of this version, or memory is short.
    """
    if not state.provenance or not state.job:
        raise InputError("the state does not say which they are", file=path)
    request = request_of_state(state, path)
    reader = find_reader(request.stack)
    stack_shape = reader.shape(request.stack)
    warnings: list[str] = []
    alignment = read_request_alignment(request, stack_shape, warnings.append)
    plan = make_plan(request, stack_shape, KnownGeometry.of(request, reader, alignment))
    check_memory(plan.bytes_of_reading(masked=True), f"reading {request.stack.name}", "leave the views out")
    linearization = Linearization.from_json(state.provenance["linearization"])
    refinement = None if request.refine is None else Refinement.from_record(state.provenance, path)
    prepared = prepare(request, plan, reader, "cpu", linearization, alignment=alignment, refinement=refinement)
    prepared.warnings.extend(warnings)
    inputs = prepared.series.provenance.get("sha256") or {file.name: file_digest(file) for file in input_paths(request)}
    files = {role: file for role in FILES if (file := getattr(request, role)) is not None}
    check_inputs(inputs, state.provenance["inputs"], files, path)
    return request, prepared
