"""A series whose alignment has been refined: its views resampled once, and the files that say how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.errors import InputError
from tomokit.geometry import Alignment
from tomokit.pipeline.readers import Reader
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.refinement.corrections import Corrections

Floats = NDArray[np.float64]

_LEAST_MASK = 0.99
"""A pixel that is masked in part is masked."""
_IDENTITY = (1.0, 0.0, 0.0, 1.0, 0.0, 0.0)


@dataclass(frozen=True)
class Refinement:
    """What became of the alignment of a job.

    Attributes
    ----------
    views : tuple of int
        The views that are used, by their indices in the stack.
    corrections : Corrections
        Of these.
    record : dict
        All of it and what was measured, JSON-serializable, for state, provenance and summary.
    """

    views: tuple[int, ...]
    corrections: Corrections
    record: dict[str, Any]

    @classmethod
    def from_record(cls, record: Mapping[str, Any], file: Path) -> Refinement:
        """Take a refinement from the record of a run that began with it.

        Parameters
        ----------
        record : mapping
            The provenance of the run.
        file : Path
            The state, for messages.

        Returns
        -------
        Refinement

        Raises
        ------
        InputError
            If there is none, or it is none of these views.
        """
        found = record["series"].get("refinement")
        views = sorted((*record["views"]["fitted"], *record["views"]["held_out"]))
        if not isinstance(found, dict) or found.get("views") != views or not isinstance(found.get("corrections"), dict):
            raise InputError("holds no corrections of these views", file=file, field="/provenance series refinement")
        corrections = Corrections.from_json(found["corrections"], len(views), str(file))
        n_views = found.get("n_views")
        files = {name: np.array(found.get(name)) for name in ("transforms", "tilt_deg")}
        if not isinstance(n_views, int) or any(
            values.dtype.kind != "f" or values.shape != shape or not np.isfinite(values).all()
            for values, shape in zip(files.values(), ((n_views, 6), (n_views,)), strict=True)
        ):
            raise InputError("holds no alignment of its views", file=file, field="/provenance series refinement")
        return cls(tuple(views), corrections, dict(found))


def refined_series(
    series: TiltSeries, refinement: Refinement, request: ReconstructionRequest, reader: Reader, n_views: int
) -> TiltSeries:
    """Correct the views of a series: raw ones are read and resampled again, by one transform from raw to corrected.

    Parameters
    ----------
    series : TiltSeries
        The views that are used, as they were given, with all that masks them.
    refinement : Refinement
    request : ReconstructionRequest
        The job.
    reader : Reader
        Reads the series.
    n_views : int
        Of the stack.

    Returns
    -------
    TiltSeries
        Its tilts corrected; a pixel that was masked is masked where it has come to lie.

    Raises
    ------
    InputError
        If the views are not those of the refinement, or as of :func:`tomokit.io.load_series`.
    """
    from tomokit.io.transforms import align_images

    corrections = refinement.corrections
    if series.n_views != len(refinement.views):
        problem = f"{series.n_views} views are used, and {len(refinement.views)} were refined"
        raise InputError(problem, file=request.stack, field="refinement", remedy="begin the run anew")
    own = corrections.transforms()
    if request.xf is None and request.alignment is None:
        images, inside = align_images(series.images, own)
    else:
        images, inside = _read_again(series, refinement, request, reader, n_views)
    mask = inside
    if series.mask is not None:
        moved, _ = align_images(series.mask, own, order=1)
        mask = inside * (moved > _LEAST_MASK)
    geometry = replace(series.geometry, tilt_deg=series.geometry.tilt_deg + corrections.tilt_deg)
    provenance = {**series.provenance, "refinement": refinement.record}
    return replace(
        series,
        images=images,
        mask=None if series.mask is None and inside.all() else mask.astype(np.float32),
        geometry=geometry,
        provenance=provenance,
    )


def refined_alignment(
    corrections: Corrections, views: NDArray[np.intp], transforms: Floats | None, tilt_deg: Floats
) -> tuple[Floats, Floats]:
    """Put corrections and what was given together.

    Parameters
    ----------
    corrections : Corrections
        Of the views that are used.
    views : ndarray of int, shape (n_used,)
        Their indices in the stack.
    transforms : ndarray of float64, shape (n_views, 6), or None
        What took the raw images to aligned ones; None of a stack that was aligned.
    tilt_deg : ndarray of float64, shape (n_views,)
        Angles in degrees as they were given, without offset.

    Returns
    -------
    transforms : ndarray of float64, shape (n_views, 6)
        From the images of the stack to corrected ones; of views that are not used as given.
    tilt_deg : ndarray of float64, shape (n_views,)
        Likewise.
    """
    refined = np.tile(_IDENTITY, (tilt_deg.size, 1)) if transforms is None else transforms.astype(np.float64, copy=True)
    refined[views] = corrections.after(refined[views])
    angles = tilt_deg.astype(np.float64, copy=True)
    angles[views] += corrections.tilt_deg
    return refined, angles


def refined_texts(record: Mapping[str, Any]) -> tuple[str, str]:
    """Write a refined alignment as IMOD does.

    Parameters
    ----------
    record : mapping
        Of a :class:`Refinement`.

    Returns
    -------
    xf, tlt : str
        A line for each view of the stack.
    """
    xf = "".join(
        "".join(f"{value:12.7f}" for value in row[:4]) + "".join(f"{value:12.4f}" for value in row[4:]) + "\n"
        for row in record["transforms"]
    )
    return xf, "".join(f"{angle:9.4f}\n" for angle in record["tilt_deg"])


def _read_again(
    series: TiltSeries, refinement: Refinement, request: ReconstructionRequest, reader: Reader, n_views: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The raw views by the refined transforms, and where they come from inside of the raw images."""
    views = list(refinement.views)
    # The angles play no part in how images are transformed; those of views that are not read have to be some.
    angles = np.linspace(-60.0, 60.0, n_views)
    angles[views] = series.geometry.tilt_deg
    alignment = Alignment(
        tilt_deg=angles,
        transform=np.array(refinement.record["transforms"], np.float64),
        x_tilt_deg=np.zeros(n_views),
        used=np.isin(np.arange(n_views), views),
        aligned_shape=series.images.shape[1:],
    )
    again = reader.read(
        request.stack,
        angles=None,
        mask=None,
        xf=None,
        alignment=alignment,
        exclude=sorted(set(range(n_views)) - set(views)),
        tilt_offset_deg=0.0,
        pixel_size_angstrom=request.pixel_size,
        x_rays=request.x_rays,
    )
    inside = np.ones(again.images.shape, np.float32) if again.mask is None else again.mask
    return again.images, inside
