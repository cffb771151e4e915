"""The form in which a volume is written: axes, numbers, contrast, binning."""

from __future__ import annotations

import gzip
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from tomokit.data import Volume
from tomokit.errors import OptionError
from tomokit.io.mrc_bytes import IMOD_STAMP
from tomokit.io.mrc_read import open_mrc, read_volume
from tomokit.io.output_form import FormedSections, OutputForm
from tomokit.io.output_set import new_outputs
from tomokit.io.volume_write import add_volume
from tomokit.pipeline.outputs import describe_form

DENSITY = np.random.default_rng(0).normal(3e-4, 1e-4, (5, 9, 7)).astype(np.float32)
VOLUME = Volume(DENSITY, 8.0, (10.0, 20.0, 30.0), {"method": "wbp"})


def _written(path: Path, form: OutputForm, volume: Volume = VOLUME) -> Path:
    with new_outputs() as outputs:
        add_volume(outputs, path, describe_form(volume, form)[0], form=form)
    return path


def test_the_axes_of_a_rec(tmp_path: Path) -> None:
    path = _written(tmp_path / "o.rec", OutputForm("xzy"))
    with mrcfile.open(path) as file:
        np.testing.assert_array_equal(file.data, DENSITY.transpose(1, 0, 2))
        header = file.header
        assert (int(header.nx), int(header.ny), int(header.nz)) == (7, 5, 9)
        assert tuple(map(float, header.cella.item())) == (56.0, 40.0, 72.0)
        assert tuple(map(float, header.origin.item())) == (10.0, 30.0, 20.0)
        assert int(header.mz) == 9
        labels = b" ".join(header.label.tolist()).decode()
    assert "volume [y, z, x]" in labels
    assert "orientation: sections along y, rows along z" in labels


@pytest.mark.parametrize("n", [2, 3])
def test_binning_is_the_mean_over_cubes_and_keeps_places(tmp_path: Path, n: int) -> None:
    form = OutputForm(bin=n)
    formed = FormedSections(DENSITY, form)
    first = [size % n // 2 for size in DENSITY.shape]
    kept = DENSITY[tuple(slice(f, f + size // n * n) for f, size in zip(first, DENSITY.shape, strict=True))]
    z, y, x = (size // n for size in kept.shape)
    means = kept.reshape(z, n, y, n, x, n).mean(axis=(1, 3, 5), dtype=float)
    np.testing.assert_allclose(formed.volume(), means, rtol=1e-6)
    read = read_volume(_written(tmp_path / "o.mrc", form))
    np.testing.assert_array_equal(read.density, formed.volume())
    assert read.voxel_size_angstrom == 8.0 * n
    # The middle of the first cube.
    expected = [at + 8 * (f + (n - 1) / 2) for at, f in zip((10, 20, 30), first[::-1], strict=True)]
    assert read.origin_angstrom == pytest.approx(expected)
    turned = _written(tmp_path / "t.mrc", OutputForm("xzy", bin=n))
    np.testing.assert_array_equal(open_mrc(turned).pixels, formed.volume().transpose(1, 0, 2))


@pytest.mark.parametrize(
    ("mode", "number", "tolerance"), [("float16", 12, 3e-7), ("int16", 1, 1e-8), ("int8", 0, 2.5e-6)]
)
@pytest.mark.parametrize("invert", [False, True])
def test_numbers_come_back_by_the_scaling_that_is_told(
    tmp_path: Path, mode: str, number: int, tolerance: float, invert: bool
) -> None:
    form = OutputForm(mode=mode, invert=invert)  # type: ignore[arg-type]
    scaling = FormedSections(DENSITY, form).scaling
    path = _written(tmp_path / "o.mrc", form)
    with mrcfile.open(path) as file:
        stored, header = file.data.astype(float), file.header
        assert int(header.mode) == number
        assert float(header.dmax) == stored.max()
        assert float(header.dmin) == stored.min()
        labels = b" ".join(header.label.tolist()).decode()
    back = stored / scaling.factor + scaling.zero
    np.testing.assert_allclose(back, -DENSITY if invert else DENSITY, atol=tolerance)
    assert f"stored: {scaling.text()}" in labels
    assert f"{mode} = (density - {scaling.zero:.7g}) * {scaling.factor:.7g}" == scaling.text()
    assert ("contrast: inverted" in labels) is invert


def test_bytes_are_signed_and_imod_is_told(tmp_path: Path) -> None:
    density = DENSITY.copy()
    density[0, 0, 0] = 1.0  # a bead
    path = _written(tmp_path / "o.mrc", OutputForm(mode="int8"), Volume(density))
    raw = path.read_bytes()
    stamp, flags = np.frombuffer(raw, "<i4", 2, 152)
    assert (stamp, flags & 1) == (IMOD_STAMP, 1)
    pixels = open_mrc(path)
    stored = np.frombuffer(raw, "i1", offset=1024).reshape(density.shape)
    # As IMOD shows them, and the reader of this package does.
    np.testing.assert_array_equal(np.asarray(pixels.pixels), stored.astype(int) + 128)
    assert not [text for text in pixels.warnings if "byte" in text]
    assert stored.max() == 127
    scaling = FormedSections(density, OutputForm(mode="int8")).scaling
    assert scaling.clipped == 1 / density.size
    assert "clipped" in scaling.text()


def test_float16_is_scaled_by_a_power_of_two() -> None:
    scaling = FormedSections(DENSITY, OutputForm(mode="float16")).scaling
    assert 1 <= np.abs(DENSITY).max() * scaling.factor < 2
    assert np.log2(scaling.factor) % 1 == 0
    flat = FormedSections(np.zeros((2, 3, 4), np.float32), OutputForm(mode="int8"))
    assert not np.concatenate(list(flat)).any()
    assert FormedSections(np.zeros((2, 3, 4), np.float32), OutputForm(mode="float16")).scaling.factor == 1


def test_a_compressed_file_is_the_same(tmp_path: Path) -> None:
    form = OutputForm("xzy", "int16", True, 2)
    plain, packed = (_written(tmp_path / name, form).read_bytes() for name in ("o.mrc", "o.mrc.gz"))
    assert gzip.decompress(packed) == plain


def test_other_formats_have_contrast_and_binning_alone(tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    form = OutputForm(invert=True, bin=2)
    form.check(tmp_path / "o.tif")
    read = tifffile.imread(_written(tmp_path / "o.tif", form))
    np.testing.assert_array_equal(read, FormedSections(DENSITY, form).volume())
    assert read.mean() < 0
    for form, message in ((OutputForm("xzy"), "--orientation: xzy is for MRC"), (OutputForm(mode="int8"), "--mode")):
        with pytest.raises(OptionError, match=message):
            form.check(tmp_path / "o.zarr")
        form.check(tmp_path / "o.rec")
    with pytest.raises(OptionError, match="--output-bin: 6 for 7 x 9 x 5 voxels"):
        OutputForm(bin=6).binned_shape(DENSITY.shape)
