"""MRC out: read back by mrcfile, by its validator, and by ourselves."""

from __future__ import annotations

import io as std_io
from dataclasses import replace
from pathlib import Path

import mrcfile
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tomokit.data import TiltSeries, Volume
from tomokit.errors import InputError, OutputError
from tomokit.geometry import TiltGeometry
from tomokit.io import read_stack, read_volume, write_stack, write_volume
from tomokit.io.mrc_labels import make_labels


@pytest.fixture
def volume() -> Volume:
    values = np.random.default_rng(3).normal(5, 2, (3, 4, 5)).astype(np.float32)
    return Volume(values, 7.5, (1.0, 2.0, -3.0), {"method": "sirt", "source": "tilts.mrc", "n": [1, 2]})


def test_volume_header_by_the_standard(tmp_path: Path, volume: Volume) -> None:
    path = tmp_path / "v.mrc"
    write_volume(path, volume)
    report = std_io.StringIO()
    assert mrcfile.validate(path, print_file=report), report.getvalue()
    with mrcfile.open(path) as mrc:
        assert mrc.is_volume()
        np.testing.assert_array_equal(mrc.data, volume.density)
        assert mrc.voxel_size.tolist() == (7.5, 7.5, 7.5)
        assert int(mrc.header.ispg) == 1
        assert mrc.header.origin.tolist() == (1.0, 2.0, -3.0)
        assert (int(mrc.header.mx), int(mrc.header.my), int(mrc.header.mz)) == (5, 4, 3)
        np.testing.assert_allclose(float(mrc.header.dmean), volume.density.mean(), rtol=1e-6)
        np.testing.assert_allclose(float(mrc.header.rms), volume.density.std(), rtol=1e-6)
        assert float(mrc.header.dmax) == volume.density.max()
        labels = mrc.get_labels()
    assert labels[0].startswith("tomokit ")
    assert "method: sirt" in labels[1]
    assert "source: tilts.mrc" in labels[1]


def test_an_unknown_voxel_size_is_a_cell_of_0(tmp_path: Path, volume: Volume) -> None:
    unknown = replace(volume, provenance={"pixel_size_source": "none"})
    write_volume(tmp_path / "v.mrc", unknown)
    with mrcfile.open(tmp_path / "v.mrc") as mrc:
        assert mrc.header.cella.tolist() == (0, 0, 0)
        np.testing.assert_allclose(mrc.header.origin.tolist(), np.array([1.0, 2.0, -3.0]) / 7.5, rtol=1e-6)
    assert mrcfile.validate(tmp_path / "v.mrc", print_file=std_io.StringIO())
    # And what is read stays what it is when it is written again.
    write_volume(tmp_path / "again.mrc", read_volume(tmp_path / "v.mrc"))
    assert read_volume(tmp_path / "again.mrc").provenance["pixel_size_source"] == "none"
    write_stack(tmp_path / "s.mrc", volume.density, provenance={"pixel_size_source": "none"})
    assert not read_stack(tmp_path / "s.mrc").header.pixel_size_known


def test_stack_header_by_the_standard(tmp_path: Path) -> None:
    images = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    series = TiltSeries(images, TiltGeometry(np.array([-3.0, 3.0]), n_u=4, n_v=3), 2.25)
    path = tmp_path / "s.mrc"
    write_stack(path, series)
    report = std_io.StringIO()
    assert mrcfile.validate(path, print_file=report), report.getvalue()
    with mrcfile.open(path) as mrc:
        assert mrc.is_image_stack()
        assert int(mrc.header.mz) == 1
        assert mrc.voxel_size.tolist() == (2.25, 2.25, 2.25)
        np.testing.assert_array_equal(mrc.data, images)


def test_round_trip(tmp_path: Path, volume: Volume) -> None:
    write_volume(tmp_path / "v.mrc", volume)
    again = read_volume(tmp_path / "v.mrc")
    np.testing.assert_array_equal(again.density, volume.density)
    assert again.voxel_size_angstrom == volume.voxel_size_angstrom
    assert again.origin_angstrom == volume.origin_angstrom
    assert again.provenance["warnings"] == []


@pytest.mark.parametrize("dtype", [np.float64, np.int16, np.uint8, np.float16, ">f4"])
def test_arrays_of_any_type_and_order_become_float32(tmp_path: Path, dtype: object) -> None:
    values = np.arange(24).reshape(4, 3, 2).astype(dtype).transpose(2, 1, 0)
    write_stack(tmp_path / "s.mrc", values, pixel_size_angstrom=3)
    images = read_stack(tmp_path / "s.mrc")
    assert images.pixels.dtype == np.float32
    assert images.pixel_size_angstrom == 3
    np.testing.assert_array_equal(images.pixels, values.astype(np.float32))


def test_the_same_volume_gives_the_same_bytes(tmp_path: Path, volume: Volume) -> None:
    write_volume(tmp_path / "a.mrc", volume)
    write_volume(tmp_path / "b.mrc", volume)
    assert (tmp_path / "a.mrc").read_bytes() == (tmp_path / "b.mrc").read_bytes()


def test_nothing_is_overwritten_unasked(tmp_path: Path, volume: Volume) -> None:
    path = tmp_path / "v.mrc"
    path.write_bytes(b"precious")
    with pytest.raises(OutputError, match="--overwrite"):
        write_volume(path, volume)
    assert path.read_bytes() == b"precious"
    write_volume(path, volume, overwrite=True)
    np.testing.assert_array_equal(read_volume(path).density, volume.density)


@pytest.mark.parametrize("shape", [(4, 5), (0, 4, 5), (2, 3, 4, 5)])
def test_what_is_no_stack_is_refused(tmp_path: Path, shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="no stack of sections"):
        write_stack(tmp_path / "s.mrc", np.zeros(shape, np.float32))
    assert list(tmp_path.iterdir()) == []


def test_statistics_say_undetermined_where_a_pixel_is_not_finite(tmp_path: Path) -> None:
    write_stack(tmp_path / "s.mrc", np.array([[[1.0, np.nan]]]))
    with mrcfile.open(tmp_path / "s.mrc") as mrc:
        assert float(mrc.header.dmax) < float(mrc.header.dmin)
        assert float(mrc.header.rms) < 0


_VALUES = st.recursive(
    st.none() | st.text() | st.floats() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(provenance=st.dictionaries(st.text(), _VALUES, max_size=12))
def test_any_provenance_fits_the_labels(tmp_path: Path, provenance: dict[str, object]) -> None:
    labels = make_labels("volume", provenance)
    assert 1 <= len(labels) <= 10
    assert all(len(label) <= 80 and label.isascii() and label.isprintable() for label in labels)
    write_stack(tmp_path / "s.mrc", np.zeros((1, 1, 1)), provenance=provenance, overwrite=True)
    with mrcfile.open(tmp_path / "s.mrc") as mrc:
        assert int(mrc.header.nlabl) == len(labels)


def test_a_long_entry_is_cut_and_says_so() -> None:
    labels = make_labels("volume", {"long": "x" * 200, "short": 1})
    assert labels[1].endswith("...")
    assert labels[2] == "short: 1"
