"""A wrong regularizer is caught every time and named for what is wrong; a right one never fails."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from tomokit.octree.faces import shared_faces
from tomokit.plugin.manager import get_registry
from tomokit.plugin.options import option
from tomokit.regularizers.boundary import Boundary
from tomokit.testing import CheckError, check_regularizer
from tomokit.testing.trees import COARSE, FINE, PLACES, places, two_level_forest

SEEDS, MORE_SEEDS = range(15), range(15, 50)
in_two_parts = pytest.mark.parametrize("seeds", [SEEDS, pytest.param(MORE_SEEDS, marks=pytest.mark.long)])
GRADIENT = "its gradient is the derivative of its value"


def failure(cls, seed=0, options=None) -> str:
    with pytest.raises(CheckError) as caught:
        check_regularizer(cls, options, seed=seed)
    return str(caught.value)


def test_the_forest_has_every_place() -> None:
    forest = two_level_forest()
    assert len(set(forest.roots)) == 3
    assert set(np.unique(places(forest))) == set(range(len(PLACES)))
    assert set(shared_faces(forest).scale) == {1.0, 0.5}


@in_two_parts
@pytest.mark.parametrize("inner", [False, True], ids=["boundary", "differences"])
def test_a_right_gradient_never_fails(right, make_wrong, differences, inner, seeds) -> None:
    cls = make_wrong(build=staticmethod(differences)) if inner else right
    for seed in seeds:
        assert GRADIENT in check_regularizer(cls, seed=seed)


@in_two_parts
@pytest.mark.parametrize("name", ["tv", "boundary", "cnlc"])
def test_the_built_in_ones_pass(name, seeds) -> None:
    for seed in seeds[:3] if name == "cnlc" else seeds:
        assert GRADIENT in check_regularizer(get_registry().get("regularizer", name), seed=seed)


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("tv", {"variant": "isotropic", "measure": "volume"}),
        ("tv", {"variant": "huber", "space": "raw"}),
        ("tv", {"variant": "concave"}),
        ("boundary", {"space": "raw"}),
        ("cnlc", {"kernel": "gaussian", "space": "rho"}),
    ],
)
def test_so_do_their_variants(name, options) -> None:
    check_regularizer(get_registry().get("regularizer", name), options)


@pytest.mark.parametrize("wrong", ["gradient", "value", "order of sides"])
def test_a_wrong_fused_term_is_caught(wrong) -> None:
    class WrongTerm(Boundary):
        def fused_term(self, field, sides, scale):
            term = super().fused_term(field, sides, scale)
            if wrong == "value":
                return replace(term, value=term.value / scale)
            return replace(term, gradient=0.5 * term.gradient if wrong == "gradient" else term.gradient[:, ::-1].copy())

    assert "its fused term differs from value_and_gradient" in failure(WrongTerm)


def one_term(factor, jumps_only=False):
    """`signs` with one term, another for each seed, times `factor`."""

    def signs(self, forest, found):
        chosen = np.arange(len(found))
        if jumps_only:
            chosen = chosen[np.repeat(shared_faces(forest).scale < 1, forest.n**2)]
        signs = np.sign(found)
        if chosen.size:
            signs[chosen[type(self).seed * 7919 % chosen.size]] *= factor
        return signs

    return signs


@pytest.mark.long
@pytest.mark.parametrize(("factor", "jumps_only"), [(0.0, False), (-1.0, False), (0.0, True), (-1.0, True)])
def test_one_boundary_term_dropped_or_flipped_is_caught_every_time(make_wrong, factor, jumps_only) -> None:
    for seed in SEEDS:
        said = failure(make_wrong(signs=one_term(factor, jumps_only), seed=seed), seed)
        assert f"{GRADIENT}: NO" in said
        assert "1 of" in said
        if jumps_only:
            assert FINE in said or COARSE in said


@pytest.mark.long
def test_a_factor_of_a_hundredth_is_caught_every_time(make_wrong) -> None:
    wrong = make_wrong(signs=lambda self, forest, found: 1.01 * np.sign(found))
    for seed in SEEDS:
        assert "it is 1.01 times as large" in failure(wrong, seed)


@pytest.mark.long
def test_one_sign_flipped_inside_leaves_is_caught_every_time(make_wrong, differences) -> None:
    for seed in SEEDS:
        said = failure(make_wrong(build=staticmethod(differences), signs=one_term(-1.0), seed=seed), seed)
        assert f"{GRADIENT}: NO" in said


def test_a_coarse_side_that_is_forgotten_is_named(make_wrong) -> None:
    class Wrong(make_wrong()):
        def value_and_gradient(self, field, gradient, scale):
            own = np.zeros_like(gradient)
            value = super().value_and_gradient(field, own, scale)
            gradient += np.where(places(field.forest) == PLACES.index(COARSE), 0, own)
            return value

    assert f"not the derivative {COARSE}: it is missing" in failure(Wrong)


def test_writing_outside_the_leaf_is_named(make_wrong, differences) -> None:
    class Wrong(make_wrong(build=staticmethod(differences))):
        def value_and_gradient(self, field, gradient, scale):
            value = super().value_and_gradient(field, gradient, scale)
            # What leaks into the next leaf goes by the values of this one.
            gradient[1:, 2, 2, 2] += scale * 1e-3 * field.values[:-1, 4, 4, 4]
            return value

    assert "the gradient is not the derivative inside a leaf" in failure(Wrong)


def test_writing_where_the_value_does_not_depend_on_the_field_is_named(make_wrong) -> None:
    class Wrong(make_wrong()):
        def value_and_gradient(self, field, gradient, scale):
            gradient[5, 2, 2, 2] += scale * 1e-3
            return super().value_and_gradient(field, gradient, scale)

    said = failure(Wrong, options={"weight": 1.0})
    assert "vertex (2, 2, 2) of leaf 5" in said
    assert "outside its leaf?" in said


def test_writing_beyond_the_array_is_named(make_wrong) -> None:
    class Wrong(make_wrong()):
        def value_and_gradient(self, field, gradient, scale):
            value = super().value_and_gradient(field, gradient, scale)
            if gradient.base is not None:
                beyond = np.lib.stride_tricks.as_strided(gradient.reshape(-1), (gradient.size + 1,))
                beyond[gradient.size] = 0
            return value

    assert "beyond the gradient array, after the last leaf" in failure(Wrong)


@dataclass(frozen=True)
class NoHelp:
    weight: float = 0.0
    every: int = 1
    space: str = "rho"


@dataclass
class NotFrozen:
    weight: float = option(0.0, "Weight.")
    every: int = option(1, "Every so many steps.")
    space: str = option("rho", "Space.")


def counting(self, field, gradient, scale, base):
    type(self).calls = getattr(type(self), "calls", 0) + 1
    return base(self, field, gradient, scale) * (1 + type(self).calls)


def remembering(self, field, gradient, scale, base):
    self.first = getattr(self, "first", float(field.values.sum()))
    return base(self, field, gradient, scale) + self.first


def drawing(self, field, gradient, scale, base):
    field.rng.random(int(1e3 * abs(field.values.ravel()[0])))
    return base(self, field, gradient, scale)


def in_single(self, field, gradient, scale, base):
    value = base(self, field, gradient, scale)
    return float(np.float32(value))


def overwriting(self, field, gradient, scale, base):
    gradient[...] = 0
    return base(self, field, gradient, scale)


def unscaled(self, field, gradient, scale, base):
    return base(self, field, gradient, 1.0)


def leaking(self, field, gradient, scale, base):
    value = base(self, field, gradient, scale)
    gradient += 1e-12
    return value


def changing(self, field, gradient, scale, base):
    field.values *= 1.5
    return base(self, field, gradient, scale)


def hiding(self, field, gradient, scale, base):
    value = base(self, field, gradient, scale)
    return value if np.isfinite(value) else 0.0


def dividing(self, field, gradient, scale, base):
    with np.errstate(all="ignore"):
        return base(self, field, gradient, scale) * float(np.ptp(field.values) / np.ptp(field.values))


def failing(self, field, gradient, scale, base):
    raise KeyError("lost")


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (counting, "not deterministic: evaluated twice by the same object"),
        (remembering, "not deterministic: after it has seen another forest"),
        (drawing, "how many random numbers it draws depends on the values"),
        (in_single, "jumps or kinks within 1e-07 of each of 8 random fields: compute in the type of field.values"),
        (overwriting, "overwrites the gradient array"),
        (unscaled, "it ignores the scale"),
        (leaking, "zero weight does something"),
        (changing, "it changes field.values"),
        (hiding, "the fit would go on"),
        (dividing, "not finite on a constant field"),
        (failing, "it raises KeyError: 'lost'"),
    ],
)
def test_other_mistakes_are_named(right, make_wrong, step, said) -> None:
    base = right.value_and_gradient
    wrong = make_wrong(value_and_gradient=lambda self, f, g, s: step(self, f, g, s, base))
    assert said in failure(wrong)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Not A Name"}, "has the name 'Not A Name'"),
        ({"summary": ""}, "has no summary"),
        ({"Options": NoHelp}, "the option `weight` has no help"),
        ({"Options": NotFrozen}, "frozen=True"),
    ],
)
def test_a_wrong_declaration_is_named(make_wrong, changes, said) -> None:
    text = failure(make_wrong(**changes))
    assert said in text
    assert "1 of 1 checks failed" in text


def test_a_gradient_of_nothing_is_not_called_right(make_wrong) -> None:
    nothing = make_wrong(value_and_gradient=lambda self, f, g, s: 0.0 * float(f.values.sum()))
    assert "nothing could be compared" in failure(nothing)


def test_unknown_options_are_told(right) -> None:
    assert "no option 'wieght'" in failure(right, options={"wieght": 1.0})
