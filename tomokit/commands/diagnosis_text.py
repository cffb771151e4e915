"""The geometry doctor's word on a series, as text: what was judged, what is wrong, and the command that mends it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from tomokit.commands.output import table

if TYPE_CHECKING:
    from tomokit.pipeline.doctor import Examined


def diagnosis_text(examined: Examined, file: Path, written: list[Path] | None = None) -> str:
    """Lay out a diagnosis.

    Parameters
    ----------
    examined : Examined
    file : Path
        The stack or folder, as the user named it.
    written : list of Path, optional
        Mended angles and transforms that were written.

    Returns
    -------
    str
        Lines.
    """
    rows: list[tuple[str, ...]] = [("judged", "says", "figures")]
    for one in examined.diagnosis.judgements:
        says = "fault" if one.findings else "right" if one.decided else "undecided"
        rows.append((one.name, says, one.summary))
    lines = [f"{file.name}: geometry", table(rows)]
    for finding in examined.diagnosis.findings:
        lines += ["", f"{finding.certainty}: {finding.what}", f"  evidence: {finding.evidence}"]
        lines.append(f"  remedy: {finding.remedy}")
    command = examined.command(None if not written else written[0].with_suffix(""))
    if not examined.diagnosis.findings:
        lines += ["", "nothing is wrong as far as these files can tell"]
    elif command:
        lines += ["", "nothing is changed; with all of it mended:"]
        if examined.diagnosis.is_mended and not written:
            lines.append("  the same command with --write-fix mended writes mended angles and transforms, then")
        lines.append(f"  {command}")
    return "\n".join(lines)
