"""Terms that plugins' regularizers offer to the pass over the leaves: taken, added up, and the same as without."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pytest

from tomokit.data.problem import Problem
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.run import OctreeRun
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import option
from tomokit.plugin.registry import Entry
from tomokit.regularizers.boundary_kernels import add_all_sides, copy_all_sides
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.fusion import Fusable, LocalVariation, SideGradient, ValueTable, fusable
from tomokit.regularizers.interface import Field
from tomokit.regularizers.tv import TotalVariation, TotalVariationOptions
from tomokit.testing.trees import two_level_forest


@dataclass(frozen=True)
class RimOptions:
    """Options of :class:`Rim`."""

    weight: float = option(0.0, "Weight.", minimum=0.0)
    every: int = option(1, "Every so many steps.", minimum=1)
    space: str = option("rho", "What it acts on.", choices=("rho", "raw"))


class Rim:
    """Half the mean squared distance of the densities on the leaves' sides from a half; it offers a term by sides."""

    name: ClassVar[str] = "rim"
    summary: ClassVar[str] = "sides towards a half, for tests"
    Options: ClassVar[type] = RimOptions
    terms: ClassVar[int] = 0

    def __init__(self, options: RimOptions) -> None:
        self.chosen = options

    @property
    def needs_sides(self) -> bool:
        return True

    def fused_term(self, field: Field, sides: Any, scale: float) -> SideGradient | None:
        if self.chosen.space == "raw":
            return None
        type(self).terms += 1
        value, gradient = self._of_sides(sides)
        return SideGradient(np.float32(scale) * gradient, scale * value)

    def fused_bytes(self, n_leaves: int, n: int) -> int | None:
        return 2 * 6 * 4 * n_leaves * n**2

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> float:
        n = field.forest.n
        sides = np.empty((field.forest.n_leaves, 6, n, n), field.values.dtype)
        copy_all_sides(field.values, sides)
        value, by_sides = self._of_sides(sides)
        add_all_sides(np.float32(scale) * by_sides, gradient)
        return value

    @staticmethod
    def _of_sides(sides: Any) -> tuple[float, Any]:
        away = sides - np.float32(0.5)
        return 0.5 * float(np.mean(away.astype(np.float64) ** 2)), away / np.float32(away.size)


class HookedRim(Rim):
    """The same by its hook alone: what it inherits must not be taken for it."""

    name: ClassVar[str] = "hooked-rim"
    terms: ClassVar[int] = 0

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> float:
        return super().value_and_gradient(field, gradient, scale)


class MoreTv(TotalVariation):
    """Total variation under another name, which inherits the term with the method."""

    name: ClassVar[str] = "more-tv"


class HookedTv(TotalVariation):
    """The same by its hook alone."""

    name: ClassVar[str] = "hooked-tv"

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> float:
        return super().value_and_gradient(field, gradient, scale)


class MoreCrossNode(CrossNode):
    """The cross-node constraint under another name."""

    name: ClassVar[str] = "more-cnlc"


class HookedCrossNode(CrossNode):
    """The same by its hook alone."""

    name: ClassVar[str] = "hooked-cnlc"

    def value_and_gradient(self, field: Field, gradient: Any, scale: float) -> float:
        return super().value_and_gradient(field, gradient, scale)


PLUGINS = (Rim, HookedRim, MoreTv, HookedTv, MoreCrossNode, HookedCrossNode)


@pytest.fixture(autouse=True)
def plugins() -> Iterator[None]:
    """All of them, registered for one test."""
    get_registry.cache_clear()
    for regularizer in PLUGINS:
        get_registry().add(Entry.of("regularizer", regularizer, "tests", "0"))
    Rim.terms = HookedRim.terms = 0
    yield
    get_registry.cache_clear()


def advanced(problem: Problem, regularizers: dict[str, Any]) -> tuple[OctreeRun, dict[str, float]]:
    """One epoch of a few steps: signs amplify what rounding does."""
    options = OctreeOptions(
        epochs=1, n=9, leaf_px=12.0, start=1.0, unit=1.0, views_per_step=7, optimizer="sgd",
        optimizers={"sgd": {"lr": 1e4, "momentum": 0.0}}, regularizers=regularizers,
    )  # fmt: skip
    run = start_fit(problem, options)
    return run, run.advance()


@pytest.mark.parametrize(
    ("fused", "hooked"),
    [
        # A plugin's own term; beside the built-in one of its kind; of a variation; of a second table.
        ({"boundary": {"weight": 0.0}, "rim": {"weight": 1e-1}}, {"boundary": {"weight": 0.0}}),
        ({"boundary": {"weight": 1e-2}, "rim": {"weight": 1e-1}}, {"boundary": {"weight": 1e-2}}),
        ({"tv": {"weight": 0.0}, "more-tv": {"weight": 1e-2}}, {"tv": {"weight": 0.0}}),
        ({"tv": {"weight": 1e-3}, "more-tv": {"weight": 1e-2}}, {"tv": {"weight": 1e-3}}),
        # For the two tables a kernel of their own is compiled.
        pytest.param(
            {"cnlc": {"weight": 1e-3}, "more-cnlc": {"weight": 1e-3}},
            {"cnlc": {"weight": 1e-3}},
            marks=pytest.mark.long,
        ),
    ],
    ids=["sides", "two of sides", "variation", "two variations", "two tables"],
)
def test_a_fused_term_is_the_hook_made_faster(problem: Problem, fused: dict, hooked: dict) -> None:
    (plugin,) = fused.keys() - hooked.keys()
    by_hook = f"hooked-{plugin.removeprefix('more-')}"
    run, terms = advanced(problem, fused)
    other, expected = advanced(problem, {**hooked, by_hook: fused[plugin]})
    without, _ = advanced(problem, hooked)
    moved = np.linalg.norm(other.leaves.values - without.leaves.values)
    assert moved > 0
    assert np.linalg.norm(run.leaves.values - other.leaves.values) < 1e-4 * moved
    assert terms[plugin] == pytest.approx(expected[by_hook], rel=1e-4)
    for name in hooked:
        assert terms.get(name, 0.0) == pytest.approx(expected.get(name, 0.0), rel=1e-4)


def test_terms_are_asked_for_where_they_speak_for_the_hook(problem: Problem) -> None:
    advanced(problem, {"rim": {"weight": 1e-1}})
    assert Rim.terms == 3
    advanced(problem, {"rim": {"weight": 1e-1, "space": "raw"}})
    assert Rim.terms == 3
    advanced(problem, {"hooked-rim": {"weight": 1e-1}})
    assert HookedRim.terms == 0
    made = {cls.name: cls(cls.Options()) for cls in PLUGINS}
    assert all(isinstance(regularizer, Fusable) for regularizer in made.values())
    assert {name for name, regularizer in made.items() if fusable(regularizer) is not None} == {
        "rim", "more-tv", "more-cnlc",
    }  # fmt: skip


def test_a_term_adds_to_an_array_what_the_hook_does() -> None:
    forest = two_level_forest(6)
    rng = np.random.default_rng(2)
    values = rng.normal(0.5, 0.3, forest.values_shape).astype(np.float32)
    field = Field(forest, values, np.ones(forest.n_leaves, bool), np.random.default_rng(4))
    variation = TotalVariation(TotalVariationOptions())
    for regularizer in (Rim(RimOptions()), variation, CrossNode(CrossNode.Options())):
        sides = np.empty((forest.n_leaves, 6, 6, 6), np.float32)
        copy_all_sides(values, sides)
        field.rng = np.random.default_rng(4)
        term = regularizer.fused_term(field, sides, 2.0)
        assert isinstance(term, (LocalVariation, SideGradient, ValueTable))
        found, expected = np.zeros_like(values), np.zeros_like(values)
        weighted = term.add_to(values, found)
        field.rng = np.random.default_rng(4)
        assert weighted == pytest.approx(2.0 * regularizer.value_and_gradient(field, expected, 2.0), rel=1e-6)
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-9)
