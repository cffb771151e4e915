"""From a ``.cu`` file to the text that a compiler is given: defines first, ``#line`` so that messages name the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent
_INCLUDE = re.compile(r'^#include "([\w/]+\.cuh)"$')


def kernel_files() -> list[Path]:
    """Paths of every ``.cu`` file in the package, sorted; plugins' are not among them.

    Returns
    -------
    list of Path
    """
    return sorted(_PACKAGE.rglob("*.cu"))


def source_text(path: Path, defines: Mapping[str, int]) -> str:
    """The source of one file of kernels, with its constants and included files.

    Parameters
    ----------
    path : Path
        A ``.cu`` file, the package's own or a plugin's.
    defines : mapping
        Whole-number constants that the source expects, by name; they become ``#define`` lines.

    Returns
    -------
    str
        One self-contained translation unit. ``#include "x.cuh"`` is replaced by the file beside `path`, or by
        that file below the package's folder, as in ``#include "gpu/block_sums.cuh"``.

    Raises
    ------
    FileNotFoundError
        If the source or a file that it includes is not there.
    """
    head = "".join(f"#define {key} {value}\n" for key, value in defines.items())
    return head + _with_line_directives(path)


def _with_line_directives(path: Path) -> str:
    """A file's text with its includes in place, and the compiler told where each line comes from."""
    parts = [f'#line 1 "{path.name}"\n']
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        included = _INCLUDE.match(line)
        if included is None:
            parts.append(f"{line}\n")
            continue
        # A plugin's kernels may bring headers of their own: the file beside comes before the package's.
        beside = path.parent / included[1]
        parts.append(_with_line_directives(beside if beside.exists() else _PACKAGE / included[1]))
        parts.append(f'#line {number + 1} "{path.name}"\n')
    return "".join(parts)
