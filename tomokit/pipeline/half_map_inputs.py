"""What two halves of a tomogram have to agree in before they are correlated, and the mask that is laid over both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.errors import InputError
from tomokit.metrics.soft_masks import auto_mask, box_mask, soften, sphere_mask
from tomokit.pipeline.volumes import as_volume

MASKS = ("box", "none", "sphere", "auto")
"""Masks by name."""

_SAME_VOXELS = 1e-3


def common_shape(halves: list[Volume], names: list[str]) -> tuple[int, int, int]:
    """Take the shape of two volumes, which has to be the same.

    Parameters
    ----------
    halves : list of Volume
        Two.
    names : list of str
        Their files, for error messages.

    Returns
    -------
    tuple of int
        Voxels along z, y and x.

    Raises
    ------
    InputError
        If they differ, or there are fewer than 4 voxels along an axis.
    """
    a, b = (half.density.shape for half in halves)
    if a != b:
        sizes = " and ".join(" x ".join(map(str, shape[::-1])) for shape in (a, b))
        raise InputError(
            f"volumes of {sizes} voxels (x, y, z) cannot be correlated", file=", ".join(names), field="shape",
            remedy="bring both to the same box and sampling",
        )  # fmt: skip
    if min(a) < 4:
        raise InputError(
            f"{' x '.join(map(str, a[::-1]))} voxels (x, y, z) are too few", file=names[0], field="shape",
            remedy="give at least 4 along every axis",
        )  # fmt: skip
    return a[0], a[1], a[2]


def common_voxel_size(halves: list[Volume], names: list[str]) -> tuple[float | None, list[str]]:
    """Take the voxel size of two volumes, which has to be the same.

    Parameters
    ----------
    halves : list of Volume
        Two.
    names : list of str
        Their files, for messages.

    Returns
    -------
    voxel_size_angstrom : float or None
        None if neither file has one; that of the other if one has none.
    warnings : list of str
        That, and what reading the files gave.

    Raises
    ------
    InputError
        If they differ by more than a thousandth.
    """
    known = [h.voxel_size_angstrom if h.provenance.get("pixel_size_source") != "none" else None for h in halves]
    warnings = [f"{name}: {text}" for half, name in zip(halves, names, strict=True)
                for text in half.provenance.get("warnings", [])]  # fmt: skip
    sizes = [float(size) for size in known if size is not None]
    if not sizes:
        return None, [*warnings, "neither volume has a voxel size: resolutions are in cycles per voxel alone"]
    if len(sizes) == 2 and abs(sizes[0] - sizes[1]) > _SAME_VOXELS * sizes[0]:
        raise InputError(
            f"voxels of {sizes[0]:g} and of {sizes[1]:g} ångström", file=", ".join(names), field="voxel size",
            remedy="resample one of them, or mend its header",
        )  # fmt: skip
    if len(sizes) == 1:
        warnings.append(
            f"{names[known.index(None)]} has no voxel size: that of the other, {sizes[0]:g} ångström, is taken"
        )
    return sizes[0], warnings


def make_mask(
    mask: str, edge_px: float, halves: list[Volume], shape: tuple[int, int, int]
) -> NDArray[np.float32] | None:
    """Make the mask that both volumes are multiplied by.

    Parameters
    ----------
    mask : str
        One of :data:`MASKS`, or the path of an MRC volume.
    edge_px : float
        Width of soft edges in voxels; a volume of 0 and 1 alone gets one too.
    halves : list of Volume
        Two, whose mean says where structure is.
    shape : tuple of int
        Their voxels along z, y and x.

    Returns
    -------
    ndarray of float32, shape (n_z, n_y, n_x), or None
        None for no mask.

    Raises
    ------
    InputError
        If the file cannot be read, has another shape, values outside 0 to 1 or none above 0.
    """
    if mask == "none":
        return None
    if mask == "box":
        return box_mask(shape, edge_px)
    if mask == "sphere":
        return sphere_mask(shape, edge_px)
    if mask == "auto":
        return auto_mask((halves[0].density + halves[1].density) / 2, edge_px)
    path = Path(mask)
    values = as_volume(path).density
    if values.shape != shape:
        sizes = " in place of ".join(" x ".join(map(str, s[::-1])) for s in (values.shape, shape))
        raise InputError(f"a mask of {sizes} voxels (x, y, z)", file=path, field="mask", remedy="cut it to the volumes")
    low, high = float(values.min()), float(values.max())
    if low < 0 or high > 1 or high == 0:
        raise InputError(
            f"values from {low:g} to {high:g}", file=path, field="mask",
            remedy="give a volume of values from 0 (left out) to 1 (taken), some of them above 0",
        )  # fmt: skip
    is_sharp = bool(((values == 0) | (values == 1)).all())
    return soften(values > 0, edge_px) if is_sharp else np.array(values, np.float32)
