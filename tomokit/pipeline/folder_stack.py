"""Which stack of a folder is reconstructed: one series, an aligned stack before the raw one."""

from __future__ import annotations

from pathlib import Path

from tomokit.errors import InputError
from tomokit.pipeline.folder_files import STACK_SUFFIXES, FolderFile, series_of, word_of_shell
from tomokit.pipeline.folder_search import name_of


def choose_stack(files: list[FolderFile], folder: Path) -> tuple[FolderFile, list[tuple[FolderFile, str]]]:
    """Choose the stack that is reconstructed.

    Parameters
    ----------
    files : list of FolderFile
        All files of the folder.
    folder : Path
        For messages.

    Returns
    -------
    tuple
        The stack, and the other stacks with the reason why they are not used.

    Raises
    ------
    InputError
        If there is none, or more than one series or stack.
    """
    stacks = [file for file in files if file.role in ("raw stack", "aligned stack")]
    if not stacks:
        coarse = next((file for file in files if file.role in ("coarse stack", "copy", "half")), None)
        seen = f"; {coarse.name} is a {name_of(coarse)}" if coarse else ""
        unread = next((file for file in files if file.note.startswith("cannot be read")), None)
        seen += f"; {unread.name} {unread.note}" if unread else ""
        from tomokit.pipeline.folder_elsewhere import series_elsewhere

        raise InputError(
            f"no tilt series in it (looked for {', '.join(STACK_SUFFIXES)}){seen}",
            file=folder,
            remedy=series_elsewhere(folder) or "give the folder of the stack, or the stack itself",
        )
    projects = {series_of(file.name) for file in files if file.path.suffix.lower() == ".edf"}
    of_series = {name: [stack for stack in stacks if stack.series == name] for name in {s.series for s in stacks}}
    if len(of_series) > 1 and len(projects & set(of_series)) != 1:
        names = ", ".join(sorted(group[0].name for group in of_series.values())[:6])
        dual = {name[:-1] for name in of_series if name[-1:] in "ab"}
        axes = " (two axes of one specimen)" if len(dual) == 1 and len(of_series) == 2 else ""
        raise InputError(
            f"{len(of_series)} tilt series in it{axes}: {names}",
            file=folder,
            remedy="give one of the stacks itself: tomokit reconstruct "
            + word_of_shell(folder / min(stack.name for stack in stacks)),
        )
    series = next(iter(of_series)) if len(of_series) == 1 else next(iter(projects & set(of_series)))
    own = of_series[series]
    aligned = [stack for stack in own if stack.role == "aligned stack"]
    candidates = aligned or own
    if len(candidates) > 1:
        names = " and ".join(sorted(stack.name for stack in candidates)[:4])
        raise InputError(
            f"{names} are both {'aligned stacks' if aligned else 'stacks'} of the series",
            file=folder,
            remedy=f"give one of them itself: tomokit reconstruct {word_of_shell(candidates[0].path)}",
        )
    chosen = candidates[0]
    others = []
    for stack in stacks:
        if stack is chosen:
            continue
        of_it = f"{chosen.name} is aligned already; give this stack itself to align it anew"
        others.append((stack, of_it if stack.series == series else "of another series"))
    return chosen, others
