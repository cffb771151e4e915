"""Whether a model of fiducials is one of Etomo's coarsely aligned stack, by what lies beside it and by what fits."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.fiducials.coarse import align_model
from tomokit.fiducials.model import FiducialModel, model_tracks
from tomokit.fiducials.tracks import Track, fit_tracks
from tomokit.geometry import TiltGeometry
from tomokit.io.beside import find_beside
from tomokit.io.transforms import read_xf

_SPAN_DEG = 20.0


def tracks_on_aligned_views(
    model: FiducialModel,
    geometry: TiltGeometry,
    n_stack: int,
    views: list[int] | None,
    transforms: NDArray[np.float64] | None,
    raw_shape: tuple[int, int] | None,
) -> tuple[list[Track], str]:
    """Make tracks of a model of the aligned views, or of the coarsely aligned ones, whichever fits the angles better.

    Parameters
    ----------
    model : FiducialModel
        Beside Etomo's ``TS.fid`` lie ``TS.prexg``, ``TS.xf`` and ``newst.com``.
    geometry : TiltGeometry
        Of the aligned views that are used.
    n_stack : int
        Views of the stack.
    views : list of int, optional
        Which views of the stack those of `geometry` are; default: all.
    transforms : ndarray of float64, shape (n_stack, 6), optional
        By which the raw views were aligned; None where the stack was aligned before, by the ``.xf`` beside the model.
    raw_shape : tuple of int, optional
        ``(n_y, n_x)`` of the raw views; with `transforms`.

    Returns
    -------
    tracks : list of Track
        On the aligned views.
    told : str
        Which transforms they were taken through; empty if none.

    Raises
    ------
    InputError
        As :func:`tomokit.fiducials.model.model_tracks`, where the model is one of the coarsely aligned stack either.
    """
    refused: InputError | None = None
    tracks: list[Track] = []
    try:
        tracks = model_tracks(model, geometry, n_stack, views)
    except InputError as error:
        refused = error
    moved = _through_transforms(model, geometry, n_stack, transforms, raw_shape)
    if moved is not None:
        aligned, names = moved
        through = model_tracks(aligned, geometry, n_stack, views)
        if refused is not None or _misfit_px(through, geometry) < _misfit_px(tracks, geometry):
            return through, names
    if refused is not None:
        raise refused
    return tracks, ""


def coarse_transforms_of(model: str | os.PathLike[str], n_stack: int) -> Path | None:
    """Find the coarse transforms that Etomo left beside a model of its own name.

    Parameters
    ----------
    model : path-like
        Such as ``TS.fid``.
    n_stack : int
        Views of the stack.

    Returns
    -------
    Path or None
        ``TS.prexg``, if it has as many transforms.
    """
    path = find_beside(model, (f"{Path(model).stem}.prexg",))
    try:
        return path if path is not None and len(read_xf(path)) == n_stack else None
    except InputError:
        return None


def _through_transforms(
    model: FiducialModel,
    geometry: TiltGeometry,
    n_stack: int,
    transforms: NDArray[np.float64] | None,
    raw_shape: tuple[int, int] | None,
) -> tuple[FiducialModel, str] | None:
    """The model on the aligned views, if files beside it say that it can be one of the coarsely aligned stack."""
    path = coarse_transforms_of(model.path, n_stack)
    if path is None or model.size_px is None:
        return None
    names, raw_per_pixel = path.name, 1.0
    if transforms is None:
        final = find_beside(model.path, (f"{model.path.stem}.xf", f"{model.path.stem}_fid.xf"))
        if final is None:
            return None
        transforms, names = read_xf(final), f"{names} and {final.name}"
        raw_per_pixel = _binning_beside(model.path)
    if len(transforms) != n_stack:
        return None
    n_x = geometry.n_u * raw_per_pixel if raw_shape is None else raw_shape[1]
    n_y = geometry.n_v * raw_per_pixel if raw_shape is None else raw_shape[0]
    # The aligned views may lie across the raw ones: the longer edges are compared.
    binned = max(1.0, float(round(max(n_x, n_y) / max(model.size_px[:2]))))
    moved = align_model(
        model,
        read_xf(path),
        transforms,
        shape=(geometry.n_v, geometry.n_u),
        raw_per_pixel=raw_per_pixel,
        raw_per_model_pixel=binned,
    )
    return moved, names


def _binning_beside(model: Path) -> float:
    """Raw pixels along the edge of one of the aligned stack, by ``newst.com``."""
    from tomokit.formats.tilt_com import read_newst_com

    newst = find_beside(model, ("newst.com",))
    return 1.0 if newst is None else float(read_newst_com(newst).bin_by)


def _misfit_px(tracks: list[Track], geometry: TiltGeometry) -> float:
    """How far tracks are from those of points of a rigid specimen, in the median."""
    fits = [
        fit
        for fit in fit_tracks(tracks, geometry.tilt_deg, shift_u_px=geometry.shift_u_px, shift_v_px=geometry.shift_v_px)
        if fit.track.views.size > 3 and np.ptp(geometry.tilt_deg[fit.track.views]) >= _SPAN_DEG
    ]
    return float(np.median([fit.rms_px for fit in fits])) if fits else np.inf
