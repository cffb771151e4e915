"""A volume is written in the format that its name says, or refused; what lies beside it has a name of its own."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest

from tomokit.data import Volume
from tomokit.errors import OutputError
from tomokit.io import read_volume, write_stack, write_volume
from tomokit.io.ome_zarr import check_ome_zarr
from tomokit.io.output_names import MRC_SUFFIXES, path_beside
from tomokit.io.tiff_write import fill_tiff


@pytest.fixture
def volume() -> Volume:
    density = np.random.default_rng(0).random((3, 5, 7), np.float32)
    return Volume(density, 8.0, origin_angstrom=(1.0, 2.0, 3.0), provenance={"method": "wbp"})


@pytest.mark.parametrize("suffix", [*MRC_SUFFIXES, ".MRC"])
def test_names_of_mrc(tmp_path: Path, volume: Volume, suffix: str) -> None:
    write_volume(tmp_path / f"o{suffix}", volume)
    write_volume(tmp_path / "plain.mrc", volume)
    assert (tmp_path / f"o{suffix}").read_bytes() == (tmp_path / "plain.mrc").read_bytes()


def test_compressed_mrc_is_the_same_file_and_the_same_bytes_each_time(tmp_path: Path, volume: Volume) -> None:
    for name in ("o.mrc", "o.mrc.gz", "again.rec.gz"):
        write_volume(tmp_path / name, volume)
    packed = (tmp_path / "o.mrc.gz").read_bytes()
    assert packed[:2] == b"\x1f\x8b"
    assert gzip.decompress(packed) == (tmp_path / "o.mrc").read_bytes()
    assert packed == (tmp_path / "again.rec.gz").read_bytes()
    np.testing.assert_array_equal(read_volume(tmp_path / "o.mrc.gz").density, volume.density)


def test_tiff_has_pages_voxel_size_and_spacing(tmp_path: Path, volume: Volume) -> None:
    tifffile = pytest.importorskip("tifffile")
    write_volume(tmp_path / "o.tif", volume)
    with tifffile.TiffFile(tmp_path / "o.tif") as tiff:
        np.testing.assert_array_equal(tiff.asarray(), volume.density)
        assert (tiff.is_imagej, tiff.is_bigtiff, tiff.byteorder) == (True, False, "<")
        assert (tiff.imagej_metadata["slices"], tiff.imagej_metadata["unit"]) == (3, "nm")
        assert tiff.imagej_metadata["spacing"] == pytest.approx(0.8)
        across, by = tiff.pages[0].tags["XResolution"].value
        assert across / by == pytest.approx(1 / 0.8)


@pytest.mark.parametrize("known", [True, False])
def test_a_large_tiff_is_a_bigtiff(tmp_path: Path, volume: Volume, known: bool) -> None:
    tifffile = pytest.importorskip("tifffile")
    path = tmp_path / "o.tif"
    path.touch()
    fill_tiff(path, volume, known, imagej_bytes=100)
    with tifffile.TiffFile(path) as tiff:
        np.testing.assert_array_equal(tiff.asarray(), volume.density)
        assert tiff.is_bigtiff
        assert tiff.pages[0].tags["ResolutionUnit"].value == (3 if known else 1)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("o.h5", "volumes are not written as HDF5"),
        ("o.HDF5", "volumes are not written as HDF5"),
        ("o.npy", r"\.npy is no format that is written; name it \.mrc"),
        ("o", "the name has no suffix"),
        ("o.mrc.bz2", r"\.bz2 is no format"),
        (".tif", "the name has no suffix"),
    ],
)
def test_other_names_are_refused(tmp_path: Path, volume: Volume, name: str, said: str) -> None:
    with pytest.raises(OutputError, match=said):
        write_volume(tmp_path / name, volume)
    assert list(tmp_path.iterdir()) == []


def test_stacks_are_mrc(tmp_path: Path, volume: Volume) -> None:
    with pytest.raises(OutputError, match="stacks of images are written as MRC only"):
        write_stack(tmp_path / "o.tif", volume.density)
    write_stack(tmp_path / "o.mrc", volume.density)
    write_stack(tmp_path / "o.st.gz", volume.density)
    assert gzip.decompress((tmp_path / "o.st.gz").read_bytes()) == (tmp_path / "o.mrc").read_bytes()


def test_no_two_volumes_share_a_name_beside_them() -> None:
    names = ["ts.mrc", "ts.rec", "ts.MRC", "ts.tif", "ts.mrc.gz", "ts.rec.mrc", "ts.zarr", "ts.tif.mrc", "a.b.mrc"]
    beside = [path_beside(Path("x", name), ".png") for name in names]
    assert len(set(beside)) == len(names)
    assert beside[:2] == [Path("x/ts.png"), Path("x/ts.rec.png")]
    assert beside[-1] == Path("x/a.b.png")


class TestOmeZarr:
    """What ``--overwrite`` may replace."""

    @pytest.fixture
    def image(self, tmp_path: Path, volume: Volume) -> Path:
        pytest.importorskip("zarr")
        write_volume(tmp_path / "o.zarr", volume)
        return tmp_path / "o.zarr"

    def test_an_image_alone_is_replaced(self, image: Path, volume: Volume) -> None:
        with pytest.raises(OutputError, match="exists already"):
            write_volume(image, volume)
        write_volume(image, Volume(volume.density + 1, 8.0), overwrite=True)
        import zarr

        np.testing.assert_array_equal(zarr.open_group(str(image), mode="r")["0"][:], volume.density + 1)
        assert [path.name for path in image.parent.iterdir()] == ["o.zarr"]

    @pytest.mark.parametrize("place", ["notes.txt", "labels", "0/mine"])
    def test_what_is_no_part_of_the_image_is_kept(self, image: Path, volume: Volume, place: str) -> None:
        (image / place).write_text("mine")
        with pytest.raises(OutputError, match=f"holds more than an OME-Zarr image, {place}"):
            write_volume(image, volume, overwrite=True)
        assert (image / place).read_text() == "mine"

    @pytest.mark.parametrize(
        "metadata",
        [
            {"zarr_format": 3, "node_type": "array"},
            {"zarr_format": 3, "attributes": {"ome": {"multiscales": []}}},
            {"attributes": {"ome": {"multiscales": [{"datasets": [{"path": ".."}]}]}}},
            {"attributes": {"ome": {"multiscales": [{"datasets": [{"path": "9"}]}]}}},
            [],
        ],
    )
    def test_another_zarr_is_kept(self, image: Path, volume: Volume, metadata: object) -> None:
        (image / "zarr.json").write_text(json.dumps(metadata))
        with pytest.raises(OutputError, match="is no OME-Zarr image"):
            write_volume(image, volume, overwrite=True)

    def test_an_input_in_it_is_kept(self, image: Path) -> None:
        (image / "0" / "c" / "run.h5").write_text("a state")
        with pytest.raises(OutputError, match="holds an input of this job"):
            check_ome_zarr(image, overwrite=True, inputs=[image / "0" / "c" / "run.h5"])

    @pytest.mark.parametrize("supported", [True, False])
    def test_an_interrupt_between_the_renames_loses_nothing(
        self, image: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch, supported: bool
    ) -> None:
        """At each operation of the exchange, also where the file system cannot exchange names in one step."""
        from faults import Faults

        from tomokit.io import durable

        if not supported:

            def unsupported(*_: object) -> None:
                raise OSError(22, "Invalid argument")

            monkeypatch.setattr(durable, "_renameat2", unsupported)
        before = (image / "zarr.json").read_bytes()
        new = Volume(volume.density, 9.0)
        number = 0
        while True:
            number += 1
            with Faults(image.parent, "SIGINT", number) as faults:
                try:
                    write_volume(image, new, overwrite=True)
                    break
                except KeyboardInterrupt:
                    pass
            where = faults.operations[number - 1]
            # Once the names are given what is left is the removal of the old one.
            if (image / "zarr.json").read_bytes() != before:
                assert where[0] in ("open", "unlink", "rmdir", "fsync"), where
                break
            assert [path.name for path in image.parent.iterdir()] == ["o.zarr"], where
        assert number > 5
