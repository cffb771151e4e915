"""The density of a state on any lattice, from its arrays alone: no input and no method is needed.

The state's ``density`` says how it follows from the arrays. For ``kind`` ``"voxels"``: array ``array`` ``[x, z, y]``
with ``margin_px`` voxels of margin on either side along x, raised to ``least`` if that is given, times ``scale``. For
``"octree"``: arrays ``forest...`` (see :mod:`tomokit.octree.state`) and ``values``, turned to densities at the vertices
by ``activation`` with ``parameter`` and multiplied by ``scale``. In both cases then times ``units_scale``.

Points are told in voxels of the tomogram: its voxel (i, k, j) lies at i, k, j along x, z, y. Of ``voxels`` the density
is trilinear between their centres, constant between them and the faces of the volume, and 0 outside. Of an ``octree`` a
value is the mean over a cube whose edge is the lattice's spacing.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.state.record import State

Triple = tuple[float, float, float]

_SLAB_BYTES = 64 << 20


class StoredDensity:
    """The density of a state.

    Parameters
    ----------
    state : State

    Attributes
    ----------
    shape_xzy : tuple of int
        Voxels of the tomogram.
    voxel_size_angstrom : float
        Their edge.
    voxel_size_is_known : bool
        Whether that was given, and not assumed.
    units : str
        What the density means.

    Raises
    ------
    InputError
        If no step has gone into the state, or it is of a kind that this version does not know.
    """

    def __init__(self, state: State) -> None:
        recipe = state.density
        if not state.arrays:
            raise InputError("nothing is fitted yet", field="state", remedy="resume it first")
        self.shape_xzy: tuple[int, int, int] = tuple(recipe["shape_xzy"])
        self.voxel_size_angstrom = float(recipe["voxel_size_angstrom"])
        self.voxel_size_is_known = bool(recipe["voxel_size_is_known"])
        self.units = str(recipe["units"])
        self._scale = np.float32(recipe["units_scale"])
        kinds = {"voxels": _Voxels, "octree": _Leaves}
        if recipe["kind"] not in kinds:
            raise InputError(f"a density of the kind {recipe['kind']!r} is not known to this version", field="state")
        self._source: Any = kinds[recipe["kind"]](state, recipe)

    def sample(self, start: Triple, spacing: float, count: tuple[int, int, int]) -> NDArray[np.float32]:
        """The density on a lattice.

        Parameters
        ----------
        start : tuple of float
            Its first point (x, z, y), in voxels of the tomogram.
        spacing : float
            In voxels. Where it is more than one, a value is the mean over a lattice so much finer, and no alias.
        count : tuple of int
            Points along x, z, y.

        Returns
        -------
        ndarray of float32, shape `count`
            In the units of the tomogram; with its own lattice, the tomogram itself.
        """
        # Rounded before it is raised: 2.0000001, from a ratio of lengths, is 2.
        finer = max(1, math.ceil(round(spacing, 6)))
        step = spacing / finer
        first = tuple(at - (finer - 1) / 2 * step for at in start)
        out = np.empty(count, np.float32)
        slab = max(1, _SLAB_BYTES // (4 * finer**3 * max(1, count[1] * count[2])))
        for low in range(0, count[0], slab):
            high = min(low + slab, count[0])
            fine = self._source.sample(
                (first[0] + low * spacing, first[1], first[2]),
                step,
                ((high - low) * finer, count[1] * finer, count[2] * finer),
            )
            if finer > 1:
                n_z, n_y = count[1:]
                fine = fine.reshape(high - low, finer, n_z, finer, n_y, finer).mean((1, 3, 5), dtype=np.float64)
            np.multiply(fine, self._scale, out=out[low:high], casting="same_kind")
        return out


class _Voxels:
    """Trilinear between voxel centres."""

    def __init__(self, state: State, recipe: dict[str, Any]) -> None:
        self._values, self._margin = state.arrays[recipe["array"]], int(recipe["margin_px"])
        self._scale, self._least = float(recipe["scale"]), recipe["least"]

    def sample(self, start: Triple, step: float, count: tuple[int, int, int]) -> NDArray[np.float32]:
        values: NDArray[Any] = self._values
        shifted = (start[0] + self._margin, start[1], start[2])
        for axis in range(3):
            values = _interpolated(values, axis, shifted[axis], step, count[axis], self._least if axis == 0 else None)
        return np.asarray(values * self._scale, np.float32)


def _interpolated(
    values: NDArray[Any], axis: int, start: float, step: float, count: int, least: float | None
) -> NDArray[Any]:
    """`values` along one axis at ``start + i step``, linear; constant in the outer half voxels, 0 beyond them."""
    size = values.shape[axis]
    at = start + step * np.arange(count)
    # What a lattice that is meant to hit the centres misses them by, in float64, is no reason to interpolate.
    at = np.where(np.abs(at - np.round(at)) < 1e-9 * max(size, 1), np.round(at), at)
    inside = (at >= -0.5) & (at <= size - 0.5)
    low = np.clip(np.floor(at).astype(np.int64), 0, size - 1)
    high = np.minimum(low + 1, size - 1)
    upper = np.clip(at - low, 0, 1).astype(values.dtype)
    shape = [1, 1, 1]
    shape[axis] = count

    def taken(index: NDArray[np.int64]) -> NDArray[Any]:
        found = np.take(values, index, axis)
        return found if least is None else np.maximum(found, found.dtype.type(least))

    result = taken(low)
    if upper.any():
        upper = upper.reshape(shape)
        result = result * (1 - upper) + taken(high) * upper
    if not inside.all():
        result[tuple(slice(None) if other != axis else ~inside for other in range(3))] = 0
    return result


class _Leaves:
    """The field of an octree, as means over cubes about the points."""

    def __init__(self, state: State, recipe: dict[str, Any]) -> None:
        from tomokit.activation.functions import KINDS, activate_leaves
        from tomokit.octree.state import from_arrays

        prefix = recipe["forest"]
        self._forest = from_arrays(
            {name[len(prefix) :]: array for name, array in state.arrays.items() if name.startswith(prefix)}
        )
        values = np.ascontiguousarray(state.arrays[recipe["values"]])
        self._density = np.empty_like(values)
        activate_leaves(KINDS[recipe["activation"]], recipe["parameter"], values, self._density)
        self._scale = np.float32(recipe["scale"])
        self._centre = tuple((size - 1) / 2 for size in recipe["shape_xzy"])

    def sample(self, start: Triple, step: float, count: tuple[int, int, int]) -> NDArray[np.float32]:
        from tomokit.octree.sampling import sample_means

        x, z, y = (at - centre for at, centre in zip(start, self._centre, strict=True))
        found = sample_means(self._density, self._forest, x, step, count[0], z, step, count[1], y, step, count[2])
        found *= self._scale
        return found
