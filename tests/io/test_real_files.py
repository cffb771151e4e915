"""Files as the real programs wrote them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tomokit.errors import InputError
from tomokit.io import bin_series, describe, load_series, read_angles, read_volume, read_xf
from tomokit.io.mdoc import read_mdoc


@pytest.fixture(scope="module")
def formats(shared_data: Path) -> Path:
    return shared_data / "formats"


def test_empiar_10643(shared_data: Path) -> None:
    folder = shared_data / "empiar-10643-40"
    series = load_series(folder / "tilts.mrc", mask=folder / "mask.mrc", pixel_size_angstrom=6.75)
    assert series.images.shape == (41, 820, 820)
    assert series.images.dtype == np.float32
    assert series.geometry.tilt_deg[[0, -1]] == pytest.approx([-59.16, 60.46])
    assert series.mask is not None
    assert series.mask.mean() == pytest.approx(0.91, abs=0.005)
    assert series.images.min() == pytest.approx(0.0649, abs=1e-4)
    assert series.images.max() == pytest.approx(1.2948, abs=2e-4)
    binned = bin_series(series.select([0, 20, 40]), 4)
    assert binned.images.shape == (3, 205, 205)
    assert binned.pixel_size_angstrom == 27


def test_empiar_10499_raw_and_aligned(shared_data: Path) -> None:
    folder = shared_data / "empiar-10499"
    views = [view for view in range(41) if view not in (0, 20, 40)]
    raw = load_series(folder / "tilts-raw.mrc")
    assert isinstance(raw.images, np.memmap)
    assert raw.images.shape == (41, 630, 652)
    assert raw.pixel_size_angstrom == 10
    aligned = load_series(folder / "tilts-raw.mrc", xf=folder / "final.xf", exclude=views)
    assert aligned.images.shape == (3, 630, 652)
    assert aligned.mask is not None
    assert 0.9 < aligned.mask.mean() < 1
    # Interpolation keeps the intensities of what is seen.
    for view, image, mask in zip((0, 20, 40), aligned.images, aligned.mask, strict=True):
        assert image[mask > 0].mean() == pytest.approx(raw.images[view].mean(), rel=0.02)


def test_shells(shared_data: Path) -> None:
    folder = shared_data / "shells-a"
    series = load_series(folder / "tilts-clean.mrc", angles=folder / "tilts.tlt")
    assert series.images.shape == (94, 256, 256)
    assert series.images.max() == 1
    truth = read_volume(folder / "truth.mrc")
    assert truth.density.shape == (64, 256, 256)
    assert truth.voxel_size_angstrom == 10
    # The centre of mass of view t lies at x cos - z sin of the volume's: the convention, on data made elsewhere.
    z, _, x = (np.arange(n) - (n - 1) / 2 for n in truth.density.shape)
    total = truth.density.sum(dtype=np.float64)
    mean_x = (truth.density.sum(axis=(0, 1), dtype=np.float64) * x).sum() / total
    mean_z = (truth.density.sum(axis=(1, 2), dtype=np.float64) * z).sum() / total
    theta = series.geometry.tilt_rad
    middle = np.abs(series.geometry.tilt_deg) < 20  # the whole slab is seen
    u = np.arange(256) - 127.5
    columns = series.images.sum(axis=1, dtype=np.float64)
    found = (columns * u).sum(axis=1) / columns.sum(axis=1)
    x_part, z_part = mean_x * np.cos(theta), mean_z * np.sin(theta)
    assert np.abs(found - (x_part - z_part))[middle].max() < 0.02
    assert np.abs(found - (x_part + z_part))[middle].max() > 0.5


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("etomofiles/test_data/TS_001/TS_001.tlt", 40, -57.12, 59.84),
        ("etomofiles/test_data/TS_001/TS_001.rawtlt", 40, -60.0, 56.99),
        ("alnfile/test_data/global_no_local.tlt", 61, -63.2, 56.79),
        ("cryoet_alignment/tests/data/convert/imod_1/tilt_1.tlt", 59, -52.24, 63.76),
        ("cryoet_alignment/tests/data/test.rawtlt", 3, -66.0, -63.0),
        ("mdocfile/tests/test_data/tilt_series.mdoc", 41, 0.000999877, 60.0006),
    ],
)
def test_angle_files(formats: Path, name: str, count: int, first: float, last: float) -> None:
    angles = read_angles(formats / name)
    assert (angles.size, angles[0], angles[-1]) == (count, first, last)


@pytest.mark.parametrize(
    ("name", "count", "last"),
    [
        ("etomofiles/test_data/TS_001/TS_001.xf", 40, (0.1004192, 0.9949457, -0.9949457, 0.1004192, -3.070, 0.039)),
        ("alnfile/test_data/global_no_local.xf", 61, (-0.0941778, 0.9955554, -0.9955554, -0.0941778, 465.6113, -680.1935)),  # noqa: E501
        ("yaiw/tests/test_data/xf_file.xf", 41, (0.0760996, 0.9971007, -0.9971007, 0.0760996, 127.984, -63.963)),
        ("cryoet_alignment/tests/data/test.xf", 3, (0.9796340, -0.1974376, 0.1974376, 0.9796341, 13.633, -3.543)),
    ],
)  # fmt: skip
def test_transform_files(formats: Path, name: str, count: int, last: tuple[float, ...]) -> None:
    xf = read_xf(formats / name)
    assert xf.shape == (count, 6)
    assert tuple(xf[-1]) == last


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("montage_section.mdoc", "montage"),
        ("montage_section_multiple.mdoc", "montage"),
        ("frame_set_single.mdoc", "frame set"),
        ("frame_set_multiple.mdoc", "frame set"),
    ],
)
def test_mdocs_that_are_no_tilt_series(formats: Path, name: str, kind: str) -> None:
    path = formats / "mdocfile/tests/test_data" / name
    assert read_mdoc(path).kind == kind
    with pytest.raises(InputError, match=f"describes a {kind}, not a tilt series"):
        read_angles(path)


def test_every_file_is_described_or_refused(formats: Path) -> None:
    kinds: dict[str, set[str]] = {}
    for path in sorted(formats.rglob("*")):
        if not path.is_file():
            continue
        try:
            facts = describe(path)
        except InputError:
            facts = {"kind": "refused"}
        json.dumps(facts, allow_nan=False)
        kinds.setdefault(facts["kind"], set()).add(path.suffix)
    assert kinds.pop("refused") == {".aln", ".mod", ".edf", ".com", ".star", ".xml", ".log", ".txt"}
    assert kinds == {
        "angles": {".tlt", ".rawtlt"},
        "x-axis tilts": {".xtilt"},
        "transforms": {".xf"},
        "mdoc": {".mdoc"},
        "tilt stack": {".st"},
    }


def test_a_stack_written_as_a_volume_with_its_angles(formats: Path) -> None:
    facts = describe(formats / "etomofiles/test_data/TS_001/TS_001.st")
    assert (facts["kind"], facts["ispg"], facts["angles"]["count"]) == ("tilt stack", 1, 40)
    assert describe(formats / "mdocfile/tests/test_data/tilt_series.mdoc")["tilt_axis_deg"] == 85.3
