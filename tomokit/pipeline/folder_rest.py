"""What lies beside the alignment of a series in a folder: mask, doses, defocus, beads, and what is not used."""

from __future__ import annotations

import re
from pathlib import Path

from tomokit.errors import InputError
from tomokit.pipeline.folder_files import made_here, word_of_shell
from tomokit.pipeline.folder_found import Piece
from tomokit.pipeline.folder_search import FolderSearch, name_of, size_of


def find_mask(search: FolderSearch) -> None:
    """Find the mask of the size of the views.

    Parameters
    ----------
    search : FolderSearch
        Changed.

    Raises
    ------
    InputError
        If two masks fit.
    """
    expected = {(search.n_views, *search.raw_shape), (1, *search.raw_shape)}
    aligned_here = search.stack.role == "raw stack" and ("alignment" in search.settings or search.aligns_itself)
    fitting = []
    for file in search.of_role("mask"):
        if file.shape not in expected:
            search.ignore("mask", file, f"{size_of(file)}, not the size of {search.stack.name}")
        elif "mask" in search.given:
            search.ignore("mask", file, "another is given or made")
        elif aligned_here and not made_here(file.path):
            search.ignore("mask", file, f"of raw or of aligned views? --mask {word_of_shell(file.path)} takes it")
        else:
            fitting.append(file)
    if len(fitting) > 1:
        names = " and ".join(file.name for file in fitting[:4])
        remedy = f"give one: --mask {word_of_shell(fitting[0].path)}"
        raise InputError(f"{names} both fit", file=search.folder, remedy=remedy)
    if fitting:
        search.settings["mask"] = fitting[0].path
        search.take("mask", fitting[0], "pixels that count")


def find_acquisition(search: FolderSearch) -> None:
    """Tell of the files of doses and defocus which options use them; unasked they change nothing.

    Parameters
    ----------
    search : FolderSearch
        Changed.
    """
    from tomokit.formats.dose_and_defocus import read_dose
    from tomokit.formats.front import read_acquisition

    for file in search.of_role("acquisition"):
        if file.series != search.stack.series:
            search.ignore(name_of(file), file, "does not bear the name of the series")
            continue
        try:
            if file.name.lower().endswith("_tlt.txt"):
                found = read_dose(file.path, search.stack.path, search.n_views)
            else:
                found = read_acquisition(file.path, n_views=search.n_views)
        except InputError as error:
            search.ignore(name_of(file), file, error.problem)
            continue
        acquisition = found.acquisition
        if acquisition.defocus_um is not None:
            search.ignore("defocus", file, f"give --ctf {word_of_shell(file.path)} to flip phases")
        elif acquisition.prior_dose_e_per_a2 is not None or acquisition.dose_e_per_a2 is not None:
            search.ignore("dose and order", file, f"give {_dose_options(search, file.path)} to filter the views")
        else:
            search.ignore("acquisition", file, "no dose in it")
        search.warnings += [text for text in found.warnings if "decimal" in text]


def _dose_options(search: FolderSearch, path: Path) -> str:
    """The options that use the doses of a file, which need not be named where it lies beside the stack."""
    from tomokit.io.beside import mdoc_beside

    beside = mdoc_beside(search.stack.path)
    named = "" if beside == path else f" --dose {word_of_shell(path)}"
    return f"--dose-weighting on{named}"


def _tell_beads(search: FolderSearch) -> None:
    """Models of fiducials by the names of Etomo: of the coarsely aligned stack, or to erase them in the aligned."""
    from tomokit.pipeline.coarse_model import coarse_transforms_of

    for file in search.of_role("beads"):
        on_aligned = re.search(r"[_-]erase$", file.path.stem, re.IGNORECASE) is not None
        of_coarse = file.series == search.stack.series and coarse_transforms_of(file.path, search.n_views) is not None
        if file.path.suffix.lower() == ".fid" and (on_aligned or of_coarse):
            search.ignore("beads", file, f"give --mask-beads {word_of_shell(file.path)} to mask them")


def note_of_folders(search: FolderSearch, subfolders: list[str]) -> str:
    """Say of folders in the folder that they are not used; of AreTomo's own, that an alignment may lie in it.

    Parameters
    ----------
    search : FolderSearch
    subfolders : list of str
        Their names.

    Returns
    -------
    str
    """
    if "alignment" in search.settings or "aligned" in search.settings:
        return "not looked into"
    own = {f"{search.stack.path.stem}_imod".lower(), f"{search.stack.series}_imod"}
    for name in subfolders:
        there = sorted((search.folder / name).glob("*.xf")) if name.lower() in own else []
        if len(there) == 1:
            return f"not looked into; --alignment {word_of_shell(there[0])} aligns the views, if they are raw"
    return "not looked into"


def tell_the_rest(search: FolderSearch) -> None:
    """Tell of every file that was not looked at yet why it is ignored.

    Parameters
    ----------
    search : FolderSearch
        Changed.
    """
    why = {
        "half": "views of half of the frames",
        "copy": "a copy of the stack at another stage",
        "coarse stack": "aligned coarsely only",
        "volume": "a volume, not a tilt series",
        "angles": "the alignment's angles are used, held against these"
        if "alignment" in search.settings
        else "not needed",
        "x-axis tilts": "not those of the series",
        "commands": "not of this series, or of a step before the final alignment",
        "beads": "--mask-beads auto finds beads without a model",
        "alignment": "not of this series",
    }
    if not any(piece.what == "angles" for piece in search.taken) and "alignment" not in search.settings:
        own = [file for file in search.of_role("angles") if file.series == search.stack.series]
        if own:
            search.take("angles", own[0], "tilt angles of the views")
    _tell_beads(search)
    n_others = 0
    for file in search.files:
        if file.name in search.done:
            continue
        if file.role == "other" and not file.note:
            n_others += 1
        else:
            search.ignore(name_of(file), file, file.note or why.get(file.role, "not needed"))
    if n_others:
        search.ignored.append(Piece("other files", f"{n_others} of them", "", "of no known kind"))
