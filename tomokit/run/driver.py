"""Turn a request into a tomogram. Progress, scores, checks and outputs are here once, for every method."""

from __future__ import annotations

import dataclasses
import math
import time
from typing import Any

import numpy as np

from tomokit import __version__
from tomokit.errors import OptionError
from tomokit.methods.contract import ProblemShape, Run
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import build_options
from tomokit.run.backend import choose_backend, use_threads
from tomokit.run.held_out import HeldOut
from tomokit.run.memory import check_disk, check_memory, peak_bytes
from tomokit.run.outputs import check_outputs, digest, input_paths, write_outputs
from tomokit.run.prepare import Plan, Prepared, make_plan, prepare
from tomokit.run.progress import Progress, Silent
from tomokit.run.readers import find_reader
from tomokit.run.request import ReconstructionRequest

Summary = dict[str, Any]

_HEADER_BYTES = 1024
_LIBRARIES_BYTES = 128 << 20


def reconstruct(request: ReconstructionRequest, progress: Progress | None = None) -> Summary:
    """Do what `request` asks for and write the tomogram.

    Everything that can be refused without computing is refused first: method, options, backend, outputs, views, memory.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    progress : Progress, optional
        Is told how the job goes.

    Returns
    -------
    dict
        The summary, JSON-serializable; its keys are in ``docs/cli.md``.

    Raises
    ------
    TomokitError
        If an input, an option, an output or the machine does not allow it. Nothing is left behind then, nor when the
        job is interrupted.
    """
    progress = progress or Silent()
    began = time.perf_counter()
    method = get_registry().get("method", request.method)()
    options = build_options(method.Options, request.options, f"method {request.method}")
    backend = choose_backend(request.backend)
    reader = find_reader(request.stack)
    plan = make_plan(request, reader.shape(request.stack))
    check_outputs(request)
    what = f"a volume of {_size(plan)} by {request.method}"
    before = plan.bytes_before_fit(masked=request.mask is not None or request.xf is not None)
    check_memory(_LIBRARIES_BYTES + before + _bytes_of_fit(plan.shape, method, options), what)
    check_disk(request.output, plan.shape.volume_bytes + _HEADER_BYTES)
    threads = use_threads(request.threads)

    progress.stage(f"reading {request.stack.name}")
    prepared = prepare(request, plan, reader, backend)
    inputs = prepared.series.provenance.get("sha256") or {path.name: digest(path) for path in input_paths(request)}
    # Angles and transform are known only now, and with them how far the volume extends beyond the field.
    check_memory(_bytes_of_fit(ProblemShape.of(prepared.problem), method, options), what)
    run = method.start(prepared.problem, options)
    progress.stage(f"fitting {request.method} to {plan.shape.n_views} views, volume of {_size(plan)}")
    history = _fit(run, prepared.held_out, progress)
    progress.stage(f"writing {request.output.name}")
    values, epochs = run.volume(), run.epoch
    # The run's arrays are not needed any more, and memory may be short; its volume may be read-only or a view.
    del run
    scale = np.float32(prepared.transform.volume_scale(prepared.problem.geometry.kappa))
    own = values.flags.writeable and values.flags.owndata
    values = np.multiply(values, scale, out=values if own else None)
    provenance = _provenance(request, prepared, inputs)
    size_is_known = prepared.series.provenance.get("pixel_size_source") != "none"
    volume = write_outputs(request, values, prepared.series.pixel_size_angstrom, provenance, size_is_known)
    return {
        "method": request.method,
        "backend": backend,
        "output": str(request.output),
        "preview": None if request.preview_path is None else str(request.preview_path),
        "shape": list(volume.values.shape),
        "voxel_size_angstrom": float(volume.voxel_size_angstrom),
        "parameters": {**request.settings(), "options": dataclasses.asdict(options)},
        "views": {"fitted": list(plan.views.fitted), "held_out": list(plan.views.held_out)},
        "transform": prepared.transform.to_json(),
        "epochs": epochs,
        "loss": history[-1]["loss"] if history else None,
        **_held_out_summary(prepared, history),
        "history": history,
        "seconds": time.perf_counter() - began,
        "peak_memory_bytes": peak_bytes(),
        "threads": threads,
        "seed": request.seed,
        "state": None,
        "inputs": inputs,
        "provenance": prepared.series.provenance,
        "warnings": prepared.warnings,
        "version": __version__,
    }


def _fit(run: Run, held_out: HeldOut | None, progress: Progress) -> list[dict[str, Any]]:
    """All epochs; what each gave."""
    history: list[dict[str, Any]] = []
    while run.epoch < run.epochs:
        began = time.perf_counter()
        terms = {name: float(value) for name, value in run.advance().items()}
        loss = terms.setdefault("loss", math.nan)
        spoilt = [name for name, value in terms.items() if not math.isfinite(value)]
        if spoilt:
            which = ", ".join(name for name in spoilt if name != "loss") or "loss"
            raise OptionError(
                f"no finite number any more in epoch {run.epoch}: {which}",
                field="options",
                remedy="take smaller steps, or less weight",
            )
        entry: dict[str, Any] = {"epoch": run.epoch, "loss": loss, "terms": terms}
        entry["held_out"] = None if held_out is None else held_out.score(run)
        entry["seconds"] = time.perf_counter() - began
        history.append(entry)
        correlation = None if held_out is None else entry["held_out"]["correlation"]
        progress.epoch(run.epoch, run.epochs, terms, correlation)
    return history


def _held_out_summary(prepared: Prepared, history: list[dict[str, Any]]) -> dict[str, Any]:
    if prepared.held_out is None or not history:
        return {"held_out": None, "best_epoch": None}
    best = max(history, key=lambda entry: entry["held_out"]["correlation"])
    last = history[-1]["held_out"]
    return {"held_out": {"views": list(prepared.held_out.views), **last}, "best_epoch": best["epoch"]}


def _provenance(request: ReconstructionRequest, prepared: Prepared, inputs: dict[str, str]) -> dict[str, Any]:
    """What goes into the header's ten labels of 80 characters, the essential first; the digest is the stack's."""
    transform = prepared.transform
    numbers = " ".join(f"{name}={getattr(transform, name):.6g}" for name in ("imin", "imax", "scale"))
    return {
        "method": request.method,
        "transform": f"{transform.kind} {numbers}",
        "units": transform.units,
        "seed": request.seed,
        "bin": request.bin,
        "stack": request.stack.name,
        "sha256": next(iter(inputs.values())),
    }


def _bytes_of_fit(shape: ProblemShape, method: Any, options: Any) -> int:
    """Peak bytes of fitting or writing, whichever takes more, beyond the problem.

    When the fit is done the run gives a copy of its volume; the transposed one is made when the run is gone.
    """
    return int(max(method.estimate_bytes(shape, options) + shape.volume_bytes, 2 * shape.volume_bytes))


def _size(plan: Plan) -> str:
    return f"{plan.shape.n_u} x {plan.shape.n_y} x {plan.shape.thickness_px} voxels"
