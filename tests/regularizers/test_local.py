"""Total variation and boundary consistency: against their definitions, central differences, and exact identities."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tomokit.octree import Forest
from tomokit.octree.faces import shared_faces
from tomokit.regularizers import reference
from tomokit.regularizers.boundary import Boundary, BoundaryOptions
from tomokit.regularizers.tv import TURNS, VARIANTS, TotalVariation, TotalVariationOptions, leaf_weights

TV = [
    pytest.param(TotalVariation(TotalVariationOptions(variant=variant, measure=measure)), id=f"{variant}-{measure}")
    for variant in ("anisotropic", "isotropic", "huber", "concave")
    for measure in ("leaf", "volume")
]
ALL = [*TV, pytest.param(Boundary(BoundaryOptions()), id="boundary")]


def defined(regularizer, values, forest):
    if isinstance(regularizer, Boundary):
        return reference.boundary(values, shared_faces(forest))
    options = regularizer.options
    return reference.total_variation(values, leaf_weights(forest, options.measure), options.variant, options.delta)


def evaluate(regularizer, field, scale=1.0):
    gradient = np.zeros_like(field.values)
    return regularizer.value_and_gradient(field, gradient, scale), gradient


def test_the_forest_has_jumps_of_one_and_two_levels_and_a_boundary(forest) -> None:
    faces = shared_faces(forest)
    assert set(faces.scale) == {1.0, 0.5, 0.25}
    assert {(int(axis), bool(below)) for axis, below in zip(faces.axis, faces.fine_is_below, strict=True)} >= {
        (0, True),
        (0, False),
        (2, True),
        (2, False),
    }


@pytest.mark.parametrize("regularizer", ALL)
def test_the_gradient_is_that_of_central_differences(
    regularizer, make_field, numerical_gradient, assert_same_vector
) -> None:
    field = make_field()
    _, gradient = evaluate(regularizer, field)
    numerical = numerical_gradient(lambda v: evaluate(regularizer, replace(field, values=v))[0], field.values)
    assert_same_vector(gradient, numerical, 1e-6)


@pytest.mark.parametrize("regularizer", ALL)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_value_and_gradient_are_those_of_the_definition(
    regularizer, dtype, tolerance, make_field, forest, assert_same_vector
) -> None:
    field = make_field(dtype)
    value, gradient = evaluate(regularizer, field)
    expected, slope = defined(regularizer, field.values.astype(np.float64), forest)
    assert gradient.dtype == dtype
    assert value == pytest.approx(expected, rel=tolerance)
    assert_same_vector(gradient, slope, tolerance)


@pytest.mark.parametrize("stencil", range(TURNS))
@pytest.mark.parametrize("variant", ["isotropic", "concave", "huber"])
def test_a_turn_is_the_penalty_of_the_mirrored_field(variant, stencil, make_field, forest, assert_same_vector) -> None:
    options = TotalVariationOptions(variant=variant, every=3)
    field = replace(make_field(), step=3 * (TURNS + stencil))
    value, gradient = evaluate(TotalVariation(options), field)
    expected, slope = reference.total_variation(
        field.values, leaf_weights(forest, options.measure), variant, options.delta, stencil
    )
    assert value == pytest.approx(expected, rel=1e-12)
    assert_same_vector(gradient, slope, 1e-12)


def test_turns_differ(make_field) -> None:
    regularizer = TotalVariation(TotalVariationOptions(variant="isotropic"))
    found = {evaluate(regularizer, replace(make_field(), step=step))[0] for step in range(TURNS)}
    assert len(found) == TURNS


@pytest.mark.parametrize("regularizer", ALL)
def test_the_gradient_is_scaled_and_added(regularizer, make_field) -> None:
    field = make_field()
    value, gradient = evaluate(regularizer, field)
    start = np.random.default_rng(0).standard_normal(gradient.shape)
    total = start.copy()
    assert regularizer.value_and_gradient(field, total, -2.5) == value
    np.testing.assert_allclose(total, start - 2.5 * gradient, rtol=0, atol=1e-14)


@pytest.mark.parametrize("regularizer", ALL)
def test_a_constant_field_has_neither_value_nor_gradient(regularizer, make_field) -> None:
    field = make_field()
    value, gradient = evaluate(regularizer, replace(field, values=np.full_like(field.values, 0.3)))
    assert value == 0
    assert not gradient.any()


@pytest.mark.parametrize("regularizer", ALL)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_threads_change_nothing(regularizer, dtype, make_field, on_threads) -> None:
    field = make_field(dtype)
    (value, gradient), (value_of_two, gradient_of_two) = on_threads(lambda: evaluate(regularizer, field))
    assert value == value_of_two
    np.testing.assert_array_equal(gradient, gradient_of_two)


@pytest.mark.parametrize("regularizer", ALL)
def test_a_value_that_is_not_a_number_is_not_hidden(regularizer, make_field) -> None:
    field = make_field()
    field.values[0] = np.nan
    assert np.isnan(evaluate(regularizer, field)[0])


def positions(forest: Forest) -> np.ndarray:
    """Coordinates ``(x, z, y)`` of all vertices, shape (n_leaves, n, n, n, 3)."""
    lattice = np.stack(np.meshgrid(*[np.arange(forest.n)] * 3, indexing="ij"), axis=-1)
    return forest.corner_px[:, None, None, None, :] + lattice * forest.spacing_px[:, None, None, None, None]


def test_a_linear_field_is_consistent_across_level_jumps(forest, make_field) -> None:
    values = positions(forest) @ np.array([0.7, -1.3, 0.4])
    value, _ = evaluate(Boundary(BoundaryOptions()), replace(make_field(), values=values))
    assert value < 1e-13


def test_a_step_between_two_leaves_counts_on_their_face_alone(forest, make_field) -> None:
    faces = shared_faces(forest)
    values = np.zeros(forest.values_shape)
    values[0] = 2.0
    value, gradient = evaluate(Boundary(BoundaryOptions()), replace(make_field(), values=values))
    touching = int(((faces.below == 0) | (faces.above == 0)).sum())
    assert touching > 0
    assert value == pytest.approx(2.0 * touching / faces.n_faces, rel=1e-12)
    # What is taken from one side is given to the other.
    assert gradient.sum() == pytest.approx(0, abs=1e-12)
    assert gradient[0].sum() == pytest.approx(touching / faces.n_faces, rel=1e-12)


def test_a_forest_of_one_leaf_has_no_boundary(make_field) -> None:
    one = Forest((0.0, 0.0, 0.0), 4.0, (1, 1, 1), 4, np.zeros(1, np.int32), np.zeros((1, 3), np.int32))
    field = replace(make_field(), forest=one, values=np.random.default_rng(0).standard_normal((1, 4, 4, 4)))
    value, gradient = evaluate(Boundary(BoundaryOptions()), field)
    assert value == 0
    assert not gradient.any()


def test_another_forest_brings_other_faces(forest, make_field) -> None:
    boundary = Boundary(BoundaryOptions())
    evaluate(boundary, make_field())
    pair = Forest((0.0, 0.0, 0.0), 4.0, (2, 1, 1), 4, np.zeros(2, np.int32), np.array([[0, 0, 0], [1, 0, 0]], np.int32))
    values = np.zeros(pair.values_shape)
    values[1] = 1.5
    assert evaluate(boundary, replace(make_field(), forest=pair, values=values))[0] == pytest.approx(1.5)


@pytest.mark.parametrize("variant", list(VARIANTS))
def test_total_variation_by_volume_is_the_slope_whatever_the_leaves(variant, forest, make_field) -> None:
    values = positions(forest)[..., 2] * 0.7
    # Huber's penalty is the plain one in the limit of a small delta, the concave one in that of a large.
    delta = 1e12 if variant == "concave" else 1e-9
    tv = TotalVariation(TotalVariationOptions(variant=variant, measure="volume", delta=delta))
    value, _ = evaluate(tv, replace(make_field(), values=values))
    # Isotropic sums count the last vertex along an axis for the differences across it only.
    expected = 0.7 * forest.spacing_px.min()
    assert value == pytest.approx(expected, rel=1e-8)


def test_both_measures_agree_on_a_forest_of_one_level() -> None:
    index = np.array([[x, 0, y] for x in range(2) for y in range(2)], np.int32)
    forest = Forest((0.0, 0.0, 0.0), 4.0, (2, 1, 2), 4, np.zeros(4, np.int32), index)
    np.testing.assert_allclose(leaf_weights(forest, "volume"), leaf_weights(forest, "leaf"), rtol=1e-15)
