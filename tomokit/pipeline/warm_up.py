"""Compile what a run would compile, before there is one: small runs of each method, several of them at once."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tomokit.errors import OptionError, OutputError

_TRIALS = {
    "octree": ("octree", ""),
    "octree of the publication": ("octree", "paper-real"),
    "tv": ("tv", ""),
    "sart-tv": ("sart-tv", ""),
    "sart": ("sart", ""),
    "sirt": ("sirt", ""),
    "wbp": ("wbp", ""),
}
"""What is run, the longest to compile first: a method with its defaults, or with those of a preset."""

_RUN = "import sys; from tomokit.pipeline.warm_up import run_trial; run_trial(*sys.argv[1:])"


@dataclass(frozen=True)
class WarmUp:
    """Which small runs a warm-up took, and where their machine code is kept.

    Attributes
    ----------
    trials : list of str
        Names of the small runs.
    folder : Path
        Where the machine code is.
    seconds : float
        How long it took.
    """

    trials: list[str]
    folder: Path
    seconds: float


def warm_up(
    methods: Sequence[str] = (), *, into_installation: bool = False, tell: Callable[[str], None] = lambda text: None
) -> WarmUp:
    """Run each method on a small series, so that its machine code is compiled and kept.

    As many runs at a time as there are processors, each in a process of its own.

    Parameters
    ----------
    methods : sequence of str, optional
        Names of the methods; all built-in ones if none is given.
    into_installation : bool, optional
        Whether the machine code goes into the installation, for all of its users, and not into the user's cache.
    tell : callable, optional
        Is told of each run that is over.

    Returns
    -------
    WarmUp

    Raises
    ------
    OptionError
        If a method is unknown.
    OutputError
        If the installation cannot be written, or a run fails.
    """
    from tomokit.kernels.folders import INSTALLED, folder_to_write

    known = sorted({method for method, _ in _TRIALS.values()})
    for method in methods:
        if method not in known:
            raise OptionError(f"{method!r} is unknown", field="METHOD", remedy=f"choose from {', '.join(known)}")
    chosen = [name for name, (method, _) in _TRIALS.items() if not methods or method in methods]
    environment = dict(os.environ)
    if into_installation:
        try:
            INSTALLED.mkdir(exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot be written ({error.strerror})", file=INSTALLED) from error
        environment["NUMBA_CACHE_DIR"] = str(INSTALLED)
    began = time.monotonic()
    _run_trials(chosen, environment, tell)
    folder = INSTALLED / "tomokit" if into_installation else folder_to_write()
    return WarmUp(chosen, folder, time.monotonic() - began)


def run_trial(method: str, preset: str) -> None:
    """Simulate a small series and reconstruct it, with held-out views and a structure update.

    Parameters
    ----------
    method, preset : str
        The method, and the preset of its options or an empty text.
    """
    from tomokit.phantom import simulate_series
    from tomokit.pipeline.api import reconstruct

    series, _ = simulate_series((12, 24, 24), range(-60, 61, 12), noise=0.1)
    options: dict[str, Any] = {}
    if method == "octree":
        options = {"epochs": 4, "n": 6, "max_leaves": 90, "leaf_px": 8, "finer": 1, "structure_epochs": [2]}
        options |= {"coarse_epochs": 2} if preset else {}
    for offsets in ("zero", "fit"):
        reconstruct(
            series,
            thickness=12,
            method=method,
            preset=preset or None,
            options=options,
            linearization="linear",
            offsets=offsets,
            hold_out=5,
            backend="cpu",
        )


def _run_trials(chosen: list[str], environment: dict[str, str], tell: Callable[[str], None]) -> None:
    """Run trials side by side; those that run are ended with the first that fails, or with an interrupt."""
    waiting = list(chosen)
    running: dict[str, subprocess.Popen[str]] = {}
    try:
        while waiting or running:
            while waiting and len(running) < (os.cpu_count() or 1):
                name = waiting.pop(0)
                running[name] = subprocess.Popen(
                    [sys.executable, "-c", _RUN, *_TRIALS[name]],
                    env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                )  # fmt: skip
            time.sleep(0.1)
            for name in [name for name, process in running.items() if process.poll() is not None]:
                process = running.pop(name)
                problem = process.communicate()[1].strip()
                if process.returncode != 0:
                    raise OutputError(f"the run of {name} failed ({problem.splitlines()[-1] if problem else 'killed'})")
                tell(name)
    finally:
        for process in running.values():
            process.kill()
            process.wait()
