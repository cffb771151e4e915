"""How `reconstruct` and `resume` are stopped by signals, and what they report at the end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from tomokit.commands.output import complain, show
from tomokit.errors import OutputError

if TYPE_CHECKING:
    from tomokit.pipeline.signals import Stop


@contextmanager
def stopping(state: Path | None, json: bool) -> Iterator[Stop | None]:
    """Let signals stop a job that saves its state; a job that does not is ended by them as any program is.

    Parameters
    ----------
    state : Path or None
        Where the job saves its state, if it does.
    json : bool
        Whether stdout is to have one JSON object, also of a job that is stopped before its first step.

    Yields
    ------
    Stop or None
        What says whether a signal has asked the job to stop; None for a job that saves no state.

    Raises
    ------
    Exit
        Typer's, with status 75, if the job was stopped before its first step and has a state.
    OutputError
        If it has none.
    KeyboardInterrupt
        If it has none and the signal was SIGINT.
    """
    from tomokit.pipeline.signals import STOPPED, stop_on_signals

    if state is None:
        yield None
        return
    with stop_on_signals() as stop:
        try:
            yield stop
        except BaseException as error:
            if not stop.was_early:
                raise
            # Whatever it is: a library may tell of the signal in its own way.
            if not stop.is_resumable and stop.signal == "SIGINT":
                raise KeyboardInterrupt from error
            if not stop.is_resumable:
                problem = f"stopped by {stop.signal} before the first step, and there is no state to resume"
                raise OutputError(problem, file=state) from error
            summary = {"stopped_by": stop.signal, "output": None, "state": str(state)}
            if json:
                show(summary, "", json)
            complain(f"stopped by {stop.signal} before another step; continue by `tomokit resume {state}`")
            raise typer.Exit(STOPPED) from error


def tell(summary: dict[str, Any], json: bool, told: Sequence[str]) -> None:
    """Print a job's summary, and those of its warnings that have not been printed yet.

    Parameters
    ----------
    summary : dict
        What :func:`tomokit.pipeline.driver.reconstruct` returns.
    json : bool
        Whether to print the summary as one JSON object in place of text.
    told : sequence of str
        Warnings that were printed while the job ran.

    Raises
    ------
    Exit
        Typer's, with status 75, if the job was stopped.
    OutputError
        If the job was stopped and its state could never be saved.
    """
    from tomokit.pipeline.signals import STOPPED
    from tomokit.state.record import previous_path

    written = [Path(path) for path in (summary["output"], summary["preview"]) if path]
    stopped = summary["stopped_by"]
    if stopped is None:
        show(summary, _summary_text(summary), json, written)
    elif json:
        show(summary, "", json, written)
    for warning in summary["warnings"]:
        if warning not in told:
            complain(f"warning: {warning}")
    if stopped is not None:
        state, epochs = Path(summary["state"]), summary["epochs"]
        if not (state.exists() or previous_path(state.resolve()).exists()):
            raise OutputError(f"stopped by {stopped} after epoch {epochs}, and there is no state to resume", file=state)
        half = summary["halves"] and summary["halves"]["stopped_in"]
        if half:
            epochs = f"{summary['halves'][half]['epochs']} of the {half} half"
        complain(f"stopped by {stopped} after epoch {epochs}; continue by `tomokit resume {state}`")
        raise typer.Exit(STOPPED)


def _summary_text(summary: dict[str, Any]) -> str:
    from tomokit.pipeline.provenance import done_to_views

    n_z, n_y, n_x = summary["shape"]
    linearization = summary["linearization"]
    epochs = f"{summary['epochs']} epoch{'' if summary['epochs'] == 1 else 's'}"
    known = summary["provenance"].get("pixel_size_source") != "none"
    size = f" of {summary['voxel_size_angstrom']:g} angstrom" if known else ", voxel size unknown"
    lines = [
        f"{summary['output']}: {n_x} x {n_y} x {n_z} voxels{size}",
        f"method {summary['method']} on {summary['backend']}: {epochs}, loss {summary['loss']:.4g}, "
        f"{summary['seconds']:.1f} s, peak memory {summary['peak_memory_bytes'] / 2**30:.2f} GiB",
        f"linearization {linearization['kind']}{', ' + linearization['reason'] if linearization['reason'] else ''}",
    ]
    if done := done_to_views(summary["provenance"]):
        lines.append(f"views {done}")
    if summary["refinement"] is not None:
        from tomokit.pipeline.refining import refinement_text

        lines.append(refinement_text(summary["refinement"]))
    beads = summary["provenance"].get("beads")
    if beads and beads["beads"]:
        from tomokit.pipeline.beads import beads_text

        lines.append(f"masked: {beads_text(beads)}")
    views = summary["views"]
    if views["excluded"]:
        numbers, from_1 = (", ".join(map(str, views[key])) for key in ("excluded", "excluded_from_1"))
        lines.append(f"views left out: {numbers} (counted from 1: {from_1})")
    if summary["held_out"] is not None:
        held = summary["held_out"]
        lines.append(
            f"held-out views {', '.join(map(str, held['views']))}: correlation {held['correlation']:.4f}, "
            f"residual {held['residual']:.4f}, best at epoch {summary['best_epoch']} of {summary['epochs']}"
        )
        if held["mean_ring_correlation"] is not None:
            lines.append(f"  {_rings_text(held)}")
        if held["advice"]:
            lines.append(f"  the prediction of held-out views {held['advice']}")
    if summary["preview"]:
        lines.append(f"{summary['preview']}: central slices")
    if summary["halves"] is not None:
        from tomokit.commands.halves_text import halves_text

        lines += halves_text(summary["halves"])
    return "\n".join(lines)


def _rings_text(held: dict[str, Any]) -> str:
    """The correlation with held-out views by ring, and what their noise allows."""

    def numbers(rings: list[float | None]) -> str:
        return " ".join("-" if ring is None else f"{ring:.2f}" for ring in rings)

    from tomokit.pipeline.held_out import ceiling_is_disproved

    rings, ceiling = held["ring_correlation"], held["ceiling"]
    allowed = "detail up to the end hides what their noise allows" if ceiling_is_disproved(rings, ceiling) else (
        f"their noise allows about {numbers(ceiling)}"
    )  # fmt: skip
    return f"by rings of 0.05 cycles a pixel {numbers(rings)}, mean {held['mean_ring_correlation']:.4f}; {allowed}"
