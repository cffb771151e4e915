"""Which views are fitted, scored and left out."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomokit.data.views import parse_indices, select_views
from tomokit.errors import OptionError, TomokitError


def test_indices_and_closed_ranges_from_zero() -> None:
    assert parse_indices("0,3,7-9", 10) == {0, 3, 7, 8, 9}
    assert parse_indices(" 2 - 3 , 2", 4) == {2, 3}


@pytest.mark.parametrize("text", ["", "a", "1,", "-1", "3-1", "10", "0-10", "1.5", "1--2", "²", "9" * 5000])
def test_what_is_no_view_is_refused(text: str) -> None:
    with pytest.raises(OptionError, match="--exclude"):
        parse_indices(text, 10)


@given(st.sets(st.integers(0, 40), min_size=1))
def test_indices_round_trip(views: set[int]) -> None:
    assert parse_indices(",".join(map(str, views)), 41) == views


@given(st.text(alphabet="0123456789-, "))
def test_any_text_is_taken_or_refused(text: str) -> None:
    try:
        views = parse_indices(text, 12)
    except OptionError:
        return
    assert views
    assert views <= set(range(12))


def test_halves_are_by_the_index_in_the_stack() -> None:
    assert select_views(7, half="even").fitted == (0, 2, 4, 6)
    assert select_views(7, half="odd").fitted == (1, 3, 5)
    assert select_views(7, half="even", exclude="2").fitted == (0, 4, 6)


def test_held_out_views_are_by_the_index_in_the_stack() -> None:
    assert select_views(20, hold_out=8).held_out == (4, 12)
    assert select_views(20, hold_out="8").held_out == (4, 12)
    assert select_views(20, hold_out="8:0").held_out == (0, 8, 16)
    assert select_views(20, hold_out="8:7").held_out == (7, 15)
    selection = select_views(20, hold_out=8, exclude="0-4")
    assert selection.held_out == (12,)
    assert selection.fitted == (*range(5, 12), *range(13, 20))


@given(
    st.integers(1, 60),
    st.one_of(st.none(), st.sampled_from(["even", "odd"])),
    st.one_of(st.none(), st.integers(-1, 12)),
    st.one_of(st.none(), st.integers(0, 59).map(str)),
)
def test_a_selection_divides_the_views(n: int, half: str | None, hold_out: int | None, exclude: str | None) -> None:
    try:
        selection = select_views(n, half=half, hold_out=hold_out, exclude=exclude)
    except TomokitError:
        return
    fitted, held = set(selection.fitted), set(selection.held_out)
    assert fitted
    assert not fitted & held
    assert bool(held) == (hold_out is not None)
    expected = set(range(n)) - ({int(exclude)} if exclude else set())
    if half:
        expected = {view for view in expected if view % 2 == (half == "odd")}
    assert fitted | held == expected
    if hold_out:
        assert held == {view for view in expected if view % hold_out == hold_out // 2}


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"exclude": "0-4"}, "--exclude"),
        ({"exclude": "0,2,4", "half": "even"}, "--exclude and --half"),
        ({"half": "first"}, "--half"),
        ({"hold_out": 1}, "--hold-out"),
        ({"hold_out": 0}, "--hold-out"),
        ({"hold_out": 12}, "--hold-out"),
        ({"hold_out": "5:5"}, "--hold-out"),
        ({"hold_out": "5:"}, "--hold-out"),
        ({"hold_out": "-5"}, "--hold-out"),
        ({"hold_out": "5:2:1"}, "--hold-out"),
        ({"half": "odd", "hold_out": 4}, "--half"),
        ({"exclude": "0,2-4", "hold_out": 3}, "--hold-out"),
    ],
)
def test_what_leaves_nothing_is_refused_by_name(options: dict, named: str) -> None:
    with pytest.raises(OptionError) as caught:
        select_views(5, **options)
    assert named in str(caught.value)
    assert "\n" not in str(caught.value)
