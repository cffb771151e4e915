"""A tilt series found in a folder: which files are taken for what, which are ignored and why, and what they set.

What decides among several is a rule that can be told: the final alignment before a coarse one, an aligned stack before
the raw one and its transforms, files that bear the series' name before others. Two that are as good as each other are
refused, named, with the option that chooses. Which is newer decides nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from tomokit.pipeline.folder_alignment import find_alignment, tell_order
from tomokit.pipeline.folder_files import STACK_SUFFIXES, list_files
from tomokit.pipeline.folder_found import FoundSeries, Piece
from tomokit.pipeline.folder_rest import find_acquisition, find_mask, note_of_folders, tell_the_rest
from tomokit.pipeline.folder_search import FolderSearch, name_of, size_of
from tomokit.pipeline.folder_stack import choose_stack

_MOST_LISTED = 40


def is_series_folder(path: Path) -> bool:
    """Whether what is given as the stack is a folder to look into, not one that a reader takes as a file.

    Parameters
    ----------
    path : Path

    Returns
    -------
    bool
    """
    if not path.is_dir():
        return False
    from tomokit.pipeline.readers import MrcReader, find_reader

    return isinstance(find_reader(path), MrcReader) and path.suffix.lower() not in (".zarr", *STACK_SUFFIXES)


def named_fields(options: Mapping[str, object]) -> set[str]:
    """Tell which options are given.

    Parameters
    ----------
    options : mapping
        By the name of the request's field; None where one is not given.

    Returns
    -------
    set of str
    """
    return {name for name, value in options.items() if value is not None}


def find_series(folder: Path, angles: Path | None = None, given: Collection[str] = ()) -> FoundSeries:
    """Find the tilt series of a folder.

    Parameters
    ----------
    folder : Path
        Of Etomo, AreTomo or another program; only files directly in it are looked at.
    angles : Path, optional
        Angles that the user gives, which an alignment without any is read with.
    given : collection of str
        Fields of the request that the user gives: what they choose need not be told apart by the files.

    Returns
    -------
    FoundSeries

    Raises
    ------
    InputError
        If there is no series or more than one in it, files of one series disagree in their views or sizes, or two
        alignments or masks are as good as each other and none is given.
    """
    files, subfolders = list_files(folder)
    stack, others = choose_stack(files, folder)
    search = FolderSearch(folder, stack, files, angles, frozenset(given))
    for other, why in others:
        search.ignore(name_of(other), other, why)
    search.take("tilt series", stack, "the views", size_of(stack))
    find_alignment(search)
    tell_order(search)
    find_mask(search)
    find_acquisition(search)
    tell_the_rest(search)
    if subfolders:
        listed = ", ".join(subfolders[:4]) + (", ..." if len(subfolders) > 4 else "")
        search.ignored.append(Piece("folders", listed, "", note_of_folders(search, subfolders)))
    return FoundSeries(
        folder=folder,
        stack=stack.path,
        pieces=(*search.taken, *search.ignored[:_MOST_LISTED]),
        settings={"stack": stack.path, **search.settings},
        warnings=tuple(search.warnings),
        warnings_of_alignment=tuple(search.warnings_of_alignment),
        instead=search.instead,
        n_views=search.n_views,
        lacks_angles=search.lacks_angles(),
    )
