"""Room in memory and on the disk, known before any work is done."""

from __future__ import annotations

import resource
import shutil
from pathlib import Path

from tomokit.errors import OutputError, ResourceError

_CGROUP = Path("/sys/fs/cgroup")
_UNLIMITED = 1 << 60


def available_bytes() -> int:
    """Find how many bytes this process may still allocate.

    The least of what the machine has available (``MemAvailable``), what the control group leaves (v2 and v1), and what
    the limit of the address space leaves. A bound that cannot be read does not count.

    Returns
    -------
    int
    """
    bounds = [_machine_bytes(), _control_group_bytes("memory.max", "memory.current")]
    bounds.append(_control_group_bytes("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"))
    soft, _ = resource.getrlimit(resource.RLIMIT_AS)
    if soft != resource.RLIM_INFINITY:
        # What the process has mapped already, in pages, counts against the limit.
        pages = _first_number(Path("/proc/self/statm"))
        bounds.append(max(0, soft - (pages or 0) * resource.getpagesize()))
    return min(bound for bound in bounds if bound is not None)


def check_memory(needed_bytes: int, what: str, remedy: str = "give a smaller --thickness or a larger --bin") -> None:
    """Refuse a job that does not fit in memory.

    Parameters
    ----------
    needed_bytes : int
        What it will take beyond what this process has.
    what : str
        What it is, for the message.
    remedy : str
        What the user can do about it.

    Raises
    ------
    ResourceError
        With the estimate and what there is.
    """
    available = available_bytes()
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
    for line in _read_text(Path("/proc/meminfo")).splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return _UNLIMITED


def _control_group_bytes(limit_name: str, used_name: str) -> int | None:
    """Bytes that the control group leaves; None where it sets no limit."""
    limit, used = _first_number(_CGROUP / limit_name), _first_number(_CGROUP / used_name)
    return None if limit is None or limit >= _UNLIMITED else max(0, limit - (used or 0))


def _first_number(path: Path) -> int | None:
    words = _read_text(path).split()
    return int(words[0]) if words and words[0].isdigit() else None


def _read_text(path: Path) -> str:
    """The text of a file of the kernel; empty if it cannot be read."""
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
