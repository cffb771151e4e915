"""From a ``.cu`` file to the text that a compiler is given: defines first, ``#line`` so that messages name the file."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

FOLDER = Path(__file__).parent / "kernels"
_INCLUDE = re.compile(r'^#include "(\w+\.cuh)"$')


def source_names() -> list[str]:
    """Every file of kernels, without its suffix."""
    return sorted(path.stem for path in FOLDER.glob("*.cu"))


def source_text(name: str | Path, defines: Mapping[str, int]) -> str:
    """The source of one file of kernels with its constants.

    Parameters
    ----------
    name : str or Path
        Of one of ours, without its suffix; or another's file.
    defines : mapping
        Constants that the source expects, by name.

    Returns
    -------
    str
        One self-contained translation unit: ``#include "x.cuh"`` is replaced by the file beside it.
    """
    path = name if isinstance(name, Path) else FOLDER / f"{name}.cu"
    head = "".join(f"#define {key} {value}\n" for key, value in defines.items())
    return head + _numbered(path)


def _numbered(path: Path) -> str:
    parts = [f'#line 1 "{path.name}"\n']
    for number, line in enumerate(path.read_text(encoding="ascii").splitlines(), 1):
        included = _INCLUDE.match(line)
        parts.append(f"{line}\n" if included is None else _numbered(path.parent / included[1]))
        if included is not None:
            parts.append(f'#line {number + 1} "{path.name}"\n')
    return "".join(parts)
