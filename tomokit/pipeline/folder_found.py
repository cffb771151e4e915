"""What was found of a tilt series in a folder: its files with what becomes of them, and the settings that follow."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tomokit.data.views import excluded_views


@dataclass(frozen=True)
class Piece:
    """A file of the folder, and what becomes of it.

    Attributes
    ----------
    what : str
        What it is.
    file : str
        Its name.
    used_for : str
        What it is used for; empty if it is ignored.
    note : str
        Why it is ignored, or what it says.
    """

    what: str
    file: str
    used_for: str = ""
    note: str = ""


@dataclass(frozen=True)
class FoundSeries:
    """A tilt series in a folder.

    Attributes
    ----------
    folder, stack : Path
        Where it was looked for, and the stack.
    pieces : tuple of Piece
        What is taken, then what is ignored.
    settings : dict
        Fields of the request that follow from the files.
    warnings : tuple of str
        What the user should know before the work.
    warnings_of_alignment : tuple of str
        The same of the alignment, which the work tells when it reads it.
    instead : dict
        Fields that say of the specimen what the alignment does, for transforms that the user gives in its place.
    n_views : int
        Views of the stack.
    lacks_angles : bool
        Whether no angles were found.
    """

    folder: Path
    stack: Path
    pieces: tuple[Piece, ...]
    settings: dict[str, Any]
    warnings: tuple[str, ...] = ()
    warnings_of_alignment: tuple[str, ...] = ()
    instead: dict[str, Any] = field(default_factory=dict)
    n_views: int = 0
    lacks_angles: bool = False

    def settings_beside(self, given: set[str]) -> dict[str, Any]:
        """Tell which settings remain beside those that the user gives.

        Parameters
        ----------
        given : set of str
            Fields of the request that are given explicitly.

        Returns
        -------
        dict
            Without what is given, and without what contradicts it: transforms that the user gives, or a stack that
            counts as aligned, take the place of the alignment that was found.
        """
        left = {key: value for key, value in self.settings.items() if key not in given}
        if given & {"xf", "alignment", "aligned"}:
            left.pop("alignment", None)
            left.pop("aligned", None)
            left |= {key: value for key, value in self.instead.items() if key not in given}
        if {"size", "thickness"} & given:
            left.pop("thickness", None)
        return left

    def leave_out_too(self, settings: dict[str, Any]) -> dict[str, Any]:
        """Add the views that the files leave out to those that the user does.

        Parameters
        ----------
        settings : dict
            Fields of the request, those of the user over those that were found.

        Returns
        -------
        dict
            With all of them in ``exclude_from_1``, where the user leaves out views and the files do.
        """
        own = settings.get("exclude"), settings.get("exclude_from_1")
        found = self.settings.get("exclude_from_1", self.instead.get("exclude_from_1"))
        if found is None or "alignment" in settings or (own[0] is None and own[1] == found):
            return settings
        if not all(text is None or isinstance(text, str) for text in own):
            return settings  # refused by its type
        views = excluded_views(self.n_views, exclude_from_1=found)
        # Where the user counts from 0, the other list is that of the files.
        views |= excluded_views(self.n_views, own[0], None if own[0] is not None else own[1])
        counted = ",".join(str(view + 1) for view in sorted(views))
        return {**settings, "exclude": None, "exclude_from_1": counted}

    def to_json(self) -> dict[str, Any]:
        """Represent what was found as a dictionary.

        Returns
        -------
        dict
            JSON-serializable.
        """
        return {
            "folder": str(self.folder),
            "stack": str(self.stack),
            "pieces": [vars(piece) for piece in self.pieces],
            "settings": {key: str(value) if isinstance(value, Path) else value for key, value in self.settings.items()},
            "warnings": [*self.warnings, *self.warnings_of_alignment],
        }
