"""The optimizers: PyTorch's formulas written out in float64, and what must not change them."""

from __future__ import annotations

import numpy as np
import pytest

from tomokit.errors import InputError, OptionError
from tomokit.optimizers.interface import Optimizer
from tomokit.optimizers.rules import Adam, AdamOptions, Rmsprop, RmspropOptions, Sgd, SgdOptions
from tomokit.plugin.manager import build_registry
from tomokit.plugin.options import build_options


def rmsprop(x, gradients, rates, lr=0.02, alpha=0.9, eps=1e-6):
    square = np.zeros_like(x)
    for g, rate in zip(gradients, rates, strict=True):
        square = alpha * square + (1 - alpha) * g**2
        x = x - lr * rate * g / (np.sqrt(square) + eps)
    return x


def adam(x, gradients, rates, lr=0.02, beta1=0.8, beta2=0.95, eps=1e-6):
    momentum, square = np.zeros_like(x), np.zeros_like(x)
    for t, (g, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        momentum = beta1 * momentum + (1 - beta1) * g
        square = beta2 * square + (1 - beta2) * g**2
        x = x - lr * rate * (momentum / (1 - beta1**t)) / (np.sqrt(square / (1 - beta2**t)) + eps)
    return x


def sgd(x, gradients, rates, lr=0.3, momentum=0.7):
    velocity = np.zeros_like(x)
    for g, rate in zip(gradients, rates, strict=True):
        velocity = momentum * velocity + g
        x = x - lr * rate * velocity
    return x


def plain_sgd(x, gradients, rates):
    return sgd(x, gradients, rates, momentum=0.0)


RULES = [
    pytest.param(Rmsprop(RmspropOptions(lr=0.02, alpha=0.9, eps=1e-6)), rmsprop, id="rmsprop"),
    pytest.param(Adam(AdamOptions(lr=0.02, beta1=0.8, beta2=0.95, eps=1e-6)), adam, id="adam"),
    pytest.param(Sgd(SgdOptions(lr=0.3, momentum=0.7)), sgd, id="sgd"),
    pytest.param(Sgd(SgdOptions(lr=0.3, momentum=0.0)), plain_sgd, id="sgd-plain"),
]
# Longer than one block of the kernel, and not a multiple of it.
SHAPE = (3, 25, 25, 25)


def data(dtype, steps=6):
    rng = np.random.default_rng(8)
    gradients = rng.standard_normal((steps, *SHAPE)) * 10.0 ** rng.uniform(-4, 2, SHAPE)
    gradients[rng.random(gradients.shape) < 0.2] = 0
    return rng.standard_normal(SHAPE).astype(dtype), gradients.astype(dtype), np.linspace(1.0, 0.1, steps)


def fit(optimizer, dtype):
    values, gradients, rates = data(dtype)
    values = values.copy()
    state = optimizer.state_arrays(values.shape, values.dtype)
    for count, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        optimizer.step(values, gradient, state, count, rate)
    return values, state


@pytest.mark.parametrize(("optimizer", "formula"), RULES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-13), (np.float32, 2e-6)])
def test_steps_follow_the_formula(optimizer, formula, dtype, tolerance) -> None:
    start, gradients, rates = data(dtype)
    found, _ = fit(optimizer, dtype)
    expected = formula(start.astype(np.float64), gradients.astype(np.float64), rates)
    assert found.dtype == dtype
    moved = np.abs(expected - start)
    np.testing.assert_allclose(found, expected, rtol=0, atol=tolerance * np.maximum(np.abs(expected), moved).max())
    assert moved.max() > 0.01


@pytest.mark.parametrize(("optimizer", "formula"), RULES)
def test_threads_and_blocks_change_nothing(optimizer, formula) -> None:
    import numba

    if numba.config.NUMBA_NUM_THREADS < 2:
        pytest.skip("one thread only")
    before = numba.get_num_threads()
    try:
        numba.set_num_threads(1)
        one, state = fit(optimizer, np.float32)
        numba.set_num_threads(2)
        two, state_of_two = fit(optimizer, np.float32)
    finally:
        numba.set_num_threads(before)
    np.testing.assert_array_equal(one, two)
    for name, array in state.items():
        np.testing.assert_array_equal(array, state_of_two[name])


@pytest.mark.parametrize(("optimizer", "formula"), RULES)
def test_a_leaf_at_a_time_gives_the_same_as_all_at_once(optimizer, formula) -> None:
    from tomokit.optimizers.kernel import optimizer_block

    whole, _ = fit(optimizer, np.float32)
    values, gradients, rates = data(np.float32)
    values = values.copy()
    first, second = optimizer.block_arrays(optimizer.state_arrays(values.shape, values.dtype), values.dtype)
    size = values[0].size
    for count, (gradient, rate) in enumerate(zip(gradients, rates, strict=True), 1):
        for leaf in range(len(values)):
            part = slice(leaf * size, (leaf + 1) * size)
            optimizer_block(
                optimizer.kind, optimizer.hyper(rate), count, values[leaf].reshape(-1), gradient[leaf].reshape(-1),
                first[part], second[part],
            )  # fmt: skip
    np.testing.assert_array_equal(values, whole)


@pytest.mark.parametrize(("optimizer", "formula"), RULES)
def test_no_gradient_no_step(optimizer, formula) -> None:
    values = data(np.float32)[0]
    start, state = values.copy(), optimizer.state_arrays(values.shape, values.dtype)
    for count in (1, 2):
        optimizer.step(values, np.zeros_like(values), state, count)
    np.testing.assert_array_equal(values, start)
    assert all(not array.any() for array in state.values())


@pytest.mark.parametrize(("optimizer", "formula"), RULES)
def test_each_goes_down_a_bowl(optimizer, formula) -> None:
    target = np.linspace(-1, 1, 50)
    values = np.zeros(50)
    state = optimizer.state_arrays(values.shape, values.dtype)
    for count in range(1, 400):
        optimizer.step(values, values - target, state, count, 1.0 if count < 300 else 0.05)
    assert np.abs(values - target).max() < 0.02


@pytest.mark.parametrize(
    ("optimizer", "names"),
    [
        (Rmsprop(RmspropOptions()), {"mean_square"}),
        (Adam(AdamOptions()), {"momentum", "mean_square"}),
        (Sgd(SgdOptions()), {"momentum"}),
        (Sgd(SgdOptions(momentum=0.0)), set()),
    ],
)
def test_the_state_is_what_the_rule_needs(optimizer, names) -> None:
    state = optimizer.state_arrays((2, 3), np.float32)
    assert set(state) == names
    assert all(array.shape == (2, 3) and array.dtype == np.float32 and not array.any() for array in state.values())


def test_arrays_that_do_not_belong_together_are_refused() -> None:
    optimizer = Rmsprop(RmspropOptions())
    values = np.zeros((4, 4), np.float32)
    state = optimizer.state_arrays(values.shape, values.dtype)
    for wrong in (np.zeros((4, 5), np.float32), np.zeros((4, 4)), np.zeros((4, 8), np.float32)[:, ::2]):
        with pytest.raises(InputError, match="contiguous"):
            optimizer.step(values, wrong, state, 1)


def test_they_are_registered_with_the_published_defaults() -> None:
    registry = build_registry(lambda chosen, registry: [], None)
    assert registry.names("optimizer") == ["adam", "rmsprop", "sgd"]
    published = registry.get("optimizer", "rmsprop").Options()
    assert (published.lr, published.alpha, published.eps) == (0.01, 0.99, 1e-8)
    for name in registry.names("optimizer"):
        target = registry.get("optimizer", name)
        assert isinstance(target(target.Options()), Optimizer)


@pytest.mark.parametrize(
    ("options", "key"), [(RmspropOptions, "alpha"), (AdamOptions, "beta2"), (SgdOptions, "momentum")]
)
def test_a_memory_of_one_is_refused(options, key) -> None:
    with pytest.raises(OptionError, match=key):
        build_options(options, {key: "1.0"}, "optimizer")
