"""The journal: continued, cut where a process was killed, refused for another search, never over another file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.tuning.journal import Journal, parse_fit
from tomokit.tuning.trials import Fit

JOB = {"stack": "tilts.mrc", "seed": 0, "options": {"epochs": 3, "shares": (1, 2)}}
FIRST = Fit({"strength": 0.5, "epochs": 3}, 2, [0.1, 0.2], [0.3, 0.4], 1.5)
FAILED = Fit({"strength": 9.0}, 2, [], [], 0.0, "the fit has diverged")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "a.journal.jsonl"
    journal = Journal(path, JOB)
    journal.add(FIRST)
    journal.add(FAILED)
    return path


def test_it_goes_on_where_it_was(path: Path) -> None:
    journal = Journal(path, JOB)
    assert journal.known == 2
    assert journal.find({"epochs": 3, "strength": 0.5}, 2) == FIRST
    assert journal.find({"strength": 9.0}, 2) == FAILED
    assert journal.find({"strength": 0.5}, 2) is None
    assert journal.find({"epochs": 3, "strength": 0.5}, 1) is None


def test_half_a_line_is_cut_off(path: Path) -> None:
    whole = path.read_text()
    path.write_text(whole + '{"values": {"strength": 0.2}, "fo')
    journal = Journal(path, JOB)
    assert (journal.known, path.read_text()) == (2, whole)


def test_another_search_is_refused_by_what_differs_unless_it_may_be_replaced(path: Path) -> None:
    with pytest.raises(InputError, match="its seed is 0, and here 1"):
        Journal(path, JOB | {"seed": 1})
    assert Journal(path, JOB | {"seed": 1}, overwrite=True).known == 0
    assert Journal(path, JOB | {"seed": 1}).known == 0


def test_the_same_search_is_continued_even_if_it_might_be_replaced(path: Path) -> None:
    assert Journal(path, JOB, overwrite=True).known == 2


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_is_no_journal_is_left_alone(tmp_path: Path, overwrite: bool) -> None:
    path = tmp_path / "a.journal.jsonl"
    path.write_text("a letter\n")
    with pytest.raises(InputError, match="no journal"):
        Journal(path, JOB, overwrite)
    assert path.read_text() == "a letter\n"


@settings(max_examples=60, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60),
        st.dictionaries(
            st.sampled_from(["values", "fold", "rings", "correlation", "seconds", "failure", "more"]),
            st.one_of(
                st.none(), st.floats(allow_nan=False), st.text(max_size=3), st.lists(st.integers()), st.just({"a": 1})
            ),
        ).map(json.dumps),
    )
)
def test_whatever_stands_in_a_line_is_a_fit_or_an_error_of_that_line(line: str) -> None:
    try:
        fit = parse_fit(Path("a"), 2, line)
    except InputError as error:
        assert error.field == "line 2"  # noqa: PT017
    else:
        assert parse_fit(Path("a"), 2, json.dumps(dataclasses.asdict(fit))) == fit
