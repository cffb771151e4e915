"""The edge of a stack's pixels: from the option, the header, the extended header, or the ``.mdoc`` beside the stack."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tomokit.errors import InputError
from tomokit.io.beside import mdoc_beside
from tomokit.io.mdoc import MdocFacts, read_mdoc
from tomokit.io.mrc_read import MrcImages

NO_SIZE = "gives no pixel size"
"""Part of the header's warning that a size from elsewhere takes back."""

_SAME = 1e-3
# What programs write that know no size, the last three when they have binned.
_NO_SIZES = (1.0, 2.0, 3.0, 4.0)


@dataclass(frozen=True)
class PixelSize:
    """The edge of a pixel, and where it is from.

    Attributes
    ----------
    angstrom : float
        1 where it is not known.
    source : {"header", "extended header", "mdoc", "none"}
    warning : str
        What the user should know; empty if nothing.
    """

    angstrom: float
    source: str
    warning: str = ""


def read_mdoc_beside(stack: Path) -> MdocFacts | None:
    """Read the ``.mdoc`` of a stack, if there is one that can be read.

    Parameters
    ----------
    stack : Path

    Returns
    -------
    MdocFacts or None
        None also for one that cannot be read: it is not needed where the angles are in another file.
    """
    path = mdoc_beside(stack)
    if path is None:
        return None
    try:
        return read_mdoc(path)
    except InputError:
        return None


def pixel_size_of(images: MrcImages) -> PixelSize:
    """Find the pixel size of a stack.

    The header counts first. Where it has none, or exactly 1 (2 to 4 if binned), which programs write that know none,
    the extended header does; then, for 1 or none, the ``.mdoc``, if it is of images of this size.

    Parameters
    ----------
    images : MrcImages

    Returns
    -------
    PixelSize
    """
    header = images.header
    own = header.pixel_size_angstrom
    if header.pixel_size_known and own not in _NO_SIZES:
        return PixelSize(own, "header")
    extended = None if images.extended is None else images.extended.pixel_size_angstrom
    if extended is not None and (not header.pixel_size_known or abs(extended - own) > _SAME * own):
        # A cell of 2, 3 or 4 to a pixel is what such a file has when it was binned and no one knew the size.
        angstrom = extended * own
        binned = f", times {own:g} for the binning that the header's {own:g} stands for" if own != 1 else ""
        return PixelSize(
            angstrom, "extended header", f"pixel size {angstrom:g} angstrom from the extended header{binned}"
        )
    if not header.pixel_size_known or own == 1:
        mdoc = read_mdoc_beside(images.path)
        if mdoc is not None and mdoc.pixel_size_angstrom is not None and mdoc.pixel_size_angstrom != own:
            return _of_mdoc(images, mdoc, mdoc.pixel_size_angstrom)
    return PixelSize(own, "header" if header.pixel_size_known else "none")


def _of_mdoc(images: MrcImages, mdoc: MdocFacts, size: float) -> PixelSize:
    header, (_, n_y, n_x) = images.header, images.header.shape
    if mdoc.image_size is not None and mdoc.image_size not in ((n_x, n_y), (n_y, n_x)):
        other = " x ".join(map(str, mdoc.image_size))
        text = f"the .mdoc has {size:g} angstrom for pixels of images of {other}, these have {n_x} x {n_y}; not taken"
        return PixelSize(header.pixel_size_angstrom, "header" if header.pixel_size_known else "none", text)
    instead = ", not the header's 1" if header.pixel_size_known else ""
    return PixelSize(size, "mdoc", f"pixel size {size:g} angstrom from the .mdoc{instead}")
