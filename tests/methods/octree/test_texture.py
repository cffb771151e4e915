"""Texture: mean gradients, the factors that follow them, and a fit that is stopped and continued."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tomokit.data.problem import Problem
from tomokit.errors import OptionError
from tomokit.methods.octree.method import start_fit
from tomokit.methods.octree.options import OctreeOptions
from tomokit.methods.octree.run import OctreeRun
from tomokit.methods.octree.solver import Texture
from tomokit.methods.octree.texture import cells_along, mean_gradients, smoothing_limits
from tomokit.testing.trees import two_level_forest

TEXTURE = Texture(0.3, 0.05, 3.0, 0.5)


def test_the_gradient_of_a_linear_field_is_its_slope_in_leaves_of_every_size() -> None:
    forest = two_level_forest(n=8)
    at = forest.corner_px[:, None, :] + forest.spacing_px[:, None, None] * np.arange(forest.n)[None, :, None]
    x, z, y = (at[:, :, axis] for axis in range(3))
    linear = 0.3 * x[:, :, None, None] - 0.2 * z[:, None, :, None] + 0.1 * y[:, None, None, :]
    means = mean_gradients(linear.astype(np.float32), forest)
    cells = cells_along(forest)
    assert means.shape == (forest.n_leaves, cells, cells, cells)
    np.testing.assert_allclose(means, np.sqrt(0.14), rtol=2e-5)
    # And the factors of it are one number, up to the faces of the box, beyond which nothing is known.
    limits = smoothing_limits(forest, means, TEXTURE)
    np.testing.assert_allclose(limits, max(0.3, 1 / (1 + np.sqrt(0.14) / 0.05)), rtol=1e-4)


def test_factors_are_the_same_on_both_sides_of_a_face_and_least_where_the_texture_is() -> None:
    forest = two_level_forest(n=8)
    cells = cells_along(forest)
    means = np.zeros((forest.n_leaves, cells, cells, cells))
    textured = int(np.argmax(forest.level))
    means[textured] = 10.0
    limits = smoothing_limits(forest, means, TEXTURE)
    assert limits.shape == (forest.n_leaves, cells + 1, cells + 1, cells + 1)
    assert limits[textured].max() == np.float32(TEXTURE.least)
    assert limits.max() > 0.95
    found: dict[tuple[float, ...], float] = {}
    shared = 0
    for leaf in range(forest.n_leaves):
        step = forest.size_px[leaf] / cells
        for node in np.ndindex(cells + 1, cells + 1, cells + 1):
            place = tuple(np.round(forest.corner_px[leaf] + step * np.array(node), 6))
            shared += place in found
            assert found.setdefault(place, float(limits[leaf][node])) == limits[leaf][node]
    assert shared > 50


def options(**changes: object) -> OctreeOptions:
    """A small fit whose smoothing follows the texture."""
    settings: dict[str, object] = {
        "solver": "primal-dual",
        "activation": "clipped",
        "start": 0.0,
        "epochs": 4,
        "n": 9,
        "max_leaves": 120,
        "leaf_px": 12.0,
        "views_per_step": 3,
        "negative_penalty": 1.0,
        "texture_strength": 0.3,
        "regularizers": {"tv": {"variant": "isotropic"}},
    }
    return OctreeOptions(**(settings | changes))  # type: ignore[arg-type]


def test_a_fit_goes_on_from_a_state_to_the_same_bits(problem: Problem) -> None:
    given = replace(problem, fit_offsets=True)

    def advance(run: OctreeRun, epochs: int) -> OctreeRun:
        for _ in range(epochs):
            run.advance()
        return run

    whole = advance(start_fit(given, options()), 4)
    assert 0.3 <= whole.leaves.limits.min() < 0.9 < whole.leaves.limits.max() <= 1
    part = advance(start_fit(given, options()), 3)
    kept = {name: array.copy() for name, array in part.arrays().items()}
    again = start_fit(given, options())
    again.restore(3, kept)
    advance(again, 1)
    for name, array in whole.arrays().items():
        np.testing.assert_array_equal(again.arrays()[name], array, err_msg=name)
    # What has texture is smoothed less than by one weight everywhere.
    plain = advance(start_fit(given, options(texture_strength=1.0)), 4)
    assert not len(plain.leaves.limits)
    assert np.abs(np.diff(whole.leaves.density, axis=1)).sum() > np.abs(np.diff(plain.leaves.density, axis=1)).sum()


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({"solver": "gradient", "activation": "identity", "negative_penalty": None}, "texture_strength"),
        ({"solver": "gradient", "activation": "identity"}, "negative_penalty"),
        ({"activation": "identity"}, "negative_penalty"),
    ],
)
def test_what_the_solver_does_not_know_is_refused(changes: dict[str, object], name: str) -> None:
    with pytest.raises(OptionError, match=name):
        options(**changes)
