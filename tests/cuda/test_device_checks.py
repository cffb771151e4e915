"""check_regularizer on a GPU, here the tests' device: what is wrong there alone is told, what is right passes."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from on_cpu import CpuDevice

from tomokit.errors import ResourceError
from tomokit.gpu.discovery import use_devices
from tomokit.plugin.options import option
from tomokit.plugin.scaffold import write_package
from tomokit.regularizers.interface import Field
from tomokit.testing import CheckError, check_regularizer
from tomokit.testing.checks import run_checks
from tomokit.testing.regularizers import regularizer_checks

NAME = "it gives on a GPU what it gives on the CPU"


@dataclass(frozen=True)
class SmoothOptions:
    """Options of :class:`Smooth`."""

    weight: float = option(0.0, "Weight.", minimum=0.0)
    every: int = option(1, "Every so many steps.", minimum=1)
    space: str = option("rho", "What it acts on.", choices=("rho", "raw"))
    held: bool = option(False, "Whether it does without a GPU.")


class Smooth:
    """Mean squared difference along x with a weight drawn for each leaf, for any kind of array."""

    name: ClassVar[str] = "smooth"
    summary: ClassVar[str] = "for tests"
    Options: ClassVar[type] = SmoothOptions

    def __init__(self, options: SmoothOptions) -> None:
        self.options = options

    def cuda_unsupported_reason(self, options: SmoothOptions) -> str | None:
        return "held says so" if options.held else None

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> Any:
        drawn = field.rng.random(field.forest.n_leaves).astype(field.values.dtype)
        weight = field.xp.asarray(drawn)[:, None, None, None]
        difference = field.values[:, 1:] - field.values[:, :-1]
        pull = field.values.dtype.type(scale / field.values.size) * (weight * difference)
        value = (weight * difference * difference).sum(dtype=np.float64) / (2 * field.values.size)
        if field.device is None:
            gradient[:, 1:] += pull
            gradient[:, :-1] -= pull
            return value
        return self.there(field, gradient, scale, pull, value)

    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        """The same on a device."""
        gradient[:, 1:] += pull
        gradient[:, :-1] -= pull
        return value


class TooLarge(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        return super().there(field, gradient, scale, np.float32(1.01) * pull, value)


class LeavesOneOut(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        pull[-1, -1] = 0
        return super().there(field, gradient, scale, pull, value)


class Overwrites(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        gradient[...] = 0
        return super().there(field, gradient, scale, pull, value)


class IgnoresTheScale(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        return super().there(field, gradient, scale, pull / np.float32(scale) if scale else pull, value)


class AnotherValue(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        return super().there(field, gradient, scale, pull, 1.01 * value)


class DrawsMore(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        field.rng.random()
        return super().there(field, gradient, scale, pull, value)


class Beyond(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        gradient.base[-1] = 3
        return super().there(field, gradient, scale, pull, value)


class ChangesValues(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        found = super().there(field, gradient, scale, pull, value)
        field.values[0, 0, 0, 0] += 1
        return found


class Forgetful(Smooth):
    calls = 0

    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        self.calls += 1
        return super().there(field, gradient, scale, pull, value * (1 + 1e-9 * self.calls))


class Hides(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        return super().there(field, gradient, scale, pull, value[value == value].sum())


class Several(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        return super().there(field, gradient, scale, pull, value.reshape(1))


class ZeroMoves(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        if scale == 0:
            gradient += np.float32(1e-12)
        return super().there(field, gradient, scale, pull, value)


class Fails(Smooth):
    def there(self, field: Field, gradient: Any, scale: float, pull: Any, value: Any) -> Any:
        raise RuntimeError("no such kernel")


@pytest.fixture
def on_device() -> Iterator[None]:
    with use_devices([CpuDevice()]):
        yield


@pytest.mark.usefixtures("on_device")
@pytest.mark.parametrize("space", ["rho", "raw"])
@pytest.mark.parametrize("seed", range(5))
def test_a_right_one_passes(seed: int, space: str) -> None:
    assert NAME in check_regularizer(Smooth, {"space": space}, seed=seed)


@pytest.mark.usefixtures("on_device")
def test_what_a_new_package_holds_passes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    write_package(tmp_path / "tomokit-on-both", "regularizer")
    monkeypatch.syspath_prepend(str(tmp_path / "tomokit-on-both" / "src"))
    made = importlib.import_module("tomokit_on_both.regularizer").OnBoth
    assert NAME in check_regularizer(made)


@pytest.mark.usefixtures("on_device")
@pytest.mark.parametrize(
    ("cls", "told"),
    [
        (TooLarge, "its gradient on a GPU is 1.01 times the CPU's"),
        (LeavesOneOut, "the worst is vertex .* of leaf"),
        (Overwrites, "overwrites the gradient array"),
        (IgnoresTheScale, "on a GPU it ignores the scale"),
        (AnotherValue, "its value on a GPU is"),
        (DrawsMore, "draws other random numbers on a GPU"),
        (Beyond, "writes beyond the gradient array"),
        (ChangesValues, "changes field.values"),
        (Forgetful, "not deterministic on a GPU"),
        (Hides, "the fit would go on"),
        (Several, r"returns an array of shape \(1,\), not a number"),
        (ZeroMoves, "zero weight does something on a GPU"),
        (Fails, "it raises RuntimeError: no such kernel"),
    ],
)
def test_what_is_wrong_there_alone_is_told(cls: type, told: str) -> None:
    with pytest.raises(CheckError, match=f"1 of 13 checks failed\n  {NAME}: NO, .*{told}"):
        check_regularizer(cls)


def test_where_there_is_none_it_is_not_tried_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> None:
        raise ResourceError("no GPU can be used (none is here)", field="--backend", remedy="give --backend cpu")

    monkeypatch.setattr("tomokit.testing.devices.devices", none)
    assert NAME not in check_regularizer(Fails)
    *_, last = run_checks(regularizer_checks(Smooth))
    assert (last.name, last.problem, last.not_tried) == (NAME, None, "no GPU can be used (none is here)")
    *_, last = run_checks(regularizer_checks(Smooth, {"held": True}))
    assert last.not_tried == "it refuses these options there: held says so"
