"""An octree fit whose epochs run on GPUs, from the first launch to the last."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tomokit.cuda.device import Device
from tomokit.cuda.field import hyper_rows
from tomokit.cuda.memory import check_fit, parts_that_fit
from tomokit.cuda.parts import Part
from tomokit.cuda.sampling import sample_volume
from tomokit.cuda.share import DENSITY, FIRST_PENALTY, SQUARES, WEIGHT, Course
from tomokit.cuda.support import needs_all_leaves, refusal
from tomokit.cuda.whole import WholeOnDevices
from tomokit.errors import OptionError
from tomokit.fit.leaf_field import LeafField
from tomokit.fit.options import OctreeOptions
from tomokit.fit.run import OctreeRun
from tomokit.geometry import TiltGeometry
from tomokit.methods.contract import Problem
from tomokit.methods.pausing import EpochPaused, EpochSoFar
from tomokit.octree import Forest
from tomokit.octree.cover import inside
from tomokit.octree.measures import Measures
from tomokit.optimizers.block import BlockOptimizer
from tomokit.regularizers.contract import is_built_in
from tomokit.regularizers.cross_node import CrossNode
from tomokit.regularizers.tv import TotalVariation


class OctreeRunOnDevice(OctreeRun):
    """An octree fit under way on a device (see :class:`tomokit.methods.contract.Run`).

    The schedule is :class:`tomokit.fit.run.OctreeRun`'s. An epoch's views, random numbers and step sizes are sent
    before it; then nothing passes between host and device until its sums are read. Changes of structure are planned on
    the host. Several devices have a part of the specimen each (:mod:`tomokit.cuda.parts`); what these share in a step
    goes through the host. Where the parts do not fit there are more of them than devices, which take them in turn
    (:mod:`tomokit.cuda.residence`).

    Parameters
    ----------
    problem : Problem
    options : OctreeOptions
    devices : sequence of Device

    Raises
    ------
    OptionError
        If the optimizer or a regularizer has no kernel here.
    ResourceError
        If the devices have not enough memory.
    """

    backend = "cuda"

    def __init__(self, problem: Problem, options: OctreeOptions, devices: Sequence[Device]) -> None:
        self._whole: WholeOnDevices | None = None
        refused = refusal(options)
        if refused is not None:
            raise OptionError(refused, field="--backend", remedy="give --backend cpu")
        # One part for each device, where the fit can be cut.
        self.devices = list(devices) if needs_all_leaves(options) is None else list(devices)[:1]
        check_fit(self.devices, problem, options)
        super().__init__(problem, options)

    def advance(self) -> dict[str, float]:
        """One pass over all views, in the CPU's order with its random numbers; or the rest of one that was paused."""
        found, names, steps = self._pass()
        self._so_far = EpochSoFar()
        self.epoch += 1
        terms = {"data": float(found[SQUARES]) / max(float(found[WEIGHT]), 1.0), TotalVariation.name: 0.0}
        for name, value in zip(names, found[FIRST_PENALTY:], strict=True):
            terms[name] = float(value) / steps
        terms = {"loss": sum(terms.values()), **terms}
        if not math.isfinite(found[DENSITY]):
            terms |= {"loss": math.nan, "density": math.nan}
        return self._end_epoch(terms)

    def predict(self, geometry: TiltGeometry) -> NDArray[np.float32]:
        """Projections ``[tilt, u, y]`` of the present density, without exposure."""
        stack = np.zeros((geometry.n_views, geometry.n_u, geometry.n_v), np.float32)
        for item in self._on_devices().shares:
            item.predict(geometry, self.fine.kappa, stack)
        return stack

    def volume(self) -> NDArray[np.float32]:
        """Mean density in voxels, ``[x, z, y]``."""
        g, shares = self.problem.geometry, self._on_devices().shares
        if len(shares) > 1:
            # Points on a cut belong to one of two parts.
            self._fetch()
            return super().volume()
        shape = (g.n_u, self.problem.thickness_px, g.n_v)
        volume = sample_volume(shares[0].device, shares[0].field.density, self.leaves.forest, shape)
        volume *= np.float32(self.scales.unit)
        return volume

    def settled(self) -> dict[str, Any]:
        """As on the CPU; and in how many parts the leaves lie, on how many devices, which may change with them."""
        parts = self._parts() if self._whole is None else self._whole.shares
        return {**super().settled(), "devices": {"count": len(self.devices), "parts": len(parts)}}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Forest, values, optimizer state, exposures, losses and remembered contributions; brought to the host."""
        self._fetch()
        return super().arrays()

    def _place(self, leaves: LeafField) -> None:
        self.leaves = leaves
        self.inside = inside(leaves.forest, self.region)
        # What lies on the devices belongs to the leaves before; new arrays are sent when they are asked for.
        for device in self.devices:
            device.wait()  # for what is still on its way to memory that goes now
        self._whole = None

    def _move(self, forest: Forest) -> None:
        self._fetch()  # the host resamples
        super()._move(forest)

    def _on_devices(self) -> WholeOnDevices:
        if self._whole is None:
            assert isinstance(self.optimizer, BlockOptimizer)
            self._whole = WholeOnDevices(self.devices, self.leaves, self.optimizer, self._parts())
        return self._whole

    def _parts(self) -> list[Part]:
        return parts_that_fit(self.leaves.forest, self.devices, self.problem, self.shape, self.options)

    def _pass(self) -> tuple[NDArray[np.float64], list[str], int]:
        """The steps of an epoch, or those that are left of it: its totals, the names of its penalties, all its steps.

        Nothing here outlives it, so that what lies on the devices can go when the leaves change.
        """
        rng, parts = self._draws()
        so_far, steps, whole = self._so_far, len(parts), self._on_devices()
        regularizers = self._present_penalties().regularizers
        whole.set_penalties(regularizers, self.inside)
        whole.set_level(self._level())
        names, left = whole.penalties.names, parts[so_far.step :]
        drawing = rng if whole.penalties.draws_in_steps else None
        course, partners = Course(left, self._step, rng=drawing), None
        for item in regularizers:
            if is_built_in(item.regularizer, CrossNode) and drawing is None:
                course = Course(left, self._step, item.options.every, item.options.space == "raw")
                partners = whole.draw(rng, course.evaluations(len(left)))
        begun = [so_far.squares, so_far.weight, 0.0, *(so_far.terms.get(name, 0.0) * steps for name in names)]
        hyper = hyper_rows(whole.shares[0].field.optimizer, self._rate(), self.leaves.count + 1, len(left))
        whole.begin(course, hyper, np.array(begun), partners)
        for step in range(len(left)):
            whole.step(step)
            self._step += 1
            self.leaves.count += 1
            so_far.step += 1
            if so_far.step < steps and self.pause():
                self._remember(whole, course, names, steps)
                raise EpochPaused
        return whole.sums(), names, steps

    def _remember(self, whole: WholeOnDevices, course: Course, names: list[str], steps: int) -> None:
        """Note the epoch so far, as the CPU does: it may go on from there too."""
        so_far, found = self._so_far, whole.sums()
        so_far.squares, so_far.weight = float(found[SQUARES]), float(found[WEIGHT])
        so_far.terms = {TotalVariation.name: 0.0}
        so_far.terms |= {name: float(v) / steps for name, v in zip(names, found[FIRST_PENALTY:], strict=True)}
        rng = course.rng
        if rng is None:
            # Partners were drawn for the whole epoch; the generator is to be where these steps leave it.
            rng, _ = self._draws()
            taken = course.evaluations(self._step - course.first_step)
            if taken:
                whole.draw(rng, taken)
        so_far.generator = dict(rng.bit_generator.state)

    def _fetch(self) -> None:
        """Bring the host's field up to date."""
        if self._whole is not None:
            self._whole.fetch(self.leaves)

    def _measure(self) -> Measures:
        """Of the densities on the devices."""
        return self._on_devices().measure()
