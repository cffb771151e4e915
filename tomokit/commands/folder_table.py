"""What was found in a folder, as a table: each file, what it is used for, or why it is ignored."""

from __future__ import annotations

import io
import shlex
import shutil
import sys
from typing import TYPE_CHECKING, Any

from tomokit.commands.output import complain
from tomokit.errors import printable

if TYPE_CHECKING:
    from tomokit.pipeline.folder_found import FoundSeries
    from tomokit.pipeline.request import ReconstructionRequest

_NARROWEST, _UNKNOWN = 60, 120


def found_text(found: FoundSeries, request: ReconstructionRequest | None = None, *, makes_volume: bool = True) -> str:
    """Lay out what was found as a table, with the settings that follow from it.

    Parameters
    ----------
    found : FoundSeries
    request : ReconstructionRequest, optional
        What is asked for, to tell where options take the place of what was found.
    makes_volume : bool
        Whether it is for a tomogram, which needs a thickness.

    Returns
    -------
    str
        Lines without colours, as wide as the terminal.
    """
    from rich.console import Console
    from rich.table import Table

    width = max(_NARROWEST, shutil.get_terminal_size((_UNKNOWN, 24)).columns)
    table = Table(box=None, pad_edge=False, title=None, header_style="")
    for column in ("piece", "file", "used for", "note"):
        table.add_column(column, overflow="fold")
    for piece in found.pieces:
        cells = (piece.what, piece.file, piece.used_for or "ignored", piece.note)
        table.add_row(*(_plain(cell) for cell in cells))
    into = io.StringIO()
    Console(file=into, width=width, color_system=None, legacy_windows=False, highlight=False).print(table)
    lines = [line.rstrip() for line in into.getvalue().rstrip().split("\n")]
    kept, other = [], []
    for key, value in found.settings.items():
        taken = value if request is None else getattr(request, key)
        if key != "stack" and str(taken) == str(value):
            kept.append(_option_text(key, value))
        elif key != "stack":
            own = f"without {_option_text(key, value)}"
            if taken is not None and taken is not False:
                own = f"{_option_text(key, taken)} in place of {shlex.quote(str(value))}"
            other.append(own)
    lines.append(f"as if given: {' '.join(kept) or 'nothing'}")
    lines += [f"by your options: {', '.join(other)}"] if other else []
    missing = ["--angles F"] if found.lacks_angles and (request is None or request.angles is None) else []
    sizes = found.settings.get("thickness") if request is None else request.thickness or request.size
    missing += [] if sizes or not makes_volume else ["--thickness PX"]
    lines += [f"still to be given: {' '.join(missing)}"] if missing else []
    return "\n".join(lines)


def tell_found(found: FoundSeries, request: ReconstructionRequest, *, makes_volume: bool = True) -> None:
    """Print the table and the warnings on stderr, before the work.

    Parameters
    ----------
    found : FoundSeries
    request : ReconstructionRequest
        What is asked for.
    makes_volume : bool
        As of :func:`found_text`.
    """
    if sys.stderr is not None:
        for line in found_text(found, request, makes_volume=makes_volume).split("\n"):
            print(printable(line), file=sys.stderr, flush=True)
    for warning in found.warnings:
        complain(f"warning: {warning}")


def _plain(text: str) -> Any:
    """A cell whose brackets are not markup."""
    from rich.text import Text

    return Text(printable(text))


def _option_text(key: str, value: object) -> str:
    name = f"--{key.replace('_', '-')}"
    return name if value is True else f"{name}={shlex.quote(str(value))}"
