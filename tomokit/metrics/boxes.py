"""Boxes of voxels, and the text by which a user gives one."""

from __future__ import annotations

import re
from dataclasses import dataclass

from tomokit.errors import OptionError

_RANGE = re.compile(r"\s*(\d+)\s*:\s*(\d+)\s*")
_FORM = "give z0:z1,y0:y1,x0:x1 in voxels, each end after its start"


@dataclass(frozen=True)
class Box:
    """A box within a volume: voxels ``start`` to ``stop - 1`` along z, y and x.

    Attributes
    ----------
    start, stop : tuple of int
        Indices of the first voxel, and of one past the last, along ``(z, y, x)``.
    """

    start: tuple[int, int, int]
    stop: tuple[int, int, int]

    @property
    def slices(self) -> tuple[slice, slice, slice]:
        """The box as an index into ``[z, y, x]``."""
        z, y, x = (slice(a, b) for a, b in zip(self.start, self.stop, strict=True))
        return z, y, x

    def __str__(self) -> str:
        return ",".join(f"{a}:{b}" for a, b in zip(self.start, self.stop, strict=True))


def parse_box(text: str) -> Box:
    """Read a box from ``z0:z1,y0:y1,x0:x1``, the ends excluded.

    Parameters
    ----------
    text : str
        Three ranges of whole numbers, in voxels.

    Returns
    -------
    Box

    Raises
    ------
    OptionError
        If the text is not three ranges of whole numbers, or a range is empty.
    """
    matches = [_RANGE.fullmatch(part) for part in text.split(",")]
    ranges = [(int(match[1]), int(match[2])) for match in matches if match]
    if len(matches) != 3 or len(ranges) != 3:
        raise OptionError(f"{text!r} is not three ranges", field="--box", remedy=_FORM)
    if any(stop <= start for start, stop in ranges):
        raise OptionError(f"{text!r} has an empty range", field="--box", remedy=_FORM)
    (z0, z1), (y0, y1), (x0, x1) = ranges
    return Box((z0, y0, x0), (z1, y1, x1))


def check_box(box: Box, shape_zyx: tuple[int, ...]) -> None:
    """Make sure that a box lies within a volume.

    Parameters
    ----------
    box : Box
    shape_zyx : tuple of int
        Voxels of the volume along z, y and x.

    Raises
    ------
    OptionError
        If the box ends beyond the volume.
    """
    if any(stop > n for stop, n in zip(box.stop, shape_zyx, strict=True)):
        size = " x ".join(str(n) for n in shape_zyx)
        raise OptionError(f"{box} reaches beyond the volume of {size} voxels", field="--box", remedy="make it smaller")
