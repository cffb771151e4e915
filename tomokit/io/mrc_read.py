"""Reading of MRC files: tilt stacks and volumes, memory-mapped where the file allows it."""

from __future__ import annotations

import bz2
import gzip
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.errors import InputError
from tomokit.io.angles import candidate_names
from tomokit.io.beside import find_beside
from tomokit.io.extended_header import MOST_BYTES, ExtendedHeader, read_extended_header
from tomokit.io.kind import TILT_STACK, MrcKind, stack_or_volume
from tomokit.io.mrc_bytes import looks_unsigned
from tomokit.io.mrc_header import HEADER_BYTES, MrcHeader, parse_header
from tomokit.io.pixels import require_finite, require_finite_views
from tomokit.io.regular import open_regular, require_regular

_BLOCK_BYTES = 16 << 20
# A byte of gzip cannot stand for more (zlib's technical notes).
_MOST_DEFLATED = 1032


@dataclass(frozen=True)
class MrcImages:
    """Images of an MRC file as they are in the file, and the facts of its header.

    Attributes
    ----------
    pixels : ndarray, shape (n_sections, n_y, n_x)
        Pixels ``[tilt, y, x]`` in the type of the file; memory-mapped and read-only unless compressed. Signed bytes by
        IMOD's stamp are in memory, unsigned, as IMOD shows them.
    header : MrcHeader
        Facts of the header.
    path : Path
        The file that the images are in.
    warnings : tuple of str
        What was wrong with the file and how it was read instead.
    extended_bytes : bytes
        The extended header, or the beginning of a long one.
    """

    pixels: NDArray[np.number]
    header: MrcHeader
    path: Path
    warnings: tuple[str, ...] = ()
    extended_bytes: bytes = b""

    @property
    def pixel_size_angstrom(self) -> float:
        """Edge of a pixel in ångström; 1, with a warning, where the header has none."""
        return self.header.pixel_size_angstrom

    @cached_property
    def extended(self) -> ExtendedHeader | None:
        """Angles, pixel size and tilt axis of the extended header; None if there is none of a known kind."""
        header = self.header
        return read_extended_header(
            self.extended_bytes,
            exttyp=header.exttyp,
            layout=header.extended_layout,
            byte_order=header.byte_order,
            n_sections=header.shape[0],
            labels=header.labels,
        )

    def kind(self) -> MrcKind:
        """Tell whether these are views or sections of a volume, by what is in the file and beside it.

        Returns
        -------
        MrcKind
        """
        return stack_or_volume(
            self.path.name,
            self.header,
            angles_in_header=self.extended is not None and self.extended.tilt_deg is not None,
            angles_beside=find_beside(self.path, candidate_names(self.path.name)) is not None,
        )


def open_mrc(path: str | os.PathLike[str], *, with_pixels: bool = True) -> MrcImages:
    """Open any MRC file without looking at its pixels.

    Parameters
    ----------
    path : path-like
        An MRC file, plain or compressed with gzip or bzip2 (told by its first bytes, not by its name).
    with_pixels : bool
        Whether the pixels will be looked at. If not, nothing is decompressed or converted, whatever the size of the
        file, and the pixels of a compressed one are zeros.

    Returns
    -------
    MrcImages

    Raises
    ------
    InputError
        If the file is missing, not MRC, shorter than its header says, or of an unsupported mode.
    """
    path = Path(path)
    with _decompressed(path) as (stream, compression):
        header = parse_header(stream.read(HEADER_BYTES), file=str(path))
        if not compression:
            images = _map(path, stream, header)
        elif with_pixels:
            images = _load_compressed(path, stream, header, compression)
        else:
            return _stand_in(path, stream, header)
    reading = images.header.bytes_reading
    if reading is None:
        return images
    if reading.shift:
        if not with_pixels:
            return images
        # The value of a byte is what is stored plus 128, which as an unsigned byte is one bit turned.
        return replace(images, pixels=np.bitwise_xor(images.pixels.view(np.uint8), np.uint8(0x80)))
    if not reading.is_certain and looks_unsigned(cast("NDArray[np.int8]", images.pixels)):
        doubt = (
            "mode 0 without IMOD's stamp, read as signed bytes (MRC2014), but neighbouring pixels agree as unsigned "
            "ones only: convert it to mode 1 or 6, or put the true minimum and maximum into its header"
        )
        return _with_warning(images, doubt)
    return images


def _stand_in(path: Path, stream: IO[bytes], header: MrcHeader) -> MrcImages:
    """What is known of a compressed file from its beginning, with zeros for its pixels, which take no memory."""
    extended = stream.read(min(header.data_offset - HEADER_BYTES, MOST_BYTES))
    return MrcImages(np.broadcast_to(np.zeros((), header.dtype), header.shape), header, path, header.warnings, extended)


def read_header(path: str | os.PathLike[str]) -> tuple[MrcHeader, int]:
    """Read the header of an MRC file alone, and hold it against the file's length unless that is compressed.

    Parameters
    ----------
    path : path-like
        As of :func:`open_mrc`.

    Returns
    -------
    header : MrcHeader
    in_memory_bytes : int
        Bytes that :func:`open_mrc` will hold in memory: those of the pixels where they cannot be mapped, else 0.

    Raises
    ------
    InputError
        If the file is missing, not MRC, of an unsupported mode, or too short.
    """
    path = Path(path)
    with _decompressed(path) as (stream, compression):
        header = parse_header(stream.read(HEADER_BYTES), file=str(path))
    if compression == "gzip":
        _require_possible_gzip(path, header)
    if compression:
        return header, header.data_bytes + header.bytes_in_memory
    return _reconcile_with_size(header, require_regular(path), str(path))[0], header.bytes_in_memory


def read_stack(path: str | os.PathLike[str], *, check_pixels: bool = True) -> MrcImages:
    """Read a tilt stack ``[tilt, y, x]`` in the pixel type of its file.

    Parameters
    ----------
    path : path-like
        An MRC file of mode 0, 1, 2, 6 or 12, plain, ``.gz`` or ``.bz2``. A wrong space group is
        tolerated: many programs write stacks as volumes.
    check_pixels : bool
        Whether to look for NaN and infinite pixels, view by view.

    Returns
    -------
    MrcImages

    Raises
    ------
    InputError
        As :func:`open_mrc`, or if a pixel is NaN or infinite.
    """
    images = open_mrc(path)
    ispg = images.header.ispg
    if ispg != 0:
        images = _with_warning(
            images, f"space group {ispg} says a volume; read as a stack of {images.header.shape[0]} views"
        )
    if check_pixels:
        require_finite_views(images.pixels, np.arange(images.header.shape[0]), file=path)
    return images


def open_volume(path: str | os.PathLike[str]) -> MrcImages:
    """Read a volume ``[z, y, x]`` in the type of its file.

    Parameters
    ----------
    path : path-like
        As of :func:`read_volume`.

    Returns
    -------
    MrcImages
        Its voxels memory-mapped and read-only, unless compressed.

    Raises
    ------
    InputError
        As :func:`read_volume`.
    """
    images = open_mrc(path)
    header = images.header
    # Space groups 401 to 630 are MRC2014's mark of a stack of volumes, of mz sections each.
    if 401 <= header.ispg <= 630 and 0 < header.mz < header.shape[0]:
        count = header.shape[0] // header.mz
        raise InputError(f"holds {count} volumes", file=path, field="ispg", remedy="split it into single volumes")
    if images.kind().kind == TILT_STACK and header.shape[0] > 1:
        images = _with_warning(images, f"looks like a tilt stack ({images.kind().evidence}); read as a volume")
    require_finite(images.pixels, file=path)
    return images


def read_volume(path: str | os.PathLike[str]) -> Volume:
    """Read a volume ``[z, y, x]`` as float32.

    Parameters
    ----------
    path : path-like
        An MRC file of mode 0, 1, 2, 6 or 12, plain, ``.gz`` or ``.bz2``.

    Returns
    -------
    Volume
        Memory-mapped and read-only if the file holds float32 in this machine's byte order. Its
        provenance names the file, its labels, the source of the voxel size (``"header"``, or ``"none"``
        where 1 was assumed) and the warnings.

    Raises
    ------
    InputError
        As :func:`open_mrc`; if the file holds several volumes; if a voxel is NaN or infinite.
    """
    images = open_volume(path)
    header = images.header
    return Volume(
        density=np.asanyarray(images.pixels).astype(np.float32, copy=False),
        voxel_size_angstrom=images.pixel_size_angstrom,
        origin_angstrom=header.origin_angstrom,
        provenance={
            "source": images.path.name,
            "labels": list(header.labels),
            "pixel_size_source": "header" if header.pixel_size_known else "none",
            "warnings": list(images.warnings),
        },
    )


def _with_warning(images: MrcImages, text: str) -> MrcImages:
    return replace(images, warnings=(*images.warnings, text))


@contextmanager
def _decompressed(path: Path) -> Iterator[tuple[IO[bytes], str]]:
    """The bytes of the file, decompressed if need be, and by what: ``"gzip"``, ``"bzip2"`` or empty."""
    try:
        with open_regular(path) as stream:
            magic = stream.read(3)
            stream.seek(0)
            if magic[:2] == b"\x1f\x8b":
                with gzip.GzipFile(fileobj=stream) as decompressed:
                    yield cast(IO[bytes], decompressed), "gzip"
            elif magic == b"BZh":
                with bz2.BZ2File(stream) as decompressed_bz2:
                    yield cast(IO[bytes], decompressed_bz2), "bzip2"
            else:
                yield stream, ""
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"cannot be read ({error.strerror})", file=path) from error
        raise InputError(f"the compressed file is damaged or cut off ({error})", file=path) from error


def _map(path: Path, stream: IO[bytes], header: MrcHeader) -> MrcImages:
    extended = stream.read(min(header.data_offset - HEADER_BYTES, MOST_BYTES))
    reconciled, warnings = _reconcile_with_size(header, require_regular(path), str(path))
    if reconciled.data_offset == HEADER_BYTES:
        extended = b""
    values = np.memmap(path, dtype=header.dtype, mode="r", offset=reconciled.data_offset, shape=header.shape)
    return MrcImages(values, reconciled, path, warnings, extended)


def _load_compressed(path: Path, stream: IO[bytes], header: MrcHeader, compression: str) -> MrcImages:
    """Decompress block by block: memory follows what is there, and ends with what the header promises."""
    wanted = header.data_offset - HEADER_BYTES + header.data_bytes
    if compression == "gzip":
        _require_possible_gzip(path, header)
    pixels = bytearray()
    # One byte beyond what is wanted tells a file that is too long.
    while len(pixels) <= wanted and (block := stream.read(min(_BLOCK_BYTES, wanted + 1 - len(pixels)))):
        pixels += block
    reconciled, warnings = _reconcile_with_size(header, HEADER_BYTES + len(pixels), str(path))
    start = reconciled.data_offset - HEADER_BYTES
    values = np.frombuffer(pixels, header.dtype, count=header.data_bytes // header.dtype.itemsize, offset=start)
    return MrcImages(values.reshape(header.shape), reconciled, path, warnings, bytes(pixels[: min(start, MOST_BYTES)]))


def _require_possible_gzip(path: Path, header: MrcHeader) -> None:
    """No need to decompress a file to know that it cannot hold what its header says."""
    size = require_regular(path)
    if header.data_bytes > _MOST_DEFLATED * size:
        raise _truncated(header, f"which {size} bytes of gzip cannot hold", str(path))


def _reconcile_with_size(header: MrcHeader, size: int, file: str) -> tuple[MrcHeader, tuple[str, ...]]:
    """The header, mended by the length of the file in bytes, and all warnings."""
    expected = header.data_offset + header.data_bytes
    if size < expected and size == HEADER_BYTES + header.data_bytes:
        nsymbt = header.data_offset - HEADER_BYTES
        text = f"no extended header where {nsymbt} bytes were announced"
        return replace(header, data_offset=HEADER_BYTES), (*header.warnings, text)
    if size < expected:
        raise _truncated(header, f"found {size}", file)
    if size > expected:
        return header, (*header.warnings, f"{size - expected} bytes more than the header says; ignored")
    return header, header.warnings


def _truncated(header: MrcHeader, found: str, file: str) -> InputError:
    nz, ny, nx = header.shape
    expected = header.data_offset + header.data_bytes
    return InputError(
        f"truncated: {nx} x {ny} x {nz} pixels of mode {header.mode} need {expected} bytes, {found}",
        file=file,
        remedy="copy or write the file again",
    )
