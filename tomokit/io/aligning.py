"""What aligns the views of a stack as it is loaded: transforms of a file alone, or a whole alignment."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError, OptionError
from tomokit.geometry import Alignment, SpecimenFrame
from tomokit.geometry.x_tilt import fold_x_tilt
from tomokit.io.angle_sources import SourcedAngles
from tomokit.io.digest import file_digest
from tomokit.io.mrc_read import MrcImages
from tomokit.io.transforms import read_xf

PathLike = str | os.PathLike[str]
IDENTITY = np.array([1.0, 0.0, 0.0, 1.0, 0.0, 0.0])


@dataclass(frozen=True)
class Aligning:
    """What is done to the views of a stack, and what is known of their geometry beside that.

    Attributes
    ----------
    transform : ndarray of float64, shape (n_views, 6), or None
        ``A11 A12 A21 A22 DX DY`` of each view, raw to aligned; None where the stack is aligned already.
    option : str
        The option that the transforms were given by, for messages.
    file : Path or None
        The file of the transforms, for messages.
    out_shape : tuple of int or None
        ``(n_y, n_x)`` of the aligned images, where it is not that of the stack.
    frame : SpecimenFrame
        How the specimen lies against the tilt axis.
    remainder_slope : float
        What :func:`tomokit.geometry.x_tilt.fold_x_tilt` leaves, in pixels per pixel of height.
    """

    transform: NDArray[np.float64] | None = None
    option: str = "--xf"
    file: Path | None = None
    out_shape: tuple[int, int] | None = None
    frame: SpecimenFrame = field(default_factory=SpecimenFrame)
    remainder_slope: float = 0.0


def split_alignment(
    alignment: Alignment | PathLike | None, xf: PathLike | None
) -> tuple[Alignment | None, Path | None, str]:
    """Tell an alignment from transforms alone.

    Parameters
    ----------
    alignment : Alignment or path-like, optional
        A path is that of an ``.xf``.
    xf : path-like, optional
        Transforms alone.

    Returns
    -------
    alignment : Alignment or None
    xf : Path or None
    option : str
        What gave the transforms: ``"--xf"`` or ``"--alignment"``.

    Raises
    ------
    OptionError
        If both are given, or a path is not that of transforms.
    """
    if alignment is None:
        return None, None if xf is None else Path(xf), "--xf"
    if xf is not None:
        raise OptionError("both are given, and an alignment has transforms", field="--xf", remedy="leave one out")
    if isinstance(alignment, Alignment):
        return alignment, None, "--alignment"
    path = Path(alignment)
    if path.suffix.lower() != ".xf":
        raise OptionError(
            f"{path.suffix or path.name} is no format of alignments that is read here",
            field="--alignment",
            remedy="give an .xf, or the alignment that tomokit.formats.front.read_alignment makes of it",
        )
    return None, path, "--alignment"


def check_alignment_fits(alignment: Alignment, images: MrcImages) -> None:
    """Refuse an alignment of another stack.

    Parameters
    ----------
    alignment : Alignment
    images : MrcImages
        The stack.

    Raises
    ------
    InputError
        If the number of views differs, or the size of the images where the alignment has it.
    """
    n_views, n_y, n_x = images.pixels.shape
    file = alignment.files[0] if alignment.files else None
    remedy = "give the right --alignment"
    if alignment.n_views != n_views:
        problem = f"an alignment of {alignment.n_views} views, but {images.path.name} has {n_views}"
        raise InputError(problem, file=file, field=None if file else "alignment", remedy=remedy)
    if alignment.raw_shape not in (None, (n_y, n_x)):
        size = " x ".join(map(str, alignment.raw_shape[::-1])) if alignment.raw_shape else ""
        problem = f"an alignment of images of {size} pixels, but those of {images.path.name} have {n_x} x {n_y}"
        raise InputError(problem, file=file, field=None if file else "alignment", remedy=remedy)


def angles_of_alignment(alignment: Alignment) -> SourcedAngles:
    """Take the tilt angles of an alignment, as they would come from a file of angles.

    Parameters
    ----------
    alignment : Alignment

    Returns
    -------
    SourcedAngles
        Without the alignment's tilt offset.
    """
    file = alignment.files[0] if alignment.files else None
    return SourcedAngles(alignment.tilt_deg, file, "alignment" if file is None else file.name)


def plan_aligning(
    alignment: Alignment | None,
    xf: Path | None,
    option: str,
    used: NDArray[np.intp],
    tilt_deg: NDArray[np.float64],
    images: MrcImages,
    out_shape: tuple[int, int] | None,
    x_tilt_deg: float = 0.0,
) -> tuple[Aligning, NDArray[np.float64]]:
    """Work out the one transform of each view, and the tilt angles that go with it.

    Parameters
    ----------
    alignment, xf, option
        As :func:`split_alignment` gives them.
    used : ndarray of int, shape (n_used,)
        The views that are used.
    tilt_deg : ndarray of float64, shape (n_used,)
        Their tilt angles in degrees, every offset included.
    images : MrcImages
        The stack.
    out_shape : tuple of int, optional
        ``(n_y, n_x)`` that the user asks for.
    x_tilt_deg : float
        Degrees that are added to the x-axis tilt of every view.

    Returns
    -------
    aligning : Aligning
        Its transforms are of the used views.
    tilt_deg : ndarray of float64, shape (n_used,)
        Degrees.

    Raises
    ------
    InputError
        If the transforms cannot be read, or are of another number of views.
    """
    added = SpecimenFrame(x_tilt_deg)
    if alignment is None:
        if xf is None:
            return Aligning(frame=added), tilt_deg
        transform = _read_transforms(xf, option, images)[used]
        return Aligning(transform, option, xf, out_shape, added), tilt_deg
    frame = alignment.frame
    folded = fold_x_tilt(tilt_deg, alignment.x_tilt_deg[used] - frame.x_tilt_deg)
    shape = alignment.aligned_shape if out_shape is None else out_shape
    transform = _compose(folded.image_matrix, alignment.transform[used])
    aligning = Aligning(
        transform=transform,
        option=option,
        file=alignment.files[0] if alignment.files else None,
        out_shape=shape,
        frame=replace(frame, x_tilt_deg=frame.x_tilt_deg + x_tilt_deg),
        remainder_slope=folded.remainder_slope,
    )
    if shape in (None, images.pixels.shape[1:]) and np.array_equal(transform, np.tile(IDENTITY, (used.size, 1))):
        # Nothing moves: the pixels stay as they are.
        aligning = replace(aligning, transform=None, out_shape=None)
    return aligning, folded.tilt_deg


def alignment_digests(alignment: Alignment) -> dict[str, str]:
    """Digest what an alignment was made of.

    Parameters
    ----------
    alignment : Alignment

    Returns
    -------
    dict of str to str
        SHA-256 of each of its files, by role, or of its numbers.
    """
    if alignment.files:
        roles = ["alignment", *(f"alignment {path.name}" for path in alignment.files[1:])]
        return {role: file_digest(path) for role, path in zip(roles, alignment.files, strict=True)}
    arrays = (alignment.tilt_deg, alignment.transform, alignment.x_tilt_deg, alignment.used)
    numbers = (alignment.tilt_offset_deg, alignment.shift_x_px, alignment.shift_z_px)
    whole = hashlib.sha256(repr((numbers, alignment.raw_shape, alignment.aligned_shape)).encode())
    for array in arrays:
        whole.update(np.ascontiguousarray(array).tobytes())
    return {"alignment": whole.hexdigest()}


def _read_transforms(path: Path, option: str, images: MrcImages) -> NDArray[np.float64]:
    transforms = read_xf(path)
    n_views = images.pixels.shape[0]
    if transforms.shape[0] != n_views:
        raise InputError(
            f"{transforms.shape[0]} transforms, but {images.path.name} has {n_views} views",
            file=path,
            remedy=f"give the right {option}",
        )
    return transforms


def _compose(matrix: NDArray[np.float64], transform: NDArray[np.float64]) -> NDArray[np.float64]:
    """Transforms followed by a matrix; both are about the centre of the aligned image."""
    linear = matrix @ transform[:, :4].reshape(-1, 2, 2)
    shift = matrix @ transform[:, 4:, None]
    return np.concatenate([linear.reshape(-1, 4), shift[:, :, 0]], axis=1)
