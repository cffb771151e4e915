"""Names of tomograms as programs of the field give them, in a folder that is given as the output."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from tomokit.errors import InputError, OptionError
from tomokit.io.beside import series_names
from tomokit.io.output_names import with_ending
from tomokit.pipeline.request import ReconstructionRequest


def with_default_output(request: ReconstructionRequest, folder: Path) -> ReconstructionRequest:
    """Name the tomogram of a series that was found in a folder, where the user has not.

    It is ``NAME_tomokit.mrc`` in that folder: a name that no other program of the field gives, so that none of its
    files is met.

    Parameters
    ----------
    request : ReconstructionRequest
    folder : Path
        Where the series was found.

    Returns
    -------
    ReconstructionRequest
        The request itself if it has an output. With a ``naming`` the output is the folder, which that names a file in.
    """
    if request.output is not None:
        return request
    name = f"{series_names(request.stack.name)[-1]}_tomokit.mrc"
    return dataclasses.replace(request, output=folder if request.naming != "none" else folder / name)


def with_named_output(request: ReconstructionRequest) -> ReconstructionRequest:
    """Name the output of a request after its stack, where it asks for that.

    AreTomo writes ``NAME_Vol.mrc``, RELION ``rec_NAME.mrc``, and Warp ``NAME_10.00Apx.mrc`` with the voxel size in
    ångström.

    Parameters
    ----------
    request : ReconstructionRequest
        Its output is a folder, if it has a ``naming``.

    Returns
    -------
    ReconstructionRequest
        The request itself if not.

    Raises
    ------
    OptionError
        If the output is no folder.
    InputError
        If Warp's name needs a pixel size that the stack does not have.
    """
    if request.naming == "none":
        return request
    if request.output is None or not request.output.is_dir():
        raise OptionError(
            f"{request.naming} names the tomogram, and --output is no folder",
            field="--naming",
            remedy="give a folder that is there as --output, or leave --naming out",
        )
    # Without what is added to the names of aligned stacks.
    name = series_names(request.stack.name)[-1]
    if request.naming == "aretomo":
        file = f"{name}_Vol.mrc"
    elif request.naming == "relion":
        file = f"rec_{name}.mrc"
    else:
        file = f"{name}_{_voxel_size(request):.2f}Apx.mrc"
    return dataclasses.replace(request, output=request.output / file)


def half_output(output: Path, half: str, naming: str) -> Path:
    """Name the tomogram of a half after that of all views.

    AreTomo writes ``NAME_EVN_Vol.mrc`` and ``NAME_ODD_Vol.mrc``, RELION ``rec_NAME_half1.mrc`` and ``..._half2.mrc``;
    else it is ``OUT_even.mrc`` and ``OUT_odd.mrc``.

    Parameters
    ----------
    output : Path
        The tomogram of all views.
    half : {"even", "odd"}
    naming : str
        The program after whose manner that is named, or ``"none"``.

    Returns
    -------
    Path
    """
    if naming == "aretomo" and output.name.endswith("_Vol.mrc"):
        short = {"even": "EVN", "odd": "ODD"}[half]
        return output.with_name(f"{output.name.removesuffix('_Vol.mrc')}_{short}_Vol.mrc")
    if naming == "relion":
        return with_ending(output, {"even": "_half1", "odd": "_half2"}[half])
    return with_ending(output, f"_{half}")


def _voxel_size(request: ReconstructionRequest) -> float:
    """Of what is written, in ångström."""
    from tomokit.io.mrc_read import open_mrc
    from tomokit.io.pixel_size import pixel_size_of

    size = request.pixel_size
    if size is None:
        found = pixel_size_of(open_mrc(request.stack, with_pixels=False))
        if found.source == "none":
            raise InputError(
                "has no pixel size, which Warp has in names", file=request.stack, remedy="give --pixel-size"
            )
        size = found.angstrom
    return size * request.bin * request.output_bin
