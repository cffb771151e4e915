"""Choose where to compute."""

from __future__ import annotations

import os

from tomokit.errors import OptionError, ResourceError

BACKENDS = ("auto", "cpu", "cuda", "reference")


def choose_backend(asked: str) -> str:
    """The backend for what was asked: ``auto`` is the CPU.

    Raises
    ------
    ResourceError
        If CUDA was asked for; no kernel of this version runs there.
    OptionError
        If there is no such backend.
    """
    if asked not in BACKENDS:
        raise OptionError(f"{asked!r} is unknown", field="--backend", remedy=f"choose from {', '.join(BACKENDS)}")
    if asked == "cuda":
        raise ResourceError("this version has no CUDA kernels", field="--backend", remedy="give --backend cpu")
    return "cpu" if asked == "auto" else asked


def use_threads(count: int | None) -> int:
    """Let Numba use `count` threads, or all if None, and say how many that is.

    Raises
    ------
    OptionError
        If there are not so many.
    """
    most = most_threads()
    import numba

    if count is not None:
        if count > most:
            raise OptionError(f"{count} threads where there are {most}", field="--threads", remedy=f"give 1 to {most}")
        numba.set_num_threads(count)
    return int(numba.get_num_threads())


def most_threads() -> int:
    """Threads that Numba can use in this process."""
    # OpenMP's threads spin while they wait, by default. On a core that another job wants, each of our many short
    # loops then costs a time slice: a small run took 12 s in place of 1 s. Read when the first loop starts.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import numba

    return int(getattr(numba.config, "NUMBA_NUM_THREADS"))  # noqa: B009 - set by numba when it is imported
