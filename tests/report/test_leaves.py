"""Leaves as boxes in the tomogram: where each is drawn, the density is that of the leaf."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tomokit.data.levelling import Levelling
from tomokit.octree.forest import Forest
from tomokit.octree.state import forest_arrays
from tomokit.report.densities import sample_state
from tomokit.report.leaves import leaves_of
from tomokit.state.record import State

SHAPE_XZY = (22, 14, 18)


def octree_state(level: Levelling | None, value: Callable[[int], float]) -> tuple[State, Forest]:
    """Two levels of leaves over a box that is larger than the tomogram, each of one density."""
    fine = [
        (1, (2 * x + i, 2 + k, 2 * y + j)) for x in (1, 2) for y in (1,) for i in (0, 1) for j in (0, 1) for k in (0, 1)
    ]
    coarse = [(0, (x, z, y)) for x in range(4) for z in range(3) for y in range(3)]
    coarse = [leaf for leaf in coarse if leaf[1] not in ((1, 1, 1), (2, 1, 1))]
    levels, index = zip(*(coarse + fine), strict=True)
    forest = Forest((-16.0, -12.0, -12.0), 8.0, (4, 3, 3), 3, np.array(levels, np.int32), np.array(index, np.int32))
    values = np.empty(forest.values_shape, np.float32)
    for leaf in range(forest.n_leaves):
        values[leaf] = value(leaf)
    density: dict[str, Any] = {
        "kind": "octree", "values": "values", "forest": "forest_", "activation": "identity", "parameter": 0.0,
        "scale": 1.0, "shape_xzy": list(SHAPE_XZY), "voxel_size_angstrom": 4.0, "voxel_size_is_known": True,
        "units_scale": 1.0, "units": "density",
    }  # fmt: skip
    if level is not None:
        density["level"] = {**level.to_json(), "origin_px": [0.0, 0.0, 0.0]}
    return State(1, 1, False, {}, {}, [], density, {**forest_arrays(forest), "values": values}), forest


def inside(corners: np.ndarray, shape_zyx: tuple[int, ...], margin: float) -> np.ndarray:
    """Which rows and sections lie within a convex outline, and not near its edge: ``[z, y]``."""
    z, y = np.indices(shape_zyx[:2]) + 0.5
    sides = np.roll(corners, -1, axis=0) - corners
    distance = [
        (dy * (z - z0) - dz * (y - y0)) / np.hypot(dy, dz) for (y0, z0), (dy, dz) in zip(corners, sides, strict=True)
    ]
    return np.all(np.array(distance) >= margin, axis=0) | np.all(np.array(distance) <= -margin, axis=0)


@pytest.mark.parametrize(
    "level", [None, Levelling(0.0, (10, 12, 14), (6.5, 8.5), 3), Levelling(9.0, (8, 10, 14), (6.0, 9.0), 2)]
)
def test_the_density_in_a_leaf_is_that_of_the_leaf(level: Levelling | None) -> None:
    """By the bits of the leaf's number: what a spline adds where leaves meet changes none."""
    for bit in range(6):
        state, forest = octree_state(level, lambda leaf, bit=bit: leaf >> bit & 1)
        found = sample_state(state)
        assert found.stored is not None
        told = leaves_of(state, found.stored)
        assert told is not None
        assert told["counts"] == [34, 16]
        assert (told["edge_px"], told["vertices"]) == (8.0, 3)
        seen, x = 0, np.arange(found.values.shape[2]) + 0.5
        for leaf, (depth, left, right, *flat) in enumerate(told["leaves"]):
            assert depth == forest.level[leaf]
            # Beside an edge a voxel is a mean of two leaves.
            across = inside(np.array(flat).reshape(4, 2), found.values.shape, 0.8)
            along = (x > left + 0.8) & (x < right - 0.8)
            values = found.values[across][:, along]
            assert ((values > 0.5) == leaf >> bit & 1).all()
            seen += values.size
        assert seen > 0.1 * found.values.size


def test_only_an_octree_has_leaves() -> None:
    state, _ = octree_state(None, float)
    found = sample_state(state)
    assert found.stored is not None
    state.density["kind"] = "voxels"
    assert leaves_of(state, found.stored) is None
