"""Reading the box of a simulation from the text of an option."""

from __future__ import annotations

from tomokit.errors import OptionError


def parse_shape(text: str) -> tuple[int, int, int]:
    """Read the voxels of a box along z, y and x from ``Z,Y,X``.

    Parameters
    ----------
    text : str
        Such as ``"64,256,256"``.

    Returns
    -------
    tuple of int
        ``(n_z, n_y, n_x)``.

    Raises
    ------
    OptionError
        If the text is not three whole numbers of at least 1.
    """
    try:
        n_z, n_y, n_x = (int(part) for part in text.split(","))
    except ValueError:
        n_z = n_y = n_x = 0
    if min(n_z, n_y, n_x) < 1:
        raise OptionError(
            f"{text!r} is not three positive whole numbers", field="--shape", remedy="give Z,Y,X, as in 64,256,256"
        )
    return n_z, n_y, n_x
