"""Writing of MRC files: volumes and stacks as float32, masks as bytes, section by section, plain or compressed."""

from __future__ import annotations

import os
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from tomokit.data import TiltSeries, Volume
from tomokit.errors import InputError
from tomokit.io.mrc_bytes import IMOD_STAMP, SIGNED_BYTES
from tomokit.io.mrc_labels import LABEL_CHARACTERS, make_labels
from tomokit.io.output import new_file
from tomokit.io.output_form import FormedSections, OutputForm
from tomokit.io.output_names import MODES, check_stack_name
from tomokit.io.pixels import PixelStatistics, RunningStatistics
from tomokit.io.volume_file import VolumeFile

PLAIN_FORM = OutputForm()
_Sections = NDArray[np.number] | FormedSections
_STAMP_IN_EXTRA2 = 40  # byte 152 of the header


def fill_mrc(
    path: Path,
    volume: Volume,
    compress: bool = False,
    made_in: VolumeFile | None = None,
    form: OutputForm = PLAIN_FORM,
    size_is_known: bool = True,
) -> None:
    """Write a volume ``[z, y, x]`` into a file that is there, as MRC of ``ispg`` 1, with labels.

    A voxel size that no one knows is written as a cell of 0, as other programs do: a size made up, whatever it is,
    would be read as if it had been measured. The origin is in voxels then, which is how such a file is read.

    Parameters
    ----------
    path : Path
        The file.
    volume : Volume
        Its provenance goes in short form into the labels.
    compress : bool
        Whether the file is compressed by gzip.
    made_in : VolumeFile, optional
        A file in the same folder that holds the densities already: it gets its header and takes the place of `path`,
        where the form is the plain one.
    form : OutputForm
        Order of the axes, type of the numbers (mode 2 as a rule), contrast and binning.
    size_is_known : bool
        Whether the voxel size was given.

    Raises
    ------
    InputError
        If there is no voxel, or the voxel size is not positive.
    OSError
        If the disk is full, or anything else fails.
    """
    size, origin = volume.voxel_size_angstrom, volume.origin_angstrom
    if not form.is_plain:
        sections = FormedSections(volume.density, form)
        size, origin = form.placed(volume.density.shape, size, origin)
        size, origin = _of_header(size, origin, size_is_known)
        labels = make_labels(f"volume [{', '.join(form.orientation[::-1])}]", volume.provenance)
        header = _make_header(None, sections, size, origin, ispg=1, mz=sections.shape[0], labels=labels)
        _set_mode(header, form)
        _write_sections(path, header, sections, compress)
        return
    labels = make_labels("volume [z, y, x]", volume.provenance)
    size, origin = _of_header(size, origin, size_is_known)
    header = _make_header(None, volume.density, size, origin, ispg=1, mz=volume.density.shape[0], labels=labels)
    if made_in is None or compress:
        _write_sections(path, header, volume.density, compress)
        return
    _set_statistics(header, made_in.statistics)
    made_in.become(path, header.tobytes())


def write_stack(
    path: str | os.PathLike[str],
    stack: TiltSeries | NDArray[np.number],
    *,
    pixel_size_angstrom: float | None = None,
    provenance: Mapping[str, Any] | None = None,
    overwrite: bool = False,
    aligned: bool = True,
) -> None:
    """Write a stack of images ``[tilt, y, x]`` as MRC: mode 2, ``ispg`` 0, one section per "volume" (``mz`` 1).

    Parameters
    ----------
    path : path-like
        The MRC file to be made; compressed if its name ends with ``.gz``.
    stack : TiltSeries or ndarray, shape (n_views, n_y, n_x)
        The images.
    pixel_size_angstrom : float, optional
        Edge of a pixel in ångström; default: the series', or 1 for an array. Where the provenance says that no one
        knows it, the cell is 0.
    provenance : mapping, optional
        Goes in short form into the labels; default: the series'.
    overwrite : bool
        Whether an existing file may be replaced.
    aligned : bool
        Whether the tilt axis is y, which the labels say.

    Raises
    ------
    InputError
        If there is no pixel, or the pixel size is not positive.
    OutputError
        If the name is not one of an MRC, the file exists, cannot be written, or the disk is full; nothing is left
        behind.
    """
    size: float = 1.0
    if isinstance(stack, TiltSeries):
        images: NDArray[np.number] = stack.images
        size = stack.pixel_size_angstrom
        provenance = stack.provenance if provenance is None else provenance
    else:
        images = stack
    if pixel_size_angstrom is not None:
        size = pixel_size_angstrom
    labels = make_labels(f"tilt stack [tilt, y, x], {'axis y' if aligned else 'not aligned'}", provenance or {})
    if not (np.isfinite(size) and size > 0):
        raise InputError(f"pixel size {size} is not positive", file=path)
    check_stack_name(path)
    size, _ = _of_header(size, (0.0, 0.0, 0.0), (provenance or {}).get("pixel_size_source") != "none")
    header = _make_header(path, images, size, (0.0, 0.0, 0.0), ispg=0, mz=1, labels=labels)
    with new_file(path, overwrite) as temporary:
        _write_sections(temporary, header, images, compress=os.fspath(path).lower().endswith(".gz"))


def write_mask(
    path: str | os.PathLike[str],
    mask: NDArray[np.number],
    *,
    pixel_size_angstrom: float | None,
    provenance: Mapping[str, Any],
    overwrite: bool = False,
) -> None:
    """Write a mask of a tilt series ``[tilt, y, x]`` as MRC of bytes (mode 0, ``ispg`` 0), complete or absent.

    Parameters
    ----------
    path : path-like
        The MRC file to be made; compressed if its name ends with ``.gz``.
    mask : ndarray, shape (n_views, n_y, n_x)
        1 where a pixel is used, 0 elsewhere.
    pixel_size_angstrom : float or None
        Edge of a pixel in ångström; None if no one knows it.
    provenance : mapping
        Goes in short form into the labels.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        As :func:`write_stack`.
    """
    labels = make_labels("mask [tilt, y, x], 1 = use, 0 = bead or padding", provenance)
    check_stack_name(path)
    header = _make_header(path, mask, pixel_size_angstrom or 0.0, (0.0, 0.0, 0.0), ispg=0, mz=1, labels=labels)
    header["mode"] = 0
    with new_file(path, overwrite) as temporary:
        _write_sections(temporary, header, mask, os.fspath(path).lower().endswith(".gz"), dtype="i1")


def _set_mode(header: NDArray[np.void], form: OutputForm) -> None:
    header["mode"] = MODES[form.mode]
    if form.mode == "int8":
        # Without IMOD's stamp and flag, IMOD takes bytes for unsigned ones.
        beside = bytearray(header["extra2"].tobytes())
        struct.pack_into("<2i", beside, _STAMP_IN_EXTRA2, IMOD_STAMP, SIGNED_BYTES)
        header["extra2"] = np.frombuffer(bytes(beside), header["extra2"].dtype)[0]


def _as_written(section: NDArray[np.number], sections: _Sections, dtype: str) -> NDArray[np.number]:
    """A section in the type of the file: that of formed ones, else the one that is asked for."""
    return section if isinstance(sections, FormedSections) else np.ascontiguousarray(section, dtype=dtype)


def _write_sections(
    path: Path, header: NDArray[np.void], sections: _Sections, compress: bool, dtype: str = "<f4"
) -> None:
    statistics = RunningStatistics()
    with open(path, "r+b") as stream:
        if compress:
            # What is compressed cannot be gone back to: the extremes are found first.
            for section in sections:
                statistics.add(np.ascontiguousarray(section, dtype="<f4"))
            _set_statistics(header, statistics.result())
            _write_compressed(stream, header, sections, dtype)
            return
        stream.write(header.tobytes())
        for section in sections:
            block = _as_written(section, sections, dtype)
            statistics.add(np.ascontiguousarray(block, dtype="<f4"))
            stream.write(block.tobytes() if block.dtype.itemsize < 4 else block.data)
        # The extremes are known only now; the sizes in the header do not change.
        _set_statistics(header, statistics.result())
        stream.seek(0)
        stream.write(header.tobytes())


def _write_compressed(stream: BinaryIO, header: NDArray[np.void], sections: _Sections, dtype: str) -> None:
    """By gzip, with neither name nor time in it, so that the same volume gives the same bytes."""
    import gzip

    # Noise in floats hardly shrinks further at higher levels, which take several times as long.
    with gzip.GzipFile(filename="", mode="wb", compresslevel=1, fileobj=stream, mtime=0) as compressed:
        compressed.write(header.tobytes())
        for section in sections:
            compressed.write(_as_written(section, sections, dtype).tobytes())


def _of_header(
    pixel: float, origin: tuple[float, float, float], size_is_known: bool
) -> tuple[float, tuple[float, float, float]]:
    """Pixel size and origin as a header has them: of a size that no one knows 0, and the origin in pixels."""
    if size_is_known:
        return pixel, origin
    x, y, z = origin
    return 0.0, (x / pixel, y / pixel, z / pixel)


def _make_header(
    path: str | os.PathLike[str] | None,
    sections: _Sections,
    pixel: float,
    origin: tuple[float, float, float],
    *,
    ispg: int,
    mz: int,
    labels: list[str],
) -> NDArray[np.void]:
    """A header by MRC2014, little-endian, without the statistics of the pixels."""
    from mrcfile.dtypes import HEADER_DTYPE

    if sections.ndim != 3 or sections.size == 0:
        raise InputError(f"an array of shape {sections.shape} is no stack of sections", file=path)
    header = np.zeros((), HEADER_DTYPE.newbyteorder("<"))
    nz, ny, nx = sections.shape
    header["nx"], header["ny"], header["nz"] = nx, ny, nz
    header["mode"] = 2
    header["mx"], header["my"], header["mz"] = nx, ny, mz
    header["cella"] = nx * pixel, ny * pixel, mz * pixel
    header["cellb"] = 90, 90, 90
    header["mapc"], header["mapr"], header["maps"] = 1, 2, 3
    header["ispg"] = ispg
    header["nversion"] = 20141
    header["origin"] = origin
    header["map"] = b"MAP "
    # The stamp of little-endian machines.
    header["machst"] = 0x44, 0x44, 0, 0
    header["nlabl"] = len(labels)
    for index, label in enumerate(labels):
        header["label"][index] = label.ljust(LABEL_CHARACTERS).encode("ascii")
    return header


def _set_statistics(header: NDArray[np.void], statistics: PixelStatistics) -> None:
    """Extremes, or MRC2014's "not well determined" where a pixel is not finite."""
    if statistics.n_non_finite:
        header["dmin"], header["dmax"], header["dmean"], header["rms"] = 0, -1, -2, -1
    else:
        header["dmin"], header["dmax"] = statistics.minimum, statistics.maximum
        header["dmean"], header["rms"] = statistics.mean, statistics.rms
