"""Which of the inputs that a user names are files: angles may be a keyword or a range, and a dose a number."""

from __future__ import annotations

import os

from tomokit.io.angle_keyword import names_no_file
from tomokit.io.dose import is_number


def is_given_directly(role: str, given: str | os.PathLike[str] | None) -> bool:
    """Tell whether what is given for an input is no file's name, but stands for itself.

    Parameters
    ----------
    role : str
        The input: ``angles``, ``dose`` or another one, which is always a file.
    given : str, path-like or None
        What was given for it.

    Returns
    -------
    bool
    """
    return (role == "angles" and names_no_file(given)) or (role == "dose" and is_number(given))
