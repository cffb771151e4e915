"""What is tuned: names, ranges, values, and where they go."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.data.problem import Problem
from tomokit.errors import OptionError
from tomokit.geometry import TiltGeometry
from tomokit.pipeline.config import default_options, method_options
from tomokit.plugin.manager import get_registry
from tomokit.tuning.parameters import Parameter, given_value, lay_over, parameters_of

PROJECTIONS = np.random.default_rng(0).random((3, 8, 8), np.float32)


def problem(fit_offsets: bool = False) -> Problem:
    geometry = TiltGeometry(np.radians([-10.0, 0.0, 10.0]), 8, 8)
    return Problem(PROJECTIONS, None, geometry, 8, fit_offsets=fit_offsets)


def found(asked: list[str], name: str = "tv", fit_offsets: bool = False, **options: object) -> list[Parameter]:
    method = get_registry().get("method", name)()
    return parameters_of(asked, method, method_options(method, options), problem(fit_offsets))


@settings(max_examples=50, deadline=None)
@given(st.floats(1e-6, 1e3), st.floats(1.01, 1e4), st.floats(0, 1), st.booleans())
def test_a_value_lies_in_its_range_and_is_where_it_should_be(low: float, ratio: float, place: float, log: bool) -> None:
    one = Parameter("a", low, low * ratio, log)
    value = one.value(place)
    assert one.low <= value <= one.high
    exact = low * ratio**place if log else low + (one.high - low) * place
    assert value == pytest.approx(exact, rel=6e-3, abs=0 if log else 1e-3 * (one.high - low))


def test_whole_numbers_stay_whole() -> None:
    one = Parameter("epochs", 5, 40, True, True)
    assert [one.value(place) for place in (0.0, 0.5, 1.0)] == [5, 14, 40]
    assert all(isinstance(one.value(place), int) for place in (0.0, 0.3, 1.0))


def test_methods_suggest_what_has_a_say() -> None:
    assert found([]) == [Parameter("strength", 0.65 / 4, 0.65 * 4, True)]
    assert [one.name for one in found([], weight=2)] == ["weight"]
    assert found([], "sirt") == []
    (cutoff,) = found([], "wbp")
    assert (cutoff.low, cutoff.high) == (0.25, 1)
    (relaxation,) = found([], "sart", relaxation=1.5)
    assert relaxation.high == 1.999  # as far as the option goes
    octree = default_options("octree")
    assert [one.name for one in found([], "octree", **octree)] == ["strength", "start"]
    # Where the specimen fills the field the solver is one that begins at zero.
    assert [one.name for one in found([], "octree", True, **octree)] == ["field_filling_strength"]
    octree["field_filling"] = {}
    assert [one.name for one in found([], "octree", True, **octree)] == ["field_filling_strength", "start"]
    weights = {"tv": {"weight": "2e-4"}, "boundary": {"weight": 3e-4}}
    names = [one.name for one in found([], "octree", start=1e-3, regularizers=weights)]
    assert names == ["regularizers.tv.weight", "regularizers.boundary.weight"]


def test_a_user_chooses() -> None:
    assert found(["strength=0.1:2"]) == [Parameter("strength", 0.1, 2, False)]
    assert found(["epochs=10:90:log", "balance"])[0] == Parameter("epochs", 10, 90, True, True)
    assert found(["spacing-px=0.5:1"], "octree") == [Parameter("spacing_px", 0.5, 1, False)]
    (weight,) = found(["regularizers.cnlc.weight=1e-7:1e-4:log"], "octree")
    assert (weight.low, weight.high, weight.by_ratio) == (1e-7, 1e-4, True)


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["strenght=1:2"], "did you mean strength"),
        (["nonnegative"], "nonnegative is no number"),
        (["strength=1"], "is no range"),
        (["strength=a:b"], "is no range"),
        (["strength=1:inf"], "is no range"),
        (["strength=1:2:ln"], "is no range"),
        (["strength=2:1"], "the range is empty"),
        (["strength=-1:2"], "give at least 0"),
        (["strength=0:2:log"], "begins above 0"),
        (["margin"], "no range follows from nothing"),
        (["strength", "strength=1:2"], "given twice"),
        (["regularizers.tv.weight=1:2"], "no option"),
    ],
)
def test_what_is_refused(asked: list[str], said: str) -> None:
    with pytest.raises(OptionError, match=said):
        found(asked)


def test_values_are_laid_over_options_as_those_are_spelled() -> None:
    options = {"epochs": 3, "regularizers": {"patch-nlm": {"weight": "1"}}, "start": 1.0}
    laid = lay_over(options, {"start": 0.5, "regularizers.patch_nlm.weight": 2, "regularizers.tv.weight": 3})
    assert laid == {"epochs": 3, "start": 0.5, "regularizers": {"patch-nlm": {"weight": 2}, "tv": {"weight": 3}}}
    assert options["start"] == 1.0


def test_what_an_option_is_before_tuning() -> None:
    method = get_registry().get("method", "octree")()
    options = method_options(method, {"regularizers": {"tv": {"weight": 2e-4}}})
    assert given_value("epochs", method, options) == 30
    assert given_value("spacing_px", method, options) is None
    assert given_value("regularizers.tv.weight", method, options) == 2e-4
    assert given_value("regularizers.cnlc.weight", method, options) is None


def test_of_a_method_that_suggests_nothing_options_have_to_be_named() -> None:
    class Plain:
        name, Options = "plain", get_registry().get("method", "tv").Options

    options = Plain.Options()
    with pytest.raises(OptionError, match="numbers are epochs, weight, strength, balance, margin"):
        parameters_of([], Plain(), options, problem())
    (strength,) = parameters_of(["strength"], Plain(), options, problem())
    assert (strength.low, strength.high) == (0.65 / 4, 0.65 * 4)
