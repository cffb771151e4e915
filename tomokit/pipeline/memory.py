"""Room in memory and on the disk, known before any work is done."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

from tomokit.errors import OutputError, ResourceError
from tomokit.pipeline.control_groups import control_group_bytes, first_number, read_text

_UNLIMITED = 1 << 60


def available_bytes(mapped_bytes: int = 0) -> int:
    """Find how many bytes this process may still allocate.

    The least of what the machine has available (``MemAvailable``), what this process's control group and those above it
    leave, and what the limit of the address space leaves. A bound that cannot be read does not count.

    Parameters
    ----------
    mapped_bytes : int
        Bytes of files that will be mapped: they count against the limit of the address space alone.

    Returns
    -------
    int
    """
    bounds = [_machine_bytes(), control_group_bytes()]
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        # What the process has mapped already, in pages, counts against the limit.
        pages = first_number(Path("/proc/self/statm"))
        bounds.append(max(0, soft - (pages or 0) * resource.getpagesize() - mapped_bytes))
    return min(bound for bound in bounds if bound is not None)


def check_memory(
    needed_bytes: int,
    what: str,
    remedy: str = "give a smaller --thickness or a larger --bin",
    mapped_bytes: int = 0,
) -> None:
    """Refuse a job that does not fit in memory.

    Parameters
    ----------
    needed_bytes : int
        What it will take beyond what this process has.
    what : str
        What it is, for the message.
    remedy : str
        What the user can do about it.
    mapped_bytes : int
        As of :func:`available_bytes`.

    Raises
    ------
    ResourceError
        With the estimate and what there is.
    """
    available = available_bytes(mapped_bytes)
    if needed_bytes > available:
        raise ResourceError(
            f"{what} needs about {readable(needed_bytes)} of memory, {readable(available)} is available",
            remedy=remedy,
        )


def check_disk(path: Path, needed_bytes: int) -> None:
    """Refuse an output that does not fit on its disk.

    Parameters
    ----------
    path : Path
        The file to be written.
    needed_bytes : int
        Its size.

    Raises
    ------
    OutputError
        With the size and what is free.
    """
    free = shutil.disk_usage(path.resolve().parent).free
    if needed_bytes > free:
        raise OutputError(
            f"needs {readable(needed_bytes)}, {readable(free)} is free on the disk",
            file=path,
            remedy="free some space or choose another disk",
        )


def peak_bytes() -> int:
    """Find the most memory that this process has held so far.

    Returns
    -------
    int
        Bytes of resident memory.
    """
    # Linux counts it in KiB.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def readable(count: float) -> str:
    """Write a number of bytes for a reader, such as ``2.5 GiB``.

    Parameters
    ----------
    count : float
        Bytes.

    Returns
    -------
    str
    """
    for unit in ("bytes", "KiB", "MiB", "GiB", "TiB", "PiB"):
        if count < 1024 or unit == "PiB":
            break
        count /= 1024
    return f"{count:.0f} {unit}" if unit == "bytes" else f"{count:.1f} {unit}"


def _machine_bytes() -> int:
    """Bytes that the kernel says are available."""
    for line in read_text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return _UNLIMITED
