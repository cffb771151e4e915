"""A forest as named arrays, for the state file, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.octree.forest import Forest
from tomokit.octree.lookup import check_disjoint

_NAMES = ("origin_px", "root_px", "roots", "n", "level", "index")


def to_arrays(forest: Forest) -> dict[str, NDArray[Any]]:
    """Everything a forest is, as arrays by the names of its fields."""
    return {
        "origin_px": np.array(forest.origin_px, np.float64),
        "root_px": np.array(forest.root_px, np.float64),
        "roots": np.array(forest.roots, np.int64),
        "n": np.array(forest.n, np.int64),
        "level": forest.level.copy(),
        "index": forest.index.copy(),
    }


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Forest:
    """The forest that :func:`to_arrays` was given.

    Raises
    ------
    InputError
        If an array is missing or misshapen, or leaves overlap or lie outside the box.
    """
    for name in _NAMES:
        if name not in arrays:
            raise InputError("missing", field=f"octree array {name}", remedy="use a state file that is complete")
    given = {name: np.asarray(arrays[name]) for name in _NAMES}
    for name in ("origin_px", "roots"):
        if given[name].shape != (3,):
            raise InputError(f"shape {given[name].shape} instead of (3,)", field=f"octree array {name}")
    for name in ("root_px", "n"):
        if given[name].shape != ():
            raise InputError(f"shape {given[name].shape} instead of one number", field=f"octree array {name}")
    if given["index"].ndim != 2 or given["index"].shape[1] != 3:
        raise InputError(f"shape {given['index'].shape} instead of (leaves, 3)", field="octree array index")
    x, z, y = (float(value) for value in given["origin_px"])
    roots = tuple(int(value) for value in given["roots"])
    forest = Forest(
        origin_px=(x, z, y),
        root_px=float(given["root_px"]),
        roots=(roots[0], roots[1], roots[2]),
        n=int(given["n"]),
        level=given["level"].astype(np.int32),
        index=given["index"].astype(np.int32),
    )
    check_disjoint(forest)
    return forest
