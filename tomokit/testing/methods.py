"""Checks of a method on a small specimen: of its interface, and of what follows from the physics."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import InputError
from tomokit.geometry import TiltGeometry
from tomokit.methods.capabilities import BeginsLongerRuns
from tomokit.methods.interface import Run
from tomokit.projector import DenseProjector
from tomokit.testing.checks import Check, CheckError, Declaration, demand
from tomokit.testing.series import Specimen, small_specimen


def check_method(
    cls: type,
    options: Any = None,
    *,
    specimen: Specimen | None = None,
    error: float = 0.9,
    prediction: float = 0.1,
) -> list[str]:
    """Make sure that a method can be driven like the built-in ones.

    Parameters
    ----------
    cls : type
        The class that is registered.
    options : dataclass instance or mapping, optional
        Options with which it works on a small specimen in a short time: the whole run is done some ten times.
    specimen : Specimen, optional
        What is reconstructed, in place of :func:`tomokit.testing.series.small_specimen`.
    error : float
        Largest relative L2 distance of its volume from the truth; that of an empty volume is 1.
    prediction : float
        Largest relative L2 distance of its prediction from the projection of its volume.

    Returns
    -------
    list of str
        Names of the checks that were done.

    Raises
    ------
    CheckError
        If any check fails; the message lists all that do.
    """
    return demand(method_checks(cls, options, specimen, error, prediction), f"method {cls.__name__}")


def method_checks(
    cls: type, options: Any = None, specimen: Specimen | None = None, error: float = 0.9, prediction: float = 0.1
) -> Iterator[Check]:
    """The checks of :func:`check_method`, one by one.

    Parameters
    ----------
    cls, options, specimen, error, prediction
        See :func:`check_method`.

    Yields
    ------
    Check
        To be run before the next is asked for; after a wrong declaration there are no more.
    """
    declaration = Declaration("method", cls, options)
    yield declaration.check
    if declaration.options is None:
        return
    subject = _Subject(cls, declaration.options, specimen or small_specimen())
    yield Check("it says how much memory it takes", subject.memory)
    yield Check("it reconstructs", lambda: subject.reconstructs(error))
    yield Check("its prediction is that of its volume", lambda: subject.predicts(prediction))
    yield Check("it gives the same bits again, and leaves its problem alone", subject.deterministic)
    yield Check("nothing under the mask matters", subject.masked)
    yield Check("it fits offsets where it is asked to, and only there", subject.fits_offsets)
    yield Check("it continues from its arrays bit for bit", subject.continues)
    if isinstance(cls(), BeginsLongerRuns) and hasattr(declaration.options, "epochs"):
        yield Check("a shorter run is the beginning of a longer one, as it says", subject.begins_longer_runs)
    yield Check("it refuses arrays that do not belong, by name", subject.refuses)
    yield Check("it stands odd sizes and a single view", subject.odd_sizes)


class _Subject:
    """A method under examination; each method of this class is one check, and raises CheckError."""

    def __init__(self, cls: type, options: Any, specimen: Specimen) -> None:
        self.cls, self.options, self.specimen = cls, options, specimen
        self.problem = specimen.problem

    def start(self, **changes: Any) -> Run:
        run: Run = self.cls().start(replace(self.problem, **changes), self.options)
        return run

    def finish(self, run: Run) -> list[dict[str, float]]:
        """Do all epochs that are left; what each returned."""
        history = []
        while run.epoch < run.epochs:
            done = run.epoch
            history.append(run.advance())
            if run.epoch != done + 1:
                raise CheckError(f"`epoch` is {run.epoch} after {done + 1} calls of `advance`")
        return history

    def memory(self) -> None:
        shape = ProblemShape.of(self.problem)
        small, large = (self.cls().estimate_bytes(s, self.options) for s in (shape, replace(shape, n_y=2 * shape.n_y)))
        if not isinstance(small, int) or small <= 0 or large < small:
            raise CheckError(f"`estimate_bytes` gives {small!r}, and {large!r} for twice as many rows")

    def reconstructs(self, error: float) -> None:
        run = self.start()
        if run.epoch != 0:
            raise CheckError(f"`epoch` is {run.epoch} before the first `advance`")
        history = self.finish(run)
        for terms in history:
            missing = {"loss", "data"} - set(terms)
            if missing:
                raise CheckError(f"`advance` does not return {', '.join(sorted(missing))}")
            wrong = [name for name, value in terms.items() if not math.isfinite(value)]
            if wrong:
                raise CheckError(f"the loss terms {', '.join(wrong)} are not finite")
        volume = run.volume()
        if volume.shape != self.specimen.truth.shape or volume.dtype != np.float32:
            raise CheckError(
                f"`volume` gives {volume.dtype}{volume.shape}, not float32{self.specimen.truth.shape}: the axes are "
                "[x, z, y]"
            )
        distance = self.specimen.error(volume)
        if not distance < error:
            raise CheckError(
                f"its volume is {distance:.2f} from the truth, where an empty one is 1 and {error:g} is allowed"
            )
        if len(history) > 1 and not history[-1]["data"] < history[0]["data"]:
            raise CheckError("the data term does not get smaller")

    def predicts(self, allowed: float) -> None:
        run = self.start()
        self.finish(run)
        geometry = self.problem.geometry
        # Views that were not among the data, with shifts along u.
        elsewhere = TiltGeometry(np.array([-33.0, 5.0, 41.0]), geometry.n_u, geometry.n_v, np.array([0.0, 1.5, -0.5]))
        expected = DenseProjector(elsewhere, self.problem.thickness_px)(run.volume()) * elsewhere.kappa
        predicted = run.predict(elsewhere)
        if predicted.shape != expected.shape or predicted.dtype != np.float32:
            raise CheckError(f"`predict` gives {predicted.dtype}{predicted.shape}, not float32{expected.shape}")
        apart = float(np.linalg.norm(predicted - expected)) / max(float(np.linalg.norm(expected)), 1e-300)
        if not apart <= allowed:
            factor = float(np.vdot(predicted, expected)) / max(float(np.vdot(expected, expected)), 1e-300)
            raise CheckError(
                f"`predict` is {apart:.2g} from the projection of `volume` times kappa, {allowed:g} is allowed; at "
                f"best it is {factor:.3g} times as large"
            )

    def deterministic(self) -> None:
        before = self.problem.projections.copy()
        results = set()
        # The whole run twice, from the same seed: bits are compared, not values.
        for _ in range(2):
            run = self.start(seed=7, fit_offsets=True)
            self.finish(run)
            results.add((run.volume().tobytes(), run.offsets().tobytes()))
        if len(results) > 1:
            raise CheckError("it is not deterministic: the same seed gives other bits")
        if not np.array_equal(self.problem.projections, before):
            raise CheckError("it changes the projections of its problem")

    def masked(self) -> None:
        rng = np.random.default_rng(1)
        mask = (rng.random(self.problem.projections.shape) > 0.1).astype(np.float32)
        # Single pixels, a patch in each view, and a whole view are masked.
        mask[:, 8:14, 5:11] = 0
        mask[3] = 0
        volumes = []
        # What lies under the mask is replaced by two different numbers.
        for garbage in (0.0, 1e3):
            projections = np.where(mask > 0, self.problem.projections, np.float32(garbage))
            run = self.start(projections=projections, mask=mask, fit_offsets=True)
            self.finish(run)
            volumes.append(run.volume())
        if not np.array_equal(volumes[0], volumes[1]):
            raise CheckError("what lies under the mask changes the volume")

    def fits_offsets(self) -> None:
        run = self.start()
        self.finish(run)
        if run.offsets().shape != (self.problem.geometry.n_views,) or run.offsets().any():
            raise CheckError("offsets are not zeros, one for each view, where none are to be fitted")
        # Of the order of a tenth of the largest projection, and of either sign.
        added = 0.1 * np.random.default_rng(3).uniform(-1, 1, self.problem.geometry.n_views)
        added *= float(self.problem.projections.max())
        changed = (self.problem.projections + added[:, None, None]).astype(np.float32)
        runs = [self.start(projections=p, fit_offsets=True) for p in (self.problem.projections, changed)]
        for run in runs:
            self.finish(run)
        fitted = (runs[1].offsets() - runs[0].offsets()).astype(np.float64)
        if np.abs(fitted - added).max() > 0.1 * np.abs(added).max():
            raise CheckError("a constant added to a view is not taken up by its offset")

    def continues(self) -> None:
        problem = {"fit_offsets": True, "seed": 3}
        uninterrupted = self.start(**problem)
        saved_at = max(1, uninterrupted.epochs // 2)
        while uninterrupted.epoch < saved_at:
            uninterrupted.advance()
        # Copied: the run goes on in its own arrays.
        saved = {name: np.array(array) for name, array in uninterrupted.arrays().items()}
        restored = self.start(**problem)
        restored.restore(saved_at, saved)
        if restored.epoch != saved_at:
            raise CheckError(f"`epoch` is {restored.epoch} after `restore({saved_at}, ...)`")
        same_losses = self.finish(uninterrupted) == self.finish(restored)
        if not same_losses or not np.array_equal(uninterrupted.volume(), restored.volume()):
            raise CheckError(f"restored from its arrays after {saved_at} epochs, it ends elsewhere")

    def begins_longer_runs(self) -> None:
        short = self.start()
        losses = self.finish(short)
        longer = self.cls().start(self.problem, replace(self.options, epochs=2 * short.epochs + 1))
        same = all(longer.advance() == terms for terms in losses)
        if not same or not np.array_equal(longer.volume(), short.volume()):
            raise CheckError(f"of {longer.epochs} epochs the first {short.epochs} are not those of a run of so many")

    def refuses(self) -> None:
        run = self.start()
        run.advance()
        saved = {name: np.array(array) for name, array in run.arrays().items()}
        if not saved:
            raise CheckError("`arrays` gives nothing to continue from")
        # Each array in turn is left out, and made one element too long.
        for name, array in saved.items():
            lacking = {kept: saved[kept] for kept in saved if kept != name}
            longer = {**saved, name: np.append(array.ravel(), np.zeros(1, array.dtype))}
            for fault, arrays in (("lacks", lacking), ("has too long an array", longer)):
                fresh = self.start()
                try:
                    fresh.restore(1, arrays)
                except InputError as error:
                    if name not in str(error):
                        raise CheckError(f"a state that {fault} {name!r} is refused without naming it") from error
                else:
                    raise CheckError(f"a state that {fault} {name!r} is taken: raise tomokit.errors.InputError")

    def odd_sizes(self) -> None:
        rng = np.random.default_rng(0)
        for tilt, n_u, n_y, thickness in (([12.0], 9, 5, 3), ([-50.0, 0.0, 61.0], 7, 1, 1)):
            geometry = TiltGeometry(np.array(tilt), n_u, n_y, rng.normal(size=len(tilt)), rng.normal(size=len(tilt)))
            projections = rng.random((len(tilt), n_u, n_y), np.float32)
            run = self.cls().start(Problem(projections, None, geometry, thickness), self.options)
            run.advance()
            volume = run.volume()
            if volume.shape != (n_u, thickness, n_y) or not np.isfinite(volume).all():
                raise CheckError(f"on {len(tilt)} views of {n_u} x {n_y} pixels it gives no volume")
