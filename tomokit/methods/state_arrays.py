"""The check that a saved state's arrays are those of the run that shall continue with them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

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
