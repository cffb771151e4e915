"""Settings of IMOD that lie beside a stack and have no say in a reconstruction: x-axis tilts, ``tilt.com``."""

from __future__ import annotations

import re

from tomokit.io.companions import Companions


def unused_settings(beside: Companions) -> tuple[tuple[str, str], ...]:
    """List what a user of IMOD expects to count, and does not.

    Parameters
    ----------
    beside : Companions
        What lies beside a stack.

    Returns
    -------
    tuple of tuple of str
        Each in words, and the setting of a reconstruction that takes its place, or empty.
    """
    found = []
    if beside.x_tilt_path is not None and beside.x_tilt_deg:
        found.append((f"{beside.x_tilt_path.name} (x-axis tilts up to {beside.x_tilt_deg:g} degrees)", "x_tilt"))
    tilt = beside.commands.get("tilt.com", {})
    for key, setting in (("OFFSET", "tilt_offset"), ("SHIFT", "center"), ("XAXISTILT", "x_tilt"), ("LOCALFILE", "")):
        value = tilt.get(key, "")
        if value and not _is_zero(value):
            option = _option(setting, value.replace(",", " ").split())
            found.append((f"{key} {value} of tilt.com" + (f" ({option})" if option else ""), setting))
    for key in ("EXCLUDELIST", "EXCLUDELIST2"):
        if tilt.get(key):
            option = _list_of_views(tilt[key])
            found.append(
                (f"{key} {tilt[key]} of tilt.com" + (f" (--exclude-from-1 {option})" if option else ""), "exclude")
            )
    return tuple(found)


def _option(setting: str, words: list[str]) -> str:
    """The option that does the same; empty if there is none."""
    if setting != "center":
        return f"--{setting.replace('_', '-')}={words[0]}" if setting else ""
    try:
        x, z = (0.0 - float(word) for word in [*words, "0"][:2])
    except ValueError:
        return ""
    # What is moved to larger x has its centre at smaller.
    return f"--center={x:g},0,{z:g}"


def _is_zero(value: str) -> bool:
    try:
        return all(float(word) == 0 for word in value.replace(",", " ").split())
    except ValueError:
        return False


def _list_of_views(views: str) -> str:
    """IMOD's list of views, which counts from 1, without blanks; empty if it is no such list."""
    text = ",".join(views.replace(",", " ").split())
    return text if re.fullmatch(r"[1-9]\d*(-[1-9]\d*)?(,[1-9]\d*(-[1-9]\d*)?)*", text) else ""
