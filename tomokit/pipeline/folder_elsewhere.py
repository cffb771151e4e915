"""Where the tilt series is that a folder does not hold itself, as in projects of Warp and RELION: what to give instead.

Nothing of it is taken unasked: folders below may hold other series, and other alignments of the same one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from tomokit.errors import InputError
from tomokit.pipeline.folder_files import STACK_SUFFIXES, series_of, word_of_shell

_DEEPEST = 3
_MOST_ENTRIES = 5000
_MOST_TOLD = 3
_ALIGNMENTS = (".aln", ".xml", ".star")


def series_elsewhere(folder: Path) -> str:
    """Say which stacks lie below a folder, and which alignments in it name a stack, as commands.

    Parameters
    ----------
    folder : Path
        One without a tilt series.

    Returns
    -------
    str
        What to give instead; empty if there is nothing.
    """
    below = list(_files(folder))
    stacks = [path for path in below if path.suffix.lower() in STACK_SUFFIXES and _is_stack(path)]
    alignments = [path for path in below if path.suffix.lower() in _ALIGNMENTS]
    commands = []
    for stack in stacks:
        name = series_of(stack.name)
        of_it = [path for path in alignments if path.parent != stack.parent and series_of(path.name) == name]
        if len(of_it) == 1 and _images_of(of_it[0]) is not None:
            commands.append(f"{word_of_shell(stack)} --alignment {word_of_shell(of_it[0])}")
    if commands:
        return _listed(commands)
    folders = sorted({stack.parent for stack in stacks})
    if folders:
        return _listed([word_of_shell(path) for path in folders])
    for path in alignments:
        named = _images_of(path) or ()
        # Names in STAR files start from the project's folder, which lies above.
        starts = (path.parent, *path.parent.parents)
        found = next((start / name for name in named for start in starts if (start / name).is_file()), None)
        if found is not None and _is_stack(found):
            shown = Path(os.path.relpath(found)) if not folder.is_absolute() else found.resolve()
            commands.append(f"{word_of_shell(shown)} --alignment {word_of_shell(path)}")
    return _listed(commands) if commands else ""


def _files(folder: Path) -> Iterator[Path]:
    """Files below, the nearest folders first; a limited number of them."""
    level, seen = [folder], 0
    for _ in range(_DEEPEST + 1):
        below: list[Path] = []
        for path in level:
            try:
                with os.scandir(path) as entries:
                    present = sorted(entries, key=lambda entry: entry.name)
            except OSError:
                continue
            for entry in present:
                seen += 1
                if seen > _MOST_ENTRIES:
                    return
                if entry.is_dir(follow_symlinks=False) and not entry.name.startswith("."):
                    below.append(path / entry.name)
                elif entry.is_file():
                    yield path / entry.name
        level = below


def _is_stack(path: Path) -> bool:
    from tomokit.io.kind import VOLUME
    from tomokit.io.mrc_read import open_mrc

    try:
        images = open_mrc(path, with_pixels=False)
    except InputError:
        return False
    return images.header.shape[0] > 2 and images.kind().kind != VOLUME


def _images_of(alignment: Path) -> tuple[str, ...] | None:
    """The names of images in an alignment; None if it is none."""
    from tomokit.formats.front import read_alignment

    try:
        # Shifts in ångström need a pixel size, which has no say here.
        found = read_alignment(alignment, pixel_size_angstrom=1.0)
    except InputError:
        return None
    return found.image_files


def _listed(commands: list[str]) -> str:
    more = f", and {len(commands) - _MOST_TOLD} more like it" if len(commands) > _MOST_TOLD else ""
    return "try " + ", or ".join(f"tomokit reconstruct {command}" for command in commands[:_MOST_TOLD]) + more
