"""Checks of an optimizer, on random gradients and on a quadratic bowl."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.optimizers.interface import State
from tomokit.testing.checks import Check, CheckError, Declaration, demand
from tomokit.testing.threads import numbers_of_threads

_SHAPE = (3, 5, 5, 5)
_STEPS = 6
_GUARD = 4096
_SENTINEL = -7.0


def check_optimizer(cls: type, options: Any = None, *, seed: int = 0) -> list[str]:
    """Make sure that an optimizer can be trusted in a fit.

    Parameters
    ----------
    cls : type
        The class that is registered.
    options : dataclass instance or mapping, optional
        Its options; the defaults if none are given.
    seed : int
        Seed of the values and gradients that are tried.

    Returns
    -------
    list of str
        Names of the checks that were done.

    Raises
    ------
    CheckError
        If any check fails; the message lists all that do.
    """
    return demand(optimizer_checks(cls, options, seed), f"optimizer {cls.__name__}")


def optimizer_checks(cls: type, options: Any = None, seed: int = 0) -> Iterator[Check]:
    """The checks of :func:`check_optimizer`, one by one.

    Parameters
    ----------
    cls, options, seed
        See :func:`check_optimizer`.

    Yields
    ------
    Check
        To be run before the next is asked for; after a wrong declaration there are no more.
    """
    declaration = Declaration("optimizer", cls, options)
    yield declaration.check
    if declaration.options is None:
        return
    subject = _Subject(cls, declaration.options, seed)
    yield Check("it remembers arrays by name", subject.state)
    yield Check("it changes values in place, and only them and its state", subject.in_place)
    yield Check("its first step goes downhill", subject.downhill)
    yield Check("a rate of zero moves nothing", subject.rate)
    yield Check("it gives the same bits again", subject.deterministic)
    yield Check("it continues from its state bit for bit", subject.continues)
    yield Check("it finds the bottom of a bowl", subject.bowl)


class _Subject:
    """An optimizer under examination; each method but `fit` is one check, and raises CheckError."""

    def __init__(self, cls: type, options: Any, seed: int) -> None:
        self.cls, self.options = cls, options
        rng = np.random.default_rng((seed, 5))
        self.start = rng.standard_normal(_SHAPE)
        self.gradients = rng.standard_normal((_STEPS, *_SHAPE))

    def fit(self, dtype: type = np.float64, save_at: int | None = None) -> tuple[NDArray[np.floating], State]:
        """Values and state after some steps; before step `save_at` the state is carried over to a new object."""
        optimizer = self.cls(self.options)
        values: NDArray[np.floating] = self.start.astype(dtype)
        state = optimizer.state_arrays(values.shape, values.dtype)
        for step in range(_STEPS):
            if step == save_at:
                saved = {name: array.copy() for name, array in state.items()}
                optimizer = self.cls(self.options)
                state = optimizer.state_arrays(values.shape, values.dtype)
                for name, array in state.items():
                    array[...] = saved[name]
            optimizer.step(values, self.gradients[step].astype(dtype), state, step + 1)
        return values, state

    def state(self) -> None:
        for dtype in (np.float32, np.float64):
            state = self.cls(self.options).state_arrays(_SHAPE, np.dtype(dtype))
            if not isinstance(state, dict) or not all(isinstance(name, str) for name in state):
                raise CheckError("`state_arrays` does not return a dict of arrays by name")
            for name, array in state.items():
                if not isinstance(array, np.ndarray):
                    raise CheckError(f"what it remembers as {name!r} is no array, so it cannot be saved")

    def in_place(self) -> None:
        for dtype in (np.float32, np.float64):
            # The values lie between guards, in which a write beyond their ends shows.
            guarded = np.full(self.start.size + 2 * _GUARD, _SENTINEL, dtype)
            values = guarded[_GUARD : _GUARD + self.start.size].reshape(_SHAPE)
            values[...] = self.start
            before = values.copy()
            optimizer = self.cls(self.options)
            state = optimizer.state_arrays(values.shape, values.dtype)
            arrays = dict(state)
            returned = optimizer.step(values, self.gradients[0].astype(dtype), state, 1)
            if returned is not None:
                raise CheckError("`step` returns something, which is not looked at: change `values` in place")
            if np.array_equal(values, before):
                raise CheckError("a step does not change `values` in place: write values[...] = or values -=")
            if not np.isfinite(values).all():
                raise CheckError(f"after a step on {dtype.__name__} values are not finite")
            if set(state) != set(arrays) or any(state[name] is not array for name, array in arrays.items()):
                raise CheckError("a step replaces arrays of the state: change them in place, they are what is saved")
            if (np.concatenate([guarded[:_GUARD], guarded[_GUARD + self.start.size :]]) != _SENTINEL).any():
                raise CheckError("it writes beyond the values")

    def downhill(self) -> None:
        optimizer = self.cls(self.options)
        values = self.start.copy()
        gradient = self.gradients[0]
        optimizer.step(values, gradient.copy(), optimizer.state_arrays(values.shape, values.dtype), 1)
        if not np.vdot(values - self.start, gradient) < 0:
            raise CheckError("its first step, with nothing remembered, does not go against the gradient")

    def rate(self) -> None:
        optimizer = self.cls(self.options)
        values = self.start.copy()
        optimizer.step(values, self.gradients[0].copy(), optimizer.state_arrays(values.shape, values.dtype), 1, 0.0)
        if not np.array_equal(values, self.start):
            raise CheckError("it moves values at a rate of 0: schedules would not work")

    def deterministic(self) -> None:
        values, state = self.fit(np.float32)
        for _ in numbers_of_threads():
            again, state_again = self.fit(np.float32)
            same = all(np.array_equal(array, state_again[name]) for name, array in state.items())
            if not np.array_equal(values, again) or not same:
                raise CheckError("it is not deterministic: the same steps end elsewhere")

    def continues(self) -> None:
        values, _ = self.fit()
        for save_at in (1, _STEPS - 1):
            again, _ = self.fit(save_at=save_at)
            if not np.array_equal(values, again):
                raise CheckError(
                    f"it remembers something outside its state: saved and restored after step {save_at}, it goes "
                    "elsewhere; what it needs is in state_arrays, options, count and rate"
                )

    def bowl(self) -> None:
        # The bowl |values|^2 / 2, whose gradient is the values. Which learning rate suits its curvature of 1 is not
        # known: one of these has to.
        reached = []
        for rate in (1.0, 0.1, 10.0, 100.0):
            optimizer = self.cls(self.options)
            values = self.start.copy()
            state = optimizer.state_arrays(values.shape, values.dtype)
            with np.errstate(all="ignore"):
                for count in range(1, 401):
                    slower = rate if count < 200 else 0.1 * rate
                    optimizer.step(values, values.copy(), state, count, slower)
            reached.append(float(np.linalg.norm(values) / np.linalg.norm(self.start)))
            if reached[-1] < 0.1:
                return
        raise CheckError(f"after 400 steps down a bowl it is still at {np.nanmin(reached):.2g} of where it began")
