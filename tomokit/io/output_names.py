"""What the name of an output says: the format that it is written in, and the names of the files beside it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

from tomokit.errors import OutputError

VolumeFormat = Literal["mrc", "mrc.gz", "tiff", "ome-zarr"]
Orientation = Literal["xyz", "xzy"]
Mode = Literal["float32", "float16", "int16", "int8"]

ORIENTATIONS = ("xyz", "xzy")
"""Axes that the file of a volume may have, the fastest first."""
MODES: dict[str, int] = {"float32": 2, "float16": 12, "int16": 1, "int8": 0}
"""MRC's number of each type that volumes are written in."""

MRC_SUFFIXES = (".mrc", ".mrcs", ".rec", ".map", ".ccp4", ".st", ".ali", ".preali")
"""Ends of names, in lower case, under which the programs of the field keep MRC files."""

_SUFFIXES: dict[VolumeFormat, tuple[str, ...]] = {
    "mrc": MRC_SUFFIXES,
    "mrc.gz": tuple(f"{suffix}.gz" for suffix in MRC_SUFFIXES),
    "tiff": (".tif", ".tiff"),
    "ome-zarr": (".zarr",),
}
_HDF5 = (".h5", ".hdf5", ".hdf", ".he5")
_OF_OTHERS = (*(suffix for suffixes in _SUFFIXES.values() for suffix in suffixes), ".png", ".json", ".toml", ".tlt")
_MRC_TEXT = f".mrc (or {', '.join(MRC_SUFFIXES[1:])})"


def volume_format(path: str | os.PathLike[str]) -> VolumeFormat:
    """Tell by its name in which format a volume is to be written.

    Parameters
    ----------
    path : path-like
        The output; upper and lower case are the same.

    Returns
    -------
    {"mrc", "mrc.gz", "tiff", "ome-zarr"}

    Raises
    ------
    OutputError
        If the name says no format, or one that is not written.
    """
    known = _format_of(Path(path).name)
    if known is None:
        remedy = f"name it {_MRC_TEXT}, .mrc.gz, .tif or .zarr"
        raise OutputError(f"{_no_format(path)}", file=path, remedy=remedy)
    return known


def check_stack_name(path: str | os.PathLike[str]) -> None:
    """Refuse a name for a stack of images that says that it is not MRC.

    Parameters
    ----------
    path : path-like
        The output.

    Raises
    ------
    OutputError
        If the name does not end as those of MRC files do, plain or compressed.
    """
    known = _format_of(Path(path).name)
    if known not in ("mrc", "mrc.gz"):
        problem = "stacks of images are written as MRC only" if known else _no_format(path)
        raise OutputError(problem, file=path, remedy=f"name it {_MRC_TEXT} or .mrc.gz")


def check_name(path: str | os.PathLike[str], what: str, suffixes: tuple[str, ...], field: str | None = None) -> None:
    """Refuse a name that says that the file is something else than it will be.

    Parameters
    ----------
    path : path-like
        The output.
    what : str
        What is written, in words.
    suffixes : tuple of str
        Ends of names, in lower case, that say so; a name that says nothing will do.
    field : str, optional
        The option that named it, for the message.

    Raises
    ------
    OutputError
        If the name ends as those of other files do.
    """
    name = Path(path).name.lower()
    if name.endswith((*_OF_OTHERS, *_HDF5)) and not name.endswith(suffixes):
        raise OutputError(
            f"{what} under the name of something else", file=path, field=field, remedy=f"name it {suffixes[0]}"
        )


def path_beside(output: Path, ending: str) -> Path:
    """Name a file that lies beside a volume and belongs to it: ``OUT.png`` for ``OUT.mrc``, else ``OUT.tif.png``.

    No two volumes share one: the suffix is left out only if it is ``.mrc``, and nothing before it looks like a suffix
    of volumes, as in ``OUT.rec.mrc``.

    Parameters
    ----------
    output : Path
        The volume.
    ending : str
        Such as ``".png"``.

    Returns
    -------
    Path
    """
    short = output.suffix == ".mrc" and _format_of(output.stem) is None
    return output.parent / f"{output.stem if short else output.name}{ending}"


def with_ending(output: Path, ending: str) -> Path:
    """Name another volume of the same format: ``OUT_even.mrc`` for ``OUT.mrc``, ``OUT_even.mrc.gz`` for ``OUT.mrc.gz``.

    Parameters
    ----------
    output : Path
        The volume.
    ending : str
        What goes before the suffix that says the format, such as ``"_even"``.

    Returns
    -------
    Path
    """
    every = [suffix for suffixes in _SUFFIXES.values() for suffix in suffixes if output.name.lower().endswith(suffix)]
    cut = len(output.name) - max(map(len, every), default=len(output.suffix))
    return output.parent / f"{output.name[:cut]}{ending}{output.name[cut:]}"


def _format_of(name: str) -> VolumeFormat | None:
    for known, suffixes in _SUFFIXES.items():
        if any(name.lower().endswith(suffix) and len(name) > len(suffix) for suffix in suffixes):
            return known
    return None


def _no_format(path: str | os.PathLike[str]) -> str:
    suffix = Path(path).suffix
    if suffix.lower() in _HDF5:
        return "volumes are not written as HDF5, in which every program has a layout of its own"
    return f"{suffix} is no format that is written" if suffix else "the name has no suffix that says the format"
