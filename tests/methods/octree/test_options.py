"""Options of the octree method: what contradicts itself is refused in one line, before anything is read."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from tomokit.data.problem import ProblemShape
from tomokit.errors import OptionError, PluginError, TomokitError
from tomokit.methods.octree.method import Octree
from tomokit.methods.octree.options import OctreeOptions
from tomokit.octree.cover import LeafBudgetError
from tomokit.pipeline.config import preset_names, read_preset
from tomokit.plugin.options import build_options

SHAPE = ProblemShape(21, 96, 64, 32)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"epochs": 10, "coarse_epochs": 11}, "coarse_epochs: 11 of 10 epochs"),
        ({"epochs": 10, "decay_epochs": 11}, "decay_epochs: 11 of 10 epochs"),
        ({"epochs": 10, "coarse_epochs": 6, "decay_epochs": 5}, "decay_epochs: 5 of 4 epochs"),
        ({"epochs": 10, "structure_epochs": (3, 10), "finer": 1}, "structure_epochs: nothing is fitted after epoch 10"),
        ({"structure_epochs": (3,)}, "structure_epochs: there is no level to refine to"),
        ({"large_leaves": 0.5, "coarser": 0}, "large_leaves: the leaves cannot be larger than roots"),
        (
            {"epochs": 10, "large_leaves": 0.5, "structure_epochs": (4, 6), "finer": 1},
            "structure_epochs: what epoch 4 changes is undone after epoch 5",
        ),
        ({"n": 64, "leaf_px": 4.0}, "n: 64 vertices in leaves of 4 px"),
    ],
)
def test_contradictions_are_refused_when_options_are_made(given: dict[str, Any], said: str) -> None:
    with pytest.raises(OptionError, match=said) as caught:
        build_options(OctreeOptions, given, "method octree")
    assert "; give" in str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"optimizer": "adm"}, "did you mean adam"),
        ({"optimizers": {"adm": {"lr": 1}}}, "did you mean adam"),
        ({"optimizers": {"adam": {"rate": 1}}}, "optimizers.adam: no option 'rate'"),
        ({"optimizers": {"rmsprop": 0.1}}, "optimizers.rmsprop: 0.1 is not a table"),
        ({"regularizers": {"tvv": {"weight": 1}}}, "did you mean tv"),
        ({"regularizers": {"tv": {"lambda": 1}}}, "regularizers.tv: no option 'lambda'"),
        ({"regularizers": {"tv": {"weight": -1}}}, "out of bounds"),
        ({"regularizers": {"tv": 0.1}}, "regularizers.tv: 0.1 is not a table"),
    ],
)
def test_unknown_names_and_options_are_refused_with_the_estimate(given: dict[str, Any], said: str) -> None:
    options = build_options(OctreeOptions, given, "method octree")
    with pytest.raises((OptionError, PluginError), match=said) as caught:
        Octree().estimate_bytes(SHAPE, options)
    assert isinstance(caught.value, TomokitError)


@pytest.mark.parametrize(
    "given", [{"max_leaves": 5, "leaf_px": 16.0}, {"max_leaves": 5, "leaf_px": 16.0, "margin": 0.2}]
)
def test_a_budget_that_no_tree_meets_is_refused_with_the_estimate(given: dict[str, Any]) -> None:
    with pytest.raises(LeafBudgetError, match="allow"):
        Octree().estimate_bytes(SHAPE, OctreeOptions(**given))


def test_a_budget_that_only_the_margin_exceeds_is_left_to_the_run() -> None:
    """Before the images are read it is not known whether there will be a margin."""
    options = OctreeOptions(n=17, leaf_px=16.0, max_leaves=6 * 2 * 4)
    with_margin = ProblemShape(21, 96, 64, 32, fit_offsets=True)
    assert Octree().estimate_bytes(with_margin, options) >= Octree().estimate_bytes(SHAPE, options)


def test_a_long_thin_volume_is_estimated_at_once() -> None:
    assert Octree().estimate_bytes(ProblemShape(41, 32, 32, 10**12), OctreeOptions()) > 10**12


def test_fewer_epochs_bring_fewer_at_a_smaller_rate() -> None:
    assert [OctreeOptions(epochs=epochs).decays for epochs in (1, 3, 8, 30)] == [0, 0, 2, 7]
    assert OctreeOptions(epochs=30, coarse_epochs=10).decays == 5
    assert OctreeOptions(epochs=30, decay_epochs=0).decays == 0


@pytest.mark.parametrize("name", preset_names())
def test_presets_are_free_of_contradictions(name: str) -> None:
    preset = read_preset(name)
    if preset["method"] == "octree":
        options = build_options(OctreeOptions, preset.get("options", {}), name)
        assert Octree().estimate_bytes(ProblemShape(41, 820, 820, 308, fit_offsets=True), options) < 3 << 30


def test_the_method_is_light_to_import() -> None:
    code = "import sys, tomokit.methods.octree.method; print({'numba', 'scipy', 'h5py'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"
