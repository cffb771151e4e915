"""Which of the inputs that a user names are files: angles may be a keyword or a range, a dose a number, beads found."""

from __future__ import annotations

import os
import re

from tomokit.io.angle_keyword import names_no_file

_NUMBER = re.compile(r"\+?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def is_number(given: str | os.PathLike[str] | None) -> bool:
    """Tell whether what is given is a number, without a sign or with a plus, and no file.

    Parameters
    ----------
    given : str, path-like or None
        What an option was given.

    Returns
    -------
    bool
    """
    return given is not None and _NUMBER.fullmatch(os.fspath(given)) is not None


AUTO = "auto"
"""What ``--mask-beads`` is given for beads that are found without a model."""


def is_given_directly(role: str, given: str | os.PathLike[str] | None) -> bool:
    """Tell whether what is given for an input is no file's name, but stands for itself.

    Parameters
    ----------
    role : str
        The input: ``angles``, ``dose``, ``mask_beads`` or another one, which is always a file.
    given : str, path-like or None
        What was given for it.

    Returns
    -------
    bool
    """
    if role == "mask_beads":
        return given is not None and os.fspath(given) == AUTO
    return (role == "angles" and names_no_file(given)) or (role == "dose" and is_number(given))
