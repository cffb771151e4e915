"""What the preset ``default`` takes for specimens that fill the field of view, and what that gives way to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import tomokit
from tomokit.errors import OptionError
from tomokit.methods.octree.options import OctreeOptions
from tomokit.phantom import simulate_series
from tomokit.pipeline.config import build_request, method_options, read_preset
from tomokit.plugin.manager import get_registry
from tomokit.plugin.settings import give_way


def options_by(*settings: str, preset: str | None = None) -> OctreeOptions:
    """The octree's options as the command line gives them."""
    wanted = {"stack": Path("a.mrc"), "output": Path("b.mrc"), "thickness": 8}
    request = build_request(wanted, settings=settings, preset=preset)
    made = method_options(get_registry().get("method", request.method)(), request.options)
    assert isinstance(made, OctreeOptions)
    return made


def test_the_table_is_the_preset_primal_dual() -> None:
    table = dict(read_preset("default")["options"]["field_filling"])
    del table["unless"]
    # The same number, by the option that has a say there.
    table["strength"] = table.pop("field_filling_strength")
    assert table == read_preset("primal-dual")["options"]


def test_options_that_are_given_stand() -> None:
    plain = options_by()
    filled, other = plain.for_specimen(True), plain.for_specimen(False)
    assert (filled.solver, filled.epochs, filled.regularizers["tv"]["variant"]) == ("primal-dual", 12, "isotropic")
    assert (other.solver, other.epochs, other.regularizers["tv"]["variant"]) == ("gradient", 30, "concave")
    assert not filled.field_filling
    assert not other.field_filling
    given = options_by("epochs=7", "regularizers.tv.every=2").for_specimen(True)
    assert (given.solver, given.epochs, given.max_leaves) == ("primal-dual", 7, 1500)
    assert given.regularizers["tv"] == {"variant": "isotropic", "every": "2"}
    assert options_by("texture_strength=0.7").for_specimen(True).texture_strength == 0.7


@pytest.mark.parametrize(
    "setting", ["solver=gradient", "optimizers.adam.lr=0.1", "regularizers.boundary.weight=0", "activation=identity"]
)
def test_what_belongs_to_gradient_steps_switches_it_off(setting: str) -> None:
    made = options_by(setting)
    assert made.for_specimen(True) == made.for_specimen(False)
    assert made.for_specimen(True).solver == "gradient"


def test_a_table_gives_way_at_any_depth() -> None:
    options = {"a": 1, "field_filling": {"unless": ["x.y"], "a": 2, "t": {"u": 3, "v": 4}}}
    assert give_way(options, {"t": {"u": 0}})["field_filling"] == {"unless": ["x.y"], "a": 2, "t": {"v": 4}}
    assert give_way(options, {"x": {"z": 0}}) == options
    assert give_way(options, {"x": {"y": 0}}) == {"a": 1, "field_filling": {}}
    assert give_way({"a": 1}, {"a": 2}) == {"a": 1}


@pytest.mark.parametrize("table", [{"sovler": "gradient"}, {"epochs": 0}, {"activation": "clipped"}])
def test_a_bad_table_is_refused_before_anything_is_read(table: dict[str, object]) -> None:
    with pytest.raises(OptionError, match="octree"):
        OctreeOptions(field_filling=table)


def test_offsets_decide_which_settings_hold() -> None:
    series, _ = simulate_series((12, 16, 16), range(-60, 61, 20), noise=0.1)
    small = {"epochs": 2, "n": 6, "max_leaves": 60}

    def volume(offsets: str, preset: str | None, **options: object) -> np.ndarray:
        result = tomokit.reconstruct(
            series, thickness=12, preset=preset, options=small | options, linearization="linear", offsets=offsets
        )
        return np.asarray(result.volume.density)

    np.testing.assert_array_equal(volume("fit", None), volume("fit", "primal-dual"))
    np.testing.assert_array_equal(volume("zero", None), volume("zero", None, solver="gradient"))
    assert (volume("fit", None) != volume("fit", None, solver="gradient")).any()
