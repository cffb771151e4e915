"""The volume of a fit in the units of the output: its scale, its size, and what its header tells."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tomokit.data import Volume
from tomokit.errors import OptionError
from tomokit.pipeline.plan import Plan
from tomokit.pipeline.prepare import Prepared
from tomokit.pipeline.provenance import Provenance, header_labels


def in_units_of_output(values_xzy: NDArray[np.float32], prepared: Prepared) -> NDArray[np.float32]:
    """Scale a run's densities to the units of the output, and order them as a volume is written.

    Parameters
    ----------
    values_xzy : ndarray of float32, shape (n_x, n_z, n_y)
        Densities of a run; overwritten where they may be.
    prepared : Prepared
        The problem that was fitted.

    Returns
    -------
    ndarray of float32, shape (n_z, n_y, n_x)
    """
    # They may be read-only or a view of what the run keeps: only then a copy is made to be scaled.
    own = values_xzy.flags.writeable and values_xzy.flags.owndata
    scaled = np.multiply(values_xzy, units_scale(prepared), out=values_xzy if own else None)
    return np.ascontiguousarray(scaled.transpose(1, 2, 0))


def make_volume(density: NDArray[np.float32], plan: Plan, prepared: Prepared, provenance: Provenance) -> Volume:
    """Make the volume with its size, its place in that of all rows, and what its header tells.

    Parameters
    ----------
    density : ndarray of float32, shape (n_z, n_y, n_x)
        In the units of the output.
    plan : Plan
        Where the volume lies.
    prepared : Prepared
        The problem that was fitted.
    provenance : dict
        What the labels are taken from.

    Returns
    -------
    Volume

    Raises
    ------
    OptionError
        If a density is not a finite number.
    """
    # One sum tells: infinities and NaN survive it, and finite single precision does not overflow a double.
    if not np.isfinite(density.sum(dtype=np.float64)):
        raise OptionError(
            "the tomogram is not finite: the fit has diverged",
            field="options",
            remedy="lower the learning rate or the weights",
        )
    voxel_size = prepared.series.pixel_size_angstrom
    x, y, z = (place * voxel_size for place in plan.box.origin_px)
    return Volume(density, voxel_size, (x, y, z), header_labels(provenance))


def units_scale(prepared: Prepared) -> np.float32:
    """Find what a run's densities are multiplied by to be in the units of the output.

    Parameters
    ----------
    prepared : Prepared
        The problem that is fitted.

    Returns
    -------
    float32
    """
    return np.float32(prepared.linearization.volume_scale(prepared.problem.geometry.kappa))


def size_is_known(prepared: Prepared) -> bool:
    """Whether the voxel's edge was given, by the stack or the user, and not assumed.

    Parameters
    ----------
    prepared : Prepared
        The problem that is fitted.

    Returns
    -------
    bool
    """
    return bool(prepared.series.provenance.get("pixel_size_source") != "none")
