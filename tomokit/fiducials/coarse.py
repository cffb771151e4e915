"""A model of fiducials on Etomo's coarsely aligned stack, taken to the aligned views by the transforms.

Etomo tracks the beads of ``TS.fid`` in ``TS.preali``, to which ``TS.prexg`` takes the raw views. With ``p = C r + c``
the coarse position and ``a = A r + d`` the aligned one of a raw position r, all from the centres of the images and in
raw pixels, ``a = A C^-1 (p - c) + d``.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tomokit.errors import InputError
from tomokit.fiducials.model import FiducialModel
from tomokit.fiducials.tracks import Floats


def align_model(
    model: FiducialModel,
    coarse: Floats,
    final: Floats,
    *,
    shape: tuple[int, int],
    raw_per_pixel: float = 1.0,
    raw_per_model_pixel: float = 1.0,
) -> FiducialModel:
    """Take the points of a model of coarsely aligned views to the aligned ones.

    Parameters
    ----------
    model : FiducialModel
        Of the coarsely aligned stack; its size has to be known.
    coarse, final : ndarray of float64, shape (n_stack, 6)
        Transforms of the raw views, ``A11 A12 A21 A22 DX DY`` as in an ``.xf``, shifts in raw pixels.
    shape : tuple of int
        ``(n_y, n_x)`` of the aligned views.
    raw_per_pixel, raw_per_model_pixel : float
        Raw pixels along the edge of one of the aligned views, and of one of those of the model.

    Returns
    -------
    FiducialModel
        In IMOD's coordinates of the aligned views.

    Raises
    ------
    InputError
        If a point is in a view that has no transform, or one cannot be inverted.
    """
    assert model.size_px is not None
    n_views = len(coarse)
    inverse = np.linalg.pinv(coarse[:, :4].reshape(-1, 2, 2))
    from_centre, to_centre = np.array(model.size_px[:2]) / 2, np.array(shape[::-1]) / 2
    contours = []
    for contour in model.contours:
        views = np.rint(contour.points[:, 2]).astype(np.intp)
        if views.min() < 0 or views.max() >= n_views:
            wrong = views.min() if views.min() < 0 else views.max()
            raise InputError(
                f"a point in view {wrong}, where the stack has views 0 to {n_views - 1}",
                file=model.path,
                field=f"contour {contour.number}",
                remedy="give the model of this stack",
            )
        placed = (contour.points[:, :2] - from_centre) * raw_per_model_pixel
        raw = np.einsum("nij,nj->ni", inverse[views], placed - coarse[views, 4:])
        aligned = np.einsum("nij,nj->ni", final[views, :4].reshape(-1, 2, 2), raw) + final[views, 4:]
        points = np.column_stack([aligned / raw_per_pixel + to_centre, contour.points[:, 2]])
        contours.append(replace(contour, points=points))
    return replace(model, contours=contours, size_px=(shape[1], shape[0], model.size_px[2]))
