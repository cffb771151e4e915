"""Models of fiducials in any of the formats that are read, as tracks over the views."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tomokit.errors import InputError
from tomokit.fiducials.imod_model import Contour, is_imod_model, read_imod_model
from tomokit.fiducials.linking import link_points
from tomokit.fiducials.point_text import read_point_text
from tomokit.fiducials.tracks import Floats, Track
from tomokit.geometry import TiltGeometry, centre

_LINK_PX = 3.0
_LEAST_VIEWS = 4


@dataclass(frozen=True)
class FiducialModel:
    """A model of fiducials, as its file has it.

    Attributes
    ----------
    path : Path
        The file.
    format : {"IMOD model", "model2point text"}
        What it is.
    contours : list of Contour
        Points in IMOD's model coordinates; those of z are views.
    size_px : tuple of int or None
        ``(x, y, z)`` of the images it was made on; None if the file does not say.
    objects : int
        How many objects there are.
    """

    path: Path
    format: str
    contours: list[Contour]
    size_px: tuple[int, int, int] | None
    objects: int


def read_fiducials(path: str | os.PathLike[str]) -> FiducialModel:
    """Read a model of fiducials: binary as IMOD, ``imodfindbeads`` included, writes it, or text of ``model2point``.

    Parameters
    ----------
    path : path-like
        Told by its content.

    Returns
    -------
    FiducialModel
        With at least one point.

    Raises
    ------
    InputError
        If it is neither, damaged, or has no point.
    """
    path = Path(path)
    if is_imod_model(path):
        model = read_imod_model(path)
        size = model.size_px if min(model.size_px) > 0 else None
        result = FiducialModel(path, "IMOD model", model.contours, size, model.objects)
    else:
        contours = read_point_text(path)
        result = FiducialModel(path, "model2point text", contours, None, len({c.object for c in contours}))
    if not result.contours:
        raise InputError("a model without points", file=path, remedy="give the model of the fiducials")
    return result


def describe_fiducials(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Describe a model of fiducials, as ``tomokit inspect`` shows it.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    dict
        JSON-serializable: ``file``, ``kind``, ``format``, counts, ranges, ``convention`` and ``warnings``.

    Raises
    ------
    InputError
        As :func:`read_fiducials`.
    """
    model = read_fiducials(path)
    points = np.concatenate([contour.points for contour in model.contours])
    views = np.rint(points[:, 2])
    warnings = []
    if (np.abs(points[:, 2] - views) > 0.01).any():
        warnings.append("points that lie between two sections: a model of a volume, not of fiducials in views")
    several = sum(np.unique(np.rint(c.points[:, 2])).size < len(c.points) for c in model.contours)
    if several:
        warnings.append(f"{several} contours with two points in one view: linked to beads by their positions")
    low, high = points.min(axis=0), points.max(axis=0)
    return {
        "file": model.path.name,
        "kind": "fiducials",
        "format": model.format,
        "objects": model.objects,
        "contours": len(model.contours),
        "points": len(points),
        "views": [int(views.min()), int(views.max())],
        "x_px": [float(low[0]), float(high[0])],
        "y_px": [float(low[1]), float(high[1])],
        "images_px": None if model.size_px is None else list(model.size_px),
        "convention": {
            "x, y": "pixels from the corner of the first pixel, whose centre is at 0.5",
            "z": "the view, from 0",
        },
        "warnings": warnings,
    }


def model_tracks(
    model: FiducialModel, geometry: TiltGeometry, n_views: int | None = None, views: list[int] | None = None
) -> list[Track]:
    """Make tracks of the contours of a model.

    A contour with several points in one view holds several beads: its points are linked by their positions, and those
    that are in no track become tracks of one view.

    Parameters
    ----------
    model : FiducialModel
        As read.
    geometry : TiltGeometry
        Of the views that are used.
    n_views : int, optional
        Views of the stack; default: those of `geometry`.
    views : list of int, optional
        Which views of the stack those of `geometry` are; default: all.

    Returns
    -------
    list of Track
        Positions in the views of `geometry`; contours of other views only are left out.

    Raises
    ------
    InputError
        If a point is in a view that the stack does not have, between two views, or the model was made on images of
        another size.
    """
    n_stack = geometry.n_views if n_views is None else n_views
    used = np.arange(geometry.n_views) if views is None else np.asarray(views, np.intp)
    place_of = np.full(n_stack, -1, np.intp)
    place_of[used] = np.arange(used.size)
    if model.size_px is not None and model.size_px[:2] != (geometry.n_u, geometry.n_v):
        x, y = model.size_px[:2]
        raise InputError(
            f"a model of images of {x} x {y} pixels, but the views have {geometry.n_u} x {geometry.n_v}",
            file=model.path,
            remedy="give the model of this stack, aligned and binned as it is",
        )
    tracks: list[Track] = []
    for contour in model.contours:
        z = np.rint(contour.points[:, 2])
        name = (
            f"contour {contour.number}" if contour.object < 2 else f"object {contour.object} contour {contour.number}"
        )
        if (np.abs(contour.points[:, 2] - z) > 0.25).any():
            raise InputError(
                "a point lies between two views", file=model.path, field=name, remedy="give a model of the tilt series"
            )
        if z.min() < 0 or z.max() >= n_stack:
            wrong = z.min() if z.min() < 0 else z.max()
            raise InputError(
                f"a point in view {wrong:.9g}, where the stack has views 0 to {n_stack - 1}",
                file=model.path,
                field=name,
                remedy="give the model of this stack",
            )
        at = place_of[z.astype(np.intp)]
        kept = at >= 0
        u = contour.points[kept, 0] - 0.5 - centre(geometry.n_u)
        v = contour.points[kept, 1] - 0.5 - centre(geometry.n_v)
        tracks += _tracks_of(at[kept], u, v, geometry, name)
    return tracks


def _tracks_of(at: np.ndarray, u: Floats, v: Floats, geometry: TiltGeometry, name: str) -> list[Track]:
    if at.size == 0:
        return []
    if np.unique(at).size == at.size:
        order = np.argsort(at)
        return [Track(at[order], u[order], v[order], name)]
    linked, loose = link_points(
        at,
        u - geometry.shift_u_px[at],
        v - geometry.shift_v_px[at],
        np.ones(at.size),
        geometry.tilt_deg,
        tolerance_px=_LINK_PX,
        least_views=_LEAST_VIEWS,
        largest_z_px=geometry.n_u / 2,
    )
    groups = [*linked, *(np.array([index]) for index in loose)]
    return [Track(at[group], u[group], v[group], name) for group in groups]
