"""Where the tilt angles of a stack come from: a file, the stack's own header, or ``START:STOP:STEP``."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError, OptionError
from tomokit.io.angle_keyword import HEADER, range_angles
from tomokit.io.angles import candidate_names, find_angles, read_angle_file
from tomokit.io.beside import find_beside
from tomokit.io.mrc_read import MrcImages


@dataclass(frozen=True)
class SourcedAngles:
    """Tilt angles of a stack, and where they come from.

    Attributes
    ----------
    tilt_deg : ndarray of float64, shape (n_views,)
        Degrees, in the order of the images; not checked against the stack.
    file : Path or None
        The file that they were read from: the stack itself for those of its header; None for a range.
    name : str
        What messages and records call the source.
    acquisition_order : tuple of int or None
        For each image the number under which it was recorded, where the source says.
    warnings : tuple of str
        How they were read where that is not plain.
    """

    tilt_deg: NDArray[np.float64]
    file: Path | None
    name: str
    acquisition_order: tuple[int, ...] | None = None
    warnings: tuple[str, ...] = ()


def angles_of_stack(images: MrcImages, angles: str | os.PathLike[str] | None = None) -> SourcedAngles:
    """Find and read the tilt angles of a stack.

    Parameters
    ----------
    images : MrcImages
        The stack.
    angles : path-like, optional
        A file of angles, ``header``, or a range; default: the file beside the stack, and where there is none those of
        the extended header, with a warning.

    Returns
    -------
    SourcedAngles

    Raises
    ------
    InputError
        If there are none, or the file cannot be used.
    OptionError
        If a range makes no sense or has another number of angles than the stack has views.
    """
    if angles is None:
        beside = find_beside(images.path, candidate_names(images.path.name))
        if beside is None and _header_angles(images) is not None:
            return _from_header(images, warn=True)
        return _from_file(find_angles(images.path) if beside is None else beside)
    if os.fspath(angles) == HEADER:
        return _from_header(images)
    tilt = range_angles(angles)
    if tilt is None:
        return _from_file(Path(angles))
    n_views = images.pixels.shape[0]
    if tilt.size != n_views:
        raise OptionError(
            f"{os.fspath(angles)} makes {tilt.size} angles, but {images.path.name} has {n_views} views",
            field="--angles",
            remedy="give another step or another end",
        )
    return SourcedAngles(tilt, None, os.fspath(angles))


def _from_file(path: Path) -> SourcedAngles:
    table = read_angle_file(path)
    warnings = tuple(f"{path.name}: {text}" for text in table.warnings)
    return SourcedAngles(table.tilt_deg, path, path.name, table.acquisition_order, warnings)


def _header_angles(images: MrcImages) -> NDArray[np.float64] | None:
    return None if images.extended is None else images.extended.tilt_deg


def _from_header(images: MrcImages, warn: bool = False) -> SourcedAngles:
    tilt, extended = _header_angles(images), images.extended
    if tilt is None or extended is None:
        kind = "no extended header of a known kind" if extended is None else f"its extended header ({extended.layout})"
        has = "there is" if extended is None else "there are no angles in"
        raise InputError(f"{has} {kind}", file=images.path, remedy="give a file of angles, or START:STOP:STEP")
    text = f"no angle file beside it: the angles of its extended header ({extended.layout}) are taken"
    return SourcedAngles(tilt, images.path, f"header of {images.path.name}", warnings=(text,) if warn else ())
