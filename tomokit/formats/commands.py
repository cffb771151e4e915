"""IMOD's command files ``tilt.com`` and ``newst.com``: the entries that a program is given, with their lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

from tomokit.errors import InputError
from tomokit.formats.words import PathLike, parse_number, parse_numbers, parse_views, parse_whole
from tomokit.io.table import read_text

_LEAST_ABBREVIATION = 4


@dataclass(frozen=True)
class Entry:
    """One entry of a command file.

    Attributes
    ----------
    keyword, value : str
        As written.
    line : int
        The line that it begins on, from 1.
    """

    keyword: str
    value: str
    line: int

    @property
    def place(self) -> str:
        """Keyword and line, for messages."""
        return f"{self.keyword[:40]}, line {self.line}"


@dataclass(frozen=True)
class Commands:
    """The entries of one program in a command file.

    Attributes
    ----------
    path : Path
        The file.
    entries : dict of str to list of Entry
        By keyword in upper case, every time that it is given.
    """

    path: Path
    entries: dict[str, list[Entry]] = field(default_factory=dict)

    def all(self, keyword: str) -> list[Entry]:
        """Find the entries of a keyword, in any case, also where the file abbreviates it as IMOD allows.

        Parameters
        ----------
        keyword : str

        Returns
        -------
        list of Entry
            In the order of the file.
        """
        wanted = keyword.upper()
        found = self.entries.get(wanted, [])
        if not found:
            short = [key for key in self.entries if len(key) >= _LEAST_ABBREVIATION and wanted.startswith(key)]
            found = [entry for key in short for entry in self.entries[key]]
        return found

    def last(self, keyword: str) -> Entry | None:
        """Find the entry of a keyword that counts.

        Parameters
        ----------
        keyword : str

        Returns
        -------
        Entry or None
            None if it is not given, or given without a value or as ``/``, which means the default.

        Raises
        ------
        InputError
            If it is given twice with different values.
        """
        found = [entry for entry in self.all(keyword) if entry.value not in ("", "/")]
        if len({" ".join(entry.value.split()) for entry in found}) > 1:
            lines = " and ".join(str(entry.line) for entry in found[:2])
            raise InputError(
                f"two values of {keyword} (lines {lines})", file=self.path, field=keyword, remedy="leave one of them"
            )
        return found[-1] if found else None

    def text(self, keyword: str) -> str:
        """Read a text, such as the name of a file.

        Parameters
        ----------
        keyword : str

        Returns
        -------
        str
            Empty if it is not given.
        """
        entry = self.last(keyword)
        return "" if entry is None else entry.value

    def numbers(self, keyword: str, least: int, most: int) -> list[float] | None:
        """Read the numbers of an entry.

        Parameters
        ----------
        keyword : str
        least, most : int
            How many there have to be.

        Returns
        -------
        list of float or None
            None if it is not given.

        Raises
        ------
        InputError
            If they are others, or no numbers.
        """
        entry = self.last(keyword)
        if entry is None:
            return None
        values = parse_numbers(entry.value, file=self.path, field=entry.place)
        if not least <= len(values) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise InputError(
                f"{len(values)} numbers where it has {wanted}", file=self.path, field=entry.place, remedy="correct it"
            )
        return values

    def number(self, keyword: str, default: float = 0.0) -> float:
        """Read one number of an entry.

        Parameters
        ----------
        keyword : str
        default : float
            What it is where it is not given.

        Returns
        -------
        float
        """
        entry = self.last(keyword)
        return default if entry is None else parse_number(entry.value, file=self.path, field=entry.place)

    def whole(self, keyword: str, default: int) -> int:
        """Read one whole number of an entry.

        Parameters
        ----------
        keyword : str
        default : int
            What it is where it is not given.

        Returns
        -------
        int
        """
        entry = self.last(keyword)
        return default if entry is None else parse_whole(entry.value, file=self.path, field=entry.place)

    def views(self, *keywords: str) -> set[int]:
        """Read lists of views, all entries of some keywords together.

        Parameters
        ----------
        *keywords : str
            Not abbreviated.

        Returns
        -------
        set of int
            Counted from 0.
        """
        found: set[int] = set()
        for keyword in keywords:
            exact = self.entries.get(keyword.upper(), [])
            for entry in exact:
                found |= parse_views(entry.value, file=self.path, field=entry.place)
        return found


def read_commands(path: PathLike, program: str) -> Commands:
    """Read the entries that a program is given in a command file.

    Lines of ``$`` run a program, lines of ``#`` are comments, blank lines are left out. ``^``, ``&`` or a backslash at
    the end of a line, or ``^`` at the beginning of the next one, makes one entry of both. Keywords are in any case, and
    may be followed by an equals sign.

    Parameters
    ----------
    path : path-like
        Such as ``tilt.com``.
    program : str
        Such as ``"tilt"``. Where no line runs any program, all entries are taken.

    Returns
    -------
    Commands

    Raises
    ------
    InputError
        If it cannot be read, or runs other programs only.
    """
    lines = _joined(read_text(path))
    runs = [match[1].lower() for _, line in lines if (match := re.match(r"\$\s*([\w./\\-]+)", line))]
    known = [Path(name.replace("\\", "/")).stem for name in runs]
    if known and program not in known:
        ran = next((name for name in known if name not in ("setenv", "if", "export", "goto", "echo")), known[0])
        raise InputError(
            f"commands of {ran}, not of {program}", file=path, remedy=f"give the .com file that runs {program}"
        )
    entries: dict[str, list[Entry]] = {}
    inside = not known
    for number, line in lines:
        if line.startswith("$"):
            match = re.match(r"\$\s*([\w./\\-]+)", line)
            name = Path(match[1].replace("\\", "/")).stem.lower() if match else ""
            inside = name == program
            continue
        if not inside:
            continue
        keyword, _, value = line.replace("\t", " ").partition(" ")
        value = value.strip()
        if "=" in keyword:
            keyword, _, rest = keyword.partition("=")
            value = f"{rest} {value}".strip()
        value = value.removeprefix("=").strip()
        entries.setdefault(keyword.upper(), []).append(Entry(keyword, value, number))
    return Commands(Path(path), entries)


def _joined(text: str) -> list[tuple[int, str]]:
    """Lines that say something, each with its number, continued ones joined."""
    joined: list[tuple[int, str]] = []
    open_end = False
    for number, raw in enumerate(text.split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            open_end &= bool(line)
            continue
        continues = line[-1] in "^&\\" and not line.startswith("$")
        begins = line.startswith("^")
        body = line.rstrip("^&\\").rstrip() if continues else line
        if (open_end or begins) and joined:
            first, before = joined[-1]
            joined[-1] = (first, f"{before} {body.lstrip('^').strip()}")
        elif body.lstrip("^").strip():
            joined.append((number, body.lstrip("^").strip()))
        open_end = continues
    return joined
