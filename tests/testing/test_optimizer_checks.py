"""A wrong optimizer is named for what is wrong; the built-in ones pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tomokit.optimizers.rules import Adam, AdamOptions, Rmsprop, Sgd
from tomokit.testing import CheckError, check_optimizer


class Momentum:
    """SGD with momentum in NumPy; right as it stands."""

    name, summary, Options = "momentum", "for tests", AdamOptions

    def __init__(self, options: AdamOptions) -> None:
        self.options = options

    def state_arrays(self, shape: tuple[int, ...], dtype: Any) -> dict[str, Any]:
        return {"u": np.zeros(shape, dtype)}

    def step(self, values: Any, gradient: Any, state: Any, count: int, rate: float = 1.0) -> Any:
        state["u"] *= 0.5
        state["u"] += gradient
        values -= (self.options.lr * rate * state["u"]).astype(values.dtype)


@pytest.mark.parametrize("cls", [Rmsprop, Adam, Sgd, Momentum])
@pytest.mark.parametrize("seed", range(5))
def test_right_ones_pass(cls, seed) -> None:
    assert len(check_optimizer(cls, seed=seed)) == 8


def elsewhere(self, values, gradient, state, count, rate, base):
    base(self, values.copy(), gradient, state, count, rate)


def returning(self, values, gradient, state, count, rate, base):
    base(self, values, gradient, state, count, rate)
    return values


def replacing(self, values, gradient, state, count, rate, base):
    state["u"] = state["u"].copy()
    base(self, values, gradient, state, count, rate)


def uphill(self, values, gradient, state, count, rate, base):
    base(self, values, -gradient, state, count, rate)


def unscheduled(self, values, gradient, state, count, rate, base):
    base(self, values, gradient, state, count, 1.0)


def hoarding(self, values, gradient, state, count, rate, base):
    self.steps = getattr(self, "steps", 0) + 1
    base(self, values, gradient, state, count, rate / self.steps)


def stuck(self, values, gradient, state, count, rate, base):
    base(self, values[:1], gradient[:1], {"u": state["u"][:1]}, count, rate)


def drawing(self, values, gradient, state, count, rate, base):
    base(self, values, gradient * np.random.random(), state, count, rate)  # noqa: NPY002


def overrunning(self, values, gradient, state, count, rate, base):
    base(self, values, gradient, state, count, rate)
    if values.base is not None:
        np.lib.stride_tricks.as_strided(values.reshape(-1), (values.size + 1,))[values.size] = 0


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (elsewhere, "does not change `values` in place"),
        (returning, "returns something"),
        (replacing, "replaces arrays of the state"),
        (uphill, "does not go against the gradient"),
        (unscheduled, "moves values at a rate of 0"),
        (hoarding, "remembers something outside its state"),
        (stuck, "down a bowl"),
        (drawing, "not deterministic"),
        (overrunning, "writes beyond the values"),
    ],
)
def test_mistakes_are_named(step, said) -> None:
    base = Momentum.step
    wrong = type("Wrong", (Momentum,), {"step": lambda self, v, g, s, c, r=1.0: step(self, v, g, s, c, r, base)})
    with pytest.raises(CheckError, match=said):
        check_optimizer(wrong)


def test_what_cannot_be_saved_is_named() -> None:
    wrong = type("Wrong", (Momentum,), {"state_arrays": lambda self, shape, dtype: {"u": 0.0}})
    with pytest.raises(CheckError, match="'u' is no array"):
        check_optimizer(wrong)
