"""``tomokit warm-up``: a next run finds all of its machine code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tomokit.kernels.notice import COMPILING


def tomokit(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder / "kept"), "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-m", "tomokit", *arguments], cwd=folder, env=environment, capture_output=True, text=True
    )


@pytest.mark.long
def test_after_it_a_run_compiles_nothing(tmp_path: Path) -> None:
    done = tomokit(tmp_path, "warm-up", "wbp", "--json")
    assert (done.returncode, done.stderr) == (0, "tomokit: wbp done\n")
    told = json.loads(done.stdout)
    assert told["runs"] == ["wbp"]
    assert any(Path(told["folder"]).iterdir())
    tomokit(tmp_path, "simulate", "data", "--shape", "12,24,24", "--tilts=-60:60:20")
    run = tomokit(tmp_path, "reconstruct", "data/tilts.mrc", "-o", "t.mrc", "--thickness", "12", "--method", "wbp")
    assert run.returncode == 0
    assert COMPILING not in run.stderr


def test_an_unknown_method_is_named(tmp_path: Path) -> None:
    done = tomokit(tmp_path, "warm-up", "magic")
    assert done.returncode == 2
    assert "'magic' is unknown" in done.stderr
    assert not (tmp_path / "kept").exists()
