"""The leaves of an octree as boxes in the tomogram, which the page draws over its slices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tomokit.octree.state import from_arrays
from tomokit.state.density import StoredDensity
from tomokit.state.record import State

_MOST = 60_000
"""More could not be told apart on any slice."""


def leaves_of(state: State, density: StoredDensity) -> dict[str, Any] | None:
    """List the leaves of a state's octree.

    Parameters
    ----------
    state : State
    density : StoredDensity
        That of the state.

    Returns
    -------
    dict or None
        ``leaves``, for each ``[level, x0, x1, y_1, z_1, ..., y_4, z_4]``: bounds along x and corners across it, in
        voxels of the tomogram, 0 the outer face of the first voxel; ``counts`` of each level, ``edge_px`` of a root,
        and ``vertices`` along an edge. None where the density is not that of an octree, or the leaves are too many.
    """
    recipe = state.density
    if recipe.get("kind") != "octree":
        return None
    prefix = recipe["forest"]
    forest = from_arrays({name[len(prefix) :]: a for name, a in state.arrays.items() if name.startswith(prefix)})
    if forest.n_leaves > _MOST:
        return None
    half_x, half_z, half_y = ((n - 1) / 2 for n in density.shape_xzy)
    low = forest.corner_px + np.array([half_x, half_z, half_y])
    size = forest.size_px
    level = density.levelling
    first_column = 0 if level is None else level.first_column
    # Corners across x, in the frame of the tilt axis: rows and sections, counted from the middle of the first voxel.
    rows = np.stack([low[:, 2], low[:, 2] + size, low[:, 2] + size, low[:, 2]], axis=1)
    sections = np.stack([low[:, 1], low[:, 1], low[:, 1] + size, low[:, 1] + size], axis=1)
    if level is not None:
        # The inverse of `Levelling.positions`.
        angle = math.radians(level.x_tilt_deg)
        ds, dr = sections - level.centre_zy[0], rows - level.centre_zy[1]
        n_z, n_y, _ = level.shape_zyx
        rows = dr * math.cos(angle) + ds * math.sin(angle) + (n_y - 1) / 2
        sections = ds * math.cos(angle) - dr * math.sin(angle) + (n_z - 1) / 2
    left = low[:, 0] - first_column
    corners = np.stack([rows, sections], axis=2).reshape(-1, 8) + 0.5
    table = np.column_stack([left + 0.5, left + size + 0.5, corners]).round(2)
    leaves = [[int(depth), *row] for depth, row in zip(forest.level, table.tolist(), strict=True)]
    counts = np.bincount(forest.level).tolist()
    return {"leaves": leaves, "counts": counts, "edge_px": forest.root_px, "vertices": forest.n}
