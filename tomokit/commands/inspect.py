"""The command ``tomokit inspect``: what files are, and by which convention they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands.output import AsJson, complain, show
from tomokit.errors import InputError


def inspect(
    files: Annotated[
        list[Path], typer.Argument(metavar="FILE...", help="MRC, .tlt, .rawtlt, .xf or .mdoc files, or states of runs.")
    ],
    json: AsJson = False,
) -> None:
    """Say what each file is, and by which convention it is read.

    Files that cannot be read are told after the others, on stderr.
    """
    from tomokit.pipeline.inspection import describe

    described, refused = [], []
    for path in files:
        try:
            described.append(describe(path))
        except InputError as error:
            refused.append(str(error))
    if described:
        show({"files": described}, "\n\n".join(_facts_text(facts) for facts in described), json)
    for line in refused:
        complain(line)
    if refused:
        raise typer.Exit(2)


def _facts_text(facts: dict[str, Any], indent: str = "") -> str:
    """Facts as ``key: value`` lines, nested ones indented."""
    lines = []
    for key, value in facts.items():
        label = key.replace("_", " ")
        if isinstance(value, dict):
            lines += [f"{indent}{label}:", _facts_text(value, indent + "  ")]
        elif isinstance(value, (list, tuple)):
            lines.append(f"{indent}{label}: {', '.join(map(str, value)) if value else 'none'}")
        else:
            lines.append(f"{indent}{label}: {value}")
    return "\n".join(line for line in lines if line)
