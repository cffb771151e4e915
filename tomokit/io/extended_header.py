"""Tilt angles, pixel size and tilt axis from the extended headers of microscopes' MRC files.

Known are Thermo Fisher's ``FEI1`` and ``FEI2`` (the MRC2014 specification of its EPU software; the fields as mrcfile
tabulates them), its older one and Agard's (1024 records of 32 reals, "The extended MRC format for tomography",
R. Schoenmakers, 2011), and SerialEM's, told by IMOD's ``mrc_format.txt``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tomokit.io.serialem import turned_within_180

MOST_BYTES = 8 << 20
"""More of an extended header is not read: gain references lie there, no angles of a tilt series."""

_LIMIT_DEG = 90.0
_PIXEL_MIN_ANGSTROM, _PIXEL_MAX_ANGSTROM = 0.01, 1e5
# Bytes of SerialEM's items, by the bit that says that an item is there.
_SERIALEM_BYTES = (2, 6, 4, 2, 2, 4, 2, 4, 2, 4, 2)
_TILT_BIT, _PIECE_BIT = 1, 2
# Of the first mask in a record of FEI1 or FEI2: whether the tilt axis was recorded.
_HAS_AXIS = 1 << 12
_FEI_LEAST_BYTES, _FEI_MOST_BYTES = 176, 1 << 16
# It wrote its angles in radians.
_VERSION_IN_RADIANS = b"4.4.0.4981"
_OLD_FEI_BYTES = 1024 * 128
_OLD_FEI_REALS = 32


@dataclass(frozen=True)
class ExtendedHeader:
    """What an extended header says of a tilt series.

    Attributes
    ----------
    layout : str
        Which layout it has, in words.
    tilt_deg : ndarray of float64, shape (n_sections,), or None
        Degrees, in the order of the images; None where there are none, or they make no sense.
    pixel_size_angstrom : float or None
        Edge of a pixel.
    tilt_axis_deg : float or None
        Angle of the tilt axis from the images' y axis, counter-clockwise, as SerialEM and IMOD count: Thermo Fisher's
        with its sign changed.
    """

    layout: str
    tilt_deg: NDArray[np.float64] | None = None
    pixel_size_angstrom: float | None = None
    tilt_axis_deg: float | None = None


def read_extended_header(
    raw: bytes, *, exttyp: str, layout: tuple[int, int], byte_order: str, n_sections: int, labels: tuple[str, ...]
) -> ExtendedHeader | None:
    """Interpret the bytes between the header and the pixels.

    Parameters
    ----------
    raw : bytes
        The extended header, or the beginning of it.
    exttyp : str
        Its type as the header names it.
    layout : tuple of int
        ``nint`` and ``nreal`` of the header.
    byte_order : {"<", ">"}
        Of the file.
    n_sections : int
        Images in the file.
    labels : tuple of str
        The header's labels: older files of Thermo Fisher are told by them.

    Returns
    -------
    ExtendedHeader or None
        None if there is none, or one of another kind.
    """
    if not raw:
        return None
    if exttyp in ("FEI1", "FEI2"):
        return _read_fei(raw, exttyp, byte_order, n_sections)
    nint, nreal = layout
    is_fei = any(label.lower().startswith("fei") for label in labels)
    may_be_serialem = exttyp == "SERI" or (exttyp != "AGAR" and not is_fei)
    if may_be_serialem and _is_serialem(nint, nreal):
        return _read_serialem(raw, nint, nreal, byte_order, n_sections)
    if nint == nreal == 0 and (is_fei or exttyp == "AGAR" or len(raw) == _OLD_FEI_BYTES):
        nreal = _OLD_FEI_REALS
    if nint >= 0 and nreal > 0 and exttyp in ("", "AGAR", "SERI"):
        return _read_reals(raw, nint, nreal, byte_order, n_sections, is_fei)
    return None


def _read_fei(raw: bytes, exttyp: str, byte_order: str, n_sections: int) -> ExtendedHeader:
    from mrcfile.dtypes import get_ext_header_dtype

    # The first version's fields are in the second too, at the same places.
    whole = get_ext_header_dtype(b"FEI1", byte_order)
    name = f"{exttyp} of Thermo Fisher"
    records: list[np.void] = []
    offset = 0
    while len(records) < n_sections and offset + whole.itemsize <= len(raw):
        record = np.frombuffer(raw, whole, count=1, offset=offset)[0]
        size = int(record["Metadata size"])
        if not _FEI_LEAST_BYTES <= size <= _FEI_MOST_BYTES:
            # Some writers leave it out; the records are then as long as their fields.
            size = get_ext_header_dtype(exttyp.encode("ascii"), byte_order).itemsize
        records.append(record)
        offset += size
    if not records:
        return ExtendedHeader(name)
    first = records[0]
    mask = int(first["Bitmask 1"])
    unit = math.degrees(1) if bytes(first["Application version"]).startswith(_VERSION_IN_RADIANS) else 1.0
    tilt = np.array([float(record["Alpha tilt"]) for record in records]) * unit
    axis = float(first["Tilt axis angle"]) * unit
    # Fields that are not announced count where they hold something.
    has_axis = bool(mask & _HAS_AXIS) or axis != 0
    return ExtendedHeader(
        name,
        _sensible_angles(tilt, n_sections),
        _pixel_angstrom(float(first["Pixel size X"])),
        _axis(-axis) if has_axis else None,
    )


def _is_serialem(nint: int, nreal: int) -> bool:
    """Whether the two numbers are bytes of a record and flags of its items, which then agree."""
    if nint <= 0 or not 0 < nreal < 1 << len(_SERIALEM_BYTES):
        return False
    return nint == sum(size for bit, size in enumerate(_SERIALEM_BYTES) if nreal >> bit & 1)


def _read_serialem(raw: bytes, record_bytes: int, flags: int, byte_order: str, n_sections: int) -> ExtendedHeader:
    name = "SerialEM's"
    if not flags & _TILT_BIT or len(raw) < record_bytes * n_sections:
        return ExtendedHeader(name)
    words = np.frombuffer(raw, f"{byte_order}i2", count=record_bytes // 2 * n_sections).reshape(n_sections, -1)
    if flags & _PIECE_BIT and len({tuple(place) for place in words[:, 1:3].tolist()}) > 1:
        # Pieces of a montage: the images are not views.
        return ExtendedHeader(name)
    return ExtendedHeader(name, _sensible_angles(words[:, 0] / 100.0, n_sections))


def _read_reals(
    raw: bytes, nint: int, nreal: int, byte_order: str, n_sections: int, is_fei: bool
) -> ExtendedHeader | None:
    """Records of whole numbers and reals: tilt is the first real, tilt axis the 11th, pixel size the 12th."""
    name = "Thermo Fisher's older one" if is_fei else "Agard's"
    per_record = nint + nreal
    if len(raw) < 4 * per_record * n_sections:
        return ExtendedHeader(name)
    reals = np.frombuffer(raw, f"{byte_order}f4", count=per_record * n_sections).reshape(n_sections, per_record)
    reals = reals[:, nint:].astype(np.float64)
    axis = pixel = None
    if nreal >= 12:
        # Zero is what is there where no one has set it.
        axis = _axis(float(-reals[0, 10] if is_fei else reals[0, 10])) if reals[0, 10] != 0 else None
        pixel = _pixel_angstrom(float(reals[0, 11]))
    return ExtendedHeader(name, _sensible_angles(reals[:, 0], n_sections), pixel, axis)


def _sensible_angles(tilt_deg: NDArray[np.float64], n_sections: int) -> NDArray[np.float64] | None:
    """The angles, rounded from what single precision makes of them; None if they cannot be those of a series."""
    if tilt_deg.size != n_sections or not np.isfinite(tilt_deg).all() or np.abs(tilt_deg).max() > _LIMIT_DEG:
        return None
    if not tilt_deg.any() or (tilt_deg.size > 1 and np.ptp(tilt_deg) == 0):
        return None
    return np.round(tilt_deg, 5)


def _pixel_angstrom(size: float) -> float | None:
    """In ångström what is written in metres; some programs write ångström there."""
    if not math.isfinite(size) or size <= 0:
        return None
    angstrom = size * 1e10 if size < 1e-5 else size
    return float(f"{angstrom:.7g}") if _PIXEL_MIN_ANGSTROM <= angstrom <= _PIXEL_MAX_ANGSTROM else None


def _axis(angle_deg: float) -> float | None:
    return turned_within_180(angle_deg) if math.isfinite(angle_deg) and abs(angle_deg) <= 360 else None
