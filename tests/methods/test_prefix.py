"""What a method says about its epochs is so: a shorter run is the beginning of a longer one, to the bit."""

from __future__ import annotations

import numpy as np
import pytest

import tomokit
from tomokit.methods.capabilities import BeginsLongerRuns
from tomokit.plugin.manager import get_registry


@pytest.mark.parametrize("name", ["sirt", "sart", "sart-tv", "tv"])
def test_a_shorter_run_is_the_beginning_of_a_longer_one(name: str) -> None:
    method = get_registry().get("method", name)()
    assert isinstance(method, BeginsLongerRuns)
    assert method.epochs_are_a_prefix
    series, _ = tomokit.simulate_series((12, 16, 16), range(-60, 61, 12), noise=0.1, seed=3)
    short, long = (
        tomokit.reconstruct(series, thickness=12, method=name, options={"epochs": n}, hold_out=4, seed=5).history
        for n in (2, 4)
    )
    for one, other in zip(short, long, strict=False):
        assert one["held_out"] == other["held_out"]
        assert one["loss"] == other["loss"]
    assert not np.isclose(long[1]["loss"], long[3]["loss"])


def test_the_octree_has_a_schedule_and_says_no_such_thing() -> None:
    assert not isinstance(get_registry().get("method", "octree")(), BeginsLongerRuns)
