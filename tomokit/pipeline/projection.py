"""Line integrals of a volume, as a tilt series: :func:`tomokit.project` and the command of that name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tomokit.data import TiltSeries, Volume
from tomokit.errors import InputError, OptionError
from tomokit.geometry import TiltGeometry
from tomokit.pipeline.backend import choose_backend
from tomokit.pipeline.memory import check_disk, check_memory
from tomokit.pipeline.volumes import VolumeLike, as_volume, volume_path

Angles = TiltGeometry | ArrayLike | str | os.PathLike[str]

_HEADER_BYTES = 1024


def project(
    volume: VolumeLike,
    angles: Angles,
    *,
    size: int | None = None,
    tilt_offset: float = 0.0,
    backend: str = "cpu",
    output: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
) -> TiltSeries:
    """Project a volume at tilt angles about its y axis.

    A pixel is the line integral of density in voxels, without any scale: ``u = x cos(theta) - z sin(theta)``, so that
    positive z moves to negative x at positive tilt, as in IMOD.

    Parameters
    ----------
    volume : Volume, ndarray or path-like
        Densities ``[z, y, x]``; a path is that of an MRC file.
    angles : TiltGeometry, array_like or path-like
        Tilt angles in degrees, one for each view; a file of them (``.tlt``, ``.rawtlt``, ``.mdoc``) or a range
        ``"START:STOP:STEP"``; or a geometry, which has the detector's size and each view's shift too.
    size : int, optional
        Columns of the views, in pixels of one voxel; default: the volume's. A geometry has its own.
    tilt_offset : float
        Degrees added to every angle.
    backend : {"cpu", "auto", "cuda", "reference"}
        Where to compute; ``"reference"`` is in double precision, and slow.
    output : path-like, optional
        MRC stack to write; default: nothing is written.
    overwrite : bool
        Whether `output` may be replaced.

    Returns
    -------
    TiltSeries
        Images ``[tilt, y, x]``, float32; the pixel size is the volume's voxel size. Its provenance has ``"warnings"``.

    Raises
    ------
    InputError
        If volume or angles cannot be used.
    OptionError
        If an angle is beyond 90 degrees with the offset, the backend is not there, or `size` comes with a geometry.
    OutputError
        If the output exists, is the volume itself, or cannot be written.
    ResourceError
        If memory does not suffice.

    Examples
    --------
    >>> import numpy as np, tomokit
    >>> views = tomokit.project(np.ones((4, 6, 8), np.float32), [-30, 0, 30])
    >>> views.images.shape, float(views.images[1].max())
    ((3, 6, 8), 4.0)
    """
    from tomokit.io.mrc_write import write_stack
    from tomokit.io.output import check_output

    path, angle_path = volume_path(volume), _angle_path(angles)
    if output is not None:
        inputs = [file for file in (path, angle_path) if file is not None]
        check_output(output, overwrite=overwrite, inputs=inputs)
    tilt_deg = _read_tilt(angles, tilt_offset)
    chosen = choose_backend(backend)
    read = as_volume(volume)
    geometry = _make_geometry(angles, tilt_deg, read, size)
    n_z, n_y, n_x = read.density.shape
    stack_bytes = 4 * geometry.n_views * geometry.n_u * geometry.n_v
    check_memory(
        2 * stack_bytes + 8 * read.density.size,
        f"projecting {n_x} x {n_y} x {n_z} voxels to {geometry.n_views} views of {geometry.n_u} x {geometry.n_v} "
        "pixels",
        "give a smaller volume" if size is None else "give a smaller --size",
    )
    if output is not None:
        check_disk(Path(output), stack_bytes + _HEADER_BYTES)
    labels = _labels(path, angle_path, tilt_offset, n_z)
    source = read.provenance.get("pixel_size_source", "volume")
    images = _project_values(read.density, geometry, chosen)
    if output is not None:
        size_angstrom, record = read.voxel_size_angstrom, {**labels, "pixel_size_source": source}
        write_stack(output, images, pixel_size_angstrom=size_angstrom, provenance=record, overwrite=overwrite)
    provenance = {**labels, "pixel_size_source": source, "warnings": _warnings(path, read)}
    written = None if output is None else Path(output)
    return TiltSeries(images, geometry, read.voxel_size_angstrom, source=written, provenance=provenance)


def _project_values(values_zyx: NDArray[Any], geometry: TiltGeometry, backend: str) -> NDArray[np.float32]:
    """Line integrals ``[tilt, y, x]``; the projector has the tilt axis last."""
    from tomokit.projector import DenseProjector

    n_z, n_y, n_x = values_zyx.shape
    values = np.ascontiguousarray(values_zyx.transpose(2, 0, 1), dtype=np.float32)
    if not np.isfinite(values).all():
        raise InputError("holds NaN or infinite values", field="volume")
    views = DenseProjector(geometry, n_z, n_x=n_x, n_y=n_y, backend=backend)(values)
    return np.ascontiguousarray(views.transpose(0, 2, 1), dtype=np.float32)


def _angle_path(angles: Angles) -> Path | None:
    """The file of the angles; None if they are in memory or a range."""
    from tomokit.io.angle_keyword import range_angles

    if not isinstance(angles, (str, os.PathLike)) or range_angles(angles) is not None:
        return None
    return Path(angles)


def _read_tilt(angles: Angles, tilt_offset: float) -> NDArray[np.float64]:
    """Degrees, shape (n_views,), with the offset."""
    from tomokit.io.angle_keyword import range_angles
    from tomokit.io.angles import offset_angles, read_angles

    if isinstance(angles, TiltGeometry):
        return offset_angles(angles.tilt_deg, tilt_offset)
    if isinstance(angles, (str, os.PathLike)):
        evenly = range_angles(angles)
        return offset_angles(read_angles(angles) if evenly is None else evenly, tilt_offset)
    tilt = np.atleast_1d(np.asarray(angles, dtype=np.float64))
    if tilt.ndim != 1 or tilt.size == 0 or not np.isfinite(tilt).all():
        raise InputError("are not a list of finite numbers, one for each view", field="angles")
    return offset_angles(tilt, tilt_offset)


def _make_geometry(angles: Angles, tilt_deg: NDArray[np.float64], volume: Volume, size: int | None) -> TiltGeometry:
    from dataclasses import replace

    if isinstance(angles, TiltGeometry):
        if size is not None:
            raise OptionError("the geometry has the detector's size", field="size", remedy="leave it out")
        return replace(angles, tilt_deg=tilt_deg)
    _, n_y, n_x = volume.density.shape
    return TiltGeometry(tilt_deg, n_u=n_x if size is None else size, n_v=n_y)


def _labels(path: Path | None, angle_path: Path | None, tilt_offset: float, thickness_px: int) -> dict[str, Any]:
    """What the header records of where the views come from."""
    from tomokit.io.digest import file_digest

    labels: dict[str, Any] = {"projected": "a volume in memory" if path is None else path.name}
    if path is not None:
        labels["sha256"] = file_digest(path)
    if angle_path is not None:
        labels |= {"angles": angle_path.name, "angles sha256": file_digest(angle_path)}
    return {**labels, "tilt_offset_deg": tilt_offset, "thickness_px": thickness_px}


def _warnings(path: Path | None, volume: Volume) -> list[str]:
    from tomokit.io.inspection import is_stack

    if path is None:
        return []
    warnings = [f"{path}: {text}" for text in volume.provenance["warnings"]]
    if is_stack(path):
        warnings.insert(0, f"{path}: looks like a tilt stack; give a volume [z, y, x]")
    return warnings
