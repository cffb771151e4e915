"""The checks that a saved state's arrays are those of the run that shall continue with them, and are numbers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import InputError


def check_arrays(
    given: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]], same_shapes: bool = True
) -> None:
    """Refuse a state that lacks an array of the run, or has one of another type or shape.

    Parameters
    ----------
    given : mapping of str to ndarray
        Arrays of the state by name; more than the run has are ignored.
    expected : mapping of str to ndarray
        Arrays of the run by name.
    same_shapes : bool
        Whether shapes have to be equal; else only the number of axes has to be, for arrays that grow during a run.

    Raises
    ------
    InputError
        With the first array that does not fit as its field.
    """
    for name, own in expected.items():
        if name not in given:
            raise InputError("not in the state", field=name)
        array = given[name]
        if same_shapes and (array.shape != own.shape or array.dtype != own.dtype):
            raise InputError(f"{array.dtype}{array.shape}, expected {own.dtype}{own.shape}", field=name)
        if array.ndim != own.ndim or array.dtype != own.dtype:
            raise InputError(f"{array.dtype} of {array.ndim} axes, expected {own.dtype} of {own.ndim} axes", field=name)


def check_numbers(array: NDArray[Any], name: str) -> None:
    """Refuse an array of a state that has something else than finite numbers: no run saves any.

    Parameters
    ----------
    array : ndarray
        Of any type; whole numbers are finite.
    name : str
        Its name in the state, for the message.

    Raises
    ------
    InputError
        With the array as its field.
    """
    # One sum tells, without an array of the same size: infinities and NaN survive it.
    with np.errstate(over="ignore", invalid="ignore"):
        if array.dtype.kind in "fc" and not np.isfinite(array.sum(dtype=np.result_type(array.dtype, np.float64))):
            raise InputError("has values that are not finite", field=name)


def check_finite_arrays(given: Mapping[str, NDArray[Any]], expected: Mapping[str, NDArray[Any]]) -> None:
    """Refuse a state whose arrays are not those of the run, or hold something else than finite numbers.

    Parameters
    ----------
    given : mapping of str to ndarray
        Arrays of the state by name; more than the run has are ignored.
    expected : mapping of str to ndarray
        Arrays of the run by name. Only their types and shapes are looked at.

    Raises
    ------
    InputError
        With the first array that does not fit as its field.
    """
    check_arrays(given, expected)
    for name in expected:
        check_numbers(given[name], name)
