"""The text of a SerialEM ``.mdoc``: its head, titles and sections, each value with the line that it stands on.

The format is IMOD's "autodoc": ``[Kind = name]`` begins a section, ``Key = value`` belongs to the section above it.
Blanks around the equals sign, the case of ``ZValue`` and the order of keys are free.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field

from tomokit.errors import InputError
from tomokit.io.table import as_minus, read_text

_SECTION = re.compile(r"\[\s*(ZValue|MontSection|FrameSet)\s*=(.*?)\]?\s*$", re.IGNORECASE)
_TITLE = re.compile(r"\[?\s*T\s*=(.*?)\]?\s*$")
_NUMBER = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA = re.compile(r"[+-]?\d+,\d+", re.ASCII)
# More digits than any field has; converting thousands of them is refused by Python or slow.
_MOST_DIGITS = 64


@dataclass(frozen=True)
class Entry:
    """A value of an ``.mdoc``.

    Attributes
    ----------
    text : str
        As written, without blanks around it.
    line : int
        The line that it stands on, from 1.
    """

    text: str
    line: int


@dataclass(frozen=True)
class MdocSection:
    """A section, or the head of the file.

    Attributes
    ----------
    kind : str
        ``"ZValue"``, ``"MontSection"`` or ``"FrameSet"``; empty for the head.
    name : Entry
        What follows the equals sign in the section's own line.
    entries : dict of str to list of Entry
        By key, every time that it is given.
    """

    kind: str
    name: Entry
    entries: dict[str, list[Entry]] = field(default_factory=dict)

    @property
    def place(self) -> str:
        """The section in words, for messages."""
        return f"[{self.kind} = {self.name.text[:40]}]" if self.kind else "head"


@dataclass(frozen=True)
class MdocText:
    """An ``.mdoc`` taken apart.

    Attributes
    ----------
    head : MdocSection
        What stands before the first section.
    titles : tuple of str
        The texts of the ``[T = ...]`` lines.
    sections : tuple of MdocSection
        In the order of the file.
    strange : tuple of int
        Lines that are neither a section, a title nor ``key = value``.
    """

    head: MdocSection
    titles: tuple[str, ...]
    sections: tuple[MdocSection, ...]
    strange: tuple[int, ...]


_KINDS = {kind.lower(): kind for kind in ("ZValue", "MontSection", "FrameSet")}


def split_mdoc(path: str | os.PathLike[str]) -> MdocText:
    """Read an ``.mdoc`` and take it apart.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    MdocText

    Raises
    ------
    InputError
        If it cannot be read, or has no section.
    """
    head = MdocSection("", Entry("", 1))
    titles, sections, strange = [], [], []
    current = head
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        if match := _SECTION.match(line):
            current = MdocSection(_KINDS[match[1].lower()], Entry(match[2].strip(), number))
            sections.append(current)
        elif match := _TITLE.match(line):
            titles.append(match[1].strip())
        elif "=" in line and not line.startswith("["):
            key, _, text = line.partition("=")
            current.entries.setdefault(key.strip(), []).append(Entry(text.strip(), number))
        else:
            strange.append(number)
    if not sections:
        raise InputError("no [ZValue = ...] sections: not an .mdoc file", file=path, remedy="give a .tlt or an .mdoc")
    return MdocText(head, tuple(titles), tuple(sections), tuple(strange))


def as_number(text: str) -> tuple[float | None, bool]:
    """Read the number that a value of an ``.mdoc`` consists of.

    Parameters
    ----------
    text : str
        A value as written.

    Returns
    -------
    number : float or None
        None if it is none, or not finite.
    comma : bool
        Whether it has a decimal comma, which was read as a point.
    """
    plain = as_minus(text)
    comma = _COMMA.fullmatch(plain) is not None
    plain = plain.replace(",", ".") if comma else plain
    if len(plain) > _MOST_DIGITS or not _NUMBER.fullmatch(plain):
        return None, False
    number = float(plain)
    return (number, comma) if abs(number) < float("inf") else (None, False)


def has_decimal_comma(text: str) -> bool:
    """Whether a value has a number with a decimal comma among its words.

    Parameters
    ----------
    text : str
        A value as written.

    Returns
    -------
    bool
    """
    return "," in text and any(_COMMA.fullmatch(word) for word in as_minus(text).split())


def as_whole(text: str) -> int | None:
    """Read one whole number that can count sections or pixels.

    Parameters
    ----------
    text : str
        A value as written.

    Returns
    -------
    int or None
        None if it is none, or too large to count anything.
    """
    return int(text) if re.fullmatch(r"[+-]?\d{1,9}", text, re.ASCII) else None
