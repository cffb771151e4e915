"""The base class of the built-in optimizers: a kind, a vector of hyper-parameters, and at most two arrays."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar, TypeGuard

import numpy as np
from numpy.typing import DTypeLike, NDArray

from tomokit.errors import InputError
from tomokit.optimizers.interface import Optimizer, State


class BlockOptimizer(ABC):
    """An optimizer whose rule :func:`tomokit.optimizers.kernel.optimizer_block` has, so that a fused pass can apply it.

    Attributes
    ----------
    kind : int
        Which rule, by the constants of :mod:`tomokit.optimizers.kernel`.
    first, second : str or None
        Names of the arrays in the state that hold momentum and mean square, None where there is none.
    """

    kind: ClassVar[int]
    first: str | None = None
    second: str | None = None

    @abstractmethod
    def hyper(self, rate: float = 1.0) -> NDArray[np.float64]:
        """Hyper-parameters of the rule, as the kernel takes them.

        Parameters
        ----------
        rate : float
            Factor of the learning rate.

        Returns
        -------
        ndarray of float64, shape (4,)
            Learning rate times `rate`, decay of the momentum, decay of the mean square, eps.
        """

    def state_arrays(self, shape: tuple[int, ...], dtype: DTypeLike) -> State:
        """Zeros for each array that the rule has (see :class:`tomokit.optimizers.interface.Optimizer`)."""
        return {name: np.zeros(shape, dtype) for name in (self.first, self.second) if name is not None}

    def block_arrays(self, state: State, dtype: DTypeLike) -> tuple[NDArray[np.floating], NDArray[np.floating]]:
        """Momentum and mean square as flat arrays for the kernel, of size 0 where the rule has none.

        Parameters
        ----------
        state : dict
            From :meth:`state_arrays`.
        dtype : dtype
            Type of the empty arrays: the kernel is compiled for one type of all.

        Returns
        -------
        first, second : ndarray, shape (n_values,) or (0,)
            Views of the state's arrays, so that the kernel changes these.
        """
        empty = np.empty(0, dtype)
        first = empty if self.first is None else state[self.first].reshape(-1)
        second = empty if self.second is None else state[self.second].reshape(-1)
        return first, second

    def step(
        self,
        values: NDArray[np.floating],
        gradient: NDArray[np.floating],
        state: State,
        count: int,
        rate: float = 1.0,
    ) -> None:
        """Take one step on all values (see :class:`tomokit.optimizers.interface.Optimizer`).

        Raises
        ------
        InputError
            If shapes or types disagree, or an array is not contiguous and could not be changed in place.
        """
        from tomokit.optimizers.kernel import optimizer_step

        # Reshaping an array with gaps would copy it, and the step would be lost.
        for array in (values, gradient, *state.values()):
            if array.shape != values.shape or array.dtype != values.dtype or not array.flags.c_contiguous:
                raise InputError(
                    f"an array of shape {array.shape}, {array.dtype}, beside values of {values.shape}, {values.dtype}",
                    field="optimizer",
                    remedy="give contiguous arrays of one shape and type",
                )
        first, second = self.block_arrays(state, values.dtype)
        optimizer_step(self.kind, self.hyper(rate), count, values.reshape(-1), gradient.reshape(-1), first, second)


def is_block_optimizer(optimizer: Optimizer) -> TypeGuard[BlockOptimizer]:
    """Whether a fused pass may take the place of ``step``: not in a class with a step of its own.

    Parameters
    ----------
    optimizer : Optimizer

    Returns
    -------
    bool
    """
    return isinstance(optimizer, BlockOptimizer) and type(optimizer).step is BlockOptimizer.step
