"""A wrong method is named for what is wrong; built-in ones pass."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tomokit.methods.voxels.sirt import Sirt
from tomokit.methods.voxels.wbp import Wbp
from tomokit.plugin.manager import get_registry
from tomokit.testing import CheckError, check_method

FEW = {"epochs": 6}


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("wbp", {}),
        ("sirt", FEW),
        ("sart", FEW),
        (
            "octree",
            {
                "epochs": 6,
                "n": 9,
                "leaf_px": 8.0,
                "margin": 0.0,
                "start": 1.0,
                "optimizers": {"rmsprop": {"lr": 0.1}},
            },
        ),
    ],
)
def test_built_in_ones_pass(name, options, tomokit_specimen) -> None:
    checks = check_method(get_registry().get("method", name), options, specimen=tomokit_specimen)
    assert len(checks) == (11 if name in ("sirt", "sart") else 10)


class Wrapped:
    """A run that does what another does, but for what is changed."""

    def __init__(self, run: Any, **changes: Any) -> None:
        self._run, self._changes = run, changes

    def __getattr__(self, name: str) -> Any:
        if name in self._changes:
            change = self._changes[name]
            return lambda *given: change(self._run, *given)
        return getattr(self._run, name)


def wrong(base=Sirt, **changes: Any) -> type:
    class Wrong(base):
        def start(self, problem: Any, options: Any) -> Any:
            return Wrapped(super().start(problem, options), **changes)

    return Wrong


def noisy(run):
    return run.volume() + np.random.default_rng().random(1, np.float32)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"volume": lambda run: run.volume().transpose(1, 0, 2)}, r"the axes are \[x, z, y\]"),
        ({"volume": lambda run: 0 * run.volume()}, "where an empty one is 1"),
        ({"volume": noisy}, "not deterministic"),
        ({"predict": lambda run, g: run.predict(g) * np.float32(2)}, "at best it is 2 times as large"),
        ({"advance": lambda run: {"data": run.advance()["data"]}}, "does not return loss"),
        ({"advance": lambda run: run.advance() | {"prior": float("nan")}}, "loss terms prior are not finite"),
        ({"offsets": lambda run: run.offsets() + np.float32(1)}, "offsets are not zeros"),
        ({"offsets": lambda run: 0 * run.offsets()}, "not taken up by its offset"),
        ({"restore": lambda run, epoch, arrays: setattr(run, "epoch", epoch)}, "ends elsewhere"),
        ({"advance": lambda run: run.advance() | {"prior": run.epochs}}, "of 13 epochs the first 6 are not those"),
        ({"arrays": lambda run: {}}, "gives nothing to continue from"),
    ],
)
def test_mistakes_are_named(changes, said, tomokit_specimen) -> None:
    with pytest.raises(CheckError, match=said):
        check_method(wrong(**changes), FEW, specimen=tomokit_specimen)


def test_a_look_under_the_mask_is_named(tomokit_specimen) -> None:
    class Wrong(Wbp):
        def start(self, problem: Any, options: Any) -> Any:
            from dataclasses import replace

            return super().start(replace(problem, mask=None), options)

    with pytest.raises(CheckError, match="under the mask changes the volume"):
        check_method(Wrong, specimen=tomokit_specimen)


def test_an_estimate_that_is_none_is_named(tomokit_specimen) -> None:
    class Wrong(Wbp):
        def estimate_bytes(self, problem_shape: Any, options: Any) -> int:
            return 0

    with pytest.raises(CheckError, match="estimate_bytes"):
        check_method(Wrong, specimen=tomokit_specimen)
