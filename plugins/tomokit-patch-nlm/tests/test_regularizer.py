"""What every regularizer owes, and what this one promises."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tomokit_patch_nlm.halo import find_owners, hand_back, take
from tomokit_patch_nlm.regularizer import PatchNlm, PatchNlmOptions

from tomokit.octree import Forest
from tomokit.regularizers.interface import Field
from tomokit.testing import check_regularizer
from tomokit.testing.trees import vertices_px, without_leaf


@pytest.mark.parametrize(
    "options",
    [{}, {"space": "raw", "search": 1, "offsets": 13}, {"bandwidth": 1.5, "search": 2, "offsets": 30}],
    ids=["default", "raw", "whole window"],
)
@pytest.mark.parametrize("seed", range(3))
def test_it_can_be_trusted(options, seed) -> None:
    check_regularizer(PatchNlm, options, seed=seed)


def row_of_two(n: int) -> Forest:
    return Forest((0, 0, 0), 8.0, (2, 1, 1), n, np.zeros(2, np.int32), np.array([[0, 0, 0], [1, 0, 0]], np.int32))


def test_it_is_its_definition() -> None:
    n, h, rng = 6, 0.7, np.random.default_rng(4)
    one_lattice = rng.random((2 * n - 1, n, n))
    values = np.stack([one_lattice[:n], one_lattice[n - 1 :]])
    field = Field(row_of_two(n), values, np.array([True, False]), np.random.default_rng(0))
    options = PatchNlmOptions(search=1, offsets=13, bandwidth=h)
    found = PatchNlm(options).value_and_gradient(field, np.zeros_like(values), 0.0)
    total = 0.0
    steps = [-1, 0, 1]
    for ox, oz, oy in [(x, z, y) for x in steps for z in steps for y in steps if (x, z, y) > (0, 0, 0)]:
        for x in range(n):
            for z in range(n):
                for y in range(n):
                    low = [min(a, a + o) - 1 for a, o in zip((x, z, y), (ox, oz, oy), strict=True)]
                    high = [max(a, a + o) + 1 for a, o in zip((x, z, y), (ox, oz, oy), strict=True)]
                    if min(low) < 0 or high[0] >= 2 * n - 1 or max(high[1:]) >= n:
                        continue
                    one = one_lattice[x - 1 : x + 2, z - 1 : z + 2, y - 1 : y + 2]
                    other = one_lattice[x + ox - 1 : x + ox + 2, z + oz - 1 : z + oz + 2, y + oy - 1 : y + oy + 2]
                    s = float(np.mean((one - other) ** 2))
                    total += h * h * s / (h * h + s)
    assert found == pytest.approx(total / (13 * n**3), rel=1e-12)


def test_a_block_goes_on_across_borders_and_level_jumps(tomokit_forest) -> None:
    # A linear field is the same whatever leaf it is interpolated in.
    forest = without_leaf(tomokit_forest, 0)
    slope = np.array([0.3, -0.7, 0.45])
    values = vertices_px(forest) @ slope
    owners, margin = find_owners(forest), 3
    q = forest.n + 2 * margin
    block, missing = np.empty((q, q, q)), np.empty((q, q, q), np.uint8)
    seen = 0
    for leaf in range(forest.n_leaves):
        take(values, owners.owner, owners.cube, owners.cubes, leaf, margin, block, missing)
        lattice = np.stack(np.meshgrid(*[np.arange(-margin, forest.n + margin)] * 3, indexing="ij"), axis=-1)
        at = forest.corner_px[leaf] + lattice * forest.spacing_px[leaf]
        there = missing == 0
        np.testing.assert_allclose(block[there], (at @ slope)[there], atol=1e-12)
        # Missing is what no leaf holds.
        low, high = forest.corner_px, forest.corner_px + forest.size_px[:, None]
        point = at[..., None, :]
        held = ((point >= low - 1e-9) & (point <= high + 1e-9)).all(axis=-1).any(axis=-1)
        seen += int((held & ~there).sum())
        assert not (there & ~held).any()
    # On the faces of a hole, what is there may be called missing or not; nowhere else.
    assert seen < 0.1 * forest.n_leaves * q**3


def test_handing_back_is_the_transpose_of_taking(tomokit_forest) -> None:
    forest, margin = tomokit_forest, 2
    rng = np.random.default_rng(2)
    owners, q = find_owners(forest), forest.n + 2 * margin
    block, missing = np.empty((q, q, q)), np.empty((q, q, q), np.uint8)
    for leaf in (0, 5, 12):
        values, other = rng.standard_normal(forest.values_shape), rng.standard_normal((q, q, q))
        take(values, owners.owner, owners.cube, owners.cubes, leaf, margin, block, missing)
        back = np.zeros(forest.values_shape)
        hand_back(np.where(missing, 0, other), owners.owner, owners.cube, owners.cubes, leaf, margin, back)
        assert np.vdot(block, other) == pytest.approx(np.vdot(values, back), rel=1e-12)


def test_a_pattern_that_repeats_is_kept_and_noise_is_not() -> None:
    # The gradient descended: noise on stripes goes, the stripes stay.
    forest, rng = row_of_two(17), np.random.default_rng(1)
    stripes = np.where(np.floor(vertices_px(forest)[..., 1] / 2) % 2 == 0, 1.0, 0.0)
    values = stripes + 0.1 * rng.standard_normal(forest.values_shape)
    nlm = PatchNlm(PatchNlmOptions(bandwidth=0.2, search=3, offsets=20))
    field = Field(forest, values, np.ones(2, bool), rng)
    before = np.abs(values - stripes).mean()
    for _ in range(12):
        gradient = np.zeros_like(field.values)
        nlm.value_and_gradient(field, gradient, 1.0)
        field = replace(field, values=field.values - 0.3 * field.values.size * gradient)
    assert np.abs(field.values - stripes).mean() < 0.55 * before
    assert np.ptp(field.values[0].mean(axis=(0, 2))) > 0.9
