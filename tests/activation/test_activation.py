"""Activations: against double-precision formulas, central differences, their inverses, and at the ends of the range."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.activation.functions import DEFAULT_PARAMETER, KINDS, activate_block, chain_block, invert_block

CASES = [("squareplus", 4.0), *DEFAULT_PARAMETER.items(), ("softplus", 0.7)]


def activate(kind, parameter, values):
    density = np.empty_like(values)
    activate_block(KINDS[kind], parameter, values, density)
    return density


def slope(kind, parameter, values):
    gradient = np.ones_like(values)
    chain_block(KINDS[kind], parameter, values, gradient)
    return gradient


def exact(kind, parameter, values):
    v = values.astype(np.longdouble)
    if kind == "squareplus":
        root = np.sqrt(v**2 + parameter)
        # The textbook formula cancels for negative v, even in extended precision.
        return np.where(v > 0, (v + root) / 2, parameter / (2 * (root - v)))
    return np.logaddexp(0, parameter * v) / parameter if kind == "softplus" else v


@pytest.mark.parametrize(("kind", "parameter"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 5e-15), (np.float32, 2e-6)])
def test_densities_follow_the_formula(kind, parameter, dtype, tolerance) -> None:
    values = np.linspace(-30, 30, 4001).astype(dtype)
    density = activate(kind, parameter, values)
    assert density.dtype == dtype
    np.testing.assert_allclose(density, exact(kind, parameter, values).astype(np.float64), rtol=tolerance, atol=0)


@pytest.mark.parametrize(("kind", "parameter"), CASES)
def test_the_derivative_is_that_of_central_differences(kind, parameter) -> None:
    values = np.linspace(-6, 6, 501)
    step = 1e-5
    numerical = (activate(kind, parameter, values + step) - activate(kind, parameter, values - step)) / (2 * step)
    found = slope(kind, parameter, values)
    assert np.linalg.norm(found - numerical) < 1e-9 * np.linalg.norm(numerical)
    np.testing.assert_allclose(found, numerical, rtol=1e-4)


@pytest.mark.parametrize(("kind", "parameter"), CASES)
def test_the_derivative_in_single_precision_is_that_in_double(kind, parameter) -> None:
    values = np.linspace(-20, 20, 3001).astype(np.float32)
    np.testing.assert_allclose(
        slope(kind, parameter, values), slope(kind, parameter, values.astype(np.float64)), rtol=2e-6
    )


def test_the_chain_rule_multiplies_what_is_there() -> None:
    values, gradient = np.linspace(-1, 1, 9), np.linspace(3, -2, 9)
    expected = gradient * slope("squareplus", 1.0, values)
    chain_block(KINDS["squareplus"], 1.0, values, gradient)
    np.testing.assert_allclose(gradient, expected, rtol=1e-15)


@pytest.mark.parametrize(("kind", "parameter"), CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-12), (np.float32, 1e-5)])
def test_the_inverse_undoes_it(kind, parameter, dtype, tolerance) -> None:
    density = np.geomspace(1e-4, 50, 2001).astype(dtype)
    values = np.empty_like(density)
    invert_block(KINDS[kind], parameter, density, values, 1e-6)
    np.testing.assert_allclose(activate(kind, parameter, values), density, rtol=tolerance)


@pytest.mark.parametrize("kind", ["squareplus", "softplus"])
def test_densities_below_the_floor_are_raised_to_it(kind) -> None:
    density = np.array([-1.0, 0.0, 1e-9, 1e-3])
    values = np.empty_like(density)
    invert_block(KINDS[kind], 1.0, density, values, 1e-3)
    np.testing.assert_allclose(activate(kind, 1.0, values), 1e-3, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("kind", "parameter"), CASES)
def test_no_value_overflows(kind, parameter, dtype) -> None:
    values = np.array([-1e15, -1e4, -300, -100, 0, 100, 300, 1e4, 1e15], dtype)
    density, derivative = activate(kind, parameter, values), slope(kind, parameter, values)
    assert np.isfinite(density).all()
    assert np.isfinite(derivative).all()
    assert ((derivative >= 0) & (derivative <= 1)).all()
    np.testing.assert_allclose(density[values >= 100], values[values >= 100], rtol=1e-3)
    if kind != "identity":
        assert (density > 0).all()
        assert (density[values <= -100] < 0.05).all()


def test_squareplus_and_softplus_agree_at_zero_by_default() -> None:
    zero = np.zeros(1)
    for measure in (activate, slope):
        one, other = (measure(kind, DEFAULT_PARAMETER[kind], zero) for kind in ("squareplus", "softplus"))
        np.testing.assert_allclose(one, other, rtol=1e-14)


def test_what_is_not_a_number_stays_so() -> None:
    for kind, parameter in CASES:
        assert np.isnan(activate(kind, parameter, np.array([np.nan])))[0]
