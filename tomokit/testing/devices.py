"""Check that a regularizer gives on a GPU what it gives on the CPU, whose gradient is checked against differences.

Both compute in single precision. Their rounding differs, so that a value beside a kink may fall on the other side of
it; but not in each of three fields.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import ResourceError
from tomokit.gpu.device import Device
from tomokit.gpu.discovery import devices
from tomokit.octree import Forest
from tomokit.regularizers.interface import Field, Regularizer
from tomokit.testing.checks import CheckError, NotTriedError
from tomokit.testing.trees import PLACES, places, random_field, single_leaf, without_leaf

_GUARD = 4096
_SENTINEL = -7.0
_SCALE = -2.5
_TRIES = 3


class DeviceSubject:
    """A regularizer to be compared with itself on the CPU and on the first device that is found.

    Parameters
    ----------
    cls : type
        The class that is registered.
    options : object
        An instance of its options.
    forest : Forest
        The leaves of the fields that are tried.
    seed : int
        Seed of the fields.
    tolerance : float
        Largest relative distance of gradients, as vectors, and of values.
    """

    def __init__(self, cls: type, options: Any, forest: Forest, seed: int, tolerance: float) -> None:
        self.cls, self.options, self.forest, self.seed, self.tolerance = cls, options, forest, seed, tolerance

    def check(self) -> None:
        """Compare values and gradients on the device with those on the CPU.

        Raises
        ------
        CheckError
            If they differ, saying how.
        NotTriedError
            If there is no GPU, or the regularizer refuses these options there.
        """
        reason = self.cls(self.options).cuda_unsupported_reason(self.options)
        if reason is not None:
            raise NotTriedError(f"it refuses these options there: {reason}")
        try:
            device = devices()[0]
        except ResourceError as error:
            raise NotTriedError(error.problem) from None
        with device:
            for forest, where in (
                (self.forest, ""),
                (without_leaf(self.forest, self.forest.n_leaves // 2), " on a forest with a hole"),
                (single_leaf(self.forest.n), " on a forest of one leaf"),
            ):
                for rough in (True, False):
                    self._compare_on(device, forest, rough, where)
            self._check_repeats(device)
            self._check_not_a_number(device)

    def _compare_on(self, device: Device, forest: Forest, rough: bool, where: str) -> None:
        """Raise the first difference, if each of several fields has one."""
        problems = []
        # One field that agrees is enough: rounding carries a value over a kink now and then, a fault shows in all.
        for number in range(_TRIES):
            field = self._field(forest, rough, number)
            problem = self._difference(device, field)
            if problem is None:
                return
            problems.append(problem)
        raise CheckError(problems[0] + where)

    def _difference(self, device: Device, field: Field) -> str | None:
        """What differs on a field, in words; None if nothing does."""
        value, added, drawn = self._on_host(field)
        device_value, device_added, device_drawn = self._on_device(device, field)
        if device_drawn != drawn:
            raise CheckError("it draws other random numbers on a GPU than on the CPU: runs would not go on alike")
        # Written so that a value that is not a number differs.
        if not abs(device_value - value) <= self.tolerance * abs(value):
            return f"its value on a GPU is {device_value!r} where the CPU gives {value!r}"
        size, apart = float(np.linalg.norm(added)), device_added - added
        if float(np.linalg.norm(apart)) <= self.tolerance * size:
            return None
        if np.allclose(device_added, added / _SCALE, rtol=1e-3, atol=1e-3 * np.abs(added).max()):
            return "on a GPU it ignores the scale: add scale times the gradient"
        worst = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.abs(apart))), apart.shape))
        place = PLACES[int(places(field.forest)[worst])]
        # The multiple of the CPU's gradient that comes nearest: a wrong factor is told as such.
        factor = float(np.vdot(device_added, added)) / max(size**2, 1e-300)
        if float(np.linalg.norm(device_added - factor * added)) <= self.tolerance * size:
            return f"its gradient on a GPU is {factor:.4g} times the CPU's"
        return (
            f"its gradient on a GPU is {100 * float(np.linalg.norm(apart)) / max(size, 1e-300):.2g} % from the CPU's; "
            f"the worst is vertex {worst[1:]} of leaf {worst[0]}, {place}: {device_added[worst] / _SCALE:.4g} where "
            f"the CPU gives {added[worst] / _SCALE:.4g}"
        )

    def _field(self, forest: Forest, rough: bool, number: int) -> Field:
        seed = self.seed + 1000 * number
        return random_field(forest, seed, rough=rough, positive=self.options.space == "rho", dtype=np.float32)

    def _with_fresh_rng(self, field: Field) -> Field:
        """The field with a generator in its first state, so that all evaluations draw the same numbers."""
        return replace(field, rng=np.random.default_rng((self.seed, 12)))

    def _on_host(self, field: Field) -> tuple[float, NDArray[np.float64], object]:
        """Value, what is added to the gradient, and the state that the generator is left in."""
        fresh, gradient = self._with_fresh_rng(field), np.zeros_like(field.values)
        value = self.cls(self.options).value_and_gradient(fresh, gradient, _SCALE)
        return float(value), gradient.astype(np.float64), fresh.rng.bit_generator.state

    def _on_device(
        self,
        device: Device,
        field: Field,
        scale: float = _SCALE,
        regularizer: Regularizer | None = None,
        start: float = 0.0,
    ) -> tuple[float, NDArray[np.float64], object]:
        """Value, what is added to a gradient array that holds `start`, and the state that the generator is left in."""
        xp, size = device.xp, field.values.size
        # The gradient lies between guards, in which a write beyond its ends shows.
        guarded = xp.full(size + 2 * _GUARD, _SENTINEL, np.float32)
        gradient = guarded[_GUARD : _GUARD + size].reshape(field.values.shape)
        gradient[...] = np.float32(start)
        fresh = replace(self._with_fresh_rng(field), values=xp.asarray(field.values), device=device)
        returned: Any = (regularizer or self.cls(self.options)).value_and_gradient(fresh, gradient, scale)
        if getattr(returned, "shape", ()) != ():
            raise CheckError(f"on a GPU `value_and_gradient` returns an array of shape {returned.shape}, not a number")
        value = float(returned if isinstance(returned, (float, np.floating)) else device.to_host(returned))
        on_host = device.to_host(guarded)
        if (on_host[:_GUARD] != _SENTINEL).any() or (on_host[_GUARD + size :] != _SENTINEL).any():
            raise CheckError("on a GPU it writes beyond the gradient array")
        if not np.array_equal(device.to_host(fresh.values), field.values, equal_nan=True):
            raise CheckError("on a GPU it changes field.values")
        added = on_host[_GUARD : _GUARD + size].reshape(field.values.shape).astype(np.float64) - start
        return value, added, fresh.rng.bit_generator.state

    def _check_repeats(self, device: Device) -> None:
        field, regularizer = self._field(self.forest, True, 0), self.cls(self.options)
        first = self._on_device(device, field, regularizer=regularizer)
        # Once more by the same object, which may have kept something, and by a new one.
        for again_by in (regularizer, None):
            again = self._on_device(device, field, regularizer=again_by)
            if again[0] != first[0] or not np.array_equal(again[1], first[1]):
                raise CheckError("it is not deterministic on a GPU: evaluated twice, bits differ")
        _, onto, _ = self._on_device(device, field, start=0.5)
        # What is added is rounded to the sum's precision.
        if np.abs(onto - first[1]).max() > 1e-6 * (1 + np.abs(first[1]).max()):
            raise CheckError("on a GPU it overwrites the gradient array, which holds what others left: use +=")
        value, added, _ = self._on_device(device, field, scale=0.0)
        if value != first[0]:
            raise CheckError(f"on a GPU the value changes with the scale, from {first[0]} to {value} at 0")
        if added.any():
            raise CheckError("zero weight does something on a GPU: with a scale of 0 the gradient array changes")

    def _check_not_a_number(self, device: Device) -> None:
        field = self._field(self.forest, True, 0)
        field.values[self.forest.n_leaves // 2] = np.nan
        inside = np.ones_like(field.inside)
        if np.isfinite(self._on_device(device, replace(field, inside=inside))[0]):
            raise CheckError("on a GPU its value is a number for a field with values that are not: the fit would go on")
