"""Whether a stack is aligned: what its name, its header and the files beside it say, weighed."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tomokit.errors import InputError
from tomokit.io.companions import Companions, Transforms, find_companions
from tomokit.io.mrc_read import MrcImages
from tomokit.io.pixel_size import pixel_size_of
from tomokit.io.unused_settings import unused_settings

CERTAIN_DEG = 10.0
"""A tilt axis that is further off vertical is that of a raw stack: no alignment leaves so much."""
DOUBTFUL_DEG = 2.0
"""Microscopes whose images have the axis vertical by chance are rare; what is nearer than this is left alone."""
_SAME_SIZE = 0.01
"""Pixel sizes that differ by a smaller fraction are the same, one of them calibrated."""
_ALIGNED_NAME = re.compile(r"(^|[_.\-])(ali|aligned)([_.\-]|$)", re.IGNORECASE)
_RAW_NAME = re.compile(r"(^|[_.\-])raw([_.\-]|$)", re.IGNORECASE)
_COARSE_NAME = re.compile(r"(^|[_.\-])preali([_.\-]|$)", re.IGNORECASE)


@dataclass(frozen=True)
class AlignmentFacts:
    """What is known of whether a stack is aligned.

    Attributes
    ----------
    aligned_by : str
        What says that it is aligned; empty if nothing does.
    raw_by : tuple of str
        What says that it is raw, the strongest first.
    certain : bool
        Whether it is raw beyond doubt: the tilt axis far off vertical, and nothing that says it is aligned.
    transforms : Path or None
        Transforms that lie beside it, one for each of its views.
    tilt_axis_deg : float or None
        Angle of the tilt axis in the raw images from vertical in degrees, if anything gives it.
    not_used : tuple of tuple of str
        What lies beside it and has no say in a reconstruction, each with the setting that takes its place, or empty.
    pixel_size_doubt : str
        That two pixel sizes disagree, and what to do; empty if they do not.
    """

    aligned_by: str
    raw_by: tuple[str, ...]
    certain: bool
    transforms: Path | None
    tilt_axis_deg: float | None
    not_used: tuple[tuple[str, str], ...]
    pixel_size_doubt: str

    @property
    def aligned(self) -> str:
        """``"yes"``, ``"no"`` or ``"unknown"``; without any evidence a stack is taken as aligned."""
        if self.aligned_by:
            return "yes"
        return "no" if self.certain else "unknown"

    @property
    def remedy(self) -> str:
        """What to do where the stack is raw."""
        if self.transforms is not None:
            folder = self.transforms.parent
            return (
                f"give the folder, tomokit reconstruct {folder}, or --xf {self.transforms}, or --aligned if it has "
                "been applied already"
            )
        return "give its transforms with --xf or align it first, or give --aligned if it is aligned all the same"

    def doubts(self, stack: str | os.PathLike[str], given: Collection[str] = ()) -> list[str]:
        """Say in one line each what the user should know before a reconstruction.

        Parameters
        ----------
        stack : path-like
            The stack, for the text.
        given : collection of str
            Settings of a reconstruction that the user has given, such as ``"xf"``: what they answer is no doubt any
            more.

        Returns
        -------
        list of str
        """
        name, lines = Path(stack).name, []
        # What tomokit wrote may be a copy of raw views.
        if "xf" in given and self.aligned_by and "tomokit" not in self.aligned_by:
            lines.append(f"{name} is aligned already by {self.aligned_by}: --xf transforms it once more")
        elif self.raw_by and not self.aligned_by and not {"xf", "aligned"} & set(given):
            verb = "is not aligned" if self.certain else "may not be aligned"
            lines.append(f"{name} {verb}: {' and '.join(self.raw_by)}; {self.remedy}")
        not_used = [text for text, setting in self.not_used if setting not in given]
        if not_used:
            lines.append(f"beside {name} but not used: {', '.join(not_used)}")
        if self.pixel_size_doubt and "pixel_size" not in given:
            lines.append(self.pixel_size_doubt)
        return lines

    def require_aligned(self, stack: str | os.PathLike[str]) -> None:
        """Refuse a stack that is raw beyond doubt.

        Parameters
        ----------
        stack : path-like
            The stack, for the message.

        Raises
        ------
        InputError
            Naming the evidence and the options.
        """
        if self.certain:
            raise InputError(f"not aligned: {' and '.join(self.raw_by)}", file=stack, remedy=self.remedy)

    def to_json(self) -> dict[str, Any]:
        """Represent the facts as a dictionary for ``tomokit inspect``.

        Returns
        -------
        dict
            JSON-serializable.
        """
        return {
            "aligned": self.aligned,
            "by": [self.aligned_by] if self.aligned_by else list(self.raw_by),
            "tilt_axis_deg": self.tilt_axis_deg,
            "transforms": None if self.transforms is None else self.transforms.name,
            "not_used": [text for text, _ in self.not_used],
        }


def judge_alignment(images: MrcImages) -> AlignmentFacts:
    """Weigh what speaks for and against a stack's being aligned; its pixels are not looked at.

    Parameters
    ----------
    images : MrcImages
        The stack.

    Returns
    -------
    AlignmentFacts
    """
    path, header = images.path, images.header
    n_views = header.shape[0]
    beside = find_companions(path, n_views)
    aligned_by = _aligned_by(path.name, header.labels)
    axes = {**_axes_of_header(images), **beside.tilt_axes_deg}
    raw_by, off_vertical = _raw_by(path.name, beside, axes, n_views)
    return AlignmentFacts(
        aligned_by=aligned_by,
        raw_by=raw_by,
        certain=not aligned_by and off_vertical > CERTAIN_DEG,
        transforms=beside.transforms.path if beside.transforms and beside.transforms.count == n_views else None,
        tilt_axis_deg=next(iter(axes.values()), None),
        not_used=unused_settings(beside),
        pixel_size_doubt=_pixel_size_doubt(images, beside, bool(aligned_by)),
    )


def off_vertical_deg(axis_deg: float) -> float:
    """Tell how far a tilt axis is off vertical; up or down does not count.

    Parameters
    ----------
    axis_deg : float
        Angle from vertical in degrees.

    Returns
    -------
    float
        0 to 90 degrees.
    """
    return abs((axis_deg + 90) % 180 - 90)


def _aligned_by(name: str, labels: Sequence[str]) -> str:
    if _COARSE_NAME.search(name):
        return ""
    if _ALIGNED_NAME.search(name):
        return "its name"
    for label in labels:
        text = label.lower()
        # `newstack` with transforms; what tomokit writes; what people write.
        if "newstack" in text and "transformed" in text:
            return f"its label {label!r}"
        if text.startswith("tomokit") and "axis y" in text:
            return f"its label {label!r}"
        if re.search(r"\baligned\b", text) and not re.search(r"\b(not|un|non|pre|to be)[ -]?aligned\b", text):
            return f"its label {label!r}"
    return ""


def _axes_of_header(images: MrcImages) -> dict[str, float]:
    """The angle that SerialEM's label or the extended header gives."""
    axis, extended = images.header.tilt_axis_deg, images.extended
    if axis is None and extended is not None:
        axis = extended.tilt_axis_deg
    return {} if axis is None else {"its header": axis}


def _raw_by(name: str, beside: Companions, axes: dict[str, float], n_views: int) -> tuple[tuple[str, ...], float]:
    """What says that the stack is raw, and how far off vertical its axis is by evidence that is about this stack."""
    evidence: list[tuple[float, str]] = []
    for source, axis in axes.items():
        if off_vertical_deg(axis) > DOUBTFUL_DEG:
            evidence.append((off_vertical_deg(axis), f"{source} gives a tilt axis {axis:g} degrees from vertical"))
    if beside.transforms is not None and _moves(beside.transforms):
        turned = off_vertical_deg(beside.transforms.rotation_deg)
        evidence.append((turned, f"{_transforms_text(beside.transforms, n_views)} and is not applied"))
    evidence.sort(key=lambda entry: -entry[0])
    # What follows is worth a word, but no proof.
    weak = []
    if beside.other_transforms:
        names = ", ".join(other.path.name for other in beside.other_transforms[:3])
        weak.append(f"{names} beside it {_have(beside.other_transforms)} a transform for each of its {n_views} views")
    if beside.aligned_stack is not None:
        weak.append(f"{beside.aligned_stack.name} beside it is aligned by its name")
    if _COARSE_NAME.search(name):
        weak.append("by its name it is aligned coarsely only")
    elif _RAW_NAME.search(name):
        weak.append("by its name it is raw")
    for command, key in (("newst.com", "INPUTFILE"), ("tilt.com", "INPUTPROJECTIONS")):
        parameters = beside.commands.get(command, {})
        other = Path(parameters.get(key, "")).name
        if command == "newst.com" and other.lower() == name.lower():
            weak.append(f"newst.com makes {Path(parameters.get('OUTPUTFILE', 'the aligned stack')).name} from it")
        elif command == "tilt.com" and other and other.lower() != name.lower():
            weak.append(f"tilt.com reconstructs from {other}")
    if beside.coarse and not evidence and not weak:
        weak.append(f"{beside.coarse[0].name} beside it says that Etomo aligned this series")
    strongest = evidence[0][0] if evidence else 0.0
    return tuple([text for _, text in evidence][:2] + weak[: max(0, 3 - len(evidence))]), strongest


def _moves(transforms: Transforms) -> bool:
    return off_vertical_deg(transforms.rotation_deg) > 0.5 or transforms.shift_px > 1


def _transforms_text(transforms: Transforms, n_views: int) -> str:
    other = "" if transforms.count == n_views else f" ({transforms.count} transforms for {n_views} views)"
    return (
        f"{transforms.path.name} beside it{other} turns its views by {transforms.rotation_deg:.3g} degrees "
        f"and shifts them by up to {transforms.shift_px:.3g} pixels"
    )


def _have(several: Sequence[object]) -> str:
    return "has" if len(several) == 1 else "have"


def _pixel_size_doubt(images: MrcImages, beside: Companions, aligned: bool) -> str:
    """That header and ``.mdoc`` give sizes which no binning between the two explains."""
    mdoc, used, stack = beside.mdoc, pixel_size_of(images), images.path
    if mdoc is None or beside.mdoc_path is None or mdoc.kind != "tilt series" or not mdoc.pixel_size_angstrom:
        return ""
    if used.source not in ("header", "extended header"):
        return ""
    size = mdoc.pixel_size_angstrom
    # A stack made from the one that the .mdoc describes may have been binned on the way.
    derived = aligned or Path(mdoc.image_file.replace("\\", "/")).name.lower() != stack.name.lower()
    factors = range(1, 17) if derived else (1,)
    if any(abs(used.angstrom / size / factor - 1) <= _SAME_SIZE for factor in factors):
        return ""
    return (
        f"pixel sizes disagree: {used.angstrom:g} angstrom in the {used.source} of {stack.name}, {size:g} in "
        f"{beside.mdoc_path.name}; the {used.source}'s is used: give --pixel-size {size:g} if the other is right"
    )
