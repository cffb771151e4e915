"""What a state holds, and where its predecessor lies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

TEXTS = ("provenance", "job", "history", "density")
"""Datasets that are JSON."""


@dataclass(frozen=True)
class State:
    """A run at one moment: after some epochs, and perhaps some steps of the next.

    Attributes
    ----------
    epoch, epochs : int
        Epochs finished, and epochs of the whole run.
    paused : bool
        Whether some steps of the next epoch are done too.
    provenance : dict
        What the result depends on, and nothing of the machine or the place: ``tomokit`` (version), ``method``,
        ``backend``, ``seed``, ``configuration`` (every setting as resolved), ``inputs`` (SHA-256 of each file),
        ``views``, ``transform``, ``series``.
    job : dict
        What a machine needs to go on: where the files are, and how often to save. No part of the provenance.
    history : list of dict
        What each epoch gave, as in the summary.
    density : dict
        How a density is made of the arrays (see :mod:`tomokit.state.density`); without arrays, empty.
    arrays : mapping of str to ndarray
        What the run's ``arrays`` gave; empty before the first step, when a run starts from its inputs.
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
    """Where the predecessor of a state is kept: ``RUN.previous.h5`` beside ``RUN.h5``."""
    return path.parent / f"{path.stem}.previous{path.suffix}"


def contiguous_bytes(array: NDArray[Any]) -> NDArray[np.uint8]:
    """The bytes of an array in C order, little-endian, as they lie in the file."""
    whole = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return whole.reshape(-1).view(np.uint8) if whole.size else np.empty(0, np.uint8)
