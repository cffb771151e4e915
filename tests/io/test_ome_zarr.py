"""The pyramid of an OME-Zarr: what its levels are and where they lie, whatever ends the writing, in bounded memory."""

from __future__ import annotations

import ast
import json
import os
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from faults import Faults

from tomokit.data import Volume
from tomokit.io import ome_zarr_write, write_volume

zarr = pytest.importorskip("zarr")


@pytest.fixture
def volume() -> Volume:
    density = np.random.default_rng(0).normal(size=(9, 70, 133)).astype(np.float32)
    return Volume(density, 8.0, origin_angstrom=(16.0, 24.0, -8.0), provenance={"method": "wbp"})


@pytest.fixture
def small_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Many blocks in a small volume."""
    monkeypatch.setattr(ome_zarr_write, "CHUNK_EDGE", 16)


def means(volume: np.ndarray, level: int) -> np.ndarray:
    """Means over cubes of ``2**level`` voxels; those at the end are of what there is, pair by pair."""
    for _ in range(level):
        for axis, size in enumerate(volume.shape):
            if size % 2 and size > 1:
                last = np.take(volume, [-1], axis)
                volume = np.concatenate([volume, last], axis)
            if size > 1:
                volume = (np.take(volume, range(0, volume.shape[axis], 2), axis)
                          + np.take(volume, range(1, volume.shape[axis], 2), axis)) / 2  # fmt: skip
    return volume


@pytest.mark.parametrize("edge", [16, 96])
def test_every_level_is_the_mean_of_the_one_before(
    tmp_path: Path, volume: Volume, monkeypatch: pytest.MonkeyPatch, edge: int
) -> None:
    monkeypatch.setattr(ome_zarr_write, "CHUNK_EDGE", edge)
    write_volume(tmp_path / "o.zarr", volume)
    group = zarr.open_group(str(tmp_path / "o.zarr"), mode="r")
    levels = [group[dataset["path"]] for dataset in group.attrs["ome"]["multiscales"][0]["datasets"]]
    assert [level.shape for level in levels] == [(9, 70, 133), (5, 35, 67), (3, 18, 34)]
    for number, level in enumerate(levels):
        assert level.dtype == np.float32
        assert max(level.chunks) <= edge
        np.testing.assert_allclose(level[:], means(volume.density.astype(float), number), rtol=1e-4, atol=1e-6)


def test_centres_of_voxels_lie_where_they_are_said_to(tmp_path: Path) -> None:
    """A density that is its own place along x, y and z: a mean of it is the place of the mean's centre."""
    z, y, x = np.meshgrid(np.arange(1), np.arange(64), np.arange(256), indexing="ij")
    for number, place in enumerate((z, y, x)):
        first = (3.0, 5.0, 7.0)[number]
        density = (first + 2.0 * place).astype(np.float32)
        write_volume(tmp_path / f"{number}.zarr", Volume(density, 2.0, origin_angstrom=(7.0, 5.0, 3.0)))
        group = zarr.open_group(str(tmp_path / f"{number}.zarr"), mode="r")
        (image,) = group.attrs["ome"]["multiscales"]
        for dataset in image["datasets"]:
            scale, shift = (
                dataset["coordinateTransformations"][i][kind] for i, kind in enumerate(("scale", "translation"))
            )
            values = np.moveaxis(group[dataset["path"]][:], number, -1)
            centres = shift[number] + scale[number] * np.arange(values.shape[-1])
            np.testing.assert_allclose(values, np.broadcast_to(centres, values.shape))
    assert scale == [2, 8, 8]
    assert shift == [3, 5 + 2 * 1.5, 7 + 2 * 1.5]


def test_it_is_what_the_specification_says(tmp_path: Path, volume: Volume) -> None:
    models = pytest.importorskip("ome_zarr_models.v05.image")
    write_volume(tmp_path / "o.zarr", volume)
    image = models.Image.from_zarr(zarr.open_group(str(tmp_path / "o.zarr"), mode="r"))
    (multiscale,) = image.ome_attributes.multiscales
    assert [(axis.name, axis.type, axis.unit) for axis in multiscale.axes] == [
        (name, "space", "angstrom") for name in "zyx"
    ]
    assert len(multiscale.datasets) == 3


def test_the_reader_of_others_takes_it_for_an_image(tmp_path: Path, volume: Volume) -> None:
    reading, parsing = (pytest.importorskip(f"ome_zarr.{name}") for name in ("reader", "io"))
    write_volume(tmp_path / "o.zarr", volume)
    (node, *_) = reading.Reader(parsing.parse_url(str(tmp_path / "o.zarr")))()
    assert [data.shape for data in node.data] == [(9, 70, 133), (5, 35, 67), (3, 18, 34)]
    np.testing.assert_array_equal(np.asarray(node.data[0]), volume.density)


def test_it_says_what_contrast_to_begin_with(tmp_path: Path, volume: Volume) -> None:
    write_volume(tmp_path / "o.zarr", volume)
    ome = zarr.open_group(str(tmp_path / "o.zarr"), mode="r").attrs["ome"]
    window = ome["omero"]["channels"][0]["window"]
    values = volume.density.astype(float)
    assert window["min"] == pytest.approx(values.min())
    assert window["start"] == pytest.approx(values.mean() - 3 * values.std())
    assert window["end"] == pytest.approx(values.mean() + 3 * values.std())


def test_memory_holds_blocks_and_not_the_volume(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ome_zarr_write, "CHUNK_EDGE", 24)
    shape = (96, 96, 192)
    voxels = np.memmap(tmp_path / "voxels", "<f4", "w+", shape=shape)
    voxels[...] = np.random.default_rng(1).random(shape, np.float32)
    write_volume(tmp_path / "first.zarr", Volume(np.ones((2, 2, 2), np.float32)))
    tracemalloc.start()
    try:
        write_volume(tmp_path / "o.zarr", Volume(voxels))
        assert tracemalloc.get_traced_memory()[1] < voxels.nbytes / 4
    finally:
        tracemalloc.stop()


def end_at(number: int, folder: Path, volume: Volume, overwrite: bool) -> bool:
    """Write ``o.zarr`` in a process of its own that is killed at a file operation; whether it was."""
    child = os.fork()
    if child == 0:
        try:
            with Faults(folder, "SIGKILL", number):
                write_volume(folder / "o.zarr", volume, overwrite=overwrite)
        finally:
            os._exit(0)
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_kill_leaves_nothing_that_looks_complete(
    tmp_path: Path, volume: Volume, small_chunks: None, overwrite: bool
) -> None:
    """At file operations from the first to the last: the new one is whole, or there is what was there."""
    density = volume.density[:, :40, :90]
    before, after = Volume(density - 1, 4.0), Volume(density, 8.0)
    if overwrite:
        write_volume(tmp_path / "o.zarr", before)

    def first_voxel() -> float | None:
        if not (tmp_path / "o.zarr").exists():
            return None
        group = zarr.open_group(str(tmp_path / "o.zarr"), mode="r")
        assert len(group.attrs["ome"]["multiscales"][0]["datasets"]) == 2
        values = group["0"][:]
        assert any(np.array_equal(values, volume.density) for volume in (before, after))
        return float(values[0, 0, 0])

    number, step, ends, left = 1, 1, 0, 0
    while end_at(number, tmp_path, after, overwrite):
        ends += 1
        names = [path.name for path in tmp_path.iterdir() if path.name != "o.zarr"]
        left += len(names)
        assert all(name.startswith(".o.zarr.") and name.endswith((".part", ".old")) for name in names)
        found = first_voxel()
        if found == density[0, 0, 0]:
            break
        assert found == (before.density[0, 0, 0] if overwrite else None)
        number += step
        step += 2
    assert ends > 5
    assert left > 5
    # The next one clears away what is left.
    write_volume(tmp_path / "o.zarr", after, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["o.zarr"]
    assert first_voxel() == density[0, 0, 0]


def test_the_script_of_the_document_finds_what_it_reads(tmp_path: Path, volume: Volume) -> None:
    """All of it is run by hand only: its package is no requirement of the tests."""
    text = (Path(__file__).resolve().parents[2] / "docs" / "viewing.md").read_text(encoding="utf-8")
    (script,) = re.findall(r"^```python\n(.*?)```", text, flags=re.DOTALL | re.MULTILINE)
    ast.parse(script)
    write_volume(tmp_path / "o.zarr", volume)
    reading = script[script.index("said =") : script.index("server =")]
    names = {"json": json, "image": tmp_path / "o.zarr"}
    exec(reading, names)
    assert names["scales"] == pytest.approx([8e-10] * 3)
    assert names["known"] is True
    assert names["window"]["start"] < names["window"]["end"]
