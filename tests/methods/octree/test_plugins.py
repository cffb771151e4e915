"""Regularizers and optimizers that come from elsewhere, and fits that go wrong."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from tomokit.errors import OptionError
from tomokit.methods.octree.method import Octree, start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.run import OctreeRun
from tomokit.optimizers.rules import Sgd
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import option
from tomokit.plugin.registry import Entry
from tomokit.regularizers.boundary import Boundary
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.interface import Field
from tomokit.regularizers.tv import TotalVariation


@dataclass(frozen=True)
class PlainOptions:
    """Options of :class:`Plain`."""

    lr: float = option(1.0, "Learning rate.", minimum=0.0)


class Plain:
    """Gradient descent on the whole field, which counts its steps."""

    name: ClassVar[str] = "plain"
    summary: ClassVar[str] = "gradient descent, for tests"
    Options: ClassVar[type] = PlainOptions

    def __init__(self, options: PlainOptions) -> None:
        self.rate_of_all = options.lr

    def state_arrays(self, shape: tuple[int, ...], dtype: Any) -> dict[str, np.ndarray]:
        return {"steps": np.zeros(1, dtype)}

    def step(self, values: Any, gradient: Any, state: Any, count: int, rate: float = 1.0) -> None:
        state["steps"] += 1
        assert state["steps"][0] == count
        values -= np.float32(self.rate_of_all * rate) * gradient


@dataclass(frozen=True)
class PullOptions:
    """Options of :class:`Pull`."""

    weight: float = option(0.0, "Weight.", minimum=0.0)
    every: int = option(1, "Every so many steps.", minimum=1)
    space: str = option("rho", "What it acts on.", choices=("rho", "raw"))
    target: float = option(0.5, "Where to.")
    fail_at: int = option(-1, "Step at which the value is not a number.")


class Pull:
    """Half the mean squared distance from a constant."""

    name: ClassVar[str] = "pull"
    summary: ClassVar[str] = "towards a constant, for tests"
    Options: ClassVar[type] = PullOptions

    def __init__(self, options: PullOptions) -> None:
        self.chosen = options

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> float:
        away = field.values - np.float32(self.chosen.target)
        gradient += np.float32(scale / away.size) * away
        return math.nan if field.step == self.chosen.fail_at else 0.5 * float(np.mean(away**2))


class HookedTv(TotalVariation):
    """The built-in one with a method of its own: the term that it inherits must never be taken for it."""

    name: ClassVar[str] = "hooked-tv"

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> float:
        return super().value_and_gradient(field, gradient, scale)


class HookedBoundary(Boundary):
    """Likewise."""

    name: ClassVar[str] = "hooked-boundary"

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> float:
        return super().value_and_gradient(field, gradient, scale)


class HookedCrossNode(CrossNode):
    """Likewise."""

    name: ClassVar[str] = "hooked-cnlc"

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> float:
        return super().value_and_gradient(field, gradient, scale)


class HookedSgd(Sgd):
    """The built-in one with a step of its own, which counts."""

    name: ClassVar[str] = "hooked-sgd"
    steps = 0

    def step(self, *arguments: Any, **more: Any) -> None:
        HookedSgd.steps += 1
        super().step(*arguments, **more)


@pytest.fixture(autouse=True)
def plugins() -> Iterator[None]:
    """Both of them, registered for one test."""
    get_registry.cache_clear()
    get_registry().add(Entry.of("optimizer", Plain, "tests", "0"))
    for regularizer in (Pull, HookedTv, HookedBoundary, HookedCrossNode):
        get_registry().add(Entry.of("regularizer", regularizer, "tests", "0"))
    get_registry().add(Entry.of("optimizer", HookedSgd, "tests", "0"))
    yield
    get_registry.cache_clear()


Make = Callable[..., OctreeRun]


@pytest.fixture
def make(problem: Any) -> Make:
    """A small run; the first argument is the optimizer."""

    def make(optimizer: str, lr: float, regularizers: dict[str, Any], **changes: Any) -> OctreeRun:
        settings = {"lr": lr, "momentum": 0.0} if optimizer.endswith("sgd") else {"lr": lr}
        options = OctreeOptions(
            epochs=2,
            n=9,
            leaf_px=12.0,
            start=1.0,
            unit=1.0,
            optimizer=optimizer,
            optimizers={optimizer: settings},
            regularizers=regularizers,
            **changes,
        )
        return start_fit(problem, options)

    return make


@pytest.mark.parametrize(
    "regularizers",
    [
        {"cnlc": {"weight": 1e-4}, "pull": {"weight": 1e-2}},
        {
            "cnlc": {"weight": 1e-4, "space": "rho"},
            "tv": {"weight": 1e-2, "space": "raw"},
            "boundary": {"weight": 1e-2, "every": 3},
            "pull": {"weight": 1e-2, "space": "raw"},
        },
    ],
)
def test_a_whole_array_optimizer_does_what_the_fused_one_does(make: Make, regularizers: dict[str, Any]) -> None:
    runs = [make(name, 1e4, regularizers, coarse_epochs=1, views_per_step=3) for name in ("sgd", "plain")]
    start = runs[0].leaves.values.copy()
    history = [[run.advance() for _ in range(2)] for run in runs]
    fused, whole = (run.leaves.values for run in runs)
    moved = np.linalg.norm(fused - start)
    assert moved > 0
    assert np.linalg.norm(whole - fused) < 1e-4 * moved
    for one, other in zip(*history, strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_the_state_of_a_foreign_optimizer_is_kept(make: Make) -> None:
    first = make("plain", 1e4, {})
    first.advance()
    kept = {name: array.copy() for name, array in first.arrays().items()}
    assert kept["optimizer_steps"][0] == first.plan.data.geometry.n_views
    second = make("plain", 1e4, {})
    second.restore(1, kept)
    assert first.advance() == second.advance()
    np.testing.assert_array_equal(first.leaves.values, second.leaves.values)


@pytest.mark.parametrize(("space", "every"), [("rho", 1), ("raw", 1), ("rho", 3)])
def test_a_foreign_regularizer_gets_its_way(make: Make, space: str, every: int) -> None:
    settings = {"pull": {"weight": 100.0, "space": space, "every": every}}
    run = make("rmsprop", 0.1, settings)
    terms = [run.advance() for _ in range(2)]
    assert terms[1]["pull"] < 0.2 * terms[0]["pull"]
    reached = run.leaves.density if space == "rho" else run.leaves.values
    assert np.median(reached) == pytest.approx(0.5, abs=0.05)


def test_a_regularizer_of_weight_zero_does_nothing(make: Make) -> None:
    runs = [make("rmsprop", 0.1, settings) for settings in ({}, {"pull": {}})]
    for run in runs:
        assert "pull" not in run.advance()
    np.testing.assert_array_equal(runs[0].leaves.values, runs[1].leaves.values)


def test_memory_of_foreign_ones_is_counted(make: Make) -> None:
    from tomokit.data.problem import ProblemShape

    shape = ProblemShape(21, 96, 64, 32)
    plain, more = (
        Octree().estimate_bytes(shape, OctreeOptions(**given))
        for given in ({"optimizer": "sgd"}, {"optimizer": "plain", "regularizers": {"pull": {"weight": 1.0}}})
    )
    assert more > 1.5 * plain


def test_the_term_that_is_no_number_is_told_from_the_others(make: Make) -> None:
    run = make("rmsprop", 0.1, {"pull": {"weight": 1.0, "fail_at": 5}})
    terms = run.advance()
    assert {name for name, value in terms.items() if not math.isfinite(value)} == {"loss", "pull"}


@pytest.mark.parametrize("optimizer", ["sgd", "plain"])
def test_a_fit_that_diverges_says_so_in_its_terms(make: Make, optimizer: str) -> None:
    run = make(optimizer, 1e30, {})
    terms = run.advance()
    assert not math.isfinite(terms["loss"])
    assert not math.isfinite(terms["data"])


def test_values_spoilt_by_the_last_step_are_seen(make: Make) -> None:
    run = make("sgd", 1e38, {}, views_per_step=1000)
    terms = run.advance()
    assert {name for name, value in terms.items() if not math.isfinite(value)} == {"loss", "density"}


@pytest.mark.parametrize("space", ["rho", "raw"])
def test_the_fused_pass_is_the_hook_made_faster(make: Make, space: str) -> None:
    weights = {"tv": 1e-2, "boundary": 1e-2, "cnlc": 1e-3}
    off = {name: {"weight": 0.0} for name in ("tv", "boundary")}
    fused = {name: {"weight": weight, "space": space} for name, weight in weights.items()}
    hooked = off | {f"hooked_{name}": settings for name, settings in fused.items()}
    # Few steps: signs amplify what rounding does.
    runs = [make("sgd", 1e4, settings, views_per_step=7) for settings in (fused, hooked, off)]
    terms = [run.advance() for run in runs]
    built_in, plugin, without = (run.leaves.values for run in runs)
    assert np.linalg.norm(plugin - built_in) < 1e-4 * np.linalg.norm(built_in - without)
    for name in weights:
        assert terms[1][f"hooked-{name}"] == pytest.approx(terms[0][name], rel=1e-4)


def test_a_step_that_overrides_a_built_in_one_is_called(make: Make) -> None:
    HookedSgd.steps = 0
    run = make("hooked_sgd", 1e4, {}, views_per_step=3)
    run.advance()
    assert HookedSgd.steps == 7


def test_a_name_in_two_spellings_is_refused(make: Make) -> None:
    with pytest.raises(OptionError, match="hyphens"):
        make("sgd", 1.0, {"hooked-tv": {"weight": 1.0}, "hooked_tv": {"weight": 2.0}})
