"""The dose of each view from a number, columns and ``.mdoc``; the defocus from columns and files of other programs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.data.acquisition import Acquisition
from tomokit.data.exposure_filter import exposures_of_views
from tomokit.errors import InputError, OptionError, TomokitError
from tomokit.formats.columns import column_kind
from tomokit.formats.dose_and_defocus import read_defocus, read_dose, told_hand
from tomokit.io.angles import read_angle_file
from tomokit.io.given_inputs import is_number
from tomokit.io.mdoc import read_mdoc

ORDER = np.array([4, 2, 0, 1, 3])


@pytest.fixture
def text(tmp_path: Path):
    """A file of these lines."""

    def make(*lines: object, name: str = "dose.txt") -> Path:
        (tmp_path / name).write_text("\n".join(map(str, lines)) + "\n")
        return tmp_path / name

    return make


def mdoc(**columns: list[object]) -> list[str]:
    """An ``.mdoc`` with these fields of five sections, in order of acquisition."""
    lines = ["Voltage = 200"]
    for place in np.argsort(ORDER):
        lines += ["", f"[ZValue = {place}]", *(f"{key} = {values[place]}" for key, values in columns.items())]
    return lines


TIMES = [f"25-Mar-21  17:0{minute}:00" for minute in ORDER]


def read(given: object, folder: Path) -> Acquisition:
    return read_dose(given, folder / "TS.mrc", 5).acquisition


@pytest.mark.parametrize(
    ("given", "is_one"), [("3", True), ("2.5e0", True), (".5", True), ("dose.txt", False), ("-3", False)]
)
def test_what_is_a_number_and_not_a_file(given: str, is_one: bool) -> None:
    assert is_number(given) is is_number(Path(given)) is is_one
    assert not is_number(None)


def test_accumulated_doses_in_one_column(text, tmp_path: Path) -> None:
    expected = 3.0 * ORDER + 1.5
    np.testing.assert_allclose(exposures_of_views(read(text(*(3.0 * ORDER)), tmp_path)), expected)
    after = read_dose(text(*(3.0 * (ORDER + 1))), tmp_path / "TS.mrc", 5)
    np.testing.assert_allclose(exposures_of_views(after.acquisition), expected)
    assert after.warnings == ("dose.txt: one column, taken for the accumulated dose after each view, up to 15 e/A^2",)


def test_two_columns_are_the_dose_before_and_the_own(text, tmp_path: Path) -> None:
    found = read(text("12 3", "6 3", "0 2", "2 4", "9 3"), tmp_path)
    np.testing.assert_allclose(exposures_of_views(found), [13.5, 7.5, 1.0, 4.0, 10.5])


def test_single_doses_take_their_order_from_the_mdoc_beside(text, tmp_path: Path) -> None:
    single = text(3.1, 3.0, 2.9, 3.0, 3.1)
    assert read(single, tmp_path).order is None
    text(*mdoc(DateTime=TIMES), name="TS.mrc.mdoc")
    np.testing.assert_array_equal(read(single, tmp_path).order, ORDER)
    np.testing.assert_allclose(exposures_of_views(read("3", tmp_path)), 3.0 * ORDER + 1.5)


def test_an_mdoc_says_dose_order_and_voltage(text, tmp_path: Path) -> None:
    text(*mdoc(DateTime=TIMES, ExposureDose=[3.0] * 5), name="TS.mdoc")
    found = read(None, tmp_path)
    assert found.voltage_kv == 200
    np.testing.assert_allclose(exposures_of_views(found), 3.0 * ORDER + 1.5)
    # Its own record of the dose before goes before the order; what is not calibrated is written as 0.
    text(*mdoc(DateTime=TIMES, ExposureDose=[3.0] * 5, PriorRecordDose=list(5.0 * ORDER)), name="TS.mdoc")
    np.testing.assert_allclose(exposures_of_views(read(None, tmp_path)), 5.0 * ORDER + 1.5)
    text(*mdoc(DateTime=TIMES, ExposureDose=[0] * 5, PriorRecordDose=[0] * 5), name="TS.mdoc")
    with pytest.raises(InputError, match="not known"):
        exposures_of_views(read(None, tmp_path))


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ((1, 2, 3), "3 lines, where the stack has 5 views; give the file of this stack, a line for each view"),
        (("1 2", 3, 4, 5, 6), "lines of 1 and 2 numbers; give a line for each view: its dose"),
        ((3, 3, -1, 3, 3), r"line 3: -1 is no dose in e/A\^2"),
        ((3, 3, 3, 3, 1e6), r"line 5: 1e\+06 is no dose"),
        ((1, 1, 1, 50, 200), "neither as single doses are nor as an accumulated dose is"),
        ((3, "three", 3, 3, 3), "line 2"),
    ],
)
def test_files_that_are_none_are_refused(text, tmp_path: Path, lines: tuple[object, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(text(*lines), tmp_path)


def test_numbers_that_are_none_and_nothing_at_all_are_refused(text, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--dose: 0 e/A"):
        read("0", tmp_path)
    with pytest.raises(InputError, match=r"no \.mdoc lies beside TS\.mrc"):
        read(None, tmp_path)
    with pytest.raises(InputError, match="5 views, but the stack has 4"):
        read_dose(text(*mdoc(ExposureDose=[3] * 5), name="TS.mdoc"), tmp_path / "TS.mrc", 4)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0, 1e4), min_size=1, max_size=9))
def test_any_column_is_of_one_kind_or_none(column: list[float]) -> None:
    assert column_kind(np.array(column)) in ("accumulated", "single", "")


@settings(max_examples=40, deadline=None)
@given(st.integers(3, 80), st.floats(0.5, 5), st.randoms(use_true_random=False))
def test_accumulated_and_single_doses_are_told_apart(n: int, dose: float, random) -> None:
    own = np.array([dose * random.uniform(0.8, 1.25) for _ in range(n)])
    order = random.sample(range(n), n)
    assert column_kind((np.cumsum(own) - own)[order]) == "accumulated"
    assert column_kind(np.cumsum(own)[order]) == "accumulated"
    # In a scheme where the dose grows as 1 / cos of the tilt, it does so on both sides.
    both = dose / np.cos(np.radians(np.abs(np.linspace(-60, 60, n))))
    assert column_kind(both) == "single"


@settings(max_examples=40, deadline=None)
@given(st.text("0123456789.,;- \nAe+#", max_size=60))
def test_mangled_text_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    path = tmp_path_factory.getbasetemp() / "mangled.txt"
    path.write_text(text)
    for reader in (lambda: read_dose(path, path.with_name("none.mrc"), 3), lambda: read_defocus(path, 3)):
        try:
            assert reader().acquisition.n_views == 3
        except TomokitError as caught:
            error = str(caught)
            assert "mangled.txt" in error


def test_the_dose_of_a_real_series(shared_data: Path) -> None:
    found = read_dose(shared_data / "empiar-10499/dose.txt", Path("none.mrc"), 41)
    exposure = exposures_of_views(found.acquisition)
    assert found.kind == "one column: the accumulated dose before each view"
    assert exposure[20] == 1.5
    assert exposure.max() == 121.5


def test_defocus_in_one_column_or_three(text, shared_data: Path) -> None:
    one = read_defocus(shared_data / "empiar-10499/defocus-um.txt", 41).acquisition.defocus_um
    assert one is not None
    assert (one[:, 0] == one[:, 1]).all()
    assert one[0].tolist() == [1.57019, 1.57019, 0]
    three = read_defocus(text("2.0 1.9 30", "2.1 2.0 -15"), 2).acquisition.defocus_um
    np.testing.assert_array_equal(three, [[2.0, 1.9, 30], [2.1, 2.0, -15]])
    with pytest.raises(InputError, match="lines of 5 numbers; give a line for each view: its defocus"):
        read_defocus(text("1 1 0 0 2700"), 1)


def test_defocus_of_other_programs(text, shared_data: Path) -> None:
    imod = read_defocus(text("1 1 0 0 2700 2", "2 2 3 3 2800", name="a.defocus"), 2).acquisition.defocus_um
    np.testing.assert_allclose(imod, [[2.7, 2.7, 0], [2.8, 2.8, 0]])
    inverted = read_defocus(text("16 0 0. 0. 0. 3", "1 1 0 0 2700", name="b.defocus"), 1)
    assert told_hand(inverted) == "sign of the angles inverted"
    path = next(shared_data.glob("formats/**/test_8col_CTF.txt"))
    n_views = sum(not line.startswith("#") for line in path.read_text().splitlines() if line.strip())
    aretomo = read_defocus(path, n_views)
    assert "dfHand" in told_hand(aretomo)
    assert 0.1 < aretomo.acquisition.defocus_um[:, 0].mean() < 10
    with pytest.raises(InputError, match="without a defocus of each view"):
        read_defocus(text(*mdoc(ExposureDose=[3] * 5), name="a.mdoc"), 5)


@pytest.mark.parametrize("first", [0, 1])
def test_angles_order_and_dose_of_aretomo3(text, tmp_path: Path, first: int) -> None:
    angles, dose = np.arange(-20.0, 21.0, 10.0), [3.5, 3.0, 3.0, 3.0, 3.5]
    rows = [
        f"{angle:8.2f}  {place + first:4d}  {own:8.2f}" for angle, place, own in zip(angles, ORDER, dose, strict=True)
    ]
    path = text(*rows, name="TS_TLT.txt")
    found = read(path, tmp_path)
    np.testing.assert_array_equal(found.order, ORDER)
    np.testing.assert_array_equal(found.dose_e_per_a2, dose)
    # Halfway through each view: 9.0 + 3.0 before the last, which is the first in the stack.
    np.testing.assert_allclose(exposures_of_views(found), [14.25, 7.5, 1.5, 4.5, 10.75])
    table = read_angle_file(path)
    np.testing.assert_array_equal(table.tilt_deg, angles)
    assert table.acquisition_order == tuple(ORDER + first)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["-10 1 3", "0 1 3", "10 2 3", "20 3 3", "30 4 3"], "second does not number the views"),
        (["-10 1 0", "0 2 0", "10 3 0", "20 4 0", "30 5 0"], "a dose of 0 in every view"),
        (["-10 1 3", "0 2 3", "10 3 -3", "20 4 3", "30 5 3"], "line 3.*-3 is no dose"),
    ],
)
def test_three_columns_that_are_no_doses_are_refused(text, tmp_path: Path, rows: list[str], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(text(*rows), tmp_path)


def test_fields_of_an_mdoc_in_any_order_say_the_same(text, tmp_path: Path) -> None:
    fields = {"TiltAngle": [-20, -10, 0, 10, 20], "ExposureDose": [3.0] * 5, "DateTime": TIMES, "PixelSpacing": [5] * 5}
    plain = text(*mdoc(**fields), name="TS.mrc.mdoc")
    found, facts = read(None, tmp_path), read_mdoc(plain)
    other = text(*mdoc(**dict(reversed(fields.items()))), name="TS.mrc.mdoc")
    again, again_facts = read(None, tmp_path), read_mdoc(other)
    np.testing.assert_array_equal(exposures_of_views(again), exposures_of_views(found))
    np.testing.assert_array_equal(again_facts.tilt_deg, facts.tilt_deg)
    np.testing.assert_array_equal(again.order, ORDER)
