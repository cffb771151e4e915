"""Numba's kernels: in its simulator, and compiled for a GPU; each in a process of its own, for both change Numba."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

HERE = Path(__file__).parent


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Python with these arguments."""
    settings = {**os.environ, **environment}
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, check=False, env=settings, cwd=HERE.parent.parent
    )


@pytest.mark.long
def test_in_the_simulator() -> None:
    done = run("-m", "pytest", str(HERE / "simulator_checks.py"), "-q", NUMBA_ENABLE_CUDASIM="1")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]


NEEDS_NUMBA_CUDA = pytest.mark.skipif(
    find_spec("numba_cuda") is None, reason="no numba-cuda: pip install 'tomokit[cuda-check]'"
)


@NEEDS_NUMBA_CUDA
def test_a_small_forest_is_no_reason_for_a_warning() -> None:
    script = "from tomokit.octree.cuda.error_indicators import _compiled\n_compiled()[4, 256]"
    done = run("-W", "always", "-c", script, NUMBA_ENABLE_CUDASIM="0")
    assert done.returncode == 0, done.stderr[-2000:]
    assert "NumbaPerformanceWarning" not in done.stderr


@NEEDS_NUMBA_CUDA
@pytest.mark.parametrize(
    "capability", [pytest.param("8.0", marks=pytest.mark.long), "9.0", pytest.param("10.0", marks=pytest.mark.long)]
)
def test_compiled_for_a_gpu_without_double_precision(capability: str) -> None:
    done = run(str(HERE / "compile_numba_kernels.py"), capability, NUMBA_ENABLE_CUDASIM="0")
    assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    lines = dict(line.split() for line in done.stdout.splitlines())
    # The last one is there to show that doubles are seen.
    assert lines.pop("doubling") != "0"
    assert set(lines) == {"count_leaf", "tabulate_pair", "measure_leaf"}
    assert set(lines.values()) == {"0"}
