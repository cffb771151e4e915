"""The adaptive octree of density grids, fitted by hand-written gradients (Wang et al., 2023): registration."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from numpy.typing import NDArray

from tomokit.data.problem import Problem, ProblemShape
from tomokit.errors import OptionError
from tomokit.methods.capabilities import TUNING_RATIO, around
from tomokit.methods.interface import Run
from tomokit.methods.octree.options import LEAST_START, OctreeOptions
from tomokit.methods.octree.weights import FOLLOW_NOISE
from tomokit.plugin.settings import by_plugin_name

if TYPE_CHECKING:
    from tomokit.gpu.device import Device
    from tomokit.methods.octree.engine import MakeEngine
    from tomokit.methods.octree.fit_plan import FitPlan
    from tomokit.methods.octree.run import OctreeRun
    from tomokit.octree import Forest


class Octree:
    """Adaptive octree of density grids, as a method (see :class:`tomokit.methods.interface.Method`)."""

    name: ClassVar[str] = "octree"
    summary: ClassVar[str] = "adaptive octree of density grids, fitted under total variation and priors across leaves"
    Options: ClassVar[type] = OctreeOptions
    models_transfer: ClassVar[bool] = True

    def __init__(self) -> None:
        # The plan that memory was estimated by, for the run that is started next.
        self._estimated: tuple[OctreeOptions, FitPlan] | None = None

    def start(self, problem: Problem, options: OctreeOptions) -> Run:
        """Set up a run, and choose where it computes (see :class:`tomokit.methods.interface.Method`)."""
        return start_fit(problem, options, plan=self._take_plan(problem, options))

    def start_on(self, problem: Problem, options: OctreeOptions, structure: Mapping[str, NDArray[Any]]) -> Run:
        """Set up a run that ends on the leaves of another (see
        :class:`tomokit.methods.capabilities.StartsOnStructure`)."""
        from tomokit.octree.state import from_arrays

        plan = self._take_plan(problem, options)
        return start_fit(problem, options, plan=plan, final_forest=from_arrays(structure, "forest_"))

    def _take_plan(self, problem: Problem, options: OctreeOptions) -> FitPlan | None:
        """The plan of the estimate, if that was of this problem and these options; it is kept no longer."""
        estimated, self._estimated = self._estimated, None
        if estimated is None or estimated[0] is not options or estimated[1].problem is not problem:
            return None
        return estimated[1]

    def list_of_kernels(self, options: OctreeOptions, fit_offsets: bool) -> str:
        """Those of the solver that fits (see :class:`tomokit.methods.capabilities.ListsKernels`)."""
        solver = options.for_specimen(fit_offsets).solver
        return f"tomokit.methods.octree.kernels_ahead:kernels_of_{solver.replace('-', '_')}"

    def worth_tuning(self, problem: Problem, options: OctreeOptions) -> dict[str, tuple[float, float]]:
        """The strength that has a say, or the weights that are given, and the start (see
        :class:`tomokit.methods.capabilities.SuggestsTuning`)."""
        options = options.for_specimen(problem.fit_offsets)
        given = by_plugin_name(options.regularizers)
        weights = {name: float(given[name]["weight"]) for name in FOLLOW_NOISE if "weight" in given.get(name, {})}
        ranges = {f"regularizers.{name}.weight": around(weight) for name, weight in weights.items() if weight > 0}
        if "tv" not in weights:
            fills_field = problem.fit_offsets and options.field_filling_strength is not None
            name = "field_filling_strength" if fills_field else "strength"
            strength = getattr(options, name)
            ranges |= {name: around(strength)} if strength > 0 else {}
        if options.start > LEAST_START:
            # Downwards only: from above, what stays grey is the start.
            ranges["start"] = max(options.start / TUNING_RATIO**2, LEAST_START), options.start
        return ranges

    def cuda_unsupported_reason(self, options: OctreeOptions) -> str | None:
        """Why optimizer or regularizers have no path on a GPU (see :class:`tomokit.methods.capabilities.RunsOnGpu`)."""
        from tomokit.methods.octree.cuda.support import unsupported_reason

        # Whether the specimen fills the field is not known yet.
        return unsupported_reason(options) or unsupported_reason(options.for_specimen(True))

    def estimate_bytes(self, problem_shape: ProblemShape, options: OctreeOptions) -> int:
        """Bytes of the forest, the optimizer and the regularizers (see :class:`tomokit.methods.interface.Method`)."""
        from tomokit.methods.octree.fit_plan import FitPlan
        from tomokit.methods.octree.memory import estimate_bytes

        return estimate_bytes(FitPlan.of_shape(problem_shape, options))

    def estimate_bytes_of(self, problem: Problem, options: OctreeOptions) -> int:
        """Bytes by the measured noise, which the distance of vertices follows; and of partitions that wait in the
        host's memory while others are on a GPU (see :class:`tomokit.methods.capabilities.EstimatesBytesOfData`)."""
        from tomokit.methods.octree.fit_plan import FitPlan
        from tomokit.methods.octree.memory import estimate_bytes

        plan, waiting = FitPlan.of_problem(problem, options), 0
        self._estimated = options, plan
        if problem.backend == "cuda":
            from tomokit.gpu.discovery import devices
            from tomokit.methods.octree.cuda.memory import check_fit

            waiting = check_fit(devices(), plan)
        return estimate_bytes(plan) + waiting


def start_fit(
    problem: Problem,
    options: OctreeOptions,
    devices: Sequence[Device] | None = None,
    plan: FitPlan | None = None,
    final_forest: Forest | None = None,
) -> OctreeRun:
    """Set up an octree fit on the backend that its problem names.

    Parameters
    ----------
    problem : Problem
    options : OctreeOptions
    devices : sequence of Device, optional
        For the backend ``"cuda"``; by default all GPUs that run kernels.
    plan : FitPlan, optional
        Of this problem and these options, where it is made already.
    final_forest : Forest, optional
        The leaves that the fit ends on, where it is not to choose its own.

    Returns
    -------
    OctreeRun

    Raises
    ------
    OptionError
        If the octree method has no such backend, or optimizer or regularizers cannot run on a GPU.
    ResourceError
        If no GPU can be used, or the GPUs have not enough memory.
    LeafBudgetError
        If ``max_leaves`` is too small.
    """
    from tomokit.methods.octree.fit_plan import FitPlan
    from tomokit.methods.octree.run import OctreeRun

    make_engine: MakeEngine
    if problem.backend == "cuda":
        from tomokit.gpu.discovery import devices as all_devices
        from tomokit.methods.octree.cuda.engine import CudaEngine

        make_engine = CudaEngine.on(all_devices() if devices is None else devices)
    elif problem.backend == "cpu" and devices is None:
        from tomokit.methods.octree.host_engine import HostEngine

        make_engine = HostEngine.of_plan
    else:
        # The summary must not say that another backend was used.
        what = f"no {problem.backend} backend" if devices is None else f"no {problem.backend} backend on devices"
        raise OptionError(f"the octree method has {what}", field="--backend", remedy="choose cpu or cuda")
    return OctreeRun(plan or FitPlan.of_problem(problem, options), make_engine, final_forest)
