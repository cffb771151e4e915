"""Checks of the arrays that an octree fit continues from, made before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.methods.state_arrays import check_arrays

Arrays = Mapping[str, NDArray[Any]]

_REMEMBERED = ("indicator_key", "indicator_contribution")


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
