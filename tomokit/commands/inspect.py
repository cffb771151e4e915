"""The command ``tomokit inspect``: what files are, and by which convention they are read."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tomokit.commands.failures import MENDABLE, kind_of
from tomokit.commands.folder_table import found_text
from tomokit.commands.output import AsJson, complain, error_facts, show
from tomokit.commands.progress import ProgressForm, TerminalProgress
from tomokit.errors import InputError


def inspect(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE...",
            help="MRC, .tlt, .rawtlt, .xf, .mdoc, .aln, .com, .star, .xml or other files of a tilt series, states of "
            "runs, or a folder of a tilt series.",
        ),
    ],
    pixels: Annotated[
        bool | None,
        typer.Option(
            "--pixels/--no-pixels",
            help="Read every pixel too, for extremes, mean, bad views and spoilt pixels; by default if they take at "
            "most 32 MiB.",
            show_default=False,
        ),
    ] = None,
    progress: ProgressForm = "auto",
    json: AsJson = False,
) -> None:
    """Say what each file is, and by which convention it is read; of a folder, what `reconstruct` would take of it.

    Of a large stack the header alone is read, so that it is answered at once; --pixels reads all of it. Files that
    cannot be read are told after the others, on stderr.
    """
    from tomokit.pipeline.folder import find_series, is_series_folder
    from tomokit.pipeline.inspection import describe

    described: list[dict[str, Any]] = []
    refused: list[InputError] = []
    tables: dict[int, str] = {}
    for path in files:
        try:
            if is_series_folder(path):
                found = find_series(path)
                tables[len(described)] = found_text(found)
                described.append({"file": path.name, "kind": "tilt series folder", **found.to_json()})
            elif pixels:
                with TerminalProgress(progress) as told:
                    told.stage(f"reading {path.name}")
                    described.append(describe(path, pixels=True, tell=told.part))
            else:
                described.append(describe(path, pixels=pixels))
        except InputError as error:
            refused.append(error)
    result: dict[str, Any] = {"files": described}
    if refused:
        errors = [error_facts(error, kind_of(error), str(error), MENDABLE) for error in refused]
        result |= {"error": errors[0], "errors": errors}
    if described or json:
        texts = [tables.get(index) or _facts_text(facts) for index, facts in enumerate(described)]
        show(result, "\n\n".join(texts), json)
    for facts in described:
        for warning in facts["warnings"] if facts["kind"] == "tilt series folder" else ():
            complain(f"warning: {warning}")
    for refusal in refused:
        complain(str(refusal))
    if refused:
        raise typer.Exit(MENDABLE)


def _facts_text(facts: dict[str, Any], indent: str = "") -> str:
    """Facts as ``key: value`` lines, nested ones indented."""
    lines = []
    unread = facts.get("pixels_read") is False
    for key, value in facts.items():
        if unread and key in ("minimum", "maximum", "mean", "rms"):
            # One line in place of four that say nothing.
            if key == "minimum":
                lines.append(f"{indent}pixels' extremes, mean, rms: not read (--pixels)")
            continue
        label = key.replace("_", " ")
        if isinstance(value, dict):
            lines += [f"{indent}{label}:", _facts_text(value, indent + "  ")]
        elif isinstance(value, (list, tuple)):
            lines.append(f"{indent}{label}: {', '.join(map(str, value)) if value else 'none'}")
        else:
            lines.append(f"{indent}{label}: {value}")
    return "\n".join(line for line in lines if line)
