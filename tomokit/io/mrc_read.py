"""Reading of MRC files: tilt stacks and volumes, memory-mapped where the file allows it."""

from __future__ import annotations

import os
import zlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, cast

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.errors import InputError
from tomokit.io.mrc_header import HEADER_BYTES, MrcHeader, parse_header
from tomokit.io.pixels import require_finite

_BLOCK_BYTES = 16 << 20


@dataclass(frozen=True)
class MrcImages:
    """Images of an MRC file as they are in the file, and the facts of its header.

    Attributes
    ----------
    pixels : ndarray, shape (n_sections, n_y, n_x)
        Pixels ``[tilt, y, x]`` in the type of the file; memory-mapped and read-only unless compressed.
    header : MrcHeader
        Facts of the header.
    path : Path
        The file that the images are in.
    warnings : tuple of str
        What was wrong with the file and how it was read instead.
    """

    pixels: NDArray[np.number]
    header: MrcHeader
    path: Path
    warnings: tuple[str, ...] = ()

    @property
    def pixel_size_angstrom(self) -> float:
        """Edge of a pixel in ångström; 1, with a warning, where the header has none."""
        return self.header.pixel_size_angstrom


def open_mrc(path: str | os.PathLike[str]) -> MrcImages:
    """Open any MRC file without looking at its pixels.

    Parameters
    ----------
    path : path-like
        An MRC file, plain or compressed with gzip or bzip2 (told by its first bytes, not by its name).

    Returns
    -------
    MrcImages

    Raises
    ------
    InputError
        If the file is missing, not MRC, shorter than its header says, or of an unsupported mode.
    """
    path = Path(path)
    name = str(path)
    try:
        with _open_decompressed(path) as stream:
            header = parse_header(stream.read(HEADER_BYTES), file=name)
            if not _compression(path):
                return _map_images(path, header)
            return _load_compressed(path, stream, header)
    except (EOFError, OSError, zlib.error) as error:
        if isinstance(error, OSError) and error.strerror:
            raise InputError(f"cannot be read ({error.strerror})", file=name) from error
        raise InputError(f"the compressed file is damaged or cut off ({error})", file=name) from error


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
        require_finite(images.pixels, file=path, section="view")
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
    images = open_mrc(path)
    header = images.header
    # Space groups 401 to 630 are MRC2014's mark of a stack of volumes, of mz sections each.
    if 401 <= header.ispg <= 630 and 0 < header.mz < header.shape[0]:
        count = header.shape[0] // header.mz
        raise InputError(f"holds {count} volumes", file=path, field="ispg", remedy="split it into single volumes")
    if header.ispg == 0 and header.shape[0] > 1:
        images = _with_warning(images, "space group 0 says a stack of images; read as a volume")
    require_finite(images.pixels, file=path, section="section")
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


def _compression(path: Path) -> str:
    """``"gzip"``, ``"bzip2"`` or empty, by the first bytes."""
    with open(path, "rb") as stream:
        magic = stream.read(3)
    if magic[:2] == b"\x1f\x8b":
        return "gzip"
    return "bzip2" if magic == b"BZh" else ""


def _open_decompressed(path: Path) -> IO[bytes]:
    """The bytes of the file, decompressed if need be."""
    compression = _compression(path)
    if compression == "gzip":
        import gzip

        return cast(IO[bytes], gzip.open(path, "rb"))
    if compression == "bzip2":
        import bz2

        return cast(IO[bytes], bz2.open(path, "rb"))
    return open(path, "rb")


def _map_images(path: Path, header: MrcHeader) -> MrcImages:
    size = path.stat().st_size
    header, warnings = _reconcile_with_size(header, size, str(path))
    values = np.memmap(path, dtype=header.dtype, mode="r", offset=header.data_offset, shape=header.shape)
    return MrcImages(values, header, path, warnings)


def _load_compressed(path: Path, stream: IO[bytes], header: MrcHeader) -> MrcImages:
    """Decompress block by block: memory follows what is there, not what the header promises."""
    pixels = bytearray()
    wanted = header.data_offset - HEADER_BYTES + header.data_bytes
    # One block beyond what is wanted tells a file that is too long.
    while len(pixels) <= wanted and (block := stream.read(_BLOCK_BYTES)):
        pixels += block
    header, warnings = _reconcile_with_size(header, HEADER_BYTES + len(pixels), str(path))
    values = np.frombuffer(pixels, header.dtype, count=header.data_bytes // header.dtype.itemsize,
                           offset=header.data_offset - HEADER_BYTES)  # fmt: skip
    return MrcImages(values.reshape(header.shape), header, path, warnings)


def _reconcile_with_size(header: MrcHeader, size: int, file: str) -> tuple[MrcHeader, tuple[str, ...]]:
    """The header, mended by the length of the file in bytes, and all warnings."""
    expected = header.data_offset + header.data_bytes
    if size < expected and size == HEADER_BYTES + header.data_bytes:
        nsymbt = header.data_offset - HEADER_BYTES
        text = f"no extended header where {nsymbt} bytes were announced"
        return replace(header, data_offset=HEADER_BYTES), (*header.warnings, text)
    if size < expected:
        nz, ny, nx = header.shape
        raise InputError(
            f"truncated: {nx} x {ny} x {nz} pixels of mode {header.mode} need {expected} bytes, found {size}",
            file=file,
            remedy="copy or write the file again",
        )
    if size > expected:
        return header, (*header.warnings, f"{size - expected} bytes more than the header says; ignored")
    return header, header.warnings
