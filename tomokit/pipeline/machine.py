"""What a result's bits depend on beyond its provenance: the kind of processor, and the versions of what computes.

The same job gives the same bits on processors of one kind: kernels are compiled for the instructions that there are,
and NumPy chooses its loops by them.
"""

from __future__ import annotations

import importlib.metadata
from typing import Any

LIBRARIES = ("numpy", "numba", "llvmlite", "scipy")
"""Libraries whose versions may change bits."""

Machine = dict[str, Any]


def describe_machine() -> Machine:
    """Describe the processor that kernels are compiled for, and the versions of the libraries that compute.

    Returns
    -------
    dict
        JSON-serializable: ``processor`` (its name, and that which it is taken for, if ``NUMBA_CPU_NAME`` says so),
        ``features`` (its instruction sets that kernels may use, sorted) and ``versions`` by library.
    """
    from llvmlite.binding import get_host_cpu_features, get_host_cpu_name  # type: ignore[import-untyped]
    from numba import config

    # As NUMBA_CPU_NAME and NUMBA_CPU_FEATURES set them.
    name, chosen, given = get_host_cpu_name(), getattr(config, "CPU_NAME", None), getattr(config, "CPU_FEATURES", None)
    # NumPy's own loops follow the processor that there is, whatever kernels are compiled for.
    processor = name if chosen in (None, "host", name) else f"{name} as {chosen}"
    if given is not None:
        features = [text for text in given.split(",") if text.startswith("+")]
    elif chosen is None or chosen == "host":
        features = [f"+{feature}" for feature, there in get_host_cpu_features().items() if there]
    else:
        features = []
    versions = {library: importlib.metadata.version(library) for library in LIBRARIES}
    return {"processor": processor, "features": sorted(features), "versions": versions}


def differences(before: Machine, now: Machine) -> str:
    """Tell in what two machines differ that may change bits.

    Parameters
    ----------
    before, now : dict
        As :func:`describe_machine` gives them.

    Returns
    -------
    str
        A clause for a warning; empty if they do not differ.
    """
    told = []
    if before["processor"] != now["processor"]:
        told.append(f"processor {before['processor']}, now {now['processor']}")
    missing = sorted(set(before["features"]) ^ set(now["features"]))
    if missing and not told:
        told.append(f"a processor that differs in {', '.join(feature.lstrip('+') for feature in missing[:4])}")
    for library in sorted({*before["versions"], *now["versions"]}):
        old, new = (machine["versions"].get(library, "none") for machine in (before, now))
        if old != new:
            told.append(f"{library} {old}, now {new}")
    return "; ".join(told)


def record_of_run(earlier: list[Machine]) -> list[Machine]:
    """List the machines that a run is computed on, this one the last.

    Parameters
    ----------
    earlier : list of dict
        Those that its state names.

    Returns
    -------
    list of dict
        Each as often as the run has moved to it.
    """
    here = describe_machine()
    return list(earlier) if earlier and earlier[-1] == here else [*earlier, here]


def moved_warnings(earlier: list[Machine]) -> list[str]:
    """Warn where a run goes on on another kind of machine than it was computed on so far.

    Parameters
    ----------
    earlier : list of dict
        Those that its state names; none in a state from before they were recorded.

    Returns
    -------
    list of str
        One line for each difference, without repetition.
    """
    here = describe_machine()
    told = dict.fromkeys(differences(machine, here) for machine in earlier)
    return [f"computed so far with {text}: bits may differ from an uninterrupted run" for text in told if text]
