"""From a request to a volume in memory: a job is opened (:mod:`tomokit.pipeline.opening`), and then fitted.

Nothing is written here but the state of the run; :mod:`tomokit.pipeline.driver` writes the tomogram.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.data.levelling import mean_density
from tomokit.errors import TomokitError
from tomokit.io.volume_file import VolumeFile
from tomokit.kernels.ahead import CompilersBeside
from tomokit.methods.capabilities import HasStructure, ResolvesParameters, StartsOnStructure
from tomokit.methods.interface import Run
from tomokit.methods.slabs import ReconstructsInSlabs, RunInSlabs, Slabs, crop_rows, slab_bounds
from tomokit.pipeline.checkpoint import Checkpoints, History
from tomokit.pipeline.config import method_options
from tomokit.pipeline.doubts import doubt_result
from tomokit.pipeline.fit_memory import choose_slabs
from tomokit.pipeline.fitting import fit
from tomokit.pipeline.half_jobs import (
    half_of,
    half_record,
    half_request,
)
from tomokit.pipeline.opening import Opened, Warner, name_volume, open_job, size_text
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.prepare import Prepared
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.provenance import Provenance, make_provenance, plugins_used
from tomokit.pipeline.readers import Reader
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resumption import Resumed, check_same_half, make_job
from tomokit.pipeline.signals import Stop
from tomokit.pipeline.slabs import SlabFiles
from tomokit.pipeline.volume_units import in_units_of_output, make_volume, size_is_known, units_scale
from tomokit.plugin.manager import get_registry

if TYPE_CHECKING:
    from tomokit.io.output_set import Existing


@dataclass(frozen=True)
class Computed:
    """What a fit gave, and all that the summary tells of it.

    Attributes
    ----------
    volume : Volume or None
        Densities ``[z, y, x]`` in the units of the output; None if the run was stopped.
    offsets : ndarray of float32, shape (n_views,), or None
        Additive offset of each fitted view, in units of the projections; None if the run was stopped.
    prepared : Prepared
        The problem that was fitted, and where it came from.
    history : list of dict
        What each epoch gave.
    provenance : dict
        What the result depends on (see :func:`tomokit.pipeline.provenance.make_provenance`).
    checkpoints : Checkpoints
        How often the state was saved.
    epochs : int
        Epochs finished.
    options : object
        Options of the method.
    backend : str
        Where it was computed.
    threads : int
        Threads that were used.
    inputs : dict of str to str
        SHA-256 of each input by its role.
    warnings : list of str
        What the user should know.
    opened : Opened
        The job that was fitted.
    slabs : int
        In how many slabs along the tilt axis the volume was reconstructed.
    made_in : VolumeFile or None
        The file that holds the volume already, where it was reconstructed in slabs.
    existing : dict
        What is done about outputs that are there (see :func:`tomokit.pipeline.outputs.check_outputs`).
    structure : mapping or None
        What the run's structure has come to, where halves are to have the same.
    """

    volume: Volume | None
    offsets: NDArray[np.float32] | None
    prepared: Prepared
    history: History
    provenance: Provenance
    checkpoints: Checkpoints
    epochs: int
    options: Any
    backend: str
    threads: int
    inputs: dict[str, str]
    warnings: list[str]
    opened: Opened
    slabs: int = 1
    made_in: VolumeFile | None = None
    existing: Mapping[Path, Existing] = field(default_factory=dict)
    structure: Mapping[str, NDArray[Any]] | None = None

    @property
    def loss(self) -> float | None:
        """Total loss of the last epoch; None before the first."""
        return self.history[-1]["loss"] if self.history else None

    @property
    def size_is_known(self) -> bool:
        """Whether the voxel's edge was given, by the stack or the user, and not assumed."""
        return size_is_known(self.prepared)


def compute(
    request: ReconstructionRequest,
    reader: Reader,
    progress: Progress,
    stop: Stop,
    files: SlabFiles,
    resumed: Resumed | None = None,
) -> Computed:
    """Read and fit what `request` asks for.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    reader : Reader
        Reads the tilt series.
    progress : Progress
        Is told how the job goes.
    stop : Stop
        Ends the fit when it is requested; the state is saved, and there is no volume.
    files : SlabFiles
        Where a volume that is reconstructed in slabs lies.
    resumed : Resumed, optional
        What to go on from; the beginning if None.

    Returns
    -------
    Computed

    Raises
    ------
    TomokitError
        If an input, an option, an output or the machine does not allow it. A state without any step is removed then.
    """
    with CompilersBeside() as compilers:
        opened = open_job(request, reader, progress, resumed, compilers)
        return _solve(opened, progress, stop, files, resumed)


def compute_half(
    whole: Computed, half: str, progress: Progress, stop: Stop, files: SlabFiles, resumed: Resumed | None = None
) -> Computed:
    """Fit one half of the views of a job that has been computed, on the same grid and by the same scales.

    Parameters
    ----------
    whole : Computed
        The job, with a volume.
    half : {"even", "odd"}
    progress, stop, files, resumed
        As of :func:`compute`; the files and the state are this half's.

    Returns
    -------
    Computed
        Of the half alone; warnings are added to those of the whole.

    Raises
    ------
    TomokitError
        As of :func:`compute`, and if `resumed` is a state of another job.
    """
    request = half_request(whole.opened.request, half)
    prepared = half_of(whole.prepared, half)
    opened = replace(whole.opened, request=request, prepared=prepared, half=half, structure=whole.structure)
    return _solve(opened, progress, stop, files, resumed)


def compute_with(opened: Opened, options: Mapping[str, Any], progress: Progress) -> Computed:
    """Fit a series that has been read, with other options of the method.

    Parameters
    ----------
    opened : Opened
        A job without a state.
    options : mapping
        Options of the method, as a request has them.
    progress : Progress
        Is told how the fit goes.

    Returns
    -------
    Computed
        To the same bits as by a job of its own; its warnings are those of all fits of this series so far.

    Raises
    ------
    TomokitError
        As of :func:`compute`.
    """
    request = replace(opened.request, options=dict(options))
    built = method_options(opened.method, options)
    with SlabFiles(None) as files:
        return _solve(replace(opened, request=request, options=built), progress, Stop(), files, None)


def _solve(opened: Opened, progress: Progress, stop: Stop, files: SlabFiles, resumed: Resumed | None) -> Computed:
    """Fit what has been read."""
    request, method, options, backend = opened.request, opened.method, opened.options, opened.backend
    prepared, plan, warn = opened.prepared, opened.prepared.plan, opened.warn
    of_half = "" if opened.half is None else f"{opened.half} half: "
    slabs = choose_slabs(request, plan, prepared.problem, method, options, backend, name_volume(request, plan))
    progress.stage(f"{of_half}setting up {request.method}")
    # Nothing is fitted yet, but what follows from the data and the options is known when a run has been set up.
    run: Run
    if slabs and isinstance(method, ReconstructsInSlabs):
        make_store = partial(files.make_store, plan.box, plan.shape.n_u)
        run = method.start_in_slabs(prepared.problem, options, Slabs(slab_bounds(plan.rows, slabs), make_store))
    elif opened.structure is not None and isinstance(method, StartsOnStructure):
        run = method.start_on(prepared.problem, options, opened.structure)
    else:
        run = method.start(prepared.problem, options)
    used = plugins_used(get_registry(), request, options, opened.reader)
    resolved_parameters = run.resolved_parameters() if isinstance(run, ResolvesParameters) else {}
    record = make_provenance(request, options, backend, plan, prepared, opened.inputs, used, resolved_parameters)
    provenance = half_record(record, opened.half)
    if opened.half is not None and resumed is not None:
        check_same_half(provenance, resumed)
    checkpoints = _make_checkpoints(request, provenance, plan, prepared, resumed, warn)
    history = _begin_or_restore(run, resumed, checkpoints)
    # Of a half the state of the whole is there already.
    stop.is_resumable = stop.is_resumable or resumed is not None or checkpoints.written > 0
    progress.stage(f"{of_half}fitting {request.method} to {plan.shape.n_views} views, {_volume_text(plan, slabs)}")
    try:
        stopped = fit(run, prepared.held_out, history, checkpoints, stop, progress)
    except Exception:
        # A library may tell of a signal in its own way.
        if not stop.requested:
            checkpoints.discard_beginning()
        raise
    epochs, offsets, volume, made_in, structure = run.epoch, None, None, None, None
    if not stopped:
        if opened.half is None:
            for text in doubt_result(crop_rows(prepared.problem, plan.rows) if slabs else prepared.problem, history):
                warn(text)
        progress.stage(f"{of_half}making the volume")
        offsets = run.offsets()
        structure = run.structure() if request.halves and isinstance(run, HasStructure) else None
        if slabs:
            made_in = files.make_volume(cast(RunInSlabs, run), units_scale(prepared))
            density = made_in.mapped()
        else:
            values = run.volume()
            # The run's arrays are not needed any more, and memory may be short.
            del run
            density = in_units_of_output(values, prepared)
            if not plan.box.is_level(density.shape[2]):
                density = plan.box.levelling.apply(density, mean_density(density))
        volume = make_volume(density, plan, prepared, provenance)
    return Computed(
        volume, offsets, prepared, history, provenance, checkpoints, epochs, options, backend, opened.threads,
        opened.inputs, warn.warnings, opened, max(slabs, 1), made_in, opened.existing, structure,
    )  # fmt: skip


def _make_checkpoints(
    request: ReconstructionRequest,
    provenance: Provenance,
    plan: Plan,
    prepared: Prepared,
    resumed: Resumed | None,
    warn: Warner,
) -> Checkpoints:
    problem, series = prepared.problem, prepared.series
    lattice = {
        "shape_xzy": [problem.geometry.n_u, problem.thickness_px, plan.volume_shape.n_y],
        "first_row": plan.rows[0],
        "voxel_size_angstrom": float(series.pixel_size_angstrom),
        "voxel_size_is_known": size_is_known(prepared),
        "units_scale": float(units_scale(prepared)),
        "units": prepared.linearization.units,
        **({} if plan.box.is_level(problem.geometry.n_u) else {"level": plan.box.to_json()}),
    }
    return Checkpoints(
        request.state,
        provenance=provenance,
        job=make_job(request, resumed),
        lattice=lattice,
        epochs=request.state_epochs,
        seconds=request.state_seconds,
        warn=warn,
        # Where the state itself did not verify, its predecessor was read: that one stays until two are good again.
        predecessor="none" if resumed is None else "new" if resumed.used == resumed.path else "as it is",
        has_arrays=resumed is not None and bool(resumed.state.arrays),
    )


def _begin_or_restore(run: Run, resumed: Resumed | None, checkpoints: Checkpoints) -> History:
    """Save that the run begins, or bring it to where it was; its history so far."""
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


def _volume_text(plan: Plan, slabs: int) -> str:
    return f"volume of {size_text(plan)}" + (f" in {slabs} slabs" if slabs > 1 else "")
