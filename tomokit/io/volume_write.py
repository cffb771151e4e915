"""Volumes out, in the format that their name says: MRC, compressed MRC, TIFF or OME-Zarr."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tomokit.data import Volume
from tomokit.io.mrc_write import PLAIN_FORM, fill_mrc
from tomokit.io.output import check_output
from tomokit.io.output_form import FormedSections, OutputForm
from tomokit.io.output_names import volume_format
from tomokit.io.output_set import Existing, OutputSet, new_outputs
from tomokit.io.volume_file import VolumeFile
from tomokit.io.voxel_blocks import ArrayBlocks, VoxelBlocks

if TYPE_CHECKING:
    from tomokit.io.ome_zarr_write import ZarrImage


def check_volume_output(
    path: str | os.PathLike[str], *, overwrite: bool = False, inputs: Iterable[str | os.PathLike[str]] = ()
) -> Path:
    """Make sure, before any work is done, that a volume can be written.

    Parameters
    ----------
    path : path-like
        The file, or the folder of an OME-Zarr.
    overwrite : bool
        Whether what is there may be replaced.
    inputs : iterable of path-like
        What the job reads: none of it may be replaced, whatever `overwrite` says.

    Returns
    -------
    Path
        The output itself, links resolved.

    Raises
    ------
    OutputError
        As :func:`tomokit.io.output.check_output`; if the name says no format that is written; if a folder is there
        that is no OME-Zarr alone.
    PluginError
        If the format needs a package that is not installed.
    """
    if Path(path).suffix.lower() == ".zarr":
        from tomokit.io.ome_zarr import check_ome_zarr

        return check_ome_zarr(path, overwrite=overwrite, inputs=inputs)
    target = check_output(path, overwrite=overwrite, inputs=inputs)
    volume_format(path)
    return target


def add_volume(
    outputs: OutputSet,
    path: Path,
    volume: Volume,
    existing: Existing = "refuse",
    *,
    provenance: Mapping[str, Any] | None = None,
    size_is_known: bool = True,
    made_in: VolumeFile | None = None,
    form: OutputForm = PLAIN_FORM,
) -> None:
    """Write a volume as one of a set of outputs, the one that gets its name last.

    Parameters
    ----------
    outputs : OutputSet
        The set.
    path : Path
        The volume; its name says the format.
    volume : Volume
        Densities ``[z, y, x]``. Its own provenance goes in short form into the labels of an MRC.
    existing : {"refuse", "replace", "same"}
        What is done about what is there.
    provenance : mapping, optional
        The whole record of how it was made, for a format that has room for it: OME-Zarr.
    size_is_known : bool
        Whether the voxel size was given; if not, it is left out.
    made_in : VolumeFile, optional
        A file beside the volume that holds its densities already, and becomes a plain MRC.
    form : OutputForm
        How it is written; :meth:`tomokit.io.output_form.OutputForm.check` has to have let it pass.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    known = volume_format(path)
    if known not in ("mrc", "mrc.gz") and not form.is_plain:
        size, origin = form.placed(volume.density.shape, volume.voxel_size_angstrom, volume.origin_angstrom)
        volume = Volume(FormedSections(volume.density, form).volume(), size, origin, volume.provenance)
    if known == "ome-zarr":
        from tomokit.io.ome_zarr_write import ZarrImage

        image = ZarrImage(path.stem, volume.voxel_size_angstrom, volume.origin_angstrom, size_is_known, provenance)
        add_ome_zarr(outputs, path, ArrayBlocks(volume.density), image, existing)
        return
    with outputs.new(path, _check, existing, last=True) as temporary:
        if known == "tiff":
            from tomokit.io.tiff_write import fill_tiff

            fill_tiff(temporary, volume, size_is_known)
        else:
            compress = known == "mrc.gz"
            fill_mrc(temporary, volume, compress, made_in=made_in, form=form, size_is_known=size_is_known)


def add_ome_zarr(
    outputs: OutputSet, path: Path, volume: VoxelBlocks, image: ZarrImage, existing: Existing = "refuse"
) -> None:
    """Write a volume that need not be in memory as an OME-Zarr, the output of a set that gets its name last.

    Parameters
    ----------
    outputs : OutputSet
        The set.
    path : Path
        The folder.
    volume : VoxelBlocks
        Gives its blocks; what it raises leaves nothing of the output.
    image : ZarrImage
        What is said of it.
    existing : {"refuse", "replace", "same"}
        What is done about what is there.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from tomokit.io.ome_zarr_write import fill_ome_zarr

    with outputs.new(path, _check, existing, folder=True, last=True) as temporary:
        fill_ome_zarr(temporary, volume, image)


def write_volume(path: str | os.PathLike[str], volume: Volume, *, overwrite: bool = False) -> None:
    """Write a volume ``[z, y, x]`` in the format that its name says, all or nothing.

    Parameters
    ----------
    path : path-like
        ``.mrc`` or another name of MRC (mode 2, ``ispg`` 1, voxel size, origin, labels), the same with ``.gz``,
        ``.tif``, or ``.zarr`` for the folder of an OME-Zarr.
    volume : Volume
        Its provenance goes in short form into the labels of an MRC, and says where no one knows the voxel size.
    overwrite : bool
        Whether an existing file may be replaced.

    Raises
    ------
    OutputError
        If the name says no format that is written, the file exists, cannot be written, or the disk is full; nothing is
        left behind.
    PluginError
        If the format needs a package that is not installed.
    """
    check_volume_output(path, overwrite=overwrite)
    with new_outputs() as outputs:
        known = volume.provenance.get("pixel_size_source") != "none"
        add_volume(outputs, Path(path), volume, "replace" if overwrite else "refuse", size_is_known=known)


def _check(path: Path, overwrite: bool) -> Path:
    return check_volume_output(path, overwrite=overwrite)
