"""The labels of an MRC header: who wrote the file, and how what is in it was made."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tomokit.version import __version__

LABEL_CHARACTERS = 80


def make_labels(what: str, provenance: Mapping[str, Any]) -> list[str]:
    """Make the labels of an MRC header: who wrote the file, then ``key: value`` of its provenance.

    Whole entries are packed onto lines; what does not fit is cut, with an ellipsis where it was.

    Parameters
    ----------
    what : str
        What the file holds, in words.
    provenance : mapping
        How it was made; empty entries are left out.

    Returns
    -------
    list of str
        At most ten lines of at most 80 ASCII characters.
    """
    lines = [f"tomokit {__version__}: {what}"]
    entries = [f"{key}: {_label_text(value)}" for key, value in provenance.items() if value not in (None, [], {}, ())]
    for entry in entries:
        text = entry.encode("ascii", "replace").decode()
        text = "".join(c if c.isprintable() else " " for c in text)
        if len(text) > LABEL_CHARACTERS:
            text = text[: LABEL_CHARACTERS - 3] + "..."
        if len(lines) > 1 and len(lines[-1]) + 2 + len(text) <= LABEL_CHARACTERS:
            lines[-1] += f"; {text}"
        elif len(lines) < 10:
            lines.append(text)
    return lines


def _label_text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return json.dumps(value, separators=(",", ":"), default=str)
