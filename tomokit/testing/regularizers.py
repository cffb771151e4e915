"""Checks of a regularizer on a small anisotropic forest with level jumps and boundaries."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.octree import Forest
from tomokit.regularizers.fusion import fusable
from tomokit.regularizers.interface import Field, LooksUpTables, Regularizer, RunsOnGpu
from tomokit.testing.checks import Check, CheckError, Declaration, NotTriedError, demand
from tomokit.testing.derivative import STEP
from tomokit.testing.devices import DeviceSubject
from tomokit.testing.gradients import check_gradient
from tomokit.testing.threads import numbers_of_threads
from tomokit.testing.trees import random_field, single_leaf, two_level_forest, without_leaf

Evaluation = tuple[float, NDArray[np.floating]]
"""Value and gradient."""

_GUARD = 4096
_SENTINEL = -7.0
_SMOOTH = (1e-4, STEP)
_TABULATED = (5e-3, 1e-4)
_FUSED = 1e-4  # relative: both are sums of the same numbers in single precision


def check_regularizer(
    cls: type,
    options: Any = None,
    *,
    seed: int = 0,
    tolerance: float | None = None,
    step: float | None = None,
    forest: Forest | None = None,
) -> list[str]:
    """Make sure that a regularizer can be trusted in a fit.

    One that has ``cuda_unsupported_reason`` is tried on a GPU too, where there is one.

    Parameters
    ----------
    cls : type
        The class that is registered.
    options : dataclass instance or mapping, optional
        Its options; the defaults if none are given. Check each variant that you offer.
    seed : int
        Seed of the fields that are tried.
    tolerance : float, optional
        Largest distance of gradient and finite differences, relative to the gradient; by default 1e-4, and 5e-3 for a
        class that says ``tabulated = True``, whose value is looked up in tables.
    step : float, optional
        Step of the finite differences, in units of the values; by default 1e-7, and 1e-4 for a tabulated class, which
        is smooth only over larger steps.
    forest : Forest, optional
        Leaves of the fields, in place of :func:`tomokit.testing.trees.two_level_forest`.

    Returns
    -------
    list of str
        Names of the checks that were done.

    Raises
    ------
    CheckError
        If any check fails; the message lists all that do.
    """
    return demand(regularizer_checks(cls, options, seed, tolerance, step, forest), f"regularizer {cls.__name__}")


def regularizer_checks(
    cls: type,
    options: Any = None,
    seed: int = 0,
    tolerance: float | None = None,
    step: float | None = None,
    forest: Forest | None = None,
) -> Iterator[Check]:
    """The checks of :func:`check_regularizer`, one by one.

    Parameters
    ----------
    cls, options, seed, tolerance, step, forest
        See :func:`check_regularizer`.

    Yields
    ------
    Check
        To be run before the next is asked for; after a wrong declaration there are no more.
    """
    declaration = Declaration("regularizer", cls, options)
    yield declaration.check
    if declaration.options is None:
        return
    subject = _Subject(cls, declaration.options, forest or two_level_forest(), seed)
    yield Check("its value is a number", subject.value)
    yield Check("it adds its gradient times the scale, and zero weight does nothing", subject.adds)
    yield Check("it leaves the field alone", subject.field_alone)
    yield Check("it writes nowhere but into the gradient", subject.guards)
    yield Check("it gives the same bits again", subject.deterministic)
    yield Check("it forgets other forests", subject.forgets)
    yield Check("it draws random numbers alike whatever the values are", subject.draws)
    regularizer = cls(declaration.options)
    accuracy = _accuracy(regularizer, tolerance, step)
    yield Check("its gradient is the derivative of its value", lambda: subject.gradient(*accuracy))
    yield Check("it is as good in single precision", subject.single_precision)
    yield Check("it stands constant fields, holes and leaves without neighbours", subject.odd_forests)
    yield Check("it does not hide what is not a number", subject.not_a_number)
    if fusable(regularizer) is not None:
        yield Check("its fused term is the gradient that it adds itself", subject.fused)
    if isinstance(regularizer, RunsOnGpu):
        on_device = DeviceSubject(cls, declaration.options, subject.forest, seed, 10 * accuracy[0])
        yield Check("it gives on a GPU what it gives on the CPU", on_device.check)


def _accuracy(regularizer: Regularizer, tolerance: float | None, step: float | None) -> tuple[float, float]:
    """Tolerance and step of the comparison with finite differences."""
    is_tabulated = isinstance(regularizer, LooksUpTables) and regularizer.tabulated
    by_default = _TABULATED if is_tabulated else _SMOOTH
    return tolerance or by_default[0], step or by_default[1]


class _Subject:
    """A regularizer under examination; methods without a docstring are one check each, and raise CheckError."""

    def __init__(self, cls: type, options: Any, forest: Forest, seed: int) -> None:
        self.cls, self.options, self.forest, self.seed = cls, options, forest, seed
        self.positive = options.space == "rho"

    def field(
        self, rough: bool = True, dtype: type = np.float64, number: int = 0, forest: Forest | None = None
    ) -> Field:
        """A random field of this number, on the subject's forest if none is given."""
        forest = forest or self.forest
        return random_field(forest, self.seed + 1000 * number, rough=rough, positive=self.positive, dtype=dtype)

    def numbered(self, rough: bool, number: int) -> Field:
        """As :meth:`field`, with the arguments that :func:`check_gradient` needs."""
        return self.field(rough, number=number)

    def evaluate(self, field: Field, scale: float = 1.0, regularizer: Regularizer | None = None) -> Evaluation:
        """Value, and what is added to a gradient of zeros."""
        gradient = np.zeros_like(field.values)
        # Every evaluation sees the generator in the same state.
        fresh = replace(field, rng=np.random.default_rng((self.seed, 12)))
        regularizer = regularizer or self.cls(self.options)
        return regularizer.value_and_gradient(fresh, gradient, scale), gradient

    def value(self) -> None:
        for rough in (True, False):
            for dtype in (np.float64, np.float32):
                value, gradient = self.evaluate(self.field(rough, dtype))
                if not isinstance(value, (float, np.floating)) or not np.isfinite(value):
                    raise CheckError(f"`value_and_gradient` returns {value!r} on a field of {dtype.__name__}")
                if not np.isfinite(gradient).all():
                    raise CheckError(f"the gradient is not finite on a field of {dtype.__name__}")

    def adds(self) -> None:
        field = self.field()
        value, gradient = self.evaluate(field)
        start = np.random.default_rng(self.seed).standard_normal(gradient.shape)
        for scale in (-2.5, 0.0):
            total = start.copy()
            fresh = replace(field, rng=np.random.default_rng((self.seed, 12)))
            again = self.cls(self.options).value_and_gradient(fresh, total, scale)
            if again != value:
                raise CheckError(f"the value changes with the scale, from {value} to {again} at {scale}")
            if scale == 0 and not np.array_equal(total, start):
                raise CheckError("zero weight does something: with a scale of 0 the gradient array changes")
            expected = start + scale * gradient
            if np.abs(total - expected).max() <= 1e-9 * (1 + np.abs(scale * gradient).max()):
                continue
            if np.allclose(total, scale * gradient, rtol=1e-6, atol=0):
                raise CheckError("it overwrites the gradient array, which holds what other regularizers left: use +=")
            if np.allclose(total, start + gradient, rtol=1e-6, atol=0):
                raise CheckError("it ignores the scale: add scale times the gradient")
            raise CheckError(f"with a scale of {scale} it does not add {scale} times the gradient that it adds for 1")

    def fused(self) -> None:
        from tomokit.regularizers.boundary_kernels import copy_all_sides

        field, scale = self.field(dtype=np.float32), 2.0
        n = field.forest.n
        sides = np.empty((field.forest.n_leaves, 6, n, n), np.float32)
        copy_all_sides(field.values, sides)
        # Both draw the same random numbers.
        first, again = (replace(field, rng=np.random.default_rng((self.seed, 12))) for _ in range(2))
        regularizer = self.cls(self.options)
        offered = fusable(regularizer)
        term = None if offered is None else offered.fused_term(first, sides, scale)
        if term is None:
            raise NotTriedError("with these options it offers no fused term")
        fused, added = np.zeros_like(field.values), np.zeros_like(field.values)
        weighted = term.add_to(field.values, fused)
        value = scale * regularizer.value_and_gradient(again, added, scale)
        away = float(np.linalg.norm(fused - added)) / max(float(np.linalg.norm(added)), 1e-300)
        if away > _FUSED or abs(weighted - value) > _FUSED * max(abs(value), 1e-300):
            raise CheckError(
                f"its fused term differs from value_and_gradient: the gradient by {100 * away:.2g} %, "
                f"and the weighted penalty is {weighted:g} in place of {value:g}"
            )

    def field_alone(self) -> None:
        field = self.field()
        before = (field.values.copy(), field.inside.copy(), field.forest.level.copy(), field.forest.index.copy())
        self.evaluate(field)
        after = (field.values, field.inside, field.forest.level, field.forest.index)
        for name, old, new in zip(("values", "inside", "forest", "forest"), before, after, strict=True):
            if not np.array_equal(old, new):
                raise CheckError(f"it changes field.{name}")

    def guards(self) -> None:
        for dtype in (np.float64, np.float32):
            field = self.field(dtype=dtype)
            size = field.values.size
            # The gradient lies between guards, in which a write beyond its ends shows.
            guarded = np.full(size + 2 * _GUARD, _SENTINEL, dtype)
            gradient = guarded[_GUARD : _GUARD + size].reshape(field.values.shape)
            gradient[...] = 0
            self.cls(self.options).value_and_gradient(field, gradient, 1.0)
            beyond = np.concatenate([guarded[:_GUARD], guarded[_GUARD + size :]])
            if (beyond != _SENTINEL).any():
                place = int(np.flatnonzero(beyond != _SENTINEL)[0])
                side = "before the first leaf" if place < _GUARD else "after the last leaf"
                raise CheckError(f"it writes outside its leaf: beyond the gradient array, {side}")

    def deterministic(self) -> None:
        # Twice each: what hides in an object's memory shows when an object is used again, a clock when it is not.
        field, regularizer = self.field(), self.cls(self.options)
        first = self.evaluate(field, regularizer=regularizer)
        for what, again_by in (("by the same object", regularizer), ("by a new object", None)):
            self.same(first, self.evaluate(field, regularizer=again_by), f"evaluated twice {what}")
        for _ in numbers_of_threads():
            self.same(first, self.evaluate(field), "at another number of threads")

    def forgets(self) -> None:
        field, regularizer = self.field(), self.cls(self.options)
        expected = self.evaluate(field)
        for forest in (without_leaf(self.forest, 1), single_leaf(self.forest.n + 1), self.forest):
            self.evaluate(self.field(forest=forest, number=1), regularizer=regularizer)
        self.same(expected, self.evaluate(field, regularizer=regularizer), "after it has seen another forest")

    def same(self, first: Evaluation, again: Evaluation, when: str) -> None:
        """Raise an error unless two evaluations gave the same bits."""
        if first[0] != again[0] or not np.array_equal(first[1], again[1]):
            raise CheckError(f"it is not deterministic: {when} it gives {again[0]!r} in place of {first[0]!r}")

    def draws(self) -> None:
        states = []
        for field in (self.field(), self.field(number=1), self.field(rough=False)):
            fresh = replace(field, rng=np.random.default_rng((self.seed, 12)))
            self.cls(self.options).value_and_gradient(fresh, np.zeros_like(field.values), 1.0)
            states.append(fresh.rng.bit_generator.state)
        if states[0] != states[1] or states[0] != states[2]:
            raise CheckError("how many random numbers it draws depends on the values")

    def gradient(self, tolerance: float, step: float) -> None:
        # A slow field too: what weights pairs of values by their distance hardly sees those of a rough one.
        quiet = []
        for rough in (True, False):
            make = partial(self.numbered, rough)
            quiet.append(check_gradient(self.evaluate, make, tolerance, step, self.seed))
        if all(quiet):
            raise CheckError("its gradient is zero everywhere, so that nothing could be compared: give other options")

    def single_precision(self) -> None:
        # Rounding may carry a value over a kink, but not over one in three fields.
        worst = []
        for number in range(3):
            single = self.field(rough=False, dtype=np.float32, number=number)
            value, gradient = self.evaluate(single)
            double = replace(single, values=single.values.astype(np.float64))
            reference, expected = self.evaluate(double)
            distance = float(np.linalg.norm(gradient - expected)) / max(float(np.linalg.norm(expected)), 1e-300)
            distance = max(distance, abs(value - reference) / max(abs(reference), 1e-300))
            if distance < 1e-2:
                return
            worst.append(distance)
        raise CheckError(f"on float32 it differs from float64 by {100 * min(worst):.2g} % or more: sum in float64")

    def odd_forests(self) -> None:
        hole = without_leaf(self.forest, self.forest.n_leaves // 2)
        for name, forest in (("with a hole", hole), ("of one leaf", single_leaf(self.forest.n))):
            self.finite(self.field(forest=forest), f"on a forest {name}")
        field = self.field()
        self.finite(replace(field, values=np.full_like(field.values, 0.4)), "on a constant field")
        self.finite(replace(field, values=np.zeros_like(field.values)), "on a field of zeros")
        self.finite(replace(field, inside=np.zeros_like(field.inside)), "with no leaf in the region of interest")

    def finite(self, field: Field, where: str) -> None:
        """Raise an error unless value and gradient on a field are finite."""
        value, gradient = self.evaluate(field)
        if not np.isfinite(value) or not np.isfinite(gradient).all():
            raise CheckError(f"value or gradient is not finite {where}")

    def not_a_number(self) -> None:
        field = self.field()
        field.values[self.forest.n_leaves // 2] = np.nan
        inside = np.ones_like(field.inside)
        if np.isfinite(self.evaluate(replace(field, inside=inside))[0]):
            raise CheckError("of a field with values that are not numbers its value is one: the fit would go on")
