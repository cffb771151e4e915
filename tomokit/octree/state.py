"""A forest as named arrays, for a state, and back, checked against a forest of the same fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.octree.forest import Forest
from tomokit.octree.lookup import check_disjoint

_PREFIX = "forest_"
_LEAVES = ("forest_level", "forest_index")
_ARRAY_NAMES = ("origin_px", "root_px", "roots", "n", "level", "index")


def to_arrays(forest: Forest) -> dict[str, NDArray[Any]]:
    """A forest as named arrays for the state file.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    dict of ndarray
        By the names of the forest's fields: ``origin_px`` and ``root_px`` (float64), ``roots`` and ``n`` (int64),
        ``level`` and ``index`` (int32).
    """
    return {
        "origin_px": np.array(forest.origin_px, np.float64),
        "root_px": np.array(forest.root_px, np.float64),
        "roots": np.array(forest.roots, np.int64),
        "n": np.array(forest.n, np.int64),
        "level": forest.level.copy(),
        "index": forest.index.copy(),
    }


def from_arrays(arrays: Mapping[str, NDArray[Any]]) -> Forest:
    """The forest that :func:`to_arrays` made arrays of.

    Parameters
    ----------
    arrays : mapping of ndarray
        Arrays by name; others than the forest's may be among them.

    Returns
    -------
    Forest

    Raises
    ------
    InputError
        If an array is missing or misshapen, or leaves overlap or lie outside the box.
    """
    for name in _ARRAY_NAMES:
        if name not in arrays:
            raise InputError("missing", field=f"octree array {name}", remedy="use a state file that is complete")
    fields = {name: np.asarray(arrays[name]) for name in _ARRAY_NAMES}
    for name in ("origin_px", "roots"):
        if fields[name].shape != (3,):
            raise InputError(f"shape {fields[name].shape} instead of (3,)", field=f"octree array {name}")
    for name in ("root_px", "n"):
        if fields[name].shape != ():
            raise InputError(f"shape {fields[name].shape} instead of one number", field=f"octree array {name}")
    if fields["index"].ndim != 2 or fields["index"].shape[1] != 3:
        raise InputError(f"shape {fields['index'].shape} instead of (leaves, 3)", field="octree array index")
    x, z, y = (float(value) for value in fields["origin_px"])
    roots = tuple(int(value) for value in fields["roots"])
    forest = Forest(
        origin_px=(x, z, y),
        root_px=float(fields["root_px"]),
        roots=(roots[0], roots[1], roots[2]),
        n=int(fields["n"]),
        level=fields["level"].astype(np.int32),
        index=fields["index"].astype(np.int32),
    )
    check_disjoint(forest)
    return forest


def forest_arrays(forest: Forest) -> dict[str, NDArray[Any]]:
    """A forest's arrays, named ``forest_...``, as a state has them.

    Parameters
    ----------
    forest : Forest

    Returns
    -------
    dict
        Arrays by name.
    """
    return {_PREFIX + name: array for name, array in to_arrays(forest).items()}


def read_forest(arrays: Mapping[str, NDArray[Any]], first: Forest) -> Forest:
    """The forest whose arrays :func:`forest_arrays` has put into a state.

    Parameters
    ----------
    arrays : mapping
        All arrays of a state.
    first : Forest
        One of the same fit: what does not change while leaves split and merge has to agree.

    Returns
    -------
    Forest

    Raises
    ------
    InputError
        If an array does not belong.
    """
    # Origin, root size, vertices: all but the leaves themselves is the same in every epoch of a fit.
    for name, expected in forest_arrays(first).items():
        if name not in _LEAVES and not np.array_equal(arrays[name], expected):
            raise InputError(
                f"{_as_text(arrays[name])} instead of {_as_text(expected)}",
                field=name,
                remedy="continue with the input and the options of the state",
            )
    levels, index = (arrays[name] for name in _LEAVES)
    if levels.ndim != 1 or index.shape != (levels.size, 3):
        raise InputError(f"shapes {levels.shape} and {index.shape} disagree", field=", ".join(_LEAVES))
    return from_arrays({name[len(_PREFIX) :]: array for name, array in arrays.items() if name.startswith(_PREFIX)})


def _as_text(array: NDArray[Any]) -> str:
    return f"{np.asarray(array).tolist()}"
