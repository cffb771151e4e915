"""A small series on the disk, jobs that fit it in a second or two, and stops that come when they are wanted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from stop_after import StopAfter

from tomokit.commands.app import run
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.signals import Stop

JOBS: dict[str, dict[str, Any]] = {
    # Larger leaves in the first epoch, structure updates after it and after the third, both levels of the pyramid,
    # every prior. All that the preset ``default`` sets is set, so that the command line means the same job.
    "octree": {
        "n": 9, "max_leaves": 60, "leaf_px": 16.0, "finer": 1, "coarse_epochs": 2, "structure_epochs": [1, 3],
        "structure_stall": 0.0, "views_per_step": 2, "epochs": 5, "decay_epochs": 1,
        "large_leaves": 0.2, "convex": 0.5, "convex_strength": 0.6, "decay": 0.2, "strength": 0.8, "bend": 0.015,
        "start": 1.0, "optimizer": "rmsprop",
        "regularizers": {"cnlc": {"weight": 1e-5, "every": 2}, "tv": {"variant": "concave"}},
    },
    "sart-tv": {"epochs": 4},
    "sart": {"epochs": 4},
    "sirt": {"epochs": 4},
    "tv": {"epochs": 4},
}  # fmt: skip


@pytest.fixture(scope="session")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Stack of a simulated series, its angles beside it; not to be written to."""
    folder = tmp_path_factory.mktemp("series")
    arguments = ["--shape", "16,32,32", "--tilts=-60:60:8", "--noise", "0.05", "--seed", "1"]
    assert run(["simulate", str(folder), *arguments]) == 0
    return folder / "tilts.mrc"


@pytest.fixture
def job(series: Path, tmp_path: Path) -> Callable[..., ReconstructionRequest]:
    """Makes a job by a method in a folder of its own: state ``run.h5``, tomogram ``out.mrc``."""

    def make(method: str, folder: str = "job", **changes: Any) -> ReconstructionRequest:
        where = tmp_path / folder
        where.mkdir(exist_ok=True)
        fields = {
            "method": method, "thickness": 16, "options": dict(JOBS[method]), "hold_out": 5, "state": where / "run.h5",
            "preview": False, "stack": series,
        }  # fmt: skip
        return ReconstructionRequest(output=where / "out.mrc", **(fields | changes))  # type: ignore[arg-type]

    return make


@pytest.fixture
def stop_after() -> Callable[[int], Stop]:
    """Makes a stop that comes after so many looks."""
    return StopAfter


@pytest.fixture
def same() -> Callable[[Mapping[str, Any], Mapping[str, Any]], None]:
    """Asserts that two sets of arrays have the same names and the same bits."""

    def compare(one: Mapping[str, Any], other: Mapping[str, Any]) -> None:
        assert one.keys() == other.keys()
        for name, array in one.items():
            assert array.dtype == other[name].dtype, name
            np.testing.assert_array_equal(array, other[name], err_msg=name)

    return compare
