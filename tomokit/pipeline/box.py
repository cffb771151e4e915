"""The box of the tomogram: what was asked for, level, and what has to be reconstructed about the tilt axis for it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tomokit.data.levelling import Levelling
from tomokit.errors import OptionError
from tomokit.geometry import SpecimenFrame, TiltGeometry
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.rows import Rows, binned_rows

_MARGIN = 2
"""Rows and sections beside those that a turned box takes up: a cubic spline looks so far."""
_ROUNDING = 1e-6


@dataclass(frozen=True)
class VolumeBox:
    """What is reconstructed, and how the tomogram is made of it; lengths in binned pixels.

    Attributes
    ----------
    levelling : Levelling
        From the volume that is reconstructed, about the tilt axis, to the tomogram.
    thickness_px : int
        Extent of the former along z.
    rows : (int, int)
        Its rows along the tilt axis.
    centre_xz : tuple of float
        Where it has its centre, from the tilt axis, in the frame of the tilt axis.
    origin_px : tuple of float
        Centre ``(x, y, z)`` of the tomogram's first voxel, counted from that of a tomogram that is not moved and of all
        that the views have, of the same thickness.
    """

    levelling: Levelling
    thickness_px: int
    rows: Rows
    centre_xz: tuple[float, float]
    origin_px: tuple[float, float, float]

    def is_level(self, n_u: int) -> bool:
        """Tell whether the volume that is reconstructed is the tomogram.

        Parameters
        ----------
        n_u : int
            Columns of the former.

        Returns
        -------
        bool
        """
        return self.levelling.is_identity((self.thickness_px, self.rows[1] - self.rows[0], n_u))

    def centred(self, geometry: TiltGeometry) -> TiltGeometry:
        """Shift views so that the volume's centre is their origin, exactly.

        Parameters
        ----------
        geometry : TiltGeometry
            About the tilt axis.

        Returns
        -------
        TiltGeometry
            The same one where nothing is moved.
        """
        x, z = self.centre_xz
        if x == 0 and z == 0:
            return geometry
        shift = x * np.cos(geometry.tilt_rad) - z * np.sin(geometry.tilt_rad)
        return replace(geometry, shift_u_px=geometry.shift_u_px + shift)

    def to_json(self) -> dict[str, Any]:
        """Represent what makes the tomogram of the volume, for states and provenance.

        Returns
        -------
        dict
            JSON-serializable.
        """
        return {**self.levelling.to_json(), "origin_px": list(self.origin_px)}

    @property
    def half_height_px(self) -> float:
        """How far the volume's faces are from the tilt axis, the further one."""
        return abs(self.centre_xz[1]) + self.thickness_px / 2


def make_box(request: ReconstructionRequest, image_shape: tuple[int, int], frame: SpecimenFrame) -> VolumeBox:
    """Work out what has to be reconstructed for the box that is asked for.

    Parameters
    ----------
    request : ReconstructionRequest
        Its ``thickness``, ``y``, ``center``, ``size`` and ``bin``.
    image_shape : tuple of int
        ``(n_y, n_x)`` of the aligned images before binning, at least one bin each.
    frame : SpecimenFrame
        How the specimen lies, in pixels before binning.

    Returns
    -------
    VolumeBox

    Raises
    ------
    OptionError
        If options contradict each other or are no box, or it goes beyond what the views have.
    """
    factor = request.bin
    n_v, n_u = image_shape[0] // factor, image_shape[1] // factor
    size, centre = _read_size(request, image_shape), _read_centre(request, frame)
    # Rounded up, so that the binned volume holds all of what was asked for.
    n_z = -(-size[2] // factor)
    n_x = min(n_u, -(-size[0] // factor))
    c_x, c_y, c_z = (length / factor for length in centre)
    if request.size is None and request.center is None:
        first, stop = binned_rows(request.y, image_shape[0], factor)
        n_y, c_y = stop - first, (first + stop - n_v) / 2
    else:
        n_y = min(n_v, -(-size[1] // factor))
    angle = math.radians(frame.x_tilt_deg)
    cos, sin = math.cos(angle), math.sin(angle)
    if frame.x_tilt_deg == 0:
        rows = _whole_rows(n_y, n_v, c_y)
        # Rows are those of the views: a centre between them is moved to the nearest.
        c_y = (rows[0] + rows[1] - n_v) / 2
        thickness = n_z
    else:
        rows = _turned_rows(c_y * cos - c_z * sin, n_y / 2 * cos + n_z / 2 * abs(sin), n_v)
        thickness = math.ceil(n_y * abs(sin) + n_z * cos - _ROUNDING) + 2 * _MARGIN
    column = min(max(math.floor((n_u - n_x) / 2 + c_x + 0.5), 0), n_u - n_x)
    levelling = Levelling(
        frame.x_tilt_deg,
        (n_z, n_y, n_x),
        ((thickness - 1) / 2, c_y * cos - c_z * sin + (n_v - 1) / 2 - rows[0]),
        column,
    )
    return VolumeBox(
        levelling,
        thickness,
        rows,
        centre_xz=(c_x - (column - (n_u - n_x) / 2), c_y * sin + c_z * cos),
        origin_px=(c_x + (n_u - n_x) / 2, c_y + (n_v - n_y) / 2, c_z),
    )


def _read_size(request: ReconstructionRequest, image_shape: tuple[int, int]) -> tuple[int, int, int]:
    """Extents ``(x, y, z)`` before binning."""
    n_y, n_x = image_shape
    if request.size is None:
        if request.thickness is None:
            raise OptionError(
                "is not given", field="--thickness", remedy="give the extent along z in pixels of the stack"
            )
        return n_x, n_y, request.thickness
    for option, given in (("--thickness", request.thickness), ("--y", request.y)):
        if given is not None:
            raise OptionError("does not go with --size, which says it too", field=option, remedy="give one of them")
    numbers = _numbers(request.size, "--size", "such as 1024,1024,300")
    if not all(math.isfinite(number) and number >= 1 and number == int(number) for number in numbers):
        raise OptionError(f"{request.size!r} is no size", field="--size", remedy="give whole numbers above 0")
    x, y, z = (int(number) for number in numbers)
    if x > n_x or y > n_y:
        remedy = f"give at most {n_x},{n_y}"
        raise OptionError(f"{x},{y} where the views have {n_x} x {n_y} pixels", field="--size", remedy=remedy)
    return x, y, z


def _read_centre(request: ReconstructionRequest, frame: SpecimenFrame) -> tuple[float, ...]:
    if request.center is None:
        return frame.centre_px
    if request.y is not None:
        raise OptionError(
            "does not go with --center, which says it too", field="--y", remedy="give --size in its place"
        )
    numbers = _numbers(request.center, "--center", "such as 0,0,-40")
    if not all(math.isfinite(number) and abs(number) < 1e6 for number in numbers):
        raise OptionError(f"{request.center!r} is no place", field="--center", remedy="give pixels from the tilt axis")
    return numbers


def _numbers(text: str, option: str, example: str) -> tuple[float, ...]:
    try:
        x, y, z = (float(word) for word in text.split(","))
    except ValueError:
        raise OptionError(f"{text!r} is not X,Y,Z", field=option, remedy=f"write {example}") from None
    return x, y, z


def _whole_rows(n_y: int, n_v: int, centre_y: float) -> Rows:
    first = math.floor((n_v - n_y) / 2 + centre_y + 0.5)
    if first < 0 or first + n_y > n_v:
        raise OptionError(
            f"the box goes beyond the views along y: rows {first} to {first + n_y - 1} of {n_v}",
            field="--center",
            remedy="give a smaller --size, or a center nearer to 0",
        )
    return first, first + n_y


def _turned_rows(centre_y: float, half: float, n_v: int) -> Rows:
    """Rows of the views that a turned box reaches to."""
    first = max(0, math.floor(centre_y - half + n_v / 2) - _MARGIN)
    stop = min(n_v, math.ceil(centre_y + half + n_v / 2) + _MARGIN)
    if first >= stop:
        raise OptionError("the box lies beside the views", field="--center", remedy="give a center nearer to 0")
    return first, stop
