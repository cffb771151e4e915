"""Estimates of a device's memory that an octree fit takes, and the fewest partitions in which it fits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from tomokit.data.problem import ProblemShape
from tomokit.errors import ResourceError
from tomokit.gpu.device import Device
from tomokit.methods.octree.cuda.detector_rows import rows_seen
from tomokit.methods.octree.cuda.distribution import deal
from tomokit.methods.octree.cuda.support import needs_all_leaves, whole_field_bytes
from tomokit.methods.octree.fit_plan import FitPlan
from tomokit.methods.octree.layout import Layout, finest_row_taps, footprint_sizes
from tomokit.methods.octree.solver import PrimalDual
from tomokit.methods.octree.texture import cells_of
from tomokit.octree import Forest
from tomokit.octree.cover import LeafBudgetError
from tomokit.octree.partition import Partition, split
from tomokit.projector.cuda.leaves import BLOCK_THREADS
from tomokit.projector.leaves import find_slabs
from tomokit.projector.vertex_footprint import KNOTS
from tomokit.regularizers.cuda.interface import fusable_on_gpu

if TYPE_CHECKING:
    from tomokit.geometry import TiltGeometry
    from tomokit.methods.octree.options import OctreeOptions

_FLOAT = 4
_FLOATS_OF_A_LEAF = 50  # its place, and the faces around it
_MOST_LEAVES = 65535  # CUDA's limit of a grid's blocks along y and z
_USABLE_FRACTION = 0.95  # of free memory, for partitions: the pool leaves gaps between arrays of different sizes


@dataclass(frozen=True)
class Cut:
    """The sizes of what one device has of a fit: of its subdomains together, and of the largest one.

    Attributes
    ----------
    partitions : int
        Number of partitions on the device.
    leaves, slabs, rows : int
        Leaves, slabs of leaves along y, and detector rows of full size, of all partitions on the device.
    most_leaves, most_slabs, most_rows : int
        The most of each that one of these partitions has.
    halo : int
        Leaves at the cuts, on either side.
    all_leaves : int
        Leaves of the fit on all devices.
    """

    partitions: int
    leaves: int
    slabs: int
    rows: int
    most_leaves: int
    most_slabs: int
    most_rows: int
    halo: int
    all_leaves: int

    @property
    def is_whole(self) -> bool:
        """Whether the device has all leaves in one partition."""
        return self.most_leaves == self.all_leaves


def device_bytes(plan: FitPlan, cut: Cut | None = None) -> int:
    """Most bytes that a fit's arrays hold on a device at one time.

    Parameters
    ----------
    plan : FitPlan
    cut : Cut, optional
        By default all leaves are on the device, as many as the fit may come to have.

    Returns
    -------
    int
        Bytes.

    Raises
    ------
    LeafBudgetError
        If ``max_leaves`` is too small even without a margin.
    OptionError, PluginError
        If an optimizer, a regularizer or an option of one is unknown.
    """
    shape, options, layout = plan.shape, plan.options, plan.layout
    if cut is None:
        sizes = (layout.leaves, layout.slabs, shape.n_y)
        cut = Cut(1, *sizes, *sizes, 0, layout.leaves)
    # Buffers hold one subdomain at a time, the largest; counts and tables are those of all leaves.
    field = _FLOAT * cut.most_leaves * layout.n**3
    # Values, densities old and new; or densities alone, the transposed gradient of the duals, and the field by which
    # the norm is measured. What the optimizer remembers; planes of vertices at the cuts.
    own = 3
    total = float(field * (own + plan.remembered_arrays)) + _FLOAT * cut.halo * layout.n**2
    if isinstance(plan.optimizer, PrimalDual):
        total += shape.stack_bytes
        if plan.optimizer.texture is not None:
            levels, _ = footprint_sizes(options, layout, 1)
            nodes = cells_of(layout.root_px / 2 ** (levels - 1), layout.n) + 1
            # The limits, and the mean gradients that they are from.
            total += 2 * _FLOAT * cut.most_leaves * nodes**3
    spaces: set[str] = set()
    for weighted in plan.possible_regularizers:
        offered = fusable_on_gpu(weighted.regularizer)
        if offered is None:
            spaces.add(weighted.options.space)
            total += whole_field_bytes(weighted, layout.leaves, layout.n)
        else:
            if offered.gpu_gradient_space is not None:
                spaces.add(offered.gpu_gradient_space)
            total += offered.gpu_term_bytes(cut.most_leaves, cut.all_leaves, layout.n)
    # A gradient array each, by density and by raw value.
    total += len(spaces) * field
    return int(
        total + max(_level_bytes(shape, options, layout, cut, pixel, plan.is_masked) for pixel in _pixels(options))
    )


def check_fit(devices: Sequence[Device], plan: FitPlan) -> int:
    """Refuse a fit that the devices cannot hold in any number of partitions, before anything is sent.

    Parameters
    ----------
    devices : sequence of Device
        At least one.
    plan : FitPlan
        The plan of a problem that has been read.

    Returns
    -------
    int
        Bytes of the host's memory in which subdomains wait while others use their device; 0 where none do.

    Raises
    ------
    ResourceError
        With the estimate and what is free.
    """
    layout = plan.layout
    # The usual case is decided from sizes alone, without making a forest.
    if layout.leaves <= _MOST_LEAVES and device_bytes(plan) <= devices[0].free_bytes():
        return 0
    try:
        forest = plan.first_forest
    except LeafBudgetError:
        return 0  # the run will say so
    partitions = partitions_that_fit(forest, devices, plan, layout.leaves / forest.n_leaves)
    if len(partitions) <= len(devices):
        return 0
    return _FLOAT * layout.leaves * layout.n**3 * (1 + plan.remembered_arrays)


def partitions_that_fit(
    forest: Forest, devices: Sequence[Device], plan: FitPlan, growth: float = 1.0
) -> list[Partition]:
    """Cut a forest into the fewest partitions that the devices can hold, one each or several one after the other.

    Parameters
    ----------
    forest : Forest
    devices : sequence of Device
        At least one.
    plan : FitPlan
    growth : float
        Factor by which the number of leaves may grow.

    Returns
    -------
    list of Partition
        In their order along y; at least one for each device, as far as the forest can be cut.

    Raises
    ------
    ResourceError
        If they cannot hold it in any number of partitions; with the estimate and what is free.
    """
    partitions: list[Partition] = []
    most = forest.roots[2] if needs_all_leaves(plan) is None else 1
    for count in range(len(devices), max(most, len(devices)) + 1):
        before, partitions = partitions, split(forest, count)
        # Cuts are between roots: one more partition is not always possible.
        if len(partitions) == len(before):
            continue
        cuts = cuts_of(partitions, devices, plan.data.geometry, growth)
        needed = [device_bytes(plan, cut) for _, cut in cuts]
        room = [device.free_bytes() * (1.0 if cut.is_whole else _USABLE_FRACTION) for device, cut in cuts]
        can_be_launched = all(cut.most_leaves <= _MOST_LEAVES for _, cut in cuts)
        if can_be_launched and all(bytes_ <= free for bytes_, free in zip(needed, room, strict=True)):
            return partitions
    whole = needs_all_leaves(plan)
    in_parts = (
        f"{max(needed) / 2**30:.2f} GiB in the {len(partitions)} parts along the tilt axis that it can be cut into"
        if whole is None
        else f"where {whole} keeps all leaves on one"
    )
    raise ResourceError(
        f"the fit needs about {device_bytes(plan) / 2**30:.2f} GiB on the device, {in_parts}, "
        f"{min(room) / 2**30:.2f} GiB are free there",
        field="--backend",
        remedy="give --backend cpu, a larger --bin, fewer max_leaves or a smaller n",
    )


def cuts_of(
    partitions: Sequence[Partition], devices: Sequence[Device], geometry: TiltGeometry, growth: float = 1.0
) -> list[tuple[Device, Cut]]:
    """The sizes of what each device has, when partitions are dealt to them.

    Parameters
    ----------
    partitions : sequence of Partition
        All of the fit, in their order along y.
    devices : sequence of Device
    geometry : TiltGeometry
        Views and detector at full resolution.
    growth : float
        Factor by which the number of leaves may grow.

    Returns
    -------
    list of (Device, Cut)
        One pair for each device that has a partition.
    """
    sizes = []
    for partition in partitions:
        low, high = rows_seen(geometry, partition)
        sizes.append(
            (ceil(growth * partition.own.size), ceil(growth * len(find_slabs(partition.forest).slab)), high - low)
        )
    dealt = deal(len(partitions), devices)
    cuts = []
    for device in dict.fromkeys(dealt):
        here = [number for number, dealt_to in enumerate(dealt) if dealt_to is device]
        # A partition has about as many leaves at its cuts as there are ghosts beyond them.
        halo = ceil(growth * sum(2 * partitions[number].ghosts.size for number in here))
        leaves, slabs, rows = zip(*(sizes[number] for number in here), strict=True)
        cut = Cut(
            len(here), sum(leaves), sum(slabs), sum(rows), max(leaves), max(slabs), max(rows), halo,
            sum(n_leaves for n_leaves, _, _ in sizes),
        )  # fmt: skip
        cuts.append((device, cut))
    return cuts


def _pixels(options: OctreeOptions) -> list[int]:
    """Pixel sizes of the pyramid levels that are fitted, one of which lies on the device at a time."""
    return [2] * (options.coarse_epochs > 0) + [1] * (options.coarse_epochs < options.epochs)


def _level_bytes(
    shape: ProblemShape, options: OctreeOptions, layout: Layout, cut: Cut, pixel: int, masked: bool
) -> float:
    """Bytes of a level's images and tables, and of what a step makes; `pixel` is the level's, in fine ones."""
    n, n_u = layout.n, -(-shape.n_u // pixel)
    # The rows of a partition may begin and end within a coarse one.
    extra_row = 0 if cut.is_whole else 1
    rows, most_rows = -(-cut.rows // pixel) + extra_row * cut.partitions, -(-cut.most_rows // pixel) + extra_row
    views = min(options.views_per_step, shape.n_views)
    levels, taps = footprint_sizes(options, layout, pixel)
    row_taps = finest_row_taps(layout, levels, pixel)
    # Projections; and a mask, which partitions have in any case, for the rows that are not their own.
    images = 1 + (masked or not cut.is_whole)
    is_shared = cut.partitions > 1
    data = images * (views if is_shared else shape.n_views) * n_u * most_rows
    tables = shape.n_views * (levels * (9 * (KNOTS + 1) * taps + (2 + row_taps) * rows) + 3 * cut.slabs)
    tables += cut.leaves * _FLOATS_OF_A_LEAF
    # The projection in each slab and its contraction; the residuals of all partitions, with the masks where these are
    # sent step by step.
    step = 2 * cut.most_slabs * views * (n_u + taps) * n + views * n_u * rows * (2 if is_shared else 1)
    if options.solver == "primal-dual":
        step += views * n_u * rows  # what the duals move by, before the offset
    # Sums of blocks of vertices, of sides and of pixels.
    sums = cut.most_leaves * (n**2 // (BLOCK_THREADS // n or 1) + 7) + views * n_u * rows // 64
    return _FLOAT * float(data + tables + step + sums)
