"""From a request to a volume in memory: what can be refused is refused first, then the series is read and fitted.

Nothing is written here but the state of the run; :mod:`tomokit.pipeline.driver` writes the tomogram.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.data.levelling import mean_density
from tomokit.data.linearization import Linearization
from tomokit.errors import OptionError, TomokitError
from tomokit.io.digest import file_digest
from tomokit.io.volume_file import VolumeFile
from tomokit.methods.capabilities import HasStructure, ResolvesParameters, StartsOnStructure
from tomokit.methods.interface import Method, Run
from tomokit.methods.slabs import ReconstructsInSlabs, RunInSlabs, Slabs, crop_rows, slab_bounds
from tomokit.pipeline.backend import choose_backend, use_threads
from tomokit.pipeline.checkpoint import Checkpoints, History
from tomokit.pipeline.config import method_options
from tomokit.pipeline.doubts import check_alignment, doubt_result
from tomokit.pipeline.filter_requests import check_view_weights
from tomokit.pipeline.fit_memory import choose_slabs, least_bytes_of_fit
from tomokit.pipeline.fitting import fit
from tomokit.pipeline.half_jobs import (
    MAPS,
    check_half_outputs,
    check_halves,
    half_of,
    half_record,
    half_request,
)
from tomokit.pipeline.known_geometry import KnownGeometry, read_request_alignment
from tomokit.pipeline.memory import check_disk, check_memory
from tomokit.pipeline.outputs import check_outputs, input_paths
from tomokit.pipeline.plan import Plan, make_plan
from tomokit.pipeline.prepare import Prepared, prepare
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.provenance import Provenance, header_labels, job_record, make_provenance, plugins_used
from tomokit.pipeline.readers import Reader
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resumption import Resumed, check_same_half, check_same_inputs, check_same_lattice, make_job
from tomokit.pipeline.rows import check_rows_are_seen
from tomokit.pipeline.signals import Stop
from tomokit.pipeline.slabs import SlabFiles, can_use_slabs, check_slabs
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
        return _size_is_known(self.prepared)


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
    opened = open_job(request, reader, progress, resumed)
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


def open_job(
    request: ReconstructionRequest, reader: Reader, progress: Progress, resumed: Resumed | None = None
) -> Opened:
    """Refuse what can be refused, and read the series.

    Parameters
    ----------
    request, reader, progress, resumed
        As of :func:`compute`.

    Returns
    -------
    Opened

    Raises
    ------
    TomokitError
        As of :func:`compute`.
    """
    method = get_registry().get("method", request.method)()
    options = method_options(method, request.options)
    # What a resumed run has to say was told when its state was read.
    warn = Warner([] if resumed is None else list(resumed.warnings), progress)
    check_view_weights(request, method)
    backend = choose_backend(request.backend, method, options, warn)
    # From here to the reading nothing but headers is looked at: what can be refused is refused within a second.
    stack_shape = reader.shape(request.stack)
    alignment = read_request_alignment(request, stack_shape, warn)
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
    check_memory(_LIBRARIES_BYTES + max(plan.bytes_of_reading(masked), least_bytes), _what(request, plan))
    check_halves(request, plan)
    request.form.binned_shape(plan.box.levelling.shape_zyx)
    if request.output is not None:
        volumes = 3 + len(MAPS) if request.halves else 1
        check_disk(request.output, volumes * (4 * math.prod(plan.box.levelling.shape_zyx) + _HEADER_BYTES))
    threads = use_threads(request.threads)

    begun = None if resumed is None else Linearization.from_json(resumed.state.provenance["linearization"])
    prepared = prepare(request, plan, reader, backend, begun, progress, alignment)
    plan = prepared.plan
    for text in prepared.warnings:
        warn(text)
    inputs = prepared.series.provenance.get("sha256") or {path.name: file_digest(path) for path in input_paths(request)}
    if resumed is not None:
        check_same_inputs(request, resumed, inputs)
    check_rows_are_seen(prepared.problem, plan.views.fitted, plan.rows)
    # Angles, transform and noise are known only now, and with them how far the volume extends and how fine it is.
    prepared = _crop(prepared, plan, whole_problem=can_use_slabs(method, backend))
    return Opened(request, reader, method, options, backend, threads, prepared, inputs, existing, warn)


def _solve(opened: Opened, progress: Progress, stop: Stop, files: SlabFiles, resumed: Resumed | None) -> Computed:
    """Fit what has been read."""
    request, method, options, backend = opened.request, opened.method, opened.options, opened.backend
    prepared, plan, warn = opened.prepared, opened.prepared.plan, opened.warn
    of_half = "" if opened.half is None else f"{opened.half} half: "
    slabs = choose_slabs(request, plan, prepared.problem, method, options, backend, _what(request, plan))
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
            made_in = files.make_volume(cast(RunInSlabs, run), _units_scale(prepared))
            density = made_in.mapped()
        else:
            values = run.volume()
            # The run's arrays are not needed any more, and memory may be short.
            del run
            density = _in_units_of_output(values, prepared)
            if not plan.box.is_level(density.shape[2]):
                density = plan.box.levelling.apply(density, mean_density(density))
        volume = _make_volume(density, plan, prepared, provenance)
    return Computed(
        volume, offsets, prepared, history, provenance, checkpoints, epochs, options, backend, opened.threads,
        opened.inputs, warn.warnings, opened, max(slabs, 1), made_in, opened.existing, structure,
    )  # fmt: skip


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
        "voxel_size_is_known": _size_is_known(prepared),
        "units_scale": float(_units_scale(prepared)),
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


def _in_units_of_output(values_xzy: NDArray[np.float32], prepared: Prepared) -> NDArray[np.float32]:
    """The density ``[z, y, x]`` in the units of the output, from a run's densities ``[x, z, y]``."""
    # They may be read-only or a view of what the run keeps: only then a copy is made to be scaled.
    own = values_xzy.flags.writeable and values_xzy.flags.owndata
    scaled = np.multiply(values_xzy, _units_scale(prepared), out=values_xzy if own else None)
    return np.ascontiguousarray(scaled.transpose(1, 2, 0))


def _make_volume(density: NDArray[np.float32], plan: Plan, prepared: Prepared, provenance: Provenance) -> Volume:
    """The volume with its size, its place in that of all rows, and what its header tells; never one with NaN."""
    # One sum tells: infinities and NaN survive it, and finite single precision does not overflow a double.
    if not np.isfinite(density.sum(dtype=np.float64)):
        raise OptionError(
            "the tomogram is not finite: the fit has diverged",
            field="options",
            remedy="lower the learning rate or the weights",
        )
    voxel_size = prepared.series.pixel_size_angstrom
    x, y, z = (place * voxel_size for place in plan.box.origin_px)
    return Volume(density, voxel_size, (x, y, z), header_labels(provenance))


def _units_scale(prepared: Prepared) -> np.float32:
    """What a run's densities are multiplied by to be in the units of the output."""
    return np.float32(prepared.linearization.volume_scale(prepared.problem.geometry.kappa))


def _size_is_known(prepared: Prepared) -> bool:
    return bool(prepared.series.provenance.get("pixel_size_source") != "none")


def _what(request: ReconstructionRequest, plan: Plan) -> str:
    return f"a volume of {_size_text(plan)} by {request.method}"


def _size_text(plan: Plan) -> str:
    shape = plan.volume_shape
    return f"{shape.n_u} x {shape.n_y} x {shape.thickness_px} voxels"


def _volume_text(plan: Plan, slabs: int) -> str:
    return f"volume of {_size_text(plan)}" + (f" in {slabs} slabs" if slabs > 1 else "")
