"""Turn a request into a tomogram and its summary: computed, written, and told, for every method alike."""

from __future__ import annotations

import dataclasses
import time
from contextlib import ExitStack
from typing import Any, NamedTuple

from tomokit.data.views import excluded_views
from tomokit.pipeline.computation import Computed, compute
from tomokit.pipeline.half_jobs import HALVES, half_request
from tomokit.pipeline.half_sets import HalfSets, solve_halves, write_set
from tomokit.pipeline.held_out import advise
from tomokit.pipeline.memory import peak_bytes
from tomokit.pipeline.outputs import locked_outputs, write_outputs
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.progress import Progress, Silent
from tomokit.pipeline.readers import Reader, find_reader
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resumption import Resumed
from tomokit.pipeline.signals import Stop
from tomokit.pipeline.slabs import SlabFiles
from tomokit.version import __version__

Summary = dict[str, Any]


def reconstruct(
    request: ReconstructionRequest,
    progress: Progress | None = None,
    stop: Stop | None = None,
    resumed: Resumed | None = None,
) -> Summary:
    """Do what `request` asks for, and write the tomogram.

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
    return run_job(request, find_reader(request.stack), progress, stop, resumed).summary


def run_job(
    request: ReconstructionRequest,
    reader: Reader,
    progress: Progress | None = None,
    stop: Stop | None = None,
    resumed: Resumed | None = None,
) -> Finished:
    """Do what :func:`reconstruct` does, with a reader that is given, and keep the volume.

    Parameters
    ----------
    request : ReconstructionRequest
        The job; without an output nothing is written.
    reader : Reader
        Reads the tilt series.
    progress, stop, resumed
        As in :func:`reconstruct`.

    Returns
    -------
    Finished

    Raises
    ------
    TomokitError
        As in :func:`reconstruct`.
    """
    progress, stop = progress or Silent(), stop or Stop()
    began = time.perf_counter()
    has_preview, halves = False, None
    with ExitStack() as held:
        for job in (request, *(half_request(request, half) for half in HALVES if request.halves)):
            held.enter_context(locked_outputs(job))
        files = held.enter_context(SlabFiles(request.output))
        computed = compute(request, reader, progress, stop, files, resumed)
        if request.halves and computed.volume is not None:
            halves = solve_halves(computed, progress, stop, held, resumed)
        is_complete = computed.volume is not None and (halves is None or halves.stopped_in is None)
        if computed.volume is not None and is_complete and request.output is not None:
            progress.stage(f"writing {request.output.name}")
            record = {**computed.provenance, "epochs": computed.epochs, "loss": computed.loss}
            told: list[str] = []
            if halves is not None:
                has_preview = write_set(computed, halves, record, told.append)
            else:
                has_preview = write_outputs(
                    request,
                    computed.volume,
                    record,
                    computed.size_is_known,
                    made_in=computed.made_in,
                    existing=computed.existing,
                    warn=told.append,
                )
            for text in told:
                computed.warnings.append(text)
                progress.warning(text)
    seconds = time.perf_counter() - began
    return Finished(computed, _summarize(request, computed, halves, stop, has_preview, seconds), halves)


class Finished(NamedTuple):
    """A job that is done.

    Attributes
    ----------
    computed : Computed
        The volume and where it came from.
    summary : dict
        As of :func:`reconstruct`.
    halves : HalfSets or None
        The halves, if they were asked for and the fit of the whole was not stopped.
    """

    computed: Computed
    summary: Summary
    halves: HalfSets | None


def _summarize(
    request: ReconstructionRequest,
    computed: Computed,
    halves: HalfSets | None,
    stop: Stop,
    has_preview: bool,
    seconds: float,
) -> Summary:
    prepared, volume, checkpoints = computed.prepared, computed.volume, computed.checkpoints
    stopped = volume is None or (halves is not None and halves.stopped_in is not None)
    written = not stopped and request.output is not None
    voxel_size = prepared.series.pixel_size_angstrom
    return {
        "method": request.method,
        "backend": computed.backend,
        "output": str(request.output) if written else None,
        "preview": str(request.preview_path) if has_preview else None,
        "provenance_file": str(request.provenance_path) if written and request.provenance_path is not None else None,
        "shape": None if volume is None else list(volume.density.shape),
        "stored": None if not written or request.form.is_plain else dataclasses.asdict(request.form),
        "voxel_size_angstrom": float(voxel_size),
        "parameters": {**request.settings(), "options": dataclasses.asdict(computed.options)},
        "views": {**computed.provenance["views"], **_summarize_excluded(request, prepared.plan)},
        "linearization": prepared.linearization.to_json(),
        "refinement": computed.provenance["series"].get("refinement"),
        "epochs": computed.epochs,
        "loss": computed.loss,
        **_summarize_held_out(computed),
        "history": computed.history,
        "seconds": seconds,
        "peak_memory_bytes": peak_bytes(),
        "threads": computed.threads,
        "slabs": computed.slabs,
        "seed": request.seed,
        "state": None if request.state is None else str(request.state),
        "checkpoints": {"written": checkpoints.written, "failed": checkpoints.failed, "seconds": checkpoints.cost_s},
        "halves": None if halves is None else halves.summary(request, written),
        "stopped_by": stop.signal if stopped else None,
        "inputs": computed.inputs,
        "provenance": prepared.series.provenance,
        "warnings": computed.warnings,
        "version": __version__,
    }


def _summarize_excluded(request: ReconstructionRequest, plan: Plan) -> dict[str, list[int]]:
    """Views that the user or the alignment has left out by number, by both ways of counting."""
    given = excluded_views(plan.stack_shape[0], request.exclude, request.exclude_from_1)
    excluded = sorted(given | set(plan.not_aligned))
    return {"excluded": excluded, "excluded_from_1": [view + 1 for view in excluded]}


def _summarize_held_out(computed: Computed) -> dict[str, Any]:
    held_out, history = computed.prepared.held_out, computed.history
    if held_out is None or not history:
        return {"held_out": None, "best_epoch": None}
    best = max(history, key=lambda entry: entry["held_out"]["correlation"])
    last = history[-1]["held_out"]
    correlations = [entry["held_out"]["correlation"] for entry in history]
    advice = advise(correlations, [item.name for item in dataclasses.fields(computed.options)])
    return {
        "held_out": {
            "views": list(held_out.views),
            # The last epoch of a state from before there were rings has none.
            "ring_correlation": None,
            "mean_ring_correlation": None,
            **last,
            "ceiling": held_out.ceiling(),
            "advice": advice,
        },
        "best_epoch": best["epoch"],
    }
