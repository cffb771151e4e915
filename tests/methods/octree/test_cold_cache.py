"""The same bits whether kernels were compiled in this process or came from the cache, and when a run is resumed."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import mrcfile
import numpy as np
import pytest
import warm_start

KERNEL = """
import hashlib
import numba
import numpy as np
from tomokit.regularizers.tv_kernel import tv_leaves

numba.set_num_threads(1)
density = np.random.default_rng(0).random((20, 11, 11, 11), dtype=np.float32)
gradient, means = np.zeros_like(density), np.zeros(20)
for variant in range(4):
    tv_leaves(density, gradient, np.full(20, 0.05), variant, 0.3, 3, means)
    print(hashlib.sha256(gradient.tobytes() + means.tobytes()).hexdigest())
"""

# Nothing in them depends on the number of epochs, which the resumed run is given more of.
SETTINGS = ("epochs=3", "n=6", "leaf_px=8", "max_leaves=60", "coarser=1", "regularizers.cnlc.weight=1e-3",
    "convex=0.0", "large_leaves=0.0", "decay_epochs=0",
)  # fmt: skip


def environment_of(folder: Path) -> dict[str, str]:
    """With an empty kernel cache of its own, and one thread."""
    path = os.pathsep.join(path for path in sys.path if path)
    return {**os.environ, "NUMBA_CACHE_DIR": str(folder / "cache"), "NUMBA_NUM_THREADS": "1", "PYTHONPATH": path}


def test_a_kernel_loaded_from_the_cache_has_the_bits_of_the_one_compiled(tmp_path: Path) -> None:
    # Total variation is what differed: its sums may be reordered.
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    compiled, loaded = (warm_start.run(["-c", KERNEL], env=environment).stdout for _ in range(2))
    assert len(compiled.split()) == 4
    assert loaded == compiled


@pytest.mark.skipif("TOMOKIT_COLD" not in os.environ, reason="compiles every kernel anew, for minutes: nox -s cold")
def test_a_first_run_with_an_empty_cache_has_the_bits_of_the_next(tmp_path: Path) -> None:
    environment = environment_of(tmp_path)

    def tomokit(*arguments: str) -> None:
        command = [sys.executable, "-m", "tomokit", *arguments]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True)

    def reconstructed(name: str, *more: str) -> str:
        chosen = [part for setting in SETTINGS for part in ("--set", setting)]
        tomokit(
            "reconstruct", "data/tilts.mrc", "-o", f"{name}.mrc", "--thickness", "12", "--no-preview",
            "--state", f"{name}.h5", *chosen, *more,
        )  # fmt: skip
        return digest(name)

    def digest(name: str) -> str:
        with mrcfile.open(tmp_path / f"{name}.mrc") as volume:
            return hashlib.sha256(np.asarray(volume.data).tobytes()).hexdigest()

    tomokit("simulate", "data", "--shape", "12,24,24", "--tilts=-60:60:12", "--noise", "0.1")
    compiled = reconstructed("compiled")
    assert reconstructed("loaded") == compiled
    # What a state promises: begun in one process and ended in another, to the same bits.
    reconstructed("part", "--set", "epochs=1")
    tomokit("resume", "part.h5", "--epochs", "3", "-o", "whole.mrc")
    assert digest("whole") == compiled
