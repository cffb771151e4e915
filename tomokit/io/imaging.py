"""What files record of how a tilt series was taken: the detector, and the exposure of each view.

SerialEM's ``.mdoc`` names the STEM detector of an image as ``ChannelName``; an image of a camera that saves frames has
``NumSubFrames``. Labels of MRC headers say it in words, if they do.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tomokit.errors import TomokitError
from tomokit.io.table import read_text

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
    text = _mdoc_beside(Path(stack))
    sections = _sections(text)
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


def _mdoc_beside(stack: Path) -> str:
    for path in (Path(f"{stack}.mdoc"), stack.with_suffix(".mdoc")):
        if path.is_file():
            try:
                return read_text(path)
            except TomokitError:
                return ""
    return ""


def _sections(text: str) -> dict[int, dict[str, str]]:
    """The fields of each section, by its ZValue."""
    sections: dict[int, dict[str, str]] = {}
    current: dict[str, str] | None = None
    for line in text.splitlines():
        head = re.match(r"\s*\[\s*(\w+)\s*=\s*(.*?)\s*\]", line)
        if head is not None:
            number = head.group(2) if head.group(1) == "ZValue" else ""
            current = sections.setdefault(int(number), {}) if number.isascii() and number.isdigit() else None
        elif current is not None and "=" in line:
            name, _, value = line.partition("=")
            current[name.strip()] = value.strip()
    return sections


def _detector(text: str, channel: bool) -> str:
    dark = bool(_DARK_FIELD.search(text) or (channel and _DARK_CHANNEL.search(text)))
    bright = bool(_BRIGHT_FIELD.search(text) or (channel and _BRIGHT_CHANNEL.search(text)))
    if dark == bright:
        return ""
    return "dark field" if dark else "bright field"


def _number(text: str | None) -> float:
    """A number, 0 where there is none."""
    try:
        value = float(text) if text else 0.0
    except ValueError:
        return 0.0
    return value if math.isfinite(value) else 0.0
