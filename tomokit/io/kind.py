"""Whether an MRC file is a tilt stack or a volume: told by its name, its labels, its header, and what lies beside it.

MRC2014 has space group 0 for stacks of images and 1 for volumes, and of a stack only one section per volume (``mz``).
IMOD writes 0 for both, and as many sections per volume as there are; then other evidence has to tell.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from tomokit.io.beside import without_compression
from tomokit.io.mrc_header import MrcHeader

TILT_STACK, VOLUME = "tilt stack", "volume"

_STACK_SUFFIXES = (".st", ".ali", ".preali", ".mrcs")
_VOLUME_SUFFIXES = (".rec", ".map")
_VOLUME_NAME = re.compile(r"[_.-](rec|recon|reconstruction|tomogram)(?=[_.-])")
_VOLUME_LABEL = re.compile(r"tomographic reconstruction|\btomogram\b|volume \[z, y, x\]", re.IGNORECASE)


@dataclass(frozen=True)
class MrcKind:
    """What an MRC file holds, and how that is known.

    Attributes
    ----------
    kind : {"tilt stack", "volume"}
    evidence : str
        What it was told by.
    warning : str
        What speaks for the other kind; empty if nothing does.
    """

    kind: str
    evidence: str
    warning: str = ""


def stack_or_volume(name: str, header: MrcHeader, *, angles_in_header: bool, angles_beside: bool) -> MrcKind:
    """Tell a tilt stack from a volume.

    Parameters
    ----------
    name : str
        The file's name.
    header : MrcHeader
        Its header.
    angles_in_header : bool
        Whether the extended header has a tilt angle for each section.
    angles_beside : bool
        Whether a file of tilt angles lies beside it under its name.

    Returns
    -------
    MrcKind
    """
    plain = without_compression(name).lower()
    for kind, suffixes in ((TILT_STACK, _STACK_SUFFIXES), (VOLUME, _VOLUME_SUFFIXES)):
        for suffix in suffixes:
            if plain.endswith(suffix):
                return MrcKind(kind, f"the name's ending {suffix}")
    if match := _VOLUME_NAME.search(plain):
        return MrcKind(VOLUME, f"{match[1]!r} in the name")
    # Labels of the stack stay in the header of the volume: the volume's count first.
    if any(_VOLUME_LABEL.search(label) for label in header.labels):
        return MrcKind(VOLUME, "a label of the header")
    if angles_in_header:
        return MrcKind(TILT_STACK, "angles in the extended header")
    if header.ispg != 0:
        return MrcKind(VOLUME, f"space group {header.ispg}")
    n_sections = header.shape[0]
    if n_sections == 1 or header.mz != n_sections:
        return MrcKind(TILT_STACK, "space group 0")
    if angles_beside:
        return MrcKind(TILT_STACK, "space group 0, and a file of angles beside it")
    if header.tilt_axis_deg is not None:
        return MrcKind(TILT_STACK, "space group 0, and a tilt axis in its labels")
    return MrcKind(
        VOLUME,
        f"{n_sections} sections per volume (mz), and no angles beside it",
        "space group 0: if it is a tilt stack, put its angles beside it or give --angles",
    )
