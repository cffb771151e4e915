"""Reading of ``START:STOP:STEP`` and ``Z,Y,X``."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tomokit.errors import OptionError
from tomokit.phantom import parse_shape, parse_tilts


def test_the_published_angles():
    angles = parse_tilts("-70:69.5:1.5")
    assert len(angles) == 94
    assert angles[0] == -70
    assert angles[-1] == 69.5


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("-60:60:60", [-60, 0, 60]),
        ("60:-60:-60", [60, 0, -60]),
        ("0:10:4", [0, 4, 8]),
        ("0:0.3:0.1", [0, 0.1, 0.2, 0.3]),
        ("5:5:1", [5]),
        ("5:5:-1", [5]),
        ("0:1.99999:1", [0, 1]),
    ],
)
def test_stop_is_included_if_hit(text, expected):
    np.testing.assert_allclose(parse_tilts(text), expected, rtol=0, atol=1e-12)


@given(st.integers(-900, 900), st.integers(1, 300), st.integers(0, 40), st.booleans())
def test_tenths_of_degrees_come_out_exactly(start, step, n, down):
    sign = -1 if down else 1
    stop = start + sign * n * step
    assume(abs(stop) <= 900)
    angles = parse_tilts(f"{start / 10}:{stop / 10}:{sign * step / 10}")
    np.testing.assert_array_equal(angles, np.round((start + sign * step * np.arange(n + 1)) / 10, 10))


@pytest.mark.parametrize("text", ["-120:120:5", "0:90.5:0.5", "90:-91:-1", "91:91:1", "1e300:1e301:1e300"])
def test_angles_beyond_90_degrees_are_refused(text):
    with pytest.raises(OptionError, match=r"--tilts: .* goes beyond 90 degrees"):
        parse_tilts(text)


def test_angles_up_to_90_degrees_are_taken():
    np.testing.assert_array_equal(parse_tilts("-90:90:45"), [-90, -45, 0, 45, 90])


@pytest.mark.parametrize(
    "text", ["", "1:2", "1:2:3:4", "a:b:c", "0:10:0", "0:10:-1", "nan:1:1", "0:inf:1", "0:10:1e-9", "0,10,1"]
)
def test_nonsense_tilts_are_refused_by_name(text):
    with pytest.raises(OptionError, match="--tilts"):
        parse_tilts(text)


@given(st.text(max_size=20))
def test_any_text_gives_angles_or_an_option_error(text):
    try:
        angles = parse_tilts(text)
    except OptionError:
        return
    assert angles.size >= 1
    assert np.isfinite(angles).all()


@given(st.tuples(*[st.integers(1, 10**6)] * 3))
def test_shapes_round_trip(shape):
    assert parse_shape(",".join(map(str, shape))) == shape


@pytest.mark.parametrize("text", ["", "64", "64,64", "1,2,3,4", "0,64,64", "64,-1,64", "64,6.5,64", "64x64x64"])
def test_nonsense_shapes_are_refused_by_name(text):
    with pytest.raises(OptionError, match="--shape"):
        parse_shape(text)
