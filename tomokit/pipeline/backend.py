"""Choose where to compute: on the CPU, and with how many threads, or on a GPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tomokit.errors import OptionError, TomokitError
from tomokit.methods.capabilities import RunsOnGpu
from tomokit.methods.interface import Method

BACKENDS = ("auto", "cpu", "cuda", "reference")

_DRIVER = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia")


def choose_backend(
    asked: str,
    method: Method | None = None,
    options: Any = None,
    say: Callable[[str], None] | None = None,
    unsupported: str | None = None,
) -> str:
    """Choose the backend for what was asked: ``auto`` is a GPU if one runs the method, else the CPU.

    Parameters
    ----------
    asked : str
        One of :data:`BACKENDS`.
    method : Method, optional
        What is to run. It says by ``cuda_unsupported_reason(options)`` why it cannot run on a GPU, or None if it can;
        one that has no such function cannot. None: anything that is asked for is run.
    options : object
        Options of the method.
    say : callable, optional
        Is told, once, why ``auto`` is the CPU where something is there that looks like a GPU.
    unsupported : str, optional
        Why the job cannot run on a GPU, whatever its method can.

    Returns
    -------
    {"cpu", "cuda", "reference"}

    Raises
    ------
    ResourceError
        If CUDA was asked for and there is no GPU that runs kernels.
    OptionError
        If there is no such backend, or CUDA was asked for and the method cannot.
    """
    if asked not in BACKENDS:
        raise OptionError(f"{asked!r} is unknown", field="--backend", remedy=f"choose from {', '.join(BACKENDS)}")
    if asked in ("cpu", "reference"):
        return asked
    unsupported = unsupported or _unsupported_reason(method, options)
    if asked == "auto" and not _looks_like_a_gpu():
        return "cpu"
    try:
        if unsupported is not None:
            raise OptionError(unsupported, field="--backend", remedy="give --backend cpu")
        from tomokit.gpu.discovery import devices

        devices()
    except TomokitError as error:
        if asked == "cuda":
            raise
        if say is not None:
            say(f"the CPU is used: {error.problem}")
        return "cpu"
    return "cuda"


def _unsupported_reason(method: Method | None, options: Any) -> str | None:
    """Why a method cannot run on a GPU; None if it can."""
    if method is None:
        return None
    if not isinstance(method, RunsOnGpu):
        return f"method {method.name} has no CUDA kernels"
    return method.cuda_unsupported_reason(options)


def _looks_like_a_gpu() -> bool:
    """Whether CuPy is worth importing: the driver's files are here and not all GPUs hidden, or tests chose a device."""
    from tomokit.gpu.discovery import any_chosen

    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return any_chosen() or (not hidden and any(Path(path).exists() for path in _DRIVER))


def use_threads(count: int | None) -> int:
    """Set how many threads the compiled loops use.

    Parameters
    ----------
    count : int or None
        Threads; None leaves it as it is, which is all where nothing was set before.

    Returns
    -------
    int
        Threads that are used now.

    Raises
    ------
    OptionError
        If this process cannot have so many.
    """
    most = most_threads()
    import numba

    if count is not None:
        if count > most:
            here = "one thread" if most == 1 else f"{most} threads"
            remedy = "leave it out" if most == 1 else f"give at most {most}, or leave it out to use all"
            raise OptionError(f"{count} threads, but this process can have {here}", field="--threads", remedy=remedy)
        numba.set_num_threads(count)
    return int(numba.get_num_threads())


def most_threads() -> int:
    """Tell how many threads Numba can use in this process.

    Returns
    -------
    int
        At least 1.
    """
    # OpenMP's threads spin while they wait, by default. On a core that another job wants, each of our many short
    # loops then costs a time slice: a small run took 12 s in place of 1 s. Read when the first loop starts.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import numba

    return int(getattr(numba.config, "NUMBA_NUM_THREADS"))  # noqa: B009 - set by numba when it is imported
