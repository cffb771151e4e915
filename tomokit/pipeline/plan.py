"""What a job will do, known from its request and the header of its stack: which views, and what sizes."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tomokit.data.problem import ProblemShape
from tomokit.data.views import ViewSelection, select_views
from tomokit.errors import OptionError
from tomokit.pipeline.box import VolumeBox, make_box
from tomokit.pipeline.known_geometry import KnownGeometry
from tomokit.pipeline.request import ReconstructionRequest

LEAST_COLUMNS = 4
"""Views that binning makes narrower hold no specimen."""


@dataclass(frozen=True)
class Plan:
    """What will be done, known from the header alone.

    Attributes
    ----------
    stack_shape : tuple of int
        ``(n_views, n_y, n_x)``: of the file, the images as they are when they are aligned.
    views : ViewSelection
        Which views are fitted and scored.
    shape : ProblemShape
        Sizes of the problem, after binning, with all rows of the detector.
    box : VolumeBox
        What is reconstructed, and how the tomogram is made of it.
    raw_pixels : int
        Pixels of a view as it is read, before it is aligned.
    not_aligned : tuple of int
        Views that the alignment leaves out.
    """

    stack_shape: tuple[int, int, int]
    views: ViewSelection
    shape: ProblemShape
    box: VolumeBox
    raw_pixels: int
    not_aligned: tuple[int, ...] = ()

    @property
    def rows(self) -> tuple[int, int]:
        """Rows along the tilt axis that are reconstructed, after binning: the first, and the one after the last."""
        return self.box.rows

    @property
    def volume_shape(self) -> ProblemShape:
        """Sizes of the problem with only the rows that are reconstructed."""
        return replace(self.shape, n_y=self.rows[1] - self.rows[0])

    @property
    def used(self) -> list[int]:
        """Indices of the views that are read, fitted or scored, ascending."""
        return sorted((*self.views.fitted, *self.views.held_out))

    def bytes_of_reading(self, masked: bool) -> int:
        """Estimate the bytes that reading and linearizing take at their peak.

        Parameters
        ----------
        masked : bool
            Whether there will be a mask.

        Returns
        -------
        int
        """
        _, n_y, n_x = self.stack_shape
        used = len(self.used)
        # The views as they are read, 4 bytes a pixel, then what is made of them on the way to projections: binned ones,
        # and the fitted ones among them, all with their masks.
        whole = 4 * used * n_y * n_x * (2 if masked else 1) + 4 * max(0, self.raw_pixels - n_y * n_x)
        stages = (self.stack_shape[1:] != (self.shape.n_y, self.shape.n_u), bool(self.views.held_out), True)
        return whole + sum(stages) * self.bytes_of_problem(masked)

    def bytes_of_problem(self, masked: bool) -> int:
        """Tell the bytes that the fit finds taken: projections of all views, and their mask.

        Parameters
        ----------
        masked : bool
            Whether there will be a mask.

        Returns
        -------
        int
        """
        return 4 * len(self.used) * self.shape.n_u * self.shape.n_y * (2 if masked else 1)


def make_plan(
    request: ReconstructionRequest, stack_shape: tuple[int, int, int], known: KnownGeometry | None = None
) -> Plan:
    """Plan a job from its request and the stack's header: which views, and what sizes.

    Parameters
    ----------
    request : ReconstructionRequest
        The job.
    stack_shape : tuple of int
        ``(n_views, n_y, n_x)`` of the stack.
    known : KnownGeometry, optional
        What is known of the alignment; by default that the stack is aligned, and the specimen turned as the request
        says.

    Returns
    -------
    Plan

    Raises
    ------
    OptionError
        If no thickness is given, views are selected badly, the binning leaves nothing, or there is no such box.
    """
    known = known or KnownGeometry.of(request)
    n_views, n_y, n_x = stack_shape[0], *(known.aligned_shape or stack_shape[1:])
    views = select_views(
        n_views,
        exclude=request.exclude,
        exclude_from_1=request.exclude_from_1,
        half=request.half,
        hold_out=request.hold_out,
        not_aligned=known.left_out,
    )
    if min(n_y, n_x) < request.bin:
        remedy = f"give at most {min(n_y, max(n_x // LEAST_COLUMNS, 1))}"
        raise OptionError(f"{request.bin} for {n_x} x {n_y} pixels", field="--bin", remedy=remedy)
    if request.bin > 1 and n_x // request.bin < LEAST_COLUMNS:
        left = f"{n_x // request.bin} x {n_y // request.bin}"
        remedy = f"give at most {max(n_x // LEAST_COLUMNS, 1)}"
        raise OptionError(f"{request.bin} leaves {left} of {n_x} x {n_y} pixels", field="--bin", remedy=remedy)
    box = make_box(request, (n_y, n_x), known.frame)
    # Before the data are read it is not known whether offsets will be fitted: the larger case is assumed, but for line
    # integrals, whose background is at 0 as a rule. What the data turn out to need is held against the memory again.
    fit_offsets = request.offsets == "fit" or (request.offsets == "auto" and request.linearization != "linear")
    binned = n_x // request.bin, n_y // request.bin
    shape = ProblemShape(len(views.fitted), *binned, box.thickness_px, fit_offsets=fit_offsets)
    return Plan((n_views, n_y, n_x), views, shape, box, stack_shape[1] * stack_shape[2], known.left_out)
