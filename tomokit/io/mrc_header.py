"""Reading of MRC headers: what they say, what they can be trusted for, and how they are mended.

Headers in the wild lie about cell, machine stamp, space group and labels. The sizes and the mode decide
what the pixels are, so they must make sense; everything else is mended with a warning. Field layout:
the MRC2014 standard (Cheng et al. 2015, J. Struct. Biol. 192, 146), as tabulated by mrcfile; the two
fields of IMOD from its ``mrc_format.txt``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from tomokit.errors import InputError
from tomokit.io.mrc_bytes import BytesReading, read_of_bytes
from tomokit.io.serialem import binning_of_titles, tilt_axis_of_titles

HEADER_BYTES = 1024
_MODES: dict[int, str] = {0: "i1", 1: "i2", 2: "f4", 6: "u2", 12: "f2"}
_UNREADABLE = {3: "complex 16-bit integers", 4: "a Fourier transform", 16: "RGB", 101: "4-bit integers"}
_LAYOUT_OFFSET = 128
# Beyond these no microscope has pixels: the cell was never set, or holds something else.
_PIXEL_MIN_ANGSTROM, _PIXEL_MAX_ANGSTROM = 0.01, 1e5


@dataclass(frozen=True)
class MrcHeader:
    """Facts of an MRC header, mended where they made no sense.

    Attributes
    ----------
    shape : tuple of int
        Sections, rows, columns: ``(nz, ny, nx)``.
    mode : int
        MRC mode number.
    dtype : numpy.dtype
        Type of a pixel in the file, with its byte order.
    bytes_reading : BytesReading or None
        How bytes are read; None for other modes.
    data_offset : int
        Byte at which the pixels begin.
    ispg : int
        Space group: 0 for a stack of images, 1 for a volume.
    mz : int
        Sections per volume, as written.
    pixel_size_angstrom : float
        Edge of a pixel in ångström; 1 where the header has none.
    pixel_size_known : bool
        Whether the header had a pixel size.
    origin_angstrom : tuple of float
        Origin ``(x, y, z)`` in ångström, as written.
    labels : tuple of str
        The text labels that are not empty, at most ten.
    exttyp : str
        Type of the extended header, if there is one.
    byte_order : {"<", ">"}
        Byte order of the header's numbers.
    extended_layout : tuple of int
        What IMOD calls ``nint`` and ``nreal``: how a record of the extended header is made up.
    warnings : tuple of str
        What was wrong with the header and how it was read instead.
    statistics : dict of str to float or None
        What the header says of its pixels: ``minimum``, ``maximum``, ``mean`` and ``rms`` (None if it is not known);
        None if it says nothing. Whoever wrote the pixels may not have written it anew.
    """

    shape: tuple[int, int, int]
    mode: int
    dtype: np.dtype[np.number]
    bytes_reading: BytesReading | None
    data_offset: int
    ispg: int
    mz: int
    pixel_size_angstrom: float
    pixel_size_known: bool
    origin_angstrom: tuple[float, float, float]
    labels: tuple[str, ...]
    exttyp: str
    byte_order: str
    extended_layout: tuple[int, int]
    warnings: tuple[str, ...]
    statistics: dict[str, float | None] | None = None

    @property
    def data_bytes(self) -> int:
        """Bytes that all pixels take."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def bytes_in_memory(self) -> int:
        """Bytes that the pixels of a plain file take when it is opened: none where they can be mapped."""
        return self.data_bytes if self.bytes_reading is not None and self.bytes_reading.shift else 0

    @property
    def tilt_axis_deg(self) -> float | None:
        """Angle of the tilt axis in degrees from SerialEM's label, as of :class:`tomokit.io.mdoc.MdocFacts`."""
        return tilt_axis_of_titles(self.labels)

    @property
    def binning(self) -> float | None:
        """The camera's binning from SerialEM's label."""
        return binning_of_titles(self.labels)


def parse_header(raw: bytes, *, file: str) -> MrcHeader:
    """Interpret the first 1024 bytes of an MRC file.

    Parameters
    ----------
    raw : bytes
        The header block.
    file : str
        The file's name, for messages.

    Returns
    -------
    MrcHeader

    Raises
    ------
    InputError
        If this is no MRC file, or sizes, mode or axis order cannot be used.
    """
    if len(raw) < HEADER_BYTES:
        shortage = f"{len(raw)} bytes, an MRC header has {HEADER_BYTES}" if raw else "the file is empty"
        raise InputError(f"not an MRC file: {shortage}", file=file, remedy="copy or write the file again")
    warnings: list[str] = []
    head = _header_in_byte_order(raw[:HEADER_BYTES], file, warnings)
    mode = int(head["mode"])
    if mode not in _MODES:
        meaning = _UNREADABLE.get(mode, "unknown")
        remedy = "convert it to mode 0, 1, 2, 6 or 12"
        raise InputError(f"mode {mode} ({meaning}) cannot be read", file=file, field="mode", remedy=remedy)
    _check_axis_order(head, file, warnings)
    nsymbt = int(head["nsymbt"])
    if nsymbt < 0:
        warnings.append(f"extended header of {nsymbt} bytes; taken as 0")
        nsymbt = 0
    size, known = _pixel_size(head, warnings)
    dtype = np.dtype(_MODES[mode]).newbyteorder(head.dtype["mode"].byteorder)
    byte_order = ">" if head.dtype["mode"].byteorder == ">" else "<"
    reading = read_of_bytes(raw, byte_order) if mode == 0 else None
    if reading is not None:
        dtype = np.dtype(reading.dtype)
        warnings += reading.warnings
    return MrcHeader(
        shape=(int(head["nz"]), int(head["ny"]), int(head["nx"])),
        mode=mode,
        dtype=dtype,
        bytes_reading=reading,
        data_offset=HEADER_BYTES + nsymbt,
        ispg=int(head["ispg"]),
        mz=int(head["mz"]),
        pixel_size_angstrom=size,
        pixel_size_known=known,
        origin_angstrom=_finite_origin(head, warnings),
        labels=_text_labels(head, warnings),
        exttyp=_printable_text(bytes(head["exttyp"])) if nsymbt else "",
        byte_order=byte_order,
        extended_layout=_extended_layout(raw, byte_order),
        warnings=tuple(warnings),
        statistics=_written_statistics(head),
    )


def _written_statistics(head: np.void) -> dict[str, float | None] | None:
    """Extremes and mean as written; by the standard a maximum below the minimum, or a mean below both, says nothing."""
    low, high, mean, rms = (float(head[name]) for name in ("dmin", "dmax", "dmean", "rms"))
    # A header that was never filled in has zeros.
    if not (math.isfinite(low) and math.isfinite(high) and low <= mean <= high) or low == high == 0:
        return None
    return {"minimum": low, "maximum": high, "mean": mean, "rms": rms if math.isfinite(rms) and rms >= 0 else None}


def _header_in_byte_order(raw: bytes, file: str, warnings: list[str]) -> np.void:
    """The header in the byte order in which its sizes make sense, whatever the machine stamp says."""
    from mrcfile.dtypes import HEADER_DTYPE
    from mrcfile.utils import byte_order_from_machine_stamp

    little, big = (np.frombuffer(raw, HEADER_DTYPE.newbyteorder(order))[0] for order in "<>")
    is_map = bytes(little["map"])[:3] == b"MAP"
    try:
        stamped = byte_order_from_machine_stamp(little["machst"])
    except ValueError:
        stamped = None
    # The machine stamp decides only where both orders make sense; where its own does not, it is overruled.
    first, second = (big, little) if stamped == ">" else (little, big)
    if _is_plausible(first):
        head = first
    elif _is_plausible(second):
        head = second
    elif is_map:
        sizes = ", ".join(str(int(first[name])) for name in ("nx", "ny", "nz"))
        if all(int(first[name]) > 0 for name in ("nx", "ny", "nz")):
            return first  # an unknown mode, told by the caller
        raise InputError(f"sizes {sizes} are not all positive", file=file, field="nx, ny, nz", remedy="write it again")
    else:
        raise InputError("not an MRC file: no map identifier, no sensible sizes", file=file, remedy="give an MRC file")
    if stamped is None or head is not first:
        stamp = " ".join(f"{byte:02x}" for byte in little["machst"])
        order = "little" if head is little else "big"
        warnings.append(f"machine stamp {stamp} is wrong; read as {order}-endian")
    if not is_map:
        warnings.append("the map identifier 'MAP ' is missing")
    return head


def _is_plausible(head: np.void) -> bool:
    """Whether mode and sizes are those of an MRC file, if read in this byte order."""
    known = int(head["mode"]) in _MODES or int(head["mode"]) in _UNREADABLE
    # A size of 2^24 or more is a small one with its bytes swapped.
    return known and all(0 < int(head[name]) < 1 << 24 for name in ("nx", "ny", "nz"))


def _check_axis_order(head: np.void, file: str, warnings: list[str]) -> None:
    order = tuple(int(head[name]) for name in ("mapc", "mapr", "maps"))
    if order == (1, 2, 3):
        return
    if sorted(order) == [1, 2, 3]:
        raise InputError(
            f"axis order {order} is not supported",
            file=file,
            field="mapc, mapr, maps",
            remedy="rewrite the file with x fastest and z slowest (1, 2, 3)",
        )
    warnings.append(f"axis order {order} is no order; taken as (1, 2, 3)")


def _pixel_size(head: np.void, warnings: list[str]) -> tuple[float, bool]:
    """Cell over sampling in ångström, and whether it is known.

    Of an image stack only x and y count: its cell in z is often not set.
    """
    sizes = []
    for axis, sampling, count in (("x", "mx", "nx"), ("y", "my", "ny"), ("z", "mz", "nz")):
        n = int(head[sampling]) if int(head[sampling]) > 0 else int(head[count])
        sizes.append(float(head["cella"][axis]) / n)
    x, y, z = sizes
    if not all(math.isfinite(size) and _PIXEL_MIN_ANGSTROM <= size <= _PIXEL_MAX_ANGSTROM for size in (x, y)):
        cell = ", ".join(f"{float(head['cella'][axis]):g}" for axis in "xyz")
        warnings.append(f"cell ({cell}) gives no pixel size; taken as 1 angstrom per pixel")
        return 1.0, False
    axes = (x, y) if int(head["ispg"]) == 0 else (x, y, z)
    if not all(abs(size - x) <= 1e-3 * x for size in axes):
        text = " x ".join(f"{size:.6g}" for size in axes)
        warnings.append(f"pixels of {text} angstrom are not equal-sided; {x:.6g} is used")
    # Sizes are written as float32: show 5.4, not 5.400000095.
    return float(f"{x:.7g}"), True


def _extended_layout(raw: bytes, byte_order: str) -> tuple[int, int]:
    nint, nreal = np.frombuffer(raw, np.dtype(f"{byte_order}i2"), count=2, offset=_LAYOUT_OFFSET)
    return int(nint), int(nreal)


def _finite_origin(head: np.void, warnings: list[str]) -> tuple[float, float, float]:
    x, y, z = (float(head["origin"][axis]) for axis in "xyz")
    if all(math.isfinite(coordinate) for coordinate in (x, y, z)):
        return x, y, z
    warnings.append("the origin is not finite; taken as 0")
    return 0.0, 0.0, 0.0


def _text_labels(head: np.void, warnings: list[str]) -> tuple[str, ...]:
    count = int(head["nlabl"])
    if not 0 <= count <= 10:
        warnings.append(f"{count} labels; a header holds at most 10")
    labels = (_printable_text(bytes(label)) for label in head["label"])
    return tuple(label for label in labels if label)


def _printable_text(raw: bytes) -> str:
    """Printable ASCII of a fixed-width field, its runs of blanks made one."""
    return " ".join("".join(c if c.isprintable() else " " for c in raw.decode("ascii", "ignore")).split())
