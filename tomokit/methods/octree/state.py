"""A fit as named arrays, and back, each of them checked before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.methods.state_arrays import check_arrays
from tomokit.octree import Forest
from tomokit.octree.state import from_arrays, to_arrays

Arrays = Mapping[str, NDArray[Any]]

_PREFIX = "forest_"
_LEAVES = ("forest_level", "forest_index")
_REMEMBERED = ("indicator_key", "indicator_contribution")


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


def read_forest(arrays: Arrays, first: Forest) -> Forest:
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


def check_names(arrays: Arrays, own: Arrays) -> None:
    """Refuse a state that lacks an array of the run, or has one of another type or number of axes.

    Parameters
    ----------
    arrays : mapping
        All arrays of a state.
    own : mapping
        Those of the run, which may be longer or shorter: leaves are split and merged.

    Raises
    ------
    InputError
        Naming the array.
    """
    check_arrays(arrays, own, same_shapes=False)
    if arrays[_REMEMBERED[0]].shape != arrays[_REMEMBERED[1]].shape:
        raise InputError("the shapes disagree", field=", ".join(_REMEMBERED))


def check_shape(arrays: Arrays, name: str, shape: tuple[int, ...]) -> None:
    """Refuse an array of a state that has another shape than the run needs.

    Parameters
    ----------
    arrays : mapping
        All arrays of the state, by name.
    name : str
        Which of them.
    shape : tuple of int
        The shape that it has to have.

    Raises
    ------
    InputError
        Naming the array.
    """
    if arrays[name].shape != shape:
        raise InputError(f"shape {arrays[name].shape}, expected {shape}", field=name)


def _as_text(array: NDArray[Any]) -> str:
    return f"{np.asarray(array).tolist()}"
