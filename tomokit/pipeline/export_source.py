"""What can be exported: the density of a state, or a tomogram in MRC, as one thing that is sampled on any lattice."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.io.digest import file_digest
from tomokit.io.mrc_read import MrcImages, open_volume
from tomokit.pipeline.provenance import header_labels
from tomokit.pipeline.sampling import bytes_of_sampling, sample_box
from tomokit.state.density import StoredDensity, sample_lattice
from tomokit.state.read import newest_state
from tomokit.state.seal import looks_like_state
from tomokit.state.voxel_density import VoxelDensity
from tomokit.version import __version__

Sampler = Callable[[Sequence[float], float, Sequence[int]], NDArray[np.float32]]
"""Gives the density ``[z, y, x]`` on a lattice: first point in voxels, distance between points, number of points."""

_STATE_SUFFIXES = (".h5", ".hdf5", ".hdf", ".he5")


@dataclass(frozen=True)
class ExportSource:
    """A density, and what is known of it.

    Attributes
    ----------
    file : Path
        From which it was read.
    shape_zyx : tuple of int
        Its voxels.
    voxel_size_angstrom : float
    voxel_size_is_known : bool
        Whether the voxel size was given; otherwise it was assumed.
    origin_angstrom : tuple of float
        ``(x, y, z)`` of the first voxel.
    units : str
        What one unit of the density means.
    sample : callable
        Gives the density at the points of a lattice.
    bytes_of_sampling : callable
        Bytes that `sample` takes for a number of points along z, y and x.
    held_bytes : int
        Bytes that the source itself takes.
    in_one_piece : bool
        Whether parts that are sampled apart would not be those of the whole.
    facts : dict
        Of the run: ``state``, ``method``, ``epoch``, ``epochs``; None for a tomogram.
    provenance : dict
        How it was made, JSON-serializable.
    labels : dict
        The same in short, for the labels of an MRC.
    warnings : list of str
    """

    file: Path
    shape_zyx: tuple[int, int, int]
    voxel_size_angstrom: float
    voxel_size_is_known: bool
    origin_angstrom: tuple[float, float, float]
    units: str
    sample: Sampler
    bytes_of_sampling: Callable[[Sequence[int]], int]
    held_bytes: int
    in_one_piece: bool
    facts: dict[str, Any]
    provenance: dict[str, Any]
    labels: dict[str, Any]
    warnings: list[str] = field(default_factory=list)


def open_source(path: Path) -> ExportSource:
    """Open a state or a tomogram.

    Parameters
    ----------
    path : Path
        A state, whose predecessor is used where it does not verify; or an MRC volume of any mode, plain or compressed.
        What begins as HDF5 or has its name is a state.

    Returns
    -------
    ExportSource

    Raises
    ------
    InputError
        If it cannot be used, or its density is not finite.
    TomokitError
        If the state needs a plugin that is not installed.
    """
    if looks_like_state(path) or path.suffix.lower() in _STATE_SUFFIXES:
        return _open_state(path)
    return _open_tomogram(path)


def _open_state(path: Path) -> ExportSource:
    state, used, warnings = newest_state(path)
    try:
        density = StoredDensity(state)
    except InputError as error:
        error.file = str(used)
        raise
    voxel = density.voxel_size_angstrom
    x, y, z = (float(at) * voxel for at in density.origin_px)
    level = density.levelling
    provenance = {**state.provenance, "epochs": state.epoch}
    return ExportSource(
        file=used,
        shape_zyx=density.shape_zyx,
        voxel_size_angstrom=voxel,
        voxel_size_is_known=density.voxel_size_is_known,
        origin_angstrom=(x, y, z),
        units=density.units,
        sample=partial(sample_box, density),
        bytes_of_sampling=partial(bytes_of_sampling, level),
        held_bytes=2 * sum(array.nbytes for array in state.arrays.values()),
        # What is turned is filled around with its mean.
        in_one_piece=level is not None and level.x_tilt_deg != 0,
        facts={
            "state": str(used), "method": state.provenance["method"], "epoch": state.epoch, "epochs": state.epochs
        },
        provenance=provenance,
        labels=header_labels(provenance),
        warnings=warnings,
    )  # fmt: skip


def _open_tomogram(path: Path) -> ExportSource:
    images = open_volume(path)
    n_z, n_y, n_x = images.pixels.shape
    warnings = [f"{path}: {warning}" for warning in images.warnings]
    if any("sections along y" in label for label in images.header.labels):
        warnings.append(f"{path}: its label says sections along y, rows along z; they are exported as if along z and y")
    name, labels = images.path.name, list(images.header.labels)
    return ExportSource(
        file=path,
        shape_zyx=(n_z, n_y, n_x),
        voxel_size_angstrom=images.pixel_size_angstrom,
        voxel_size_is_known=images.header.pixel_size_known,
        origin_angstrom=images.header.origin_angstrom,
        units=f"of {name}",
        sample=partial(_sample_tomogram, images),
        bytes_of_sampling=partial(bytes_of_sampling, None),
        held_bytes=0,
        in_one_piece=False,
        facts=dict.fromkeys(("state", "method", "epoch", "epochs")),
        provenance={"tomokit": __version__, "source": name, "sha256": file_digest(path), "labels": labels},
        labels={"exported from": name},
        warnings=warnings,
    )


def _sample_tomogram(
    images: MrcImages, start_zyx: Sequence[float], step: float, count_zyx: Sequence[int]
) -> NDArray[np.float32]:
    voxels, (n_z, n_y, n_x) = images.pixels, count_zyx
    first = [round(at) for at in start_zyx]
    whole = tuple(slice(at, at + n) for at, n in zip(first, count_zyx, strict=True))
    inside = all(part.start >= 0 and part.stop <= size for part, size in zip(whole, voxels.shape, strict=True))
    if step == 1 and inside and first == list(start_zyx):
        # The voxels themselves, without the detour over an interpolation that gives them.
        return np.asarray(voxels[whole], np.float32)
    z, y, x = start_zyx
    density = VoxelDensity(voxels.transpose(2, 0, 1))
    sampled = sample_lattice(density, np.float32(1), (x, z, y), step, (n_x, n_z, n_y))
    return np.ascontiguousarray(sampled.transpose(1, 2, 0))
