"""The interface of optimizers: rules that turn gradients into steps, with the arrays that they remember."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import DTypeLike, NDArray

State = dict[str, NDArray[np.floating]]
"""What an optimizer remembers: arrays by name."""


@runtime_checkable
class Optimizer(Protocol):
    """An optimizer, as registered by the hook ``tomokit_register_optimizers``.

    The built-in ones are also :class:`tomokit.optimizers.block.BlockOptimizer`, which a fused pass applies to one
    leaf while it is in cache; any other one is given all leaves at once.

    Attributes
    ----------
    name : str
        What a user gives in ``--set optimizer=NAME``.
    summary : str
        One line for ``tomokit plugins list``.
    Options : type
        A frozen dataclass of options with at least ``lr``.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    Options: ClassVar[type]

    def __init__(self, options: Any) -> None:
        """Make the optimizer with its options."""
        ...

    def state_arrays(self, shape: tuple[int, ...], dtype: DTypeLike) -> State:
        """The arrays that the optimizer remembers, as they are before the first step.

        Parameters
        ----------
        shape : tuple of int
            Shape of the values that are optimized.
        dtype : dtype
            Their type, float32 or float64.

        Returns
        -------
        dict
            Arrays of this shape and type by name; under these names they are saved in states and restored.
        """
        ...

    def step(
        self,
        values: NDArray[np.floating],
        gradient: NDArray[np.floating],
        state: State,
        count: int,
        rate: float = 1.0,
    ) -> None:
        """Take one step, in place on `values` and `state`.

        Parameters
        ----------
        values, gradient : ndarray of float32 or float64
            C-contiguous, shaped alike; the gradient is not kept.
        state : dict
            From :meth:`state_arrays`.
        count : int
            Steps since the state was made, this one included: 1 at the first.
        rate : float
            Factor of the learning rate, for schedules.
        """
        ...


class RemembersArrays(Protocol):
    """What has arrays of the values' size, as every optimizer has."""

    def state_arrays(self, shape: tuple[int, ...], dtype: DTypeLike) -> State:
        """The arrays that are remembered (see :class:`Optimizer`)."""
        ...


def count_state_arrays(optimizer: RemembersArrays) -> int:
    """Number of arrays of the values' size that an optimizer remembers between steps.

    Parameters
    ----------
    optimizer : RemembersArrays

    Returns
    -------
    int
    """
    # Its state of a single value has one number for each array.
    return sum(array.size for array in optimizer.state_arrays((1,), np.float32).values())
