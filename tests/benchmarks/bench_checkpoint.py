"""What it costs to save a run, at the size of the publication's real data: 28 million values.

``python tests/benchmarks/bench_checkpoint.py [--folder DIR] [--epochs N]`` makes a series of noise (what is in it
changes no time), fits it by the preset ``paper-real`` and saves its state, in a folder on the disk that is asked about.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
import time
from pathlib import Path

import numpy as np

from tomokit.io import write_stack, write_text
from tomokit.pipeline.checkpoint import DEFAULT_SECONDS
from tomokit.pipeline.config import build_request
from tomokit.pipeline.driver import reconstruct
from tomokit.state.read import read_state

VIEWS, SIZE, THICKNESS = 33, 820, 308
# So many are laid out at once that there are as many as the preset comes to by its changes.
MAX_LEAVES = 450


def main() -> None:
    """Measure, and print one line each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="on the disk to be measured; default: that of temporary files")
    parser.add_argument("--epochs", type=int, default=4, help="epochs at full resolution")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        stack = folder / "tilts.mrc"
        write_stack(stack, np.random.default_rng(0).random((VIEWS, SIZE, SIZE), dtype=np.float32))
        write_text(stack.with_suffix(".tlt"), "".join(f"{tilt}\n" for tilt in np.linspace(-60, 60, VIEWS)))
        given = {
            "stack": stack, "output": folder / "out.mrc", "thickness": THICKNESS, "linearization": "linear",
            "preview": False, "state": folder / "run.h5", "state_epochs": 1,
        }  # fmt: skip
        request = build_request(given, preset="paper-real")
        whole = {"epochs": arguments.epochs, "coarse_epochs": 0, "structure_epochs": [], "max_leaves": MAX_LEAVES}
        request = dataclasses.replace(request, options={**request.options, **whole})
        summary = reconstruct(request)
        began = time.perf_counter()
        state = read_state(request.state)
        verified_s = time.perf_counter() - began
        values, size = state.arrays["values"].size, request.state.stat().st_size
    epochs_s = [entry["seconds"] for entry in summary["history"]]
    written, cost_s = summary["checkpoints"]["written"], summary["checkpoints"]["seconds"]
    # The first one, before any step, has no arrays and costs next to nothing.
    each_s = cost_s / (written - 1)
    print(f"{values / 1e6:.1f} M values, a state of {size / 1e6:.0f} MB, saved {written} times")
    print(f"an epoch takes {np.mean(epochs_s):.2f} s, saving {each_s:.2f} s, reading and verifying {verified_s:.2f} s")
    share = each_s / (DEFAULT_SECONDS + each_s)
    print(f"at the default interval of {DEFAULT_SECONDS:.0f} s: {100 * share:.2f} % of a run")
    published_s = 25 * float(np.mean(epochs_s))
    print(f"of 25 such epochs, saved at the end only: {100 * each_s / (published_s + each_s):.2f} %")


if __name__ == "__main__":
    main()
