"""Turn a request into a tomogram. Progress, scores, checks and outputs are here once, for every method."""

from __future__ import annotations

import dataclasses
import time
from typing import Any

import numpy as np

from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import TomokitError
from tomokit.methods.interface import Run
from tomokit.methods.pausing import ResolvesParameters
from tomokit.pipeline.backend import choose_backend, use_threads
from tomokit.pipeline.checkpoint import Checkpoints
from tomokit.pipeline.fitting import fit
from tomokit.pipeline.memory import check_disk, check_memory, peak_bytes
from tomokit.pipeline.outputs import check_outputs, digest, input_paths, write_outputs
from tomokit.pipeline.prepare import Plan, Prepared, make_plan, prepare
from tomokit.pipeline.progress import Progress, Silent
from tomokit.pipeline.provenance import make_provenance, plugins_used
from tomokit.pipeline.readers import find_reader
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resumption import Resumed, check_same_inputs, make_job
from tomokit.pipeline.signals import Stop
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import build_options
from tomokit.version import __version__

Summary = dict[str, Any]

_HEADER_BYTES = 1024
_LIBRARIES_BYTES = 128 << 20


def reconstruct(
    request: ReconstructionRequest,
    progress: Progress | None = None,
    stop: Stop | None = None,
    resumed: Resumed | None = None,
) -> Summary:
    """Do what `request` asks for and write the tomogram.

    Everything that can be refused without computing is refused first: method, options, backend, outputs, views, memory.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    progress : Progress, optional
        Is told how the job goes.
    stop : Stop, optional
        Ends the fit when it is requested: the state is saved, no tomogram is written, and the summary's ``stopped_by``
        says so.
    resumed : Resumed, optional
        What to go on from (see :func:`tomokit.pipeline.resume.resume`).

    Returns
    -------
    dict
        The summary, JSON-serializable; its keys are in ``docs/cli.md``.

    Raises
    ------
    TomokitError
        If an input, an option, an output or the machine does not allow it. Nothing is left behind then, nor when the
        job is interrupted, but for a state that steps have gone into.
    """
    progress, stop = progress or Silent(), stop or Stop()
    began = time.perf_counter()
    registry = get_registry()
    method = registry.get("method", request.method)()
    options = build_options(method.Options, request.options, f"method {request.method}")
    told: list[str] = []
    backend = choose_backend(request.backend, method, options, told.append)
    reader = find_reader(request.stack)
    plan = make_plan(request, reader.shape(request.stack))
    check_outputs(request, going_on=resumed is not None)
    what = f"a volume of {_size(plan)} by {request.method}"
    before = plan.bytes_before_fit(masked=request.mask is not None or request.xf is not None)
    fit_bytes = _bytes_with_volume(method.estimate_bytes(plan.shape, options), plan.shape)
    check_memory(_LIBRARIES_BYTES + before + fit_bytes, what)
    check_disk(request.output, plan.shape.volume_bytes + _HEADER_BYTES)
    threads = use_threads(request.threads)

    progress.stage(f"reading {request.stack.name}")
    prepared = prepare(request, plan, reader, backend)
    inputs = prepared.series.provenance.get("sha256") or {path.name: digest(path) for path in input_paths(request)}
    if resumed is not None:
        check_same_inputs(request, resumed, inputs)
    # Angles, transform and noise are known only now, and with them how far the volume extends and how fine it is.
    check_memory(_bytes_of_problem(prepared.problem, method, options), what)
    run = method.start(prepared.problem, options)
    used, resolved_parameters = (
        plugins_used(registry, request, options, reader),
        run.resolved_parameters() if isinstance(run, ResolvesParameters) else {},
    )
    provenance = make_provenance(request, options, backend, plan, prepared, inputs, used, resolved_parameters)
    warnings = [*told, *prepared.warnings, *(() if resumed is None else resumed.warnings)]
    checkpoints = _checkpoints(request, provenance, prepared, resumed, _Warner(warnings, progress))
    history = _start(run, resumed, checkpoints)
    progress.stage(f"fitting {request.method} to {plan.shape.n_views} views, volume of {_size(plan)}")
    try:
        stopped = fit(run, prepared.held_out, history, checkpoints, stop, progress)
    except TomokitError:
        checkpoints.discard_beginning()
        raise
    epochs, shape, voxel_size = run.epoch, None, prepared.series.pixel_size_angstrom
    if not stopped:
        progress.stage(f"writing {request.output.name}")
        values = run.volume()
        # The run's arrays are not needed any more, and memory may be short; its volume may be read-only or a view.
        del run
        scale = np.float32(prepared.linearization.volume_scale(prepared.problem.geometry.kappa))
        own = values.flags.writeable and values.flags.owndata
        values = np.multiply(values, scale, out=values if own else None)
        record = {**provenance, "epochs": epochs, "loss": history[-1]["loss"] if history else None}
        volume = write_outputs(request, values, voxel_size, record, _size_is_known(prepared))
        shape, voxel_size = list(volume.values.shape), volume.voxel_size_angstrom
    return {
        "method": request.method,
        "backend": backend,
        "output": None if stopped else str(request.output),
        "preview": None if stopped or request.preview_path is None else str(request.preview_path),
        "provenance_file": None if stopped else str(request.provenance_path),
        "shape": shape,
        "voxel_size_angstrom": float(voxel_size),
        "parameters": {**request.settings(), "options": dataclasses.asdict(options)},
        "views": provenance["views"],
        "linearization": prepared.linearization.to_json(),
        "epochs": epochs,
        "loss": history[-1]["loss"] if history else None,
        **_held_out_summary(prepared, history),
        "history": history,
        "seconds": time.perf_counter() - began,
        "peak_memory_bytes": peak_bytes(),
        "threads": threads,
        "seed": request.seed,
        "state": None if request.state is None else str(request.state),
        "checkpoints": {"written": checkpoints.written, "failed": checkpoints.failed, "seconds": checkpoints.cost_s},
        "stopped_by": stop.signal if stopped else None,
        "inputs": inputs,
        "provenance": prepared.series.provenance,
        "warnings": warnings,
        "version": __version__,
    }


class _Warner:
    """Puts a warning into the summary, and tells it at once."""

    def __init__(self, warnings: list[str], progress: Progress) -> None:
        self._warnings, self._progress = warnings, progress

    def __call__(self, text: str) -> None:
        self._warnings.append(text)
        self._progress.warning(text)


def _checkpoints(
    request: ReconstructionRequest,
    provenance: dict[str, Any],
    prepared: Prepared,
    resumed: Resumed | None,
    warn: _Warner,
) -> Checkpoints:
    problem, series = prepared.problem, prepared.series
    lattice = {
        "shape_xzy": [problem.geometry.n_u, problem.thickness_px, problem.geometry.n_v],
        "voxel_size_angstrom": float(series.pixel_size_angstrom),
        "voxel_size_is_known": _size_is_known(prepared),
        "units_scale": float(np.float32(prepared.linearization.volume_scale(problem.geometry.kappa))),
        "units": prepared.linearization.units,
    }
    return Checkpoints(
        request.state,
        provenance=provenance,
        job=make_job(request),
        lattice=lattice,
        epochs=request.state_epochs,
        seconds=request.state_seconds,
        warn=warn,
        predecessor="none" if resumed is None else "new" if resumed.used == resumed.path else "as it is",
    )


def _start(run: Run, resumed: Resumed | None, checkpoints: Checkpoints) -> list[dict[str, Any]]:
    """Save that the run begins, or go on from where it was; its history so far."""
    if resumed is None:
        checkpoints.begin(run)
        return []
    if resumed.state.arrays:
        try:
            run.restore(resumed.state.epoch, resumed.state.arrays)
        except TomokitError as error:
            error.file = error.file or str(resumed.used)
            raise
    return list(resumed.state.history)


def _size_is_known(prepared: Prepared) -> bool:
    return bool(prepared.series.provenance.get("pixel_size_source") != "none")


def _held_out_summary(prepared: Prepared, history: list[dict[str, Any]]) -> dict[str, Any]:
    if prepared.held_out is None or not history:
        return {"held_out": None, "best_epoch": None}
    best = max(history, key=lambda entry: entry["held_out"]["correlation"])
    last = history[-1]["held_out"]
    return {"held_out": {"views": list(prepared.held_out.views), **last}, "best_epoch": best["epoch"]}


def _bytes_with_volume(fit_bytes: int, shape: ProblemShape) -> int:
    """Peak bytes of fitting or writing, whichever takes more, beyond the problem.

    When the fit is done the run gives a copy of its volume; the transposed one is made when the run is gone.
    """
    return max(fit_bytes + shape.volume_bytes, 2 * shape.volume_bytes)


def _bytes_of_problem(problem: Problem, method: Any, options: Any) -> int:
    """The same of a problem that has been read; of its sizes alone if the method asks for no more."""
    shape, of_data = ProblemShape.of(problem), getattr(method, "estimate_bytes_of", None)
    fit_bytes = method.estimate_bytes(shape, options) if of_data is None else of_data(problem, options)
    return _bytes_with_volume(fit_bytes, shape)


def _size(plan: Plan) -> str:
    return f"{plan.shape.n_u} x {plan.shape.n_y} x {plan.shape.thickness_px} voxels"
