"""What was meant by a name that does not exist."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomokit.plugin.near import did_you_mean, near_names
from tomokit.plugin.options import range_text, shown

OCTREE = ["epochs", "strength", "regularizers", "regularizers.tv.weight", "optimizers.adam.lr", "large_leaves"]


@pytest.mark.parametrize(
    ("name", "names", "meant"),
    [
        ("epoch", ["epochs", "relaxation"], ["epochs"]),
        ("epochs", ["filter", "cutoff", "iterations"], ["iterations"]),
        ("iterations", ["epochs", "relaxation"], ["epochs"]),
        ("niter", ["epochs", "relaxation"], ["epochs"]),
        ("lamda", ["epochs", "weight", "strength"], ["weight", "strength"]),
        ("lambda", OCTREE, ["regularizers.tv.weight", "strength"]),
        ("learning-rate", OCTREE, ["optimizers.adam.lr"]),
        ("large-leafs", OCTREE, ["large_leaves"]),
        ("positivity", ["nonnegative"], ["nonnegative"]),
        ("--pixelsize", ["--pixel-size", "--bin"], ["--pixel-size"]),
        ("--binning", ["--pixel-size", "--bin"], ["--bin"]),
        ("qwertz", OCTREE, []),
        ("", OCTREE, []),
    ],
)
def test_misspelt_and_other_words_are_understood(name: str, names: list[str], meant: list[str]) -> None:
    assert near_names(name, names) == meant


@given(st.text(max_size=30), st.lists(st.text(max_size=10), max_size=5))
def test_what_is_offered_exists(name: str, names: list[str]) -> None:
    assert set(near_names(name, names)) <= set(names)
    assert bool(did_you_mean(name, names)) == bool(near_names(name, names))


@pytest.mark.parametrize(
    ("low", "high", "text"), [(1, None, "at least 1"), (None, 2, "at most 2"), (1, 8, "1 to 8"), (1, 1, "1")]
)
def test_a_range_of_one_number_is_that_number(low: float | None, high: float | None, text: str) -> None:
    assert range_text(low, high) == text


def test_what_is_shown_of_a_value_is_short() -> None:
    assert shown("two") == "'two'"
    assert shown(7) == "7"
    assert shown(16**5000) == "an integer of 6021 digits"
    assert len(shown("x" * 10_000)) < 100
    nested: list[object] = []
    for _ in range(100_000):
        nested = [nested]
    assert len(shown(nested)) < 100
