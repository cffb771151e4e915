"""Angles: text and .mdoc, found beside the stack, checked against it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError
from tomokit.io import check_angles, find_angles, read_angles
from tomokit.io.mdoc import read_mdoc

_FIXTURE = [HealthCheck.function_scoped_fixture]


@pytest.mark.parametrize(
    "text",
    [
        b"-60.01\n0\n 59.98\n",
        b"  -60.01  \r\n\r\n0.0\r\n59.98",
        b"\xef\xbb\xbf-60.01\r0\r59.98\r",
        b"\n\n-6.001e1\n+0.\n\t59.98\n\n",
        b"-6.001D+01\n.0\n59.98",
    ],
)
def test_plain_text_as_programs_write_it(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "a.tlt"
    path.write_bytes(text)
    angles = read_angles(path)
    assert angles.dtype == np.float64
    np.testing.assert_array_equal(angles, [-60.01, 0, 59.98])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "the file is empty"),
        (b" \n\r\n", "the file is empty"),
        (b"1\n2\nthree\n", r"line 3: 'three' is not a number"),
        (b"1\n\n2 3\n", r"line 3: 2 numbers where an angle file has 1"),
        (b"1,5\n", r"line 1: '1,5' is not a number"),
        (b"1\nnan\n", "line 2: a number is not finite"),
        (b"-inf\n", "line 1: a number is not finite"),
        (b"1e999\n", "line 1: a number is not finite"),
        (b"1\n\n-90.5\n", "line 3: -90.5 is beyond 90 degrees"),
        (b"1_0\n", "'1_0' is not a number"),
        ("٣\n".encode(), "is not a number"),
        (b"1\0\n", "a binary file"),
        (b"1\n" * 3_000_000, "too large"),
    ],
)
def test_bad_text_names_file_and_line(tmp_path: Path, text: bytes, message: str) -> None:
    path = tmp_path / "a.tlt"
    path.write_bytes(text)
    with pytest.raises(InputError, match=message) as caught:
        read_angles(path)
    assert str(caught.value).startswith(str(path))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.tlt: cannot be read \(No such file"):
        read_angles(tmp_path / "none.tlt")


@settings(max_examples=200, deadline=None, suppress_health_check=_FIXTURE)
@given(raw=st.one_of(st.binary(), st.text(alphabet="0123456789.-+eEdDnaif \n\r\t,_").map(str.encode)))
def test_arbitrary_text_raises_nothing_but_input_errors(tmp_path: Path, raw: bytes) -> None:
    path = tmp_path / "a.tlt"
    path.write_bytes(raw)
    angles = None
    try:
        angles = read_angles(path)
    except InputError as error:
        message = str(error)
        if "\n" in message or "a.tlt" not in message:
            raise
    assert angles is None or (np.abs(angles) <= 90).all()


@settings(max_examples=100, deadline=None, suppress_health_check=_FIXTURE)
@given(values=st.lists(st.floats(-90, 90), min_size=1, max_size=50), end=st.sampled_from(["\n", "\r\n", "\r", "\n\n"]))
def test_written_angles_come_back_exactly(tmp_path: Path, values: list[float], end: str) -> None:
    path = tmp_path / "a.rawtlt"
    path.write_bytes(end.join(repr(value) for value in values).encode())
    np.testing.assert_array_equal(read_angles(path), values)


def _mdoc(angles: dict[int, float]) -> str:
    head = "PixelSpacing = 5.4\nImageFile = TS.mrc\n\n[T =     Tilt axis angle = 85.3, binning = 4  spot = 8]\n"
    return head + "".join(f"\n[ZValue = {z}]\nTiltAngle = {angle}\nDefocus = 2\n" for z, angle in angles.items())


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("note", ["", "Note = µ °\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_mdoc_is_ordered_by_z_value(tmp_path: Path, end: str, note: str, encoding: str) -> None:
    path = tmp_path / "TS.mrc.mdoc"
    path.write_bytes((_mdoc({2: 3.0, 0: -3.0, 1: 0.5, 10: 6}) + note).replace("\n", end).encode(encoding))
    np.testing.assert_array_equal(read_angles(path), [-3, 0.5, 3, 6])
    facts = read_mdoc(path)
    assert (facts.pixel_size_angstrom, facts.tilt_axis_deg, facts.image_file) == (5.4, 85.3, "TS.mrc")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello\n", "not an .mdoc file"),
        (_mdoc({0: 1}) + "\n[ZValue = 1]\nDefocus = 2\n", r"\[ZValue = 1\], line 10: no TiltAngle"),
        (
            _mdoc({0: 1, 1: 2}) + "\n[ZValue = 1]\nTiltAngle = 2\n",
            r"line 14: two sections .* on line 10\)",
        ),
        (_mdoc({0: 1}).replace("TiltAngle = 1", "TiltAngle = one"), "TiltAngle"),
        (_mdoc({0: 1}).replace("TiltAngle = 1", "TiltAngle = nan"), "line 7: TiltAngle 'nan' is no number"),
        (_mdoc({0: 1}).replace("TiltAngle = 1", "TiltAngle = 91"), r"\[ZValue = 0\], line 7: 91 is beyond 90"),
        ("Montage = 1\n" + _mdoc({0: 1, 1: 1.1}), "describes a montage, not a tilt series"),
        (_mdoc({0: 1}).replace("TiltAngle = 1", "TiltAngle ="), "line 7: TiltAngle has no value"),
        (
            _mdoc({0: 1}).replace("TiltAngle = 1", "TiltAngle = 1\nTiltAngle = 2"),
            "two values of TiltAngle: '1' on line 7",
        ),
        (_mdoc({0: 1}).replace("ZValue = 0", f"ZValue = {'9' * 5000}"), "is no whole number"),
        (_mdoc({0: 1}).replace("TiltAngle = 1", f"TiltAngle = {'1' * 5000}"), "is no number"),
        (_mdoc({0: 1}) + "\n[FrameSet = 0]\nTiltAngle = 3\n", "describes a frame set, not a tilt series"),
    ],
)
def test_bad_mdoc(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "TS.mdoc"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_angles(path)


@settings(max_examples=100, deadline=None, suppress_health_check=_FIXTURE)
@given(
    lines=st.lists(
        st.sampled_from(["[ZValue = 0]", "[ZValue = x]", "[ZValue =", "[FrameSet = 1]", "TiltAngle = 3", "TiltAngle =",
                         "[T = a]", "PixelSpacing = z", "=", "= =", "ImageSize = 1"]) | st.text(max_size=20)
    )
)  # fmt: skip
def test_arbitrary_mdoc_raises_nothing_but_input_errors(tmp_path: Path, lines: list[str]) -> None:
    path = tmp_path / "a.mdoc"
    path.write_text("\n".join(lines), encoding="utf-8")
    angles = None
    try:
        angles = read_angles(path)
    except InputError as error:
        if "\n" in str(error):
            raise
    assert angles is None or np.isfinite(angles).all()


@pytest.mark.parametrize(
    ("stack", "present", "expected"),
    [
        ("TS.mrc", ["TS.tlt", "TS.rawtlt", "TS.mrc.mdoc"], "TS.tlt"),
        ("TS.st", ["TS.rawtlt", "TS.st.mdoc"], "TS.rawtlt"),
        ("TS.st", ["TS.st.mdoc", "TS.mdoc"], "TS.st.mdoc"),
        ("TS.mrc", ["TS.mdoc", "other.tlt"], "TS.mdoc"),
        ("TS_ali.mrc", ["TS.tlt", "TS.rawtlt"], "TS.tlt"),
        ("TS_ali.mrc", ["TS.tlt", "TS_ali.tlt"], "TS_ali.tlt"),
        ("TS_ali.mrc", ["TS.tlt", "TS_ali.rawtlt"], "TS.tlt"),
        ("TS.ali", ["TS.tlt"], "TS.tlt"),
        ("TS_ali.mrc", ["TS.mrc.mdoc"], "TS.mrc.mdoc"),
        ("TS.mrc.gz", ["TS.tlt"], "TS.tlt"),
        ("a.b.mrc", ["a.b.tlt", "a.tlt"], "a.b.tlt"),
    ],
)
def test_the_angle_file_beside_the_stack(tmp_path: Path, stack: str, present: list[str], expected: str) -> None:
    for name in present:
        (tmp_path / name).write_text("0\n")
    assert find_angles(tmp_path / stack) == tmp_path / expected


def test_no_angle_file(tmp_path: Path) -> None:
    (tmp_path / "other.tlt").write_text("0\n")
    with pytest.raises(InputError, match=r"no angle file beside it \(looked for TS\.tlt, .*; give one with --angles"):
        find_angles(tmp_path / "TS.mrc")


def test_checks() -> None:
    tilt = np.array([-3.0, 0.0, 3.0])
    assert check_angles(tilt, n_views=3) == []
    assert check_angles(tilt[::-1], n_views=3) == []
    assert "not sorted" in check_angles(np.array([0.0, 3.0, -3.0]))[0]
    with pytest.raises(InputError, match=r"a\.tlt: 3 angles, but s\.mrc has 4 views"):
        check_angles(tilt, file="a.tlt", stack="folder/s.mrc", n_views=4)
    repeated = np.array([0.0, 3.0, 0.0, 6.0, 0.0])
    with pytest.raises(InputError, match=r"views 0, 2, 4 have the same angle 0; .*--exclude 2,4"):
        check_angles(repeated)
    assert check_angles(repeated, exclude=[2, 4]) == []
    with pytest.raises(InputError, match="view 1"):
        check_angles(np.array([0.0, np.nan]))
