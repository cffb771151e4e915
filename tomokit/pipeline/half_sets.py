"""Two halves of a tomogram: fitted on its grid, compared, and written beside it in one set."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tomokit.data import Volume
from tomokit.errors import OptionError, OutputError
from tomokit.geometry import TiltGeometry
from tomokit.io.output_form import OutputForm
from tomokit.metrics.fourier_shells import check_tilt_range
from tomokit.pipeline.computation import Computed, compute_half
from tomokit.pipeline.fsc_files import as_csv, draw
from tomokit.pipeline.half_jobs import HALVES, evidence_paths, half_request
from tomokit.pipeline.half_maps import FourierOptions, half_map_correlation
from tomokit.pipeline.outputs import add_outputs, describe_form
from tomokit.pipeline.progress import Progress
from tomokit.pipeline.request import ReconstructionRequest
from tomokit.pipeline.resumption import Resumed, read_resumed
from tomokit.pipeline.signals import Stop
from tomokit.pipeline.slabs import SlabFiles
from tomokit.pipeline.trust_maps import TrustMaps, make_trust_maps
from tomokit.state.record import previous_path


@dataclass(frozen=True)
class HalfSets:
    """What became of the halves of a job.

    Attributes
    ----------
    computed : dict of str to Computed
        The halves by name; without the second where the first was stopped.
    fsc : dict or None
        Their Fourier shell correlation (see :func:`tomokit.pipeline.half_maps.half_map_correlation`).
    fsc_without_wedge : dict or None
        The same over what the views measure; None where they have no range of tilts, or the tomogram was turned about
        x, and the wedge with it.
    maps : TrustMaps or None
        None, as is `fsc`, where a half was stopped.
    """

    computed: dict[str, Computed]
    fsc: dict[str, Any] | None = None
    fsc_without_wedge: dict[str, Any] | None = None
    maps: TrustMaps | None = None

    @property
    def stopped_in(self) -> str | None:
        """The half that was stopped, if one was."""
        return next((half for half, computed in self.computed.items() if computed.volume is None), None)

    def summary(self, request: ReconstructionRequest, written: bool) -> dict[str, Any]:
        """Say what the halves gave.

        Parameters
        ----------
        request : ReconstructionRequest
            The whole job.
        written : bool
            Whether the set was written.

        Returns
        -------
        dict
            JSON-serializable; the keys are in ``docs/cli.md``.
        """
        files = {name: str(path) for name, path in evidence_paths(request).items() if written}
        fsc, sharp = (
            None if found is None else {key: found[key] for key in ("crossings", "check", "mask", "tilt_range_deg")}
            for found in (self.fsc, self.fsc_without_wedge)
        )
        return {
            **{half: _of_half(computed, written) for half, computed in self.computed.items()},
            "stopped_in": self.stopped_in,
            "fsc": fsc,
            "fsc_without_wedge": sharp,
            "maps": None if self.maps is None else self.maps.facts,
            "files": files,
        }


def solve_halves(
    whole: Computed, progress: Progress, stop: Stop, files: ExitStack, resumed: Resumed | None
) -> HalfSets:
    """Fit both halves of a job, and compare them.

    Parameters
    ----------
    whole : Computed
        The job, with a volume.
    progress, stop
        As of :func:`tomokit.pipeline.driver.reconstruct`.
    files : ExitStack
        Holds what the volumes lie in.
    resumed : Resumed or None
        What the whole went on from: then a half goes on from its own state, if it has one.

    Returns
    -------
    HalfSets

    Raises
    ------
    TomokitError
        As :func:`tomokit.pipeline.computation.compute_half`, and if a half is constant.
    """
    computed: dict[str, Computed] = {}
    for half in HALVES:
        request = half_request(whole.opened.request, half)
        slabs = files.enter_context(SlabFiles(request.output))
        begun = None if resumed is None or request.state is None else _begun(request.state, progress)
        computed[half] = compute_half(whole, half, progress, stop, slabs, begun)
        if computed[half].volume is None:
            return HalfSets(computed)
    progress.stage("comparing the halves")
    volumes = [_volume(one) for one in (whole, *computed.values())]
    known = whole.size_is_known
    source = {"pixel_size_source": "stack" if known else "none"}
    halves = [replace(volume, provenance=source) for volume in volumes[1:]]
    fsc = half_map_correlation(halves[0], halves[1], FourierOptions())
    tilts = _tilt_range(whole)
    without_wedge = None
    if tilts is not None:
        without_wedge = half_map_correlation(halves[0], halves[1], FourierOptions(tilt_range_deg=tilts))
    for text in fsc["warnings"]:
        # Of a series without a pixel size it has been said already.
        if known:
            whole.opened.warn(f"halves: {text}")
    progress.stage("mapping where the halves agree and what views cover")
    maps = make_trust_maps(volumes[0], volumes[1], volumes[2], whole.prepared, known)
    return HalfSets(computed, fsc, without_wedge, maps)


def write_set(whole: Computed, halves: HalfSets, record: dict[str, Any], warn: Callable[[str], None]) -> bool:
    """Write tomogram, halves, correlation and maps; if one fails, none is left, and the tomogram gets its name last.

    Parameters
    ----------
    whole : Computed
        The tomogram.
    halves : HalfSets
        Complete.
    record : dict
        The provenance of the tomogram.
    warn : callable
        Is told in one line of a preview that could not be made.

    Returns
    -------
    bool
        Whether the tomogram has a preview.

    Raises
    ------
    OutputError
        If one cannot be written.
    """
    from tomokit.io.output import check_file
    from tomokit.io.output_set import new_outputs
    from tomokit.io.volume_write import add_volume

    request, existing = whole.opened.request, whole.existing
    if request.output is None or halves.fsc is None or halves.maps is None:
        raise OutputError("there is no complete set to be written")
    paths = evidence_paths(request)
    form = OutputForm(request.form.orientation, "float32", False, request.form.bin)
    title = f"{request.output.name}, even and odd views"
    contents = {
        "fsc_json": json.dumps(_evidence(whole, halves), indent=2).encode() + b"\n",
        "fsc_csv": as_csv(halves.fsc, halves.fsc_without_wedge).encode(),
    }
    if "fsc_plot" in paths:
        contents["fsc_plot"] = draw(halves.fsc, title, halves.fsc_without_wedge)
    with new_outputs() as outputs:
        previews = []
        for computed in halves.computed.values():
            own = {**computed.provenance, "epochs": computed.epochs, "loss": computed.loss}
            previews.append(
                add_outputs(
                    outputs,
                    computed.opened.request,
                    _volume(computed),
                    own,
                    whole.size_is_known,
                    computed.made_in,
                    existing,
                )
            )
        for name, content in contents.items():
            with outputs.new(paths[name], check_file, existing[paths[name]]) as temporary:
                temporary.write_bytes(content)
        for name, volume in halves.maps.by_name().items():
            told = volume if form.is_plain else describe_form(volume, form)[0]
            add_volume(
                outputs, paths[name], told, existing[paths[name]], provenance={"map": volume.provenance, **record},
                size_is_known=whole.size_is_known, form=form,
            )  # fmt: skip
        previews.append(
            add_outputs(outputs, request, _volume(whole), record, whole.size_is_known, whole.made_in, existing)
        )
    return [preview.tell(outputs, warn) for preview in previews][-1]


def _begun(state: Path, progress: Progress) -> Resumed | None:
    """The state of a half, if it has one."""
    if not (state.exists() or previous_path(state.resolve()).exists()):
        return None
    return read_resumed(state, progress)


def _volume(computed: Computed) -> Volume:
    if computed.volume is None:
        raise ValueError("a run that was stopped has no volume")
    return computed.volume


def _tilt_range(whole: Computed) -> tuple[float, float] | None:
    """Least and greatest tilt of the fitted views, where they bound a wedge of the volume's own transform."""
    geometry: TiltGeometry = whole.prepared.problem.geometry
    if whole.prepared.plan.box.levelling.x_tilt_deg != 0:
        return None
    tilts = float(geometry.tilt_deg.min()), float(geometry.tilt_deg.max())
    try:
        check_tilt_range(tilts)
    except OptionError:
        return None
    return tilts


def _of_half(computed: Computed, written: bool) -> dict[str, Any]:
    history, request = computed.history, computed.opened.request
    state = request.state
    return {
        "output": str(request.output) if written else None,
        "state": None if state is None else str(state),
        "views": list(computed.prepared.plan.views.fitted),
        "epochs": computed.epochs,
        "loss": computed.loss,
        "held_out": history[-1]["held_out"] if history else None,
    }


def _evidence(whole: Computed, halves: HalfSets) -> dict[str, Any]:
    """What the file of the correlation holds: what ``fsc --json`` prints, and more; nothing of place or hour."""
    provenance, request = whole.provenance, whole.opened.request
    outputs = {half: one.opened.request.output for half, one in halves.computed.items()}
    named = {f"half{i}": None if path is None else path.name for i, path in enumerate(outputs.values(), 1)}
    return {
        **named,
        **(halves.fsc or {}),
        "without_wedge": halves.fsc_without_wedge,
        "maps": None if halves.maps is None else halves.maps.facts,
        "views": {half: list(one.prepared.plan.views.fitted) for half, one in halves.computed.items()},
        "tomogram": None if request.output is None else request.output.name,
        "tomokit": provenance["tomokit"],
        "method": provenance["method"],
        "inputs": provenance["inputs"],
    }
