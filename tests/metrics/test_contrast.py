"""Contrast by hand, isolated voxels against SciPy's median, and what is no file of regions."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import median_filter

from tomokit.commands.app import run
from tomokit.data import Volume
from tomokit.errors import InputError
from tomokit.io import write_volume
from tomokit.metrics import compare_arrays, contrast
from tomokit.metrics.boxes import Box
from tomokit.metrics.contrast import contrast_to_noise, equivalent_looks, isolated_per_thousand, mean_and_deviation
from tomokit.metrics.regions import read_regions

SHAPE = (14, 20, 24)


@pytest.mark.parametrize("block_voxels", [1, 3 * 20 * 24, 1 << 21])
def test_isolated_voxels_are_those_of_the_median(block_voxels: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contrast, "_BLOCK_VOXELS", block_voxels)
    volume = np.random.default_rng(0).standard_t(3, SHAPE).astype(np.float32)
    difference = np.abs(volume - median_filter(volume.astype(np.float64), 3, mode="nearest"))
    expected = 1000 * np.mean(difference > volume.astype(np.float64).std())
    assert 20 < expected < 400
    assert isolated_per_thousand(volume) == pytest.approx(expected, abs=1e-9)


def test_a_speck_is_isolated_and_an_edge_is_not() -> None:
    volume = np.zeros(SHAPE, np.float32)
    assert isolated_per_thousand(volume) == 0
    volume[:, :, 12:] = 1
    assert isolated_per_thousand(volume) == 0
    volume[5, 5, 5] = 9
    assert isolated_per_thousand(volume) == 1000 / volume.size
    with pytest.raises(InputError, match="no voxel"):
        isolated_per_thousand(volume[:0])


def test_contrast_and_looks_by_hand() -> None:
    volume = np.zeros((1, 2, 4), np.float32)
    volume[0, :, :2] = [[8, 12], [8, 12]]
    volume[0, :, 2:] = [[1, 3], [1, 3]]
    features = mean_and_deviation(volume, Box((0, 0, 0), (1, 2, 2)))
    background = mean_and_deviation(volume, Box((0, 0, 2), (1, 2, 4)))
    assert features == (10, 2)
    assert background == (2, 1)
    assert contrast_to_noise(features, background) == pytest.approx(8 / math.sqrt(2.5))
    assert contrast_to_noise(background, features) == contrast_to_noise(features, background)
    assert equivalent_looks(features) == 25
    assert equivalent_looks(background) == 4
    assert math.isnan(equivalent_looks((1, 0)))
    assert math.isnan(contrast_to_noise((1, 0), (2, 0)))


def region(**changes: Any) -> dict[str, Any]:
    return {"name": "a", "rectangle": [1, 2, 9, 8], "z": 3} | changes


def test_a_region_has_a_depth_of_10_unless_it_says_another(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    content = {"regions": [region(), region(name="b", depth=2)], "pairs": [["a", "b"]]}
    path.write_text(json.dumps(content))
    found = read_regions(path, SHAPE)
    assert found.boxes == {"a": Box((3, 2, 1), (13, 8, 9)), "b": Box((3, 2, 1), (5, 8, 9))}
    assert found.pairs == (("a", "b"),)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "is no JSON"),
        ([], "regions: has no list of regions"),
        ({"regions": []}, "regions: has no list of regions"),
        ({"regions": [3]}, "regions[0]: is no object"),
        ({"regions": [region(name=3)]}, "regions[0].name: is no text"),
        ({"regions": [region(rectangle=[1, 2, 3])]}, "regions[0].rectangle: is not four numbers"),
        ({"regions": [region(rectangle=[1, 2, 3, 4.5])]}, "regions[0].rectangle: 4.5 is no voxel"),
        ({"regions": [region(z=-1)]}, "regions[0].z: -1 is no voxel"),
        ({"regions": [{"name": "a", "rectangle": [1, 2, 3, 4]}]}, "regions[0].z: None is no voxel"),
        ({"regions": [region(rectangle=[5, 2, 5, 4])]}, "regions[0]: 'a' is empty"),
        ({"regions": [region(z=5)]}, "'a' ends at 9, 8, 15, beyond the volume of 24 x 20 x 14 voxels (x, y, z)"),
        ({"regions": [region(), region()]}, "regions[1].name: 'a' is there twice"),
        ({"regions": [region(width=3)]}, "regions[0].width: is no such field"),
        ({"regions": [region()], "pair": []}, "pair: is no such field"),
        ({"regions": [region()], "pairs": 3}, "pairs: is no list"),
        ({"regions": [region()], "pairs": [["a"]]}, "pairs[0]: is not two names"),
        ({"regions": [region()], "pairs": [["a", "film"]]}, "pairs[0]: there is no region 'film'; choose from a"),
    ],
)
def test_what_is_no_file_of_regions_is_refused(tmp_path: Path, content: object, said: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(InputError) as caught:
        read_regions(path, SHAPE)
    assert f"{path}: " in str(caught.value)
    assert said in str(caught.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: (
        st.lists(inner) | st.dictionaries(st.sampled_from(["regions", "pairs", "name", "rectangle", "z"]), inner)
    ),
    max_leaves=12,
)


@given(JSON, st.binary(max_size=20))
def test_any_other_text_is_refused_in_a_line(
    tmp_path_factory: pytest.TempPathFactory, content: object, raw: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.json"
    for text in (json.dumps(content).encode(), raw):
        path.write_bytes(text)
        with pytest.raises(InputError):
            read_regions(path, SHAPE)


def test_the_command_tells_what_it_measured(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    volume = np.random.default_rng(1).normal(5, 1, SHAPE).astype(np.float32)
    volume[:, :10] += 4
    write_volume("v.mrc", Volume(volume, 5.0))
    regions = [region(name="film", rectangle=[0, 0, 24, 9], z=2), region(name="ice", rectangle=[0, 11, 24, 20], z=2)]
    Path("r.json").write_text(json.dumps({"regions": regions, "pairs": [["film", "ice"]]}))
    assert run(["contrast", "v.mrc", "--regions", "r.json", "--json"]) == 0
    result = json.loads(capfd.readouterr().out)
    film, ice = volume[2:12, :9], volume[2:12, 11:]
    assert result["pairs"][0]["cnr"] == pytest.approx(
        (film.mean() - ice.mean()) / np.sqrt((film.var() + ice.var()) / 2)
    )
    assert result["regions"]["ice"]["enl"] == pytest.approx(ice.mean() ** 2 / ice.var(), rel=1e-5)
    assert run(["contrast", "v.mrc", "--regions", "r.json"]) == 0
    out = capfd.readouterr().out
    assert f"CNR of film against ice: {result['pairs'][0]['cnr']:.4g}" in out
    assert run(["contrast", "v.mrc"]) == 0
    assert capfd.readouterr().out.startswith("isolated extreme voxels: ")
    assert run(["contrast", "v.mrc", "--regions", "none.json"]) == 2
    assert capfd.readouterr().err == "tomokit: none.json: cannot be read (No such file or directory)\n"


def test_compare_counts_isolated_voxels_of_both() -> None:
    truth = np.zeros(SHAPE, np.float32)
    truth[:, :, 12:] = 1
    volume = truth.copy()
    volume[5, 5, 5] = 9
    found = compare_arrays(volume, truth)
    assert found["isolated_per_thousand"] == 1000 / truth.size
    assert found["isolated_per_thousand_truth"] == 0
