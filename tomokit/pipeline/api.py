"""Reconstruction for users of Python: :func:`tomokit.reconstruct`, :func:`tomokit.resume` and what they return.

Both go the way of the command line, through the same request and the same driver, and give the same bits.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries, Volume
from tomokit.errors import OptionError, TomokitError
from tomokit.pipeline.config import build_request
from tomokit.pipeline.driver import Finished, Summary, run_job
from tomokit.pipeline.folder import find_series, is_series_folder, named_fields
from tomokit.pipeline.in_memory import SeriesInMemory
from tomokit.pipeline.naming import with_named_output
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.readers import Reader, find_reader
from tomokit.pipeline.resume import load_resumption

PathLike = str | os.PathLike[str]


@dataclass(frozen=True)
class Reconstruction:
    """A tomogram, and how it came about.

    Attributes
    ----------
    volume : Volume
        Densities ``[z, y, x]``, float32, with the edge of a voxel in ångström. Their unit is ``summary["linearization"]
        ["volume_units"]``; for a series of line integrals a projection of the volume is the series itself.
    summary : dict
        What ``tomokit reconstruct --json`` prints, JSON-serializable; its keys are in ``docs/cli.md``.
    offsets : ndarray of float32, shape (n_views,)
        Additive offset of each fitted view, in units of the linearized projections; zeros where none was fitted.
    history : list of dict
        Of each epoch: ``epoch``, ``loss``, its ``terms``, the score of the ``held_out`` views, ``seconds``.
    provenance : dict
        What the result depends on, as in ``OUT.provenance.json``.
    halves : dict of str to Volume
        The ``even`` and the ``odd`` half, and the maps of their ``agreement``, of their ``noise``, of the
        ``coverage`` by views and of the ``trust`` in both, where halves were asked for. Their Fourier shell
        correlation is in `fsc`.
    fsc : dict or None
        As ``tomokit fsc --json`` prints it, of both halves.
    """

    volume: Volume
    summary: Summary
    offsets: NDArray[np.float32]
    history: list[dict[str, Any]]
    provenance: dict[str, Any]
    halves: dict[str, Volume] = field(default_factory=dict)
    fsc: dict[str, Any] | None = None


def reconstruct(
    series: TiltSeries | PathLike,
    *,
    thickness: int | None = None,
    method: str | None = None,
    options: Mapping[str, Any] | None = None,
    preset: str | None = None,
    output: PathLike | None = None,
    overwrite: bool = False,
    preview: bool = True,
    angles: PathLike | None = None,
    allow_unsorted: bool = False,
    mask: NDArray[Any] | PathLike | None = None,
    xf: PathLike | None = None,
    alignment: PathLike | None = None,
    aligned: bool = False,
    tilt_offset: float | None = None,
    x_tilt: float | None = None,
    x_tilt_error: float | None = None,
    pixel_size: float | None = None,
    linearization: str | None = None,
    percentiles: tuple[float, float] | None = None,
    offsets: str | None = None,
    bin: int | None = None,
    y: str | tuple[int, int] | None = None,
    center: str | tuple[float, float, float] | None = None,
    size: str | tuple[int, int, int] | None = None,
    orientation: str | None = None,
    mode: str | None = None,
    invert_contrast: bool = False,
    output_bin: int | None = None,
    naming: str | None = None,
    exclude: str | Sequence[int] | None = None,
    exclude_from_1: str | Sequence[int] | None = None,
    halves: bool = False,
    half: str | None = None,
    hold_out: int | str | None = None,
    refine: str | None = None,
    keep_views: bool = False,
    padding: str | None = None,
    x_rays: str | None = None,
    dose: float | PathLike | None = None,
    dose_weighting: str | None = None,
    mask_beads: PathLike | None = None,
    ctf: PathLike | None = None,
    ctf_correction: str | None = None,
    voltage: float | None = None,
    cs: float | None = None,
    amplitude_contrast: float | None = None,
    defocus_gradient: str | None = None,
    view_weights: str | None = None,
    seed: int | None = None,
    backend: str | None = None,
    threads: int | None = None,
    slabs: int | None = None,
    state: PathLike | None = None,
    state_epochs: int | None = None,
    state_seconds: float | None = None,
    progress: Progress | None = None,
) -> Reconstruction:
    """Reconstruct a tomogram from a tilt series in memory or in a file.

    It is ``tomokit reconstruct`` for Python: the same names, the same defaults, the same bits. Nothing is written
    unless `output` or `state` is given.

    Parameters
    ----------
    series : TiltSeries or path-like
        Aligned views ``[tilt, y, x]``, tilt axis along y; a path is that of a stack, whose angles lie beside it. A
        series of :func:`tomokit.load_series` will do, as will one that was made of arrays.
    thickness : int
        Extent of the volume along z, in pixels of the series as given (before `bin`); it has no default.
    method : str, optional
        ``"octree"`` by default; `tomokit plugins list` shows the others.
    options : mapping, optional
        Options of the method by name, nested ones as mappings, such as ``{"epochs": 30}``.
    preset : str, optional
        Settings to start from, such as ``"quick"``; what is given here goes before them.
    output : path-like, optional
        MRC volume to write, with ``.png`` preview and ``.provenance.json`` beside it, all or none.
    overwrite : bool
        Whether outputs that exist may be replaced.
    preview : bool
        Whether the picture is written beside `output`.
    angles : path-like, optional
        File of the tilt angles, ``"START:STOP:STEP"``, or ``"header"`` for those of the extended header; default: the
        file beside the stack, else the header. A series in memory has its own.
    allow_unsorted : bool
        Whether angles may be in order of acquisition.
    mask : ndarray or path-like, optional
        1 where a pixel is used, 0 where it carries no weight (beads, padding). For a series in memory an array of shape
        (n_views, n_y, n_x), or (n_y, n_x) for all views; for a file the path of an MRC.
    xf : path-like, optional
        IMOD transforms from the raw stack to the aligned one; for files only.
    alignment : path-like, optional
        Alignment of a raw stack; for files only. A series of :func:`tomokit.load_series` has taken its own.
    aligned : bool
        Whether a file counts as aligned although its header or files beside it say that it is raw.
    tilt_offset : float, optional
        Degrees added to every angle, in place of the offset that an alignment says beside its angles.
    x_tilt : float, optional
        The specimen's rotation about x in degrees, sign of IMOD's XAXISTILT, in place of that of an alignment or of
        the series; the tomogram is level.
    x_tilt_error : float, optional
        Largest error in pixels at the faces of the volume that is accepted where x-axis tilts vary; 5 by default.
    pixel_size : float, optional
        Ångström per pixel, in place of the series' own.
    linearization : {"auto", "log", "linear", "invert"}, optional
        How images become projections: by the logarithm, as line integrals already, or negated.
    percentiles : tuple of float, optional
        Percentiles of the pixels, such as ``(0.01, 99.99)``, that scale the projections in place of the extremes.
    offsets : {"auto", "fit", "zero"}, optional
        Additive intensity offset of each view: fitted, zero, or fitted where the specimen fills the field.
    bin : int, optional
        Average squares of so many pixels first; 1 by default.
    y : str or tuple of int, optional
        Reconstruct only rows A to B - 1 along the tilt axis, ``"A:B"`` or ``(A, B)``, before `bin`.
    center : str or tuple of float, optional
        Centre ``(x, y, z)`` of the volume in pixels of the series from the tilt axis at the middle of the views.
    size : str or tuple of int, optional
        Extents ``(x, y, z)`` of the volume in pixels of the series, in place of `thickness` and `y`.
    orientation : {"xyz", "xzy"}, optional
        Axes of the MRC that is written, the fastest first; ``"xzy"`` is how IMOD's ``tilt`` writes a ``.rec``. What is
        returned is ``[z, y, x]`` all the same.
    mode : {"float32", "float16", "int16", "int8"}, optional
        Type of the numbers in the MRC that is written.
    invert_contrast : bool
        Whether densities are written with their sign changed.
    output_bin : int, optional
        Edge of the cubes of voxels that are averaged before the tomogram is written.
    naming : {"none", "aretomo", "relion", "warp"}, optional
        The program after whose manner the tomogram is named, in the folder that `output` then is.
    exclude : str or sequence of int, optional
        Views to leave out, from 0: ``[0, 3]`` or ``"0,3,7-9"``.
    exclude_from_1 : str or sequence of int, optional
        The same counted from 1; not with `exclude`.
    halves : bool
        Whether two halves of the views are reconstructed too, on the same grid and with the same weights, and compared.
    half : {"even", "odd"}, optional
        Keep only views of even or odd index.
    refine : str, optional
        What of the alignment is refined before the fit, such as ``"shifts,angles"``; the summary's ``refinement`` and
        files beside the output say how.
    hold_out : int or str, optional
        N: views with ``index % N == N // 2`` are not fitted, or ``"N:K"`` those with ``index % N == K``; how well they
        are predicted is in the summary.
    keep_views : bool
        Whether views that are black, constant or far darker than their neighbours are used, and not left out.
    padding : {"mask", "keep"}, optional
        What is done to edges of an aligned stack that are filled with a constant, where there is no image.
    x_rays : {"replace", "keep"}, optional
        What is done to isolated extreme pixels, as of x-rays and hot or dead pixels.
    dose : float or path-like, optional
        Electrons per square ångström of each view, an ``.mdoc``, or a text file with a line for each view, for
        `dose_weighting`; default: the ``.mdoc`` beside the stack.
    dose_weighting : {"off", "on"}, optional
        Whether each view is filtered by what its accumulated dose has left of every frequency.
    mask_beads : path-like, optional
        ``"auto"`` to find gold beads and mask them, or a model of them: IMOD's, or text of ``model2point``.
    ctf : path-like, optional
        Defocus of the views; see `ctf_correction`.
    ctf_correction : {"flip", "model", "model-from-peak"}, optional
        Whether `ctf` flips phases before the fit, or views are predicted through their contrast transfer, all of it or
        from its first peak on.
    voltage, cs, amplitude_contrast : float, optional
        Of the microscope, in kV and mm; default: what the file of `ctf` or `dose` says.
    defocus_gradient : {"on", "inverted", "off"}, optional
        How the tilt changes the defocus across the tilt axis.
    view_weights : {"off", "noise", "tilt"}, optional
        By what views are weighed in the data term.
    seed : int, optional
        Seed of every random choice; 0 by default.
    backend : {"auto", "cpu", "cuda", "reference"}, optional
        Where to compute; by default a GPU if there is one that runs the method, else the CPU.
    threads : int, optional
        Threads of the CPU; default: all. Changes no bit.
    slabs : int, optional
        In how many slabs along the tilt axis the volume is reconstructed, one in memory at a time, by methods that can;
        default: as many as memory asks for. The volume of more than one is a read-only memory map. Changes no bit.
    state : path-like, optional
        HDF5 file in which the run is saved as it goes on, for :func:`tomokit.resume`; for files only.
    state_epochs, state_seconds : int and float, optional
        Save it after every so many epochs, or seconds (600 by default).
    progress : Progress, optional
        An object with the methods of :class:`tomokit.pipeline.progress.Progress`, told of stages, epochs and warnings.

    Returns
    -------
    Reconstruction
        ``.volume``, ``.summary``, ``.offsets`` and ``.history``.

    Raises
    ------
    OptionError
        If an option is unknown, out of bounds, or does not go with a series in memory.
    TomokitError
        If the series, the output, the machine or a plugin does not allow it; each says what to do about it.

    Examples
    --------
    >>> import tomokit
    >>> series, truth = tomokit.simulate_series((16, 32, 32), range(-60, 61, 6), noise=0.05)
    >>> result = tomokit.reconstruct(series, thickness=16, method="sirt", options={"epochs": 5})
    >>> result.volume.density.shape, len(result.history)
    ((16, 32, 32), 5)
    """
    given: dict[str, Any] = {
        "output": output, "overwrite": overwrite, "preview": preview, "method": method, "thickness": thickness,
        "angles": angles, "allow_unsorted": allow_unsorted, "xf": xf, "alignment": alignment,
        "aligned": aligned, "tilt_offset": tilt_offset, "x_tilt": x_tilt, "x_tilt_error": x_tilt_error,
        "center": _joined(center), "size": _joined(size), "orientation": orientation, "mode": mode,
        "invert_contrast": invert_contrast, "output_bin": output_bin, "naming": naming,
        "pixel_size": pixel_size, "linearization": linearization, "percentiles": percentiles, "offsets": offsets,
        "bin": bin, "halves": halves, "half": half, "hold_out": hold_out, "refine": refine, "keep_views": keep_views,
        "padding": padding, "x_rays": x_rays, "seed": seed,
        "dose": None if dose is None else str(dose), "dose_weighting": dose_weighting, "ctf": ctf,
        "ctf_correction": ctf_correction, "voltage": voltage, "cs": cs,
        "amplitude_contrast": amplitude_contrast, "defocus_gradient": defocus_gradient,
        "view_weights": view_weights,
        "backend": backend, "threads": threads,
        "slabs": slabs, "y": y if y is None or isinstance(y, str) else ":".join(map(str, y)),
        "state": state, "state_epochs": state_epochs, "state_seconds": state_seconds,
        "mask_beads": mask_beads, "exclude": _as_list(exclude), "exclude_from_1": _as_list(exclude_from_1),
        "options": None if options is None else dict(options),
    }  # fmt: skip
    reader: Reader
    found = None
    if isinstance(series, TiltSeries):
        _refuse_files_of_a_stack(angles=angles, xf=xf, alignment=alignment, state=state)
        memory = SeriesInMemory(series, _as_mask(mask))
        reader, given["stack"] = memory, memory.path
    else:
        if mask is not None and not isinstance(mask, (str, os.PathLike)):
            raise OptionError(
                "an array, where the series is a file", field="mask", remedy="give a file, or tomokit.load_series first"
            )
        own, given["mask"] = None if angles is None else Path(angles), mask
        found = find_series(Path(series), own, named_fields(given)) if is_series_folder(Path(series)) else None
        given["stack"] = series if found is None else found.stack
        reader = find_reader(Path(given["stack"]))
    plain = {name: _as_request_value(value) for name, value in given.items()}
    request = with_named_output(build_request(plain, preset=preset, caller="reconstruct", found=found))
    return _as_result(run_job(request, reader, progress))


def resume(
    state: PathLike,
    *,
    output: PathLike | None = None,
    epochs: int | None = None,
    threads: int | None = None,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> Reconstruction:
    """Continue a reconstruction from its state, to the same bits as if it had never been interrupted.

    The state goes on to be saved in the same file.

    Parameters
    ----------
    state : path-like
        What ``reconstruct(..., state=...)`` or ``tomokit reconstruct --state`` wrote. If it is damaged, the state
        before it is used, with a warning.
    output : path-like, optional
        MRC volume to write; default: where the job began would have put it, or none if it began without one.
    epochs : int, optional
        Epochs of the whole run, the finished ones counted; default: as it began.
    threads : int, optional
        Default: as it began, or all where there are not so many. Changes no bit.
    overwrite : bool
        Whether outputs that exist may be replaced.
    progress : Progress, optional
        As of :func:`reconstruct`.

    Returns
    -------
    Reconstruction

    Raises
    ------
    TomokitError
        If no state verifies, it is of another version of tomokit or of other input, a plugin is missing, or as
        :func:`reconstruct`.

    Examples
    --------
    ::

        tomokit.reconstruct("tilts.mrc", thickness=320, state="run.h5")  # interrupted
        result = tomokit.resume("run.h5", output="tomogram.mrc")
    """
    where = None if output is None else Path(output)
    request, resumed = load_resumption(
        Path(state), where, epochs=epochs, threads=threads, overwrite=overwrite, progress=progress
    )
    return _as_result(run_job(request, find_reader(request.stack), progress, resumed=resumed))


def _as_result(finished: Finished) -> Reconstruction:
    computed, halves = finished.computed, finished.halves
    if computed.volume is None or computed.offsets is None:
        raise TomokitError("the run was stopped before it had a volume")
    volumes: dict[str, Volume] = {}
    if halves is not None and halves.maps is not None:
        volumes = {name: one.volume for name, one in halves.computed.items() if one.volume is not None}
        volumes |= halves.maps.by_name()
    fsc = None if halves is None else halves.fsc
    return Reconstruction(
        computed.volume, finished.summary, computed.offsets, computed.history, computed.provenance, volumes, fsc
    )


def _refuse_files_of_a_stack(**files: PathLike | None) -> None:
    """Refuse options that make sense for a stack in a file only."""
    for name, value in files.items():
        if value is not None:
            raise OptionError(
                "is for a series in a file, and this one is in memory", field=name, remedy="give the stack's path"
            )


def _as_mask(mask: NDArray[Any] | PathLike | None) -> NDArray[Any] | None:
    """The mask of a series in memory, as an array."""
    if isinstance(mask, (str, os.PathLike)):
        from tomokit.io.mrc_read import open_mrc

        values = open_mrc(mask).pixels
        return values[0] if values.shape[0] == 1 else values
    return mask


def _joined(numbers: str | tuple[float, ...] | None) -> str | None:
    """Three numbers as a user writes them."""
    return numbers if numbers is None or isinstance(numbers, str) else ",".join(map(str, numbers))


def _as_list(views: str | Sequence[int] | None) -> str | None:
    """Numbers of views as a user writes them."""
    return views if views is None or isinstance(views, str) else ",".join(map(str, views)) or None


def _as_request_value(value: Any) -> Any:
    """A value as requests have them: numbers of NumPy as Python's, any path as a Path."""
    if isinstance(value, np.generic):
        return value.item()
    return Path(value) if isinstance(value, os.PathLike) else value
