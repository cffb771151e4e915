"""Mode 0 of MRC: whether bytes are signed, and what value a signed one stands for.

MRC2014 has them signed, from -128 to 127. IMOD means 0 to 255: under its stamp the first bit of its flags says that a
byte is stored signed, as the value minus 128; without that bit it is stored as it is. Files of other programs without
the stamp are unsigned where the header's maximum says so, which no signed byte could reach.

Sources: Cheng et al. 2015, J. Struct. Biol. 192, 146; IMOD's ``mrc_format.txt``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IMOD_STAMP = 1146047817
SIGNED_BYTES = 1
_STAMP_OFFSET, _STATISTICS_OFFSET = 152, 76
_LEAST_DISTINCT = 16
_ROUGHER = 2.0


@dataclass(frozen=True)
class BytesReading:
    """How the bytes of a file are read.

    Attributes
    ----------
    dtype : {"i1", "u1"}
        Type of a byte as it is stored.
    shift : int
        What is added to it.
    rule : str
        By what this was decided, in words.
    warnings : tuple of str
        What contradicts it.
    is_certain : bool
        False where the header holds nothing that tells, and the standard decides.
    """

    dtype: str
    shift: int
    rule: str
    warnings: tuple[str, ...] = ()
    is_certain: bool = True


def read_of_bytes(raw: bytes, byte_order: str) -> BytesReading:
    """Decide how the bytes of a file of mode 0 are read.

    Parameters
    ----------
    raw : bytes
        The header, 1024 bytes.
    byte_order : {"<", ">"}
        Of its numbers.

    Returns
    -------
    BytesReading
    """
    stamp, flags = (int(word) for word in np.frombuffer(raw, f"{byte_order}i4", count=2, offset=_STAMP_OFFSET))
    statistics = np.frombuffer(raw, f"{byte_order}f4", count=2, offset=_STATISTICS_OFFSET)
    minimum, maximum = (float(value) for value in statistics)
    # A maximum below the minimum is MRC2014's mark of statistics that are not known.
    known = minimum < maximum
    if stamp == IMOD_STAMP and flags & SIGNED_BYTES:
        doubt = f"IMOD's stamp says signed bytes, the header has a maximum of {maximum:g}"
        return BytesReading(
            "i1", 128, "IMOD's stamp: signed, value = byte + 128", (doubt,) if known and 128 <= maximum <= 255 else ()
        )
    if stamp == IMOD_STAMP:
        doubt = f"IMOD's stamp says unsigned bytes, the header has a minimum of {minimum:g}"
        return BytesReading("u1", 0, "IMOD's stamp: unsigned", (doubt,) if known and -128 <= minimum < 0 else ())
    if minimum >= 0 and 128 <= maximum <= 255:
        text = f"mode 0 with a maximum of {maximum:g}; read as unsigned bytes"
        return BytesReading("u1", 0, f"a maximum of {maximum:g}: unsigned", (text,))
    return BytesReading("i1", 0, "MRC2014: signed", is_certain=known and minimum < 0)


def looks_unsigned(pixels: NDArray[np.int8]) -> bool:
    """Whether bytes that were read as signed are smooth only as unsigned ones.

    Read with the wrong sign, pixels on the two sides of the middle of the range lie 256 apart.

    Parameters
    ----------
    pixels : ndarray of int8, shape (n_sections, n_y, n_x)
        Three sections of them are looked at.

    Returns
    -------
    bool
        False also for few values, such as those of a mask, of which nothing can be told.
    """
    sample = np.array(pixels[sorted({0, len(pixels) // 2, len(pixels) - 1})])
    if np.unique(sample).size < _LEAST_DISTINCT:
        return False
    signed, unsigned = (
        np.abs(np.diff(sample.view(kind).astype(np.int16), axis=-1)).sum(dtype=np.float64) for kind in ("i1", "u1")
    )
    return bool(signed > _ROUGHER * unsigned)
