"""Reading of ``z0:z1,y0:y1,x0:x1``."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tomokit.errors import OptionError
from tomokit.metrics import parse_box

RANGES = st.tuples(st.integers(0, 500), st.integers(1, 500)).map(lambda pair: (pair[0], pair[0] + pair[1]))


@given(st.tuples(RANGES, RANGES, RANGES))
def test_boxes_round_trip(ranges):
    box = parse_box(",".join(f"{a}:{b}" for a, b in ranges))
    assert tuple(zip(box.start, box.stop, strict=True)) == ranges
    assert parse_box(str(box)) == box


def test_a_box_is_an_index_in_z_y_x():
    values = np.arange(4 * 5 * 6).reshape(4, 5, 6)
    np.testing.assert_array_equal(values[parse_box("1:3,0:5,2:4").slices], values[1:3, :, 2:4])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1:2",
        "1:2,3:4",
        "1:2,3:4,5:6,7:8",
        "2:2,0:1,0:1",
        "3:2,0:1,0:1",
        "-1:2,0:1,0:1",
        "0:1.5,0:1,0:1",
        "::,0:1,0:1",
    ],
)
def test_nonsense_is_refused_by_name(text):
    with pytest.raises(OptionError, match="--box"):
        parse_box(text)


@given(st.text(max_size=30))
def test_any_text_gives_a_box_or_an_option_error(text):
    try:
        box = parse_box(text)
    except OptionError:
        return
    assert all(0 <= a < b for a, b in zip(box.start, box.stop, strict=True))
