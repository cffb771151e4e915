"""Tomograms in MRC exported: as they are, cut, resampled, and as OME-Zarr block by block."""

from __future__ import annotations

import json
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from tomokit.commands.app import run
from tomokit.data import Volume
from tomokit.errors import InputError, OptionError, OutputError
from tomokit.io import ome_zarr_write, read_volume, write_volume
from tomokit.io.output_form import OutputForm
from tomokit.pipeline.export import export


@pytest.fixture
def tomogram(tmp_path: Path) -> Path:
    density = np.random.default_rng(0).normal(size=(10, 30, 40)).astype(np.float32)
    write_volume(tmp_path / "in.mrc", Volume(density, 6.0, origin_angstrom=(60.0, 0.0, -30.0)))
    return tmp_path / "in.mrc"


@pytest.mark.parametrize("name", ["o.mrc", "o.mrc.gz", "o.tif"])
def test_by_default_all_voxels_are_written_as_they_are(tomogram: Path, name: str) -> None:
    output = tomogram.with_name(name)
    summary = export(tomogram, output)
    assert (summary["shape"], summary["state"], summary["origin_angstrom"]) == ([10, 30, 40], None, [60, 0, -30])
    record = json.loads(Path(summary["provenance_file"]).read_text("utf-8"))
    assert record["source"] == "in.mrc"
    if name != "o.tif":
        given, written = read_volume(tomogram), read_volume(output)
        np.testing.assert_array_equal(written.density, given.density)
        assert written.origin_angstrom == given.origin_angstrom
        assert "exported from: in.mrc" in " ".join(written.provenance["labels"])


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("dtype", ["i2", "f2", "f4"])
def test_an_ome_zarr_of_any_mode_has_its_voxels(
    tomogram: Path, monkeypatch: pytest.MonkeyPatch, dtype: str, compressed: bool
) -> None:
    zarr = pytest.importorskip("zarr")
    monkeypatch.setattr(ome_zarr_write, "CHUNK_EDGE", 8)
    values = (read_volume(tomogram).density * 100).astype(dtype)
    given = tomogram.with_name("given.mrc.gz" if compressed else "given.mrc")
    with mrcfile.new(given, values, compression="gzip" if compressed else None) as file:
        file.voxel_size = 5.0
    assert run(["export", str(given), str(tomogram.with_name("o.zarr")), "--invert-contrast"]) == 0
    group = zarr.open_group(str(tomogram.with_name("o.zarr")), mode="r")
    np.testing.assert_array_equal(group["0"][:], -values.astype(np.float32))
    assert group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][0]["scale"] == [5, 5, 5]
    assert group.attrs["tomokit"]["source"] == given.name


@pytest.mark.parametrize(
    ("box", "spacing"), [(((2, 9), (0, 30), (5, 38)), None), (((-1, 8.5), (3, 20), (0, 40)), 9.0), (None, 12.0)]
)
def test_blocks_make_no_difference(
    tomogram: Path, monkeypatch: pytest.MonkeyPatch, box: object, spacing: float
) -> None:
    zarr = pytest.importorskip("zarr")
    monkeypatch.setattr(ome_zarr_write, "CHUNK_EDGE", 4)
    arguments = {"box": box, "spacing_angstrom": spacing}
    summary = export(tomogram, tomogram.with_name("o.mrc"), **arguments)  # type: ignore[arg-type]
    assert export(tomogram, tomogram.with_name("o.zarr"), **arguments)["shape"] == summary["shape"]  # type: ignore[arg-type]
    written = read_volume(tomogram.with_name("o.mrc"))
    group = zarr.open_group(str(tomogram.with_name("o.zarr")), mode="r")
    np.testing.assert_allclose(group["0"][:], written.density, atol=1e-6)
    shift = group.attrs["ome"]["multiscales"][0]["datasets"][0]["coordinateTransformations"][1]["translation"]
    np.testing.assert_allclose(shift, summary["origin_angstrom"][::-1])
    if spacing == 12:
        means = read_volume(tomogram).density.reshape(5, 2, 15, 2, 20, 2).mean((1, 3, 5))
        np.testing.assert_allclose(written.density, means, atol=1e-6)
    if spacing is None:
        np.testing.assert_array_equal(written.density, read_volume(tomogram).density[2:9, :, 5:38])


def test_what_cannot_be_is_refused_and_leaves_nothing(tomogram: Path) -> None:
    folder = tomogram.parent
    with pytest.raises(OutputError, match="input of this job"):
        export(tomogram, tomogram, overwrite=True)
    with pytest.raises(OptionError, match="is for MRC"):
        export(tomogram, folder / "o.zarr", form=OutputForm(mode="int8"))
    (folder / "text.mrc").write_text("no volume")
    for name in ("text.mrc", "absent.mrc", "absent.h5"):
        with pytest.raises(InputError, match=name):
            export(folder / name, folder / "o.mrc")
    with mrcfile.mmap(tomogram, "r+") as file:
        file.data[3, 2, 1] = np.nan
    with pytest.raises(InputError, match="NaN or infinite"):
        export(tomogram, folder / "o.zarr")
    assert sorted(path.name for path in folder.iterdir()) == ["in.mrc", "text.mrc"]


def test_sections_along_y_are_told(tomogram: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export(tomogram, tomogram.with_name("o.rec"), form=OutputForm(orientation="xzy"))
    assert run(["export", str(tomogram.with_name("o.rec")), str(tomogram.with_name("o.mrc"))]) == 0
    assert "sections along y" in capsys.readouterr().err
