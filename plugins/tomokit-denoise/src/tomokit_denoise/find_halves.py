"""Finds the halves of a tomogram by the names that programs of the field give them."""

from __future__ import annotations

import re
from pathlib import Path

from tomokit.errors import InputError, OptionError
from tomokit.io.output_names import with_ending

_PAIRS = (("even", "odd"), ("EVN", "ODD"), ("EVEN", "ODD"), ("half1", "half2"))


def find_halves(given: list[Path]) -> tuple[Path, Path]:
    """Take two halves as they are given, or find those of a tomogram beside it.

    Names that are tried for ``NAME.mrc``: ``NAME_even.mrc`` and ``NAME_odd.mrc`` (tomokit), ``NAME_EVN.mrc`` and
    ``NAME_ODD.mrc``, ``NAME_half1.mrc`` and ``NAME_half2.mrc`` (RELION), for ``NAME_Vol.mrc`` also ``NAME_EVN_Vol.mrc``
    and ``NAME_ODD_Vol.mrc`` (AreTomo), for ``NAME_rec.mrc`` also ``NAME_even_rec.mrc`` and ``NAME_odd_rec.mrc`` (IMOD),
    and the same name in the folders ``even`` and ``odd`` (Warp).

    Parameters
    ----------
    given : list of Path
        One tomogram, or two halves.

    Returns
    -------
    tuple of two Paths
        The half that is called even or first, and the other.

    Raises
    ------
    InputError
        If the tomogram is missing, or has no halves beside it, or only one.
    OptionError
        If there are neither one nor two files.
    """
    if len(given) == 2:
        return given[0], given[1]
    if len(given) != 1:
        raise OptionError(
            f"{len(given)} files are given",
            field="TOMOGRAM",
            remedy="give a tomogram with halves beside it, or two halves",
        )
    tomogram = given[0]
    pairs = _candidates(tomogram)
    for first, second in pairs:
        there = first.is_file(), second.is_file()
        if all(there):
            return first, second
        if any(there):
            lone, missing = (first, second) if there[0] else (second, first)
            raise InputError(
                f"has no other half: there is no {missing.name} beside it", file=lone, remedy="give both halves"
            )
    if not tomogram.exists():
        raise InputError("is not there", file=tomogram, remedy="give a tomogram with halves beside it, or two halves")
    raise InputError(
        f"has no halves beside it, such as {pairs[0][0].name} and {pairs[0][1].name}",
        file=tomogram,
        remedy="make them by `tomokit reconstruct --halves`, or give both halves",
    )


def default_output(given: list[Path]) -> Path:
    """Name the denoised tomogram: ``NAME_denoised.mrc`` for ``NAME.mrc``.

    Parameters
    ----------
    given : list of Path
        One tomogram, or two halves.

    Returns
    -------
    Path

    Raises
    ------
    OptionError
        If halves are given, whose names do not say what the tomogram is called.
    """
    if len(given) != 1:
        raise OptionError("is not given", field="--output", remedy="name the denoised tomogram with -o")
    return with_ending(given[0], "_denoised")


def _candidates(tomogram: Path) -> list[tuple[Path, Path]]:
    found = []
    for first, second in _PAIRS:
        found.append((with_ending(tomogram, f"_{first}"), with_ending(tomogram, f"_{second}")))
        for ending in ("_Vol", "_rec"):
            cut = re.sub(rf"{ending}(?=\.)", "", tomogram.name, count=1)
            if cut != tomogram.name:
                at = len(tomogram.name.split(ending + ".", 1)[0])
                name, rest = tomogram.name[:at], tomogram.name[at:]
                found.append(
                    (tomogram.with_name(f"{name}_{first}{rest}"), tomogram.with_name(f"{name}_{second}{rest}"))
                )
    folder = tomogram.parent
    found.append((folder / "even" / tomogram.name, folder / "odd" / tomogram.name))
    return found
