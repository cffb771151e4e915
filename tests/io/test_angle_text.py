"""Layouts of text files of angles: columns, lines, signs, encodings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.io import check_angles, read_angles
from tomokit.io.angles import read_angle_file

_FIXTURE = [HealthCheck.function_scoped_fixture]
MINUS = "-\u2010\u2011\u2012\u2013\u2014\u2212\ufe58\ufe63\uff0d"

distinct_angles = st.lists(
    st.integers(-8999, 8999).map(lambda hundredths: hundredths / 100), min_size=2, max_size=60, unique=True
)


@settings(max_examples=80, deadline=None, suppress_health_check=_FIXTURE)
@given(
    tilt=distinct_angles,
    data=st.data(),
    first=st.sampled_from([0, 1]),
    gap=st.sampled_from([" ", "\t", "   ", ", ", "; ", ";"]),
    end=st.sampled_from(["\n", "\r\n", "\r"]),
    as_float=st.booleans(),
)
def test_the_order_of_acquisition_in_a_second_column(
    tmp_path: Path, tilt: list[float], data: st.DataObject, first: int, gap: str, end: str, as_float: bool
) -> None:
    order = data.draw(st.permutations(range(first, first + len(tilt))))
    path = tmp_path / "a.rawtlt"
    number = "{:.1f}".format if as_float else str
    path.write_bytes(end.join(f"{a:.2f}{gap}{number(i)}" for a, i in zip(tilt, order, strict=True)).encode())
    table = read_angle_file(path)
    np.testing.assert_array_equal(table.tilt_deg, tilt)
    assert table.acquisition_order == tuple(order)
    assert table.warnings == ()


@settings(max_examples=60, deadline=None, suppress_health_check=_FIXTURE)
@given(step=st.sampled_from([1.5, 2.0, 3.0, 2.5]), n=st.integers(3, 60), data=st.data(), first=st.sampled_from([0, 1]))
def test_the_order_of_acquisition_in_the_first_column(
    tmp_path: Path, step: float, n: int, data: st.DataObject, first: int
) -> None:
    tilt = data.draw(st.permutations([step * (i - n // 2) for i in range(n)]))
    path = tmp_path / "order.txt"
    path.write_text("".join(f"{i} {a}\n" for i, a in enumerate(tilt, start=first)))
    table = read_angle_file(path)
    np.testing.assert_array_equal(table.tilt_deg, tilt)
    assert table.acquisition_order == tuple(range(first, first + n))
    assert "first column" in table.warnings[0]


def test_views_that_were_left_out_leave_gaps_in_the_order(tmp_path: Path) -> None:
    path = tmp_path / "a.rawtlt"
    path.write_text("-3 40\n0 1\n3 7\n")
    assert read_angle_file(path).acquisition_order == (40, 1, 7)


@pytest.mark.parametrize("text", ["0 0.5\n3 1.5\n6 2.5\n", "0 0.0\n3 2.5\n6 5.0\n9 7.5\n", "-3 1\n0 1\n3 2\n"])
def test_a_second_column_that_is_no_order_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "dose.tlt"
    path.write_text(text)
    with pytest.raises(InputError, match=r"dose\.tlt: line 1: 2 numbers .* no order of acquisition; give one angle a"):
        read_angles(path)


@settings(max_examples=60, deadline=None, suppress_health_check=_FIXTURE)
@given(
    tilt=distinct_angles,
    gap=st.sampled_from([" ", "\t", "  ", ", ", ";"]),
    end=st.sampled_from(["", "\n", "\r\n", "\n\n"]),
    per_line=st.integers(3, 12),
    down=st.booleans(),
)
def test_all_angles_on_one_line_or_wrapped(
    tmp_path: Path, tilt: list[float], gap: str, end: str, per_line: int, down: bool
) -> None:
    path = tmp_path / "a.tlt"
    path.write_bytes((gap.join(f"{a:.2f}" for a in tilt) + end).encode())
    np.testing.assert_array_equal(read_angles(path), tilt)
    tilt = sorted(tilt, reverse=down)
    rows = [tilt[i : i + per_line] for i in range(0, len(tilt), per_line)]
    path.write_text("\n".join(gap.join(f"{a:.2f}" for a in row) for row in rows))
    np.testing.assert_array_equal(read_angles(path), tilt)


@settings(max_examples=60, deadline=None, suppress_health_check=_FIXTURE)
@given(tilt=distinct_angles, minus=st.sampled_from(MINUS), encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_signs_that_look_like_a_minus(tmp_path: Path, tilt: list[float], minus: str, encoding: str) -> None:
    path = tmp_path / "a.tlt"
    path.write_bytes("\n".join(f"{a:.2f}".replace("-", minus) for a in tilt).encode(encoding))
    np.testing.assert_array_equal(read_angles(path), tilt)


def test_the_dash_of_a_windows_code_page(tmp_path: Path) -> None:
    path = tmp_path / "a.tlt"
    path.write_bytes(b"\x9660.00\n\x960.5\n3\n")
    np.testing.assert_array_equal(read_angles(path), [-60, -0.5, 3])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("٣\n", r"U\+0663 \(arabic-indic digit three\)"),
        ("-60,00\n-57,00\n", "line 1: '-60,00' is not a number; write decimals with a point"),
        ("1 2 3\n3 2 1\n", "line 1: 3 numbers where an angle file has 1; give one angle a line"),
        ("# only\n", "no numbers"),
        ("9" * 5000 + "\n", "a number is not finite"),
        ("1" * 200 + "\n", "is beyond 90 degrees"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.tlt"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=message):
        read_angles(path)


def test_comments_are_skipped(tmp_path: Path) -> None:
    path = tmp_path / "a.tlt"
    path.write_text("# angles\n-3\n\n  # more\n3\n")
    np.testing.assert_array_equal(read_angles(path), [-3, 3])


@pytest.mark.parametrize("angle", [0.0, -12.5])
@pytest.mark.parametrize("n", [2, 21, 61])
def test_angles_that_are_all_the_same_are_told_as_such(angle: float, n: int) -> None:
    with pytest.raises(InputError, match=rf"a\.tlt: all {n} angles are {angle:g}: these are not") as caught:
        check_angles(np.full(n, angle), file="a.tlt")
    assert "--exclude" not in str(caught.value)


def test_a_remedy_leaves_out_few_views_or_none() -> None:
    tilt = np.arange(41.0)
    tilt[[7, 9]] = tilt[[6, 8]]
    with pytest.raises(InputError, match=r"views 6, 7 have the same angle 6; .* --exclude 7,9"):
        check_angles(tilt)
    tilt[20:] = tilt[20]
    with pytest.raises(InputError, match=r"give the right --angles: 22 of 41 angles are repeated") as caught:
        check_angles(tilt)
    assert "--exclude" not in str(caught.value)


@pytest.mark.parametrize("text", ["-60,-57,-54", "-60.0,-57.0,-54.0", "-60, -57, -54", "-60,-57,-54,", "-60;-57;-54"])
def test_separators_of_spreadsheets(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.tlt"
    path.write_text(text)
    np.testing.assert_array_equal(read_angles(path), [-60, -57, -54])
