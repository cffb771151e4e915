"""The density of a state on any lattice, from its arrays alone: no input and no method is needed.

The state's ``density`` entry says how the density follows from the arrays:

- ``kind`` ``"voxels"``: the array named by ``array``, ``[x, z, y]``, with ``margin_px`` voxels of margin on either side
  along x, raised to ``least`` where that is given, times ``scale``;
- ``kind`` ``"octree"``: the arrays whose names begin with ``forest`` (see :mod:`tomokit.octree.state`) and the raw
  values in ``values``, turned into densities at the vertices by ``activation`` with ``parameter``, times ``scale``.

In both cases the result is then multiplied by ``units_scale``.

Points are given in voxels of the tomogram: its voxel (i, k, j) lies at i, k, j along x, z, y. The density of ``voxels``
is trilinear between their centres, constant between the outermost centres and the faces of the volume, and 0 outside.
That of an ``octree`` is, at each point, the mean over a cube whose edge is the lattice's spacing.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.data.levelling import Levelling
from tomokit.errors import InputError
from tomokit.state.consistency import check_recipe
from tomokit.state.lattice_means import LatticeSampler, Triple, sample_means
from tomokit.state.record import State
from tomokit.state.voxel_density import VoxelDensity, check_finite

_SLAB_BYTES = 64 << 20


class StoredDensity:
    """The density that a state holds, which can be sampled on any lattice.

    Parameters
    ----------
    state : State
        A state with arrays, that is, after at least one step of the fit.

    Attributes
    ----------
    shape_xzy : tuple of int
        Voxels of the tomogram along x, z, y.
    levelling : Levelling or None
        How the tomogram is made of the density that is stored; None where it is that itself.
    origin_px : tuple of float
        Place ``(x, y, z)`` of the tomogram's first voxel in that of all that the detector sees.
    first_row : int
        Row of all that the detector sees, along y, with which the tomogram begins; not 0 where it is a part of it.
    voxel_size_angstrom : float
        Edge of the tomogram's voxels in angstrom.
    voxel_size_is_known : bool
        Whether the voxel size was given with the inputs; otherwise it was assumed.
    units : str
        What one unit of the density means.

    Raises
    ------
    InputError
        If the state has no arrays yet, its density is of a kind that this version does not know, or is not finite.
    """

    def __init__(self, state: State) -> None:
        recipe = state.density
        if not state.arrays:
            raise InputError("nothing is fitted yet", field="state", remedy="resume it first")
        self.shape_xzy: tuple[int, int, int] = tuple(recipe["shape_xzy"])
        # States of before there were parts of a volume do not have it.
        self.first_row = int(recipe.get("first_row", 0))
        level = recipe.get("level")
        self.levelling = None if level is None else Levelling.from_json(level)
        self.origin_px = (0.0, float(self.first_row), 0.0) if level is None else tuple(level["origin_px"])
        self.voxel_size_angstrom = float(recipe["voxel_size_angstrom"])
        self.voxel_size_is_known = bool(recipe["voxel_size_is_known"])
        self.units = str(recipe["units"])
        with np.errstate(over="ignore"):  # what overflows is found out in the values
            self._scale = np.float32(recipe["units_scale"])
        kinds: dict[str, Callable[[State, dict[str, Any]], LatticeSampler]] = {"voxels": _voxels, "octree": _Leaves}
        if recipe["kind"] not in kinds:
            raise InputError(f"a density of the kind {recipe['kind']!r} is not known to this version", field="state")
        check_recipe(state)
        self._source: LatticeSampler = kinds[recipe["kind"]](state, recipe)

    @property
    def shape_zyx(self) -> tuple[int, int, int]:
        """Voxels of the tomogram, level where it is."""
        n_x, n_z, n_y = self.shape_xzy
        return (n_z, n_y, n_x) if self.levelling is None else self.levelling.shape_zyx

    def sample(self, start: Triple, spacing: float, count: tuple[int, int, int]) -> NDArray[np.float32]:
        """Sample the density that is stored, in the frame of the tilt axis, at the points of a regular lattice.

        Parameters
        ----------
        start : tuple of float
            First point of the lattice (x, z, y), in voxels of what is stored.
        spacing : float
            Distance between points in its voxels, the same along all axes. Where it is more than one,
            each value is the mean over a finer lattice about its point, so that nothing is aliased.
        count : tuple of int
            Number of points along x, z, y.

        Returns
        -------
        ndarray of float32, shape `count`
            The density ``[x, z, y]`` in the units of the tomogram; on its own lattice, what is stored itself.
        """
        return sample_lattice(self._source, self._scale, start, spacing, count)


def sample_lattice(
    source: LatticeSampler, scale: np.float32, start: Triple, spacing: float, count: tuple[int, int, int]
) -> NDArray[np.float32]:
    """Sample a density at the points of a regular lattice, or average it over voxels coarser than its own.

    Parameters
    ----------
    source : LatticeSampler
        The density.
    scale : float32
        By which it is multiplied.
    start, spacing, count
        As of :meth:`StoredDensity.sample`.

    Returns
    -------
    ndarray of float32, shape `count`
        ``[x, z, y]``.
    """
    # Rounded before the ceiling is taken: 2.0000001, from a ratio of lengths, is 2.
    finer = max(1, math.ceil(round(spacing, 6)))
    if finer > 1:
        means = sample_means(source, start, spacing, count, finer)
        means *= scale
        return means.astype(np.float32)
    out = np.empty(count, np.float32)
    # Slabs along x bound the memory.
    slab = max(1, _SLAB_BYTES // (4 * max(1, count[1] * count[2])))
    for low in range(0, count[0], slab):
        high = min(low + slab, count[0])
        begin = (start[0] + low * spacing, start[1], start[2])
        values = source.sample(begin, spacing, (high - low, *count[1:]))
        np.multiply(values, scale, out=out[low:high])
    return out


def _voxels(state: State, recipe: dict[str, Any]) -> VoxelDensity:
    volume = state.arrays[recipe["array"]]
    check_finite(volume, recipe["array"])
    return VoxelDensity(volume, int(recipe["margin_px"]), float(recipe["scale"]), recipe["least"])


class _Leaves:
    """The density of an octree's leaves, as means over cubes about the points."""

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
        check_finite(self._density, recipe["values"])
        self._scale = np.float32(recipe["scale"])
        self._centre = tuple((size - 1) / 2 for size in recipe["shape_xzy"])

    def sample(self, start: Triple, step: float, count: tuple[int, int, int]) -> NDArray[np.float32]:
        from tomokit.octree.sampling import sample_means

        # The forest's coordinates have their origin in the middle of the tomogram.
        x, z, y = (at - centre for at, centre in zip(start, self._centre, strict=True))
        means = sample_means(self._density, self._forest, x, step, count[0], z, step, count[1], y, step, count[2])
        means *= self._scale
        return means

    def extent(self) -> tuple[tuple[float, float], ...]:
        from tomokit.octree.lattice import bounds

        low, high = bounds(self._forest)
        return tuple(
            (float(first) + centre, float(last) + centre)
            for first, last, centre in zip(low.min(axis=0), high.max(axis=0), self._centre, strict=True)
        )
