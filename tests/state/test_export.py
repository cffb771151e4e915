"""The density of a state on any lattice, in MRC and OME-Zarr."""

from __future__ import annotations

import json
import math
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import mrcfile
import numpy as np
import pytest

from tomokit.commands.app import run
from tomokit.errors import InputError, OptionError, OutputError, PluginError
from tomokit.io import read_volume
from tomokit.pipeline.driver import reconstruct
from tomokit.pipeline.export import export
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.state.density import StoredDensity
from tomokit.state.read import read_state
from tomokit.state.record import State

Job = Callable[..., ReconstructionRequest]


@pytest.mark.parametrize("method", ["octree", "sart-tv", "tv"])
@pytest.mark.parametrize("changes", [{}, {"bin": 2, "linearization": "log"}])
def test_by_default_it_is_the_tomogram(job: Job, method: str, changes: dict[str, object]) -> None:
    """Also with a margin, which offsets that are fitted bring, and with the constraint of tv."""
    request = job(method, **changes)
    if changes and method == "octree":
        request.options.update({"leaf_px": 8.0})
    reconstruct(request)
    output = request.output.with_name("again.mrc")
    summary = export(request.state, output)
    written, expected = read_volume(output), read_volume(request.output)
    np.testing.assert_array_equal(written.density, expected.density)
    assert summary["shape"] == list(expected.density.shape)
    assert written.voxel_size_angstrom == expected.voxel_size_angstrom
    assert written.origin_angstrom == (0, 0, 0)


@pytest.mark.parametrize("method", ["octree", "sart-tv"])
def test_a_box_is_a_part_of_the_tomogram(job: Job, method: str) -> None:
    request = job(method)
    reconstruct(request)
    whole = read_volume(request.output).density
    output = request.output.with_name("part.mrc")
    summary = export(request.state, output, box=((3, 9), (0, 32), (10, 15)))
    np.testing.assert_array_equal(read_volume(output).density, whole[3:9, :, 10:15])
    # Where the first voxel of the box lies in the tomogram, at 10 ångström a voxel.
    assert summary["origin_angstrom"] == [100, 0, 30]
    with mrcfile.open(output) as file:
        assert [float(file.header.origin[axis]) for axis in "xyz"] == [100, 0, 30]


def linear_state(margin: int = 0) -> State:
    """Voxels whose density is ``1 + 2 x + 3 z + 5 y``."""
    x, z, y = np.meshgrid(np.arange(-margin, 6 + margin), np.arange(4), np.arange(5), indexing="ij")
    values = (1 + 2 * x + 3 * z + 5 * y).astype(np.float32)
    recipe = {
        "kind": "voxels", "array": "a", "margin_px": margin, "scale": 1.0, "least": None, "shape_xzy": [6, 4, 5],
        "voxel_size_angstrom": 2.0, "voxel_size_is_known": True, "units": "none", "units_scale": 0.5,
    }  # fmt: skip
    return State(1, 1, False, {}, {}, [], recipe, {"a": values})


@pytest.mark.parametrize("spacing", [0.25, 0.7, 1.0, 2.0, 1.5])
def test_a_linear_density_is_sampled_exactly(spacing: float) -> None:
    """Between voxel centres at any spacing, where it is coarser as the mean, which is the same."""
    start, count = (1.2, 0.5, 1.1), (2, 2, 2)
    if spacing <= 1:
        start, count = (0.3, 0.2, 0.1), (4, 3, 4)
    found = StoredDensity(linear_state()).sample(start, spacing, count)
    x, z, y = (at + spacing * np.arange(n) for at, n in zip(start, count, strict=True))
    expected = 0.5 * (1 + 2 * x[:, None, None] + 3 * z[:, None] + 5 * y)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_coarser_voxels_are_means(job: Job) -> None:
    request = job("sart-tv")
    reconstruct(request)
    output = request.output.with_name("coarse.mrc")
    export(request.state, output, spacing_angstrom=20)
    whole = read_volume(request.output).density
    means = whole.reshape(8, 2, 16, 2, 16, 2).mean((1, 3, 5))
    np.testing.assert_allclose(read_volume(output).density, means, rtol=1e-4, atol=1e-6 * np.abs(means).max())


def test_beyond_the_faces_there_is_nothing_but_the_margin() -> None:
    inside = StoredDensity(linear_state()).sample((-2.0, 0.0, 0.0), 1.0, (10, 1, 1))[:, 0, 0]
    np.testing.assert_allclose(inside, [0, 0, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 0, 0])
    wide = StoredDensity(linear_state(margin=1)).sample((-2.0, 0.0, 0.0), 1.0, (10, 1, 1))[:, 0, 0]
    np.testing.assert_allclose(wide, [0, -0.5, 0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 0])
    # Up to the outer face the outermost centre's value.
    edge = StoredDensity(linear_state()).sample((-0.5, 0.0, 0.0), 0.25, (4, 1, 1))[:, 0, 0]
    np.testing.assert_allclose(edge, [0.5, 0.5, 0.5, 0.75])


def test_the_octree_is_sampled_between_its_voxels(job: Job) -> None:
    request = job("octree")
    reconstruct(request)
    density = StoredDensity(read_state(request.state))
    coarse = density.sample((4.0, 4.0, 4.0), 1.0, (16, 8, 16))
    # Cubes of half the edge: eight of them make one.
    fine = density.sample((3.75, 3.75, 3.75), 0.5, (32, 16, 32))
    means = fine.reshape(16, 2, 8, 2, 16, 2).mean((1, 3, 5))
    assert np.linalg.norm(means - coarse) < 0.02 * np.linalg.norm(coarse)
    assert np.abs(fine - coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2)).max() > 0.1 * coarse.max()


def test_slabs_make_no_difference(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    density = StoredDensity(linear_state())
    lattices = [((0.3, 0.1, 0.2), 1.7, (3, 2, 2)), ((0.3, 0.1, 0.2), 0.7, (6, 4, 5)), ((2.0, 2.0, 2.0), 9.5, (2, 1, 2))]
    whole = [density.sample(*lattice) for lattice in lattices]
    monkeypatch.setattr("tomokit.state.density._SLAB_BYTES", 1)
    for edge in (1, 2, 3, 5):
        monkeypatch.setattr("tomokit.state.lattice_means._BLOCK_EDGE", edge)
        for lattice, expected in zip(lattices, whole, strict=True):
            np.testing.assert_allclose(density.sample(*lattice), expected, rtol=1e-6)


@pytest.mark.parametrize("count", [(1, 1, 1), (2, 3, 1)])
@pytest.mark.parametrize("spacing", [2.5, 7.0, 13.4, 40.0])
def test_coarse_voxels_are_means_of_all_finer_points(spacing: float, count: tuple[int, int, int]) -> None:
    density = StoredDensity(linear_state(margin=1))
    start, finer = (-0.7, 0.4, 1.9), math.ceil(spacing)
    fine = density.sample(
        tuple(at - (finer - 1) / 2 * spacing / finer for at in start), spacing / finer, tuple(n * finer for n in count)
    )
    means = fine.reshape(count[0], finer, count[1], finer, count[2], finer).mean((1, 3, 5), dtype=np.float64)
    assert means.any()
    np.testing.assert_allclose(density.sample(start, spacing, count), means, rtol=1e-5)


def test_coarse_voxels_take_little_memory_and_time(job: Job) -> None:
    request = job("octree")
    reconstruct(request)
    for state in (linear_state(), read_state(request.state)):
        density = StoredDensity(state)
        density.sample((8.0, 4.0, 8.0), 100.0, (1, 1, 1))
        tracemalloc.start()
        # Eight points of 300 finer ones along each edge are 216 million, of which the density has a few hundred.
        density.sample((8.0, 4.0, 8.0), 300.0, (2, 2, 2))
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
        tracemalloc.stop()


def test_a_spacing_beyond_the_box_is_refused(job: Job) -> None:
    request = job("sart-tv")
    reconstruct(request)
    for spacing in (1e300, 321.0):
        with pytest.raises(OptionError, match=r"--spacing: .* more than the box's longest side of 320 angstrom"):
            export(request.state, request.output.with_name("e.mrc"), spacing_angstrom=spacing)


def test_a_method_that_does_not_say_how_is_exported_by_its_volume(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    from tomokit.methods.capabilities import Samplable
    from tomokit.methods.voxels.run import VoxelRun

    monkeypatch.delattr(VoxelRun, "stored_density")
    # The protocol remembers which classes it has found to fit, those of other tests included.
    Samplable._abc_caches_clear()
    request = job("sirt")
    try:
        reconstruct(request)
    finally:
        Samplable._abc_caches_clear()
    assert "volume" in read_state(request.state).arrays
    export(request.state, request.output.with_name("again.mrc"))
    again = read_volume(request.output.with_name("again.mrc")).density
    np.testing.assert_array_equal(again, read_volume(request.output).density)


def test_neither_input_nor_plugin_is_needed(job: Job, tmp_path: Path) -> None:
    request = job("sirt", stack=tmp_path / "copy.mrc")
    for suffix in (".mrc", ".tlt"):
        original = job("sirt").stack.with_suffix(suffix)
        (tmp_path / "copy").with_suffix(suffix).write_bytes(original.read_bytes())
    reconstruct(request)
    request.stack.unlink()
    record = export(request.state, request.output.with_name("again.mrc"))["provenance_file"]
    provenance = json.loads(Path(record).read_text("utf-8"))
    assert provenance["inputs"] == json.loads(request.provenance_path.read_text("utf-8"))["inputs"]
    assert provenance["exported"]["spacing_angstrom"] == 10


def test_what_makes_no_sense_is_refused(job: Job, stop_after: Callable[[int], object]) -> None:
    request = job("sirt")
    reconstruct(request, stop=stop_after(0))  # type: ignore[arg-type]
    output = request.output.with_name("e.mrc")
    with pytest.raises(OptionError, match="--spacing"):
        export(request.state, output, spacing_angstrom=0)
    with pytest.raises(OptionError, match="--box"):
        export(request.state, output, box=((0, 4), (3, 3), (0, 4)))
    with pytest.raises(OutputError, match="input of this job"):
        export(request.state, request.state, overwrite=True)
    assert run(["export", str(request.state), str(output), "--box", "1:2,3"]) == 2
    assert not output.exists()
    with pytest.raises(InputError, match="nothing is fitted yet"):
        StoredDensity(State(0, 4, False, {}, {}))


def test_ome_zarr_without_its_package_says_what_to_install(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "zarr", None)
    request = job("sirt")
    reconstruct(request)
    with pytest.raises(PluginError, match=r"pip install 'tomokit\[zarr\]'"):
        export(request.state, request.output.with_name("e.zarr"))


def test_ome_zarr_has_a_pyramid_in_the_right_place(job: Job) -> None:
    zarr = pytest.importorskip("zarr")
    request = job("sart-tv")
    reconstruct(request)
    output = request.output.with_name("e.zarr")
    assert run(["export", str(request.state), str(output), "--spacing", "4", "--box", "2:15,0:32,0:31"]) == 0
    mrc = request.output.with_name("e.mrc")
    export(request.state, mrc, spacing_angstrom=4, box=((2, 15), (0, 32), (0, 31)))
    expected = read_volume(mrc).density
    group = zarr.open_group(str(output), mode="r")
    (scales,) = group.attrs["ome"]["multiscales"]
    assert [axis["name"] for axis in scales["axes"]] == ["z", "y", "x"]
    assert {axis["unit"] for axis in scales["axes"]} == {"angstrom"}
    levels = [group[dataset["path"]][:] for dataset in scales["datasets"]]
    np.testing.assert_array_equal(levels[0], expected)
    assert [level.shape for level in levels] == [(33, 80, 78), (17, 40, 39)]
    np.testing.assert_allclose(levels[1][:16], expected[:32].reshape(16, 2, 40, 2, 39, 2).mean((1, 3, 5)), atol=1e-6)
    np.testing.assert_allclose(levels[1][16], expected[32].reshape(40, 2, 39, 2).mean((1, 3)), atol=1e-6)
    first, second = (dataset["coordinateTransformations"] for dataset in scales["datasets"])
    assert (first[0]["scale"], second[0]["scale"]) == ([4, 4, 4], [8, 8, 8])
    # The first centre, 2 voxels of 10 down, and 3 to the outside for voxels of 4; of a mean, 2 further in.
    np.testing.assert_allclose(first[1]["translation"], [17, -3, -3])
    np.testing.assert_allclose(second[1]["translation"], [19, -1, -1])
    assert group.attrs["tomokit"]["method"] == "sart-tv"
    assert run(["export", str(request.state), str(output)]) == 2
    assert run(["export", str(request.state), str(output), "--overwrite"]) == 0
    assert zarr.open_group(str(output), mode="r")["0"].shape == (16, 32, 32)
    assert not [path for path in output.parent.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("method", ["octree", "sart-tv"])
@pytest.mark.parametrize("spacing", [10, 7, 25])
def test_the_blocks_of_an_ome_zarr_are_the_whole(
    job: Job, monkeypatch: pytest.MonkeyPatch, method: str, spacing: float
) -> None:
    zarr = pytest.importorskip("zarr")
    from tomokit.io import ome_zarr_write

    monkeypatch.setattr(ome_zarr_write, "CHUNK_EDGE", 8)
    request = job(method)
    reconstruct(request)
    export(request.state, request.output.with_name("e.mrc"), spacing_angstrom=spacing)
    export(request.state, request.output.with_name("e.zarr"), spacing_angstrom=spacing)
    whole = read_volume(request.output.with_name("e.mrc")).density
    blocks = zarr.open_group(str(request.output.with_name("e.zarr")), mode="r")["0"][:]
    np.testing.assert_allclose(blocks, whole, rtol=1e-4, atol=1e-6 * np.abs(whole).max())


def test_a_folder_that_is_no_ome_zarr_is_never_replaced(job: Job) -> None:
    pytest.importorskip("zarr")
    request = job("sirt")
    reconstruct(request)
    folder = request.output.with_name("mine.zarr")
    folder.mkdir()
    (folder / "precious").write_text("mine")
    with pytest.raises(OutputError, match="is no OME-Zarr"):
        export(request.state, folder, overwrite=True)
    assert (folder / "precious").read_text() == "mine"
