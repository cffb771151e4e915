"""What is known of a series' geometry before its pixels are read: from its alignment, or from the series in memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError, OptionError
from tomokit.geometry import Alignment, SpecimenFrame
from tomokit.io.series import check_x_tilt
from tomokit.pipeline.readers import Reader
from tomokit.pipeline.request import ReconstructionRequest


@runtime_checkable
class KnowsFrame(Protocol):
    """A reader that knows how the specimen lies before the pixels are read.

    Attributes
    ----------
    frame : SpecimenFrame
        In pixels of the stack.
    """

    frame: SpecimenFrame


@dataclass(frozen=True)
class KnownGeometry:
    """What a plan has to know of the alignment.

    Attributes
    ----------
    frame : SpecimenFrame
        How the specimen lies, by the request where it says so.
    aligned_shape : tuple of int or None
        ``(n_y, n_x)`` of the aligned images; None for that of the stack.
    left_out : tuple of int
        Views that the alignment leaves out.
    """

    frame: SpecimenFrame = field(default_factory=SpecimenFrame)
    aligned_shape: tuple[int, int] | None = None
    left_out: tuple[int, ...] = ()

    @classmethod
    def of(
        cls, request: ReconstructionRequest, reader: Reader | None = None, alignment: Alignment | None = None
    ) -> KnownGeometry:
        """Put together what is known.

        Parameters
        ----------
        request : ReconstructionRequest
            The job.
        reader : Reader, optional
            Reads the series.
        alignment : Alignment, optional
            What was read of the request's alignment.

        Returns
        -------
        KnownGeometry

        Raises
        ------
        OptionError
            If the request's rotation about x is none that a specimen has.
        """
        if request.x_tilt is not None:
            check_x_tilt(request.x_tilt)
        if alignment is None:
            frame = reader.frame if isinstance(reader, KnowsFrame) else SpecimenFrame()
            return cls(frame if request.x_tilt is None else replace(frame, x_tilt_deg=request.x_tilt))
        left_out = tuple(int(view) for view in np.flatnonzero(~alignment.used))
        return cls(alignment.frame, alignment.aligned_shape, left_out)


def read_request_alignment(
    request: ReconstructionRequest, stack_shape: tuple[int, int, int], warn: Callable[[str], None]
) -> Alignment | None:
    """Read the alignment that a request names, of any format that is known.

    Parameters
    ----------
    request : ReconstructionRequest
        Its ``angles``, or those beside the stack, tell which views the alignment is of; it may have refined ones.
    stack_shape : tuple of int
        ``(n_views, n_y, n_x)`` of the stack.
    warn : callable
        Is given each doubt, one line.

    Returns
    -------
    Alignment or None
        With the offset of the angles and the rotation about x of the request, where it has them; None where it names
        no alignment.

    Raises
    ------
    InputError
        If it is no alignment, or not one of this stack.
    OptionError
        If transforms are given too.
    """
    from tomokit.formats.front import read_alignment

    if request.alignment is None:
        return None
    if request.xf is not None:
        raise OptionError("both are given, and an alignment has transforms", field="--xf", remedy="leave one out")
    tilt, pixel_size = _of_stack(request)
    found = read_alignment(
        request.alignment,
        tilt_deg=tilt,
        raw_shape=stack_shape[1:],
        pixel_size_angstrom=request.pixel_size or pixel_size,
    )
    names = (str(found.path), *(path.name for path in found.files))
    for text in found.warnings:
        warn(text if text.startswith(names) else f"{found.path.name}: {text}")
    if not found.alignment.used.any():
        raise InputError("leaves out every view", file=found.path, remedy="give another --alignment")
    if request.x_tilt is not None:
        check_x_tilt(request.x_tilt)
    beside = " and the files beside it" if len(found.files) > 1 else ""
    return _as_requested(found.alignment, request, f"{found.path.name}{beside}", warn)


def _as_requested(
    alignment: Alignment, request: ReconstructionRequest, name: str, warn: Callable[[str], None]
) -> Alignment:
    """The alignment with what the user says of the specimen in place of what its files say, which is told."""
    said = alignment.tilt_offset_deg
    if request.tilt_offset is not None and request.tilt_offset != said:
        if said:
            warn(f"--tilt-offset {request.tilt_offset:g} takes the place of {said:g} degrees of {name}")
        alignment = replace(alignment, tilt_offset_deg=request.tilt_offset)
    said = alignment.frame.x_tilt_deg
    if request.x_tilt is not None and request.x_tilt != said:
        if said:
            warn(f"--x-tilt {request.x_tilt:g} takes the place of {said:g} degrees of {name}")
        alignment = replace(alignment, x_tilt_deg=alignment.x_tilt_deg - said + request.x_tilt)
    left_out = ", ".join(str(view) for view in np.flatnonzero(~alignment.used))
    if left_out and (request.exclude is not None or request.exclude_from_1 is not None):
        warn(f"views {left_out} (from 0) are left out too, by {name}")
    return alignment


def _of_stack(request: ReconstructionRequest) -> tuple[NDArray[np.float64] | None, float | None]:
    """Tilt angles and pixel size that stack and neighbours have, or none where nothing has them."""
    from tomokit.io.angle_sources import angles_of_stack
    from tomokit.io.mrc_read import open_mrc
    from tomokit.io.pixel_size import pixel_size_of

    try:
        images = open_mrc(request.stack, with_pixels=False)
    except InputError:
        return None, None  # another reader's
    size = pixel_size_of(images)
    pixel_size = None if size.source == "none" else size.angstrom
    try:
        return angles_of_stack(images, request.angles).tilt_deg, pixel_size
    except InputError:
        if request.angles is not None:
            raise
        return None, pixel_size
