"""The tomogram of a folder, and the angles at which its series was recorded, for ``tomokit project FOLDER``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.pipeline.config import build_request
from tomokit.pipeline.folder import find_series
from tomokit.pipeline.folder_files import list_files, series_of, word_of_shell
from tomokit.pipeline.known_geometry import read_request_alignment

_MOST_APART = 0.02
"""Sizes of the views and of a volume made of them agree to this share, however they were binned and cut."""


@dataclass(frozen=True)
class SeriesAngles:
    """The angles of a series that was found in a folder.

    Attributes
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Of all views of the stack, with the offset by which the specimen is level.
    files : tuple of Path
        Where they are from.
    stack : Path
        The tilt series.
    shape : tuple of int
        ``(n_views, n_y, n_x)`` of the stack.
    warnings : tuple of str
        What the user should know.
    """

    tilt_deg: NDArray[np.float64]
    files: tuple[Path, ...]
    stack: Path
    shape: tuple[int, int, int]
    warnings: tuple[str, ...]


def angles_of_folder(folder: Path) -> SeriesAngles:
    """Find the angles of the tilt series in a folder, refined ones where its alignment has them.

    Parameters
    ----------
    folder : Path

    Returns
    -------
    SeriesAngles

    Raises
    ------
    InputError
        As :func:`tomokit.pipeline.folder.find_series`, and if no file has the angles.
    """
    from tomokit.io.angle_sources import angles_of_stack
    from tomokit.io.mrc_read import open_mrc

    found = find_series(folder)
    request = build_request({"stack": folder}, found=found)
    images = open_mrc(found.stack, with_pixels=False)
    shape = images.header.shape
    told = list(found.warnings)
    alignment = read_request_alignment(request, shape, told.append)
    if alignment is not None:
        tilt, offset, files = alignment.tilt_deg, alignment.tilt_offset_deg, alignment.files
    else:
        sourced = angles_of_stack(images, request.angles)
        tilt, offset = sourced.tilt_deg, request.tilt_offset or 0.0
        files = (found.stack,) if sourced.file is None else (sourced.file,)
    if tilt.size != shape[0]:
        raise InputError(f"{tilt.size} angles for {shape[0]} views", file=files[0], remedy="give the right --angles")
    turned = request.x_tilt if alignment is None else alignment.frame.x_tilt_deg
    if turned:
        told.append(
            f"the specimen was turned about x by {turned:g} degrees: a level volume is projected about its own y axis, "
            "and differs from the views by that"
        )
    return SeriesAngles(tilt + offset, files, found.stack, shape, tuple(told))


def volume_of_folder(folder: Path, series: SeriesAngles) -> Path:
    """Find the tomogram of a folder.

    Parameters
    ----------
    folder : Path
    series : SeriesAngles
        Its series.

    Returns
    -------
    Path
        The only volume that bears the name of the series, or the only one.

    Raises
    ------
    InputError
        If there is none, or more than one; if its sections lie along y, as IMOD's ``tilt`` writes them.
    """
    volumes = [file for file in list_files(folder)[0] if file.role == "volume"]
    name = series_of(series.stack.name)
    own = [file for file in volumes if file.series == name] or volumes
    if len(own) != 1:
        names = ", ".join(file.name for file in own[:4])
        problem = f"{len(own)} volumes in it: {names}" if own else "no volume in it"
        remedy = f"give one, such as tomokit project {word_of_shell(own[0].path)}" if own else "give the volume itself"
        raise InputError(problem, file=folder, remedy=remedy)
    volume, (_, stack_y, stack_x) = own[0], series.shape
    if volume.shape is not None:
        n_z, n_y, n_x = volume.shape
        along_y, along_z = (abs(n * stack_x - stack_y * n_x) <= _MOST_APART * stack_y * n_x for n in (n_y, n_z))
        if along_z and not along_y:
            raise InputError(
                f"{n_z} sections of {n_x} x {n_y} for views of {stack_x} x {stack_y}: they lie along y",
                file=volume.path,
                remedy="turn it first, as by IMOD's clip rotx or trimvol -rx",
            )
    return volume.path
