"""What an optimizer is: a rule that turns a gradient into a step, with the arrays it remembers."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

State = dict[str, NDArray[np.floating]]


@runtime_checkable
class Optimizer(Protocol):
    """An optimizer, as registered by the hook ``tomokit_register_optimizers``.

    The built-in ones are also :class:`tomokit.optimizers.block.BlockOptimizer`, which a fused pass applies to one
    leaf while it is in cache; any other one is given the whole field.

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
        """Make it with its options."""
        ...

    def state_arrays(self, shape: tuple[int, ...], dtype: Any) -> State:
        """What it remembers of values of this shape, as before the first step; by name, saved and restored so."""
        ...

    def step(
        self,
        values: NDArray[np.floating],
        gradient: NDArray[np.floating],
        state: State,
        count: int,
        rate: float = 1.0,
    ) -> None:
        """One step, in place on `values` and `state`.

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
