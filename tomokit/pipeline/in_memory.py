"""A tilt series that is in memory already, read by the pipeline as if it were a file."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries
from tomokit.errors import InputError
from tomokit.geometry import SpecimenFrame
from tomokit.io.angles import check_angles, offset_angles
from tomokit.io.pixels import require_finite_views
from tomokit.version import __version__

UNNAMED = Path("series-in-memory")
"""What messages and records call a series that came from no file."""


class SeriesInMemory:
    """A reader of one series that is there already (see :class:`tomokit.pipeline.readers.Reader`).

    Parameters
    ----------
    series : TiltSeries
        The views ``[tilt, y, x]``; not changed.
    mask : ndarray, optional
        Shape (n_views, n_y, n_x), or (n_y, n_x) for all views: above 0.5 a pixel is used. Pixels that the series' own
        mask leaves out stay out.

    Raises
    ------
    InputError
        If the mask's shape is not that of the images.
    """

    name: ClassVar[str] = "memory"
    summary: ClassVar[str] = "a tilt series in memory"
    suffixes: ClassVar[tuple[str, ...]] = ()

    def __init__(self, series: TiltSeries, mask: NDArray[Any] | None = None) -> None:
        images = np.asarray(series.images)
        # A memory map of float32 stays one; anything else is converted once, here.
        images = series.images if images.dtype == np.float32 else images.astype(np.float32)
        # It is the caller's: what has to be changed in it is changed in a copy.
        images = images.view()
        images.flags.writeable = False
        weights = None if series.mask is None else np.asarray(series.mask, np.float32)
        if mask is not None:
            used = _as_weights(mask, images.shape)
            weights = used if weights is None else weights * used
        self._series = replace(series, images=images, mask=weights)

    @property
    def frame(self) -> SpecimenFrame:
        """How the specimen lies (see :class:`tomokit.pipeline.known_geometry.KnowsFrame`)."""
        return self._series.frame

    @property
    def path(self) -> Path:
        """The file that the series came from, or a name for messages."""
        return self._series.source or UNNAMED

    def shape(self, path: Path) -> tuple[int, int, int]:
        """Views, rows and columns (see :class:`tomokit.pipeline.readers.Reader`)."""
        n_views, n_y, n_x = self._series.images.shape
        return n_views, n_y, n_x

    def read(self, path: Path, **options: Any) -> TiltSeries:
        """The views that are used, checked as those of a file are (see :class:`tomokit.pipeline.readers.Reader`)."""
        series, exclude = self._series, list(options["exclude"])
        tilt_deg = series.geometry.tilt_deg
        warnings = check_angles(tilt_deg, file=series.source, n_views=series.n_views, exclude=exclude)
        used = np.setdiff1d(np.arange(series.n_views), np.asarray(exclude, dtype=np.intp))
        self._check_finite(used)
        size, source = series.pixel_size_angstrom, series.provenance.get("pixel_size_source", "series")
        if options["pixel_size_angstrom"] is not None:
            size, source = float(options["pixel_size_angstrom"]), "option"
        provenance = {
            **series.provenance,
            "tomokit": __version__,
            "pixel_size_source": source,
            "tilt_offset_deg": float(options["tilt_offset_deg"]),
            "excluded_views": sorted(int(view) for view in exclude),
            "warnings": [*series.provenance.get("warnings", ()), *warnings],
            "sha256": self._digests(),
        }
        geometry = replace(series.geometry, tilt_deg=offset_angles(tilt_deg, options["tilt_offset_deg"]))
        whole = replace(series, geometry=geometry, pixel_size_angstrom=size, provenance=provenance)
        return whole if used.size == series.n_views else whole.select(used)

    def _check_finite(self, used: NDArray[np.intp]) -> None:
        """Refuse a pixel that counts and is no number; one view in memory at a time."""
        images, mask = self._series.images, self._series.mask
        weights = mask if mask is None or used.size == len(mask) else mask[used]
        require_finite_views(images, used, file=self._series.source, weights=weights)

    def _digests(self) -> dict[str, str]:
        """SHA-256 of each array as it is in memory: the file that it came from may hold something else."""
        series, geometry = self._series, self._series.geometry
        digests = {
            "images": _digest(series.images),
            "tilt_deg": _digest([geometry.tilt_deg]),
            "shifts_px": _digest([geometry.shift_u_px, geometry.shift_v_px]),
        }
        return digests if series.mask is None else {**digests, "mask": _digest(series.mask)}


def _as_weights(mask: NDArray[Any], shape: tuple[int, ...]) -> NDArray[np.float32]:
    array = np.asarray(mask)
    if array.shape not in (shape, shape[1:]):
        raise InputError(f"mask of shape {array.shape} for images of shape {shape}", field="mask")
    return np.broadcast_to(array > 0.5, shape).astype(np.float32)


def _digest(arrays: Sequence[NDArray[Any]] | NDArray[Any]) -> str:
    """SHA-256 of arrays after each other, little-endian and C-ordered, in hexadecimal."""
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<")).data)
    return whole.hexdigest()
