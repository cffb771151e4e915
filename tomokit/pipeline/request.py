"""What a user asks for, as one value: every option of ``tomokit reconstruct``, checked for type and bounds."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tomokit.plugin.options import option


@dataclass(frozen=True)
class ReconstructionRequest:
    """A reconstruction to be done. Field names are the option names, and the keys of a configuration file.

    Attributes
    ----------
    stack : Path
        The tilt series.
    output : Path or None
        The tomogram to be written; its preview lies beside it under the suffix ``.png``. None writes nothing.
    overwrite : bool
        Whether existing outputs may be replaced.
    options : dict
        Options of the method, typed or as strings.
    """

    stack: Path
    output: Path | None = None
    overwrite: bool = False
    method: str = option("octree", "Reconstruction method; `tomokit plugins list` shows them.")
    thickness: int | None = option(None, "Extent along z, in pixels of the stack as given.", minimum=1)
    angles: Path | None = option(None, "Tilt angles; default: the .tlt, .rawtlt or .mdoc beside the stack.")
    allow_unsorted: bool = option(
        False, "Take angles that neither rise nor fall throughout, as in order of acquisition."
    )
    mask: Path | None = option(None, "Mask stack: 1 = use, 0 = bead or padding.")
    xf: Path | None = option(None, "IMOD transforms from the raw stack to the aligned one.")
    tilt_offset: float = option(0.0, "Degrees added to every tilt angle.")
    pixel_size: float | None = option(None, "Ångström per pixel of the stack, in place of the header's.", minimum=1e-6)
    linearization: str = option("auto", "From images to projections.", choices=("auto", "log", "linear", "invert"))
    percentiles: tuple[float, float] | None = option(
        None, "Scale by these percentiles, LOW,HIGH, in place of the extremes.", minimum=0, maximum=100
    )
    offsets: str = option("auto", "Additive offset of each view.", choices=("auto", "fit", "zero"))
    bin: int = option(1, "Average squares of N x N pixels first.", minimum=1, maximum=64)
    half: str | None = option(None, "Keep only views of even or odd index.", choices=("even", "odd"))
    exclude: str | None = option(None, "Views to leave out, from 0, such as 0,3,7-9.")
    hold_out: int | None = option(None, "Score, but do not fit, views with index % N == N // 2.", minimum=2)
    seed: int = option(0, "Seed of every random choice.", minimum=0)
    backend: str = option("auto", "Where to compute.", choices=("auto", "cpu", "cuda", "reference"))
    state: Path | None = option(None, "Save the run in this file as it goes on; `tomokit resume` continues it.")
    state_epochs: int | None = option(None, "Save it after every N epochs too.", minimum=1)
    state_seconds: float | None = option(None, "Save it when S seconds have passed; default: 600.", minimum=0.0)
    threads: int | None = option(None, "Threads to use; default: all.", minimum=1)
    preview: bool = option(True, "Write a picture of the central slices beside the tomogram.")
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def preview_path(self) -> Path | None:
        """Where the preview goes; None if none is wanted."""
        if self.output is None or not (self.preview and self.output.name):
            return None
        return self.output.with_suffix(".png")

    @property
    def provenance_path(self) -> Path | None:
        """Where the record of how the tomogram came about goes; None if there is no tomogram to be written."""
        return None if self.output is None else provenance_beside(self.output)

    def settings(self) -> dict[str, Any]:
        """All but files' places, outputs and method options, JSON-serializable: what the summary records."""
        left_out = ("stack", "output", "overwrite", "options", "preview")
        found = {}
        for item in dataclasses.fields(self):
            if item.name not in left_out:
                value = getattr(self, item.name)
                found[item.name] = str(value) if isinstance(value, Path) else value
        return found


def provenance_beside(output: Path) -> Path:
    """``OUT.provenance.json`` beside an output ``OUT.mrc``."""
    return output.parent / f"{output.stem}.provenance.json"
