"""The first forest: what it covers, how finely, and with how few leaves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tomokit.errors import InputError, OptionError
from tomokit.octree.cover import LeafBudgetError, Region, count_leaves, cover, inside
from tomokit.octree.faces import is_balanced
from tomokit.octree.leaf_size import choose_leaf_px, divide_thickness
from tomokit.octree.lookup import check_disjoint
from tomokit.octree.sampling import locate

lengths = st.floats(10, 200)


@settings(deadline=None, max_examples=60)
@given(
    lengths, lengths, st.floats(5, 90), st.floats(0, 250), st.floats(8, 60), st.integers(0, 3),
    st.sampled_from([0.0, 0.0, 1.0, 40.0, 130.0]), st.integers(0, 9999),
)  # fmt: skip
def test_cover_reaches_everywhere_finely_where_it_must(n_u, n_v, thickness, margin, leaf, coarser, room, seed):
    region = Region(n_u, n_v, thickness)
    forest = cover(region, margin, 3, leaf, coarser, room_px=room)
    check_disjoint(forest)
    assert forest.n_leaves == count_leaves(region, margin, leaf, coarser, room)
    # Layers above and below are of roots, whatever the size of their neighbours.
    assert is_balanced(forest) or (room > 0 and coarser > 1)
    half = np.array(region.extent_px) / 2
    points = np.random.default_rng(seed).uniform(-1, 1, (300, 3))
    within = locate(forest, points * half)
    assert (within >= 0).all()
    np.testing.assert_allclose(forest.size_px[within], leaf)
    beside = locate(forest, points * (half + np.array([margin, room, 0])))
    assert (beside >= 0).all()
    if room > 0:
        # No finer than need be: what lies beyond the roots that the region touches is roots.
        outside = np.abs(forest.corner_px[:, 1] + forest.size_px / 2) > half[1] + forest.root_px
        assert (forest.level[outside] == 0).all()
    # What the region's leaves exceed it by is the same at both ends, and less than a leaf.
    marked = inside(forest, region)
    assert set(within) <= set(np.flatnonzero(marked))
    low = forest.corner_px[marked].min(axis=0)
    high = (forest.corner_px + forest.size_px[:, None])[marked].max(axis=0)
    np.testing.assert_allclose(low, -high, atol=1e-9 * leaf)
    assert (high - half < leaf / 2 + 1e-9).all()


@settings(deadline=None, max_examples=20)
@given(lengths, lengths, st.floats(10, 60), st.floats(0, 150), st.integers(30, 300), st.integers(0, 2))
def test_chosen_leaf_is_nearly_the_smallest_that_fits(n_u, n_v, thickness, margin, max_leaves, coarser):
    region = Region(n_u, n_v, thickness)
    try:
        chosen = choose_leaf_px(region, margin, 4, max_leaves, coarser)
    except LeafBudgetError:
        assert cover(region, margin, 4, max(region.extent_px), coarser).n_leaves > max_leaves
        return
    assert cover(region, margin, 4, chosen, coarser).n_leaves <= max_leaves
    for size in np.linspace(3.0, chosen / 1.031, 60):
        if size < chosen / 1.031 and np.prod(region.extent_px) / size**3 < 2 * max_leaves:
            assert cover(region, margin, 4, size, coarser).n_leaves > max_leaves


def test_leaves_need_not_get_finer_than_their_vertices_are_useful():
    region = Region(64, 64, 32)
    assert choose_leaf_px(region, 0, 33, 100000) == pytest.approx(32)
    assert choose_leaf_px(region, 0, 33, 100000, spacing_px=0.5) == pytest.approx(16)


def test_full_size_slab_has_its_finest_leaves_inside_only():
    region = Region(820, 820, 308)
    size = choose_leaf_px(region, 410, 42, 384)
    forest = cover(region, 410, 42, size, max_leaves=384)
    assert size == pytest.approx(308 / 3)
    assert np.bincount(forest.level).tolist() == [32, 192]
    assert (inside(forest, region) == (forest.level == 1)).all()


def test_half_size_slab_with_a_narrow_margin_takes_1218_leaves():
    region = Region(410, 410, 160)
    forest = cover(region, 64, 26, choose_leaf_px(region, 64, 26, 1218))
    assert np.bincount(forest.level).tolist() == [42, 1176]


def test_a_neighbour_that_only_touches_the_region_is_outside():
    forest = cover(Region(32, 32, 32), 16, 3, 16)
    assert inside(forest, Region(32, 32, 32)).sum() == 8
    assert forest.n_leaves > 8


def test_too_few_leaves_are_refused_with_both_counts():
    region = Region(256, 256, 64)
    with pytest.raises(
        LeafBudgetError, match=r"max_leaves: leaves of 32 px take 144 leaves, 143 are allowed; allow 144"
    ):
        cover(region, 128, 24, 32, max_leaves=143)
    with pytest.raises(LeafBudgetError, match=r"2 leaves are allowed, the coarsest cover takes 3 .*; allow at least 3"):
        choose_leaf_px(region, 256, 24, 2)


@pytest.mark.parametrize(
    ("arguments", "field"),
    [
        ((-1, 3, 8, 1), "margin_px"),
        ((float("nan"), 3, 8, 1), "margin_px"),
        ((0, 1, 8, 1), "n"),
        ((0, 3, 0, 1), "leaf_px"),
        ((0, 3, 8, -1), "coarser"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(arguments, field):
    with pytest.raises(OptionError, match=f"^{field}: "):
        cover(Region(16, 16, 16), *arguments)
    with pytest.raises(OptionError, match="thickness_px: 0 is not positive"):
        Region(16, 16, 0)


@pytest.mark.parametrize("thickness", [20, 64, 154, 308])
@pytest.mark.parametrize("spacing", [0.8, 1.0])
def test_whole_leaves_make_the_thickness(thickness: int, spacing: float) -> None:
    region = Region(256, 200, thickness)
    n, leaf = divide_thickness(region, 30.0, 1000, 1, spacing)
    assert thickness / leaf == pytest.approx(round(thickness / leaf))
    forest = cover(region, 30.0, n, leaf, 1, 1000)
    inner = forest.level == forest.level.max()
    low, high = forest.corner_px[inner, 1].min(), (forest.corner_px + forest.size_px[:, None])[inner, 1].max()
    assert (low, high) == (pytest.approx(-thickness / 2), pytest.approx(thickness / 2))
    if n < 42:
        assert leaf / (n - 1) == pytest.approx(spacing, rel=0.1)


def test_fewer_leaves_are_larger_until_none_are_few_enough() -> None:
    region = Region(256, 200, 64)
    assert divide_thickness(region, 0.0, 40, 1, 1.0) == (42, 64.0)
    n, leaf = divide_thickness(region, 0.0, 4, 1, 1.0)
    assert n == 42
    assert cover(region, 0.0, n, leaf, 1).n_leaves <= 4
    with pytest.raises(LeafBudgetError):
        divide_thickness(region, 100.0, 1, 1, 1.0)


def test_the_finest_leaves_merge_into_whole_parents() -> None:
    forest = cover(Region(100, 60, 30), 20.0, 5, 10.0, 1)
    merged = forest.with_finest_merged()
    assert merged.level.max() == 0
    assert merged.values_shape[1:] == forest.values_shape[1:]
    # Every leaf lies in one of the merged ones.
    parents = {tuple(index) for index in merged.index}
    assert {tuple(index // 2) for index in forest.index[forest.level == 1]} <= parents
    with pytest.raises(InputError):
        merged.with_finest_merged()


@pytest.mark.parametrize(("thickness", "along_z"), [(20.0, 2), (60.0, 4), (100.0, 4)])
def test_room_is_divided_so_that_no_fine_leaf_lies_in_it(thickness: float, along_z: int) -> None:
    region = Region(80, 80, thickness)
    n, leaf = divide_thickness(region, 20.0, 1000, 1, 0.75, room_px=0.3 * thickness)
    assert leaf == pytest.approx(thickness / along_z)
    forest = cover(region, 20.0, n, leaf, 1, room_px=0.3 * thickness)
    middle = forest.corner_px[:, 1] + forest.size_px / 2
    assert (np.abs(middle[forest.level == 1]) < thickness / 2).all()
