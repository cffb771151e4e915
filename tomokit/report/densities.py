"""The densities of a tomogram for a report, from a state or a file, also where some of them are no numbers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.pipeline.memory import check_memory
from tomokit.report.plain import branch
from tomokit.state.density import StoredDensity
from tomokit.state.record import State

SUFFIXES = (".mrc", ".rec", ".map", ".mrc.gz", ".mrc.bz2", ".rec.gz", ".map.gz")
"""Ends of the names of tomograms, in lower case."""


@dataclass(frozen=True)
class Densities:
    """A tomogram, and what its numbers mean.

    Attributes
    ----------
    values : ndarray of float, shape (n_z, n_y, n_x)
        ``[z, y, x]``; may be memory-mapped and hold what is not finite.
    voxel_size_angstrom : float
        Edge of a voxel.
    size_is_known : bool
        Whether that was given and not assumed.
    units : str
        What one unit means; empty where nothing says it.
    stored : StoredDensity or None
        The density of a state, which they were sampled from.
    warnings : tuple of str
        What the reader should know.
    """

    values: NDArray[Any]
    voxel_size_angstrom: float
    size_is_known: bool
    units: str = ""
    stored: StoredDensity | None = None
    warnings: tuple[str, ...] = ()


def sample_state(state: State) -> Densities:
    """Sample the density of a state on its own lattice.

    Parameters
    ----------
    state : State
        Its density and arrays suffice; values that are not finite are taken as their median.

    Returns
    -------
    Densities

    Raises
    ------
    InputError
        If nothing is fitted yet, or density and arrays do not belong together.
    ResourceError
        If it does not fit in memory.
    """
    from tomokit.pipeline.sampling import bytes_of_sampling, sample_box

    if not state.arrays or not state.density:
        begun = bool(state.arrays or state.density)
        raise InputError("a part that it follows from is not there" if begun else "nothing is fitted yet")
    mended, lost = _finite(state)
    density = StoredDensity(mended)
    n_z, n_y, n_x = shape = density.shape_zyx
    needed = 4 * math.prod(shape) + bytes_of_sampling(density.levelling, shape)
    # Beside the arrays: the density at the vertices is as large as what is stored of them.
    state_bytes = sum(array.nbytes for array in state.arrays.values())
    check_memory(needed + state_bytes, f"a volume of {n_x} x {n_y} x {n_z} voxels", "report the tomogram's file")
    with np.errstate(over="ignore", invalid="ignore"):
        values = sample_box(density, (0, 0, 0), 1.0, shape)
    told = tuple(f"{count} of {total} values of the array {name} are not finite: shown as the median of the others"
                 for name, (count, total) in lost.items())  # fmt: skip
    return Densities(values, density.voxel_size_angstrom, density.voxel_size_is_known, density.units, density, told)


def read_tomogram(path: Path, record: Mapping[str, Any]) -> Densities:
    """Read a tomogram's file.

    Parameters
    ----------
    path : Path
        An MRC file.
    record : mapping
        Its provenance, as far as it could be read; empty if there is none.

    Returns
    -------
    Densities
        In the order ``[z, y, x]``, also where the record or a label says that the file has sections along y.

    Raises
    ------
    InputError
        If the file cannot be read.
    ResourceError
        If a compressed one does not fit in memory.
    """
    from tomokit.io.mrc_read import open_mrc
    from tomokit.pipeline.readers import check_room_to_open

    check_room_to_open(path)
    images = open_mrc(path)
    header, values = images.header, images.pixels
    warnings = list(images.warnings)
    if values.size == 0:
        raise InputError("has no voxels", file=path)
    labels = " ".join(header.labels)
    if branch(record, "stored", "orientation") == "xzy" or "sections along y, rows along z" in labels:
        values = values.transpose(1, 0, 2)
        warnings.append(f"{path.name} has sections along y; shown with z as the third axis")
    if branch(record, "stored", "inverted") is True or "contrast: inverted" in labels:
        warnings.append(f"densities in {path.name} have their sign changed: what is dense is low")
    units = branch(record, "linearization", "volume_units")
    # Where the stack had none, 1 ångström was assumed, and the header has what was made of that.
    known = header.pixel_size_known and branch(record, "series", "pixel_size_source") != "none"
    return Densities(
        values, images.pixel_size_angstrom, known, units if isinstance(units, str) else "", None, tuple(warnings)
    )


def _finite(state: State) -> tuple[State, dict[str, tuple[int, int]]]:
    """The state with finite densities, and how many values of which array were none."""
    name = state.density.get("array") or state.density.get("values")
    if not isinstance(name, str) or name not in state.arrays:
        return state, {}
    array = state.arrays[name]
    if array.dtype.kind != "f":
        return state, {}
    finite = np.isfinite(array)
    lost = array.size - int(np.count_nonzero(finite))
    if not lost:
        return state, {}
    known = array[finite]
    filled = np.where(finite, array, np.median(known) if known.size else array.dtype.type(0))
    return dataclasses.replace(state, arrays={**state.arrays, name: filled}), {name: (lost, array.size)}
