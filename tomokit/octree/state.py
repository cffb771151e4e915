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
_SHAPES: dict[str, tuple[int | None, ...]] = {
    "origin_px": (3,), "root_px": (), "roots": (3,), "n": (), "level": (None,), "index": (None, 3),
}  # fmt: skip
# Kinds of numbers, the least and the most of each: what no forest exceeds, and what keeps every product of them in
# 64 bits, whatever a file says.
_BOUNDS: dict[str, tuple[str, float, float]] = {
    "origin_px": ("f", -1e9, 1e9), "root_px": ("f", 1e-6, 1e9), "roots": ("iu", 1, 1 << 19), "n": ("iu", 2, 1024),
    "level": ("iu", 0, 19), "index": ("iu", 0, (1 << 19) - 1),
}  # fmt: skip


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


def from_arrays(arrays: Mapping[str, NDArray[Any]], prefix: str = "") -> Forest:
    """The forest that :func:`to_arrays` made arrays of.

    Parameters
    ----------
    arrays : mapping of ndarray
        Arrays by name; others than the forest's may be among them.
    prefix : str, optional
        What their names begin with in `arrays`, and in errors.

    Returns
    -------
    Forest

    Raises
    ------
    InputError
        If an array is missing, misshapen or out of bounds, or leaves overlap or lie outside the box.
    """
    fields = {}
    for name, shape in _SHAPES.items():
        known = prefix + name
        if known not in arrays:
            raise InputError("missing", field=f"octree array {known}", remedy="use a state file that is complete")
        fields[name] = array = np.asarray(arrays[known])
        if len(array.shape) != len(shape) or any(n not in (m, None) for m, n in zip(array.shape, shape, strict=True)):
            expected = str(shape).replace("None", "leaves") if shape else "one number"
            raise InputError(f"shape {array.shape} instead of {expected}", field=f"octree array {known}")
        kinds, least, most = _BOUNDS[name]
        if array.dtype.kind not in kinds or not ((array >= least) & (array <= most)).all():
            words = "whole numbers" if "f" not in kinds else "numbers"
            raise InputError(f"not {words} from {least:g} to {most:g}", field=f"octree array {known}")
    if len(fields["level"]) != len(fields["index"]):
        problem = f"shapes {fields['level'].shape} and {fields['index'].shape} disagree"
        raise InputError(problem, field=f"octree arrays {prefix}level, {prefix}index")
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


def read_forest(arrays: Mapping[str, NDArray[Any]], first: Forest, finest_level: int) -> Forest:
    """The forest whose arrays :func:`forest_arrays` has put into a state.

    Parameters
    ----------
    arrays : mapping
        All arrays of a state.
    first : Forest
        One of the same fit: what does not change while leaves split and merge has to agree.
    finest_level : int
        The finest level that leaves of the fit may have.

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
    forest = from_arrays(arrays, _PREFIX)
    finest = int(forest.level.max(initial=0))
    if not forest.n_leaves or finest > finest_level:
        problem = f"{forest.n_leaves} leaves down to level {finest}, where {finest_level} is the finest"
        raise InputError(problem, field=", ".join(_LEAVES))
    return forest


def _as_text(array: NDArray[Any]) -> str:
    return f"{np.asarray(array).tolist()}"
