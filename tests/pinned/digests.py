"""Digests of small runs: volumes, histories and states, bit for bit, to hold a change that must change no result.

python tests/pinned/digests.py            compare with tests/pinned/digests.json
python tests/pinned/digests.py --write    write it anew, after a change that was meant to change results

Bits depend on the processor and on the versions of Numba and NumPy, which the file records; where they differ nothing
can be said, and the script says so (exit 3). Everything runs twice in processes of its own with a kernel cache of its
own: the first fills the cache, the second is compared, since a kernel that was compiled in a process may differ in its
last bits from the same one loaded from the cache.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
REPOSITORY = HERE.parent.parent
RECORD = HERE / "digests.json"
THREADS = "2"

SMALL_OCTREE = ["epochs=4", "n=8", "leaf_px=12", "max_leaves=120", "coarser=1"]
PUBLISHED = [
    "epochs=6", "coarse_epochs=4", "structure_epochs=2,3,4", "structure_stall=0.0", "n=8", "max_leaves=90",
    "leaf_px=16", "finer=1", "regularizers.cnlc.weight=1e-3",
]  # fmt: skip
OFFSETS = ["--offsets", "fit"]
MASK = ["--mask", "mask.mrc"]
CASES: dict[str, tuple[list[str], list[str]]] = {
    # name: options of the command, settings of the method
    "wbp": (["--method", "wbp"], []),
    "sirt-mask-offsets": (["--method", "sirt", *MASK, *OFFSETS, "--hold-out", "5"], ["epochs=4"]),
    "sart": (["--method", "sart"], ["epochs=2"]),
    "sart-tv-offsets": (["--method", "sart-tv", *OFFSETS], ["epochs=2"]),
    "tv": (["--method", "tv"], ["epochs=6"]),
    "tv-mask-offsets": (["--method", "tv", *MASK, *OFFSETS], ["epochs=6"]),
    "octree": (["--hold-out", "5"], SMALL_OCTREE),
    "octree-mask-offsets-bin": (["--bin", "2", *MASK, *OFFSETS], ["epochs=4", "n=6", "leaf_px=8", "max_leaves=120"]),
    "octree-raw-identity": (
        [],
        [*SMALL_OCTREE, "activation=identity", "regularizers.tv.space=raw", "regularizers.boundary.space=raw",
         "regularizers.cnlc.weight=1e-3", "regularizers.cnlc.space=raw", "optimizer=sgd", "optimizers.sgd.lr=1.0"],
    ),
    "octree-plugin": ([], [*SMALL_OCTREE, "regularizers.patch-nlm.weight=1e-3", "regularizers.cnlc.weight=1e-3"]),
    "paper-real": (["--preset", "paper-real", *OFFSETS], PUBLISHED),
    "paper-synthetic": (["--preset", "paper-synthetic"], PUBLISHED),
}  # fmt: skip
DEVICE_CASES = {
    "device-wbp": CASES["wbp"],
    "device-sirt-mask-offsets": CASES["sirt-mask-offsets"],
    "device-sart-tv-offsets": CASES["sart-tv-offsets"],
    "device-tv-mask-offsets": CASES["tv-mask-offsets"],
    "device-octree": CASES["octree"],
    # Without the cross-node constraint and structure updates: their kernels are Numba's, which need a GPU.
    "device-octree-raw": (
        [], [*SMALL_OCTREE, "epochs=2", "regularizers.tv.space=raw", "regularizers.boundary.space=raw"],
    ),
    "device-octree-plugin": ([], [*SMALL_OCTREE, "epochs=2", "regularizers.patch-nlm.weight=1e-3"]),
    "device-paper-real": (
        ["--preset", "paper-real", *OFFSETS],
        [*PUBLISHED[4:-1], "epochs=3", "coarse_epochs=2", "structure_epochs=1", "regularizers.cnlc.weight=0"],
    ),
}  # fmt: skip


def environment() -> dict[str, str]:
    """What the bits depend on, beside the code."""
    import numba
    import scipy

    flags = next((line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("flags")), "")
    return {
        "machine": platform.machine(),
        "processor_flags": hashlib.sha256(" ".join(sorted(flags.split()[2:])).encode()).hexdigest()[:16],
        "python": ".".join(platform.python_version_tuple()[:2]),
        "numpy": np.__version__,
        "numba": numba.__version__,
        "scipy": scipy.__version__,
    }


def digest(array: np.ndarray) -> str:
    """Digest of an array's type, shape and bytes."""
    array = np.ascontiguousarray(array)
    head = f"{array.dtype.str}{array.shape}".encode()
    return hashlib.sha256(head + array.tobytes()).hexdigest()[:16]


def tomokit(*arguments: str) -> dict[str, Any]:
    """Run a command in this process; what it prints as JSON."""
    from tomokit.commands.app import run

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = run([*arguments, "--json"])
    if status != 0:
        raise SystemExit(f"tomokit {' '.join(arguments)} ended with {status}")
    found: dict[str, Any] = json.loads(printed.getvalue())
    return found


def record(summary: dict[str, Any], state: Path) -> dict[str, Any]:
    """What is pinned of a run."""
    import h5py
    import mrcfile

    with mrcfile.open(summary["output"]) as volume:
        found: dict[str, Any] = {"volume": digest(np.asarray(volume.data))}
    for entry in summary["history"]:
        entry.pop("seconds")
        # Measures by ring follow from the predictions, which the correlation stands for.
        for name in ("ring_correlation", "mean_ring_correlation"):
            (entry["held_out"] or {}).pop(name, None)
    found["history"] = hashlib.sha256(json.dumps(summary["history"], sort_keys=True).encode()).hexdigest()[:16]
    found["last"] = summary["history"][-1]["terms"]
    with h5py.File(state) as file:
        found["arrays"] = {name: digest(np.asarray(array)) for name, array in sorted(file["arrays"].items())}
    return found


def reconstruct(name: str, options: list[str], settings: list[str], backend: str) -> dict[str, Any]:
    """One case."""
    state = Path(f"{name}.h5")
    chosen = [part for item in settings for part in ("--set", item)]
    summary = tomokit(
        "reconstruct", "data/tilts.mrc", "-o", f"{name}.mrc", "--thickness", "24", "--backend", backend, "--state",
        str(state), "--no-preview", "--threads", THREADS, "--seed", "3", *options, *chosen,
    )  # fmt: skip
    return record(summary, state)


def resumed() -> dict[str, Any]:
    """A run of two epochs that is resumed for two more."""
    options, settings = CASES["octree"]
    reconstruct("resumed", options, [*settings, "epochs=2", "convex=0.0", "decay_epochs=0"], "cpu")
    summary = tomokit("resume", "resumed.h5", "--epochs", "4", "-o", "resumed-4.mrc")
    return record(summary, Path("resumed.h5"))


def run_cases(folder: Path, only: str) -> dict[str, Any]:
    """All cases in this process, in an empty folder."""
    os.chdir(folder)
    sys.path[:0] = [
        str(HERE.parent / "cuda"),
        str(announced(folder)),
        str(REPOSITORY / "plugins/tomokit-patch-nlm/src"),
    ]
    tomokit("simulate", "data", "--shape", "24,48,48", "--tilts=-60:60:6", "--noise", "0.1", "--seed", "5")
    write_mask(Path("mask.mrc"))
    found = {}
    for name, (options, settings) in CASES.items():
        if only in name:
            found[name] = reconstruct(name, options, settings, "cpu")
            print(name, flush=True)
    if only in "resumed":
        found["resumed"] = resumed()
    from on_cpu import COMPILER, CpuDevice

    from tomokit.gpu.discovery import use_devices

    for name, (options, settings) in DEVICE_CASES.items():
        if only in name and COMPILER is not None:
            with use_devices([CpuDevice(3)]):
                found[name] = reconstruct(name, options, settings, "cuda")
            print(name, flush=True)
    return found


def announced(folder: Path) -> Path:
    """A folder that announces the plugin as an installed distribution does."""
    info = folder / "site" / "tomokit_patch_nlm-0.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: tomokit-patch-nlm\nVersion: 0.0\n")
    (info / "entry_points.txt").write_text("[tomokit]\npatch-nlm = tomokit_patch_nlm.plugin\n")
    return info.parent


def write_mask(path: Path) -> None:
    """Two beads, and a margin in one view."""
    import mrcfile

    mask = np.ones((21, 48, 48), np.float32)
    mask[:, 10:15, 20:25] = 0
    mask[:, 30:34, 8:12] = 0
    mask[4, :, :9] = 0
    with mrcfile.new(path) as file:
        file.set_data(mask)
        file.set_image_stack()


def in_a_process(cache: Path, only: str) -> dict[str, Any]:
    """All cases in a process of its own with this kernel cache."""
    with tempfile.TemporaryDirectory(prefix="tomokit-pinned-") as folder:
        result = Path(folder) / "result.json"
        subprocess.run(
            [sys.executable, __file__, "--run", folder, "--into", str(result), "--only", only],
            check=True,
            env={
                **os.environ,
                "NUMBA_CACHE_DIR": str(cache),
                "PYTHONPATH": str(REPOSITORY),
                "OMP_WAIT_POLICY": "PASSIVE",
            },
        )
        found: dict[str, Any] = json.loads(result.read_text())
        return found


def main() -> int:
    """Compare, or write; the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write the record anew")
    parser.add_argument("--only", default="", help="cases whose name has this in it")
    parser.add_argument("--run", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--into", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.run is not None:
        given.into.write_text(json.dumps(run_cases(given.run, given.only)))
        return 0
    here = environment()
    pinned = json.loads(RECORD.read_text())
    is_comparable = pinned["environment"] == here
    if not is_comparable and (not given.write or given.only):
        print(f"nothing can be compared: recorded with {pinned['environment']}, this is {here}")
        return 3
    with tempfile.TemporaryDirectory(prefix="tomokit-cache-") as cache:
        in_a_process(Path(cache), given.only)
        found = in_a_process(Path(cache), given.only)
    if given.write:
        # What was not run stays as it was.
        cases = (pinned["cases"] if given.only else {}) | found
        RECORD.write_text(json.dumps({"environment": here, "cases": cases}, indent=1) + "\n")
        return 0
    different = 0
    for name, case in found.items():
        expected = pinned["cases"][name]
        parts = [part for part in case if case[part] != expected[part]]
        different += bool(parts)
        print(f"{name:28s} {'the same' if not parts else 'DIFFERS in ' + ', '.join(parts)}")
    print(f"{len(found) - different} of {len(found)} the same")
    return int(different > 0)


if __name__ == "__main__":
    sys.exit(main())
