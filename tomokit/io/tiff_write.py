"""Writing of volumes as TIFF: a page for each section, in ImageJ's dialect as long as it fits into 4 GiB."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from tomokit.data import Volume
from tomokit.version import __version__

_IMAGEJ_BYTES = (1 << 32) - (1 << 25)
"""A TIFF has offsets of 32 bits; some room is left for what is not pixels."""


def fill_tiff(path: Path, volume: Volume, size_is_known: bool = True, imagej_bytes: int = _IMAGEJ_BYTES) -> None:
    """Write a volume ``[z, y, x]`` into a file that is there, as TIFF of float32, the first section first.

    Voxel size and spacing are in nanometres, as ImageJ has them; a BigTIFF, which ImageJ reads by Bio-Formats, has
    its resolution in pixels per centimetre. The origin of the volume has no place.

    Parameters
    ----------
    path : Path
        The file.
    volume : Volume
        Densities; written from where they are, without another copy.
    size_is_known : bool
        Whether the voxel size was given; if not, the file tells none.
    imagej_bytes : int
        Bytes of pixels beyond which it is a BigTIFF.

    Raises
    ------
    OSError
        If the disk is full, or anything else fails.
    """
    import tifffile

    pixels = np.ascontiguousarray(volume.density, dtype="<f4")
    per_nm = 10 / volume.voxel_size_angstrom
    common: dict[str, Any] = {"photometric": "minisblack"}
    with open(path, "r+b") as stream:
        if pixels.nbytes < imagej_bytes:
            metadata: dict[str, Any] = {"axes": "ZYX"}
            if size_is_known:
                metadata |= {"spacing": 1 / per_nm, "unit": "nm"}
                common["resolution"] = (per_nm, per_nm)
            with tifffile.TiffWriter(stream, byteorder="<", imagej=True) as tiff:
                tiff.write(pixels, metadata=metadata, **common)
        else:
            spacing = {"spacing": 1 / per_nm, "unit": "nm"} if size_is_known else {}
            if size_is_known:
                common |= {"resolution": (1e7 * per_nm, 1e7 * per_nm), "resolutionunit": "CENTIMETER"}
            software = f"tomokit {__version__}"
            with tifffile.TiffWriter(stream, byteorder="<", bigtiff=True) as tiff:
                tiff.write(pixels, metadata={"axes": "ZYX", **spacing}, software=software, **common)
        stream.truncate()
