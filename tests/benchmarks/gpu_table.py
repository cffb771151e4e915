"""Rows of the table that ``gpu.py`` prints, and how large its problems are."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tomokit.gpu.device import Device

FLOAT = 4
"""Bytes."""


@dataclass(frozen=True)
class Sizes:
    """How large the problems are.

    Attributes
    ----------
    dense : tuple of int
        Edge of the volume, and views.
    leaves : tuple
        n, edge of a leaf in pixels, leaves along x, z, y.
    views, copied, blocks, repeats : int
        Views of the octree's step; bytes, blocks and repetitions of timings.
    phantom : tuple
        Voxels ``(z, y, x)`` of the fits, and degrees between their views.
    fit : dict
        Options of the fits.
    settings : list of str
        ``--set`` of the whole series.
    thickness : int
        Its own.
    judges_times : bool
    """

    dense: tuple[int, int]
    leaves: tuple[int, int, tuple[int, int, int]]
    views: int
    copied: int
    blocks: int
    repeats: int
    phantom: tuple[tuple[int, int, int], float]
    fit: dict[str, Any]
    settings: list[str]
    thickness: int
    judges_times: bool


FULL = Sizes(
    (512, 61), (42, 58, (16, 3, 8)), 41, 1 << 30, 132 * 64, 9, ((64, 256, 256), 3.0), {"epochs": 20}, [], 320, True
)  # fmt: skip
SMALL = Sizes(
    (24, 5), (6, 8, (2, 1, 2)), 4, 1 << 20, 2, 2, ((12, 48, 16), 30.0),
    {"epochs": 3, "n": 8, "leaf_px": 12.0, "coarser": 0, "margin": 0.0, "views_per_step": 3},
    ["epochs=3", "coarse_epochs=1", "structure_epochs=2", "n=6", "max_leaves=16", "regularizers.cnlc.bins=16",
     "views_per_step=3"],
    12, False,
)  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One line of the table; without a bound it only informs."""

    what: str
    found: str
    bound: str = ""
    holds: bool | None = None


def show(sections: Iterable[tuple[str, Callable[[], Iterable[Row]]]]) -> bool:
    """Print a Markdown table, each row when it is there; whether all bounds hold.

    A section that fails ends with a row that says so: time on a GPU is not to be lost by the first surprise.
    """
    said = {None: "", True: "holds", False: "DOES NOT HOLD"}
    print("| what | found | bound | |\n|---|---|---|---|", flush=True)
    good = True

    def put(row: Row) -> None:
        nonlocal good
        good = good and row.holds is not False
        print(f"| {row.what} | {row.found} | {row.bound} | {said[row.holds]} |", flush=True)

    for name, rows in sections:
        try:
            for row in rows():
                put(row)
        except Exception as error:  # whatever CuPy, Numba, the driver or a compiler raises
            traceback.print_exc(file=sys.stderr)
            lines = str(error).splitlines() or [""]
            put(Row(name, f"{type(error).__name__}: {lines[0]}", "no error", False))
    return good


def seconds(device: Device, work: Callable[[], Any], repeats: int) -> float:
    """Median time of a call: between events where there are any, by the clock otherwise."""
    work()
    runtime = getattr(device.xp, "cuda", None)
    times = []
    for _ in range(repeats):
        if runtime is None:
            began = time.perf_counter()
            work()
            times.append(time.perf_counter() - began)
            continue
        start, end = runtime.Event(), runtime.Event()
        start.record()
        work()
        end.record()
        end.synchronize()
        times.append(runtime.get_elapsed_time(start, end) / 1000)
    return float(np.median(times))


def judged(name: str, took: float, floor: float, sizes: Sizes) -> Row:
    """A time beside its floor; only full sizes are held to the bound."""
    found = f"{took * 1e3:.3f} ms, floor {floor * 1e3:.3f} ms, {took / floor:.1f} times"
    return Row(name, found, "3 times", took <= 3 * floor if sizes.judges_times else None)


def distance(found: np.ndarray, expected: np.ndarray) -> float:
    """Relative L2 distance."""
    return float(np.linalg.norm(found.astype(np.float64) - expected) / np.linalg.norm(expected))
