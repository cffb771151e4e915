"""What files record of how a tilt series was taken: the detector, and the exposure of each view.

SerialEM's ``.mdoc`` names the STEM detector of an image as ``ChannelName``; an image of a camera that saves frames has
``NumSubFrames``. Labels of MRC headers say it in words, if they do.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tomokit.errors import TomokitError
from tomokit.io.beside import mdoc_beside
from tomokit.io.mdoc_text import as_number, as_whole, split_mdoc

_DARK_FIELD = re.compile(r"\b(HAADF|[ML]?ADF|[ML]AADF|dark[ _-]?field)", re.IGNORECASE)
_BRIGHT_FIELD = re.compile(r"\b(ABF|bright[ _-]?field)", re.IGNORECASE)
# Short names that mean it only where a detector is named.
_DARK_CHANNEL = re.compile(r"\bDF([0-9]|-?S)?\b", re.IGNORECASE)
_BRIGHT_CHANNEL = re.compile(r"\bBF(-?S)?\b", re.IGNORECASE)


def imaging_record(stack: str | os.PathLike[str], labels: Sequence[str], views: Sequence[int]) -> dict[str, Any]:
    """Collect what a stack's labels, and the ``.mdoc`` beside it, record of how its views were taken.

    Parameters
    ----------
    stack : path-like
        The stack; nothing of it is read.
    labels : sequence of str
        The labels of its header.
    views : sequence of int
        The views that are used, counted from 0.

    Returns
    -------
    dict
        ``detector``: ``"dark field"`` or ``"bright field"``; ``exposures``: one number for each of `views`, where they
        differ. Each only if it is recorded.
    """
    record: dict[str, Any] = {}
    sections = _sections(Path(stack))
    channels = {value for fields in sections.values() if (value := fields.get("ChannelName"))}
    detector = _detector(" ".join(channels), channel=True) or _detector(" ".join(labels), channel=False)
    if not detector and any(_number(fields.get("NumSubFrames")) for fields in sections.values()):
        # Frames are those of a camera below a wide beam, which is bright field unless someone says otherwise.
        detector = "bright field"
    if detector:
        record["detector"] = detector
    exposures = [_number(sections.get(view, {}).get("ExposureTime")) for view in views]
    if exposures and min(exposures) > 0 and max(exposures) > 1.01 * min(exposures):
        record["exposures"] = exposures
    return record


def _sections(stack: Path) -> dict[int, dict[str, str]]:
    """The fields of each section of the ``.mdoc`` beside a stack, by its ZValue; none if it cannot be read."""
    path = mdoc_beside(stack)
    try:
        sections = () if path is None else split_mdoc(path).sections
    except TomokitError:
        return {}
    found: dict[int, dict[str, str]] = {}
    for section in sections:
        number = as_whole(section.name.text) if section.kind == "ZValue" else None
        if number is not None:
            fields = {key: entries[-1].text for key, entries in section.entries.items()}
            found.setdefault(number, {}).update(fields)
    return found


def _detector(text: str, channel: bool) -> str:
    dark = bool(_DARK_FIELD.search(text) or (channel and _DARK_CHANNEL.search(text)))
    bright = bool(_BRIGHT_FIELD.search(text) or (channel and _BRIGHT_CHANNEL.search(text)))
    if dark == bright:
        return ""
    return "dark field" if dark else "bright field"


def _number(text: str | None) -> float:
    """A number, 0 where there is none."""
    return (as_number(text)[0] if text else None) or 0.0
