"""The record that a state file holds, and the path of its predecessor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEXTS = ("provenance", "job", "history", "density")
"""Names of the datasets that hold JSON, each a field of :class:`State` of the same name."""


@dataclass(frozen=True)
class State:
    """A run at one moment: after some epochs, and perhaps after some steps of the next.

    Attributes
    ----------
    epoch, epochs : int
        Epochs finished, and epochs of the whole run.
    paused : bool
        Whether some steps of the epoch after those are done too.
    provenance : dict
        What the result depends on, and nothing of the machine or of where files lie: ``tomokit`` (version),
        ``method``, ``backend``, ``seed``, ``configuration`` (every setting as resolved), ``inputs`` (SHA-256 of each
        file) and more.
    job : dict
        What a machine needs to continue: where the files are, and how often to save. No part of the provenance.
    history : list of dict
        Loss terms and other results of each epoch, as in the summary.
    density : dict
        How a density is made of the arrays (see :mod:`tomokit.state.density`); empty while there are no arrays.
    arrays : mapping of str to ndarray
        What the run's ``arrays`` gave, by name; empty before the first step, when a run starts from its inputs.
    """

    epoch: int
    epochs: int
    paused: bool
    provenance: dict[str, Any]
    job: dict[str, Any]
    history: list[dict[str, Any]] = field(default_factory=list)
    density: dict[str, Any] = field(default_factory=dict)
    arrays: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    @property
    def finished(self) -> bool:
        """Whether the run has nothing left to fit."""
        return self.epoch >= self.epochs


def previous_path(path: Path) -> Path:
    """Path of a state's predecessor: ``RUN.previous.h5`` beside ``RUN.h5``.

    Parameters
    ----------
    path : Path
        The state file, with symbolic links resolved.

    Returns
    -------
    Path
        Whether or not there is such a file.
    """
    return path.parent / f"{path.stem}.previous{path.suffix}"


def contiguous_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of an array in C order, little-endian, as they lie in the file.

    Parameters
    ----------
    array : ndarray
        Of any type, shape and memory layout.

    Returns
    -------
    ndarray of uint8, shape (array.nbytes,)
        A view of the array where its memory is laid out so already.
    """
    ordered = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return ordered.reshape(-1).view(np.uint8) if ordered.size else np.empty(0, np.uint8)
