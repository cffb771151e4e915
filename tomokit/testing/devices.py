"""Whether a regularizer gives on a GPU what it gives on the CPU, whose gradient has been compared with differences.

Both in single precision. Their rounding differs, so that a value beside a kink may fall on the other side of it; but
not in one of three fields.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.errors import ResourceError
from tomokit.gpu.device import Device, devices
from tomokit.octree import Forest
from tomokit.regularizers.interface import Field
from tomokit.testing.checks import CheckError, NotTriedError
from tomokit.testing.trees import PLACES, places, random_field, single_leaf, without_leaf

_GUARD = 4096
_SENTINEL = -7.0
_SCALE = -2.5
_TRIES = 3


class DeviceSubject:
    """A regularizer under examination on the first device that is found.

    Parameters
    ----------
    cls : type
    options : object
        Of it.
    forest : Forest
    seed : int
        Of the fields.
    tolerance : float
        Relative distance of gradients, as vectors, and of values.
    """

    def __init__(self, cls: type, options: Any, forest: Forest, seed: int, tolerance: float) -> None:
        self.cls, self.options, self.forest, self.seed, self.tolerance = cls, options, forest, seed, tolerance

    def check(self) -> None:
        """Compare them.

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
                    self._agrees(device, forest, rough, where)
            self._repeats(device)
            self._not_a_number(device)

    def _agrees(self, device: Device, forest: Forest, rough: bool, where: str) -> None:
        problems = []
        for number in range(_TRIES):
            field = self._field(forest, rough, number)
            problem = self._difference(device, field)
            if problem is None:
                return
            problems.append(problem)
        raise CheckError(problems[0] + where)

    def _difference(self, device: Device, field: Field) -> str | None:
        """What differs on a field; None if nothing does."""
        value, added, drawn = self._on_host(field)
        found, there, drawn_there = self._on_device(device, field)
        if drawn_there != drawn:
            raise CheckError("it draws other random numbers on a GPU than on the CPU: runs would not go on alike")
        if not abs(found - value) <= self.tolerance * abs(value):
            return f"its value on a GPU is {found!r} where the CPU gives {value!r}"
        size, apart = float(np.linalg.norm(added)), there - added
        if float(np.linalg.norm(apart)) <= self.tolerance * size:
            return None
        if np.allclose(there, added / _SCALE, rtol=1e-3, atol=1e-3 * np.abs(added).max()):
            return "on a GPU it ignores the scale: add scale times the gradient"
        worst = tuple(int(i) for i in np.unravel_index(int(np.argmax(np.abs(apart))), apart.shape))
        place = PLACES[int(places(field.forest)[worst])]
        factor = float(np.vdot(there, added)) / max(size**2, 1e-300)
        if float(np.linalg.norm(there - factor * added)) <= self.tolerance * size:
            return f"its gradient on a GPU is {factor:.4g} times the CPU's"
        return (
            f"its gradient on a GPU is {100 * float(np.linalg.norm(apart)) / max(size, 1e-300):.2g} % from the CPU's; "
            f"the worst is vertex {worst[1:]} of leaf {worst[0]}, {place}: {there[worst] / _SCALE:.4g} where the CPU "
            f"gives {added[worst] / _SCALE:.4g}"
        )

    def _field(self, forest: Forest, rough: bool, number: int) -> Field:
        seed = self.seed + 1000 * number
        return random_field(forest, seed, rough=rough, positive=self.options.space == "rho", dtype=np.float32)

    def _fresh(self, field: Field) -> Field:
        return replace(field, rng=np.random.default_rng((self.seed, 12)))

    def _on_host(self, field: Field) -> tuple[float, NDArray[np.float64], Any]:
        fresh, gradient = self._fresh(field), np.zeros_like(field.values)
        value = self.cls(self.options).value_and_gradient(fresh, gradient, _SCALE)
        return float(value), gradient.astype(np.float64), fresh.rng.bit_generator.state

    def _on_device(
        self, device: Device, field: Field, scale: float = _SCALE, item: Any = None, start: float = 0.0
    ) -> tuple[float, NDArray[np.float64], Any]:
        """Value, what is added to a gradient array that holds `start`, and where the generator is left."""
        xp, size = device.xp, field.values.size
        room = xp.full(size + 2 * _GUARD, _SENTINEL, np.float32)
        gradient = room[_GUARD : _GUARD + size].reshape(field.values.shape)
        gradient[...] = np.float32(start)
        fresh = replace(self._fresh(field), values=xp.asarray(field.values), device=device)
        value = (item or self.cls(self.options)).value_and_gradient(fresh, gradient, scale)
        if getattr(value, "shape", ()) != ():
            raise CheckError(f"on a GPU `value_and_gradient` returns an array of shape {value.shape}, not a number")
        found = float(value if isinstance(value, (float, np.floating)) else device.to_host(value))
        whole = device.to_host(room)
        if (whole[:_GUARD] != _SENTINEL).any() or (whole[_GUARD + size :] != _SENTINEL).any():
            raise CheckError("on a GPU it writes beyond the gradient array")
        if not np.array_equal(device.to_host(fresh.values), field.values, equal_nan=True):
            raise CheckError("on a GPU it changes field.values")
        added = whole[_GUARD : _GUARD + size].reshape(field.values.shape).astype(np.float64) - start
        return found, added, fresh.rng.bit_generator.state

    def _repeats(self, device: Device) -> None:
        field, item = self._field(self.forest, True, 0), self.cls(self.options)
        first = self._on_device(device, field, item=item)
        for other in (item, None):
            again = self._on_device(device, field, item=other)
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

    def _not_a_number(self, device: Device) -> None:
        field = self._field(self.forest, True, 0)
        field.values[self.forest.n_leaves // 2] = np.nan
        inside = np.ones_like(field.inside)
        if np.isfinite(self._on_device(device, replace(field, inside=inside))[0]):
            raise CheckError("on a GPU its value is a number for a field with values that are not: the fit would go on")
