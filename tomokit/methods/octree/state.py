"""Checks of the arrays that an octree fit continues from, made before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from tomokit.errors import InputError
from tomokit.methods.pausing import EpochProgress
from tomokit.methods.state_arrays import check_arrays, check_numbers

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


def read_progress(arrays: Arrays, epoch: int, n_steps: int) -> EpochProgress:
    """Read how far a fit has come, once losses, counters and the indicators of former leaves are found in order.

    Parameters
    ----------
    arrays : mapping
        All arrays of the state, by name.
    epoch : int
        Epochs that are finished.
    n_steps : int
        Steps that an epoch takes.

    Returns
    -------
    EpochProgress
        Of the epoch under way.

    Raises
    ------
    InputError
        Naming the array.
    """
    check_shape(arrays, "losses", (epoch,))
    check_shape(arrays, "counters", (2,))
    for name in ("losses", "indicator_contribution"):
        check_numbers(arrays[name], name)
    steps, count = (int(number) for number in arrays["counters"])
    if not 0 <= count <= steps < 2**53:
        raise InputError(f"{count} of {steps} steps", field="counters")
    progress = EpochProgress.from_array(arrays["epoch_progress"], "epoch_progress")
    if progress.step >= n_steps:
        raise InputError(f"{progress.step} of {n_steps} steps", field="epoch_progress")
    return progress
