"""What the control groups of this process leave it of memory, as a container's or a batch system's limits are set.

A process is in one group of each hierarchy (``/proc/self/cgroup``), and the limits of all groups above it hold too:
under Slurm that of the job lies two or three groups above the step's. Both versions of control groups are read:
``memory.max`` and ``memory.current`` of version 2, ``memory.limit_in_bytes`` and ``memory.usage_in_bytes`` of version
1.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_UNLIMITED = 1 << 60
_PROCESS = Path("/proc/self")


@dataclass(frozen=True)
class _Version:
    """The file system of a version of control groups, and the names of its files."""

    file_system: str
    limit: str
    used: str
    reclaimable: str


_VERSIONS = (
    _Version("cgroup2", "memory.max", "memory.current", "inactive_file"),
    _Version("cgroup", "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
)


def control_group_bytes(process: Path = _PROCESS) -> int | None:
    """Find how many bytes the control groups of a process leave it: the least of its own group and all above it.

    Parameters
    ----------
    process : Path
        Folder of the process below ``/proc``.

    Returns
    -------
    int or None
        Limit minus usage, in bytes, at least 0; None if no group sets a limit. Pages of files that the kernel gives
        back when memory runs short do not count as used.
    """
    left = [
        bytes_left
        for version in _VERSIONS
        for folder in _groups(process, version)
        if (bytes_left := _bytes_left(folder, version)) is not None
    ]
    return min(left, default=None)


def _groups(process: Path, version: _Version) -> Iterator[Path]:
    """Folders of the groups that the process is in, from its own up to the root of what is mounted here."""
    inside = _path_of_group(process, version)
    for root, mount in _mounts(process, version):
        below = PurePosixPath("/")
        if inside is not None:
            # A container may see its own group as the root of what is mounted, and still be told the path outside.
            below = PurePosixPath("/") / (inside.relative_to(root) if inside.is_relative_to(root) else "")
        for group in (below, *below.parents):
            yield mount / group.relative_to("/")


def _path_of_group(process: Path, version: _Version) -> PurePosixPath | None:
    """The group that the process is in, as a path in its hierarchy; None if this is not told."""
    # Lines are `hierarchy:controllers:path`; the one hierarchy of version 2 has the number 0 and names no controllers.
    for line in read_text(process / "cgroup").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        is_version_2 = number == "0" and not controllers
        wanted = is_version_2 if version.file_system == "cgroup2" else "memory" in controllers.split(",")
        if wanted and path.startswith("/"):
            return PurePosixPath(path)
    return None


def _mounts(process: Path, version: _Version) -> Iterator[tuple[PurePosixPath, Path]]:
    """Where the hierarchy is mounted: the group that is its root there, and the folder."""
    for line in read_text(process / "mountinfo").splitlines():
        # `id parent device root mount options [optional fields] - type source super-options`
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 6 or len(kind) < 3 or kind[0] != version.file_system:
            continue
        if version.file_system == "cgroup" and "memory" not in kind[2].split(","):
            continue
        yield PurePosixPath(_unescape(fields[3])), Path(_unescape(fields[4]))


def _bytes_left(folder: Path, version: _Version) -> int | None:
    """What one group leaves; None if it sets no limit."""
    limit = first_number(folder / version.limit)
    if limit is None or limit >= _UNLIMITED:
        return None
    used = first_number(folder / version.used) or 0
    for line in read_text(folder / "memory.stat").splitlines():
        name, _, count = line.partition(" ")
        if name == version.reclaimable and count.isdigit():
            used -= int(count)
    return max(0, limit - max(0, used))


def _unescape(path: str) -> str:
    """A path of ``mountinfo``, in which spaces, tabs, line feeds and backslashes are octal."""
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        path = path.replace(code, character)
    return path


def first_number(path: Path) -> int | None:
    """Read the number that a file of the kernel begins with.

    Parameters
    ----------
    path : Path

    Returns
    -------
    int or None
        None if there is no such file, or it begins with something else, such as ``max``.
    """
    words = read_text(path).split()
    return int(words[0]) if words and words[0].isdigit() else None


def read_text(path: Path) -> str:
    """Read a file of the kernel.

    Parameters
    ----------
    path : Path

    Returns
    -------
    str
        Empty if it cannot be read.
    """
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:
        return ""
