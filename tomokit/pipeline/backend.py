"""Choose where to compute."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tomokit.errors import OptionError, TomokitError

BACKENDS = ("auto", "cpu", "cuda", "reference")

_DRIVER = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/dxg", "/proc/driver/nvidia")


def choose_backend(
    asked: str, method: Any = None, options: Any = None, say: Callable[[str], None] | None = None
) -> str:
    """The backend for what was asked. ``auto`` is a GPU, if the method has kernels and there is one that runs them.

    Parameters
    ----------
    asked : str
        One of :data:`BACKENDS`.
    method, options : object
        The method and its options; a method says by ``cuda_unsupported_reason(options)`` why it cannot run on a GPU, or
        None if it can. One that has no such function cannot.
    say : callable, optional
        Is told, once, why ``auto`` is the CPU where something is there that looks like a GPU.

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
    refusal = _refusal(method, options)
    if asked == "auto" and not _looks_like_a_gpu():
        return "cpu"
    try:
        if refusal is not None:
            raise OptionError(refusal, field="--backend", remedy="give --backend cpu")
        from tomokit.gpu.device import devices

        devices()
    except TomokitError as error:
        if asked == "cuda":
            raise
        if say is not None:
            say(f"the CPU is used: {error.problem}")
        return "cpu"
    return "cuda"


def _refusal(method: Any, options: Any) -> str | None:
    if method is None:
        return None
    refuses = getattr(method, "cuda_unsupported_reason", None)
    if refuses is None:
        return f"method {method.name} has no CUDA kernels"
    found: str | None = refuses(options)
    return found


def _looks_like_a_gpu() -> bool:
    """Whether it is worth a look: the driver's files are here and not all GPUs hidden, or tests have put a device in
    its place."""
    from tomokit.gpu.device import any_chosen

    hidden = os.environ.get("CUDA_VISIBLE_DEVICES") in ("", "-1")
    return any_chosen() or (not hidden and any(Path(path).exists() for path in _DRIVER))


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
