"""Pictures of slices: the right slices, to scale, whole or absent."""

import subprocess
import sys

import numpy as np
import pytest

from tomokit.errors import InputError, OptionError, OutputError
from tomokit.preview import central_slices, write_comparison, write_preview


def numbered(shape=(6, 9, 12)):
    z, y, x = np.indices(shape)
    return (10_000 * z + 100 * y + x).astype(np.float32)


def pixels(path):
    image = pytest.importorskip("matplotlib.image").imread(path)
    return image[..., :3]


def grey_box(image):
    """Bounds (top, bottom, left, right) of each of the panels' common extent: all that is neither white nor text."""
    inside = (image == np.float32(0.0)).all(axis=-1)
    rows, columns = np.flatnonzero(inside.sum(axis=1) > 20), np.flatnonzero(inside.sum(axis=0) > 20)
    return rows[0], rows[-1] + 1, columns[0], columns[-1] + 1


def test_slices_are_the_central_ones():
    values = numbered()
    slices = central_slices(values)
    np.testing.assert_array_equal(slices["xy"], values[3])
    np.testing.assert_array_equal(slices["xz"], values[:, 4])
    np.testing.assert_array_equal(slices["yz"], values[:, :, 6].T)


def test_slabs_are_averages_about_the_centre():
    values = numbered()
    slices = central_slices(values, slab=3)
    np.testing.assert_allclose(slices["xy"], values[2:5].mean(axis=0))
    np.testing.assert_allclose(slices["yz"], values[:, :, 5:8].mean(axis=2).T)
    np.testing.assert_allclose(central_slices(values, slab=100)["xz"], values.mean(axis=1))


def test_panels_are_to_scale_and_in_place(tmp_path):
    # One bright voxel of black: where it is drawn tells zoom and orientation of every panel.
    values = np.zeros((20, 40, 60), np.float32)
    values[10, 20, 30] = 1
    values[10, 35, 5] = 1
    values[17, 20, 5] = 1
    write_preview(tmp_path / "p.png", values, voxel_size_angstrom=10, title="", percentiles=(0, 100))
    image = pixels(tmp_path / "p.png")
    top, bottom, left, right = grey_box(image)
    zoom = 1300 // 80
    assert right - left == zoom * 80 + 10
    assert bottom - top == zoom * 60 + 10

    def at(x, up):
        """Colour of the voxel at this column from the left and row from the bottom, gaps by hand."""
        return image[bottom - 1 - round(up), left + round(x)].mean()

    half = zoom // 2
    above, beside = 20 * zoom + 10, 60 * zoom + 10
    assert at(30 * zoom + half, above + 20 * zoom + half) > 0.9
    assert at(5 * zoom + half, above + 35 * zoom + half) > 0.9
    assert at(5 * zoom + half, 17 * zoom + half) > 0.9
    assert at(30 * zoom + half, 10 * zoom + half) > 0.9
    assert at(beside + 10 * zoom + half, above + 20 * zoom + half) > 0.9
    assert at(beside + 10 * zoom + half, above + 35 * zoom + half) < 0.1
    assert at(31 * zoom + half, above + 20 * zoom + half) < 0.1


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 50, 20), (5, 300, 7), (3, 2, 700), (4, 900, 1400)])
def test_any_shape_makes_a_picture(tmp_path, shape):
    values = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    write_preview(tmp_path / "p.png", values, voxel_size_angstrom=0.01, title="a $name_ {x} " * 40)
    write_comparison(tmp_path / "c.png", values, values + 1, voxel_size_angstrom=5e4, title="t")
    for name in ("p.png", "c.png"):
        height, width, _ = pixels(tmp_path / name).shape
        assert max(height, width) < 2500
        assert width >= 640


@pytest.mark.parametrize("fill", [0.0, np.nan, 3e38])
def test_constant_and_undefined_volumes_make_a_picture(tmp_path, fill):
    values = np.full((4, 8, 8), fill, np.float32)
    write_preview(tmp_path / "p.png", values, voxel_size_angstrom=1, title="t")
    assert pixels(tmp_path / "p.png").size


def test_contrast_ignores_outliers_and_undefined_voxels(tmp_path):
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 60, 60)).astype(np.float32)
    write_preview(tmp_path / "plain.png", values, voxel_size_angstrom=1, title="t")
    values[15, 30, 40] = 1e6
    values[15, 31, 40] = np.nan
    write_preview(tmp_path / "spoilt.png", values, voxel_size_angstrom=1, title="t")
    difference = np.abs(pixels(tmp_path / "plain.png") - pixels(tmp_path / "spoilt.png")).max(axis=-1)
    assert 0 < (difference > 0.1).mean() < 0.02


@pytest.fixture
def words(monkeypatch):
    """What is written on a picture."""
    from matplotlib.figure import Figure

    found = []
    text = Figure.text

    def listened(self, x, y, said, *args, **kwargs):
        found.append(said)
        return text(self, x, y, said, *args, **kwargs)

    monkeypatch.setattr(Figure, "text", listened)
    return found


@pytest.mark.parametrize(
    ("n_x", "voxel", "size", "bar"),
    [
        (12, 20.0, "12 x 9 x 6 voxels (x, y, z) of 20 Å, central slices", "5 nm"),
        (12, None, "12 x 9 x 6 voxels (x, y, z), voxel size unknown, central slices", "2 voxels"),
        (200, None, "200 x 9 x 6 voxels (x, y, z), voxel size unknown, central slices", "50 voxels"),
        (2, None, "2 x 9 x 6 voxels (x, y, z), voxel size unknown, central slices", "1 voxel"),
    ],
)
def test_an_unknown_voxel_size_is_not_made_up(tmp_path, words, n_x, voxel, size, bar):
    values = numbered((6, 9, n_x))
    write_preview(tmp_path / "p.png", values, voxel_size_angstrom=voxel, title="t")
    write_comparison(tmp_path / "c.png", values, values, voxel_size_angstrom=voxel, title="t")
    assert sum(said.startswith(size) for said in words) == 2
    assert words.count(bar) == 2
    assert any("Å" in said for said in words) == (voxel is not None)


def test_comparison_shows_where_the_volume_differs(tmp_path):
    truth = np.zeros((20, 40, 40), np.float32)
    truth[5:15, 10:20, 10:20] = 1
    volume = truth.copy()
    volume[8:12, 25:35, 25:35] = 1
    write_comparison(tmp_path / "c.png", volume, truth, voxel_size_angstrom=8, title="t")
    image = pixels(tmp_path / "c.png")
    red = (image[..., 0] > 0.3) & (image[..., 2] < 0.3) & (image[..., 1] < 0.2)
    columns = np.flatnonzero(red.any(axis=0))
    # Red, for too much, in the last third only; and nowhere blue, for nowhere is too little.
    assert columns.min() > 0.6 * image.shape[1]
    blue = (image[..., 2] > 0.3) & (image[..., 0] < 0.2) & (image[..., 1] < 0.4)
    assert not blue.any()


def test_only_slices_of_a_mapped_volume_are_read(tmp_path):
    values = numbered((8, 16, 20))
    np.save(tmp_path / "v.npy", values)
    mapped = np.load(tmp_path / "v.npy", mmap_mode="r")
    for name, image in central_slices(mapped).items():
        np.testing.assert_array_equal(image, central_slices(values)[name])
        assert not isinstance(image.base, np.memmap)


def test_an_existing_picture_stays_unless_asked(tmp_path):
    path = tmp_path / "p.png"
    path.write_bytes(b"mine")
    with pytest.raises(OutputError, match="exists"):
        write_preview(path, numbered(), voxel_size_angstrom=1, title="t")
    assert path.read_bytes() == b"mine"
    write_preview(path, numbered(), voxel_size_angstrom=1, title="t", overwrite=True)
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["p.png"]


def test_bad_input_is_refused_and_nothing_written(tmp_path):
    path = tmp_path / "p.png"
    with pytest.raises(InputError, match="shape"):
        write_preview(path, np.zeros((3, 3), np.float32), voxel_size_angstrom=1, title="t")
    with pytest.raises(InputError, match="beside a truth"):
        write_comparison(path, numbered(), numbered((6, 9, 11)), voxel_size_angstrom=1, title="t")
    with pytest.raises(OptionError, match="slab"):
        write_preview(path, numbered(), voxel_size_angstrom=1, title="t", slab=0)
    assert not list(tmp_path.iterdir())


def test_modules_import_without_heavy_libraries():
    code = (
        "import sys; import tomokit.preview, tomokit.phantom, tomokit.metrics; "
        "print([m for m in ('matplotlib', 'numba', 'scipy') if m in sys.modules])"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert output.strip() == "[]"
